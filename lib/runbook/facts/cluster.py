"""The cluster at a glance: its nodes and the components that come with it."""

import pandas as pd

from runbook.cluster.quantity import quantity

#: What k3s brings with it, by the label of its pods. Source: https://docs.k3s.io/installation/packaged-components
COMPONENTS = {"coredns": "k8s-app=kube-dns", "local-path-provisioner": "app=local-path-provisioner", "metrics-server": "k8s-app=metrics-server",
              "traefik": "app.kubernetes.io/name=traefik"}


def nodes(cluster) -> pd.DataFrame:
    """Columns ``node``, ``ready``, ``version``, ``runtime``, ``kernel``, ``cpu`` (cores), ``memory`` (GiB), ``pods`` (most it takes)."""
    rows = []
    for node in cluster.list("Node"):
        info, room = node["status"]["nodeInfo"], node["status"]["allocatable"]
        rows.append((node["metadata"]["name"], is_ready(node), info["kubeletVersion"], info["containerRuntimeVersion"], info["kernelVersion"],
                     float(quantity(room["cpu"])), round(quantity(room["memory"]) / 2**30, 1), int(room["pods"])))
    return pd.DataFrame(rows, columns=["node", "ready", "version", "runtime", "kernel", "cpu", "memory", "pods"])


def components(cluster, without: list[str] = ()) -> pd.DataFrame:
    """The packaged components. Columns ``component``, ``pods``, ``ready`` (number of ready pods), ``state``.

    Args:
        without: components that the parameters leave out.
    """
    pods = cluster.list("Pod", "kube-system")
    rows = []
    for name, selector in COMPONENTS.items():
        key, value = selector.split("=")
        own = [p for p in pods if p["metadata"].get("labels", {}).get(key) == value]
        ready = sum(map(is_ready, own))
        state = "left out" if name in without else "absent" if not own else "ready" if ready == len(own) else "not ready"
        rows.append((name, len(own), ready, state))
    return pd.DataFrame(rows, columns=["component", "pods", "ready", "state"])


def is_ready(obj: dict) -> bool:
    """Does an object's Ready condition hold?"""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in obj.get("status", {}).get("conditions", []))




