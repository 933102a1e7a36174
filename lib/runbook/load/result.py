"""What a load test measured, and whether it may be believed.

A percentile is one by nearest rank, so it is a latency that a request really had. It is taken over the requests that were
answered well and those that timed out (a timeout counts with the time it waited: a lower bound, and never a flattering one);
other failures come back fast and would make a broken server look quick.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from runbook.load.scenario import Scenario, arrivals, from_record

#: The generator fell behind when it started fewer than this share of the planned arrivals.
KEPT = 0.99
#: Seconds before the end that do not count for that: an arrival that is due then, and late, is not started any more.
LATE = 0.25
#: Dropped although fewer than this share of the places to wait were taken: they were lost in the generator.
TAKEN = 0.8
#: The generator was out of CPU when it used this share of the machine for SATURATED_SECONDS on end.
SATURATED, SATURATED_SECONDS = 0.9, 3


@dataclass(frozen=True)
class Run:
    """A load test that was run.

    Attributes:
        scenario: what was asked.
        requests: ``start`` (s since the beginning), ``took`` (s), ``path``, ``status`` (0: no answer), ``error`` (kind, "" if good).
        dropped: ``at`` (s since the beginning) of each arrival that found ``most_waiting`` requests waiting already.
        cpu: ``at`` (s since the beginning), ``cores`` that the generator used.
        began: seconds since the epoch.
        interrupted: ended by Ctrl-C before its time.
        machine: cores of this machine that the generator may use.
    """

    scenario: Scenario
    requests: pd.DataFrame
    dropped: pd.DataFrame
    cpu: pd.DataFrame
    began: float
    interrupted: bool
    machine: int

    def save(self, folder: Path | str) -> Path:
        """Store everything in ``folder`` (made if missing): three CSV files and ``run.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.requests.to_csv(folder / "requests.csv", index=False)
        self.dropped.to_csv(folder / "dropped.csv", index=False)
        self.cpu.to_csv(folder / "cpu.csv", index=False)
        about = {"scenario": self.scenario.record(), "began": self.began, "interrupted": self.interrupted, "machine": self.machine}
        (folder / "run.json").write_text(json.dumps(about, indent=1) + "\n")
        return folder


def read(folder: Path | str) -> Run:
    """The run that :meth:`Run.save` stored."""
    folder = Path(folder)
    about = json.loads((folder / "run.json").read_text())
    requests = pd.read_csv(folder / "requests.csv", dtype={"path": "str", "error": "str"}, keep_default_na=False)
    return Run(from_record(about["scenario"]), requests, pd.read_csv(folder / "dropped.csv"), pd.read_csv(folder / "cpu.csv"),
               about["began"], about["interrupted"], about["machine"])


def limit(run: Run) -> str:
    """Why the generator, not the target, was the limit of this run; empty if it was not.

    One of four, each measured on the generator's side only:

    - it fell behind: fewer than 99 % of the arrivals planned until a quarter second before the end were started or dropped (an interrupted run is
      judged on the time until its last request);
    - it dropped arrivals while it had places left: at the moments of the drops, fewer than 80 % of ``most_waiting``
      requests were waiting for an answer (the median of those moments);
    - it dropped arrivals while the requests of the same seconds kept the latency objective: a target that is the limit
      lets its queue grow until latency breaks it, so here the places were too few;
    - it was out of CPU: 90 % of the machine's cores for 3 seconds on end.
    """
    started = len(run.requests) + len(run.dropped)
    until = run.requests["start"].max() if run.interrupted and len(run.requests) else run.scenario.seconds
    planned = arrivals(run.scenario.stages, until - LATE)
    if started < planned * KEPT - 1:
        return f"it started {started} of {arrivals(run.scenario.stages, until):.0f} planned requests"
    if len(run.dropped):
        lost, places, objective = f"it dropped {len(run.dropped)} arrivals", run.scenario.most_waiting, run.scenario.objective
        waiting = in_flight(run.requests, run.dropped["at"]).median()
        if waiting < TAKEN * places:
            return f"{lost} while {waiting:.0f} of its {places} places to wait were taken"
        beside = run.requests["start"].astype(int).isin(run.dropped["at"].astype(int))
        late = percentile(waited(run.requests[beside]), objective.percentile)
        if late <= objective.under_ms:
            return f"{lost} while the target answered in time (p{objective.percentile:g} {late:.0f} ms); {places} places to wait are too few"
    full = (run.cpu["cores"] >= SATURATED * run.machine).astype(int)
    if full.rolling(SATURATED_SECONDS).sum().max() == SATURATED_SECONDS:
        return f"it used {run.cpu['cores'].max():.1f} of the machine's {run.machine} cores"
    return ""


def in_flight(requests: pd.DataFrame, instants: pd.Series) -> pd.Series:
    """How many requests were waiting for their answer at each of the instants (s since the beginning)."""
    begun = requests["start"].sort_values().searchsorted(instants, side="right")
    ended = (requests["start"] + requests["took"]).sort_values().searchsorted(instants, side="right")
    return pd.Series(begun - ended, index=instants.index)


def percentile(values, q: float) -> float:
    """The q-th percentile by nearest rank, in the unit of the values; NaN of nothing."""
    values = np.asarray(values, dtype=float)
    return float(np.percentile(values, q, method="inverted_cdf")) if len(values) else float("nan")


def waited(requests: pd.DataFrame) -> pd.Series:
    """The latencies (ms) that count: of good answers and of timeouts."""
    return requests.loc[requests["error"].isin(("", "timeout")), "took"] * 1000
