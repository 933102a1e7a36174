"""Objects that the contract cases make. busybox is what every test cluster has."""

import time

IMAGE = "busybox:1.36"


def meta(name, namespace, **more):
    return {"name": name, "namespace": namespace, **more}


def config(namespace, name="settings", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(name, namespace), "data": data}


def container(name="main", command=("sleep", "3600"), **more):
    return {"name": name, "image": IMAGE, "command": list(command), **more}


def pod(namespace, name="one", containers=None, labels=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, namespace, labels=labels or {"app": name}),
            "spec": {"terminationGracePeriodSeconds": 0, "containers": containers or [container()], **spec}}


def template(app, containers=None, **spec):
    return {"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": containers or [container()], **spec}}


def deployment(namespace, name="web", replicas=1, **more):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name, namespace),
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name, **more)}}


def statefulset(namespace, name="db", replicas=1, storage="10Mi", **more):
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta(name, namespace),
            "spec": {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
                     "template": template(name, [container(volumeMounts=[{"name": "data", "mountPath": "/data"}])], **more),
                     "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                         "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}}]}}


def service(namespace, name="web", app=None, port=80, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, namespace),
            "spec": {"selector": {"app": app or name}, "ports": [{"port": port}], **spec}}


def claim(namespace, name="loose", storage="10Mi", **spec):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta(name, namespace),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}, **spec}}


def ready(obj):
    """A pod whose condition Ready is true, or a workload with all of its replicas ready."""
    if obj is None:
        return False
    if obj["kind"] == "Pod":
        return any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"].get("conditions", []))
    return obj["status"].get("observedGeneration") == obj["metadata"]["generation"] and obj["status"].get("readyReplicas", 0) == obj["spec"]["replicas"]


def wait_ready(cluster, kind, name, namespace, timeout=90):
    return cluster.wait(kind, name, namespace, until=ready, timeout=timeout, what=f"{kind} {name} to be ready")


def told(cluster, place, of, kind, reason, words):
    """Wait for an event; the object's events are what tells."""
    end = time.monotonic() + 60
    while True:
        found = [(e["type"], e["reason"], e["message"]) for e in cluster.events(place, of=of)]
        if any(f[:2] == (kind, reason) and f[2].startswith(words) for f in found):
            return
        assert time.monotonic() < end and not cluster._transport.static, f"{of} told {found}"
        time.sleep(1)
