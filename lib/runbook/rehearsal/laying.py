"""Laying a fault's recorded objects into the store, and lifting them again."""

import json

from runbook.rehearsal import links
from runbook.rehearsal.state import new_uid, now
from runbook.rehearsal.values import clone
from runbook.rehearsal.world import BUILTIN, World


def lay(data: dict, fault: dict, namespace: str) -> None:
    """Put the objects and events in, as recorded but for namespace, uids and times. Pods among them stay as they are."""
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
        if obj["kind"] == "Pod":
            data["frozen"].append(obj["metadata"]["uid"])
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
        for where in ("creationTimestamp",):
            obj["metadata"][where] = now()
        for where in ("firstTimestamp", "lastTimestamp"):
            if obj.get(where):
                obj[where] = now()
    return fresh
