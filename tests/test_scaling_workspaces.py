"""How many workspaces fit: what the count says of what it saw."""

import pandas as pd
import pytest

from runbook.performance import Filled

PREDICTED = pd.DataFrame({"what": ["cpu"], "together": [9]})
STARTED = pd.DataFrame({"workspace": ["a/w1", "a/w2", "b/w3"], "wave": [1, 1, 2], "seconds": [6.0, 8.0, None]}).astype({"seconds": "float64"})
USED = pd.DataFrame({"workspace": ["a/w1", "a/w2"], "idle_mib": [150.0, 151], "active_mib": [160.0, 200], "request_mib": 400.0, "idle_m": [5.0, 5],
                     "active_m": [180.0, 190]})


def told(table):
    return table.set_index(table.columns[0])[table.columns[1]].to_dict()


def test_what_was_found():
    found = told(Filled(started=STARTED, used=USED, refusal="b/w3 is queued: 1 Insufficient cpu.").table())
    assert found["workspaces that ran at once"] == 2 and "Insufficient cpu" in found["first refusal"]
    assert (found["time to IDE, p50"], found["time to IDE, p95"]) == ("6.0 s", "8.0 s")
    assert found["one workspace active, median"] == "180 MiB, 185 millicores"


@pytest.mark.parametrize("refusal, started, most", [
    ("queued", STARTED, 2),            # it refused before the reckoning did: believe it
    ("", STARTED.iloc[:2], 9),         # nothing was refused: the reckoning holds until it is tried
    ("queued", pd.concat([STARTED.iloc[:2]] * 6), 9),
])
def test_the_maximum_is_the_smaller_of_what_was_reckoned_and_what_was_refused(refusal, started, most):
    advice = told(Filled(started=started, used=USED, refusal=refusal).advice(PREDICTED))
    assert advice["workspaces at most"] == most and advice["memory of one, all containers (MiB)"] == 240


def test_where_nothing_came_up_the_reason_stands():
    nothing = Filled(started=STARTED.iloc[2:], refusal="exceeded quota: runbook")
    assert "exceeded quota" in repr(nothing.time_to_ide()) and "no workspace ran" in repr(nothing.memory())
    assert "time to IDE, p50" not in told(nothing.table())
    assert told(nothing.advice(PREDICTED)) == {"workspaces at most": 0}


def test_what_metrics_server_did_not_measure_is_not_drawn():
    unmeasured = USED.assign(idle_mib=float("nan"), active_mib=float("nan"))
    assert "no workspace ran" in repr(Filled(started=STARTED, used=unmeasured).memory())
    assert Filled(started=STARTED, used=USED.assign(idle_mib=[float("nan"), 150])).memory().png()
