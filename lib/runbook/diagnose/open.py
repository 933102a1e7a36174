"""Open a site for looking at it, whatever state it is in: an API server that is down is a finding, not the end."""

from pathlib import Path

from runbook import params, site as sites
from runbook.cluster import Cluster
from runbook.errors import ClusterError
from runbook.host import Host


def connect(target: str, *, name: str, kubeconfig: str = "", mode: str = "plan") -> sites.Site:
    """As :func:`runbook.connect`, but a cluster that does not answer or refuses this user is kept: a snapshot then says so.

    Raises:
        ParameterError: unknown target or mode, or no such kubeconfig.
    """
    try:
        return sites.connect(target, name=name, kubeconfig=kubeconfig, mode=mode)
    except ClusterError:
        params.validate({"name": name, "target": target, "mode": mode, "kubeconfig": kubeconfig})
        return _rehearsal(name, mode) if target == "rehearsal" else _local(target, name, kubeconfig, mode)


def _local(target: str, name: str, kubeconfig: str, mode: str) -> sites.Site:
    from runbook.cluster.kube import KubeTransport

    path = str(Path(kubeconfig or sites.K3S_KUBECONFIG).expanduser())
    return sites.Site(name, target, mode, Host(), Cluster(KubeTransport(path)), kubeconfig=path)


def _rehearsal(name: str, mode: str) -> sites.Site:
    from runbook.rehearsal import RehearsalHost, RehearsalTransport, State, state_path

    state = State(state_path(name))
    cluster = Cluster(RehearsalTransport(state), pause=lambda seconds: None)
    return sites.Site(name, "rehearsal", mode, RehearsalHost(state), cluster, banner="REHEARSAL")
