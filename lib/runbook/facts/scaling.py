"""The scaled tier, observed: its autoscaler, its pods, the room on the nodes; once, or each second beside a load test."""

import threading
import time

import pandas as pd

from runbook.cluster import quantity
from runbook.errors import ClusterError, NotFound, NotRecorded

MIB = 2**20
SAMPLE = {"at": "float64", "wanted": "int64", "ready": "int64", "pending": "int64", "measured": "int64", "cpu_m": "float64", "request_m": "float64",
          "memory_mib": "float64", "node_share": "float64", "obstacle": "str"}


def selector(release: str) -> str:
    """The labels of a release's pods, as the chart ``lamp`` sets them."""
    return f"app.kubernetes.io/name=lamp,app.kubernetes.io/instance={release}"


def measures(site) -> str:
    """Why the cluster does not measure CPU and memory; empty if it does (metrics-server answers for a node)."""
    try:
        return "" if site.cluster.usage("nodes") else "metrics-server has no figures of any node yet"
    except NotFound:
        return "the cluster serves no metrics.k8s.io: metrics-server is not installed"
    except NotRecorded as error:
        return error.what
    except ClusterError as error:
        return f"metrics-server does not answer: {error.what}"


def requests_m(pod: dict) -> tuple[float, list[str]]:
    """What a pod requests (millicores), and the names of its containers that request no CPU (the autoscaler then gives up)."""
    asked = {c["name"]: c.get("resources", {}).get("requests", {}).get("cpu") for c in pod["spec"]["containers"]}
    return sum(quantity(v) * 1000 for v in asked.values() if v), [name for name, v in asked.items() if not v]


def is_ready(pod: dict) -> bool:
    """Does a pod take requests?"""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pods(site, namespace: str, release: str) -> pd.DataFrame:
    """The pods of the tier, without those on their way out.

    Columns: ``pod``, ``phase``, ``ready``, ``node``, ``cpu_m``, ``memory_mib`` (in use; NaN if not measured yet), ``request_m``,
    ``without_request`` (containers that request no CPU).
    """
    used = {u["name"]: u for u in usage(site, namespace)}
    rows = []
    for pod in site.cluster.list("Pod", namespace, selector=selector(release)):
        if "deletionTimestamp" in pod["metadata"]:
            continue
        name, (asked, bare) = pod["metadata"]["name"], requests_m(pod)
        mine = used.get(name, {})
        rows.append((name, pod.get("status", {}).get("phase", ""), is_ready(pod), pod["spec"].get("nodeName", ""),
                     mine.get("cpu", float("nan")) * 1000, mine.get("memory", float("nan")) / MIB, asked, ", ".join(bare)))
    return pd.DataFrame(rows, columns=["pod", "phase", "ready", "node", "cpu_m", "memory_mib", "request_m", "without_request"])


def usage(site, namespace: str) -> list[dict]:
    """CPU and memory of a namespace's pods; nothing where nothing is measured or recorded."""
    try:
        return site.cluster.usage("pods", namespace)
    except (ClusterError, NotRecorded):
        return []


def autoscaler(site, namespace: str, release: str) -> pd.DataFrame:
    """The autoscaler as it stands, one row a fact: ``fact``, ``value``. No rows if there is none."""
    hpa = site.cluster.get("HorizontalPodAutoscaler", release, namespace)
    rows = []
    if hpa:
        spec, status = hpa["spec"], hpa.get("status", {})
        behaviour = spec.get("behavior", {})
        rows = [("replicas, fewest", spec.get("minReplicas", 1)), ("replicas, most", spec["maxReplicas"]),
                ("target, % of the CPU request", target_of(hpa)), ("measured, % of the CPU request", measured_of(hpa)),
                ("replicas now", status.get("currentReplicas", 0)), ("replicas wanted", status.get("desiredReplicas", 0)),
                ("waits before fewer (s)", behaviour.get("scaleDown", {}).get("stabilizationWindowSeconds", 300))]
        rows += [(c["type"], f"{c['status']}: {c.get('reason', '')}") for c in status.get("conditions", [])]
    return pd.DataFrame(rows, columns=["fact", "value"])


def target_of(hpa: dict) -> int | None:
    """The CPU target of an autoscaler, percent of the request."""
    return next((m["resource"]["target"].get("averageUtilization") for m in hpa["spec"].get("metrics", [])
                 if m["type"] == "Resource" and m["resource"]["name"] == "cpu"), None)


def measured_of(hpa: dict | None) -> int | None:
    """What the autoscaler last measured, percent of the request; None while it measures nothing."""
    now = ((hpa or {}).get("status") or {}).get("currentMetrics") or []
    return next((m["resource"]["current"].get("averageUtilization") for m in now if m.get("resource", {}).get("name") == "cpu"), None)


def room(site, without: str = "") -> pd.DataFrame:
    """The nodes' room for requests, in the scheduler's terms.

    Args:
        without: a namespace whose pods are left out, because it is theirs that we want to size.

    Returns:
        One row a node that takes pods: ``node``, ``cpu_m``, ``cpu_free_m`` (millicores), ``memory_mib``, ``memory_free_mib``, ``pods_free``.
    """
    nodes = [n for n in site.cluster.list("Node") if not n["spec"].get("unschedulable")]
    running = [p for p in site.cluster.list("Pod") if p.get("status", {}).get("phase") in ("Pending", "Running")
               and p["metadata"]["namespace"] != without]
    rows = []
    for node in nodes:
        name, has = node["metadata"]["name"], node["status"]["allocatable"]
        here = [p for p in running if p["spec"].get("nodeName") == name]
        asked = [[quantity(c.get("resources", {}).get("requests", {}).get(what, 0)) for p in here for c in p["spec"]["containers"]]
                 for what in ("cpu", "memory")]
        cpu, memory = quantity(has["cpu"]) * 1000, quantity(has["memory"]) / MIB
        rows.append((name, cpu, cpu - 1000 * sum(asked[0]), memory, memory - sum(asked[1]) / MIB, int(quantity(has["pods"])) - len(here)))
    return pd.DataFrame(rows, columns=["node", "cpu_m", "cpu_free_m", "memory_mib", "memory_free_mib", "pods_free"])


def fits(room: pd.DataFrame, replicas: int, cpu: str, memory: str) -> bool:
    """Do so many replicas find room on the nodes of :func:`room`? ``cpu`` and ``memory`` are what each requests."""
    by_cpu, by_memory = room["cpu_free_m"] // (quantity(cpu) * 1000), room["memory_free_mib"] // (quantity(memory) / MIB)
    return int(pd.concat([by_cpu, by_memory, room["pods_free"]], axis=1).min(axis=1).clip(lower=0).sum()) >= replicas


def scales(autoscaler: pd.DataFrame) -> bool:
    """Does an autoscaler (:func:`autoscaler`) measure the CPU and act on it?"""
    told = autoscaler.set_index("fact")["value"]
    return str(told.get("ScalingActive", "")).startswith("True") and told.get("measured, % of the CPU request") is not None


def replaced(before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Is every pod of ``after`` (:func:`pods`) another than those of ``before``, and ready?"""
    return len(after) > 0 and not set(before["pod"]) & set(after["pod"]) and bool(after["ready"].all())


def obstacle(deployment: dict, pods: list[dict]) -> str:
    """Why a replica that is wanted does not come, in Kubernetes' words: a quota or another refusal, or no room; "" if nothing says so."""
    refused = [c["message"] for c in deployment.get("status", {}).get("conditions", []) if c["type"] == "ReplicaFailure" and c["status"] == "True"]
    waiting = [c.get("message", "") for p in pods for c in p.get("status", {}).get("conditions", [])
               if c["type"] == "PodScheduled" and c["status"] == "False"]
    return next(iter(refused + waiting), "")


def sample(site, namespace: str, release: str) -> dict:
    """One look at the tier: the columns of :data:`SAMPLE`; ``at`` in seconds since the epoch.

    ``cpu_m`` and ``request_m`` are sums over the pods that are measured, so their quotient is what the autoscaler goes by;
    metrics-server measures every 15 s by default, so they are steps. ``measured`` counts these pods. ``memory_mib`` is that of the largest pod.
    """
    workload = site.cluster.get("Deployment", release, namespace) or {"spec": {}}
    found = [p for p in site.cluster.list("Pod", namespace, selector=selector(release)) if "deletionTimestamp" not in p["metadata"]]
    used = {u["name"]: u for u in usage(site, namespace)}
    measured = [p for p in found if p["metadata"]["name"] in used]
    nodes = site.cluster.usage("nodes")
    cores = sum(quantity(n["status"]["allocatable"]["cpu"]) for n in site.cluster.list("Node"))
    return {
        "at": time.time(), "wanted": workload["spec"].get("replicas", 0), "ready": sum(map(is_ready, found)),
        "pending": sum(p.get("status", {}).get("phase") == "Pending" for p in found),
        "measured": len(measured), "cpu_m": 1000 * sum(used[p["metadata"]["name"]]["cpu"] for p in measured),
        "request_m": sum(requests_m(p)[0] for p in measured),
        "memory_mib": max((used[p["metadata"]["name"]]["memory"] / MIB for p in measured), default=float("nan")),
        "node_share": sum(n["cpu"] for n in nodes) / cores if cores else float("nan"), "obstacle": obstacle(workload, found),
    }


class Watch:
    """Looks at a tier each second while a ``with`` block runs. A look that fails is counted and left out.

    Attributes:
        missed: looks that failed.
    """

    def __init__(self, site, namespace: str, release: str, every: float = 1):
        self._look = lambda: sample(site, namespace, release)
        self._every, self._over, self._rows, self.missed = every, threading.Event(), [], 0

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                self._rows.append(self._look())
            except ClusterError:
                self.missed += 1
            self._over.wait(max(0.0, self._every - (time.monotonic() - begun)))

    def frame(self, began: float) -> pd.DataFrame:
        """What was seen: columns of :data:`SAMPLE`; ``at`` in seconds since ``began`` (seconds since the epoch)."""
        table = pd.DataFrame(self._rows, columns=list(SAMPLE)).astype(SAMPLE)
        return table.assign(at=table["at"] - began)
