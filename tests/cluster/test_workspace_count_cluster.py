"""How many workspaces a real cluster holds: the first refusal is reached, by the node and by a quota, and nothing is left.

Each asks for so much that the node refuses the third, and half of what one asks for stays free for others.
"""

import math
import os

import pytest

import runbook
from runbook import performance, plans
from runbook.facts import scaling

pytestmark = [pytest.mark.cluster, pytest.mark.long]
SMALL = {"storage": "64Mi", "home": "64Mi", "database": "128Mi", "memory": "64Mi", "timeout": 180}
FIT = 2  #: as many as the CPU is to be enough for


@pytest.fixture(scope="module")
def site():
    return runbook.connect("local", name="count", kubeconfig=os.environ["KUBECONFIG"], mode="apply")


def count(site, fleet, most, wave=2):
    """The prediction, and what came of trying."""
    predicted = performance.predict(site, fleet)
    wanted = runbook.section("load", {"workspaces_most": most, "workspaces_wave": wave})
    filled = performance.fill(site, fleet, wanted, lambda todo: plans.apply(todo, "apply"))
    print(predicted.to_string(), filled.table(predicted).to_string(), filled.advice(predicted).to_string(), sep="\n")
    return predicted, filled


def told(table):
    return table.set_index(table.columns[0])[table.columns[1]].to_dict()


def test_the_node_refuses_where_it_was_reckoned(site):
    free = scaling.room(site)["cpu_free_m"].max()
    sidecars = performance.predict(site, runbook.section("workspaces", SMALL | {"cpu": "1m"}))["one"].iloc[0] - 1
    cpu = math.floor(free / (FIT + 0.5) - sidecars)
    fleet = runbook.section("workspaces", SMALL | {"cpu": f"{cpu}m", "quota": {"cpu": "64", "memory": "64Gi", "storage": "1Ti"}})
    predicted, filled = count(site, fleet, FIT + 3)
    assert (predicted["together"] == FIT).all()
    found = told(filled.table(predicted))
    assert "is queued: " in filled.refusal and "Insufficient cpu" in filled.refusal
    assert found["workspaces that ran at once"] == FIT and found["ran against reckoned"] == "as reckoned"
    assert (filled.started["seconds"].dropna() > 0).all() and len(filled.used) == FIT
    assert (filled.used["idle_mib"] > 0).all() and (filled.used["active_m"] > filled.used["idle_m"]).any()
    assert told(filled.advice(predicted))["workspaces at most"] == FIT
    assert filled.time_to_ide().png() and filled.memory().png()
    nothing_is_left(site, filled)


def test_an_owners_quota_refuses_where_it_was_reckoned(site):
    fleet = runbook.section("workspaces", SMALL | {"cpu": "20m", "quota": {"cpu": "120m"}})  # two of 50m each
    predicted, filled = count(site, fleet, 3, wave=1)
    assert (predicted["together"] == 2).all()
    assert "exceeded quota: runbook" in filled.refusal and "requests.cpu" in filled.refusal
    assert told(filled.table(predicted))["ran against reckoned"] == "as reckoned"
    nothing_is_left(site, filled)


def nothing_is_left(site, filled):
    assert filled.left == ""
    mine = [n["metadata"]["name"] for n in site.cluster.list("Namespace") if n["metadata"]["name"].startswith("ws-loadtest")]
    claimed = [v["spec"].get("claimRef", {}).get("namespace", "") for v in site.cluster.list("PersistentVolume")]
    kept = [where for where in claimed if where.startswith("ws-loadtest")]
    assert not mine and not kept
