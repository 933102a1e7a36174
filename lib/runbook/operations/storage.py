"""Storage that keeps data: our class, volumes that outlive their claim, growth, and what becomes of released volumes."""

from runbook.cluster import quantity
from runbook.errors import ParameterError
from runbook.facts import storage as facts
from runbook.facts.workspaces import SELECTOR
from runbook.operations.objects import ensure_object
from runbook.operations.released import delete_claim, remove, set_policy
from runbook.params import Storage
from runbook.plans import Change, Field, Plan, plan_of
from runbook.workspaces import OWNER, WORKSPACE

FIX = "93-storage-stuck"
GROWTH_SECONDS = 180
#: Each volume has a folder of its own below that of its claim, so that a claim made anew never finds, unasked, what an older one left.
#: A path must begin with namespace and claim: README of rancher/local-path-provisioner, "Storage classes"; there since v0.0.27.
LAYOUT = "{{ .PVC.Namespace }}/{{ .PVC.Name }}/{{ .PVName }}"
#: As in k3s's own class: a `local` volume whose folder is gone fails to mount, where `hostPath` would begin anew with an empty one.
VOLUME_TYPE = {"defaultVolumeType": "local"}
FIXED = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")  #: fields of a class that nothing can change


def ensure_storage(site, wanted: Storage) -> Plan:
    """Our class, and the volumes of workspaces kept when their claim goes.

    Raises:
        ParameterError: the cluster has no class to take the provisioner from, or a class of our name is another's.
    """
    if site.cluster is None:  # before step 01
        return plan_of([])
    classes = site.cluster.list("StorageClass")
    live = next((c for c in classes if c["metadata"]["name"] == wanted.class_name), None)
    obj = storage_class(wanted, _source(classes, wanted))
    differs = [k for k in FIXED if live and live.get(k) != obj.get(k)]
    if differs:
        raise ParameterError(f"StorageClass {wanted.class_name}: {', '.join(differs)} differ from what we want, and cannot be changed",
                             do="choose another storage.class_name; volumes of the old class stay as they are", fix=FIX)
    changes = [ensure_object(site.cluster, obj)]
    if wanted.make_default:
        changes += [_not_default(site, c) for c in classes if facts.is_default(c) and c["metadata"]["name"] != wanted.class_name]
    if wanted.retain_existing:
        changes += [_retain(site, row) for row in facts.volumes(site).itertuples() if row.workspace and row.state == "Bound"]
    return plan_of(changes)


def storage_class(wanted: Storage, source: dict) -> dict:
    """Our class, made after the one of ``source``: its provisioner and parameters, but what it holds is kept."""
    local = source["provisioner"] == facts.LOCAL_PATH
    annotations = (VOLUME_TYPE if local else {}) | ({facts.DEFAULT: "true"} if wanted.make_default else {})
    parameters = dict(source.get("parameters") or {}) | ({"pathPattern": LAYOUT} if local else {})
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": wanted.class_name, "labels": {"app.kubernetes.io/managed-by": "runbook", "app.kubernetes.io/part-of": "runbook"}}
        | ({"annotations": annotations} if annotations else {}),
        "provisioner": source["provisioner"], "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
    } | ({"parameters": parameters} if parameters else {}) | ({"allowVolumeExpansion": True} if source.get("allowVolumeExpansion") else {})


def _source(classes: list[dict], wanted: Storage) -> dict:
    """The class to take the provisioner from: the default, else the only one."""
    others = [c for c in classes if c["metadata"]["name"] != wanted.class_name]
    found = [c for c in others if facts.is_default(c)] or others or classes
    if not found:
        raise ParameterError("the cluster has no StorageClass, so nothing makes volumes", do="install a provisioner; k3s brings local-path", fix=FIX)
    return min(found, key=lambda c: (not facts.is_default(c), c["metadata"]["name"]))


def _not_default(site, obj: dict) -> Change:
    name = obj["metadata"]["name"]
    body = {"metadata": {"annotations": {facts.DEFAULT: "false"}}}
    return Change("update", "StorageClass", name, lambda: site.cluster.patch("StorageClass", name, "", body),
                  (Field(f"metadata.annotations.{facts.DEFAULT}", "true", "false"),), undo=f"set {facts.DEFAULT} of {name} to true again")


def _retain(site, row) -> Change | None:
    """A volume that is kept when its claim goes."""
    if row.policy == "Retain":
        return None
    return Change("update", "PersistentVolume", row.volume, lambda: set_policy(site, row.volume, "Retain"),
                  (Field("spec.persistentVolumeReclaimPolicy", row.policy, "Retain"),), note=f"of {row.claim}",
                  undo=f"""kubectl patch pv {row.volume} -p '{{"spec":{{"persistentVolumeReclaimPolicy":"{row.policy}"}}}}'""")


def grow(site, wanted: Storage) -> Plan:
    """Larger claims, where their class can grow.

    Raises:
        ParameterError: no such claim, a smaller size, or a class that cannot grow; then what to do instead.
    """
    if site.cluster is None or not wanted.grow:
        return plan_of([])
    classes = {c["metadata"]["name"]: c for c in site.cluster.list("StorageClass")}
    return plan_of(_grow(site, classes, claim, size) for claim, size in wanted.grow.items())


def _grow(site, classes: dict, title: str, size: str) -> Change | None:
    namespace, _, name = title.partition("/")
    claim = site.cluster.get("PersistentVolumeClaim", name, namespace)
    if claim is None:
        raise ParameterError(f"claim {title}: there is none", do="see the table of volumes", fix=FIX)
    has = claim["spec"]["resources"]["requests"]["storage"]
    if quantity(size) == quantity(has):
        return None
    if quantity(size) < quantity(has):
        raise ParameterError(f"claim {title}: has {has}; a volume cannot shrink to {size}", do="back it up and restore it into a smaller one",
                             fix="20-backup-and-restore")
    storage_class = classes.get(claim["spec"].get("storageClassName", ""), {})
    if not storage_class.get("allowVolumeExpansion"):
        kind = storage_class.get("provisioner", "its class")
        why = "but it limits no size either: the claim may use what is free on the disk" if kind == facts.LOCAL_PATH else "so the size stays"
        raise ParameterError(f"claim {title}: {kind} cannot grow volumes, {why}", do="leave storage.grow empty for this claim; watch the disk instead")
    return Change("update", "PersistentVolumeClaim", title, lambda: _enlarge(site, name, namespace, size),
                  (Field("spec.resources.requests.storage", has, size),), note="volumes do not shrink again")


def _enlarge(site, name: str, namespace: str, size: str) -> None:
    """Ask for the size, and wait until the provisioner has given it; some give it when the workspace starts next."""
    site.cluster.patch("PersistentVolumeClaim", name, namespace, {"spec": {"resources": {"requests": {"storage": size}}}})

    def grown(claim):
        status = (claim or {}).get("status", {})
        pending = any(c["type"] == "FileSystemResizePending" and c["status"] == "True" for c in status.get("conditions", []))
        return pending or quantity(status.get("capacity", {}).get("storage", "0")) >= quantity(size)

    site.cluster.wait("PersistentVolumeClaim", name, namespace, until=grown, timeout=GROWTH_SECONDS,
                      what=f"claim {namespace}/{name} to have {size}, which its class says it can")


def undo(site, wanted: Storage, delete_data: bool = False) -> Plan:
    """Take step 03 back: no class of ours. The volumes stay with their data, or go with them, claims first, if ``delete_data``."""
    changes = []
    if delete_data:
        changes += [Change("delete", "PersistentVolume", row.volume, lambda row=row: _delete_with_claim(site, row), note=f"and its data, of {row.claim}")
                    for row in facts.volumes(site).itertuples() if row.volume and row.workspace]
    if site.cluster.get("StorageClass", wanted.class_name):
        changes.append(Change("delete", "StorageClass", wanted.class_name, lambda: site.cluster.delete("StorageClass", wanted.class_name),
                              note="volumes of it stay usable" if not delete_data else ""))
    return plan_of(changes)


def _delete_with_claim(site, row) -> None:
    """A volume gone with its folder, and before it the claim that has it, if that is still there."""
    where, _, name = row.claim.partition("/")
    claim = site.cluster.get("PersistentVolumeClaim", name, where)
    if claim and claim["spec"].get("volumeName") == row.volume:
        delete_claim(site, row.claim, row.workspace)
    remove(site, row.volume)


def refuse_in_use(site, going: set[str] = frozenset()) -> None:
    """Nobody's data are deleted under a workspace that is there, but for those of the owners who are ``going`` before.

    Raises:
        ParameterError: which workspaces, and what to do first.
    """
    there = [s["metadata"]["labels"] for s in site.cluster.list("StatefulSet", selector=SELECTOR)]
    using = sorted(f"{labels[OWNER]}/{labels[WORKSPACE]}" for labels in there if labels[OWNER] not in going)
    if using:
        raise ParameterError(f"the users' data: workspaces have them in use: {', '.join(using)}",
                             do="delete these workspaces first (runbook undo 02 does so for the owners in workspaces.list), or keep the data")
