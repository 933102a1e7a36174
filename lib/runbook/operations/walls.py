"""Walls around an owner's namespace: how strict pods must be, what a container may write, where pods may connect to.

Sources: https://kubernetes.io/docs/concepts/security/pod-security-standards (levels and their label),
https://kubernetes.io/docs/concepts/services-networking/network-policies (rules add up; what no rule allows is refused).
"""

from runbook.params import Docker
from runbook.plans import Change, Field, Plan, plan_of
from runbook.operations.objects import delete_objects, ensure_objects
from runbook.workspaces import labels, namespace

LEVEL = "pod-security.kubernetes.io/enforce"
EGRESS = "runbook-egress"
LIMITS = "runbook-disk"
METADATA = "169.254.169.254"  #: where clouds answer for a machine's own data and keys
LINK_LOCAL, LINK_LOCAL_6, METADATA_6 = "169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"


def level(mode: str) -> str:
    """The strictest Pod Security level that admits a workspace whose Docker runs in this mode."""
    return "baseline" if mode == "none" else "privileged"


def ensure_walls(site, owner: str, mode: str, wanted: Docker) -> Plan:
    """The namespace's label, its default limit of disk, and its egress policy."""
    where = namespace(owner)
    objects = [disk_limits(owner, wanted.disk_limit), egress(owner, api_server(site))]
    return plan_of([_label(site, where, level(mode))]) + ensure_objects(site.cluster, objects)


def remove_walls(site, owner: str) -> Plan:
    """Neither label, nor limit, nor policy."""
    where = namespace(owner)
    return delete_objects(site.cluster, [disk_limits(owner, "1Gi"), egress(owner, [])]) + plan_of([_label(site, where, None)])


def disk_limits(owner: str, limit: str) -> dict:
    """What each container may write outside its volumes, where it names no limit itself."""
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": LIMITS, "namespace": namespace(owner), "labels": labels(owner)},
            "spec": {"limits": [{"type": "Container", "default": {"ephemeral-storage": limit}, "defaultRequest": {"ephemeral-storage": "16Mi"}}]}}


def egress(owner: str, servers: list[str]) -> dict:
    """Where the workspaces' pods may connect to: everywhere but the server itself (API server, kubelet, SSH) and metadata addresses.

    Args:
        servers: addresses of the API server, which on one server are the server's own.
    """
    own = [{"cidr": f"{a}/{128 if ':' in a else 32}"} for a in servers]
    everywhere = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [LINK_LOCAL, *(o["cidr"] for o in own if ":" not in o["cidr"])]}},
        {"ipBlock": {"cidr": "::/0", "except": [LINK_LOCAL_6, METADATA_6, *(o["cidr"] for o in own if ":" in o["cidr"])]}}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": EGRESS, "namespace": namespace(owner), "labels": labels(owner)},
            "spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "workspace"}}, "policyTypes": ["Egress"],
                     "egress": [{"to": everywhere}]}}


def api_server(site) -> list[str]:
    """The addresses behind the Service ``kubernetes``."""
    found = site.cluster.list("EndpointSlice", "default", selector="kubernetes.io/service-name=kubernetes")
    return sorted({a for s in found for e in s.get("endpoints") or [] for a in e.get("addresses", [])})


def _label(site, where: str, value: str | None) -> Change | None:
    live = site.cluster.get("Namespace", where)
    if live is None:
        return None
    before = live["metadata"].get("labels", {}).get(LEVEL)
    if before == value:
        return None
    # A patch, not an apply: the namespace's other labels are another step's.
    return Change("update", "Namespace", where, lambda: site.cluster.patch("Namespace", where, "", {"metadata": {"labels": {LEVEL: value}}}),
                  (Field(f"metadata.labels.{LEVEL}", before, value),), undo=f"kubectl label namespace {where} {LEVEL}-")
