"""A load test of a site's tier: sent, watched, judged and drawn. What notebook 06 shows.

In plan mode nothing is sent. On the rehearsal k6 runs for real, shortened, against a small server of our own on the loopback;
what the tier did (replicas, CPU) is replayed from a recorded run and labelled.
"""

import json
import threading
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import pandas as pd

from runbook import load, plots
from runbook.errors import LoadError
from runbook.facts import scaling as facts
from runbook.load import Objective, Run, Scenario, Stage, loopback
from runbook.operations import scaling
from runbook.params import Load
from runbook.plans import Plan
from runbook.plots import Drawing
from runbook.show import emit

RECORDINGS = files("runbook") / "recordings" / "load"
#: What the small server of the rehearsal takes for a request, in each of its two places: 50 requests a second.
REHEARSAL_PATHS = {"/work/40": 1}


@dataclass(frozen=True)
class Missing:
    """What stands where a graph or table would: why there is none."""

    why: str

    def __repr__(self) -> str:
        return f"– not measured: {self.why}"


@dataclass(frozen=True)
class Measured:
    """A load test and what the tier did meanwhile.

    Attributes:
        name: of its files.
        why: why there is nothing; "" if there is.
        run: what was measured, None if nothing was.
        tier: samples (:data:`runbook.facts.scaling.SAMPLE`), ``at`` in s since the beginning; None if it was not watched.
        about: the seconds and stages that ``tier`` belongs to: those of ``run``, or of the recorded run.
        replayed: of which recording ``tier`` is the replay; "" when it was seen now.
        objective: what counts as good. target: the autoscaler's.
    """

    name: str
    why: str = ""
    run: Run | None = None
    tier: pd.DataFrame | None = None
    about: dict[str, pd.DataFrame] = field(default_factory=dict)
    replayed: str = ""
    objective: Objective = Objective()
    target: float = 0

    def table(self) -> pd.DataFrame | Missing:
        """Its stages in figures."""
        return self._if(lambda: load.by_stage(self.run, settle=1).round(1))

    @property
    def knee(self) -> load.Knee | Missing:
        """The highest rate within the objective."""
        return self._if(lambda: load.knee(load.by_stage(self.run, settle=1), self.objective))

    def total(self, figure: str) -> float:
        """One of :func:`runbook.load.totals`; NaN where nothing was measured."""
        return load.totals(self.run)[figure] if self.run else float("nan")

    def lost(self) -> int:
        """Requests that failed or were dropped."""
        return int(self.total("failed")) if self.run else 0

    def served(self) -> bool:
        """Was 99 % of what was offered answered well, in every stage that kept the objective?"""
        stages = load.by_stage(self.run, settle=1)
        stages = stages[stages["good"] & (stages["requests"] > 0)]
        return bool(len(stages)) and bool((stages["achieved"] >= 0.99 * stages["offered"]).all())

    # -- drawn ---------------------------------------------------------------

    def offered_achieved(self) -> Drawing | Missing:
        return self._if(lambda: plots.offered_achieved(load.by_second(self.run), f"{self.name}-load", self.note))

    def latency(self) -> Drawing | Missing:
        return self._if(lambda: plots.latency(load.by_second(self.run), self.objective, f"{self.name}-latency", self.note))

    def failures(self) -> Drawing | Missing:
        return self._if(lambda: plots.failures(load.errors(self.run), load.by_second(self.run), f"{self.name}-failures", self.note))

    def knee_curve(self) -> Drawing | Missing:
        return self._if(lambda: plots.knee_curve(load.by_stage(self.run, settle=1), self.objective, self.knee, f"{self.name}-knee", self.note))

    def tier_with_load(self) -> Drawing | Missing:
        return self._if(lambda: plots.tier_with_load(
            self.about["seconds"], self.tier, self.objective, self.target, f"{self.name}-tier", self.replayed))

    @property
    def note(self) -> str:
        """At the foot of a graph of ``run``."""
        return "rehearsal: k6 for real, shortened, against a small server on the loopback" if self.replayed else ""

    def _if(self, make):
        return Missing(self.why) if self.why else make()


def measure(site, wanted: Load, name: str, stages, *, midway: Plan | None = None, watched: bool = True) -> Measured:
    """Send a load to the tier and watch it.

    Args:
        stages: of the parameters, or :func:`runbook.load.staircase`.
        midway: carried out after a quarter of the time, while the load runs.
        watched: look at the tier each second.

    Raises:
        LoadError: the target cannot be measured, the generator was the limit, or the tier could not be watched.
    """
    objective = Objective(**wanted.objective.model_dump())
    common = {"name": name, "objective": objective, "target": wanted.target}
    if site.mode == "plan":
        return Measured(why="plan mode: no load was sent", **common)
    stages = tuple(s if isinstance(s, Stage) else Stage(**s.model_dump()) for s in stages)
    if site.cluster.replayed:
        return _rehearse(site, wanted, stages, midway, common)
    scenario = Scenario(scaling.address(site, wanted), stages, wanted.paths, wanted.hosts, objective, wanted.timeout, wanted.most_waiting,
                        ca=wanted.ca)
    with facts.Watch(site, wanted.namespace, wanted.release) as watch, Midway(midway, scenario.seconds / 4):
        run = load.run(scenario)
    tier = watch.frame(run.began) if watched else None
    if watched and not len(tier):
        raise LoadError(f"the tier could not be watched: all {watch.missed} looks at it failed", do="see that metrics-server answers",
                        fix="90-diagnose")
    store(run, name)
    return Measured(run=run, tier=tier, about={"seconds": load.by_second(run), "stages": load.by_stage(run, settle=1)}, **common)


class Midway:
    """Carries a plan out a while after its ``with`` block began; what goes wrong is raised at its end."""

    def __init__(self, plan: Plan | None, after: float):
        self._plan, self._error = plan, None
        self._timer = threading.Timer(after, self._perform)

    def _perform(self) -> None:
        try:
            for change in self._plan or ():
                change.perform()
        except Exception as error:
            self._error = error

    def __enter__(self) -> "Midway":
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self._timer.cancel()
        self._timer.join(60)
        if self._error and kind is None:
            raise self._error


def store(run: Run, name: str) -> None:
    """Hand every request to the journal, so that each figure can be computed again: a CSV beside the report."""
    table = run.requests.assign(took=run.requests["took"].round(6), start=run.requests["start"].round(6))
    dropped = pd.DataFrame({"start": run.dropped["at"].round(6), "error": "dropped"})
    csv = pd.concat([table, dropped]).to_csv(index=False)
    emit("figure", {"name": f"{name}-requests", "alt": "", "csv": csv, "scenario": run.scenario.record(), "began": run.began,
                    "interrupted": run.interrupted, "machine": run.machine},
         f"{len(table)} requests measured, {len(dropped)} arrivals dropped; every one is in the report's data ({name}-requests).")


# -- the rehearsal -------------------------------------------------------------


def _rehearse(site, wanted: Load, stages, midway, common) -> Measured:
    """k6 for real against our own small server, each stage cut to 2 s; the tier of the recorded run of that name."""
    short = tuple(replace(s, seconds=min(s.seconds, 2)) for s in stages)
    with loopback.server(workers=2) as url:
        run = load.run(Scenario(url, short, REHEARSAL_PATHS, objective=common["objective"], timeout=5, new_connections=False))
    for change in midway or ():
        change.perform()
    store(run, common["name"])
    recorded = recording(common["name"])
    if recorded is None:
        return Measured(run=run, replayed="rehearsal: no recorded run of this", tier=None, **common)
    about, tier = recorded
    return Measured(run=run, tier=tier, about={k: about[k] for k in ("seconds", "stages")},
                    replayed=f"replayed from a run of {about['date']} on Kubernetes {about['version']}", **common)


def save_recording(site, measured: Measured, date: str, folder: Path | None = None) -> Path:
    """Keep what the tier did, for the rehearsal: ``<name>.json`` with samples, seconds and stages, date and cluster version."""
    path = Path(folder or str(RECORDINGS)) / f"{measured.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = {"tier": measured.tier, **measured.about}
    record = {"date": date, "version": site.version, **{k: json.loads(t.round(4).to_json(orient="split", index=False)) for k, t in tables.items()}}
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    return path


def recording(name: str, folder: Path | None = None) -> tuple[dict, pd.DataFrame] | None:
    """The recorded run of that name: (date, version, seconds and stages; samples); None if there is none."""
    path = Path(folder or str(RECORDINGS)) / f"{name}.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    tables = {k: pd.DataFrame(record[k]["data"], columns=record[k]["columns"]) for k in ("tier", "seconds", "stages")}
    return {"date": record["date"], "version": record["version"], **tables}, tables["tier"]
