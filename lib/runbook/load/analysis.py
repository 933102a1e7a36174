"""What the figures mean: knee, capacity of a replica, time to capacity and back. Pure functions on DataFrames."""

import math
from dataclasses import dataclass

import pandas as pd

from runbook.load.scenario import Objective


@dataclass(frozen=True, repr=False)
class Knee:
    """The highest offered rate within the objective, without a growing queue.

    Attributes:
        rate: requests a second; 0 when even the lowest rate was too much.
        stage: its stage, "" if none.
        beyond: the first stage that was too much, "" when none was: the knee then lies at ``rate`` or higher.
        why: what the first stage beyond it broke.
    """

    rate: float
    stage: str
    beyond: str
    why: str

    def __str__(self) -> str:
        if not self.stage:
            return f"not even {self.beyond} is kept: {self.why}"
        return f"{self.rate:.0f} requests/s" + (f" ({self.beyond} is too much: {self.why})" if self.beyond else " or more")

    __repr__ = __str__


def knee(stages: pd.DataFrame, objective: Objective) -> Knee:
    """The knee of a staircase (:func:`runbook.load.by_stage`, rising rates): the last stage before the first that is not good.

    A higher stage that happens to be good again does not count.
    """
    rate, stage = 0.0, ""
    for row in stages.itertuples():
        if not row.good:
            return Knee(rate, stage, row.stage, broke(row, objective))
        rate, stage = row.offered, row.stage
    return Knee(rate, stage, "", "")


def broke(row, objective: Objective) -> str:
    """Which part of the objective a stage broke, with its figures."""
    if row.failed_share > objective.errors:
        return f"{row.failed} of {row.requests} failed"
    # the table holds p50, p95, p99; of another percentile it can only be said that it is over
    late = getattr(row, f"p{objective.percentile:g}", None)
    if late is not None and late <= objective.under_ms:
        return f"its queue grew by {row.queue:.0f} requests"
    return f"p{objective.percentile:g} " + (f"{late:.0f} ms" if late is not None else f"over {objective.under_ms:g} ms")


@dataclass(frozen=True)
class Reaction:
    """How the tier followed a step of the load; seconds since the step, NaN for what did not come.

    Attributes:
        decided: until more replicas were wanted.
        ready: until as many were ready as were at most.
        within: until p95 was within the objective again, for 3 seconds on end, after it had first left it; 0 if it never did.
        back: from the end of the load until the ready replicas were as few as before.
        most: ready replicas at most. fewest: before the step.
    """

    decided: float
    ready: float
    within: float
    back: float
    fewest: int
    most: int


def reaction(tier: pd.DataFrame, seconds: pd.DataFrame, objective: Objective, step: float, end: float) -> Reaction:
    """How the tier followed the load.

    Args:
        tier: samples, columns ``at`` (s since the run began), ``wanted``, ``ready`` (replicas).
        seconds: :func:`runbook.load.by_second` of the run.
        objective: of the run.
        step: when the load rose, s since the run began.
        end: when it fell again.
    """
    before = tier[tier["at"] <= step]
    fewest = int((before if len(before) else tier)["ready"].iloc[-1 if len(before) else 0])
    wanted0 = int((before if len(before) else tier)["wanted"].iloc[-1 if len(before) else 0])
    after = tier[tier["at"] > step]
    most = int(tier["ready"].max())
    calm = (seconds["p95"] <= objective.under_ms) & (seconds["failed"] == 0)
    lasting = calm & calm.shift(-1, fill_value=True) & calm.shift(-2, fill_value=True)
    loaded = seconds["second"].between(step, end, inclusive="left")
    broken = first(seconds[loaded & ~calm]["second"])
    again = first(seconds[loaded & lasting & (seconds["second"] > broken)]["second"])
    return Reaction(
        decided=first(after[after["wanted"] > wanted0]["at"]) - step,
        ready=(first(after[after["ready"] >= most]["at"]) - step) if most > fewest else math.nan,
        within=0.0 if math.isnan(broken) else again - step,
        back=first(tier[(tier["at"] > end) & (tier["ready"] <= fewest)]["at"]) - end,
        fewest=fewest, most=most)


def first(values: pd.Series) -> float:
    """The first value, NaN if there is none."""
    return float(values.iloc[0]) if len(values) else math.nan


def window(seconds: pd.DataFrame) -> tuple[float, float]:
    """When the planned load rose above that of the first second, and when it fell back for good; seconds of the run."""
    high = seconds[seconds["planned"] > seconds["planned"].iloc[0] + 0.5]["second"]
    return (float(high.iloc[0]), float(high.iloc[-1]) + 1) if len(high) else (math.nan, math.nan)


def steady(seconds: pd.DataFrame) -> tuple[float, float]:
    """The second half of the longest stretch of one planned rate above the first: there the tier has followed, if it can."""
    step, end = window(seconds)
    inside = seconds[seconds["second"].between(step, end, inclusive="left")]
    runs = inside.groupby((inside["planned"].diff().abs() > 1e-6).cumsum())["second"].agg(["min", "max"])
    if not len(runs):
        return math.nan, math.nan
    longest = runs.loc[(runs["max"] - runs["min"]).idxmax()]
    return (longest["min"] + longest["max"] + 1) / 2, float(longest["max"]) + 1


def replicas_at(tier: pd.DataFrame, stages: pd.DataFrame, stage: str) -> int:
    """The most replicas that were ready during a stage, at least 1."""
    row = stages[stages["stage"] == stage]
    inside = tier[tier["at"].between(row["from"].min(), row["to"].max())] if len(row) else tier.iloc[:0]
    return max(1, int(inside["ready"].max())) if len(inside) else 1


def cpu_per_request(tier: pd.DataFrame, seconds: pd.DataFrame, begin: float, end: float) -> float:
    """Millicore-seconds that the tier used for each good answer between two seconds of a run; NaN without samples.

    A pod that is new is ready before it is measured: the mean of those that are measured stands for it.

    Args:
        tier: samples with ``at`` (s since the run began), ``cpu_m`` (millicores of the measured pods), ``measured`` and ``ready`` (pods).
        seconds: :func:`runbook.load.by_second`.
    """
    inside = tier[tier["at"].between(begin, end) & (tier["measured"] > 0)]
    use = (inside["cpu_m"] / inside["measured"] * inside["ready"]).mean()
    rate = seconds[seconds["second"].between(begin, end, inclusive="left")]["achieved"].mean()
    return float(use / rate) if rate else math.nan


def recommend(now: dict, *, knee_rate: float, replicas: int, cpu_at_knee_m: float, memory_mib: float, peak: float, quiet: float,
              growth: float, room_m: float) -> pd.DataFrame:
    """Requests, limits, replicas and target from what was measured.

    Args:
        now: the present values: ``cpu_request_m``, ``cpu_limit_m``, ``memory_request_mib``, ``memory_limit_mib``, ``min``, ``max``, ``target``.
        knee_rate: requests/s that ``replicas`` replicas answered within the objective.
        cpu_at_knee_m: millicores that one replica used then.
        memory_mib: the largest working set of a replica.
        peak, quiet: requests/s expected at most, and at rest.
        growth: by how much the load may grow while new replicas come (0.3: 30 %).
        room_m: millicores that the nodes have for this tier: allocatable less what others request.

    Returns:
        One row a setting: ``setting``, ``now``, ``recommended``, ``because``.
    """
    each = knee_rate / replicas
    request = math.ceil(cpu_at_knee_m / 10) * 10
    target = max(10, 5 * math.floor(100 / (1 + growth) / 5))
    carries = each * target / 100
    fits = max(1, math.floor(room_m / request))
    fewest = min(fits, max(1, math.ceil(quiet / carries)))
    needed = math.ceil(peak / carries)
    most = min(fits, max(fewest, needed))
    memory = math.ceil(memory_mib * 1.2 / 8) * 8
    rows = [
        ("cpu_request_m", request, f"one replica used {cpu_at_knee_m:.0f} m at the knee: 100 % is its capacity"),
        ("cpu_limit_m", max(now["cpu_limit_m"], 2 * request), "twice the request, not lowered: a burst is absorbed, and a limit at "
         "the request would slow requests down before the autoscaler sees them"),
        ("memory_request_mib", memory, f"the largest working set was {memory_mib:.0f} MiB; 20 % on top"),
        ("memory_limit_mib", max(2 * memory, now["memory_limit_mib"]), "twice the request, not lowered: memory cannot be throttled"),
        ("target", target, f"room for {growth:.0%} more load while replicas start"),
        ("min", fewest, f"{quiet:g}/s at rest, {carries:.1f}/s a replica at the target"),
        ("max", most, f"{peak:g}/s at most, {carries:.1f}/s a replica: {needed} needed, {fits} fit on the nodes"),
    ]
    return pd.DataFrame([(name, now[name], value, why) for name, value, why in rows], columns=["setting", "now", "recommended", "because"])
