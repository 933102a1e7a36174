"""Pods: made from a template, put on a node, and brought to the state that the recorded cluster would bring them to."""

from runbook.cluster.quantity import quantity
from runbook.cluster.transport import ApiFailure
from runbook.rehearsal import defaults, faults, laying, podsecurity, quota
from runbook.rehearsal.pod_defaults import NOT_READY
from runbook.rehearsal.schema import failure
from runbook.rehearsal.state import new_uid, now, seed, suffix
from runbook.rehearsal.trouble import trouble_of
from runbook.rehearsal.values import at, clone
from runbook.rehearsal.world import World

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SOURCES = [
    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
    {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
    {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}},
]


def make(world: World, owner: dict, template: dict, name: str, labels: dict | None = None, spec: dict | None = None) -> dict | None:
    """A pod of a controller, not yet scheduled; ``None`` when admission refuses it, which its owner's events then tell."""
    meta = clone(template.get("metadata") or {})
    meta["labels"] = {**(meta.get("labels") or {}), **(labels or {})}
    parts = {"metadata": {**{k: v for k, v in meta.items() if v}, "generateName": f"{owner['metadata']['name']}-", "generation": 1},
             "spec": {**clone(template["spec"]), **(spec or {})}, "status": {"phase": "Pending"}}
    component = {"StatefulSet": "statefulset-controller", "ReplicaSet": "replicaset-controller", "DaemonSet": "daemonset-controller",
                 "Job": "job-controller"}[owner["kind"]]
    own = owner["metadata"]["name"]
    pod = {"apiVersion": "v1", "kind": "Pod", **parts, "metadata": {**parts["metadata"], "name": name, "namespace": owner["metadata"]["namespace"]}}
    try:
        admit(world, pod)
    except ApiFailure as refusal:
        told = f"Create Pod {name} in StatefulSet {own} failed error: {refusal.message}" if owner["kind"] == "StatefulSet" else (
            f"Error creating: {refusal.message}")
        if not any(e["involvedObject"].get("uid") == owner["metadata"]["uid"] and e["message"].endswith(refusal.message.partition('" is ')[2])
                   for e in world.all("Event", owner["metadata"]["namespace"])):
            world.event(owner, "Warning", "FailedCreate", told, component)
        return None
    pod = world.create("v1", "Pod", name, owner["metadata"]["namespace"], owner, metadata=pod["metadata"], spec=pod["spec"], status=pod["status"])
    text = f"Create Pod {name} in StatefulSet {own} successful" if owner["kind"] == "StatefulSet" else f"Created pod: {name}"
    world.event(owner, "Normal", "SuccessfulCreate", text, component)
    return pod


def admit(world: World, pod: dict) -> None:
    """What admission adds to a pod: defaults, its service account's token, tolerations, limits of the namespace, its class.

    Raises:
        ApiFailure: 403, the namespace's pod security level or a quota forbids it.
    """
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    _limit(world, pod)
    defaults.pod(pod)
    wanted = world.get("PriorityClass", spec.get("priorityClassName") or "")
    if wanted:
        spec["priority"], spec["preemptionPolicy"] = wanted["value"], wanted.get("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for toleration in NOT_READY:
        if not any(t.get("key") in (toleration["key"], None) and t.get("effect") in (toleration["effect"], None) for t in tolerations):
            tolerations.append(dict(toleration))
    account = world.get("ServiceAccount", spec["serviceAccountName"], namespace) or {}
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)) and not any(
            v["name"].startswith("kube-api-access-") for v in spec.get("volumes") or []):
        volume = f"kube-api-access-{suffix()}"
        spec.setdefault("volumes", []).append({"name": volume, "projected": {"defaultMode": 420, "sources": clone(TOKEN_SOURCES)}})
        for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
            container.setdefault("volumeMounts", []).append({"mountPath": TOKEN, "name": volume, "readOnly": True})
    pod["status"] = {"phase": "Pending", "qosClass": quality(spec)}
    level = (at(world.get("Namespace", namespace), "metadata", "labels") or {}).get(podsecurity.LABEL, "privileged")
    broken = podsecurity.violations(level, pod)
    if broken:
        name = pod["metadata"]["name"]
        raise failure(403, f"pods \"{name}\" is forbidden: violates PodSecurity \"{level}:latest\": {broken}", "Forbidden", {"name": name, "kind": "pods"})
    quota.check(world, pod)


def _limit(world: World, pod: dict) -> None:
    """What the namespace's limits give to containers that ask for nothing; noted in an annotation, as the API server notes it."""
    notes = []
    limits = [one for found in world.all("LimitRange", pod["metadata"]["namespace"]) for one in found["spec"]["limits"] if one["type"] == "Container"]
    for kind, containers in (("container", pod["spec"]["containers"]), ("init container", pod["spec"].get("initContainers") or [])):
        for container in containers if limits else ():
            for part, source in (("requests", "defaultRequest"), ("limits", "default")):
                given = {k: v for one in limits for k, v in (one.get(source) or {}).items()}
                missing = sorted(set(given) - set(at(container, "resources", part, default={})))
                if missing:
                    container.setdefault("resources", {}).setdefault(part, {}).update({k: given[k] for k in missing})
                    notes.append(f"{', '.join(missing)} {part.removesuffix('s')} for {kind} {container['name']}")
    if notes:
        pod["metadata"].setdefault("annotations", {})["kubernetes.io/limit-ranger"] = f"LimitRanger plugin set: {'; '.join(notes)}"


def quality(spec: dict) -> str:
    """``Guaranteed``, ``Burstable`` or ``BestEffort``."""
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    kinds = [{(part, r): quantity(v) for part in ("requests", "limits") for r, v in (at(c, "resources", part) or {}).items() if r in ("cpu", "memory")}
             for c in containers]
    if not any(kinds):
        return "BestEffort"
    same = all(k.get(("limits", r)) is not None and k.get(("requests", r)) == k.get(("limits", r)) for k in kinds for r in ("cpu", "memory"))
    return "Guaranteed" if same else "Burstable"


def requested(spec: dict, resource: str) -> float:
    """What the scheduler counts for a pod: its containers' sum (with restartable init containers), or its largest init container."""
    one = lambda c: quantity(at(c, "resources", "requests", resource, default=0))
    sidecars = sum(one(c) for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always")
    return max([sum(one(c) for c in spec["containers"]) + sidecars,
                *(one(c) + sidecars for c in spec.get("initContainers") or [] if c.get("restartPolicy") != "Always")])


def settle(world: World, pod: dict) -> None:
    """Bring a pod to the state it would come to: running and ready, ended, or in the trouble that is its own."""
    if at(pod, "status", "phase") in ("Running", "Succeeded", "Failed"):
        return
    ill = faults.upon(world, pod)
    if ill:
        laying.graft(world, pod, *ill)
        return
    trouble = trouble_of(world, pod)
    if trouble:
        trouble.show(world, pod)
        return
    node = world.get("Node", pod["spec"].get("nodeName") or "") or world.nodes()[0]
    if not pod["spec"].get("nodeName"):
        pod["spec"]["nodeName"] = node["metadata"]["name"]
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        world.event(pod, "Normal", "Scheduled", f"Successfully assigned {where} to {node['metadata']['name']}", "default-scheduler")
    ends = pod["spec"]["restartPolicy"] != "Always" and any(r["kind"] == "Job" for r in pod["metadata"].get("ownerReferences") or [])
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        world.event(pod, "Normal", "Pulled", f"Container image \"{container['image']}\" already present on machine and can be accessed by the pod", "kubelet")
        world.event(pod, "Normal", "Created", "Container created", "kubelet")
        world.event(pod, "Normal", "Started", "Container started", "kubelet")
    world.set_status(pod, running(world, pod, node, ends))


def running(world: World, pod: dict, node: dict, ends: bool = False) -> dict:
    """The status of a pod that runs and is ready; of one that ended well, if ``ends``."""
    spec, time = pod["spec"], now()
    ip = at(pod, "status", "podIP") or _pod_ip(world, spec, node)
    on, off = ("False", "PodCompleted") if ends else ("True", "")
    condition = lambda kind, status="True", reason="": {
        "lastProbeTime": None, "lastTransitionTime": time, "observedGeneration": pod["metadata"].get("generation", 1),
        **({"reason": reason} if reason else {}), "status": status, "type": kind}
    conditions = [condition("PodReadyToStartContainers", on), condition("Initialized", "True", off), condition("Ready", on, off),
                  condition("ContainersReady", on, off), condition("PodScheduled")]
    host = next((a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"), "")
    status = {"conditions": conditions, "hostIP": host, "hostIPs": [{"ip": host}], "observedGeneration": pod["metadata"].get("generation", 1),
              "phase": "Succeeded" if ends else "Running", "podIP": ip, "podIPs": [{"ip": ip}], "qosClass": quality(spec), "startTime": time,
              "containerStatuses": [container_status(c, time, ends) for c in spec["containers"]]}
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [container_status(c, time, c.get("restartPolicy") != "Always") | {"ready": True} for c in spec["initContainers"]]
    return status


def container_status(container: dict, time: str, ended: bool = False) -> dict:
    """One container that runs, or that ended with exit code 0."""
    image, image_id = image_of(container["image"])
    identity = f"containerd://{new_uid().replace('-', '')}{new_uid().replace('-', '')}"
    state = {"terminated": {"containerID": identity, "exitCode": 0, "finishedAt": time, "reason": "Completed", "startedAt": time}} if ended else {
        "running": {"startedAt": time}}
    status = {"containerID": identity, "image": image, "imageID": image_id, "lastState": {}, "name": container["name"], "ready": not ended,
              "resources": container.get("resources") or {}, "restartCount": 0, "started": not ended, "state": state}
    if at(container, "resources", "requests"):
        status["allocatedResources"] = container["resources"]["requests"]
    mounts = [m | ({"recursiveReadOnly": "Disabled"} if m.get("readOnly") else {}) for m in container.get("volumeMounts") or []]
    return status | ({"volumeMounts": mounts} if mounts else {})


def image_of(name: str) -> tuple[str, str]:
    """An image's full name, and its id where the recording has seen it."""
    first = name.split("/")[0]
    if "/" not in name:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    if "@" not in name and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return name, seed().get("images", {}).get(name, "")


def _pod_ip(world: World, spec: dict, node: dict) -> str:
    if spec.get("hostNetwork"):
        return next((a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"), "")
    number = world.address("pod")
    prefix = at(node, "spec", "podCIDR", default="10.42.0.0/24").rsplit(".", 2)[0]
    return f"{prefix}.{number // 250}.{number % 250 + 2}"
