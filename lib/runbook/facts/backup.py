"""Backups as they are: what is backed up, when it last was, what came of it. Five API calls, however many workspaces there are."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from runbook.backups import DATA, SELECTOR, is_folder
from runbook.facts import disks, storage
from runbook.facts.backup_jobs import HERE, PROBLEMS, outcome, reports, snapshots_of, stuck
from runbook.facts.workspaces import SELECTOR as WORKSPACES
from runbook.params import Backup
from runbook.workspaces import OWNER, WORKSPACE, namespace

COLUMNS = ["owner", "workspace", "schedule", "last", "age_hours", "result", "snapshot", "files", "bytes", "added", "rows", "checked",
           "kept", "seconds", "remark"]
GONE = "the workspace is no more; its snapshots stay"


@dataclass(frozen=True)
class Source:
    """A workspace that can be backed up: the image and the Secret of its database (empty: it has none), and whether it runs."""

    owner: str
    name: str
    image: str
    secret: str
    running: bool

    @property
    def title(self) -> str:
        return f"{self.owner}/{self.name}"


def sources(site, wanted: Backup) -> list[Source]:
    """The workspaces to back up, by owner and name."""
    if site.cluster is None:  # before step 01
        return []
    found = map(source, site.cluster.list("StatefulSet", selector=WORKSPACES))
    return sorted((s for s in found if not wanted.only or s.title in wanted.only), key=lambda s: (s.owner, s.name))


def source(workload: dict) -> Source:
    """A workspace, from its StatefulSet."""
    labels = workload["metadata"]["labels"]
    parts = {c["name"]: c for c in workload["spec"]["template"]["spec"]["containers"]}
    mariadb = parts.get("mariadb", {})
    secret = next((e["valueFrom"]["secretKeyRef"]["name"] for e in mariadb.get("env", []) if e["name"] == "MARIADB_ROOT_PASSWORD"), "")
    return Source(labels[OWNER], labels[WORKSPACE], mariadb.get("image", ""), secret, workload["spec"].get("replicas", 1) > 0)


def state(site, wanted: Backup) -> pd.DataFrame:
    """The backups of all workspaces, and of those that were backed up and are no more; with `backup.only` of those that it names.

    Columns ``owner``, ``workspace``, ``schedule`` (empty: none), ``last`` (UTC, of the last one that ended well), ``age_hours``,
    ``result`` (of the last one: ok, running, never, or one of :data:`PROBLEMS`), ``snapshot``, ``files``, ``bytes``, ``added`` (bytes), ``rows``, ``checked``,
    ``kept`` (snapshots), ``seconds``, ``remark``. What is only known from Jobs that are gone is NaN or empty.
    """
    if site.cluster is None:
        return pd.DataFrame(columns=COLUMNS)
    crons = {_key(c): c for c in site.cluster.list("CronJob", selector=SELECTOR)}
    jobs: dict[tuple, list] = {}
    for job in site.cluster.list("Job", selector=SELECTOR):
        if "runbook/action" not in job["metadata"]["labels"]:
            jobs.setdefault(_key(job), []).append(job)
    pods: dict[str, dict] = {}
    for pod in site.cluster.list("Pod", selector=SELECTOR):  # of several tries the newest stands
        uid = _owner_uid(pod)
        if uid not in pods or pod["metadata"]["creationTimestamp"] >= pods[uid]["metadata"]["creationTimestamp"]:
            pods[uid] = pod
    have = {(s.owner, s.name) for s in sources(site, wanted)}
    told = have | {key for key in crons.keys() | jobs.keys() if not wanted.only or "/".join(key) in wanted.only}
    rows = [_row(key, crons.get(key), jobs.get(key, []), pods, key in have, wanted) for key in sorted(told)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(key, cron, jobs, pods, there, wanted) -> tuple:
    ordered = sorted(jobs, key=lambda j: j["metadata"]["creationTimestamp"])
    told = [(job, outcome(job, pods.get(job["metadata"]["uid"]))) for job in ordered]
    good = next(((j, o) for j, o in reversed(told) if o["result"] == "ok"), (None, {}))
    newest = told[-1][1] if told else {"result": "never"}
    last = (good[0] or {}).get("status", {}).get("completionTime") or (cron or {}).get("status", {}).get("lastSuccessfulTime", "")
    age = (datetime.now(UTC) - datetime.fromisoformat(last)).total_seconds() / 3600 if last else math.nan
    summary = good[1].get("summary", {})
    if newest["result"] == "never" and last:
        newest = {"result": "ok"}
    remark = newest.get("message", "") if newest["result"] not in ("ok", "never", "running") else ""
    if not remark:
        remark = (GONE if not there else "not scheduled" if cron is None
                  else "never backed up" if not last else f"older than {wanted.overdue_hours} h" if age > wanted.overdue_hours else "")
    return (*key, (cron or {}).get("spec", {}).get("schedule", ""), last, age, newest["result"], summary.get("snapshot_id", "")[:8],
            summary.get("total_files_processed", math.nan), summary.get("total_bytes_processed", math.nan), summary.get("data_added", math.nan),
            good[1].get("rows", math.nan), good[1].get("checked", ""), len(snapshots_of(good[1])) or math.nan,
            good[1].get("seconds", math.nan), remark)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`state` for the eye, each by ``owner/workspace``; what is not known is empty."""
    count = lambda column: table[column].map(lambda n: "" if math.isnan(n) else f"{n:,.0f}")
    return pd.DataFrame({
        "workspace": table["owner"] + "/" + table["workspace"], "result": table["result"], "remark": table["remark"],
        "last": table["last"].map(lambda at: at[:16].replace("T", " ")), "snapshot": table["snapshot"], "kept": count("kept"),
        "files": count("files"), "size": table["bytes"].map(disks.size_text), "rows": count("rows"), "schedule": table["schedule"],
    }).set_index("workspace")


def restored(told: dict) -> pd.DataFrame:
    """What a restore told, for the eye. Columns ``what``, ``value``."""
    names = {"result": "result", "message": "message", "files": "files compared with their hashes",
             "changed": "of them changed while they were backed up", "rows": "rows counted", "tables": "tables", "seconds": "seconds"}
    rows = [(name, told[key]) for key, name in names.items() if told.get(key) not in (None, "")]
    return pd.DataFrame(rows, columns=["what", "value"]).set_index("what")


def place(site, wanted: Backup) -> pd.DataFrame:
    """Where the copies go, and what they survive. Columns ``repository``, ``kind``, ``survives``."""
    where = wanted.repository
    kind = "a folder of the node" if is_folder(where) else where.partition(":")[0]
    if not is_folder(where):
        survives = "the loss of this server, if it lies elsewhere"
    else:
        survives = _same_disk(site, where)
    return pd.DataFrame([(where, kind, survives)], columns=["repository", "kind", "survives"])


def _same_disk(site, where: str) -> str:
    """What a folder survives: whether it lies on the disk of the volumes."""
    parent = where
    while parent != "/" and not site.host.exists(parent):
        parent = parent.rsplit("/", 1)[0] or "/"
    mine, unseen = disks.below(site, parent if parent != "/" or not site.host.replayed else "")
    theirs, unknown = disks.below(site, storage.folder(site))
    if unseen or unknown or mine.empty or theirs.empty:
        return f"not known: {unseen or unknown}"
    if mine["device"].iloc[0] == theirs["device"].iloc[0]:
        return "a mistake, not the loss of the disk: it lies on the same one as the data"
    return "the loss of the volumes' disk, not of this server"


def without_claims(site, wanted: Backup) -> list[str]:
    """Workspaces that lack a claim: ``["alice/demo: home"]``. Two API calls."""
    if site.cluster is None:
        return []
    there = {(c["metadata"]["namespace"], c["metadata"]["name"]) for c in site.cluster.list("PersistentVolumeClaim")
             if not c["metadata"].get("deletionTimestamp") and c.get("status", {}).get("phase") != "Lost"}
    missing = []
    for s in sources(site, wanted):
        uses = [use for use in (*DATA, *(["database"] if s.image else [])) if (namespace(s.owner), f"{s.name}-{use}") not in there]
        missing += [f"{s.title}: {', '.join(uses)}"] if uses else []
    return missing


def advice(failed: pd.DataFrame) -> str:
    """What went wrong with each of these rows of :func:`state`, and what to do."""
    return "; ".join(f"{row.owner}/{row.workspace}: {PROBLEMS[row.result][0]}, {PROBLEMS[row.result][1]}" for row in failed.itertuples())


def k3s(site, wanted: Backup) -> dict:
    """What came of the last copy of k3s's state, as :func:`outcome` tells; ``{"result": "never"}`` if there was none."""
    where = wanted.key.partition("/")[0]
    job = site.cluster.get("Job", "backup-k3s", where) if site.cluster else None
    if job is None:
        return {"result": "never", "message": ""}
    pods = site.cluster.list("Pod", where, selector="job-name=backup-k3s")
    return outcome(job, pods[0] if pods else None)


def snapshots(site, owner: str, name: str) -> pd.DataFrame:
    """The snapshots of one workspace, newest first, as its last backup in the cluster found them. Columns ``snapshot``, ``time`` (UTC)."""
    rows: list = []
    pods = site.cluster.list("Pod", f"ws-{owner}", selector=f"{SELECTOR},{WORKSPACE}={name}") if site.cluster else []
    for pod in sorted(pods, key=lambda p: p["metadata"]["creationTimestamp"]):
        rows = snapshots_of(reports(pod).get("files", {})) or rows
    return pd.DataFrame(rows[::-1], columns=["snapshot", "time"])


def _owner_uid(pod: dict) -> str:
    return next((r["uid"] for r in pod["metadata"].get("ownerReferences", []) if r["kind"] == "Job"), "")


def _key(obj: dict) -> tuple[str, str]:
    labels = obj["metadata"]["labels"]
    return labels.get(OWNER, ""), labels.get(WORKSPACE, "")


__all__ = [
    "GONE", "HERE", "PROBLEMS", "Source", "advice", "k3s", "outcome", "place", "readable", "restored", "snapshots", "source", "sources",
    "state", "stuck", "without_claims",
]
