"""Faults made for real on a cluster: each found as exactly what it is, mended as its finding says, and proven to be gone.

``RUNBOOK_RECORD_SIGNALS=1`` keeps what was seen of some for tests/test_diagnose.py.
"""

import json
import os
import threading
import time

import pytest
import stage_faults
from stage_faults import FAULTS, RECORDED

from runbook import section
from runbook.diagnose import diagnose, mend, take
from runbook.paths import root
from runbook.plans import apply

pytestmark = [pytest.mark.cluster, pytest.mark.long]
TAG = f"fault-{os.getpid()}"


def namespace(key: str) -> str:
    return f"{TAG}-{key}"


def until(what, seconds: float, every: float = 3):
    """Ask until the answer is true, or the time is over; the last answer."""
    end = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < end:
        threading.Event().wait(every)
    return answer


@pytest.fixture(scope="module")
def site():
    place = stage_faults.connect()
    try:
        stage_faults.make(place, TAG)
        yield place
    finally:
        stage_faults.clear(place, TAG)


def found(site, key: str) -> frozenset[str]:
    return frozenset(f.signal for f in diagnose(site, namespaces=(namespace(key),)).findings if namespace(key) in f.where)


@pytest.mark.parametrize("key", FAULTS)
def test_is_found_as_exactly_that(site, key):
    wanted = FAULTS[key].signals
    assert until(lambda: found(site, key) == wanted, 150), found(site, key)  # one look: a container that flaps runs at times
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
    (root() / f"tests/recorded/signals/{signal}-{key}.json").write_text(text.replace(namespace(key), "fault-rec") + "\n")


@pytest.mark.parametrize("key", FAULTS)
def test_is_mended_and_proven(site, key):
    fault, ns = FAULTS[key], namespace(key)
    trouble = section("trouble", {"namespaces": [ns], "start": True})
    stage_faults.mend(site, TAG, [key])
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
