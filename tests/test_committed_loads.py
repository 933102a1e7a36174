"""The committed runs of step 06: what they print and draw is computed again from the requests that they stored."""

import io
import json

import nbformat
import pandas as pd
import pytest

from runbook import load, paths
from runbook.load.result import Run
from runbook.load.scenario import from_record
from runbook.show import RECORD

STEP = "06-performance-and-autoscaling.ipynb"
FIGURE = RECORD.format("figure")
TESTS = ("wave", "staircase", "roll-out", "staircase-adopted")


def outputs(book, name):
    """Of one load test: the record of its requests, and the texts of the cell that shows it."""
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            record = output.get("data", {}).get(FIGURE, {})
            if record.get("name") == f"{name}-requests":
                return record, "\n".join(o["data"].get("text/plain", "") for o in cell.outputs if "data" in o)
    return None, ""


def loads():
    """Every load test of every run but the rehearsals, which are not committed and draw what is replayed: folder, name."""
    for path in sorted((paths.root() / "reports").glob(f"2*/{STEP}")):
        if json.loads((path.parent / "run.json").read_text(encoding="utf-8"))["target"] == "rehearsal":
            continue
        book = nbformat.read(path, as_version=4)
        yield from (pytest.param(book, name, id=f"{path.parent.name}-{name}") for name in TESTS if outputs(book, name)[0])


LOADS = list(loads())


def stored(record) -> Run:
    """The run as its CSV tells it."""
    table = pd.read_csv(io.StringIO(record["csv"]), dtype={"path": "str", "error": "str"}, keep_default_na=False)
    gone = table["error"] == "dropped"
    requests = table[~gone].assign(took=lambda t: t["took"].astype(float), status=lambda t: t["status"].astype(float).astype(int))
    nothing = pd.DataFrame({"at": [], "cores": []})
    return Run(from_record(record["scenario"]), requests, pd.DataFrame({"at": table["start"][gone]}), nothing, record["began"],
               record["interrupted"], record["machine"])


def drawn(book, name):
    """The data of a drawing, as the report holds it."""
    found = [o["data"][FIGURE] for c in book.cells for o in c.get("outputs", ()) if o.get("data", {}).get(FIGURE, {}).get("name") == name]
    return pd.read_csv(io.StringIO(found[0]["csv"])) if found else None


def test_there_are_some():
    assert {p.values[1] for p in LOADS} == set(TESTS)


@pytest.mark.parametrize("book, name", LOADS)
def test_what_is_drawn_comes_from_the_stored_requests(book, name):
    record, _ = outputs(book, name)
    run, compared = stored(record), 0
    seconds, stages = load.by_second(run), load.by_stage(run, settle=1)
    for drawing, again in ((f"{name}-load", seconds), (f"{name}-latency", seconds), (f"{name}-knee", stages)):
        table = drawn(book, drawing)
        if table is not None:
            compared += 1
            pd.testing.assert_frame_equal(table, again[list(table.columns)].reset_index(drop=True), check_dtype=False, atol=2e-3)
    tier = drawn(book, f"{name}-tier")
    if tier is not None:
        compared += 1
        beside = tier.dropna(subset=["offered"]).drop_duplicates("second").set_index("second")
        again = seconds.set_index("second").loc[beside.index]
        for column in ("offered", "achieved", "failed", "p95"):
            assert list(beside[column]) == pytest.approx(list(again[column]), abs=2e-3, nan_ok=True)
    both = drawn(book, "before-after")
    if both is not None and name in ("staircase", "staircase-adopted"):
        compared += 1
        when = "before" if name == "staircase" else "after"
        assert list(both[f"p95_{when}"]) == pytest.approx(list(stages["p95"]), abs=2e-3)
    assert compared


@pytest.mark.parametrize("book, name", LOADS)
def test_what_is_printed_comes_from_the_stored_requests(book, name):
    record, said = outputs(book, name)
    run = stored(record)
    assert f"{len(run.requests)} requests measured, {len(run.dropped)} arrivals dropped" in said
    printed = "\n".join("".join(o.get("data", {}).get("text/plain", "")) for c in book.cells for o in c.get("outputs", ()))
    knee = str(load.knee(load.by_stage(run, settle=1), run.scenario.objective))
    if name.startswith("staircase"):
        assert knee in printed
    if name in ("wave", "staircase"):
        table = load.by_stage(run, settle=1).round(1)
        for column in ("offered", "achieved", "p50", "p95", "p99", "max"):
            assert all(f"{value:.1f}" in said for value in table[column]), column
    failed = load.totals(run)["failed"]
    assert failed == 0 or f"{failed:.0f} of {len(run.requests) + len(run.dropped)} requests failed" in printed
