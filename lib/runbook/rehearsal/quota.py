"""Resource quotas: what a namespace uses, and what one more object would be too much.

Words: the answers of a v1.36.2 API server (tests/contract).
"""

from runbook.cluster.quantity import quantity
from runbook.rehearsal.schema import failure
from runbook.rehearsal.values import at
from runbook.rehearsal.world import World

#: Quota names that count objects: the kind, and which of them count.
COUNTED = {
    "pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim", "services": "Service", "secrets": "Secret", "configmaps": "ConfigMap",
    "statefulsets.apps": "StatefulSet", "deployments.apps": "Deployment", "replicasets.apps": "ReplicaSet", "jobs.batch": "Job",
    "cronjobs.batch": "CronJob", "services.nodeports": "Service", "services.loadbalancers": "Service",
}
PLURALS = {"Pod": "pods", "PersistentVolumeClaim": "persistentvolumeclaims", "Service": "services", "Secret": "secrets", "ConfigMap": "configmaps",
           "StatefulSet": "statefulsets.apps", "Deployment": "deployments.apps", "Job": "jobs.batch", "CronJob": "cronjobs.batch"}
MUST = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def asked(obj: dict, name: str) -> float:
    """How much of a quota's resource one object takes."""
    bare = name.removeprefix("count/")
    part, _, resource = name.rpartition(".")
    if obj["kind"] == "Pod" and resource in ("cpu", "memory") and part in ("", "requests", "limits"):
        if at(obj, "status", "phase") in ("Succeeded", "Failed"):
            return 0
        return _of_pod(obj["spec"], part or "requests", resource)
    if name == "requests.storage":
        return float(quantity(at(obj, "spec", "resources", "requests", "storage", default=0))) if obj["kind"] == "PersistentVolumeClaim" else 0
    if COUNTED.get(bare) != obj["kind"]:
        return 0
    if bare in ("services.nodeports", "services.loadbalancers"):
        wanted = ("NodePort", "LoadBalancer") if bare == "services.nodeports" else ("LoadBalancer",)
        return float(obj["spec"].get("type") in wanted)
    return float(not (name == "pods" and at(obj, "status", "phase") in ("Succeeded", "Failed")))


def _of_pod(spec: dict, part: str, resource: str) -> float:
    one = lambda c: float(quantity(at(c, "resources", part, resource, default=0)))
    inits = spec.get("initContainers") or []
    beside = sum(one(c) for c in inits if c.get("restartPolicy") == "Always")
    return max([sum(map(one, spec["containers"])) + beside, *(one(c) + beside for c in inits if c.get("restartPolicy") != "Always")])


def used(world: World, namespace: str, name: str) -> float:
    """How much of a quota's resource a namespace uses."""
    kinds = ["Pod", "PersistentVolumeClaim"] if name.rpartition(".")[2] in ("cpu", "memory", "storage") else [COUNTED.get(name.removeprefix("count/"))]
    return sum(asked(o, name) for kind in kinds if kind for o in world.all(kind, namespace))


def check(world: World, obj: dict) -> None:
    """Refuse an object (ApiFailure 403) that a quota of its namespace has no room for, or that must say what it needs."""
    meta = obj["metadata"]
    plural = PLURALS.get(obj["kind"])
    for found in world.all("ResourceQuota", meta.get("namespace", "")) if plural else ():
        hard, name = found["spec"].get("hard") or {}, found["metadata"]["name"]
        if obj["kind"] == "Pod":
            silent = {r: [c["name"] for c in [*(obj["spec"].get("initContainers") or []), *obj["spec"]["containers"]]
                          if at(c, "resources", *r.split(".")) is None] for r in sorted(hard) if r in MUST}
            told = "; ".join(f"{r} for: {','.join(names)}" for r, names in silent.items() if names)
            if told:
                raise _forbidden(plural, meta["name"], f"failed quota: {name}: must specify {told}")
        over = [r for r in sorted(hard) if asked(obj, r) and used(world, meta["namespace"], r) + asked(obj, r) > float(quantity(hard[r]))]
        if over:
            said = lambda values: ",".join(f"{r}={v}" for r, v in values)
            raise _forbidden(plural, meta["name"], f"exceeded quota: {name}, requested: {said((r, written(asked(obj, r), r)) for r in over)}, used: "
                             + said((r, written(used(world, meta["namespace"], r), r)) for r in over) + f", limited: {said((r, hard[r]) for r in over)}")


def _forbidden(plural: str, name: str, why: str):
    return failure(403, f"{plural} \"{name}\" is forbidden: {why}", "Forbidden", {"name": name, "kind": plural})


def written(value: float, name: str) -> str:
    """As Kubernetes writes it: ``64.03`` CPUs → ``"64030m"``; bytes in the largest binary unit that fits exactly."""
    resource = name.rpartition(".")[2]
    if resource == "cpu":
        milli = round(value * 1000)
        return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"
    for unit, size in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)) if resource in ("memory", "storage") else ():
        if value and value % size == 0:
            return f"{int(value // size)}{unit}"
    return str(int(value))
