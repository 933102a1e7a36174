"""Knee, reaction and recommendation, by tables."""

import math

import pandas as pd
import pytest

from runbook import load
from runbook.load import Objective

OBJECTIVE = Objective(95, 400, 0.01)


def stages(*rows):
    return pd.DataFrame([{"stage": f"{rate}/s", "offered": float(rate), "requests": rate * 5, "failed": failed,
                          "failed_share": failed / (rate * 5), "p95": p95, "good": good, "queue": 7.2} for rate, p95, failed, good in rows])


@pytest.mark.parametrize("table, rate, beyond, words", [
    (stages((10, 50, 0, True), (20, 90, 0, True), (40, 900, 0, False)), 20, "40/s", "20 requests/s (40/s is too much: p95 900 ms)"),
    (stages((10, 50, 0, True), (20, 90, 0, True)), 20, "", "20 requests/s or more"),
    (stages((10, 900, 0, False), (20, 90, 0, True)), 0, "10/s", "not even 10/s is kept: p95 900 ms"),
    (stages((10, 50, 0, True), (20, 900, 0, False), (40, 50, 0, True)), 10, "20/s", "10 requests/s (20/s is too much: p95 900 ms)"),
    (stages((10, 50, 0, True), (20, 40, 0, False)), 10, "20/s", "10 requests/s (20/s is too much: its queue grew by 7 requests)"),
    (stages((10, 50, 0, True), (20, 40, 9, False)), 10, "20/s", "10 requests/s (20/s is too much: 9 of 100 failed)"),
])
def test_the_knee(table, rate, beyond, words):
    found = load.knee(table, OBJECTIVE)
    assert (found.rate, found.beyond, str(found)) == (rate, beyond, words)


def tier(*rows):
    return pd.DataFrame(rows, columns=["at", "wanted", "ready", "cpu_m"])


def seconds(p95):
    return pd.DataFrame({"second": range(len(p95)), "p95": p95, "failed": 0, "achieved": 10.0})


def test_the_reaction_to_a_step():
    samples = tier((0, 1, 1, 50), (5, 1, 1, 50), (12, 3, 1, 200), (18, 3, 2, 300), (20, 3, 3, 300), (40, 1, 3, 90), (55, 1, 1, 50))
    p95 = [50.0] * 5 + [900.0] * 15 + [60.0] * 15 + [50.0] * 25
    r = load.reaction(samples, seconds(p95), OBJECTIVE, step=5, end=35)
    assert (r.decided, r.ready, r.within, r.back, r.fewest, r.most) == (7, 15, 15, 20, 1, 3)


def test_what_did_not_come_is_not_a_number():
    r = load.reaction(tier((0, 1, 1, 50), (10, 1, 1, 60)), seconds([900.0] * 20), OBJECTIVE, step=5, end=15)
    assert all(math.isnan(x) for x in (r.decided, r.ready, r.within, r.back)) and (r.fewest, r.most) == (1, 1)


def test_one_quiet_second_in_between_is_not_within_the_objective():
    p95 = [50.0] * 5 + [900.0, 50.0, 50.0, 900.0, 50.0, 50.0, 50.0]
    assert load.reaction(tier((0, 1, 1, 9), (6, 2, 2, 9)), seconds(p95), OBJECTIVE, 5, 12).within == 4


def test_an_objective_that_was_never_left_needs_no_coming_back():
    assert load.reaction(tier((0, 1, 1, 9)), seconds([50.0] * 10), OBJECTIVE, 2, 9).within == 0


PLANNED = pd.DataFrame({"second": range(14), "planned": [2, 2, 6, 10, 14, 14, 14, 14, 14, 14, 20, 20, 2, 2]})


def test_the_window_and_the_steady_half_of_a_wave():
    assert load.window(PLANNED) == (2, 12)
    assert load.steady(PLANNED) == (7, 10)


def test_a_load_that_never_rose_has_no_window():
    flat = PLANNED.assign(planned=5)
    assert all(math.isnan(x) for x in (*load.window(flat), *load.steady(flat)))


def test_replicas_during_a_stage():
    table = pd.DataFrame({"stage": ["a", "b"], "from": [0, 10], "to": [9, 19]})
    samples = tier((0, 1, 1, 9), (5, 2, 2, 9), (12, 4, 3, 9), (30, 4, 4, 9))
    assert [load.replicas_at(samples, table, s) for s in ("a", "b", "none")] == [2, 3, 1]


def test_cpu_for_a_request():
    samples = tier((0, 1, 1, 100), (1, 1, 1, 300), (9, 1, 1, 999))
    assert load.cpu_per_request(samples.assign(measured=1), seconds([1.0] * 9), 0, 2) == 20
    assert load.cpu_per_request(samples.assign(measured=1, ready=2), seconds([1.0] * 9), 0, 2) == 40  # one of two pods is measured
    assert math.isnan(load.cpu_per_request(samples.assign(measured=0), seconds([1.0] * 9), 0, 2))


NOW = {"cpu_request_m": 100, "cpu_limit_m": 300, "memory_request_mib": 64, "memory_limit_mib": 128, "min": 1, "max": 4, "target": 60}
MEASURED = {"knee_rate": 40, "replicas": 2, "cpu_at_knee_m": 183, "memory_mib": 33, "peak": 100, "quiet": 5, "growth": 0.3, "room_m": 1500}


def recommended(**changes):
    return load.recommend(NOW, **{**MEASURED, **changes}).set_index("setting")["recommended"].to_dict()


def test_recommendations_follow_from_the_measurements():
    assert recommended() == {"cpu_request_m": 190, "cpu_limit_m": 380, "memory_request_mib": 40, "memory_limit_mib": 128,
                             "target": 75, "min": 1, "max": 7}


def test_no_more_replicas_than_fit_and_the_reason_says_so():
    assert recommended(room_m=400)["max"] == 2
    table = load.recommend(NOW, **{**MEASURED, "room_m": 400})
    assert "7 needed, 2 fit" in table.set_index("setting").loc["max", "because"]


def test_what_is_right_already_stays():
    now = recommended()
    again = load.recommend(now, **MEASURED)
    assert (again["now"] == again["recommended"]).all()
