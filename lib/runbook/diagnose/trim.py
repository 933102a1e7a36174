"""What is kept of each kind: enough to tell what is wrong, no environment, no secret, little memory. Pure."""

import base64
import binascii
import datetime as dt

META = {
    "name": 1,
    "namespace": 1,
    "labels": 1,
    "creationTimestamp": 1,
    "deletionTimestamp": 1,
    "ownerReferences": {"kind": 1, "name": 1},
}
CONDITION = {"type": 1, "status": 1, "reason": 1, "message": 1, "lastTransitionTime": 1}
CONTAINER = {
    "name": 1,
    "image": 1,
    "resources": {"requests": 1, "limits": 1},
    "ports": {"containerPort": 1, "hostPort": 1, "name": 1},
}
STATUS = {"name": 1, "ready": 1, "restartCount": 1, "state": 1, "lastState": 1, "image": 1}
TEMPLATE = {"metadata": {"labels": 1}, "spec": {"containers": CONTAINER}}

#: Kind → what is kept. These kinds are read, each with one list.
KEEP = {
    "Node": {
        "metadata": META,
        "spec": {"unschedulable": 1, "taints": 1},
        "status": {
            "conditions": CONDITION,
            "capacity": 1,
            "allocatable": 1,
            "addresses": 1,
            "nodeInfo": {"kubeletVersion": 1, "kernelVersion": 1},
        },
    },
    "Lease": {"metadata": META, "spec": {"renewTime": 1, "holderIdentity": 1}},
    "Pod": {
        "metadata": META,
        "spec": {
            "nodeName": 1,
            "nodeSelector": 1,
            "containers": CONTAINER,
            "initContainers": {"name": 1, "image": 1},
            "volumes": {"name": 1, "persistentVolumeClaim": 1},
        },
        "status": {
            "phase": 1,
            "reason": 1,
            "message": 1,
            "conditions": CONDITION,
            "containerStatuses": STATUS,
            "initContainerStatuses": STATUS,
            "startTime": 1,
        },
    },
    "PersistentVolumeClaim": {
        "metadata": META,
        "spec": {"storageClassName": 1, "volumeName": 1, "resources": 1},
        "status": {"phase": 1, "capacity": 1},
    },
    "PersistentVolume": {
        "metadata": META,
        "spec": {
            "capacity": 1,
            "claimRef": {"namespace": 1, "name": 1},
            "nodeAffinity": 1,
            "persistentVolumeReclaimPolicy": 1,
            "storageClassName": 1,
        },
        "status": 1,
    },
    "StorageClass": {
        "metadata": META | {"annotations": {"storageclass.kubernetes.io/is-default-class": 1}},
        "provisioner": 1,
        "volumeBindingMode": 1,
    },
    "Service": {"metadata": META, "spec": {"type": 1, "selector": 1, "ports": 1, "clusterIP": 1}, "status": 1},
    "EndpointSlice": {"metadata": META, "ports": 1, "endpoints": {"conditions": 1, "addresses": 1}},
    "Ingress": {"metadata": META, "spec": {"ingressClassName": 1, "rules": 1, "tls": 1, "defaultBackend": 1}, "status": 1},
    "IngressClass": {
        "metadata": META | {"annotations": {"ingressclass.kubernetes.io/is-default-class": 1}},
        "spec": {"controller": 1},
    },
    "Deployment": {
        "metadata": META,
        "spec": {"replicas": 1, "selector": 1, "template": TEMPLATE},
        "status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "conditions": CONDITION},
    },
    "StatefulSet": {
        "metadata": META,
        "spec": {"replicas": 1, "selector": 1, "template": TEMPLATE},
        "status": {"replicas": 1, "readyReplicas": 1, "currentRevision": 1, "updateRevision": 1, "conditions": CONDITION},
    },
    "Job": {"metadata": META, "spec": {"backoffLimit": 1}, "status": 1},
    "HorizontalPodAutoscaler": {
        "metadata": META,
        "spec": {"scaleTargetRef": 1, "minReplicas": 1, "maxReplicas": 1},
        "status": {"conditions": CONDITION, "currentReplicas": 1, "desiredReplicas": 1},
    },
    "ResourceQuota": {"metadata": META, "status": {"hard": 1, "used": 1}},
    "Event": {
        "metadata": {"namespace": 1, "creationTimestamp": 1},
        "involvedObject": {"kind": 1, "name": 1, "namespace": 1},
        "type": 1,
        "reason": 1,
        "message": 1,
        "firstTimestamp": 1,
        "lastTimestamp": 1,
        "eventTime": 1,
        "count": 1,
    },
}


def trim(obj: dict) -> dict:
    """An object without what no signal needs; its kind stays."""
    kind = obj.get("kind", "")
    if kind == "Secret":
        return certificate_of(obj) if obj.get("type") == "kubernetes.io/tls" else release_of(obj)
    empty = {"metadata": {}, **({"involvedObject": {}} if kind == "Event" else {"spec": {}, "status": {}})}
    return {"kind": kind} | empty | _keep(obj, KEEP.get(kind, {"metadata": META}))


def certificate_of(secret: dict) -> dict:
    """A TLS Secret as the names and end of its certificate alone; neither key nor certificate is kept."""
    data = secret.get("data") or {}
    kept = {"kind": "Certificate", "metadata": _keep(secret.get("metadata", {}), META)}
    try:
        return kept | read_certificate(base64.b64decode(data.get("tls.crt", ""), validate=True))
    except (ValueError, binascii.Error) as error:
        return kept | {"unreadable": str(error).splitlines()[0] if str(error) else "not a certificate"}


def read_certificate(pem: bytes) -> dict:
    """``{"names", "from", "until", "issuer"}`` of a PEM certificate. Raises ValueError for anything else."""
    from cryptography import x509  # takes a while to import; only needed where there are certificates

    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [str(n) for n in (*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        found = []
    return {"names": found, "issuer": certificate.issuer.rfc4514_string(), "from": _utc(certificate.not_valid_before_utc),
            "until": _utc(certificate.not_valid_after_utc)}


def release_of(secret: dict) -> dict:
    """A Helm release's Secret as its labels alone: name, status, version. What it holds is not kept."""
    return {"kind": "Release", "metadata": _keep(secret.get("metadata", {}), META)}


def _keep(value, spec):
    if spec == 1 or value is None:
        return value
    if isinstance(value, list):
        return [_keep(item, spec) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _keep(value[key], inner) for key, inner in spec.items() if value.get(key) is not None}


def _utc(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
