"""What the API server fills into a pod's spec, in a template or a pod.

Source: objects applied to a v1.36.2 API server and read back; tests/contract compares the two.
"""

from runbook.rehearsal.values import at

POD = {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30}
CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
NOT_READY = [{"effect": "NoExecute", "key": f"node.kubernetes.io/{k}", "operator": "Exists", "tolerationSeconds": 300} for k in ("not-ready", "unreachable")]


def fill(value: dict, defaults: dict) -> dict:
    """Set what is missing."""
    for key, default in defaults.items():
        if value.get(key) is None:
            value[key] = default.copy() if isinstance(default, (dict, list)) else default
    return value


def pod_spec(spec: dict) -> None:
    """A pod's spec, in a template or a pod."""
    fill(spec, POD | {"securityContext": {}})
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        _container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or []:
                fill(port, {"hostPort": port["containerPort"]})
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _container(c: dict) -> None:
    image = c.get("image", "")
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    fill(c, CONTAINER | {"resources": {}, "imagePullPolicy": "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent"})
    for port in c.get("ports") or []:
        fill(port, {"protocol": "TCP"})
    for env in c.get("env") or []:
        if at(env, "valueFrom", "fieldRef"):
            fill(env["valueFrom"]["fieldRef"], {"apiVersion": "v1"})
        if at(env, "valueFrom", "resourceFieldRef"):
            fill(env["valueFrom"]["resourceFieldRef"], {"divisor": "0"})
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if c.get(name):
            fill(c[name], PROBE)
            _handler(c[name])
    for hook in (c.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _handler(hook)


def _handler(handler: dict) -> None:
    if handler.get("httpGet") is not None:
        fill(handler["httpGet"], {"path": "/", "scheme": "HTTP"})
    if handler.get("grpc") is not None:
        fill(handler["grpc"], {"service": ""})


def _volume(v: dict) -> None:
    if len(v) == 1:
        v["emptyDir"] = {}
    for kind in ("configMap", "secret", "downwardAPI", "projected"):
        if v.get(kind) is not None:
            fill(v[kind], {"defaultMode": 420})
            sources = v[kind].get("sources") or [{kind: v[kind]}]
            for source in sources:
                for item in at(source, "downwardAPI", "items") or []:
                    if item.get("fieldRef"):
                        fill(item["fieldRef"], {"apiVersion": "v1"})
                    if item.get("resourceFieldRef"):
                        fill(item["resourceFieldRef"], {"divisor": "0"})
                if at(source, "serviceAccountToken") is not None:
                    fill(source["serviceAccountToken"], {"expirationSeconds": 3600})
    if v.get("hostPath") is not None:
        fill(v["hostPath"], {"type": ""})
    if at(v, "ephemeral", "volumeClaimTemplate", "spec") is not None:
        fill(v["ephemeral"]["volumeClaimTemplate"]["spec"], {"volumeMode": "Filesystem"})
    if v.get("image") is not None:
        reference = v["image"].get("reference", "")
        tag = reference.rpartition("/")[2].partition("@")[0].partition(":")[2]
        fill(v["image"], {"pullPolicy": "Always" if tag in ("", "latest") and "@" not in reference else "IfNotPresent"})
