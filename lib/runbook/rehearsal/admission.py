"""What the API server refuses or adds beyond the schema: fields that may not change, quotas, classes, addresses.

Words: those of a v1.36.2 API server.
"""

import json

from runbook.cluster.quantity import quantity
from runbook.rehearsal import quota, services, volumes
from runbook.rehearsal.schema import failure, invalid
from runbook.rehearsal.values import at, matches
from runbook.rehearsal.world import World

STATEFULSET_MAY = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds")
STATEFULSET_WORDS = ("Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
                     "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
POD_WORDS = ("Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
             "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
             "(allow it to be set to 1 if it was previously negative)")
CLAIM_WORDS = "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def check(obj: dict, live: dict | None) -> None:
    """Refuse what is inconsistent, and changes of what may not change."""
    for path in (("spec", "template", "spec"), ("spec",)):
        if obj["kind"] in ("StatefulSet", "Deployment", "DaemonSet", "ReplicaSet", "Job", "Pod") and at(obj, *path, "containers") == []:
            _refuse(obj, ".".join((*path, "containers")), "Required value", "FieldValueRequired")
    look = {"StatefulSet": _statefulset, "Deployment": _selector, "DaemonSet": _selector, "ReplicaSet": _selector, "Pod": _pod, "Job": _job,
            "PersistentVolumeClaim": _claim, "Service": _service, "StorageClass": _storage_class, "Secret": _secret, "ConfigMap": _config}.get(obj["kind"])
    if look:
        look(obj, live)


def _refuse(obj: dict, field: str, message: str, reason: str = "FieldValueInvalid"):
    raise invalid(obj, [(field, reason, message)])


def _template(obj: dict) -> None:
    labels = at(obj, "spec", "template", "metadata", "labels", default={})
    if not matches(at(obj, "spec", "selector"), labels):
        _refuse(obj, "spec.template.metadata.labels", f"Invalid value: {_json(labels)}: `selector` does not match template `labels`")


def _json(value) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _statefulset(obj: dict, live: dict | None) -> None:
    _template(obj)
    if live and any(obj["spec"].get(k) != live["spec"].get(k) for k in {*obj["spec"], *live["spec"]} - {*STATEFULSET_MAY}):
        _refuse(obj, "spec", STATEFULSET_WORDS, "FieldValueForbidden")


def _selector(obj: dict, live: dict | None) -> None:
    if live and obj["spec"].get("selector") != live["spec"].get("selector"):
        _refuse(obj, "spec.selector", f"Invalid value: {_json(obj['spec'].get('selector'))}: field is immutable")
    _template(obj)


def _pod(obj: dict, live: dict | None) -> None:
    if live is None:
        return
    bare = lambda o: {k: [{f: v for f, v in c.items() if f != "image"} for c in o["spec"].get(k) or []] if k in ("containers", "initContainers") else v
                      for k, v in o["spec"].items() if k not in ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")}
    if bare(obj) != bare(live):
        _refuse(obj, "spec", POD_WORDS, "FieldValueForbidden")


def _job(obj: dict, live: dict | None) -> None:
    if live and obj["spec"]["template"] != live["spec"]["template"]:
        _refuse(obj, "spec.template", "Invalid value: field is immutable")


def _claim(obj: dict, live: dict | None) -> None:
    if live is None:
        return
    others = ("resources", "volumeAttributesClassName", "volumeName", "storageClassName")
    bare = lambda o: {k: v for k, v in o["spec"].items() if k not in others}
    renamed = live["spec"].get("storageClassName") not in (None, obj["spec"].get("storageClassName"))  # or no longer named
    if bare(obj) != bare(live) or renamed:
        _refuse(obj, "spec", CLAIM_WORDS, "FieldValueForbidden")
    if obj["spec"].get("resources") != live["spec"].get("resources") and at(live, "status", "phase") != "Bound":
        _refuse(obj, "spec", CLAIM_WORDS, "FieldValueForbidden")
    new, old = (quantity(at(o, "spec", "resources", "requests", "storage", default=0)) for o in (obj, live))
    if new < old:
        _refuse(obj, "spec.resources.requests.storage", "Forbidden: field can not be less than status.capacity", "FieldValueForbidden")


def _service(obj: dict, live: dict | None) -> None:
    given, before = obj["spec"].get("clusterIP"), at(live, "spec", "clusterIP")
    if before and given and given != before:
        _refuse(obj, "spec.clusterIPs[0]", f"Invalid value: [\"{given}\"]: may not change once set")
    if not before and given not in (None, "", "None") and not given.startswith("10.43."):
        _refuse(obj, "spec.clusterIPs", f"Invalid value: [\"{given}\"]: failed to allocate IP {given}: the provided IP ({given}) is not in the valid range. "
                                        "The range of valid IPs is 10.43.0.0/16")


def _storage_class(obj: dict, live: dict | None) -> None:
    for field in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
        if live and obj.get(field) != live.get(field):
            _refuse(obj, field, f"Invalid value: \"{obj.get(field)}\": field is immutable")
    if live and obj.get("parameters") != live.get("parameters"):
        _refuse(obj, "parameters", "Forbidden: updates to parameters are forbidden.", "FieldValueForbidden")


def _secret(obj: dict, live: dict | None) -> None:
    if live and obj.get("type") != live.get("type"):
        _refuse(obj, "type", f"Invalid value: \"{obj.get('type')}\": field is immutable")
    _config(obj, live)


def _config(obj: dict, live: dict | None) -> None:
    if live and live.get("immutable") and (obj.get("data") != live.get("data") or not obj.get("immutable")):
        _refuse(obj, "data", "Forbidden: field is immutable when `immutable` is set", "FieldValueForbidden")


def admit(world: World, obj: dict, live: dict | None) -> None:
    """Add what depends on other objects; refuse what a quota or a class forbids."""
    kind = obj["kind"]
    if live is None and kind != "Pod":
        quota.check(world, obj)
    if kind == "PersistentVolumeClaim":
        if live is None:
            volumes.admit(world, obj)
        else:
            _keep_claim(world, obj, live)
    elif kind == "Service":
        if live and obj["spec"]["type"] != "ExternalName":
            for key in ("clusterIP", "clusterIPs"):
                if live["spec"].get(key):
                    obj["spec"].setdefault(key, live["spec"][key])
            before = {(p.get("name"), p["port"], p["protocol"]): p.get("nodePort") for p in live["spec"].get("ports") or []}
            for port in obj["spec"].get("ports") or []:
                if obj["spec"]["type"] != "ClusterIP" and before.get((port.get("name"), port["port"], port["protocol"])):
                    port.setdefault("nodePort", before[port.get("name"), port["port"], port["protocol"]])
        services.admit(world, obj)
    elif kind == "Pod" and live is None:
        from runbook.rehearsal.pods import admit as admit_pod

        admit_pod(world, obj)
    elif kind == "Ingress" and not obj["spec"].get("ingressClassName"):
        marked = [c for c in world.all("IngressClass") if (c["metadata"].get("annotations") or {}).get("ingressclass.kubernetes.io/is-default-class") == "true"]
        if marked:
            obj["spec"]["ingressClassName"] = marked[0]["metadata"]["name"]


def _keep_claim(world: World, obj: dict, live: dict) -> None:
    if live["spec"].get("volumeName"):
        obj["spec"].setdefault("volumeName", live["spec"]["volumeName"])
    if obj["spec"]["resources"] != live["spec"]["resources"]:
        found = world.get("StorageClass", obj["spec"].get("storageClassName") or "")
        if not (found and found.get("allowVolumeExpansion")):
            raise failure(403, f"persistentvolumeclaims \"{obj['metadata']['name']}\" is forbidden: only dynamically provisioned pvc can be resized and the "
                               "storageclass that provisions the pvc must support resize", "Forbidden",
                          {"name": obj["metadata"]["name"], "kind": "persistentvolumeclaims"})


def deletable(world: World, obj: dict) -> None:
    """Refuse to delete what must stay."""
    if obj["kind"] == "Namespace" and obj["metadata"]["name"] in ("default", "kube-system", "kube-public"):
        name = obj["metadata"]["name"]
        raise failure(403, f"namespaces \"{name}\" is forbidden: this namespace may not be deleted", "Forbidden", {"name": name, "kind": "namespaces"})
