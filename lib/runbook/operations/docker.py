"""Docker inside the workspaces: modes tried on the node, then each workspace's daemon in the mode that works."""

import re

from runbook import docker
from runbook.docker import RECORD, RUNTIME_CLASS, Try
from runbook.errors import ClusterError, NotRecorded, ParameterError, RunbookError
from runbook.facts import docker as facts
from runbook.operations.cgroups import ensure_node, remove_node
from runbook.operations.objects import ensure_objects, stays
from runbook.operations.policies import enforced
from runbook.operations.together import Together
from runbook.operations.walls import EGRESS, LEVEL, ensure_walls, remove_walls
from runbook.operations.settle import settle
from runbook.params import Docker, Workspaces
from runbook.paths import charts
from runbook.plans import Change, Plan, plan_of
from runbook.workspaces import namespace

#: Reasons of a waiting container that do not mend themselves within a try.
HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError",
            "RunContainerError", "StartError"}
#: How the scheduler says that a node is full: for now, and no matter what the pod is.
FULL = re.compile(r"Insufficient (cpu|memory|pods|ephemeral-storage)|Too many pods")


def ensure_docker(site, workspaces: Workspaces, wanted: Docker) -> Plan:
    """The node prepared, the modes tried, and each workspace's daemon in the safest mode that works, behind its owner's walls.

    Tries create pods: they are changes, and their results are kept, so that a second run tries nothing. While no result is there,
    the daemons' changes cannot be told apart yet; they are one change, worked out when it is carried out.

    Raises:
        ParameterError: mode ``privileged`` without ``allow_privileged``.
    """
    if wanted.mode == "privileged" and not wanted.allow_privileged:
        raise ParameterError(f"docker.mode privileged: {docker.MODES['privileged']}",
                             do="set docker.allow_privileged to true if you accept that, or mode to auto")
    if site.cluster is None:  # before step 01
        return Plan()
    plan = ensure_node(site, wanted) if docker.to_try(wanted) else Plan()
    handler = _handler(site, plan)
    mode = docker.chosen(wanted, facts.tries(site, wanted, handler))
    if mode is not None:
        return plan + _daemons(site, workspaces, wanted, mode, handler)
    plan += ensure_objects(site.cluster, [_place(wanted)])
    return plan + plan_of([_tries(site, workspaces, wanted, handler), _later(site, workspaces, wanted, handler)])


def undo(site, wanted: Docker, delete_data: bool = False) -> Plan:
    """No daemon in any workspace, no walls of this step; images stay on their volumes unless ``delete_data``."""
    releases = [r for r in site.helm.releases() if r.chart == "workspace" and r.values.get("docker")]
    plan = plan_of(_release(site, r, {}, wanted, 300) for r in releases)
    walled = {p["metadata"]["namespace"] for p in site.cluster.list("NetworkPolicy") if p["metadata"]["name"] == EGRESS}
    for owner in sorted(where.removeprefix("ws-") for where in walled):
        plan += remove_walls(site, owner)
    changes: list[Change | None] = []
    if delete_data:
        claims = site.cluster.list("PersistentVolumeClaim", selector="app.kubernetes.io/component=docker")
        changes += [_delete(site, "PersistentVolumeClaim", c["metadata"]["name"], c["metadata"]["namespace"]) for c in claims]
    if stays(site.cluster, "Namespace", wanted.namespace):
        changes.append(_delete(site, "Namespace", wanted.namespace, ""))
    return plan + plan_of(changes + remove_node(site))


# -- trying ----------------------------------------------------------------


def try_mode(site, wanted: Docker, mode: str, handler: str = "") -> Try:
    """Run a container in a pod of this mode; the pod is deleted again.

    Raises:
        RunbookError: no node had room for the pod: that says nothing of the mode, so nothing is kept.
    """
    pod = docker.pod(mode, wanted, handler)
    name, where = pod["metadata"]["name"], wanted.namespace
    _gone(site, name, where)
    try:
        try:
            site.cluster.apply(pod)
        except ClusterError as error:
            return Try(mode, False, "admission", docker.plain(error.what))
        try:
            site.cluster.wait("Pod", name, where, until=_running, fail_on=lambda obj: _refused(site, obj), timeout=wanted.timeout,
                              what=f"the try of mode {mode}")
        except ClusterError as error:
            _no_room(site, mode, site.cluster.get("Pod", name, where))
            told = error.what.split(" failed: ", 1)[-1].splitlines()[0]
            return Try(mode, False, docker.cause(error.what), told)
        result = site.cluster.exec(name, ["sh", "-c", docker.script(), "try", str(wanted.timeout // 2)], where, "docker",
                                   timeout=wanted.timeout, check=False)
        return docker.understood(mode, result.stdout + result.stderr)
    except NotRecorded:
        return Try(mode, False, "not recorded", "the rehearsal has no recording of this try")
    finally:
        site.cluster.delete("Pod", name, where)


def _no_room(site, mode: str, pod: dict | None) -> None:
    scheduled = next((c for c in (pod or {}).get("status", {}).get("conditions", []) if c["type"] == "PodScheduled"), {})
    if scheduled.get("status") == "False" and FULL.search(scheduled.get("message", "")):
        raise RunbookError(f"docker mode {mode} could not be tried: {scheduled['message']}", do="stop a workspace, then run the step again",
                           fix="90-diagnose")


def _tries(site, workspaces: Workspaces, wanted: Docker, handler: str) -> Change:
    modes = docker.to_try(wanted)

    def perform():
        kept = {}
        for mode in modes:
            found = try_mode(site, wanted, mode, handler)
            print(f"mode {mode}: {'a container runs' if found.ran else 'refused, ' + found.why}", flush=True)
            kept[mode] = found.text()
            if found.ran:
                break
        kept["policies"] = enforced(site, wanted.namespace, workspaces.image)
        kept["of"] = docker.fingerprint(site.cluster.list("Node"), wanted, handler)
        site.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RECORD, "namespace": wanted.namespace}, "data": kept})

    return Change("run", "Try", " then ".join(modes), perform, note="stops at the first that works; its pods are deleted again",
                  parts=tuple(Change("create", "Pod", f"{wanted.namespace}/try-{mode}", note=docker.MODES[mode]) for mode in modes),
                  undo=f"kubectl delete namespace {wanted.namespace}")


def _later(site, workspaces: Workspaces, wanted: Docker, handler: str) -> Change:
    def perform():
        mode = docker.chosen(wanted, facts.tries(site, wanted, handler))
        for change in _daemons(site, workspaces, wanted, mode or "none", handler):
            print(f"{change.title} …", flush=True)
            change.perform()

    titles = [f"{namespace(w.owner)}/{w.name}" for w in workspaces.list]
    return Change("run", "Daemons", ", ".join(titles), perform, note="in the mode that the tries find; then this plan shows each change")


def _running(pod: dict | None) -> bool:
    return bool(pod) and any(c.get("state", {}).get("running") for c in pod.get("status", {}).get("containerStatuses", []))


def _refused(site, pod: dict) -> str:
    """Why a pod's container will not start; empty while it may."""
    for c in pod.get("status", {}).get("containerStatuses", []):
        state = c.get("state", {})
        waiting, ended = state.get("waiting", {}), state.get("terminated")
        if waiting.get("reason") in HOPELESS:
            return f"{waiting['reason']}: {waiting.get('message', '')}"
        if ended:
            return f"{ended.get('reason', 'ended')}: {ended.get('message', '') or 'exit code ' + str(ended.get('exitCode'))}"
    told = [e for e in site.cluster.events(pod["metadata"]["namespace"], of=f"Pod/{pod['metadata']['name']}")
            if e.get("reason") in ("FailedCreatePodSandBox", "FailedScheduling", "FailedMount") and not FULL.search(e.get("message", ""))]
    return f"{told[-1]['reason']}: {told[-1].get('message', '')}" if told else ""


# -- daemons ---------------------------------------------------------------


def _daemons(site, workspaces: Workspaces, wanted: Docker, mode: str, handler: str) -> Plan:
    asked = [r for w in workspaces.list if (r := site.helm.release(w.name, namespace(w.owner)))]
    plan = Plan()
    for owner in sorted({r.namespace.removeprefix("ws-") for r in asked}):
        plan += ensure_walls(site, owner, mode, wanted)
    together, values = Together(), docker.values(mode, wanted, handler)
    timeout = max(workspaces.timeout, wanted.timeout)
    changes = [_release(site, r, values, wanted, timeout) or _restart(site, r, timeout) for r in asked]
    return plan + plan_of(change and together.add(change) for change in changes)


def _restart(site, release, timeout: int) -> Change | None:
    """A pod that is older than its namespace's default limits goes on without them: it is made anew."""
    name, where = f"{release.name}-0", release.namespace
    pod = site.cluster.get("Pod", name, where)
    bare = [c["name"] for c in (pod or {"spec": {"containers": []}})["spec"]["containers"]
            if "ephemeral-storage" not in c.get("resources", {}).get("limits", {})]
    if not bare:
        return None

    def perform():
        site.cluster.delete("Pod", name, where)
        site.cluster.wait("Pod", name, where, until=lambda obj: obj is None or obj["metadata"]["uid"] != pod["metadata"]["uid"], timeout=120,
                          what=f"the old pod {name} to be gone")
        settle(site, release.name, where.removeprefix("ws-"), timeout)

    return Change("run", "Restart", f"{where}/{release.name}", perform, note=f"so that {', '.join(bare)} get their limit of disk")


def _release(site, live, values: dict, wanted: Docker, timeout: int) -> Change | None:
    owner = live.namespace.removeprefix("ws-")
    kept = {k: v for k, v in live.values.items() if k != "docker"}
    return site.helm.ensure(charts() / "workspace", live.name, live.namespace, kept | ({"docker": values} if values else {}), timeout=timeout,
                            settle=lambda: settle(site, live.name, owner, timeout))


def _handler(site, plan: Plan) -> str:
    planned = any(c.kind == "RuntimeClass" for c in plan)
    return RUNTIME_CLASS if planned or site.cluster.get("RuntimeClass", RUNTIME_CLASS) else ""


def _place(wanted: Docker) -> dict:
    labels = {"app.kubernetes.io/managed-by": "runbook", LEVEL: "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace, "labels": labels}}


def _gone(site, name: str, where: str) -> None:
    if site.cluster.get("Pod", name, where):
        site.cluster.delete("Pod", name, where)
        site.cluster.wait("Pod", name, where, until=lambda obj: obj is None, timeout=60, what=f"the earlier pod {name} to be gone")


def _delete(site, kind: str, name: str, where: str) -> Change:
    return Change("delete", kind, f"{where}/{name}" if where else name, lambda: site.cluster.delete(kind, name, where))
