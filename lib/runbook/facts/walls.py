"""Walls as the objects describe them: limits of containers, Pod Security, where policies let pods connect to. Nothing is changed."""

import ipaddress

import pandas as pd

from runbook.errors import ClusterError
from runbook.operations.walls import LEVEL, METADATA, api_server
from runbook.params import Workspaces
from runbook.workspaces import namespace

KINDS = ("cpu", "memory", "ephemeral-storage")


def limits(site, workspaces: Workspaces) -> pd.DataFrame:
    """The limits of each container of the running workspaces: ``owner``, ``name``, ``container``, ``cpu``, ``memory``, ``ephemeral-storage``."""
    rows = []
    for w in workspaces.list if site.cluster else ():
        pod = site.cluster.get("Pod", f"{w.name}-0", namespace(w.owner))
        for c in (pod or {"spec": {}})["spec"].get("containers", []):
            rows.append((w.owner, w.name, c["name"], *(c.get("resources", {}).get("limits", {}).get(k, "") for k in KINDS)))
    return pd.DataFrame(rows, columns=["owner", "name", "container", *KINDS])


def levels(site, workspaces: Workspaces) -> pd.DataFrame:
    """The Pod Security level of each owner's namespace, and whether a pod with the node's disk is refused there: ``owner``, ``level``, ``host disk``
    (refused, admitted), ``plain pod``. Asked as dry runs; the rehearsal admits what a cluster would refuse."""
    rows = []
    for owner in sorted({w.owner for w in workspaces.list} if site.cluster else ()):
        where = namespace(owner)
        obj = site.cluster.get("Namespace", where)
        if obj:
            rows.append((owner, obj["metadata"].get("labels", {}).get(LEVEL, ""), _admits(site, where, True), _admits(site, where, False)))
    return pd.DataFrame(rows, columns=["owner", "level", "host disk", "plain pod"])


def ways_out(site, workspaces: Workspaces) -> pd.DataFrame:
    """What the policies of each owner's namespace say of a cloud's metadata address and of the server's own ports: ``owner``, ``to``,
    ``address``, ``allowed``."""
    rows, addresses = [], {"metadata": (METADATA, 80)}
    server = next(iter(api_server(site)), "") if site.cluster else ""
    addresses |= {"kubelet": (server, 10250), "ssh": (server, 22)} if server else {}
    for owner in sorted({w.owner for w in workspaces.list} if site.cluster else ()):
        policies = site.cluster.list("NetworkPolicy", namespace(owner))
        for what, (address, port) in addresses.items():
            rows.append((owner, what, address, allows(policies, {"app.kubernetes.io/name": "workspace"}, address, port)))
    return pd.DataFrame(rows, columns=["owner", "to", "address", "allowed"])


def allows(policies: list[dict], labels: dict[str, str], address: str, port: int) -> bool:
    """Whether NetworkPolicies of a pod's namespace let it connect to an address outside the cluster's pods.

    What no policy concerns is allowed; else what any rule of any of them allows.
    """
    concerned = [p["spec"] for p in policies if _selects(p["spec"].get("podSelector") or {}, labels)
                 and "Egress" in p["spec"].get("policyTypes", ["Egress"] if "egress" in p["spec"] else [])]
    return not concerned or any(_lets(rule, address, port) for spec in concerned for rule in spec.get("egress") or [])


def _selects(selector: dict, labels: dict[str, str]) -> bool:
    if selector.get("matchExpressions"):
        return True  # not understood here: taken for concerned, and its rules for what they are
    return all(labels.get(k) == v for k, v in (selector.get("matchLabels") or {}).items())


def _lets(rule: dict, address: str, port: int) -> bool:
    ports = [p.get("port") for p in rule.get("ports") or []]
    if ports and port not in ports and None not in ports:
        return False
    if not rule.get("to"):
        return True
    return any(_contains(peer["ipBlock"], address) for peer in rule["to"] if "ipBlock" in peer)


def _contains(block: dict, address: str) -> bool:
    at = ipaddress.ip_address(address)
    nets = [ipaddress.ip_network(block["cidr"], strict=False), *(ipaddress.ip_network(e, strict=False) for e in block.get("except") or [])]
    return at in nets[0] and not any(at in n for n in nets[1:])


def _admits(site, where: str, host_disk: bool) -> str:
    volumes = [{"name": "disk", "hostPath": {"path": "/"}}] if host_disk else []
    mounts = [{"name": "disk", "mountPath": "/host"}] if host_disk else []
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runbook-admitted", "namespace": where}, "spec": {
        "containers": [{"name": "try", "image": "busybox", "volumeMounts": mounts}], "volumes": volumes}}
    try:
        site.cluster.apply(pod, dry_run=True)
        return "admitted"
    except ClusterError as error:
        return "refused" if "PodSecurity" in error.what else f"refused: {error.what.splitlines()[0]}"
