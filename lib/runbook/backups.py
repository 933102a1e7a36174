"""What a backup is made of in the cluster: its CronJob, its Jobs, its scripts. Pure: parameters in, objects out."""

import zlib
from pathlib import Path

from runbook.params import Backup
from runbook.workspaces import labels as workspace_labels, namespace

SCRIPTS = Path(__file__).parent / "scripts" / "backup"
NAME = "app.kubernetes.io/name"
SELECTOR = f"{NAME}=backup,app.kubernetes.io/part-of=runbook"
KEY, FILES = "backup-key", "backup-scripts"  #: the Secret and the ConfigMap in each owner's namespace
PASSWORD = "password"  #: the key of the Secret that encrypts
HISTORY = 3  #: Jobs that a CronJob leaves, of each outcome
WEEK = 7 * 86400  #: seconds that other Jobs stay
#: To read every file and to give files back to their owners; nothing else of root.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
#: And to work as the user `mysql`, as the server's own container may.
MARIADB_CAPABILITIES = [*CAPABILITIES, "SETGID", "SETUID"]
DATA = ("workspace", "home")


def labels(owner: str, workspace: str = "") -> dict[str, str]:
    """Labels of all that belongs to backups."""
    return workspace_labels(owner, workspace) | {NAME: "backup"}


def job_name(workspace: str) -> str:
    """The CronJob of a workspace."""
    return f"backup-{workspace}"


def is_folder(repository: str) -> bool:
    """Whether a repository is a folder of the node."""
    return repository.startswith("/")


def repository(wanted: Backup, owner: str, workspace: str) -> str:
    """Where the snapshots of a workspace are: each has a repository of its own, so that none sees another's."""
    return f"{wanted.repository.rstrip('/')}/{owner}/{workspace}"


def schedule(text: str, owner: str, workspace: str) -> str:
    """Cron's fields, with H made a minute of this workspace's own: ``"H 3 * * *"`` → ``"41 3 * * *"``."""
    return text.replace("H", str(zlib.crc32(f"{owner}/{workspace}".encode()) % 60), 1)


def scripts(owner: str) -> dict:
    """The scripts, as a ConfigMap of an owner's namespace."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": FILES, "namespace": namespace(owner), "labels": labels(owner)},
            "data": {p.name: p.read_text() for p in sorted(SCRIPTS.glob("*.sh"))}}


def cron_job(wanted: Backup, owner: str, workspace: str, image: str, secret: str) -> dict:
    """The scheduled backup of a workspace.

    Args:
        image: of its MariaDB; empty if it has none.
        secret: the Secret with its database's password.
    """
    return {
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": job_name(workspace), "namespace": namespace(owner), "labels": labels(owner, workspace)},
        "spec": {"schedule": schedule(wanted.schedule, owner, workspace), "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 3600,
                 "successfulJobsHistoryLimit": HISTORY, "failedJobsHistoryLimit": HISTORY,
                 "jobTemplate": {"metadata": {"labels": labels(owner, workspace)},
                                 "spec": job_spec(wanted, owner, workspace, backup_containers(wanted, owner, workspace, image, secret), retries=1)}},
    }


def backup_job(wanted: Backup, owner: str, workspace: str, image: str, secret: str, name: str, cron: dict | None) -> dict:
    """The Job that backs up a workspace at once. It goes with the older Jobs of its CronJob or, without one, after a week."""
    meta = {"name": name, "namespace": namespace(owner), "labels": labels(owner, workspace)}
    spec = job_spec(wanted, owner, workspace, backup_containers(wanted, owner, workspace, image, secret), retries=0)
    if cron:  # as `kubectl create job --from` makes it
        meta |= {"annotations": {"cronjob.kubernetes.io/instantiate": "manual"}, "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": cron["metadata"]["name"], "uid": cron["metadata"]["uid"], "controller": True}]}
    else:
        spec |= {"ttlSecondsAfterFinished": WEEK}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def restore_job(wanted: Backup, source: tuple[str, str], target: tuple[str, str], image: str, secret: str, name: str) -> dict:
    """The Job that restores a snapshot of ``source`` (owner, workspace) into the stopped workspace ``target``."""
    owner, workspace = target
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": namespace(owner),
                     "labels": labels(owner, workspace) | {"runbook/action": "restore"}},
        "spec": job_spec(wanted, owner, workspace, restore_containers(wanted, source, target, image, secret), retries=0, source=source,
                         extra={"runbook/action": "restore"}) | {"ttlSecondsAfterFinished": WEEK},
    }


def job_spec(wanted: Backup, owner: str, workspace: str, containers: list[dict], retries: int, source: tuple[str, str] = (),
             extra: dict | None = None) -> dict:
    """A Job's spec: the containers run one after the other; the first that fails ends it."""
    volumes = [{"name": use, "persistentVolumeClaim": {"claimName": f"{workspace}-{use}"}} for use in DATA]
    if any(m["name"] == "database" for c in containers for m in c["volumeMounts"]):
        volumes.append({"name": "database", "persistentVolumeClaim": {"claimName": f"{workspace}-database"}})
    volumes += [{"name": "scripts", "configMap": {"name": FILES, "defaultMode": 0o555}},
                {"name": "dump", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}},
                {"name": "key", "secret": {"secretName": KEY, "defaultMode": 0o400}}]
    if is_folder(wanted.repository):
        place = repository(wanted, *(source or (owner, workspace)))
        volumes.append({"name": "repository", "hostPath": {"path": place, "type": "DirectoryOrCreate"}})
    *before, last = containers
    return {
        "backoffLimit": retries, "activeDeadlineSeconds": wanted.timeout,
        "template": {
            "metadata": {"labels": labels(owner, workspace) | (extra or {})},
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False, "hostname": job_name(workspace)[:63],
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                # A volume of one node is mounted there only, so the pod must come to the workspace.
                "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": workspace}}}}]}},
                "initContainers": before, "containers": [last], "volumes": volumes,
            },
        },
    }


def backup_containers(wanted: Backup, owner: str, workspace: str, image: str, secret: str) -> list[dict]:
    """Dump, then back up."""
    keep = {"KEEP_LAST": wanted.keep_last, "KEEP_DAILY": wanted.keep_daily,
            "KEEP_WEEKLY": wanted.keep_weekly, "KEEP_MONTHLY": wanted.keep_monthly}
    files = _restic("files", wanted, "backup.sh", repository(wanted, owner, workspace),
                    {"WORKSPACE": workspace, "CHECK": wanted.check} | {k: str(v) for k, v in keep.items()}, read_only=True)
    return [*([_mariadb("dump", image, secret, "dump.sh")] if image else [_nothing(wanted)]), files]


def restore_containers(wanted: Backup, source: tuple[str, str], target: tuple[str, str], image: str, secret: str) -> list[dict]:
    """Fetch and prove beside what is there, load the database, replace the files."""
    place = repository(wanted, *source)
    fetch = _restic("fetch", wanted, "fetch.sh", place, {"SOURCE": source[1], "SNAPSHOT": wanted.snapshot})
    replace = _restic("replace", wanted, "replace.sh", place, {"SOURCE": source[1], "TARGET": target[1]})
    return [fetch, *([_mariadb("load", image, secret, "load.sh")] if image else []), replace]


def _mariadb(name: str, image: str, secret: str, script: str) -> dict:
    password = {"name": "MARIADB_ROOT_PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": "db-root-password"}}}
    mounts = [{"name": "database", "mountPath": "/var/lib/mysql"}]
    return _container(name, image, script, MARIADB_CAPABILITIES, mounts, [password], memory="512Mi")


def _nothing(wanted: Backup) -> dict:
    """In place of the dump, where there is no database."""
    return _container("dump", wanted.image, "none.sh", [], [], [], memory="64Mi")


def _restic(name: str, wanted: Backup, script: str, place: str, env: dict[str, str], read_only: bool = False) -> dict:
    mounts = [{"name": use, "mountPath": f"/data/{use}"} | ({"readOnly": True} if read_only else {}) for use in DATA]
    return restic_container(name, wanted, script, place, env, mounts)


def restic_container(name: str, wanted: Backup, script: str, place: str, env: dict[str, str], mounts: list[dict], secret: str = KEY) -> dict:
    """A container that has the key and reaches the repository at ``place``."""
    mounts = [*mounts, {"name": "key", "mountPath": "/root/.ssh", "readOnly": True}]  # for SFTP; the Secret's keys are its files
    if is_folder(place):
        mounts.append({"name": "repository", "mountPath": "/repository"})
    variables = [{"name": "RESTIC_REPOSITORY", "value": "/repository" if is_folder(place) else place},
                 {"name": "RESTIC_PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": PASSWORD}}},
                 *({"name": k, "value": v} for k, v in env.items())]
    return _container(name, wanted.image, script, CAPABILITIES, mounts, variables, memory="1Gi") | {"envFrom": [{"secretRef": {"name": secret}}]}


def _container(name: str, image: str, script: str, capabilities: list[str], mounts: list[dict], env: list[dict], memory: str) -> dict:
    return {
        "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": ["/bin/sh", f"/opt/backup/{script}"], "env": env,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": memory}},
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]} | ({"add": capabilities} if capabilities else {})},
        "volumeMounts": [*mounts, {"name": "scripts", "mountPath": "/opt/backup", "readOnly": True},
                         {"name": "dump", "mountPath": "/data/backup"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
