"""Fifty workspaces that run: their URLs and ways at as many API calls as two have, and everybody let in or refused as should be.

Each is an IDE and nothing else, so that a small machine carries them; it is loaded for minutes all the same.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import ingress_kit as kit
import pytest
import workspaces_kit
from dns_kit import dns
from ingress_kit import DOMAIN, LOCAL, NAMESPACE

import runbook
from runbook import apply, plots
from runbook.facts import ingress as facts
from runbook.facts import request_path as rp
from runbook.facts import workspaces
from runbook.operations.ingress import ensure_ingress, undo
from runbook.operations.settle import settle
from runbook.paths import charts
from runbook.workspaces import chart_values, namespace, new_secret, owner_objects

pytestmark = [pytest.mark.cluster, pytest.mark.long]
COUNT, EACH = int(os.environ.get("RUNBOOK_FIFTY", "50")), 2
OWNERS = [f"fifty{i}" for i in range(COUNT // EACH)]
TINY = {"cpu": "2m", "memory": "16Mi", "storage": "16Mi", "home": "16Mi", "database": "16Mi", "timeout": 600}


def make(site):
    """The workspaces, a few at a time: web server and database left out."""
    wanted = runbook.section("workspaces", TINY | {"list": [{"name": f"w{n}", "owner": o} for o in OWNERS for n in range(EACH)],
                                                    "quota": {"workspaces": EACH}})
    mount = workspaces.ide_mount(site, wanted)

    def one(w):
        values = chart_values(w, wanted, mount, {}) | {"mariadb": {"enabled": False}, "domain": DOMAIN,
                                                       "networkPolicy": {"ingressNamespaces": [NAMESPACE]}}
        values["web"] |= {"enabled": False}
        site.cluster.apply(new_secret(w))
        site.helm.ensure(charts() / "workspace", w.name, namespace(w.owner), values, timeout=600,
                         settle=lambda: settle(site, w.name, w.owner, 600)).perform()

    for owner in OWNERS:
        for obj in owner_objects(owner, wanted):
            site.cluster.apply(obj)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, wanted.list))


@pytest.fixture(scope="module")
def edge():
    site = workspaces_kit.connect()
    with dns({f"*.ws.{DOMAIN}": LOCAL, f"ws.{DOMAIN}": LOCAL}) as resolver:
        wanted = kit.section(resolver, owners=OWNERS)
        began = time.monotonic()
        try:
            make(site)
            print(f"{COUNT} workspaces ready in {time.monotonic() - began:.0f} s")
            apply(ensure_ingress(site, wanted), "apply")
            yield site, wanted
        finally:
            apply(undo(site, wanted, delete_data=True), "apply")
            for owner in OWNERS:
                site.cluster.delete("Namespace", namespace(owner))
            for owner in OWNERS:
                workspaces_kit.gone(site, "Namespace", namespace(owner), timeout=600)


def measured(site, what, look):
    """What a look returns, and the API calls that it took."""
    before, began = site.cluster.calls, time.monotonic()
    found = look()
    calls = site.cluster.calls - before
    print(f"{what}: {len(found)} rows, {found.url.nunique()} URLs, {calls} API calls, {time.monotonic() - began:.1f} s")
    return found, calls


@pytest.mark.parametrize("what, look", [("URLs", facts.table), ("request path", rp.table), ("who gets in", facts.access)])
def test_calls_do_not_grow_with_the_workspaces(edge, what, look):
    site, wanted = edge
    few = wanted.model_copy(update={"owners": OWNERS[:1]})
    two, calls_of_two = measured(site, f"{what}, {EACH} workspaces", lambda: look(site, few))
    all_, calls_of_all = measured(site, f"{what}, {COUNT} workspaces", lambda: look(site, wanted))
    one_by_one = wanted.model_copy(update={"at_once": 1})
    measured(site, f"{what}, {COUNT} workspaces, probes one by one", lambda: look(site, one_by_one))
    assert calls_of_all == calls_of_two
    assert all_.url[all_.url.str.contains("-fifty")].nunique() >= COUNT > two.url[two.url.str.contains("-fifty")].nunique()


def test_every_way_is_green(edge):
    kit.until(lambda: rp.broken(rp.table(*edge)).empty, "all ways to be green", 120)
    found = rp.table(*edge)
    ides = found[~found.url.str.contains("/80-")]
    assert ides.url.nunique() == COUNT and set(ides.state) == {rp.OK}
    assert plots.request_path(found[found.url.isin(found.url.unique()[:3])], "way").png()


def test_everybody_is_let_in_or_refused_as_should_be(edge):
    found = facts.access(*edge)
    assert found.ok.eq(True).all(), found[found.ok.ne(True)].head(10).to_string()
    assert (found[found.visibility == "ide"].groupby("who").size() == COUNT).all()


def test_a_second_plan_of_all_of_them_is_empty(edge):
    site, wanted = edge
    before = site.cluster.calls
    assert not ensure_ingress(site, wanted)
    print(f"plan of step 05 with {COUNT} workspaces: {site.cluster.calls - before} API calls")
