"""What a staircase and a wave of load mean for a tier, and what follows from it."""

from dataclasses import dataclass

import pandas as pd

from runbook import load, plots
from runbook.facts import scaling as facts
from runbook.operations import scaling
from runbook.params import Load
from runbook.performance.measured import Measured, Missing
from runbook.plots import Drawing


@dataclass(frozen=True)
class Findings:
    """What a staircase and a wave of load told of the tier (from the recorded runs where the tier was replayed)."""

    knee: load.Knee
    replicas: int
    each: float
    cost_m: float
    memory_mib: float
    reaction: load.Reaction
    replayed: str

    def table(self) -> pd.DataFrame:
        """One row a finding: ``finding``, ``value``, ``how``."""
        r = self.reaction
        rows = [
            ("knee", str(self.knee), f"highest rate within the objective, with {count(self.replicas, 'replica')} ready"),
            ("capacity of a replica", f"{self.each:.1f} requests/s", "knee by replicas"),
            ("CPU of a request", f"{self.cost_m:.1f} millicore-seconds", "CPU by good answers, in the steady half of the plateau"),
            ("memory of a replica", f"{self.memory_mib:.0f} MiB", "largest working set"),
            ("more replicas wanted", span(r.decided), "after the load rose"),
            (f"{r.most} replicas ready", span(r.ready), f"after the load rose; {r.fewest} before"),
            ("p95 within the objective again", span(r.within), "after the load rose, for 3 s on end; 0 s: it never left it"),
            (f"back at {count(r.fewest, 'replica')}", span(r.back), "after the load fell"),
            ("all of this", self.replayed or "measured now", "by the two loads above" if not self.replayed else "not by the loads above"),
        ]
        return pd.DataFrame(rows, columns=["finding", "value", "how"])


def findings(staircase: Measured, wave: Measured) -> Findings | Missing:
    """What the two measurements mean; missing where one of them is."""
    if staircase.why or wave.why or wave.tier is None or staircase.tier is None:
        return Missing(staircase.why or wave.why or staircase.replayed or wave.replayed or "the tier was not watched")
    stages, seconds = staircase.about["stages"], wave.about["seconds"]
    knee = load.knee(stages, staircase.objective)
    replicas = load.replicas_at(staircase.tier, stages, knee.stage)
    return Findings(
        knee, replicas, knee.rate / replicas, load.cpu_per_request(wave.tier, seconds, *load.steady(seconds)),
        float(wave.tier["memory_mib"].max()), wave.reaction, wave.replayed)


def recommend(site, wanted: Load, found: Findings | Missing) -> pd.DataFrame | Missing:
    """Requests, limits, replicas and target from the findings (:func:`runbook.load.recommend`)."""
    if isinstance(found, Missing):
        return found
    if not found.knee.rate:
        return Missing(f"no rate of the staircase kept the objective: {found.knee}; begin it lower")
    room = facts.room(site, without=wanted.namespace)["cpu_free_m"].clip(lower=0).sum()
    now = scaling.present(wanted)
    return load.recommend(now, knee_rate=found.knee.rate, replicas=found.replicas, cpu_at_knee_m=min(found.each * found.cost_m, now["cpu_limit_m"]),
                          memory_mib=found.memory_mib, peak=wanted.peak, quiet=wanted.rest, growth=wanted.growth, room_m=room)


def adopted(wanted: Load, recommended: pd.DataFrame | Missing) -> Load:
    """The parameters with the recommendation in them; as they are where there is none."""
    return wanted if isinstance(recommended, Missing) else scaling.adopt(wanted, recommended)


def compare(before: Measured, after: Measured) -> Drawing | Missing:
    """The two staircases side by side."""
    if before.why or after.why:
        return Missing(before.why or after.why)
    tables = [load.by_stage(m.run, settle=1) for m in (before, after)]
    return plots.before_after(*tables, before.objective, "before-after", before.note)


def span(seconds: float) -> str:
    """``12 s``, or that it did not come."""
    return f"{seconds:.0f} s" if seconds == seconds else "not within the test"


def count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
