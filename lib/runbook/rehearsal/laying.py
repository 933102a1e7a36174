"""Laying a fault into the store, and lifting it again: its recorded objects, or its trouble put upon a workload that is there."""

import json

from runbook.rehearsal import links
from runbook.rehearsal.recordings import workload as workload_of
from runbook.rehearsal.state import new_uid, now
from runbook.rehearsal.values import at, clone
from runbook.rehearsal.world import BUILTIN, World

HASHES = ("controller-revision-hash", "pod-template-hash")


def lay(data: dict, fault: dict, namespace: str) -> None:
    """Put the objects and events in, as recorded but for namespace, uids and times."""
    objects = _fresh(fault, namespace)
    if not objects:
        return
    world = World(data)
    if namespace and not world.get("Namespace", namespace):
        world.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "uid": new_uid(), "creationTimestamp": now(),
                                                                         "labels": {"kubernetes.io/metadata.name": namespace}},
                   "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    for obj in objects:
        world.put(obj)
    links.settle(world, namespace)


def lift(data: dict, fault: dict, namespace: str) -> None:
    """Take its objects out, those that are still there."""
    world = World(data)
    for obj in fault.get("objects", []):
        found = world.table(BUILTIN[obj["kind"]]).get(f"{namespace if obj['metadata'].get('namespace') else ''}/{obj['metadata']['name']}")
        if found:
            world.remove(found)
    links.settle(world, namespace)


def _fresh(fault: dict, namespace: str) -> list[dict]:
    objects = clone(fault.get("objects", []))
    text = json.dumps(objects)
    if namespace and fault.get("namespace"):
        text = text.replace(f'"namespace": "{fault["namespace"]}"', f'"namespace": "{namespace}"').replace(f"{fault['namespace']}/", f"{namespace}/")
    for obj in objects:
        text = text.replace(obj["metadata"]["uid"], new_uid())
    fresh = json.loads(text)
    for obj in fresh:
        obj["metadata"]["creationTimestamp"] = now()
        for where in ("firstTimestamp", "lastTimestamp"):
            if obj.get(where):
                obj[where] = now()
    return fresh


# -- upon a workload ----------------------------------------------------------


def concerns(pod: dict, entry: dict) -> bool:
    """Whether a fault that is switched on upon a workload concerns this pod: the same workload, of the same template."""
    if not entry.get("workload") or pod["metadata"]["namespace"] != entry["namespace"]:
        return False
    kind, _, name = entry["workload"].partition("/")
    ours, is_name = workload_of(pod).split("/", 1)
    same = ours == kind and (is_name == name or kind == "StatefulSet" and is_name.rpartition("-")[0] == name)
    return same and (not entry.get("template") or template_of(pod) == entry["template"])


def template_of(pod: dict) -> str:
    labels = pod["metadata"].get("labels") or {}
    return next((labels[h] for h in HASHES if h in labels), "")


def graft(world: World, pod: dict, fault: dict, container: str = "") -> None:
    """Give a pod the status and the events of the recorded ill one, its names put in."""
    ill = next(o for o in fault["objects"] if o["kind"] == "Pod" and o["metadata"]["name"] == fault["pod"])
    sick = next((c for c in pod["spec"]["containers"] if c["name"] == container), pod["spec"]["containers"][0])
    was = ill["spec"]["containers"][0]
    names = ((ill["metadata"]["name"], pod["metadata"]["name"]), (f"_{ill['metadata']['namespace']}(", f"_{pod['metadata']['namespace']}("),
             (f"{ill['metadata']['namespace']}/", f"{pod['metadata']['namespace']}/"), (ill["metadata"]["uid"], pod["metadata"]["uid"]),
             (f"container={was['name']} ", f"container={sick['name']} "), (f"container {was['name']} ", f"container {sick['name']} "),
             (f"[{was['name']}]", f"[{sick['name']}]"), (f'"{was["image"]}', f'"{sick["image"]}'), (f'\\"{was["image"]}', f'\\"{sick["image"]}'))

    def put_in(value):
        text = json.dumps(value)
        for old, new in names:
            text = text.replace(old, new)
        return json.loads(text)

    status = put_in({k: v for k, v in ill["status"].items() if k in ("phase", "conditions", "startTime", "containerStatuses")})
    found = status.pop("containerStatuses", None)
    fresh = {**{k: v for k, v in (pod.get("status") or {}).items() if k in ("hostIP", "hostIPs", "podIP", "podIPs", "qosClass")}, **status}
    if found:
        from runbook.rehearsal.pods import container_status

        others = {c["name"]: c for c in at(pod, "status", "containerStatuses", default=[])}
        fresh["containerStatuses"] = [
            {**container_status(c, now()), **{k: found[0][k] for k in ("state", "lastState", "ready", "restartCount", "started") if k in found[0]}}
            if c is sick else others.get(c["name"]) or container_status(c, now()) for c in pod["spec"]["containers"]]
    if fresh.get("containerStatuses") and not pod["spec"].get("nodeName"):
        pod["spec"]["nodeName"] = world.nodes()[0]["metadata"]["name"]
    for event in (o for o in fault["objects"] if o["kind"] == "Event" and o["involvedObject"]["kind"] == "Pod"):
        told = put_in({k: event[k] for k in ("type", "reason", "message")})
        world.event(pod, told["type"], told["reason"], told["message"], event.get("source", {}).get("component") or event.get("reportingComponent", ""))
    pod["status"] = fresh
    world.put(pod)
