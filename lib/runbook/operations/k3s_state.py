"""The state of k3s itself, datastore and token: a whole copy on the host, from there into the repository.

Source: https://docs.k3s.io/datastore/backup-restore: with SQLite, copy ``server/db``, and keep the token, without which the copy is of no
use. A copy of a datastore in use may be torn, so SQLite's own backup makes it, and its integrity is checked.
"""

import sys

from runbook import backups
from runbook.params import Backup
from runbook.plans import Change, Plan
from runbook.workspaces import labels

SERVER = "/var/lib/rancher/k3s/server"
DATASTORE, TOKEN = f"{SERVER}/db/state.db", f"{SERVER}/token"
COPY = f"{SERVER}/runbook-copy"
#: Run by this Python as root: copies the datastore while it is in use, checks it, puts the token beside it. Arguments: datastore, token, copy.
PROGRAM = """
import os, shutil, sqlite3, sys
source, token, folder = sys.argv[1:]
os.makedirs(folder, mode=0o700, exist_ok=True)
os.umask(0o077)
new = os.path.join(folder, 'state.db.new')
live, copy = sqlite3.connect(f'file:{source}?mode=ro', uri=True), sqlite3.connect(new)
live.backup(copy)
answer = copy.execute('PRAGMA integrity_check').fetchone()[0]
copy.close()
if answer != 'ok':
    sys.exit(f'the copy is not whole: {answer}')
os.replace(new, os.path.join(folder, 'state.db'))
shutil.copyfile(token, os.path.join(folder, 'token'))
print('integrity', answer)
"""
RESTORE = """sudo systemctl stop k3s
restic -r {repository} restore latest --target /tmp/k3s          # with the key in RESTIC_PASSWORD
sudo rm -f {server}/db/state.db-wal {server}/db/state.db-shm
sudo install -m 600 /tmp/k3s/data/k3s/state.db {server}/db/state.db
sudo install -m 600 /tmp/k3s/data/k3s/token {server}/token
sudo systemctl start k3s"""


def why_not(site, wanted: Backup) -> str:
    """Why the state of k3s cannot be copied here; empty if it can."""
    if not wanted.k3s:
        return "backup.k3s is false"
    if site.target == "rehearsal":
        return site.host.replayed
    if not site.host.exists(DATASTORE):
        return f"k3s with SQLite is not on this host: there is no {DATASTORE}"
    return ""


def copy(site, wanted: Backup) -> Plan:
    """Copy the datastore and the token, and hand the copy to restic; empty where that cannot be."""
    if why_not(site, wanted):
        return Plan()
    argv = [sys.executable, "-c", PROGRAM, DATASTORE, TOKEN, COPY]
    return Plan((
        Change("run", "Command", f"copy {DATASTORE} and {TOKEN} to {COPY}", lambda: site.host.run(argv, root=True, timeout=600, echo=True),
               note="by SQLite's own backup, while k3s runs; readable by root only"),
        Change("run", "Backup", "k3s", lambda: _into_repository(site, wanted), note="encrypted, as all others"),
    ))


def _into_repository(site, wanted: Backup) -> dict:
    from runbook.operations import backup

    where = wanted.key.partition("/")[0]
    name = "backup-k3s"
    site.cluster.apply(backups.scripts("") | {"metadata": {"name": backups.FILES, "namespace": where, "labels": _labels()}})
    site.cluster.delete("Job", name, where)
    site.cluster.wait("Job", name, where, until=lambda job: job is None, timeout=60, what="the Job of before to be gone")
    site.cluster.apply(job(wanted, where, name))
    return backup.finished_in(site, name, where, wanted.timeout, "the backup of k3s")


def _labels() -> dict:
    return {k: v for k, v in labels("").items() if v} | {backups.NAME: "backup-k3s"}


def job(wanted: Backup, where: str, name: str) -> dict:
    """The Job that puts the copy into the repository ``k3s``."""
    secret = wanted.key.partition("/")[2]
    container = backups.restic_container("files", wanted, "k3s.sh", f"{wanted.repository.rstrip('/')}/k3s",
                                         {"KEEP_DAILY": str(wanted.keep_daily), "CHECK": wanted.check}, secret=secret,
                                         mounts=[{"name": "copy", "mountPath": "/data/k3s", "readOnly": True}])
    volumes = [{"name": "copy", "hostPath": {"path": COPY, "type": "Directory"}},
               {"name": "scripts", "configMap": {"name": backups.FILES, "defaultMode": 0o555}},
               {"name": "dump", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}},
               {"name": "key", "secret": {"secretName": secret, "defaultMode": 0o400}}]
    if backups.is_folder(wanted.repository):
        volumes.append({"name": "repository", "hostPath": {"path": f"{wanted.repository.rstrip('/')}/k3s", "type": "DirectoryOrCreate"}})
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": where, "labels": _labels()},
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": wanted.timeout, "template": {"metadata": {"labels": _labels()}, "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container], "volumes": volumes}}}}
