"""The node's part in Docker without rights on the host: a containerd handler whose containers may write their cgroups, and a limit of
processes for each pod. On k3s only: another cluster's node is its owner's.

Sources: containerd's docs/cri/config.md (``cgroup_writable``; internal/cri/config/config.go refuses it on cgroup v1, so the file is never
written there), https://docs.k3s.io/advanced#configuring-containerd (``config-v3.toml.tmpl``, the base template), k3s-io/k3s#13680 (the
imported folder ``config-v3.toml.d``), https://docs.k3s.io/installation/configuration#kubelet-configuration (``kubelet.conf.d``),
https://kubernetes.io/docs/concepts/containers/runtime-class.
"""

import re

from runbook.docker import RUNTIME_CLASS
from runbook.operations.host import ensure_file, remove_file
from runbook.operations.objects import ensure_objects
from runbook.params import Docker
from runbook.plans import Change, Plan, plan_of

AGENT = "/var/lib/rancher/k3s/agent/etc"
CONTAINERD = f"{AGENT}/containerd"
RENDERED, TEMPLATE = f"{CONTAINERD}/config.toml", f"{CONTAINERD}/config-v3.toml.tmpl"
DROP_IN = f"{CONTAINERD}/config-v3.toml.d/60-runbook-docker.toml"
KUBELET = f"{AGENT}/kubelet.conf.d/60-runbook.conf"
CGROUP_V2 = "/sys/fs/cgroup/cgroup.controllers"
BASE = '{{ template "base" . }}\n'
MARK = "# Written by the runbook, step 04: Docker in workspaces."


def ensure_node(site, wanted: Docker) -> Plan:
    """The files on a k3s server, its restart when one of them changes, and the RuntimeClass. Nothing on other clusters, or on cgroup v1."""
    host = site.host
    rendered = host.read(RENDERED) or ""
    if site.cluster is None or not rendered:
        return Plan()
    files = [ensure_file(host, KUBELET, kubelet(wanted.pids))]
    handler = wanted.mode in ("auto", "userns") and "version = 3" in rendered and host.exists(CGROUP_V2)
    if handler:
        files.append(_handler_file(host, rendered))
    plan = plan_of(files)
    if plan:
        plan += plan_of([_restart(site)])
    return plan + (ensure_objects(site.cluster, [runtime_class()]) if handler else Plan())


def remove_node(site) -> list[Change | None]:
    """Neither the files nor the RuntimeClass."""
    changes = []
    if site.cluster and site.cluster.get("RuntimeClass", RUNTIME_CLASS):
        changes.append(Change("delete", "RuntimeClass", RUNTIME_CLASS, lambda: site.cluster.delete("RuntimeClass", RUNTIME_CLASS)))
    files = [remove_file(site.host, path) for path in (DROP_IN, KUBELET)]
    template = site.host.read(TEMPLATE)
    if template and MARK in template:
        rest = template[: template.index(MARK)]
        files.append(remove_file(site.host, TEMPLATE) if rest in ("", BASE) else ensure_file(site.host, TEMPLATE, rest))
    changes += files
    return changes + ([_restart(site)] if any(files) and site.cluster else [])


def handler(systemd: bool) -> str:
    """The containerd handler: k3s's own runc, with cgroups that may be written."""
    at = f"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'{RUNTIME_CLASS}']"
    options = at.replace("']", "'.options]") if at.endswith("']") else at
    return (f"{MARK}\n{at}\n  runtime_type = \"io.containerd.runc.v2\"\n  cgroup_writable = true\n\n"
            f"{options}\n  SystemdCgroup = {str(systemd).lower()}\n")


def kubelet(pids: int) -> str:
    """The kubelet's setting: how many processes a pod may have."""
    return (f"{MARK}\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\npodPidsLimit: {pids}\n")


def runtime_class() -> dict:
    """The name by which a pod asks for that handler."""
    return {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": RUNTIME_CLASS,
            "metadata": {"name": RUNTIME_CLASS, "labels": {"app.kubernetes.io/managed-by": "runbook"}}}


def _handler_file(host, rendered: str) -> Change | None:
    """Into the folder that k3s's settings import; into its template where this k3s imports none."""
    text = handler(bool(re.search(r"SystemdCgroup\s*=\s*true", rendered)))
    if "config-v3.toml.d/" in rendered:
        return ensure_file(host, DROP_IN, "version = 3\n\n" + text)
    template = host.read(TEMPLATE)
    before = template[: template.index(MARK)] if template and MARK in template else template or BASE
    return ensure_file(host, TEMPLATE, before if before.endswith("\n") and text in before else before + text)


def _restart(site) -> Change:
    def perform():
        site.host.run(["systemctl", "restart", "k3s"], timeout=300, root=True, echo=True)
        for node in site.nodes:
            site.cluster.wait("Node", node, until=lambda n: n is not None and any(
                c["type"] == "Ready" and c["status"] == "True" for c in n.get("status", {}).get("conditions", [])), timeout=180,
                what=f"node {node} to be Ready again")

    return Change("run", "Command", "systemctl restart k3s", perform, note="reads its new settings; pods go on running meanwhile")
