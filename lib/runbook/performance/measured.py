"""A load test of a site's tier: sent, watched, drawn."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from runbook import load, plots
from runbook.errors import LoadError
from runbook.facts import scaling as facts
from runbook.load import Objective, Run, Scenario, Stage
from runbook.operations import scaling
from runbook.params import Load
from runbook.performance import recorded
from runbook.plots import Drawing
from runbook.show import emit


#: Of the stages' table, what is shown, and its headings with units.
COLUMNS = {"stage": "stage", "from": "from (s)", "offered": "offered/s", "achieved": "achieved/s", "requests": "requests", "failed": "failed",
           "p50": "p50 ms", "p95": "p95 ms", "p99": "p99 ms", "max": "max ms", "queue": "queue", "good": "good"}


@dataclass(frozen=True)
class Missing:
    """What stands where a graph or table would: why there is none."""

    why: str

    def table(self) -> "Missing":
        return self

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
        """Its stages in figures, as many columns as a page holds."""
        return self._if(lambda: load.by_stage(self.run, settle=1).round(1)[list(COLUMNS)].rename(columns=COLUMNS))

    @property
    def knee(self) -> load.Knee | Missing:
        """The highest rate within the objective."""
        return self._if(lambda: load.knee(load.by_stage(self.run, settle=1), self.objective))

    def total(self, figure: str) -> float:
        """One of :func:`runbook.load.totals`; NaN where nothing was measured."""
        return load.totals(self.run)[figure] if self.run else float("nan")

    @property
    def reaction(self) -> load.Reaction | Missing:
        """How the tier followed (in the recorded run, where it was replayed)."""
        if self.tier is None:
            return Missing(self.why or self.replayed)
        return load.reaction(self.tier, self.about["seconds"], self.objective, *load.window(self.about["seconds"]))

    @property
    def obstacles(self) -> str:
        """Why wanted replicas did not come, each reason once; "" if nothing stood in the way."""
        return "" if self.tier is None else "; ".join(filter(None, self.tier["obstacle"].unique()))

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

    def tier_with_load(self, title: str = "The tier follows the load") -> Drawing | Missing:
        if self.tier is None and not self.why:
            return Missing(self.replayed)
        return self._if(lambda: plots.tier_with_load(
            self.about["seconds"], self.tier, self.objective, self.target, f"{self.name}-tier", self.replayed, title))

    @property
    def note(self) -> str:
        """At the foot of a graph of ``run``."""
        return "rehearsal: k6 for real, shortened, against a small server on the loopback" if self.replayed else ""

    def _if(self, make):
        return Missing(self.why) if self.why else make()


def measure(site, wanted: Load, name: str, stages, *, midway: Callable | None = None) -> Measured:
    """Send a load to the tier and look at it each second.

    Args:
        stages: of the parameters, or :func:`runbook.load.staircase`.
        midway: called after a quarter of the time, while the load runs.

    Raises:
        LoadError: the target cannot be measured, the generator was the limit, or the tier could not be watched.
    """
    objective = Objective(**wanted.objective.model_dump())
    common = {"name": name, "objective": objective, "target": wanted.target}
    absent = site.needs(site.cluster, "01-install-k3s") or site.shown()
    if absent:
        return Measured(why=absent, **common)
    stages = tuple(s if isinstance(s, Stage) else Stage(**s.model_dump()) for s in stages)
    if site.cluster.replayed:
        run = recorded.rehearse(stages, objective)
        (midway or int)()
        store(run, name)
        return Measured(run=run, **recorded.tier(name), **common)
    scenario = Scenario(scaling.address(site, wanted), stages, wanted.paths, wanted.hosts, objective, wanted.timeout, wanted.most_waiting,
                        ca=wanted.ca)
    with facts.Watch(site, wanted.namespace, wanted.release) as watch, Midway(midway, scenario.seconds / 4):
        run = load.run(scenario)
    tier = watch.frame(run.began)
    if not len(tier):
        raise LoadError(f"the tier could not be watched: all {watch.missed} looks at it failed", do="see that metrics-server answers",
                        fix="90-diagnose")
    store(run, name)
    measured = Measured(run=run, tier=tier, about={"seconds": load.by_second(run), "stages": load.by_stage(run, settle=1)}, **common)
    if os.environ.get("RUNBOOK_RECORD"):
        recorded.save(measured, site.version, Path(os.environ["RUNBOOK_RECORD"]).parent)
    return measured


def again(site, wanted: Load, name: str, stages) -> Measured:
    """The same as :func:`measure` after the recommendation was adopted; nothing if it was not."""
    if not wanted.adopt:
        return Measured(name, why="load.adopt is false: the recommendation was not applied")
    return measure(site, wanted, name, stages)


class Midway:
    """Calls something a while after its ``with`` block began; what goes wrong there is raised at the block's end."""

    def __init__(self, call: Callable | None, after: float):
        self._call, self._error = call, None
        self._timer = threading.Timer(after, self._perform)
        self._timer.daemon = True

    def _perform(self) -> None:
        try:
            self._call()
        except Exception as error:
            self._error = error

    def __enter__(self) -> "Midway":
        if self._call:
            self._timer.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self._timer.cancel()
        if self._call:
            self._timer.join(120)
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
