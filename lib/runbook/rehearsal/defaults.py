"""What the API server fills in, so that a second apply finds nothing to do.

Source: objects applied to a v1.36.2 API server and read back; tests/contract compares the two for each kind here.
"""

import base64

from runbook.rehearsal.pod_defaults import fill, pod_spec
from runbook.rehearsal.values import at


def _template(obj: dict) -> None:
    pod_spec(obj["spec"]["template"].setdefault("spec", {}))


def statefulset(obj: dict) -> None:
    spec = obj["spec"]
    fill(spec, {"podManagementPolicy": "OrderedReady", "replicas": 1, "revisionHistoryLimit": 10, "serviceName": "",
                "persistentVolumeClaimRetentionPolicy": {}, "updateStrategy": {}})
    fill(spec["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"})
    fill(spec["updateStrategy"], {"type": "RollingUpdate"})
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        fill(spec["updateStrategy"], {"rollingUpdate": {}})
        fill(spec["updateStrategy"]["rollingUpdate"], {"partition": 0})
    _template(obj)
    for claim in spec.get("volumeClaimTemplates") or []:
        fill(claim, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}})
        fill(claim["spec"], {"volumeMode": "Filesystem"})


def deployment(obj: dict) -> None:
    fill(obj["spec"], {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {}})
    fill(obj["spec"]["strategy"], {"type": "RollingUpdate"})
    if obj["spec"]["strategy"]["type"] == "RollingUpdate":
        fill(obj["spec"]["strategy"], {"rollingUpdate": {}})
        fill(obj["spec"]["strategy"]["rollingUpdate"], {"maxSurge": "25%", "maxUnavailable": "25%"})
    _template(obj)


def replicaset(obj: dict) -> None:
    fill(obj["spec"], {"replicas": 1})
    _template(obj)


def daemonset(obj: dict) -> None:
    fill(obj["spec"], {"revisionHistoryLimit": 10, "updateStrategy": {}})
    fill(obj["spec"]["updateStrategy"], {"type": "RollingUpdate"})
    if obj["spec"]["updateStrategy"]["type"] == "RollingUpdate":
        fill(obj["spec"]["updateStrategy"], {"rollingUpdate": {}})
        fill(obj["spec"]["updateStrategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
    _template(obj)
    obj["metadata"].setdefault("annotations", {}).setdefault("deprecated.daemonset.template.generation", "1")


def job(obj: dict) -> None:
    spec, meta = obj["spec"], obj["metadata"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(spec, {"backoffLimit": 6, "completionMode": "NonIndexed", "parallelism": 1, "manualSelector": False,
                "podReplacementPolicy": "TerminatingOrFailed", "suspend": False})
    labels = {f"{p}controller-uid": meta["uid"] for p in ("batch.kubernetes.io/", "")} | {f"{p}job-name": meta["name"] for p in ("batch.kubernetes.io/", "")}
    fill(spec, {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}})
    fill(spec["template"], {"metadata": {}})
    fill(spec["template"]["metadata"], {"labels": {}})
    spec["template"]["metadata"]["labels"] |= labels
    if not meta.get("labels"):  # the server takes the template's when the job has none
        meta["labels"] = dict(spec["template"]["metadata"]["labels"])
    _template(obj)


def cronjob(obj: dict) -> None:
    spec = obj["spec"]
    fill(spec, {"concurrencyPolicy": "Allow", "failedJobsHistoryLimit": 1, "successfulJobsHistoryLimit": 3, "suspend": False})
    fill(spec["jobTemplate"], {"metadata": {}})
    fill(spec["jobTemplate"]["spec"]["template"], {"metadata": {}})
    pod_spec(spec["jobTemplate"]["spec"]["template"]["spec"])


def service(obj: dict) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    if spec["type"] == "ExternalName":
        return
    fill(spec, {"internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    if spec["type"] in ("NodePort", "LoadBalancer"):
        fill(spec, {"externalTrafficPolicy": "Cluster"})
    if spec["type"] == "LoadBalancer":
        fill(spec, {"allocateLoadBalancerNodePorts": True})
    for port in spec.get("ports") or []:
        fill(port, {"protocol": "TCP", "targetPort": port["port"]})
    if spec["sessionAffinity"] == "ClientIP":
        fill(spec, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}})


def claim(obj: dict) -> None:
    fill(obj["spec"], {"volumeMode": "Filesystem"})
    obj["metadata"].setdefault("finalizers", ["kubernetes.io/pvc-protection"])


def volume(obj: dict) -> None:
    fill(obj["spec"], {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"})
    if at(obj, "spec", "hostPath"):
        fill(obj["spec"]["hostPath"], {"type": ""})
    obj["metadata"].setdefault("finalizers", ["kubernetes.io/pv-protection"])


def storage_class(obj: dict) -> None:
    fill(obj, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"})


def secret(obj: dict) -> None:
    fill(obj, {"type": "Opaque"})
    for key, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def namespace(obj: dict) -> None:
    fill(obj, {"spec": {}})
    fill(obj["spec"], {"finalizers": ["kubernetes"]})
    fill(obj["metadata"], {"labels": {}})
    obj["metadata"]["labels"]["kubernetes.io/metadata.name"] = obj["metadata"]["name"]


def network_policy(obj: dict) -> None:
    spec = obj["spec"]
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress"] + (["Egress"] if spec.get("egress") else [])
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            fill(port, {"protocol": "TCP"})


def autoscaler(obj: dict) -> None:
    fill(obj["spec"], {"minReplicas": 1, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]})
    if obj["spec"].get("behavior") is not None:  # then both directions are filled in
        percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        fill(obj["spec"]["behavior"], {"scaleUp": {}, "scaleDown": {}})
        fill(obj["spec"]["behavior"]["scaleUp"], {"selectPolicy": "Max", "stabilizationWindowSeconds": 0,
                                                  "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, dict(percent)]})
        fill(obj["spec"]["behavior"]["scaleDown"], {"selectPolicy": "Max", "policies": [percent]})


def priority_class(obj: dict) -> None:
    fill(obj, {"preemptionPolicy": "PreemptLowerPriority"})


def limit_range(obj: dict) -> None:
    for limit in at(obj, "spec", "limits") or []:
        if limit["type"] == "Container":
            for resource, value in (limit.get("max") or {}).items():
                limit.setdefault("default", {}).setdefault(resource, value)
            for resource, value in (limit.get("default") or {}).items():
                limit.setdefault("defaultRequest", {}).setdefault(resource, value)
            for resource, value in (limit.get("min") or {}).items():
                limit.setdefault("defaultRequest", {}).setdefault(resource, value)


def role_binding(obj: dict) -> None:
    fill(obj["roleRef"], {"apiGroup": "rbac.authorization.k8s.io"})
    for subject in obj.get("subjects") or []:
        fill(subject, {} if subject["kind"] == "ServiceAccount" else {"apiGroup": "rbac.authorization.k8s.io"})


def pod(obj: dict) -> None:
    pod_spec(obj["spec"])
    for container in [*obj["spec"]["containers"], *(obj["spec"].get("initContainers") or [])]:
        for resource, limit in (at(container, "resources", "limits") or {}).items():  # in a pod, not in a template
            container["resources"].setdefault("requests", {}).setdefault(resource, limit)
    fill(obj["spec"], {"enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority", "priority": 0})
    fill(obj["spec"], {"serviceAccountName": "default", "serviceAccount": "default"})


BY_KIND = {
    "StatefulSet": statefulset, "Deployment": deployment, "ReplicaSet": replicaset, "DaemonSet": daemonset, "Job": job, "CronJob": cronjob,
    "Service": service, "PersistentVolumeClaim": claim, "PersistentVolume": volume, "StorageClass": storage_class, "Secret": secret,
    "Namespace": namespace, "NetworkPolicy": network_policy, "HorizontalPodAutoscaler": autoscaler, "PriorityClass": priority_class,
    "LimitRange": limit_range, "RoleBinding": role_binding, "ClusterRoleBinding": role_binding, "Pod": pod,
}
#: The status with which an object is born.
STATUS = {
    "StatefulSet": {"availableReplicas": 0, "replicas": 0}, "Deployment": {}, "ReplicaSet": {"replicas": 0}, "Job": {}, "CronJob": {},
    "DaemonSet": {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0},
    "Service": {"loadBalancer": {}}, "Ingress": {"loadBalancer": {}}, "PersistentVolumeClaim": {"phase": "Pending"},
    "PersistentVolume": {"phase": "Pending"}, "Namespace": {"phase": "Active"}, "ResourceQuota": {}, "Pod": {"phase": "Pending"},
    "HorizontalPodAutoscaler": {"currentMetrics": None, "desiredReplicas": 0},
}
#: Kinds whose ``generation`` counts changes of their spec, in the recording.
GENERATION = {"StatefulSet", "Deployment", "ReplicaSet", "DaemonSet", "Job", "CronJob", "Ingress", "NetworkPolicy", "PodDisruptionBudget",
              "PriorityClass", "EndpointSlice", "Pod"}


def default(obj: dict) -> None:
    """Fill in what the API server fills in, for any kind."""
    if obj["kind"] in BY_KIND:
        BY_KIND[obj["kind"]](obj)
