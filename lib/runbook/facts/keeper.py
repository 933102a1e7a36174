"""The keeper and the workspaces that it watches."""

import pandas as pd

from runbook.params import Workspaces
from runbook.workspaces import KEEPER, KEEPER_NAMESPACE, keeper_binding, namespace

IDLE = "runbook/idle-stop"  #: a pod's annotation: seconds without anybody after which it is stopped; the keeper reads it


def watched(site, wanted: Workspaces) -> pd.DataFrame:
    """The listed workspaces as the keeper has them.

    Columns ``owner``, ``name``, ``idle`` (seconds until it is stopped; 0: never), ``keeper`` (ready, not ready, not there), ``allowed`` (whether
    the keeper may stop it).
    """
    deployment = site.cluster.get("Deployment", KEEPER, KEEPER_NAMESPACE)
    ready = (deployment or {}).get("status", {}).get("readyReplicas", 0) > 0
    keeper = "not there" if deployment is None else "ready" if ready else "not ready"
    rows = []
    for w in wanted.list:
        asked = keeper_binding(w.owner)
        binding = site.cluster.get("RoleBinding", asked["metadata"]["name"], namespace(w.owner)) or {}
        workload = site.cluster.get("StatefulSet", w.name, namespace(w.owner)) or {"spec": {"template": {"metadata": {}}}}
        idle = workload["spec"]["template"]["metadata"].get("annotations", {}).get(IDLE, "0")
        rows.append((w.owner, w.name, int(idle), keeper, binding.get("roleRef") == asked["roleRef"] and binding.get("subjects") == asked["subjects"]))
    return pd.DataFrame(rows, columns=["owner", "name", "idle", "keeper", "allowed"])
