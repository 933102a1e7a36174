"""The embedded rehearsal: a small store with the objects of a cluster, and behaviour replayed from recordings of a real run.

No root, no network, nothing changed anywhere but in one state file. ``connect`` opens it as a site; ``break_`` switches a
recorded fault on, ``mend`` off again, ``list_faults`` names them, ``reset`` starts anew.
"""

import os
from pathlib import Path

from runbook import paths
from runbook.cluster import Cluster
from runbook.helm import Helm
from runbook.rehearsal import faults
from runbook.rehearsal.helm import RehearsalRunner
from runbook.rehearsal.host import K3S, KUBECONFIG, RehearsalHost
from runbook.rehearsal.state import State
from runbook.rehearsal.transport import RehearsalTransport

__all__ = ["RehearsalHost", "RehearsalRunner", "RehearsalTransport", "State", "break_", "connect", "list_faults", "mend", "reset", "state_path"]


def state_path(name: str = "rehearsal") -> Path:
    """Where the state of a rehearsal is kept: ``RUNBOOK_REHEARSAL`` (a folder), else ``.rehearsal`` of the project."""
    return Path(os.environ.get("RUNBOOK_REHEARSAL") or paths.root() / ".rehearsal") / f"{name}.json"


def connect(name: str = "rehearsal", mode: str = "plan", state: State | None = None):
    """The rehearsal as a :class:`runbook.site.Site`; ``state`` stands in for the file of that name."""
    from runbook.site import Site, identify  # site opens the rehearsal by this function

    state = state or State(state_path(name))
    host = RehearsalHost(state)
    site = Site(name=name, target="rehearsal", mode=mode, host=host, banner="REHEARSAL")
    if not host.exists(K3S):
        return site
    site.cluster, site.kubeconfig = Cluster(RehearsalTransport(state), pause=lambda seconds: None), KUBECONFIG
    site.helm = Helm(site.cluster, RehearsalRunner(site.cluster))
    return identify(site)


def list_faults() -> dict[str, str]:
    """The faults there are: name → what is wrong then."""
    return {name: fault["title"] for name, fault in faults.known().items()}


def break_(fault: str, namespace: str = "", workload: str = "", container: str = "", name: str = "rehearsal") -> str:
    """Switch a fault on in the rehearsal of that name; says what is wrong now and what it was recorded from.

    Args:
        namespace: where; empty: in the one that the fault was recorded in.
        workload: ``"StatefulSet/demo"``: this one falls ill, until its template changes; otherwise the recorded objects are laid beside.
        container: which of its containers; the first one.

    Raises:
        ParameterError: there is no fault of that name; the message lists them.
    """
    found = faults.on(State(state_path(name)), fault, namespace, workload, container)
    return f"{found['title']} ({found['about']})"


def mend(fault: str = "", name: str = "rehearsal") -> None:
    """Switch a fault off; all of them when none is named."""
    faults.off(State(state_path(name)), fault)


def reset(name: str = "rehearsal") -> None:
    """Start the rehearsal of that name anew."""
    State(state_path(name)).reset()
