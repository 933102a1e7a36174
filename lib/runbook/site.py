"""A site: the server that a notebook acts on, and how its identity is shown before anything else."""

import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from runbook import params
from runbook.cluster import Cluster
from runbook.errors import ParameterError
from runbook.helm import Helm
from runbook.host import Host, Result
from runbook.show import RECORD

K3S_KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"  #: where k3s writes it, https://docs.k3s.io/cluster-access
LAB_IMAGES = "docker.io/lab/"  #: names of the stand-ins that a test cluster's add-ons run from


@dataclass
class Site:
    """One server: ``host`` is the machine, ``cluster`` its Kubernetes, ``helm`` the releases on it.

    ``cluster`` and ``helm`` are ``None`` while there is no Kubernetes yet (before step 01).
    """

    name: str
    target: str
    mode: str
    host: Host
    cluster: Cluster | None = None
    helm: Helm | None = None
    kubeconfig: str = ""
    version: str = ""
    nodes: list[str] = field(default_factory=list)
    banner: str = ""

    def shown(self, *results: Result | str) -> str:
        """Why a claim about a change, or about these results, cannot be shown here; empty when it can.

        Args:
            results: what the claim rests on: results, a host or a cluster, which may be replayed; or the reason itself.
        """
        if self.mode == "plan":
            return "plan mode: nothing was changed"
        return self.seen(*results)

    def seen(self, *results: Result | str) -> str:
        """The same for a claim about what is there already, which plan mode can show, too."""
        reasons = [r if isinstance(r, str) else getattr(r, "replayed", "") for r in results]
        return next(filter(None, reasons), "")

    def needs(self, present: object, step: str) -> str:
        """``"needs 01-…"`` when what an earlier step leaves is not there; empty when it is."""
        return "" if present else f"needs {step}: it has not been applied yet"

    def record(self) -> dict:
        return {"name": self.name, "target": self.target, "mode": self.mode, "banner": self.banner, "version": self.version,
                "server": self.cluster.server if self.cluster else "", "nodes": self.nodes}

    def __repr__(self) -> str:
        where = f"{self.cluster.server}, Kubernetes {self.version}, nodes: {', '.join(self.nodes)}" if self.cluster else "no Kubernetes yet"
        return f"{self.banner + ': ' if self.banner else ''}site {self.name}, target {self.target}, mode {self.mode}; {where}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        rows = [("site", self.name), ("target", self.target), ("mode", self.mode),
                ("API server", self.cluster.server if self.cluster else "no Kubernetes yet"),
                ("Kubernetes", self.version or "–"), ("nodes", ", ".join(self.nodes) or "–")]
        html = "<table>" + "".join(f"<tr><th style='text-align:left'>{k}</th><td>{escape(v)}</td></tr>" for k, v in rows) + "</table>"
        if self.banner:
            html = f"<p><b>{escape(self.banner)}</b>: {escape(BANNERS[self.banner])}</p>" + html
        return {RECORD.format("identity"): self.record(), "text/plain": repr(self), "text/html": html}


BANNERS = {
    "REHEARSAL": "nothing here touches a server; behaviour is replayed from recordings of a real run.",
    "LAB": "a real Kubernetes for tests, with stand-in images; not a server that people work on.",
}


def connect(target: str, *, name: str, kubeconfig: str = "", mode: str = "plan") -> Site:
    """Open a site.

    Args:
        target: ``rehearsal`` (nothing is touched) or ``local`` (this server).
        name: the site's name.
        kubeconfig: path of the cluster's kubeconfig; empty: that of the k3s on this server, if there is one yet.
        mode: ``plan`` or ``apply``; a claim about a change is not shown in plan mode.

    Raises:
        ParameterError: unknown target or mode, or no such kubeconfig.
        Unreachable, Forbidden: the cluster does not answer, or refuses this user.
    """
    params.validate({"name": name, "target": target, "mode": mode, "kubeconfig": kubeconfig})
    if target == "rehearsal":
        from runbook.rehearsal import connect as rehearse  # only the rehearsal knows its store

        return rehearse(name=name, mode=mode)
    host: Host = Host()
    path = kubeconfig or (K3S_KUBECONFIG if host.exists(K3S_KUBECONFIG) else "")
    if not path:
        return Site(name, target, mode, host)
    if not Path(path).expanduser().exists():
        raise ParameterError(f"kubeconfig {path}: no such file", do="give the path of the cluster's kubeconfig, or leave it empty before step 01")
    return with_cluster(Site(name, target, mode, host), path)


def open_cluster(site: Site, kubeconfig: str) -> Site:
    """The same site with the cluster that a step has installed in between; as it is if it has one, or if there is none yet."""
    return site if site.cluster or site.target == "rehearsal" or not site.host.exists(kubeconfig) else with_cluster(site, kubeconfig)


def with_cluster(site: Site, kubeconfig: str) -> Site:
    """Open the cluster of a kubeconfig on a site, and see that it answers."""
    from runbook.cluster.kube import KubeTransport
    from runbook.helm.sdk import SdkRunner

    transport = KubeTransport(kubeconfig)
    recording = os.environ.get("RUNBOOK_RECORD")
    if recording:
        from runbook.rehearsal.record import RecordingHost, RecordingTransport

        transport, site.host = RecordingTransport(transport, recording), RecordingHost(site.host, recording)
    site.cluster, site.kubeconfig = Cluster(transport), str(Path(kubeconfig).expanduser())
    site.helm = Helm(site.cluster, SdkRunner(site.kubeconfig))
    return identify(site)


def identify(site: Site) -> Site:
    """Ask the cluster who it is."""
    site.version = site.cluster.version
    nodes = site.cluster.list("Node")
    site.nodes = [n["metadata"]["name"] for n in nodes]
    images = [name for n in nodes for i in n.get("status", {}).get("images", []) for name in i.get("names") or []]
    if not site.banner and any(name.startswith(LAB_IMAGES) for name in images):
        site.banner = "LAB"
    return site
