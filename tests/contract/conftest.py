"""The same cases on the rehearsal and, where KUBECONFIG names one, on a real cluster. Where they differ, the rehearsal is wrong.

``RUNBOOK_RECORD=<file>`` notes on the real cluster what the rehearsal replays here; see tests/recorded/contract.
"""

import os
import secrets
from pathlib import Path

import pytest

from runbook.cluster import Cluster
from runbook.rehearsal import RehearsalTransport, State

RECORDED = Path(__file__).parent.parent / "recorded" / "contract"
#: Behaviour is recorded in a namespace of this name; everything else happens in one of its own.
BEHAVIOUR = "ct-behaviour"


@pytest.fixture(params=["rehearsal", pytest.param("real", marks=pytest.mark.cluster)], scope="module")
def transport(request, tmp_path_factory):
    if request.param == "rehearsal":
        patch = pytest.MonkeyPatch()
        patch.setenv("RUNBOOK_RECORDINGS", str(RECORDED))
        yield RehearsalTransport(State(tmp_path_factory.mktemp("rehearsal") / "state.json"))
        patch.undo()
        return
    from runbook.cluster.kube import KubeTransport
    from runbook.rehearsal.record import RecordingTransport

    real = KubeTransport(os.environ["KUBECONFIG"])
    yield RecordingTransport(real, os.environ["RUNBOOK_RECORD"]) if os.environ.get("RUNBOOK_RECORD") else real


@pytest.fixture(scope="module")
def cluster(transport):
    return Cluster(transport)


@pytest.fixture(scope="module")
def place(cluster):
    """A namespace for the tests of one module, gone afterwards."""
    yield from namespace(cluster, f"ct-{secrets.token_hex(3)}")


@pytest.fixture(scope="module")
def stage(cluster):
    """The namespace in which behaviour was recorded."""
    if cluster.get("Namespace", BEHAVIOUR):
        cluster.delete("Namespace", BEHAVIOUR)
        cluster.wait("Namespace", BEHAVIOUR, until=lambda o: o is None, timeout=90, what="the old stage to go")
    yield from namespace(cluster, BEHAVIOUR)


def namespace(cluster, name):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    cluster.wait("ServiceAccount", "default", name, until=bool, timeout=30, what="the account of the namespace")
    yield name
    cluster.delete("Namespace", name)
