"""What it costs to look at 1,000 workspaces: each fact's seconds, API calls and memory, beside 100 workspaces. One line a fact.

    python tests/bench/bench_facts.py

The objects are those of the chart, rendered once and copied under other names, with the managed fields' weight that real ones have;
the API server is bench_doctor's transport in memory, which hands out JSON text page by page (500 objects a page: calls step with pages,
not with workspaces). Each figure is of a process of its own. Nothing is asked on the wire: step 05's cluster tests do that.
"""

import json
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

import bench_doctor

import runbook
from runbook.cluster import Cluster
from runbook.facts import ingress, request_path, scaling, storage, workspaces
from runbook.helm import render
from runbook.paths import charts
from runbook.workspaces import chart_values, owner_objects

SIZES = (100, 1000)
OWNED = 3  #: workspaces of one owner
bench_doctor.PLURALS |= {"PodMetrics": "podmetrics", "NetworkPolicy": "networkpolicies", "StorageClass": "storageclasses"}
GIB = 2**30


def pod(workload: dict, labels: dict) -> dict:
    """The running pod of a workspace's StatefulSet."""
    template, name = workload["spec"]["template"], workload["metadata"]["name"]
    states = [{"name": c["name"], "ready": True, "restartCount": 0, "state": {"running": {"startedAt": bench_doctor.TIMES}}}
              for c in template["spec"]["containers"]]
    return {"metadata": {"name": f"{name}-0", "namespace": workload["metadata"]["namespace"], "labels": labels},
            "spec": template["spec"] | {"nodeName": "node-1"},
            "status": {"phase": "Running", "podIP": "10.42.0.9", "conditions": [{"type": "Ready", "status": "True"}],
                       "containerStatuses": states}}


def one() -> list[tuple[str, dict]]:
    """The objects of one workspace, ``WORKSPACE`` of ``OWNER``, by their plural."""
    wanted = runbook.section("workspaces", {"list": [{"name": "name0", "owner": "owner0"}]})
    values = chart_values(wanted.list[0], wanted, "image", {}) | {"domain": "example.org"}
    made = render(charts() / "workspace", "name0", "ws-owner0", values) + owner_objects("owner0", wanted)
    workload = next(o for o in made if o["kind"] == "StatefulSet")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    workload["status"] = {"replicas": 1, "readyReplicas": 1, "updateRevision": "name0-1"}
    claims = [o for o in made if o["kind"] == "PersistentVolumeClaim"]
    for claim in claims:
        claim["spec"]["volumeName"] = f"pvc-owner0-{claim['metadata']['name']}"
        claim["status"] = {"phase": "Bound"}
    volumes = [{"kind": "PersistentVolume", "metadata": {"name": c["spec"]["volumeName"]}, "status": {"phase": "Bound"}, "spec": {
        "capacity": {"storage": "2Gi"}, "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "local-path",
        "hostPath": {"path": "/data"},
        "claimRef": {"namespace": "ws-owner0", "name": c["metadata"]["name"]}}} for c in claims]
    slices = [{"kind": "EndpointSlice",
               "metadata": {"name": "name0-x", "namespace": "ws-owner0", "labels": labels | {"kubernetes.io/service-name": "name0"}},
               "endpoints": [{"addresses": ["10.42.0.9"], "conditions": {"ready": True}}]}]
    metrics = [{"kind": "PodMetrics", "metadata": {"name": "name0-0", "namespace": "ws-owner0"},
                "containers": [{"name": "web", "usage": {"cpu": "12m", "memory": "160Mi"}}]}]
    for obj in made:
        obj["metadata"].setdefault("creationTimestamp", bench_doctor.TIMES)
    everything = made + volumes + slices + metrics + [{"kind": "Pod", **pod(workload, labels)}]
    return [(bench_doctor.PLURALS.get(o["kind"], o["kind"].lower() + "s"), o) for o in everything]


def site(count: int) -> SimpleNamespace:
    """A cluster of so many workspaces."""
    lists: dict[str, list[str]] = {}
    for plural, obj in one():
        obj["metadata"]["managedFields"] = bench_doctor.PADDING["managedFields"]
        text = json.dumps(obj)
        copies = (text.replace("name0", f"name{i}").replace("owner0", f"owner{i // OWNED}") for i in range(count))
        lists.setdefault(plural, []).extend(copies)
    node = {"metadata": {"name": "node-1"}, "spec": {}, "status": {"allocatable": {"cpu": "640", "memory": "4Ti", "pods": "9999"},
                                                                    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}
    lists["nodes"] = [json.dumps(node)]
    return SimpleNamespace(cluster=Cluster(bench_doctor.Pages(lists), pause=lambda s: None), host=bench_doctor.Quiet())


WANTED = runbook.section("ingress", {"domain": "example.org"})
FACTS = {
    "workspaces.table": lambda s: len(workspaces.table(s)),
    "workspaces.room": lambda s: len(workspaces.room(s, runbook.section("workspaces", {}))),
    "scaling.room": lambda s: len(scaling.room(s)),
    "storage.volumes": lambda s: len(storage.volumes(s)),
    "ingress.table (URLs)": lambda s: len(ingress.table(s, WANTED)),
    "request_path.look": lambda s: len(request_path.look(s, WANTED).services),
}


def measure(count: int, name: str) -> str:
    there, peak = site(count), lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before, began = peak(), time.monotonic()
    rows = FACTS[name](there)
    took, more = time.monotonic() - began, (peak() - before) / 1024
    return f"{count} workspaces: {rows} rows, {took:.2f} s, {there.cluster.calls} API calls, {more:.0f} MiB more"


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(int(sys.argv[1]), sys.argv[2]))
        return
    for name in FACTS:
        runs = [subprocess.run([sys.executable, __file__, str(size), name], capture_output=True, text=True, check=True) for size in SIZES]
        said = [run.stdout.strip() for run in runs]
        print(f"facts.{name}: {'; '.join(said)} [objects of the chart, a transport in memory, a process each]", flush=True)


if __name__ == "__main__":
    main()
