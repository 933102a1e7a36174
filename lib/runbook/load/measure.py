"""A run in figures: second by second, by stage, in total. Pure functions on DataFrames; nothing is estimated from averages."""

import numpy as np
import pandas as pd

from runbook.load.result import Run, in_flight, percentile, waited
from runbook.load.scenario import arrivals, stage_at

QUANTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
DROPPED = "dropped: every place to wait was taken"


def figures(requests: pd.DataFrame, dropped: int, planned: float, seconds: float) -> dict:
    """The figures of a set of requests that arrived within ``seconds``.

    Returns:
        ``planned``, ``offered`` (started and dropped), ``achieved`` (answered well), all per second; ``requests``, ``failed`` (dropped
        ones too) as counts, ``failed_share`` (0–1); ``p50``, ``p95``, ``p99``, ``max`` in ms.
    """
    good, offered, late = int((requests["error"] == "").sum()), len(requests) + dropped, waited(requests)
    return {
        "planned": planned / seconds, "offered": offered / seconds, "achieved": good / seconds, "requests": offered,
        "failed": offered - good, "failed_share": (offered - good) / offered if offered else float("nan"),
        **{name: percentile(late, q) for name, q in QUANTILES.items()},
    }


def totals(run: Run) -> dict:
    """The figures of the whole run (see :func:`figures`), with ``seconds``; ``dropped`` arrivals; ``generator_cores`` in use at most."""
    seconds = length(run)
    whole = figures(run.requests, len(run.dropped), arrivals(run.scenario.stages, seconds), seconds)
    return {"seconds": seconds, **whole, "dropped": len(run.dropped), "generator_cores": float(run.cpu["cores"].max())}


def length(run: Run) -> float:
    """Seconds that were measured: the scenario's, or until the last request of an interrupted run."""
    return float(run.requests["start"].max()) if run.interrupted else float(run.scenario.seconds)


def whole(at: pd.Series, run: Run) -> pd.Series:
    """The second that each instant lies in; an arrival of the last instant that started a moment late belongs to the last second."""
    return at.astype(int).clip(upper=max(0, int(np.ceil(length(run))) - 1))


def by_second(run: Run) -> pd.DataFrame:
    """One row for each second of the run, counted by when a request arrived.

    Columns: ``second``, ``stage``; ``planned``, ``offered``, ``achieved`` (good answers that *came back* in that second), ``failed``,
    ``dropped`` (counts of a second, so: per second); ``p50``, ``p95``, ``p99``, ``max`` (ms); ``in_flight`` (requests waiting, mid-second).
    """
    seconds = range(int(np.ceil(length(run))))
    requests = run.requests.assign(second=whole(run.requests["start"], run))
    good = requests[requests["error"] == ""]
    back = (good["start"] + good["took"]).astype(int).value_counts()
    lost = whole(run.dropped["at"], run).value_counts()
    groups = dict(tuple(requests.groupby("second")))
    rows = []
    for second in seconds:
        stages = run.scenario.stages
        planned = arrivals(stages, second + 1) - arrivals(stages, second)
        f = figures(groups.get(second, requests.iloc[:0]), int(lost.get(second, 0)), planned, 1)
        rows.append({"second": second, "stage": stage_at(stages, second), "planned": f["planned"], "offered": f["offered"],
                     "achieved": int(back.get(second, 0)), "failed": f["failed"], "dropped": int(lost.get(second, 0)),
                     **{name: f[name] for name in QUANTILES}})
    table = pd.DataFrame(rows)
    return table.assign(in_flight=in_flight(run.requests, table["second"] + 0.5).to_numpy())


def by_stage(run: Run, settle: float = 0) -> pd.DataFrame:
    """One row for each stage; the first ``settle`` seconds of each are left out, for queues of the stage before to drain.

    Columns: ``stage``, ``from``, ``to`` (s), those of :func:`figures`, ``queue`` (by how many the waiting requests grew from its first
    to its last quarter), and ``good``: it kept the objective, and its queue did not grow. A short stage above the capacity may still keep
    the latency; its queue tells.
    """
    rows, clock = [], 0
    for stage in run.scenario.stages:
        begin, end = clock + min(settle, stage.seconds - 1), clock + stage.seconds
        clock = end
        until = float("inf") if clock == run.scenario.seconds else end
        inside = run.requests[run.requests["start"].between(begin, until, inclusive="left")]
        lost = int(run.dropped["at"].between(begin, until, inclusive="left").sum())
        planned = arrivals(run.scenario.stages, end) - arrivals(run.scenario.stages, begin)
        row = {**figures(inside, lost, planned, end - begin), "queue": queue_growth(run.requests, begin, end)}
        rows.append({"stage": stage.name, "from": begin, "to": end, **row, "good": good(row, inside, run.scenario.objective)})
    return pd.DataFrame(rows)


def queue_growth(requests: pd.DataFrame, begin: float, end: float) -> float:
    """By how many the requests that wait at once grew: the mean of the last quarter of a time less that of the first."""
    quarter = np.linspace(0, (end - begin) / 4, 20)
    first, last = (float(in_flight(requests, pd.Series(at)).mean()) for at in (begin + quarter, end - quarter))
    return last - first


def grew(row) -> bool:
    """Did the queue of a stage grow by more than 2 requests and 5 % of what was offered?"""
    return row["queue"] > max(2.0, 0.05 * row["requests"])


def good(row: dict, requests: pd.DataFrame, objective) -> bool:
    """Do these figures keep the objective, without a growing queue? Nothing offered keeps it."""
    if not row["requests"]:
        return True
    late = percentile(waited(requests), objective.percentile)
    return bool(late <= objective.under_ms and row["failed_share"] <= objective.errors and not grew(row))


def errors(run: Run) -> pd.DataFrame:
    """Failures by kind: ``second``, ``kind``, ``requests``; only seconds with failures. Dropped arrivals are a kind too."""
    failed = run.requests[run.requests["error"] != ""]
    rows = pd.concat([
        pd.DataFrame({"second": whole(failed["start"], run), "kind": failed["error"]}),
        pd.DataFrame({"second": whole(run.dropped["at"], run), "kind": DROPPED}),
    ])
    return rows.value_counts(["second", "kind"]).rename("requests").reset_index().sort_values(["second", "kind"], ignore_index=True)
