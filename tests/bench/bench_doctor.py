"""``runbook doctor`` on many workspaces: API requests, seconds, memory. One line a size.

    python tests/bench/bench_doctor.py

The API server is a transport in memory that hands out JSON text, page by page, as an API server does; each object weighs 5 kB as
real ones do with their managed fields. One workspace in a hundred is broken. Each size has a process of its own, and so its own peak.
"""

import json
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

from runbook.cluster import Cluster
from runbook.cluster.transport import Resource
from runbook.diagnose import evaluate, take
from runbook.host import Result

SIZES = (10, 100, 1000, 4000)
PLURALS = {
    "EndpointSlice": "endpointslices",
    "Ingress": "ingresses",
    "StorageClass": "storageclasses",
    "IngressClass": "ingressclasses",
}
PADDING = {"managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": "x" * 3000}}], "annotations": {"config": "y" * 1500}}
TIMES = "2026-01-01T00:00:00Z"


class Pages:
    """Lists as JSON text; ``limit`` and ``continue`` as an API server has them."""

    server, replayed, static = "https://bench:6443", "", False

    def __init__(self, lists: dict[str, list[str]]):
        self.lists = lists

    def resource(self, kind):
        short = kind.rpartition("/")[2]
        return Resource("v1", short, PLURALS.get(short, short.lower() + "s"), True)

    def request(self, method, path, query=None, body=None, content_type=""):
        plural = path.rpartition("/")[2]
        if plural == "version":
            return {"gitVersion": "v1.36.2"}
        items, start, size = (
            self.lists.get(plural, []),
            int((query or {}).get("continue") or 0),
            int((query or {}).get("limit", 500)),
        )
        more = start + size if start + size < len(items) else ""
        return json.loads('{"metadata": {"continue": "%s"}, "items": [%s]}' % (more, ",".join(items[start:start + size])))

    def text(self, path, query=None):
        return "error: config.php: syntax error\n"


class Quiet:
    """A server that has nothing to say."""

    replayed = ""
    run = staticmethod(lambda argv, **_: Result(tuple(argv), 127, ""))
    read = staticmethod(lambda path: None)
    sockets = staticmethod(list)
    unit = staticmethod(lambda name: {})


def workspace(i: int) -> dict[str, dict]:
    """One workspace's five objects: pod, StatefulSet, claim, Service, Ingress."""
    ns, labels, broken = f"ws-{i}", {"app": "demo"}, i % 100 == 7
    meta = {"namespace": ns, "creationTimestamp": TIMES, "labels": labels, **PADDING}
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if broken else {"running": {"startedAt": TIMES}}
    container = {
        "name": "main",
        "image": "php",
        "env": [{"name": f"E{n}", "value": "v"} for n in range(20)],
        "ports": [{"containerPort": 80}],
    }
    pod = {
        "metadata": {"name": "demo-0"} | meta,
        "spec": {"nodeName": "n", "containers": [container]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(not broken), "lastTransitionTime": TIMES}],
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "php",
                    "ready": not broken,
                    "restartCount": 9 if broken else 0,
                    "state": state,
                    "lastState": {"terminated": {"exitCode": 1}} if broken else {},
                }
            ],
        },
    }
    backend = {"service": {"name": "demo", "port": {"number": 80}}}
    return {
        "pods": pod,
        "statefulsets": {
            "metadata": {"name": "demo"} | meta,
            "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
            "status": {"replicas": 1, "readyReplicas": int(not broken)},
        },
        "persistentvolumeclaims": {
            "metadata": {"name": "data"} | meta,
            "spec": {"storageClassName": "c", "volumeName": f"v{i}"},
            "status": {"phase": "Bound"},
        },
        "services": {
            "metadata": {"name": "demo"} | meta,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 80}]},
        },
        "ingresses": {
            "metadata": {"name": "demo"} | meta,
            "spec": {"rules": [{"host": f"{ns}.example.org", "http": {"paths": [{"backend": backend}]}}]},
        },
        "endpointslices": {
            "metadata": {"name": "demo-1"} | meta | {"labels": {"kubernetes.io/service-name": "demo"}},
            "endpoints": [{"conditions": {"ready": not broken}, "addresses": ["10.42.0.1"]}],
        },
    }


def measure(count: int) -> str:
    lists: dict[str, list[str]] = {}
    for i in range(count):
        for plural, obj in workspace(i).items():
            lists.setdefault(plural, []).append(json.dumps(obj))
    weight = sum(len(t) for texts in lists.values() for t in texts) / 2**20
    site = SimpleNamespace(cluster=Cluster(Pages(lists), pause=lambda s: None), host=Quiet(), kubeconfig="")
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    shot = take(site)
    read, begun = time.monotonic() - started, time.monotonic()
    report = evaluate(shot)
    judged, peak = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    objects = sum(len(o) for o in shot.objects.values())
    return (
        f"{count:5d} workspaces, {objects:6d} objects ({weight:6.1f} MiB of JSON): {shot.calls} API requests, "
        f"read in {read:.2f} s, judged in {judged:.2f} s, "
        f"{(peak - before) / 1024:.0f} MiB more memory at the peak, {len(report.findings)} findings in {len(report.table())} rows"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(measure(int(sys.argv[1])))
    else:
        for size in SIZES:
            print(
                subprocess.run([sys.executable, __file__, str(size)], capture_output=True, text=True, check=True).stdout.strip(),
                flush=True,
            )
