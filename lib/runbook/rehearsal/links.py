"""What the controllers of a cluster do after each write, until nothing changes any more."""

from runbook.rehearsal import pods, quota, services, volumes, workloads
from runbook.rehearsal.state import now
from runbook.rehearsal.values import at, matches
from runbook.rehearsal.world import World

ROUNDS = 12  #: a chain of dependents settles in fewer


def settle(world: World, namespace: str) -> None:
    """Follow up a write in one namespace (empty: a cluster-wide object, so all namespaces)."""
    places = [namespace] if namespace else sorted({o["metadata"]["name"] for o in world.all("Namespace")})
    for place in places:
        for _ in range(ROUNDS):
            before = world.writes
            for step in STEPS:
                step(world, place)
            if world.writes == before:
                break


def born(world: World, namespace: str) -> None:
    """What every namespace has from its start."""
    if not world.get("ServiceAccount", "default", namespace):
        world.create("v1", "ServiceAccount", "default", namespace)
    if not world.get("ConfigMap", "kube-root-ca.crt", namespace):
        world.create("v1", "ConfigMap", "kube-root-ca.crt", namespace, data={"ca.crt": "(certificate left out)"}, metadata={"annotations": {
            "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
                                         "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
                                         "Kubernetes clusters."}})


def namespaces(world: World, namespace: str) -> None:
    if world.get("Namespace", namespace):
        born(world, namespace)


def all_pods(world: World, namespace: str) -> None:
    for pod in world.all("Pod", namespace):
        pods.settle(world, pod)


def orphans(world: World, namespace: str) -> None:
    """Objects whose owner is gone go, too."""
    uids = {o["metadata"].get("uid") for table in world.data["objects"].values() for o in table.values()}
    for table in list(world.data["objects"].values()):
        for key, obj in list(table.items()):
            references = obj["metadata"].get("ownerReferences")
            if references and key.startswith(namespace + "/") and not any(r["uid"] in uids for r in references):
                world.remove(obj)


def autoscalers(world: World, namespace: str) -> None:
    """A scaled workload is held between the bounds; its load is behaviour, which nothing here makes up."""
    for scaler in world.all("HorizontalPodAutoscaler", namespace):
        reference = scaler["spec"]["scaleTargetRef"]
        target = world.get(reference["kind"], reference["name"], namespace) if reference["kind"] in ("Deployment", "StatefulSet", "ReplicaSet") else None
        if target is None:
            world.set_status(scaler, {"conditions": [{
                "lastTransitionTime": now(), "status": "False", "type": "AbleToScale", "reason": "FailedGetScale",
                "message": "the HPA controller was unable to get the target's current scale: "
                           f"{reference['kind'].lower()}s.apps \"{reference['name']}\" not found"}],
                "currentMetrics": None, "desiredReplicas": 0})
            continue
        replicas = target["spec"]["replicas"]
        wanted = min(max(replicas, scaler["spec"]["minReplicas"]), scaler["spec"]["maxReplicas"]) if replicas else 0
        if wanted != replicas:
            target["spec"]["replicas"] = wanted
            target["metadata"]["generation"] += 1
            world.put(target)
            which = "Current number of replicas below Spec.MinReplicas" if wanted > replicas else "Current number of replicas above Spec.MaxReplicas"
            world.event(scaler, "Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {which}", "horizontal-pod-autoscaler")
        able = {"lastTransitionTime": now(), "message": "the HPA controller was able to get the target's current scale", "reason": "SucceededGetScale",
                "status": "True", "type": "AbleToScale"}
        silent = _without_request(world, scaler, target)
        if silent:
            world.set_status(scaler, {"conditions": [able, {
                "lastTransitionTime": now(), "status": "False", "type": "ScalingActive", "reason": "FailedGetResourceMetric",
                "message": f"the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in {silent}"}],
                "currentMetrics": [{"type": ""}], "currentReplicas": wanted, "desiredReplicas": 0})
            world.event(scaler, "Warning", "FailedGetResourceMetric", f"failed to get cpu utilization: missing request for cpu in {silent}",
                        "horizontal-pod-autoscaler")
            continue
        world.set_status(scaler, {"conditions": [able], "currentMetrics": None, "currentReplicas": wanted, "desiredReplicas": wanted})


def _without_request(world: World, scaler: dict, target: dict) -> str:
    """The first container of the target's pods that has no CPU request: an autoscaler by utilization then computes nothing."""
    if not any(at(m, "resource", "name") == "cpu" and at(m, "resource", "target", "type") == "Utilization" for m in scaler["spec"].get("metrics") or []):
        return ""
    for pod in world.all("Pod", scaler["metadata"]["namespace"]):
        if not matches(target["spec"]["selector"], pod["metadata"].get("labels")):
            continue
        beside = [c for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy") == "Always"]
        for container in [*pod["spec"]["containers"], *beside]:
            if at(container, "resources", "requests", "cpu") is None:
                return f"container {container['name']} of Pod {pod['metadata']['name']}"
    return ""


def budgets(world: World, namespace: str) -> None:
    for budget in world.all("PodDisruptionBudget", namespace):
        found = [p for p in world.all("Pod", namespace) if matches(budget["spec"].get("selector"), p["metadata"].get("labels"))]
        healthy = sum(workloads.ready(p) for p in found)
        if budget["spec"].get("minAvailable") is not None:
            desired = workloads._share(budget["spec"]["minAvailable"], len(found))
        else:
            desired = max(0, len(found) - workloads._share(budget["spec"].get("maxUnavailable", 0), len(found)))
        allowed = max(0, healthy - desired)
        world.set_status(budget, {
            "conditions": [{"lastTransitionTime": now(), "message": "", "observedGeneration": budget["metadata"].get("generation", 1),
                            "reason": "SufficientPods" if allowed else "InsufficientPods", "status": "True" if allowed else "False",
                            "type": "DisruptionAllowed"}],
            "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": len(found),
            "observedGeneration": budget["metadata"].get("generation", 1)})


def quotas(world: World, namespace: str) -> None:
    for found in world.all("ResourceQuota", namespace):
        hard = found["spec"].get("hard") or {}
        world.set_status(found, {"hard": hard, "used": {name: quota.written(quota.used(world, namespace, name), name) for name in hard}})


STEPS = (namespaces, orphans, workloads.statefulsets, workloads.deployments, workloads.replicasets, workloads.daemonsets, workloads.jobs,
         volumes.claims, all_pods, workloads.statefulsets, workloads.deployments, workloads.replicasets, workloads.daemonsets, workloads.jobs,
         volumes.volumes, services.endpoints, autoscalers, budgets, quotas)
