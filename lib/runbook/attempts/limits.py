"""Limits, by running against them: in a pod of its own beside the workspaces, so that none of them is disturbed; small, and bounded."""

import pandas as pd

from runbook.attempts import UNHEARD, table
from runbook.errors import ClusterError, NotRecorded
from runbook.params import Docker, Workspaces
from runbook.workspaces import namespace

POD, DISK_POD = "runbook-limits", "runbook-disk-limit"
MEMORY_MI, DISK_MI, CPU = 48, 16, "100m"
#: 160 MB in one process. The first process of the container: it is the one that the kernel ends.
HOG = "x=$(head -c 160000000 /dev/zero | tr '\\0' x); echo survived"
#: Processes that wait and do nothing, at most $1; then how many there are. A shell that can start no more ends.
FORKS = "mkfifo /tmp/f; (i=0; while [ $i -lt $1 ]; do (read x </tmp/f) >/dev/null & i=$((i + 1)); done) 2>/dev/null; set -- /proc/[0-9]*; echo processes $#"
#: Two loops for two seconds, then how often the group was held back.
SPIN = """for i in 1 2; do timeout 2 sh -c 'while :; do :; done' & done; wait
cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null | awk '/nr_throttled/ {print "throttled", $2}'"""
WRITE = f"head -c {DISK_MI * 4}m /dev/zero >/tmp/much; sleep 120"
NO_PIDS = "this node sets no limit of processes for a pod (kubelet's podPidsLimit); step 04 sets it where step 01 installed k3s"


def limits(site, owner: str, workspaces: Workspaces, wanted: Docker, pids_set: bool = False) -> pd.DataFrame:
    """Memory, CPU, processes and disk, each run against.

    Args:
        pids_set: step 04 has set the limit of processes on this node.

    Rows ``memory``, ``cpu``, ``processes``, ``disk``.
    """
    where = namespace(owner)
    try:
        pod = _run(site, pod_of(where, workspaces.image, wanted.pids + 64), lambda obj: _states(obj, 3), wanted.timeout)
        logs = {name: site.cluster.logs(POD, where, name) for name in ("cpu", "pids")}
        disk = _run(site, disk_pod(where, workspaces.image), lambda obj: obj.get("status", {}).get("phase") in ("Failed", "Succeeded"), wanted.timeout)
    except NotRecorded:
        return table([(name, True, "", UNHEARD) for name in ("memory", "cpu", "processes", "disk")])
    finally:
        for name in (POD, DISK_POD):
            site.cluster.delete("Pod", name, where)
    rows = [memory(pod), cpu(logs["cpu"]), processes(logs["pids"], wanted.pids, pids_set), written(disk)]
    if site.cluster.replayed:  # pods of the rehearsal meet no limit
        rows = [(name, True, said, site.cluster.replayed) for name, _, said, _ in rows]
    return table(rows)


def memory(pod: dict) -> tuple:
    """The hog was ended by the kernel."""
    ended = _ended(pod).get("memory", {})
    held = ended.get("reason") == "OOMKilled" or ended.get("exitCode") == 137
    return "memory", held, f"limit {MEMORY_MI}Mi: {ended.get('reason', 'still running')}, exit code {ended.get('exitCode', '–')}", ""


def cpu(log: str) -> tuple:
    """The loops were held back."""
    counts = [int(line.split()[1]) for line in log.splitlines() if line.startswith("throttled ")]
    return "cpu", any(counts) or not counts, f"limit {CPU}: held back {max(counts, default=0)} times", "" if counts else "the container sees no count of it"


def processes(log: str, limit: int, pids_set: bool) -> tuple:
    """Fewer processes were started than were asked for."""
    count = next((int(line.split()[1]) for line in log.splitlines() if line.startswith("processes ")), 0)
    held = 0 < count <= limit
    said = f"{count} processes of {limit + 64} asked for"
    # Without a limit nothing was to hold: that is the node's setting, not a wall that broke.
    return "processes", held or not pids_set, said, "" if held or pids_set else NO_PIDS


def written(pod: dict) -> tuple:
    """The pod that wrote too much was evicted."""
    status = pod.get("status", {})
    return "disk", status.get("reason") == "Evicted", f"limit {DISK_MI}Mi: {status.get('message') or status.get('phase', '')}", ""


def pod_of(where: str, image: str, forks: int) -> dict:
    """Three containers, each against one limit."""
    return _pod(POD, where, [
        _container("memory", image, ["sh", "-c", HOG], "500m", f"{MEMORY_MI}Mi"),
        _container("cpu", image, ["sh", "-c", SPIN], CPU, "32Mi"),
        _container("pids", image, ["sh", "-c", FORKS, "forks", str(forks)], "1", "1Gi")])


def disk_pod(where: str, image: str) -> dict:
    """One container that writes four times what it may."""
    return _pod(DISK_POD, where, [_container("disk", image, ["sh", "-c", WRITE], "200m", "64Mi", f"{DISK_MI}Mi")])


def _pod(name: str, where: str, containers: list[dict]) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": where, "labels": {"app.kubernetes.io/managed-by": "runbook"}},
            "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False,
                     "terminationGracePeriodSeconds": 1, "activeDeadlineSeconds": 300, "containers": containers}}


def _container(name: str, image: str, command: list[str], cpu: str, memory: str, disk: str = "1Gi") -> dict:
    return {"name": name, "image": image, "command": command, "resources": {
        "requests": {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "1Mi"},
        "limits": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk}}}


def _run(site, pod: dict, over, timeout: float) -> dict:
    name, where = pod["metadata"]["name"], pod["metadata"]["namespace"]
    site.cluster.delete("Pod", name, where)
    site.cluster.wait("Pod", name, where, until=lambda obj: obj is None, timeout=60, what=f"the earlier pod {name} to be gone")
    site.cluster.apply(pod)
    try:
        return site.cluster.wait("Pod", name, where, until=lambda obj: obj is not None and over(obj), timeout=timeout, what=f"pod {name} to meet its limits")
    except ClusterError:
        return site.cluster.get("Pod", name, where) or {}  # what it is then is what is judged


def _ended(pod: dict) -> dict[str, dict]:
    return {c["name"]: c.get("state", {}).get("terminated") or {} for c in pod.get("status", {}).get("containerStatuses", [])}


def _states(pod: dict, count: int) -> bool:
    return sum(bool(s) for s in _ended(pod).values()) == count
