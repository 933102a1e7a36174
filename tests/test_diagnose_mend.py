"""What the mending notebooks do by themselves, and what they never touch."""

import pytest
from diagnose_kit import Api, pod, site

from runbook.cluster.transport import ApiFailure
from runbook.diagnose import mend
from runbook.params import section
from runbook.plans import apply


class Cruel(Api):
    """Takes deletes and patches, and does them."""

    def request(self, method, path, query=None, body=None, content_type=""):
        if method == "GET" and path.split("/")[-2] in self.objects:
            raise ApiFailure(404, "not found")
        if method == "DELETE":
            self.objects["pods"] = [p for p in self.objects["pods"] if not path.endswith(p["metadata"]["name"])]
            return {}
        if method == "PATCH" and path.endswith("/scale"):
            self.asked.append(body)
            self.objects["deployments"][0]["spec"]["replicas"] = body["spec"]["replicas"]
            return {}
        if method == "PATCH":
            if not query.get("dryRun"):
                self.objects["storageclasses"].append(body)
            return body
        return super().request(method, path, query, body, content_type)


OWNED = {"ownerReferences": [{"kind": "StatefulSet", "name": "demo"}], "labels": {"controller-revision-hash": "demo-1"}}


def owner(update):
    return {"kind": "StatefulSet", "metadata": {"name": "demo", "namespace": "ws-1"}, "spec": {"replicas": 1},
            "status": {"replicas": 1, "updateRevision": update}}


@pytest.mark.parametrize("update, ready, deleted", [("demo-2", False, 1), ("demo-1", False, 0), ("demo-2", True, 0)])
def test_only_broken_pods_of_an_older_revision_are_deleted(update, ready, deleted):
    place = site(Cruel({"pods": [pod(1, ready=ready, metadata=OWNED)], "statefulsets": [owner(update)]}))
    mending = mend.workspaces(place, section("trouble"))
    assert len(mending.plan) == deleted and len(mending.findings) == deleted
    apply(mending.plan, "apply")
    assert not mend.workspaces(place, section("trouble")).plan


def test_a_lone_pod_is_never_deleted():
    evicted = pod(1, status={"phase": "Failed", "reason": "Evicted"})
    assert not mend.workspaces(site(Cruel({"pods": [evicted]})), section("trouble")).plan
    evicted["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "x"}]
    assert [c.title for c in mend.workspaces(site(Cruel({"pods": [evicted]})), section("trouble")).plan] == [
        "delete Pod ws-1/demo-1"
    ]


def claim(name="data"):
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "ws-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"storageClassName": "fast"},
        "status": {"phase": "Pending"},
    }


def klass(name, default):
    return {"kind": "StorageClass", "metadata": {"name": name, "annotations": {mend.DEFAULT_CLASS: str(default).lower()}},
            "provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer"}


def test_an_absent_class_is_made_once_as_a_twin_that_retains():
    api = Cruel({"persistentvolumeclaims": [claim(), claim("home")], "storageclasses": [klass("local-path", True)]})
    place = site(api)
    mending = mend.storage(place, section("trouble"))
    assert [c.title for c in mending.plan] == ["create StorageClass fast"]
    apply(mending.plan, "apply")
    assert (api.objects["storageclasses"][1]["reclaimPolicy"], api.objects["storageclasses"][1]["provisioner"]) == (
        "Retain",
        "rancher.io/local-path",
    )
    assert not mend.storage(place, section("trouble")).plan


def test_without_a_default_class_nothing_is_made_up():
    assert not mend.storage(
        site(Cruel({"persistentvolumeclaims": [claim()], "storageclasses": [klass("x", False)]})), section("trouble")
    ).plan


def deployment(name, namespace, replicas, labels=None):
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels or {}}}}, "status": {}}


@pytest.mark.parametrize(
    "name, namespace, replicas, planned",
    [
        ("traefik", "kube-system", 0, 1),
        ("coredns", "kube-system", 0, 1),
        ("traefik", "kube-system", 1, 0),
        ("traefik", "ws-1", 0, 0),
        ("shop", "kube-system", 0, 0),
    ],
)
def test_what_serves_everybody_is_started(name, namespace, replicas, planned):
    place = site(Cruel({"deployments": [deployment(name, namespace, replicas)]}))
    mending = mend.urls(place, section("trouble"))
    assert len(mending.plan) == planned
    apply(mending.plan, "apply")
    assert not mend.urls(place, section("trouble")).plan


@pytest.mark.parametrize("start, planned", [(False, 0), (True, 1)])
def test_a_stopped_workspace_is_started_only_when_told(start, planned):
    labels = {"app": "demo"}
    api = Cruel(
        {
            "deployments": [deployment("demo", "ws-1", 0, labels)],
            "services": [
                {
                    "kind": "Service",
                    "metadata": {"name": "demo", "namespace": "ws-1"},
                    "spec": {"selector": labels, "ports": [{"port": 80}]},
                }
            ],
            "ingresses": [
                {
                    "kind": "Ingress",
                    "metadata": {"name": "demo", "namespace": "ws-1"},
                    "spec": {
                        "rules": [
                            {
                                "host": "demo.ws.example.org",
                                "http": {"paths": [{"backend": {"service": {"name": "demo", "port": {"number": 80}}}}]},
                            }
                        ]
                    },
                }
            ],
        }
    )
    mending = mend.urls(site(api), section("trouble", {"start": start}))
    assert len(mending.plan) == planned and [f.signal for f in mending.findings] == ["url-stopped"] * planned
    apply(mending.plan, "apply")
    assert api.asked.count({"spec": {"replicas": 1}}) == planned


def test_what_is_still_wrong_after_its_time_is_told():
    place = site(Cruel({"pods": [pod(1, metadata=OWNED)], "statefulsets": [owner("demo-2")]}))
    mending = mend.workspaces(place, section("trouble"))
    wanted = section("trouble", {"seconds": 1})
    assert [f.signal for f in mend.left(place, wanted, mending)] == ["crash-loop"]
    apply(mending.plan, "apply")
    assert mend.left(place, wanted, mending) == ()
