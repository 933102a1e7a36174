"""StatefulSets, Deployments, ReplicaSets, DaemonSets, Jobs: their pods, and the status that follows from them."""

from runbook.rehearsal import pods
from runbook.rehearsal.state import now, suffix
from runbook.rehearsal.values import at, clone, digest, matches
from runbook.rehearsal.world import World


def ready(pod: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in at(pod, "status", "conditions", default=[]))


def statefulsets(world: World, namespace: str) -> None:
    for owner in world.all("StatefulSet", namespace):
        _statefulset(world, owner)


def _statefulset(world: World, owner: dict) -> None:
    spec, name, namespace = owner["spec"], owner["metadata"]["name"], owner["metadata"]["namespace"]
    short = digest(spec["template"])
    revision = f"{name}-{short}"
    if not world.get("ControllerRevision", revision, namespace):
        number = 1 + max((r["revision"] for r in world.owned("ControllerRevision", owner)), default=0)
        world.create("apps/v1", "ControllerRevision", revision, namespace, owner, revision=number,
                     metadata={"labels": {**(spec["template"]["metadata"].get("labels") or {}), "controller.kubernetes.io/hash": short}},
                     data={"spec": {"template": {**spec["template"], "$patch": "replace"}}})
    there = {p["metadata"]["name"]: p for p in world.owned("Pod", owner)}
    wanted = [f"{name}-{i}" for i in range(spec["replicas"])]
    for gone in set(there) - set(wanted):
        world.remove(there.pop(gone))
        world.event(owner, "Normal", "SuccessfulDelete", f"delete Pod {gone} in StatefulSet {name} successful", "statefulset-controller")
        if spec["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete":
            _drop_claims(world, owner, gone)
    for index, pod_name in enumerate(wanted):
        pod = there.get(pod_name)
        rolled = spec["updateStrategy"]["type"] == "RollingUpdate"
        if pod and rolled and pod["metadata"]["labels"].get("controller-revision-hash") != revision:
            world.remove(pod)
            pod = None
        if pod is None:
            volumes = _claims(world, owner, pod_name)
            labels = {"apps.kubernetes.io/pod-index": str(index), "controller-revision-hash": revision, "statefulset.kubernetes.io/pod-name": pod_name}
            extra = {"hostname": pod_name, "volumes": [*volumes, *clone(spec["template"]["spec"].get("volumes") or [])]}
            if spec.get("serviceName"):
                extra["subdomain"] = spec["serviceName"]
            pod = pods.make(world, owner, spec["template"], pod_name, labels, extra)
            if pod is None:
                break
            there[pod_name] = pod
        if spec["podManagementPolicy"] == "OrderedReady" and not ready(pod):
            break  # the next one waits for it
    good = sum(ready(p) for p in there.values())
    world.set_status(owner, {
        "availableReplicas": good, "collisionCount": 0, "currentReplicas": len(there), "currentRevision": revision,
        "observedGeneration": owner["metadata"]["generation"], **({"readyReplicas": good} if good else {}), "replicas": len(there),
        "updateRevision": revision, "updatedReplicas": len(there)} if there else {
        "availableReplicas": 0, "collisionCount": 0, "currentRevision": revision, "observedGeneration": owner["metadata"]["generation"],
        "replicas": 0, "updateRevision": revision})


def _claims(world: World, owner: dict, pod_name: str) -> list[dict]:
    """The claims of one pod of a StatefulSet, made if missing, as its volumes."""
    from runbook.rehearsal.volumes import admit as admit_claim

    volumes, namespace = [], owner["metadata"]["namespace"]
    for template in owner["spec"].get("volumeClaimTemplates") or []:
        name = f"{template['metadata']['name']}-{pod_name}"
        volumes.append({"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}})
        if not world.get("PersistentVolumeClaim", name, namespace):
            labels = {**(template["metadata"].get("labels") or {}), **(owner["spec"]["selector"].get("matchLabels") or {})}
            meta = {"labels": labels, **({"annotations": template["metadata"]["annotations"]} if template["metadata"].get("annotations") else {}),
                    "finalizers": ["kubernetes.io/pvc-protection"]}
            made = world.create("v1", "PersistentVolumeClaim", name, namespace, metadata=meta, spec=template["spec"], status={"phase": "Pending"})
            admit_claim(world, made)
            world.event(owner, "Normal", "SuccessfulCreate",
                        f"Create Claim {name} Pod {pod_name} in StatefulSet {owner['metadata']['name']} success", "statefulset-controller")
    return volumes


def _drop_claims(world: World, owner: dict, pod_name: str) -> None:
    for template in owner["spec"].get("volumeClaimTemplates") or []:
        found = world.get("PersistentVolumeClaim", f"{template['metadata']['name']}-{pod_name}", owner["metadata"]["namespace"])
        if found:
            world.remove(found)


def deployments(world: World, namespace: str) -> None:
    for owner in world.all("Deployment", namespace):
        _deployment(world, owner)


def _deployment(world: World, owner: dict) -> None:
    spec, meta = owner["spec"], owner["metadata"]
    sets = world.owned("ReplicaSet", owner)
    current = next((s for s in sets if _same_template(s, spec["template"])), None)
    if current is None:
        number = 1 + max((int(s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for s in sets), default=0)
        short = digest(spec["template"])
        template = clone(spec["template"])
        template["metadata"].setdefault("labels", {})["pod-template-hash"] = short
        selector = clone(spec["selector"])
        selector.setdefault("matchLabels", {})["pod-template-hash"] = short
        current = world.create("apps/v1", "ReplicaSet", f"{meta['name']}-{short}", meta["namespace"], owner,
                               metadata={"labels": dict(template["metadata"]["labels"]), "generation": 1,
                                         "annotations": {"deployment.kubernetes.io/revision": str(number)}},
                               spec={"replicas": 0, "selector": selector, "template": template}, status={"replicas": 0})
        if meta.setdefault("annotations", {}).get("deployment.kubernetes.io/revision") != str(number):
            meta["annotations"]["deployment.kubernetes.io/revision"] = str(number)
            world.put(owner)
        sets.append(current)
    for one in sets:
        wanted = spec["replicas"] if one is current else 0
        if one["spec"]["replicas"] != wanted:
            up = "up" if wanted > one["spec"]["replicas"] else "down"
            world.event(owner, "Normal", "ScalingReplicaSet",
                        f"Scaled {up} replica set {one['metadata']['name']} from {one['spec']['replicas']} to {wanted}", "deployment-controller")
            one["spec"]["replicas"] = wanted
            one["metadata"]["generation"] += 1
            world.put(one)
        _replicaset(world, one)
    stale = sorted((s for s in sets if s is not current), key=lambda s: int(s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))
    for one in stale[: max(0, len(stale) - spec["revisionHistoryLimit"])]:
        world.remove(one)
    good, there = at(current, "status", "readyReplicas", default=0), at(current, "status", "replicas", default=0)
    enough = good >= spec["replicas"] - _share(at(spec, "strategy", "rollingUpdate", "maxUnavailable", default=0), spec["replicas"])
    time = now()
    reached = good >= spec["replicas"]
    conditions = [
        {"lastTransitionTime": time, "lastUpdateTime": time, "status": "True" if enough else "False", "type": "Available",
         "message": "Deployment has minimum availability." if enough else "Deployment does not have minimum availability.",
         "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"},
        {"lastTransitionTime": time, "lastUpdateTime": time, "status": "True", "type": "Progressing",
         "message": f"ReplicaSet \"{current['metadata']['name']}\" " + ("has successfully progressed." if reached else "is progressing."),
         "reason": "NewReplicaSetAvailable" if reached else "ReplicaSetUpdated"}]
    failed = next((c for c in at(current, "status", "conditions", default=[]) if c["type"] == "ReplicaFailure"), None)
    if failed:
        conditions.append({**failed, "lastUpdateTime": time})
    short_of = max(there, spec["replicas"]) - good
    world.set_status(owner, {
        **({"availableReplicas": good} if good else {}), "conditions": conditions, "observedGeneration": meta["generation"],
        **({"readyReplicas": good} if good else {}), **({"replicas": there, "updatedReplicas": there} if there else {}), "terminatingReplicas": 0,
        **({"unavailableReplicas": short_of} if short_of else {})})


def _share(value, total: int) -> int:
    return int(value[:-1]) * total // 100 if isinstance(value, str) and value.endswith("%") else int(value)


def _same_template(replica_set: dict, template: dict) -> bool:
    theirs = clone(replica_set["spec"]["template"])
    (theirs["metadata"].get("labels") or {}).pop("pod-template-hash", None)
    return theirs == template


def replicasets(world: World, namespace: str) -> None:
    for owner in world.all("ReplicaSet", namespace):
        if not owner["metadata"].get("ownerReferences"):
            _replicaset(world, owner)


def _replicaset(world: World, owner: dict) -> None:
    there = world.owned("Pod", owner)
    want = owner["spec"]["replicas"]
    for pod in there[want:]:
        world.remove(pod)
        world.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}", "replicaset-controller")
    there = there[:want]
    while len(there) < want and (pod := pods.make(world, owner, owner["spec"]["template"], f"{owner['metadata']['name']}-{suffix()}")):
        there.append(pod)
    good = sum(ready(p) for p in there)
    labels = owner["spec"]["template"]["metadata"].get("labels") or {}
    full = sum(matches({"matchLabels": labels}, p["metadata"].get("labels")) for p in there)
    world.set_status(owner, {**({"availableReplicas": good} if good else {}), **({"fullyLabeledReplicas": full} if full else {}),
                             "observedGeneration": owner["metadata"]["generation"], **({"readyReplicas": good} if good else {}),
                             "replicas": len(there), "terminatingReplicas": 0, **({"conditions": [_refused(world, owner)]} if len(there) < want else {})})


def _refused(world: World, owner: dict) -> dict:
    """The condition of a ReplicaSet whose pods admission refuses."""
    told = [e["message"].removeprefix("Error creating: ") for e in world.all("Event", owner["metadata"]["namespace"])
            if e["reason"] == "FailedCreate" and e["involvedObject"].get("uid") == owner["metadata"]["uid"]]
    return {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": now(), "reason": "FailedCreate", "message": told[-1] if told else ""}


def daemonsets(world: World, namespace: str) -> None:
    for owner in world.all("DaemonSet", namespace):
        short = digest(owner["spec"]["template"])
        there = {at(p, "spec", "nodeName"): p for p in world.owned("Pod", owner)}
        nodes = [n["metadata"]["name"] for n in world.all("Node")]
        for node, pod in list(there.items()):
            if node not in nodes or pod["metadata"]["labels"].get("controller-revision-hash") != short:
                world.remove(there.pop(node))
        for node in nodes:
            if node not in there:
                labels = {"controller-revision-hash": short, "pod-template-generation": str(owner["metadata"]["generation"])}
                pod = pods.make(world, owner, owner["spec"]["template"], f"{owner['metadata']['name']}-{suffix()}", labels, {"nodeName": node})
                there |= {node: pod} if pod else {}
        good = sum(ready(p) for p in there.values())
        world.set_status(owner, {
            "currentNumberScheduled": len(there), "desiredNumberScheduled": len(nodes), **({"numberAvailable": good} if good else {}),
            "numberMisscheduled": 0, "numberReady": good, "observedGeneration": owner["metadata"]["generation"],
            **({"numberUnavailable": len(nodes) - good} if len(nodes) > good else {}), "updatedNumberScheduled": len(there)})


def jobs(world: World, namespace: str) -> None:
    for owner in world.all("Job", namespace):
        if at(owner, "status", "completionTime") or owner["spec"].get("suspend"):
            continue
        there = world.owned("Pod", owner)
        wanted = owner["spec"].get("completions") or 1
        while len(there) < wanted and (pod := pods.make(world, owner, owner["spec"]["template"], f"{owner['metadata']['name']}-{suffix()}")):
            there.append(pod)
        ended = sum(at(p, "status", "phase") == "Succeeded" for p in there)
        start = at(owner, "status", "startTime") or now()
        if ended < wanted:
            active = {"active": len(there) - ended} if len(there) > ended else {}
            world.set_status(owner, active | {"ready": 0, "startTime": start, "terminating": 0, "uncountedTerminatedPods": {}})
            continue
        reached = {"lastProbeTime": now(), "lastTransitionTime": now(), "message": "Reached expected number of succeeded pods",
                   "reason": "CompletionsReached", "status": "True"}
        world.event(owner, "Normal", "Completed", "Job completed", "job-controller")
        world.set_status(owner, {"completionTime": now(), "conditions": [reached | {"type": "SuccessCriteriaMet"}, reached | {"type": "Complete"}],
                                 "ready": 0, "startTime": start, "succeeded": ended, "terminating": 0, "uncountedTerminatedPods": {}})
