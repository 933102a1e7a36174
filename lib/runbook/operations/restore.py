"""Restore: a snapshot of a workspace back into it, or into another; never over what is there without its typed name."""

from datetime import UTC, datetime

from runbook import backups
from runbook.errors import BackupFailed, ParameterError, RunbookError
from runbook.facts import backup as facts
from runbook.operations import backup, workspaces
from runbook.params import Backup, Workspace, Workspaces
from runbook.plans import Change, Field, Plan
from runbook.workspaces import namespace

HALF = "; the workspace stays stopped, since it is half replaced: restore again, this snapshot or the one that was made just before"


def restore(site, wanted: Backup, spaces: Workspaces, told: dict | None = None) -> Plan:
    """A snapshot of ``wanted.restore`` into ``wanted.restore_to`` (the same, if empty).

    A workspace that is there is backed up first, so that this can be taken back; one that is not is made, as the parameters describe it.

    Args:
        told: gets what the restore told: ``files``, ``rows``, ``changed``… (see :func:`runbook.facts.backup.outcome`).

    Raises:
        ParameterError: the target is there and ``wanted.overwrite`` is not its typed name.
    """
    if not wanted.restore:
        return Plan()
    source, title = _pair(wanted.restore), wanted.restore_to or wanted.restore
    target, told = _pair(title), {} if told is None else told
    owner, name = target
    workload = site.cluster.get("StatefulSet", name, namespace(owner))
    if workload and wanted.overwrite != title:
        raise ParameterError(f"workspace {title}: it is there, and a restore would replace its files and database",
                             do=f'set backup.overwrite to "{title}", or backup.restore_to to a name that is free', fix=facts.HERE)
    changes = []
    if workload:
        changes.append(Change("run", "Backup", title, lambda: _safety(site, wanted, owner, name),
                              note="what is there now, so that this can be taken back"))
    else:
        space = next((w for w in spaces.list if (w.owner, w.name) == target), None) or _alike(spaces, source, target)
        changes.append(Change("create", "Workspace", title, lambda: make(site, spaces, space), note="empty at first",
                              undo=f"runbook workspace delete {name} --owner {owner}"))
    replaced = Field("files and database", "as they are" if workload else None, f"snapshot {wanted.snapshot} of {wanted.restore}")
    changes.append(Change("update", "Workspace", title, lambda: _note(told, lambda: _perform(site, wanted, source, target)), (replaced,),
                          note="stopped meanwhile", undo=f"restore the snapshot that was made just before, into {title}" if workload else ""))
    return Plan(tuple(changes))


def _note(told: dict, perform) -> None:
    """What a restore tells goes into ``told``. What came back and is not what it was refutes a claim; other failures are errors."""
    try:
        told.update(perform())
    except BackupFailed as failure:
        told.update(result=failure.result, message=str(failure))
        if failure.result != "differs":
            raise


def _pair(title: str) -> tuple[str, str]:
    owner, _, name = title.partition("/")
    return owner, name


def _alike(spaces: Workspaces, source: tuple[str, str], target: tuple[str, str]) -> Workspace:
    """A workspace of the target's name with what the parameters say of the source."""
    model = next((w for w in spaces.list if (w.owner, w.name) == source), None)
    return Workspace(**({k: v for k, v in model.model_dump().items()} if model else {}) | {"owner": target[0], "name": target[1]})


def make(site, spaces: Workspaces, space: Workspace) -> None:
    """A workspace made and started."""
    for change in workspaces.ensure_workspaces(site, spaces, only=(space,)):
        change.perform()
    # A queued workspace is all right elsewhere; here its first start has to make the database that is restored into.
    site.cluster.wait("Pod", f"{space.name}-0", namespace(space.owner), until=_ready, timeout=spaces.timeout,
                      what=f"workspace {space.owner}/{space.name} to have started once")


def _ready(pod: dict | None) -> bool:
    return bool(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def _safety(site, wanted: Backup, owner: str, name: str) -> None:
    """A backup of what is to be replaced. Its schedule, if it has one, stays as it is."""
    for change in filter(None, backup.ensure_owner(site, wanted, owner)):
        change.perform()
    backup.run(site, wanted, owner, name)


def _perform(site, wanted: Backup, source: tuple[str, str], target: tuple[str, str]) -> dict:
    owner, name = target
    workload = site.cluster.get("StatefulSet", name, namespace(owner))
    was_running = workload["spec"].get("replicas", 1) > 0
    found = facts.source(workload)
    for change in filter(None, backup.ensure_owner(site, wanted, owner)):
        change.perform()
    for change in workspaces.stop(site, name, owner):
        change.perform()
    job = f"restore-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    site.cluster.apply(backups.restore_job(wanted, source, target, found.image, found.secret, job))
    try:
        result = backup.finished(site, job, owner, wanted.timeout, f"the restore of {'/'.join(source)} into {owner}/{name}")
    except RunbookError as failure:
        begun = replacing(site, job, owner)
        failure.do += HALF if begun else "; nothing was replaced"
        if was_running and not begun:
            _start(site, owner, name)  # it is as it was
        raise
    if was_running:
        _start(site, owner, name)
    return result


def replacing(site, job: str, owner: str) -> bool:
    """Whether a restore came as far as to change anything: its second container began."""
    status = (backup.pod_of(site, job, namespace(owner)) or {}).get("status", {})
    later = status.get("initContainerStatuses", [])[1:] + status.get("containerStatuses", [])
    return any("running" in c.get("state", {}) or "terminated" in c.get("state", {}) for c in later)


def _start(site, owner: str, name: str) -> None:
    for change in workspaces.start(site, name, owner):
        change.perform()
