"""Workspaces that are backed up and restored on a real cluster whose node is this machine."""

import os

import pytest

import runbook
from runbook.backups import repository
from runbook.errors import RunbookError
from runbook.operations import backup, workspaces
from runbook.operations.released import remove_all
from runbook.operations.storage import ensure_storage
from runbook.workspaces import namespace

BACK, OTHER = ("stor1", "back"), ("stor2", "other")
SQL = 'MYSQL_PWD=$MARIADB_PASSWORD exec mariadb -u$MARIADB_USER -h127.0.0.1 $MARIADB_DATABASE -BNe "$0"'
FILL = """mkdir -p "/workspace/a/b c" ~/.keep && seq 1 5000 > "/workspace/a/b c/x'y" && seq 3 > ~/.keep/z &&
ln -sf x "/workspace/a/link" && : > /workspace/empty"""


class Lab:
    """The site, workspaces of ours, and a repository: in a folder of this machine, unless another place is asked for."""

    def __init__(self, folder, pairs=(BACK, OTHER), keys="ws-stor-keys"):
        self.folder, self.pairs, self.keys = folder, pairs, keys
        self.site = runbook.connect("local", name="tests", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
        self.spaces = runbook.section("workspaces", {"list": [{"owner": o, "name": n} for o, n in pairs], "ide": "none", "idle_stop": 0,
                                                     "storage": "300Mi", "home": "64Mi", "database": "256Mi"})

    def fill(self):
        """Make the workspaces, put something into the first one, schedule their backups."""
        self.apply(ensure_storage(self.site, runbook.section("storage", {"retain_existing": False})))
        self.apply(workspaces.ensure_workspaces(self.site, self.spaces))
        self.sh(FILL)
        self.sql("CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v VARCHAR(36)); INSERT INTO t SELECT seq, UUID() FROM seq_1_to_5000; "
                 "CREATE OR REPLACE TABLE `od``d'x` (i INT)")
        self.apply(backup.ensure_backups(self.site, self.wanted()))

    def clear(self):
        """Nothing of ours is left, volumes included."""
        spaces = {namespace(owner) for owner, _ in self.pairs}
        for owner, name in self.pairs:
            self.apply(workspaces.delete(self.site, name, owner))
        for where in (*spaces, self.keys):
            self.site.cluster.delete("Namespace", where)
        for where in spaces:
            self.site.cluster.wait("Namespace", where, until=lambda o: o is None, timeout=120, what="the namespace to be gone")
        remove_all(self.site, *spaces)

    def wanted(self, **more):
        return runbook.section("backup", {
            "repository": str(self.folder), "key": f"{self.keys}/backup-key",
            "image": os.environ.get("RUNBOOK_RESTIC_IMAGE", "docker.io/restic/restic:0.18.1"),
            "only": ["/".join(pair) for pair in self.pairs], "check": "100%", "timeout": 240, "keep_last": 2, "keep_daily": 1} | more)

    def apply(self, plan):
        return runbook.apply(plan, "apply")

    def sh(self, command, pair=None, container="web"):
        pair = pair or self.pairs[0]
        return self.site.cluster.exec(f"{pair[1]}-0", ["sh", "-c", command], namespace(pair[0]), container).stdout

    def sql(self, statement, pair=None):
        pair = pair or self.pairs[0]
        return self.site.cluster.exec(f"{pair[1]}-0", ["sh", "-c", SQL, statement], namespace(pair[0]), "mariadb").stdout

    def hashes(self, pair=None):
        return self.sh("cd / && find workspace/a workspace/empty home/coder/.keep -type f -exec sha256sum {} + | sort", pair)

    def run(self, **more):
        return backup.run(self.site, self.wanted(**more), *self.pairs[0])

    @property
    def repository(self):
        return repository(self.wanted(), *self.pairs[0])


def refusal(call) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        call()
    return caught.value
