"""Faults made for real on a cluster: each found as exactly what it is, mended as its finding says, and proven to be gone.

``RUNBOOK_RECORD_SIGNALS=1`` keeps what was seen of those in :data:`RECORDED` for tests/test_diagnose.py.
"""

import json
import os
import threading
import time

import faults
import faults_of_databases
import faults_of_images
import pytest

import runbook
from runbook import section
from runbook.diagnose import diagnose, mend, take
from runbook.paths import root
from runbook.plans import apply

pytestmark = [pytest.mark.cluster, pytest.mark.long]
TAG = f"fault-{os.getpid()}"
FAULTS = faults.FAULTS | faults_of_images.FAULTS | faults_of_databases.FAULTS
RECORDED = faults_of_images.FAULTS | faults_of_databases.FAULTS


def namespace(key: str) -> str:
    return f"{TAG}-{key}"


def kubectl_apply(site, objects: list[dict]) -> None:
    for obj in objects:
        site.cluster.apply(obj, force=True, manager="test")


def ready(site, kind, name, where):
    site.cluster.wait(kind, name, where, until=lambda o: o["status"].get("readyReplicas") == 1, timeout=120, what=f"{name} to be ready")


def until(what, seconds: float, every: float = 3):
    """Ask until the answer is true, or the time is over; the last answer."""
    end = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < end:
        threading.Event().wait(every)
    return answer


@pytest.fixture(scope="module")
def site():
    """All faults made at once, so that they are waited for once."""
    place = runbook.connect("local", name="lab", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    kubectl_apply(place, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace("registry")}},
                          *faults_of_images.registry(namespace("registry"))])
    ready(place, "Deployment", "registry", namespace("registry"))
    for key, fault in FAULTS.items():
        kubectl_apply(place, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(key)}}])
        for obj in fault.make(namespace(key)):
            kubectl_apply(place, [obj])
            if obj["metadata"]["name"] == "holder":  # the other one comes too late for the port
                ready(place, "Deployment", "holder", namespace(key))
    yield place
    for key in [*FAULTS, "registry"]:
        place.cluster.delete("Namespace", namespace(key))
    place.cluster.delete("StorageClass", f"{namespace('class')}-fast")


def found(site, key: str) -> frozenset[str]:
    return frozenset(f.signal for f in diagnose(site, namespaces=(namespace(key),)).findings if namespace(key) in f.where)


@pytest.mark.parametrize("key", FAULTS)
def test_is_found_as_exactly_that(site, key):
    wanted = FAULTS[key].signals
    until(lambda: found(site, key) == wanted, 150)
    assert found(site, key) == wanted
    if os.environ.get("RUNBOOK_RECORD_SIGNALS") and key in RECORDED:
        record(site, key)


def record(site, key):
    """What was seen of a fault, as a file of tests/recorded/signals."""
    shot = take(site, namespaces=(namespace(key),))
    signal, = FAULTS[key].signals
    info = site.cluster.list("Node")[0]["status"]["nodeInfo"]
    source = f"recorded on the lab, Kubernetes {site.version}, {info['containerRuntimeVersion']}, {shot.taken}: {FAULTS[key].name}"
    seen = {"objects": {kind: shot.of(kind) for kind in ("Event", "Pod")}, "logs": shot.logs, "taken": shot.taken}
    text = json.dumps({"signal": signal, "source": source, "snapshot": seen}, indent=1, sort_keys=True, ensure_ascii=False)
    name = signal if not (root() / f"tests/recorded/signals/{signal}.json").exists() else f"{signal}-{key}"
    (root() / f"tests/recorded/signals/{name}.json").write_text(text.replace(namespace(key), "fault-rec") + "\n")


@pytest.mark.parametrize("key", FAULTS)
def test_is_mended_and_proven(site, key):
    fault, ns = FAULTS[key], namespace(key)
    trouble = section("trouble", {"namespaces": [ns], "start": True})
    kubectl_apply(site, fault.mended(ns))
    fault.mend(site, ns)
    if fault.notebook:
        threading.Event().wait(3)  # the controllers take notice of what was applied
        mending = getattr(mend, fault.notebook)(site, trouble)
        assert mending.plan or not fault.surely, "the notebook's mitigation has something to do"
        apply(mending.plan, "apply")
        assert mend.left(site, trouble, mending) == ()
    kind, name = fault.proof
    site.cluster.wait(
        kind,
        name,
        ns,
        until=lambda o: o["status"].get("readyReplicas") == 1
        and o["status"].get("updatedReplicas") == 1
        and o["status"].get("currentRevision") == o["status"].get("updateRevision"),
        timeout=150,
        what=f"{fault.name} to be mended",
    )
    until(lambda: not found(site, key), 60)
    assert found(site, key) == frozenset()
    if fault.notebook:
        assert not getattr(mend, fault.notebook)(site, trouble).plan, "mending again changes nothing"
