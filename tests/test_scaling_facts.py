"""The tier observed: from given objects, by tables."""

from types import SimpleNamespace

import pandas as pd
import pytest

from runbook.errors import ClusterError, NotFound
from runbook.facts import scaling as facts

MIB = 2**20


def pod(name, cpu="100m", memory="64Mi", ready=True, phase="Running", node="n1", namespace="lamp", ending=False, **more):
    requests = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    return {
        "metadata": {"name": name, "namespace": namespace} | ({"deletionTimestamp": "now"} if ending else {}),
        "spec": {"nodeName": node, "containers": [{"name": "web", "resources": {"requests": requests}}, *more.get("containers", [])]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]}}


def node(name="n1", cpu="2", memory="4096Mi", **spec):
    return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": "110"}}}


HPA = {"spec": {"minReplicas": 1, "maxReplicas": 4, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 60}}}],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}}},
       "status": {"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [{"resource": {"name": "cpu", "current": {"averageUtilization": 93}}}],
                  "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]}}


class Cluster:
    """Answers from given objects."""

    replayed = ""

    def __init__(self, pods=(), nodes=(node(),), hpa=None, deployment=None, used=(), node_cpu=0.5):
        self._objects = {"Pod": list(pods), "Node": list(nodes)}
        self._single = {"HorizontalPodAutoscaler": hpa, "Deployment": deployment}
        self._used, self._node_cpu = used, node_cpu

    def get(self, kind, name, namespace=""):
        return self._single[kind]

    def list(self, kind, namespace="", selector="", fields=""):
        return [o for o in self._objects[kind] if not namespace or o["metadata"]["namespace"] == namespace]

    def usage(self, what, namespace=""):
        if isinstance(self._used, Exception):
            raise self._used
        if what == "nodes":
            return [{"name": n["metadata"]["name"], "cpu": self._node_cpu, "memory": 0} for n in self._objects["Node"]]
        return [{"namespace": "lamp", "name": name, "cpu": cpu, "memory": memory * MIB} for name, cpu, memory in self._used]


def site(**given):
    return SimpleNamespace(cluster=Cluster(**given))


@pytest.mark.parametrize("given, says", [
    ({}, ""),
    ({"nodes": ()}, "no figures of any node yet"),
    ({"used": NotFound("no such kind")}, "metrics-server is not installed"),
    ({"used": ClusterError("503")}, "does not answer: 503"),
])
def test_whether_the_cluster_measures(given, says):
    found = facts.measures(site(**given))
    assert (says in found) if says else found == ""


def test_the_pods_with_what_they_use_and_lack():
    table = facts.pods(site(pods=[pod("a"), pod("b", cpu="", ready=False), pod("old", ending=True)], used=[("a", 0.06, 30)]), "lamp", "shop")
    assert list(table["pod"]) == ["a", "b"] and list(table["ready"]) == [True, False]
    assert table["cpu_m"].iloc[0] == 60 and pd.isna(table["cpu_m"].iloc[1]) and table["memory_mib"].iloc[0] == 30
    assert list(table["without_request"]) == ["", "web"] and list(table["request_m"]) == [100, 0]


def test_the_autoscaler_in_words():
    table = facts.autoscaler(site(hpa=HPA), "lamp", "shop").set_index("fact")["value"]
    assert table["measured, % of the CPU request"] == 93 and table["target, % of the CPU request"] == 60 and table["waits before fewer (s)"] == 15
    assert facts.scales(facts.autoscaler(site(hpa=HPA), "lamp", "shop"))


@pytest.mark.parametrize("status", [
    {}, {"currentMetrics": None}, {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric"}]},
    {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "x"}], "currentMetrics": []},
])
def test_an_autoscaler_that_measures_nothing_does_not_scale(status):
    assert not facts.scales(facts.autoscaler(site(hpa={**HPA, "status": status}), "lamp", "shop"))


def test_no_autoscaler_no_rows():
    assert facts.autoscaler(site(), "lamp", "shop").empty and not facts.scales(facts.autoscaler(site(), "lamp", "shop"))


def test_room_leaves_out_what_is_ours_ended_or_elsewhere():
    pods = [pod("a", cpu="500m", memory="1024Mi", namespace="other"), pod("mine"), pod("done", phase="Succeeded", namespace="other"),
            pod("waits", node="", phase="Pending", namespace="other")]
    row = facts.room(site(pods=pods, nodes=(node(), node("n2", unschedulable=True))), without="lamp").iloc[0]
    assert (row["node"], row["cpu_free_m"], row["memory_free_mib"], row["pods_free"]) == ("n1", 1500, 3072, 109)


@pytest.mark.parametrize("replicas, cpu, memory, fit", [(15, "100m", "64Mi", True), (16, "100m", "64Mi", False), (1, "100m", "3073Mi", False)])
def test_fits(replicas, cpu, memory, fit):
    room = pd.DataFrame({"cpu_free_m": [1500.0], "memory_free_mib": [3072.0], "pods_free": [109]})
    assert facts.fits(room, replicas, cpu, memory) is fit


def test_a_full_node_does_not_take_room_from_another():
    room = pd.DataFrame({"cpu_free_m": [-500.0, 300.0], "memory_free_mib": [900.0, 900.0], "pods_free": [9, 9]})
    assert facts.fits(room, 3, "100m", "64Mi") and not facts.fits(room, 4, "100m", "64Mi")


def test_a_sample_sums_what_is_measured():
    found = facts.sample(site(pods=[pod("a"), pod("b"), pod("new", ready=False, phase="Pending"), pod("old", ending=True)],
                              deployment={"spec": {"replicas": 3}}, used=[("a", 0.05, 30), ("b", 0.15, 50), ("old", 1, 99)], node_cpu=0.5), "lamp", "shop")
    assert set(found) == set(facts.SAMPLE)
    assert (found["wanted"], found["ready"], found["pending"], found["measured"]) == (3, 2, 1, 2)
    assert (round(found["cpu_m"]), found["request_m"], found["memory_mib"], found["node_share"]) == (200, 200, 50, 0.25)


QUOTA = "pods \"x\" is forbidden: exceeded quota: few"
FULL = "0/1 nodes are available: 1 Insufficient cpu."


@pytest.mark.parametrize("conditions, unscheduled, says", [
    ([], False, ""), ([{"type": "ReplicaFailure", "status": "True", "message": QUOTA}], False, QUOTA),
    ([{"type": "ReplicaFailure", "status": "False", "message": QUOTA}], False, ""), ([], True, FULL),
    ([{"type": "Available", "status": "True", "message": "well"}], False, ""),
])
def test_why_a_replica_does_not_come(conditions, unscheduled, says):
    waits = pod("w", ready=False, phase="Pending")
    waits["status"]["conditions"].append({"type": "PodScheduled", "status": "False" if unscheduled else "True", "message": FULL})
    assert facts.obstacle({"status": {"conditions": conditions}}, [pod("a"), waits]) == says


def test_a_sample_of_nothing():
    found = facts.sample(site(), "lamp", "shop")
    assert (found["wanted"], found["ready"], found["cpu_m"], found["request_m"]) == (0, 0, 0, 0) and pd.isna(found["memory_mib"])


def test_a_watch_counts_the_looks_that_failed():
    with facts.Watch(site(used=ClusterError("metrics-server is gone")), "lamp", "shop", every=0.001) as watch:
        while watch.missed < 3:
            pass
    assert watch.frame(0.0).empty and list(watch.frame(0.0).columns) == list(facts.SAMPLE)


def test_a_watch_reckons_from_the_beginning_of_the_run():
    with facts.Watch(site(), "lamp", "shop", every=0.001) as watch:
        while not watch._rows:
            pass
    table = watch.frame(watch._rows[0]["at"] - 5)
    assert table["at"].iloc[0] == pytest.approx(5)


@pytest.mark.parametrize("before, after, all_new", [(["a"], ["b"], True), (["a", "b"], ["b", "c"], False), (["a"], [], False)])
def test_replaced(before, after, all_new):
    assert facts.replaced(pd.DataFrame({"pod": before}), pd.DataFrame({"pod": after, "ready": [True] * len(after)})) is all_new
