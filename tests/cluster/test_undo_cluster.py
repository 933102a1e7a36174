"""The undo of each step on a real cluster: applied, taken back, and nothing of it is left, by name of every object of every kind.

The undo of 04 takes the daemons of all workspaces away; here it sees those of one owner only (:class:`Alone`), so that the cluster may be
in use. 91, which is of the host, is undone in tests/root; 01, 03 and 20 in their own tests.
"""

import dataclasses
import json
import re
import threading
import time

import pytest
import workspaces_kit as kit
from dns_kit import dns

import runbook
from runbook.errors import ClusterError
from runbook.helm import Helm
from runbook.helm.sdk import SdkRunner
from runbook.operations import docker, ingress, scaling, workspaces
from runbook.operations.undo import UNDO, undo
from runbook.plans import apply
from runbook.rehearsal.state import seed
from runbook.workspaces import KEEPER_NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.long]
OWNER, DOMAIN = "undotest", "undo.test"
#: What comes and goes by itself, or counts revisions.
MOVING = {"Event", "Lease", "EndpointSlice", "Endpoints", "ControllerRevision", "ReplicaSet", "Pod", "PodMetrics", "NodeMetrics"}
REVISION = re.compile(r"[.]v[0-9]+$")  #: of a Helm release's record
DATA = {"Namespace", "PersistentVolumeClaim", "PersistentVolume", "Secret", "ConfigMap", "ServiceAccount", "ResourceQuota", "LimitRange"}
MINE = (f"ws-{OWNER}", f"{OWNER}-docker", f"{OWNER}-system", f"{OWNER}-lamp")
#: Of a class that keeps nothing; what step 03 keeps, its own undo takes back.
SPACES = {"workspaces": {"list": [{"name": "demo", "owner": OWNER}], "storage_class": "local-path"}}


def given(resolver: str) -> dict:
    """The sections, in namespaces of this test."""
    return {name: runbook.section(name, value) for name, value in {
        **SPACES, "docker": {"namespace": f"{OWNER}-docker", "allow_privileged": True, "memory_limit": "512Mi", "storage": "1Gi"},
        "ingress": {"domain": DOMAIN, "namespace": f"{OWNER}-system", "owners": [OWNER], "address": "127.0.0.1", "probe": "127.0.0.1",
                    "resolver": resolver},
        "load": {"namespace": f"{OWNER}-lamp"}}.items()}


ENSURE = {
    "02": lambda site, s: workspaces.ensure_workspaces(site, s["workspaces"]),
    "04": lambda site, s: docker.ensure_docker(site, s["workspaces"], s["docker"]),
    "05": lambda site, s: ingress.ensure_ingress(site, s["ingress"]),
    "06": lambda site, s: scaling.ensure_tier(site, s["load"]),
}


class Alone:
    """A cluster in which nobody else has a workspace."""

    def __init__(self, cluster):
        self._cluster = cluster

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def list(self, kind, namespace="", **more):
        places = ((o["metadata"].get("namespace", ""), o) for o in self._cluster.list(kind, namespace, **more))
        return [o for where, o in places if where in MINE or not where.startswith("ws-")]


@pytest.fixture(scope="module")
def place():
    site = kit.connect()
    with dns({f"*.ws.{DOMAIN}": "127.0.0.1", f"ws.{DOMAIN}": "127.0.0.1"}) as resolver:
        sections = given(resolver)
        clear(site, sections)
        yield site, sections
        clear(site, sections)


def take_back(step, site, sections, delete_data=False) -> tuple[str, ...]:
    """The undo of a step, carried out; what it changed."""
    if step == "04":
        cluster = Alone(site.cluster)
        site = dataclasses.replace(site, cluster=cluster, helm=Helm(cluster, SdkRunner(site.kubeconfig)))
    return apply(undo(step, site, sections, delete_data), "apply").changed


def clear(site, sections) -> None:
    for step in ("06", "05", "04", "02"):
        take_back(step, site, sections, delete_data=True)
    settled(site)


def settled(site) -> None:
    """No namespace of this test, nor the keeper's, is still going."""
    for name in (*MINE, KEEPER_NAMESPACE):
        if ((site.cluster.get("Namespace", name) or {}).get("metadata", {})).get("deletionTimestamp"):
            kit.gone(site, "Namespace", name)


def mine(obj: dict) -> bool:
    """In a namespace of this test, or, of the whole cluster, with a word of one."""
    where = obj["metadata"].get("namespace", "")
    return where in MINE or not where and OWNER in json.dumps(obj)


def names(site) -> set[str]:
    """Every object of this test, of every kind that the cluster serves, by name."""
    found = set()
    for api, kind in {(k["apiVersion"], k["kind"]) for k in seed()["kinds"] if k["kind"] not in MOVING}:
        try:
            objects = site.cluster.list(f"{api}/{kind}")
        except ClusterError:  # not served here, or may not be listed
            continue
        found |= {f"{kind} {o['metadata'].get('namespace', '')}/{REVISION.sub('', o['metadata']['name'])}" for o in objects if mine(o)}
    return found


def left(site, before: set[str], allowed=frozenset()) -> set[str]:
    """What is there and was not before, once what is being deleted has gone."""
    settled(site)
    end = time.monotonic() + 120
    while True:
        found = {name for name in names(site) - before if name.split(" ")[0] not in allowed}
        if not found or time.monotonic() > end:
            return found
        threading.Event().wait(2)


@pytest.mark.parametrize("step", sorted(ENSURE))
def test_undo_leaves_nothing_of_the_step(place, step):
    site, sections = place
    if step != "02":
        apply(ENSURE["02"](site, sections), "apply")
    before = names(site)
    assert apply(ENSURE[step](site, sections), "apply").changed
    made = names(site) - before
    assert made, "the step left nothing to take back"

    assert take_back(step, site, sections)
    assert left(site, before, DATA) == set(), "beside data"
    assert not take_back(step, site, sections), "a second undo finds something"

    apply(ENSURE[step](site, sections), "apply")  # what was kept is no obstacle
    take_back(step, site, sections, delete_data=True)
    assert left(site, before) == set()
    assert not before - names(site), "it took what was there before"
    assert not take_back(step, site, sections, delete_data=True)


def test_every_step_is_undone_somewhere():
    assert UNDO.keys() - ENSURE.keys() == {"01", "03", "20", "91"}
