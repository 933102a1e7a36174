"""How many workspaces fit: what is reckoned, and what the count says of what it saw."""

import pandas as pd
import pytest

import runbook
from runbook.performance import Filled, workspaces

ROWS = [("cpu", 330.0, 3000.0, 9, 9), ("memory", 400.0, 9999.0, 24, 9), ("pods", 1.0, 90.0, 90, 9),
        (workspaces.QUOTA, 1.0, 3.0, 3, 9)]
PREDICTED = pd.DataFrame(ROWS, columns=["what", "one", "free", "fit", "together"])
STARTED = pd.DataFrame({"workspace": ["a/w1", "a/w2", "b/w3"], "wave": [1, 1, 2], "seconds": [6.0, 8.0, None]}).astype({"seconds": "float64"})
USED = pd.DataFrame({"workspace": ["a/w1", "a/w2"], "idle_mib": [150.0, 151], "active_mib": [160.0, 200], "request_mib": 400.0, "idle_m": [5.0, 5],
                     "active_m": [180.0, 190]})
MIB = 2**20


def told(table):
    return table.set_index(table.columns[0])[table.columns[1]].to_dict()


def test_what_was_found():
    found = told(Filled(started=STARTED, used=USED, refusal="b/w3 is queued: 1 Insufficient cpu.").table(PREDICTED))
    assert found["workspaces that ran at once"] == 2 and "Insufficient cpu" in found["first refusal"]
    assert (found["time to IDE, p50"], found["time to IDE, p95"]) == ("6.0 s", "8.0 s")
    assert found["one workspace active, median"] == "180 MiB, 185 millicores"


@pytest.mark.parametrize("refusal, together, reckoned, against", [
    ("1 Insufficient cpu", 2, "2, by cpu", "as reckoned"), ("1 Insufficient cpu", 9, "9, by cpu", "-7"),
    ("1 Insufficient cpu", 1, "1, by cpu", "+1"), ("", 9, "9, by cpu", "not reached: more were not tried")])
def test_the_reckoning_stands_beside_what_ran(refusal, together, reckoned, against):
    predicted = PREDICTED.assign(together=together, fit=[together, 24, 90, 30])
    found = told(Filled(started=STARTED, used=USED, refusal=refusal).table(predicted))
    assert (found["reckoned beforehand"], found["ran against reckoned"]) == (reckoned, against)


@pytest.mark.parametrize("quota, let_in", [
    ({}, 3), ({"cpu": "160m"}, 2), ({"cpu": "159m"}, 1), ({"memory": "400Mi"}, 1), ({"storage": "8Gi"}, 2), ({"workspaces": 1}, 1),
    ({"cpu": "79m"}, 0)])
def test_what_one_owners_quota_lets_in(quota, let_in):
    fleet = runbook.section("workspaces", {"quota": quota})
    assert workspaces._by_quota(fleet, {"cpu": 0.08, "memory": 400 * MIB}) == let_in


@pytest.mark.parametrize("refusal, started, most", [
    ("queued", STARTED, 2),            # it refused before the reckoning did: believe it
    ("", STARTED.iloc[:2], 9),         # nothing was refused: the reckoning holds until it is tried
    ("queued", pd.concat([STARTED.iloc[:2]] * 6), 9),
])
def test_the_maximum_is_the_smaller_of_what_was_reckoned_and_what_was_refused(refusal, started, most):
    advice = told(Filled(started=started, used=USED, refusal=refusal, each=3).advice(PREDICTED))
    assert advice["workspaces at most"] == most and advice["memory of one, all containers (MiB)"] == 240
    each = min(most, 3)
    assert (advice["quota of an owner, workspaces"], advice["quota of an owner, CPU (millicores)"]) == (each, each * 330)


def test_where_nothing_came_up_the_reason_stands():
    nothing = Filled(started=STARTED.iloc[2:], refusal="exceeded quota: runbook")
    assert "exceeded quota" in repr(nothing.time_to_ide()) and "no workspace ran" in repr(nothing.memory())
    assert "time to IDE, p50" not in told(nothing.table(PREDICTED))
    assert told(nothing.advice(PREDICTED))["workspaces at most"] == 0


def test_what_metrics_server_did_not_measure_is_not_drawn():
    unmeasured = USED.assign(idle_mib=float("nan"), active_mib=float("nan"))
    assert "no workspace ran" in repr(Filled(started=STARTED, used=unmeasured).memory())
    assert Filled(started=STARTED, used=USED.assign(idle_mib=[float("nan"), 150])).memory().png()
