"""The library's own Kubernetes objects, applied server-side with field manager ``runbook``."""

from runbook.cluster import Cluster, title
from runbook.errors import NotFound
from runbook.plans import Change, Plan, diff, plan_of


def ensure_objects(cluster: Cluster, objects: list[dict]) -> Plan:
    """Bring objects to what is asked: live compared with a dry-run apply.

    An object whose namespace the same plan creates cannot be checked by the server; its change says so.

    Raises:
        FieldConflict: another manager owns a field; named with its owner.
    """
    planned = {o["metadata"]["name"] for o in objects if o["kind"] == "Namespace"}
    return plan_of(ensure_object(cluster, obj, planned) for obj in objects)


def ensure_object(cluster: Cluster, obj: dict, planned_namespaces: set[str] = frozenset()) -> Change | None:
    """The change that brings one object to what is asked, or ``None`` if it is so already."""
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    name = title(obj).split(" ", 1)[1]
    live = cluster.get(f"{obj['apiVersion']}/{obj['kind']}", meta["name"], namespace)
    note = ""
    try:
        wanted = cluster.apply(obj, dry_run=True)
    except NotFound:
        if namespace not in planned_namespaces:
            raise
        wanted, note = obj, "not server-checked: its namespace is created by the same plan"
    fields = diff(live, wanted)
    if live is not None and not fields:
        return None
    return Change("create" if live is None else "update", obj["kind"], name, lambda: cluster.apply(obj), fields, note=note,
                  undo=f"kubectl delete {obj['kind'].lower()} {meta['name']}" + (f" -n {namespace}" if namespace else "") if live is None else "")


def delete_objects(cluster: Cluster, objects: list[dict]) -> Plan:
    """Delete those of the objects that exist."""
    return plan_of(_delete(cluster, obj) for obj in objects)


def _delete(cluster: Cluster, obj: dict) -> Change | None:
    kind, meta = f"{obj['apiVersion']}/{obj['kind']}", obj["metadata"]
    namespace = meta.get("namespace", "")
    if cluster.get(kind, meta["name"], namespace) is None:
        return None
    return Change("delete", obj["kind"], title(obj).split(" ", 1)[1], lambda: cluster.delete(kind, meta["name"], namespace))
