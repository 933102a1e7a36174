"""Where the users' data lie: classes, volumes, their owners and what they use.

Every function asks the cluster for whole lists, so the number of API calls does not grow with the workspaces.
"""

import json
import math
from datetime import UTC

import pandas as pd

from runbook.cluster import quantity
from runbook.errors import HostError
from runbook.facts.disks import size_text
from runbook.workspaces import OWNER, WORKSPACE

#: k3s's storage class, its configuration, and the folder it uses unless that says otherwise.
#: Source: manifests/local-storage.yaml of k3s-io/k3s; https://docs.k3s.io/add-ons/storage
LOCAL_PATH = "rancher.io/local-path"
CONFIG = ("local-path-config", "kube-system")
FOLDER = "/var/lib/rancher/k3s/storage"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
COMPONENT = "app.kubernetes.io/component"
VOLUMES = ["volume", "state", "owner", "workspace", "use", "claim", "class", "policy", "asked", "used", "share", "path", "node", "since", "identity"]


def classes(site) -> pd.DataFrame:
    """The storage classes. Columns ``name``, ``provisioner``, ``default``, ``when_released`` (Retain or Delete), ``binds``, ``grows``, ``layout``."""
    rows = [(c["metadata"]["name"], c["provisioner"], is_default(c), c.get("reclaimPolicy", "Delete"), c.get("volumeBindingMode", "Immediate"),
             bool(c.get("allowVolumeExpansion")), (c.get("parameters") or {}).get("pathPattern", "")) for c in _list(site, "StorageClass")]
    return pd.DataFrame(rows, columns=["name", "provisioner", "default", "when_released", "binds", "grows", "layout"])


def _list(site, kind: str, **more) -> list[dict]:
    """All objects of a kind; none before step 01."""
    return site.cluster.list(kind, **more) if site.cluster else []


def is_default(storage_class: dict) -> bool:
    """Whether claims that name no class get this one."""
    return storage_class["metadata"].get("annotations", {}).get(DEFAULT) == "true"


def volumes(site, used: dict[str, int] | None = None) -> pd.DataFrame:
    """Every volume, and every claim that has none yet.

    Args:
        used: bytes in use by path, as :func:`used` measures them.

    Returns columns ``volume``, ``state`` (Bound, Released, Available, Failed; Pending: a claim without volume), ``owner``, ``workspace``,
    ``use`` (workspace, home, database…), ``claim`` (``namespace/name``), ``class``, ``policy``, ``asked`` and ``used`` (bytes; NaN: not
    measured), ``share`` (used of asked), ``path``, ``node``, ``since`` (UTC), ``identity`` (the volume's uid).
    """
    claims = {(c["metadata"]["namespace"], c["metadata"]["name"]): c for c in _list(site, "PersistentVolumeClaim")}
    rows, bound = [], set()
    for volume in _list(site, "PersistentVolume"):
        ref = volume["spec"].get("claimRef") or {}
        key = (ref.get("namespace", ""), ref.get("name", ""))
        claim = claims.get(key, {})
        mine = claim if claim.get("metadata", {}).get("uid") == ref.get("uid") else {}
        if mine:
            bound.add(key)
        path = path_of(volume)
        rows.append(_row(volume["metadata"]["name"], volume.get("status", {}).get("phase", ""), key, mine, volume["spec"].get("storageClassName", ""),
                         volume["spec"].get("persistentVolumeReclaimPolicy", ""), volume["spec"]["capacity"]["storage"],
                         (used or {}).get(path, math.nan), path, node_of(volume), volume))
    for key, claim in claims.items():
        if key not in bound:
            spec = claim["spec"]
            rows.append(_row("", claim.get("status", {}).get("phase", "Pending"), key, claim, spec.get("storageClassName") or "", "",
                             spec["resources"]["requests"]["storage"], math.nan, "", "", claim))
    return pd.DataFrame(rows, columns=VOLUMES).sort_values(["claim", "since"], ignore_index=True)


def _row(name, state, key, claim, storage_class, policy, asked, used, path, node, dated) -> tuple:
    labels = claim.get("metadata", {}).get("labels", {})
    owner, workspace, use = labels.get(OWNER, ""), labels.get(WORKSPACE, ""), labels.get(COMPONENT, "")
    if not labels and key[0].startswith("ws-"):  # its claim is gone; the names tell
        owner = key[0].removeprefix("ws-")
        workspace, _, use = key[1].rpartition("-")
    size = quantity(asked)
    return (name, state, owner, workspace, use, "/".join(filter(None, key)), storage_class, policy, size, used, used / size if size else math.nan,
            path, node, dated["metadata"].get("creationTimestamp", ""), dated["metadata"].get("uid", ""))


def path_of(volume: dict) -> str:
    """The folder of a volume on its node; empty if it is none."""
    spec = volume["spec"]
    return ((spec.get("local") or spec.get("hostPath") or {}).get("path", "")).rstrip("/")


def node_of(volume: dict) -> str:
    """The node that a volume is tied to; empty if it is tied to none."""
    terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", [])
    return next((v for t in terms for e in t.get("matchExpressions", []) for v in e.get("values", [])), "")


def folder(site) -> str:
    """Where local-path puts the volumes; ``""`` on a cluster without it."""
    config = site.cluster.get("ConfigMap", *CONFIG) if site.cluster else None
    if config is None:
        return ""
    try:
        return json.loads(config["data"]["config.json"])["nodePathMap"][0]["paths"][0].rstrip("/")
    except (KeyError, IndexError, ValueError):
        return FOLDER


def used(site, table: pd.DataFrame) -> tuple[dict[str, int], str]:
    """Bytes in use below each volume's folder, and why they were not measured (``""`` if they were).

    One `du` on the host, so only where the volumes lie on this host: on its own node. Root is needed, since the folders are private.
    """
    paths = [p for p in table["path"] if p and site.host.exists(p)]
    if not paths:
        return {}, site.host.replayed or "the volumes do not lie on this host"
    try:
        result = site.host.run(["du", "--summarize", "--block-size=1", "--", *sorted(set(paths))], root=True, timeout=300, check=False)
    except HostError as error:
        return {}, error.what
    rows = (line.split("\t", 1) for line in result.stdout.splitlines() if "\t" in line)
    return {path: int(size) for size, path in rows}, result.replayed


def inside(site, name: str, owner: str, container: str = "web") -> pd.DataFrame:
    """What one workspace uses, measured from inside it: one `du` in its pod. Columns ``use``, ``path``, ``used`` (bytes).

    ``table.attrs["replayed"]`` says of which recording this is the replay, if it is one.
    """
    pod = site.cluster.get("Pod", f"{name}-0", f"ws-{owner}")
    rows, replayed = [], ""
    for part in pod["spec"]["containers"] if pod else []:
        if part["name"] not in (container, "mariadb"):
            continue
        mounts = {m["mountPath"]: m["name"] for m in part.get("volumeMounts", []) if m["name"] in ("workspace", "home", "database") and not m.get("readOnly")}
        if mounts:
            result = site.cluster.exec(f"{name}-0", ["du", "-sk", *mounts], f"ws-{owner}", part["name"], timeout=120, check=False)
            replayed = replayed or result.replayed
            for line in result.stdout.splitlines():
                size, _, path = line.partition("\t")
                rows.append((mounts.get(path, "?"), path, int(size) * 1024))
    table = pd.DataFrame(rows, columns=["use", "path", "used"])
    table.attrs["replayed"] = replayed
    return table


def ownership(site, table: pd.DataFrame, uid: int = 1000, gid: int = 1000) -> tuple[list[str], str]:
    """Folders of /workspace and home in which their person may not write, and why that was not looked at (``""`` if it was).

    One `stat` on the host. Returns sentences: ``"ws-alice/demo-home: /…/pvc-… is 0:0 0755"``.
    """
    mine = table[table["use"].isin(["workspace", "home"]) & (table["state"] == "Bound")]
    paths = {row.path: row.claim for row in mine.itertuples() if row.path and site.host.exists(row.path)}
    if not paths:
        return [], site.host.replayed or "the volumes do not lie on this host"
    result = site.host.run(["stat", "--format=%u %g %a %n", "--", *sorted(paths)], root=True, check=False)
    wrong = []
    for line in result.stdout.splitlines():
        owner, group, mode, path = line.split(" ", 3)
        bits = int(mode, 8)
        allowed = bits & 0o002 or (int(group) == gid and bits & 0o020) or (int(owner) == uid and bits & 0o200)
        if not allowed:
            wrong.append(f"{paths[path]}: {path} is {owner}:{group} {mode}")
    return wrong, result.replayed


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`volumes` for the eye: sizes with their unit, shares in percent, ages; each by its claim."""
    ages = pd.Timestamp.now(UTC) - pd.to_datetime(table["since"], utc=True)
    shown = pd.DataFrame({
        "claim": table["claim"], "state": table["state"], "policy": table["policy"], "asked": table["asked"].map(size_text),
        "used": table["used"].map(size_text), "share": table["share"].map(lambda s: "" if math.isnan(s) else f"{s:.0%}"),
        "age": [f"{a.days} days" if a.days else f"{a.total_seconds() / 3600:.1f} h" for a in ages], "path": table["path"],
    })
    return shown.set_index("claim")


def released(table: pd.DataFrame) -> pd.DataFrame:
    """The volumes whose claim is gone: their data are there, and nobody uses them."""
    return table[table["state"].isin(["Released", "Failed", "Available"]) & (table["volume"] != "")].reset_index(drop=True)


def orphans(site, table: pd.DataFrame) -> pd.DataFrame:
    """The claims of workspaces that are no more: no StatefulSet of that name. One API call."""
    running = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in _list(site, "StatefulSet", selector=WORKSPACE)}
    named = (table["workspace"] != "") & table["state"].isin(["Bound", "Pending", "Lost"])
    alone = [named[i] and (row.claim.split("/")[0], row.workspace) not in running for i, row in enumerate(table.itertuples())]
    return table[pd.Series(alone, index=table.index, dtype=bool)].reset_index(drop=True)


def lost(table: pd.DataFrame) -> list[str]:
    """Claims whose volume is gone: ``["ws-alice/demo-home (Lost)"]``. One that waits for its first pod is in order."""
    return [f"{row.claim} ({row.state})" for row in table[table["volume"] == ""].itertuples() if row.state not in ("Pending", "Bound")]


def over(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """The volumes that use more than ``share`` of what was asked for."""
    return table[table["share"] > share].reset_index(drop=True)


def shared_paths(table: pd.DataFrame) -> list[str]:
    """Folders that two volumes share: deleting the one would delete the other's data."""
    paths = table[table["path"] != ""]["path"]
    return sorted(set(paths[paths.duplicated()]))


def class_for_new(site, workspace: str, where: str) -> str:
    """The class for the claims of a workspace that is being made: ours if it is there, else ``""``, the cluster's default.

    Claims that were kept have their class already, which nothing can change: theirs, then. Not to name it would take it away from
    those whose release had named it.
    """
    kept = site.cluster.list("PersistentVolumeClaim", where, selector=f"{WORKSPACE}={workspace}")
    if kept:
        classes = {claim["spec"].get("storageClassName", "") for claim in kept}
        return classes.pop() if len(classes) == 1 else ""
    ours = site.cluster.list("StorageClass", selector="app.kubernetes.io/part-of=runbook")
    return ours[0]["metadata"]["name"] if ours else ""
