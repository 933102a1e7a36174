"""Backups: the key, the schedules, and a backup at once."""

import secrets
import time
from datetime import UTC, datetime

from runbook import backups
from runbook.errors import BackupFailed, ClusterError, ParameterError, RunbookError, WaitTimeout
from runbook.facts import backup as facts
from runbook.operations.objects import ensure_object
from runbook.params import Backup
from runbook.plans import Change, Plan, plan_of
from runbook.secrets import keep_secret
from runbook.workspaces import namespace

LOOK_SECONDS = 10


def ensure_backups(site, wanted: Backup) -> Plan:
    """A key, made once; and for each workspace a CronJob. Those of workspaces that are no more are taken away, their snapshots stay.

    With `backup.only` nothing is taken away: whoever names a few says nothing of the others.

    Raises:
        ParameterError: `backup.only` names a workspace that is not there.
    """
    if site.cluster is None:  # before step 01
        return Plan()
    found = facts.sources(site, wanted)
    missing = sorted(set(wanted.only) - {s.title for s in found})
    if missing:
        raise ParameterError(f"backup.only: no workspace {', '.join(missing)}", do="see runbook workspace list")
    changes = _ensure_key(site, wanted)
    for owner in sorted({s.owner for s in found}):
        changes += ensure_owner(site, wanted, owner)
    changes += [ensure_object(site.cluster, backups.cron_job(wanted, s.owner, s.name, s.image, s.secret)) for s in found]
    keep = {(namespace(s.owner), backups.job_name(s.name)) for s in found}
    for cron in [] if wanted.only else site.cluster.list("CronJob", selector=backups.SELECTOR):
        meta = cron["metadata"]
        if (meta["namespace"], meta["name"]) not in keep:
            changes.append(_delete(site, "CronJob", meta["name"], meta["namespace"], "its workspace is no more; its snapshots stay"))
    return plan_of(changes)


def ensure_owner(site, wanted: Backup, owner: str, new_namespace: bool = False) -> list[Change | None]:
    """What backups and restores of an owner need in the owner's namespace: the scripts, and a copy of the key."""
    planned = {namespace(owner)} if new_namespace else set()
    return [ensure_object(site.cluster, backups.scripts(owner), planned), _ensure_copy(site, wanted, owner)]


def _key_of(wanted: Backup) -> tuple[str, str]:
    where, _, name = wanted.key.partition("/")
    return where, name


def _ensure_key(site, wanted: Backup) -> list[Change | None]:
    where, name = _key_of(wanted)
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where, "labels": backups.labels("")}}
    space["metadata"]["labels"].pop("runbook/owner")
    live = site.cluster.get("Secret", name, where)
    if live and backups.PASSWORD in live.get("data", {}):
        return [None]
    changes = [ensure_object(site.cluster, space)] if site.cluster.get("Namespace", where) is None else []

    def make():
        site.cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                            "metadata": {"name": name, "namespace": where, "labels": space["metadata"]["labels"]},
                            "stringData": {backups.PASSWORD: keep_secret(secrets.token_urlsafe(32))}})

    note = "made when this is applied; keep a copy of it elsewhere, for without it no backup can be read"
    return [*changes, Change("update" if live else "create", "Secret", f"{where}/{name}", make, note=note)]


def key_command(wanted: Backup) -> str:
    """The command that shows the key, to be kept elsewhere. The key itself is never printed here."""
    where, name = _key_of(wanted)
    return f"kubectl -n {where} get secret {name} -o jsonpath='{{.data.{backups.PASSWORD}}}' | base64 -d"


def _ensure_copy(site, wanted: Backup, owner: str) -> Change | None:
    where, name = _key_of(wanted)
    master = site.cluster.get("Secret", name, where)
    copy = site.cluster.get("Secret", backups.KEY, namespace(owner))
    if master and copy and master.get("data") == copy.get("data"):
        return None

    def make():
        data = site.cluster.get("Secret", name, where)["data"]
        for value in data.values():
            keep_secret(value)
        site.cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data, "metadata": {
            "name": backups.KEY, "namespace": namespace(owner), "labels": backups.labels(owner)}}, force=True)

    return Change("update" if copy else "create", "Secret", f"{namespace(owner)}/{backups.KEY}", make,
                  note=f"a copy of {wanted.key}, for the Jobs of this owner")


def back_up(site, wanted: Backup, titles: list[str]) -> Plan:
    """Workspaces backed up at once, each by a Job of its own.

    Raises (when applied):
        BackupFailed: the message says of what, and what to do.
    """
    return Plan(tuple(Change("run", "Backup", title, lambda t=title: run(site, wanted, *t.split("/")), note="now, besides its schedule")
                      for title in titles))


def run(site, wanted: Backup, owner: str, name: str) -> dict:
    """One backup into `backup.repository`, wherever its schedule leads; from begin to end.

    What it told: ``snapshot``, files, rows (see :func:`runbook.facts.backup.outcome`).
    """
    workload = site.cluster.get("StatefulSet", name, namespace(owner))
    if workload is None:
        raise RunbookError(f"workspace {owner}/{name}: it is not there", do="see runbook workspace list", fix=facts.HERE)
    if site.cluster.get("Secret", backups.KEY, namespace(owner)) is None:
        raise RunbookError(f"workspace {owner}/{name}: it has no backup yet", do="apply the plan of this step first", fix=facts.HERE)
    source = facts.source(workload)
    job_name = f"{backups.job_name(name)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    cron = site.cluster.get("CronJob", backups.job_name(name), namespace(owner))
    site.cluster.apply(backups.backup_job(wanted, owner, name, source.image, source.secret, job_name, cron))
    return finished(site, job_name, owner, wanted.timeout, f"the backup of {owner}/{name}")


def finished(site, job: str, owner: str, timeout: int, what: str) -> dict:
    """:func:`finished_in` an owner's namespace."""
    return finished_in(site, job, namespace(owner), timeout, what)


def finished_in(site, job: str, where: str, timeout: int, what: str) -> dict:
    """Wait for the end of a backup or restore, telling its progress; what it told.

    Raises:
        BackupFailed: it failed, with the reason and what to do; or it cannot begin.
    """
    end, said = time.monotonic() + timeout + 30, ""
    while True:
        try:
            obj = site.cluster.wait("Job", job, where, until=_ended, timeout=LOOK_SECONDS, what=what)
            break
        except WaitTimeout:
            obj = None
        pod = pod_of(site, job, where)
        result, message = facts.stuck(pod) if pod else ("", "")
        if result:
            site.cluster.delete("Job", job, where)
            raise problem(what, result, message)
        if site.cluster.replayed or time.monotonic() > end:
            break
        line = _progress(site, pod)
        if line != said:
            said = line
            print(f"{what}: {line}", flush=True)
    found = facts.outcome(obj or site.cluster.get("Job", job, where), pod_of(site, job, where))
    if site.cluster.replayed:
        return found | {"replayed": site.cluster.replayed}
    if found["result"] != "ok":
        raise problem(what, found["result"], found["message"])
    return found


def problem(what: str, result: str, message: str) -> BackupFailed:
    """A failed backup or restore as an error: what happened, its last words, what to do, which notebook."""
    sentence, do, fix = facts.PROBLEMS.get(result, facts.PROBLEMS["failed"])
    return BackupFailed(f"{what} failed: {sentence}" + (f"\n{message}" if message else ""), result=result, do=do, fix=fix)


def _ended(job: dict | None) -> bool:
    conditions = (job or {}).get("status", {}).get("conditions", [])
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def pod_of(site, job: str, where: str) -> dict | None:
    """The newest pod of a Job."""
    pods = site.cluster.list("Pod", where, selector=f"job-name={job}")
    return max(pods, key=lambda p: p["metadata"]["creationTimestamp"], default=None)


def _progress(site, pod: dict | None) -> str:
    """What the container at work said last."""
    status = (pod or {}).get("status", {})
    for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        if "running" in c.get("state", {}):
            try:
                last = site.cluster.logs(pod["metadata"]["name"], pod["metadata"]["namespace"], c["name"], tail=1).strip()
            except ClusterError:
                last = ""
            share = last.removeprefix("progress ")
            return f"{c['name']}, {float(share):.0%}" if share.replace(".", "", 1).isdigit() else f"{c['name']} {last}".strip()
    return "begins"


def _delete(site, kind: str, name: str, where: str, note: str = "") -> Change:
    return Change("delete", kind, f"{where}/{name}", lambda: site.cluster.delete(kind, name, where), note=note)


def undo(site, wanted: Backup, delete_data: bool = False) -> Plan:
    """Take step 20 back: no schedules, scripts and copies of the key. The repository and the key itself stay, whatever is asked:
    snapshots are what is left when all else is gone."""
    changes = []
    for kind in ("CronJob", "Job", "ConfigMap", "Secret"):
        for obj in site.cluster.list(kind, selector=backups.SELECTOR):
            meta = obj["metadata"]
            if (meta["namespace"], meta["name"]) != _key_of(wanted) and not (kind == "Job" and meta.get("ownerReferences")):
                changes.append(_delete(site, kind, meta["name"], meta["namespace"]))
    return plan_of(changes)
