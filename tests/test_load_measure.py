"""Known latencies fed through come back; every figure is recomputed from the stored data."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from runbook import load
from runbook.load import Objective, Scenario, Stage, staircase
from runbook.load.result import Run, in_flight, limit, percentile
from runbook.load.samples import Samples, kind

HERE = "http://127.0.0.1:30080"


def a_run(stages=(Stage("a", 2, 100),), took=0.02, errors=None, dropped=(), cpu=0.1, requests=None, **more):
    """A run whose requests arrive evenly, each ``took`` seconds; ``errors`` maps a row to its kind."""
    scenario = Scenario(HERE, stages, **more)
    if requests is None:
        start, clock = [], 0
        for stage in scenario.stages:
            start += [clock + i / stage.rate for i in range(stage.seconds * stage.rate)]
            clock += stage.seconds
        requests = pd.DataFrame({"start": start, "took": took, "path": "/", "status": 200, "error": ""})
    for row, what in (errors or {}).items():
        requests.loc[row, "error"] = what
    used = pd.DataFrame({"at": np.arange(scenario.seconds) + 1.0, "cores": float(cpu)})
    return Run(scenario, requests, pd.DataFrame({"at": list(dropped)}, dtype="float64"), used, 1.7e9, False, 2)


def k6_lines(rows, dropped=()):
    yield "metric_name,timestamp,metric_value,extra_tags,metadata\n"
    yield "runbook_began,1700000000000001,1700000000000.000000,,\n"
    for start, ms, path, status, code in rows:
        yield f"http_reqs,{1_700_000_000_000_000 + round((start + ms / 1000) * 1e6)},1.000000,,\n"
        yield f"runbook_took,{1_700_000_000_000_000 + round((start + ms / 1000) * 1e6)},{ms:.6f},error={code}&path={path}&status={status},\n"
    for at in dropped:
        yield f"dropped_iterations,{1_700_000_000_000_000 + round(at * 1e6)},1.000000,,\n"


def test_known_latencies_come_back():
    latencies = np.random.default_rng(8).permutation(np.arange(1, 201)).astype(float)  # 1 … 200 ms, each once
    samples = Samples(["/a", "/b"])
    samples.read(k6_lines([(i / 100, ms, i % 2, 200, 0) for i, ms in enumerate(latencies)]))
    requests, dropped, began = samples.frames()
    assert began == 1_700_000_000.0 and len(dropped) == 0
    np.testing.assert_allclose(requests["took"] * 1000, latencies, atol=1e-6)
    np.testing.assert_allclose(requests["start"], np.arange(200) / 100, atol=2e-6)
    assert list(requests["path"][:2]) == ["/a", "/b"]
    figures = load.totals(a_run(requests=requests))
    assert [round(figures[q], 6) for q in ("p50", "p95", "p99", "max")] == [100, 190, 198, 200]


def test_dropped_arrivals_and_failures_are_told_apart():
    samples = Samples(["/"])
    samples.read(k6_lines([(0.1, 5, 0, 200, 0), (0.2, 5, 0, 503, 1503), (0.3, 1000, 0, 0, 1050), (0.4, 1, 0, 0, 1212)], [0.5, 1.5]))
    requests, dropped, _ = samples.frames()
    run = a_run(stages=(Stage("a", 2, 3),), requests=requests, dropped=dropped["at"])
    assert list(requests["error"]) == ["", "status 503", "timeout", "connection refused"]
    kinds = load.errors(run).groupby("kind")["requests"].sum()
    assert kinds.to_dict() == {"status 503": 1, "timeout": 1, "connection refused": 1, "dropped: every place to wait was taken": 2}
    whole = load.totals(run)
    assert (whole["requests"], whole["failed"], whole["achieved"], whole["offered"]) == (6, 5, 0.5, 3.0)
    assert whole["max"] == pytest.approx(1000)  # a timeout counts with the time it waited


@pytest.mark.parametrize("status, code, words", [
    (200, 0, ""), (302, 0, ""), (404, 1404, "status 404"), (503, 1503, "status 503"), (0, 1050, "timeout"), (0, 1211, "timeout"),
    (0, 1212, "connection refused"), (0, 1220, "connection reset"), (0, 1101, "name not found"), (0, 1310, "TLS"), (0, 1311, "TLS"),
    (0, 1110, "address refused by us"), (0, 1000, "no answer"), (0, 0, "no answer"), (0, 1202, "connection broken"),
])
def test_kinds_of_failure(status, code, words):
    assert kind(status, code) == words


@pytest.mark.parametrize("values, q, is_", [([5], 50, 5), ([1, 2, 3, 4], 50, 2), (range(1, 101), 99, 99), (range(1, 101), 100, 100), ([], 99, None)])
def test_a_percentile_is_a_latency_that_occurred(values, q, is_):
    found = percentile(values, q)
    assert math.isnan(found) if is_ is None else found == is_


def test_second_by_second_adds_up_to_the_total():
    run = a_run(stages=(Stage("quiet", 2, 10), Stage("up", 2, 40)), took=0.3, errors={3: "timeout", 50: "status 500"}, dropped=[2.5, 2.6])
    table, whole = load.by_second(run), load.totals(run)
    assert list(table["second"]) == [0, 1, 2, 3] and list(table["stage"]) == ["quiet", "quiet", "up", "up"]
    assert list(table["planned"]) == [10, 10, 40, 40]
    assert list(table["offered"]) == [10, 10, 42, 40]
    assert table["failed"].sum() == whole["failed"] == 4 and table["dropped"].sum() == 2
    assert list(table["achieved"]) == [6, 10, 31, 39]  # answers come back 0.3 s later; two failed
    assert table["in_flight"].iloc[1] == 3


def test_an_answer_in_the_last_instant_of_a_second_belongs_to_the_next():
    run = a_run(stages=(Stage("a", 2, 1),), took=1.0)
    assert list(load.by_second(run)["achieved"]) == [0, 1]


def test_an_arrival_that_started_a_moment_after_the_end_is_counted():
    late = pd.DataFrame({"start": [0.0, 0.5, 1.0, 2.0004], "took": 0.01, "path": "/", "status": [200, 200, 200, 503], "error": ["", "", "", "status 503"]})
    run = a_run(stages=(Stage("a", 2, 2),), requests=late)
    assert load.by_second(run)["offered"].sum() == load.by_stage(run)["requests"].sum() == load.totals(run)["requests"] == 4
    assert list(load.errors(run)["second"]) == [1]


def test_stages_are_judged_without_their_first_moments():
    run = a_run(stages=staircase([10, 20], 2))
    run.requests.loc[run.requests["start"].between(2, 2.4), "took"] = 5.0
    assert list(load.by_stage(run)["good"]) == [True, False]
    assert list(load.by_stage(run, settle=0.5)["good"]) == [True, True]
    assert list(load.by_stage(run, settle=0.5)["planned"]) == [10, 20]


def test_a_stage_whose_queue_grows_is_not_good_though_its_latency_is():
    run = a_run(stages=staircase([10, 40], 4), objective=Objective(95, 2000))
    run.requests.loc[run.requests["start"] >= 4, "took"] = (run.requests["start"] - 4) / 4  # 0 … 1 s: it falls behind
    table = load.by_stage(run)
    assert list(table["good"]) == [True, False] and table["p95"].iloc[1] < 2000
    assert 20 < table["queue"].iloc[1] < 40 and abs(table["queue"].iloc[0]) < 1


def test_every_figure_is_the_same_from_the_stored_data(tmp_path):
    run = a_run(stages=staircase([10, 40], 3), took=0.1234567, errors={5: "timeout"}, dropped=[4.2])
    again = load.read(run.save(tmp_path / "run"))
    assert again.scenario == run.scenario and again.began == run.began
    assert load.totals(again) == load.totals(run)
    for table in (load.by_second, load.by_stage, load.errors):
        pd.testing.assert_frame_equal(table(again), table(run), check_dtype=False)
    json.loads((tmp_path / "run" / "run.json").read_text())


def test_a_run_without_a_failure_has_no_errors():
    assert load.errors(a_run()).empty and load.totals(a_run())["failed"] == 0


def test_in_flight():
    requests = pd.DataFrame({"start": [0.0, 0.5, 1.0], "took": [1.0, 1.0, 0.1]})
    assert list(in_flight(requests, pd.Series([0.0, 0.7, 1.2, 2.0]))) == [1, 2, 1, 0]


SLOW = {"took": 0.9, "dropped": [1.1, 1.2, 1.9], "objective": Objective(95, 500)}


@pytest.mark.parametrize("run, says", [
    (a_run(), ""),
    (a_run(took=0.9), ""),                                                                  # slow, and nothing lost
    (a_run(**SLOW, most_waiting=90), ""),                                                   # the target is the limit: drawn
    (a_run(**SLOW, most_waiting=200), "90 of its 200 places"),                              # dropped with places left
    (a_run(took=0.4, dropped=[1.1], most_waiting=40), "40 places to wait are too few"),     # dropped while answers were quick
    (a_run(stages=(Stage("a", 2, 100),), requests=a_run().requests[:170]), "170 of 200 planned"),
    (a_run(stages=(Stage("a", 2, 100),), requests=a_run().requests[:180]), ""),                # the last ones were due at the very end
    (a_run(stages=(Stage("a", 4, 10),), cpu=1.9), "1.9 of the machine's 2 cores"),
    (a_run(stages=(Stage("a", 4, 10),), cpu=1.7), ""),
])
def test_when_the_generator_was_the_limit(run, says):
    assert (says in limit(run)) if says else limit(run) == ""
