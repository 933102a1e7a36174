"""What keeps a pod from running, found in the objects themselves: the same causes that a real cluster stumbles over.

Words and shapes: events and statuses of a v1.36.2 cluster, recorded in ``faults/``.
"""

from dataclasses import dataclass, field

from runbook.cluster.quantity import quantity
from runbook.rehearsal.state import now
from runbook.rehearsal.values import at, matches
from runbook.rehearsal.world import World

UNPULLABLE = ".invalid"  #: RFC 2606: no such registry, here as anywhere


@dataclass
class Trouble:
    """A pod that does not come up. ``waiting``: (reason, message) of its containers; ``events``: (type, reason, message, component)."""

    scheduled: bool = True
    waiting: tuple[str, str] | None = None
    containers: tuple[str, ...] = ()
    unschedulable: str = ""
    events: list[tuple[str, str, str, str]] = field(default_factory=list)

    def show(self, world: World, pod: dict) -> None:
        """Write it into the pod's status and events."""
        time, spec = now(), pod["spec"]
        condition = lambda kind, status, **more: {"lastProbeTime": None, "lastTransitionTime": time,
                                                  "observedGeneration": pod["metadata"].get("generation", 1), "status": status, "type": kind, **more}
        status = {"phase": "Pending", "qosClass": at(pod, "status", "qosClass", default="BestEffort")}
        if not self.scheduled:
            status["conditions"] = [condition("PodScheduled", "False", reason="Unschedulable", message=self.unschedulable)]
        else:
            if not spec.get("nodeName"):
                spec["nodeName"] = world.nodes()[0]["metadata"]["name"]
            names = [c["name"] for c in spec["containers"]]
            unready = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(names)}]"}
            status["conditions"] = [condition("PodReadyToStartContainers", "True"), condition("Initialized", "True"), condition("Ready", "False", **unready),
                                    condition("ContainersReady", "False", **unready), condition("PodScheduled", "True")]
            waiting = dict(zip(("reason", "message"), self.waiting)) if self.waiting else {"reason": "ContainerCreating"}
            status["containerStatuses"] = [
                {"image": c["image"], "imageID": "", "lastState": {}, "name": c["name"], "ready": False, "resources": c.get("resources") or {},
                 "restartCount": 0, "started": False,
                 "state": {"waiting": waiting if c["name"] in (self.containers or names) else {"reason": "ContainerCreating"}}} for c in spec["containers"]]
            status["startTime"] = at(pod, "status", "startTime") or time
        for event in self.events:
            world.event(pod, *event)
        world.set_status(pod, status)


def trouble_of(world: World, pod: dict) -> Trouble | None:
    """Why this pod would not run; ``None`` when nothing keeps it."""
    for look in (_unschedulable, _claims, _image, _references):
        found = look(world, pod)
        if found:
            return found
    return None


def _unscheduled(reason: str) -> Trouble:
    return Trouble(scheduled=False, unschedulable=reason, events=[("Warning", "FailedScheduling", reason, "default-scheduler")])


def _unschedulable(world: World, pod: dict) -> Trouble | None:
    from runbook.rehearsal.pods import requested

    spec = pod["spec"]
    if spec.get("nodeName"):
        return None
    nodes = world.nodes()
    total = len(world.all("Node"))
    wanted = spec.get("nodeSelector") or {}
    here = [n for n in nodes if all((n["metadata"].get("labels") or {}).get(k) == v for k, v in wanted.items()) and _affinity(spec, n)]
    none = f"no new claims to deallocate, preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
    if not nodes:
        return _unscheduled(f"0/{total} nodes are available: {total} node(s) were unschedulable. {none}")
    if not here:
        return _unscheduled(f"0/{total} nodes are available: {total} node(s) didn't match Pod's node affinity/selector. {none}")
    for node in here:
        there = [p for p in world.all("Pod") if at(p, "spec", "nodeName") == node["metadata"]["name"]
                 and at(p, "status", "phase") not in ("Succeeded", "Failed")]
        short = [r for r in ("cpu", "memory") if requested(spec, r) and
                 sum(requested(p["spec"], r) for p in there) + requested(spec, r) > quantity(node["status"]["allocatable"][r])]
        if len(there) + 1 > int(node["status"]["allocatable"]["pods"]):
            short.append("Too many pods")
        if not short:
            return None
    told = ", ".join(f"{total} {s}" if s == "Too many pods" else f"{total} Insufficient {s}" for s in short)
    over = any(requested(spec, r) > quantity(n["status"]["allocatable"][r]) for n in here for r in ("cpu", "memory"))
    victims = none if over else f"no new claims to deallocate, preemption: 0/{total} nodes are available: {total} No preemption victims found for incoming pod."
    return _unscheduled(f"0/{total} nodes are available: {told}. {victims}")


def _affinity(spec: dict, node: dict) -> bool:
    terms = at(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    return not terms or any(matches({"matchExpressions": t.get("matchExpressions") or []}, node["metadata"].get("labels")) for t in terms)


def _claims(world: World, pod: dict) -> Trouble | None:
    total = len(world.all("Node"))
    for volume in pod["spec"].get("volumes") or []:
        name = at(volume, "persistentVolumeClaim", "claimName")
        if not name:
            continue
        claim = world.get("PersistentVolumeClaim", name, pod["metadata"]["namespace"])
        if claim is None:
            return _unscheduled(f"0/{total} nodes are available: persistentvolumeclaim \"{name}\" not found. not found")
        if at(claim, "status", "phase") != "Bound":
            return _unscheduled(f"0/{total} nodes are available: pod has unbound immediate PersistentVolumeClaims. not found")
    return None


def _image(world: World, pod: dict) -> Trouble | None:
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        image = container["image"]
        registry = image.split("/")[0].split(":")[0]
        if registry.endswith(UNPULLABLE) and "/" in image:
            repository, _, tag = image.partition("/")[2].rpartition(":")
            asked = f"Head \"https://{registry}/v2/{repository or tag}/manifests/{tag if repository else 'latest'}\""
            why = (f"failed to pull and unpack image \"{image}\": failed to resolve image: failed to do request: {asked}: "
                   f"dial tcp: lookup {registry}: no such host")
            back = f"Back-off pulling image \"{image}\": ErrImagePull: {why}"
            return Trouble(waiting=("ImagePullBackOff", back), containers=(container["name"],), events=[
                ("Normal", "Pulling", f"Pulling image \"{image}\"", "kubelet"), ("Warning", "Failed", f"Failed to pull image \"{image}\": {why}", "kubelet"),
                ("Warning", "Failed", "Error: ErrImagePull", "kubelet"), ("Normal", "BackOff", f"Back-off pulling image \"{image}\"", "kubelet"),
                ("Warning", "Failed", "Error: ImagePullBackOff", "kubelet")])
    return None


def _references(world: World, pod: dict) -> Trouble | None:
    namespace = pod["metadata"]["namespace"]
    mounted = {m["name"] for c in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]] for m in c.get("volumeMounts") or []}
    for volume in [v for v in pod["spec"].get("volumes") or [] if v["name"] in mounted]:
        for kind, field_name, name in (("Secret", "secret", at(volume, "secret", "secretName")), ("ConfigMap", "configMap", at(volume, "configMap", "name"))):
            if name and not at(volume, field_name, "optional") and not world.get(kind, name, namespace):
                why = f"MountVolume.SetUp failed for volume \"{volume['name']}\" : {kind.lower()} \"{name}\" not found"
                return Trouble(events=[("Warning", "FailedMount", why, "kubelet")])
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        refs = [("Secret", at(e, "valueFrom", "secretKeyRef")) for e in container.get("env") or []]
        refs += [("ConfigMap", at(e, "valueFrom", "configMapKeyRef")) for e in container.get("env") or []]
        refs += [(k, e.get(f)) for e in container.get("envFrom") or [] for k, f in (("Secret", "secretRef"), ("ConfigMap", "configMapRef"))]
        for kind, ref in refs:
            if not ref or ref.get("optional"):
                continue
            found = world.get(kind, ref["name"], namespace)
            if found is None:
                why = f"{kind.lower()} \"{ref['name']}\" not found"
            elif ref.get("key") and ref["key"] not in {**(found.get("data") or {}), **(found.get("binaryData") or {})}:
                why = f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}"
            else:
                continue
            return Trouble(waiting=("CreateContainerConfigError", why), containers=(container["name"],),
                           events=[("Warning", "Failed", f"Error: {why}", "kubelet")])
    return None
