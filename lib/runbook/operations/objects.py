"""The library's own Kubernetes objects, applied server-side with field manager ``runbook``."""

from runbook.cluster import Cluster, title
from runbook.plans import Change, Plan, diff, plan_of


def ensure_objects(cluster: Cluster, objects: list[dict]) -> Plan:
    """Bring objects to what is asked: live compared with a dry-run apply.

    An object whose namespace the same plan creates cannot be checked by the server, which is not asked then; its change says so.

    Raises:
        FieldConflict: another manager owns a field; named with its owner.
    """
    planned = {o["metadata"]["name"] for o in objects if o["kind"] == "Namespace"}
    absent = {name for name in planned if cluster.get("Namespace", name) is None}
    return plan_of(ensure_object(cluster, obj, absent) for obj in objects)


def ensure_object(cluster: Cluster, obj: dict, planned_namespaces: set[str] = frozenset()) -> Change | None:
    """The change that brings one object to what is asked, or ``None`` if it is so already.

    Args:
        planned_namespaces: those that are not there yet, and that the same plan creates.
    """
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    name = title(obj).split(" ", 1)[1]
    if namespace in planned_namespaces:
        live, wanted, note = None, obj, "not server-checked: its namespace is created by the same plan"
    else:
        live, note = cluster.get(f"{obj['apiVersion']}/{obj['kind']}", meta["name"], namespace), ""
        wanted = cluster.apply(obj, dry_run=True)
    fields = diff(live, wanted)
    if live is not None and not fields:
        return None
    return Change("create" if live is None else "update", obj["kind"], name, lambda: cluster.apply(obj), fields, note=note,
                  undo=f"kubectl delete {obj['kind'].lower()} {meta['name']}" + (f" -n {namespace}" if namespace else "") if live is None else "")


def delete_objects(cluster: Cluster, objects: list[dict]) -> Plan:
    """Delete those of the objects that exist and are not being deleted already."""
    return plan_of(_delete(cluster, obj) for obj in objects)


def stays(cluster: Cluster, kind: str, name: str, namespace: str = "") -> bool:
    """Whether there is such an object, and it is not being deleted already."""
    found = cluster.get(kind, name, namespace)
    return found is not None and "deletionTimestamp" not in found["metadata"]


def _delete(cluster: Cluster, obj: dict) -> Change | None:
    kind, meta = f"{obj['apiVersion']}/{obj['kind']}", obj["metadata"]
    namespace = meta.get("namespace", "")
    if not stays(cluster, kind, meta["name"], namespace):
        return None
    return Change("delete", obj["kind"], title(obj).split(" ", 1)[1], lambda: cluster.delete(kind, meta["name"], namespace))
