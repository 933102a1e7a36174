"""Claims and volumes: the default class, binding, and what becomes of a volume when its claim goes."""

import re

from runbook.rehearsal.state import now
from runbook.rehearsal.values import at
from runbook.rehearsal.world import World

DEFAULT = "storageclass.kubernetes.io/is-default-class"


def admit(world: World, claim: dict) -> None:
    """A claim that names no class gets the default one; the newest where there are several."""
    if claim["spec"].get("storageClassName") is None:
        marked = [c for c in world.all("StorageClass") if (c["metadata"].get("annotations") or {}).get(DEFAULT) == "true"]
        if marked:
            claim["spec"]["storageClassName"] = max(marked, key=lambda c: c["metadata"]["creationTimestamp"])["metadata"]["name"]


def users(world: World, claim: dict) -> list[dict]:
    """The pods that mount a claim."""
    return [p for p in world.all("Pod", claim["metadata"]["namespace"]) if at(p, "status", "phase") not in ("Succeeded", "Failed") and any(
        at(v, "persistentVolumeClaim", "claimName") == claim["metadata"]["name"] for v in p["spec"].get("volumes") or [])]


def claims(world: World, namespace: str) -> None:
    for claim in world.all("PersistentVolumeClaim", namespace):
        if claim["metadata"].get("deletionTimestamp") and not users(world, claim):
            world.remove(claim)
    by_name = {at(v, "persistentVolumeClaim", "claimName"): pod for pod in world.all("Pod", namespace) for v in pod["spec"].get("volumes") or []}
    for claim in world.all("PersistentVolumeClaim", namespace):
        if claim["spec"].get("storageClassName") is None:
            admit(world, claim)
        if at(claim, "status", "phase") != "Bound":
            _bind(world, claim, by_name.get(claim["metadata"]["name"]))


def _bind(world: World, claim: dict, user: dict | None) -> None:
    wanted, meta = claim["spec"].get("storageClassName") or "", claim["metadata"]
    volume = _standing(world, claim)
    if volume:
        _join(world, claim, volume)
        return
    storage_class = world.get("StorageClass", wanted)
    if storage_class is None:
        if wanted:
            world.event(claim, "Warning", "ProvisioningFailed", f"storageclass.storage.k8s.io \"{wanted}\" not found", "persistentvolume-controller")
        else:
            world.event(claim, "Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set",
                        "persistentvolume-controller")
        return
    if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and user is None:
        world.event(claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding", "persistentvolume-controller")
        return
    provisioner = storage_class["provisioner"]
    if provisioner not in provisioners(world):
        world.event(claim, "Normal", "ExternalProvisioning", _waiting_for(provisioner), "persistentvolume-controller")
        return
    node = world.nodes()[0]["metadata"]["name"]
    name = f"pvc-{meta['uid']}"
    where = f"{meta['namespace']}/{meta['name']}"
    component = f"{provisioner}_rehearsal"
    world.event(claim, "Normal", "ExternalProvisioning", _waiting_for(provisioner), "persistentvolume-controller")
    world.event(claim, "Normal", "Provisioning", f"External provisioner is provisioning volume for claim \"{where}\"", component)
    world.event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}", component)
    folder = f"{_base(world)}/{name}_{meta['namespace']}_{meta['name']}"
    volume = world.create(
        "v1", "PersistentVolume", name, "",
        metadata={"annotations": {"local.path.provisioner/selected-node": node, "pv.kubernetes.io/provisioned-by": provisioner},
                  "finalizers": ["kubernetes.io/pv-protection"]},
        spec={"accessModes": claim["spec"]["accessModes"], "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
              "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
              "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                  {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
              "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"), "storageClassName": wanted, "volumeMode": "Filesystem"},
        status={"phase": "Pending"})
    meta.setdefault("annotations", {}).update({
        "volume.beta.kubernetes.io/storage-provisioner": provisioner, "volume.kubernetes.io/selected-node": node,
        "volume.kubernetes.io/storage-provisioner": provisioner})
    _join(world, claim, volume)


def _base(world: World) -> str:
    """Where the provisioner of the recorded cluster puts its volumes: its ConfigMap says so."""
    settings = at(world.get("ConfigMap", "local-path-config", "kube-system"), "data", "config.json", default="")
    found = re.search(r'"paths":\s*\[\s*"([^"]+)"', settings)
    return found[1] if found else "/var/lib/rancher/k3s/storage"


def provisioners(world: World) -> set[str]:
    """Provisioners that answer here: those of the classes that the rehearsal started with."""
    from runbook.rehearsal.state import seed

    return {o["provisioner"] for o in seed()["objects"] if o["kind"] == "StorageClass"}


def _waiting_for(provisioner: str) -> str:
    return (f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. "
            "If volume creation is delayed, please verify that the provisioner is running and correctly registered.")


def _standing(world: World, claim: dict) -> dict | None:
    """A volume that is there already: the one it names, or a free one that fits."""
    from runbook.cluster.quantity import quantity

    spec = claim["spec"]
    if spec.get("volumeName"):
        found = world.get("PersistentVolume", spec["volumeName"])
        mine = not at(found, "spec", "claimRef") or at(found, "spec", "claimRef", "uid") in (None, claim["metadata"]["uid"])
        return found if found and mine else None
    fits = [v for v in world.all("PersistentVolume") if at(v, "status", "phase") == "Available" and not at(v, "spec", "claimRef", "uid")
            and (v["spec"].get("storageClassName") or "") == (spec.get("storageClassName") or "")
            and set(spec["accessModes"]) <= set(v["spec"]["accessModes"])
            and quantity(v["spec"]["capacity"]["storage"]) >= quantity(spec["resources"]["requests"]["storage"])]
    return min(fits, key=lambda v: quantity(v["spec"]["capacity"]["storage"]), default=None)


def _join(world: World, claim: dict, volume: dict) -> None:
    meta = claim["metadata"]
    volume["spec"]["claimRef"] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta["name"], "namespace": meta["namespace"],
                                  "resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}
    volume["status"] = {"lastPhaseTransitionTime": now(), "phase": "Bound"}
    world.put(volume)
    meta.setdefault("annotations", {}).update({"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"})
    claim["spec"]["volumeName"] = volume["metadata"]["name"]
    claim["status"] = {"accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"], "phase": "Bound"}
    world.put(claim)


def volumes(world: World, namespace: str) -> None:
    """Free volumes are available; those whose claim is gone are deleted or released, as their policy says."""
    for volume in world.all("PersistentVolume"):
        reference = at(volume, "spec", "claimRef")
        phase = at(volume, "status", "phase")
        if not at(reference, "uid"):
            if phase in (None, "Pending"):
                volume["status"] = {"lastPhaseTransitionTime": now(), "phase": "Available"}
                world.put(volume)
            continue
        claim = world.get("PersistentVolumeClaim", reference["name"], reference["namespace"])
        if claim and claim["metadata"]["uid"] == reference["uid"]:
            continue
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            world.remove(volume)
        elif phase != "Released":
            volume["status"] = {"lastPhaseTransitionTime": now(), "phase": "Released"}
            world.put(volume)


