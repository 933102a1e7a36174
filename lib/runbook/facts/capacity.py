"""Does what the workspaces ask for fit on the server?"""

import pandas as pd

from runbook.cluster.quantity import quantity
from runbook.helm import render
from runbook.params import Workspaces
from runbook.paths import charts
from runbook.workspaces import chart_values, namespace

UNITS = {"cpu": 1.0, "memory": 2**30}


def requests(objects: list[dict]) -> dict[str, float]:
    """What the pods of rendered objects ask for: ``{"cpu": cores, "memory": bytes}``; init containers count where they ask for more."""
    total = {"cpu": 0.0, "memory": 0.0}
    for obj in objects:
        spec = obj.get("spec", {}).get("template", {}).get("spec")
        if not spec:
            continue
        sidecars = [c for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
        before = [c for c in spec.get("initContainers", []) if c not in sidecars]
        for what in total:
            running = sum(_asked(c, what) for c in spec["containers"] + sidecars)
            total[what] += max([running, *(_asked(c, what) for c in before)])
    return total


def room_for(site, wanted: Workspaces) -> pd.DataFrame:
    """What the listed workspaces ask for together, against what the nodes have left.

    Returns:
        A DataFrame with columns ``what``, ``asked`` (cores or GiB, workspaces that run already not counted), ``free`` (the same;
        ``NaN`` without a cluster) and ``fits``.
    """
    free = _free(site.cluster) if site.cluster else {}
    running = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in site.cluster.list("StatefulSet")} if site.cluster else set()
    asked = {"cpu": 0.0, "memory": 0.0}
    for workspace in wanted.list:
        where = namespace(workspace.owner)
        if (where, workspace.name) not in running:
            one = requests(render(charts() / "workspace", workspace.name, where, chart_values(workspace, wanted, "image", {})))
            asked = {what: asked[what] + one[what] for what in asked}
    rows = [(what, round(asked[what] / unit, 2), round(free[what] / unit, 2) if free else float("nan"), not free or asked[what] <= free[what])
            for what, unit in UNITS.items()]
    return pd.DataFrame(rows, columns=["what", "asked", "free", "fits"])


def _free(cluster) -> dict[str, float]:
    room = {"cpu": 0.0, "memory": 0.0}
    for node in cluster.list("Node"):
        for what in room:
            room[what] += quantity(node["status"]["allocatable"][what])
    for pod in cluster.list("Pod", fields="status.phase!=Succeeded,status.phase!=Failed"):
        if not pod["spec"].get("nodeName"):
            continue  # it waits for room; it takes none
        taken = requests([{"spec": {"template": {"spec": pod["spec"]}}}])
        room = {what: room[what] - taken[what] for what in room}
    return room


def _asked(container: dict, what: str) -> float:
    return quantity(container.get("resources", {}).get("requests", {}).get(what, 0))
