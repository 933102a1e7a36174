"""The drill: a scratch workspace is filled, backed up, deleted entirely, restored, and compared with what it was.

A backup that nobody restored is a hope. The scratch workspace is there only for that; nobody's work is touched.
"""

from dataclasses import dataclass, field

from runbook.errors import BackupFailed, NotRecorded
from runbook.facts import storage
from runbook.facts.backup import HERE, PROBLEMS
from runbook.operations import backup, restore, workspaces
from runbook.operations.released import remove_all
from runbook.params import Backup, Workspace, Workspaces
from runbook.plans import Change, Plan
from runbook.workspaces import namespace

SCRATCH = Workspace(name="drill", owner="drill")
TITLE, WHERE = f"{SCRATCH.owner}/{SCRATCH.name}", namespace(SCRATCH.owner)
FILL = 'mkdir -p "/workspace/a folder" && for i in $(seq 200); do seq $i > "/workspace/a folder/$i"; done && seq 5000 > ~/.notes'
HASHES = 'cd / && find workspace home/coder -xdev -type f ! -path "workspace/.runbook/*" ! -path "*/.cache/*" -exec sha256sum {} + | sort -k 2'
ROWS = "CREATE TABLE drill (id INT PRIMARY KEY, said VARCHAR(64)); INSERT INTO drill SELECT seq, SHA2(seq, 256) FROM seq_1_to_10000"
#: The credentials are in the container's environment; they never come here.
SQL = 'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -u"$MARIADB_USER" -h127.0.0.1 "$MARIADB_DATABASE" -BNe "$0"'


@dataclass
class Drill:
    """What the drill saw: ``before`` and ``after`` with ``files`` and ``rows``, what ``backup`` and ``restore`` told (``result`` and ``message``,
    with the failure if it failed), what was ``left`` of the workspace after its deletion; ``why`` it shows nothing, if so.

    A drill that fails goes no further, and its claims say so.
    """

    site: object
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    told: dict = field(default_factory=dict)
    left: list[str] | None = None
    why: str = ""

    def not_shown(self) -> str:
        """Why nothing can be shown here; empty if it can."""
        return self.site.shown(self.why, self.before.get("replayed", ""), self.after.get("replayed", "")) or (
            "" if self.told else "the drill was not made")

    def failed(self) -> str:
        """Where the drill stopped, and why; empty if it did not."""
        bad = [told["message"] for told in self.told.values() if told["result"] in PROBLEMS]
        bad += [f"still there after the deletion: {', '.join(self.left)}"] if self.left else []
        return "; ".join(bad + [self._differ(k) for k in ("files", "rows") if self.after and not self.same(k)])

    @property
    def fix(self) -> str:
        """The notebook that mends what failed."""
        return next((PROBLEMS[told["result"]][2] for told in self.told.values() if told["result"] in PROBLEMS), HERE)

    def same(self, what: str) -> bool:
        """Whether ``"files"`` or ``"rows"`` are what they were."""
        return self.before[what] == self.after.get(what)

    def _differ(self, what: str) -> str:
        lost = [line for line in self.before[what].splitlines() if line not in self.after[what].splitlines()]
        return f"{what} that are not back: {len(lost)}, such as {lost[0]}" if lost else f"{what} are back that had not been there"

    def table(self):
        """What was compared. Columns ``what``, ``before``, ``after``."""
        import pandas as pd

        rows = [("files", len(self.before.get("files", "").splitlines()), len(self.after.get("files", "").splitlines())),
                ("rows", self.before.get("rows", "").strip(), self.after.get("rows", "").strip())]
        rows += [(f"{what}, seconds", "", self.told.get(what, {}).get("seconds", "")) for what in ("backup", "restore")]
        return pd.DataFrame(rows, columns=["what", "before", "after"])


def run(site, wanted: Backup, spaces: Workspaces, drill: Drill) -> Plan:
    """The drill as a plan; empty if ``backup.drill`` is false."""
    if not wanted.drill:
        drill.why = "backup.drill is false"
        return Plan()
    spaces = spaces.model_copy(update={
        "list": [SCRATCH], "ide": "none", "idle_stop": 0, "storage": "64Mi", "home": "32Mi", "database": "256Mi"})
    mine = wanted.model_copy(update={"only": [TITLE], "restore": TITLE, "restore_to": "", "snapshot": "latest", "overwrite": ""})
    steps = {
        ("create", "Workspace", "a scratch workspace with files and rows"): lambda: _make(site, spaces, drill),
        ("run", "Backup", "as scheduled, but now"): lambda: _back_up(site, mine, drill),
        ("delete", "Workspace", "entirely: release, passwords, volumes, namespace"): lambda: _delete(site, drill),
        ("update", "Workspace", "made anew and restored from the repository"): lambda: _restore(site, mine, spaces, drill),
    }
    changes = [Change(action, kind, TITLE, _unless_over(drill, perform), note=note) for (action, kind, note), perform in steps.items()]
    return Plan((*changes, Change("delete", "Workspace", TITLE, lambda: clear(site), note="the drill is over; its snapshots stay"))).as_passing()


def _unless_over(drill: Drill, perform):
    """A step, unless one before it failed. On the rehearsal one that nobody recorded shows nothing, and is no failure."""
    def perform_or_note():
        if drill.failed():
            return print("  not done: the drill has failed")
        try:
            perform()
        except NotRecorded as missing:
            drill.why = drill.why or missing.what

    return perform_or_note


def _make(site, spaces: Workspaces, drill: Drill) -> None:
    clear(site)
    restore.make(site, spaces, SCRATCH)
    site.cluster.exec(f"{SCRATCH.name}-0", ["sh", "-c", FILL], WHERE, "web")
    _sql(site, ROWS)
    drill.before = _look(site)


def _sql(site, statement: str):
    return site.cluster.exec(f"{SCRATCH.name}-0", ["sh", "-c", SQL, statement], WHERE, "mariadb")


def _look(site) -> dict:
    hashes = site.cluster.exec(f"{SCRATCH.name}-0", ["sh", "-c", HASHES], WHERE, "web")
    rows = _sql(site, "SELECT COUNT(*), SHA2(GROUP_CONCAT(said ORDER BY id), 256) FROM drill")
    return {"files": hashes.stdout, "rows": rows.stdout, "replayed": hashes.replayed or rows.replayed}


def _back_up(site, wanted: Backup, drill: Drill) -> None:
    for change in backup.ensure_backups(site, wanted):
        change.perform()
    drill.told["backup"] = _told(lambda: backup.run(site, wanted, SCRATCH.owner, SCRATCH.name))


def _told(call) -> dict:
    """What a backup or restore told, also when it failed: that refutes a claim, and is not an error of this notebook."""
    try:
        return call()
    except BackupFailed as failure:
        print(failure)
        return {"result": failure.result, "message": str(failure)}


def _delete(site, drill: Drill) -> None:
    clear(site)
    drill.left = [f"{row.volume or row.state} of {row.claim}" for row in _volumes(site)]
    drill.left += [f"{kind} {WHERE}" for kind in ("Namespace",) if site.cluster.get(kind, WHERE)]


def _restore(site, wanted: Backup, spaces: Workspaces, drill: Drill) -> None:
    def perform():
        told: dict = {}
        for change in restore.restore(site, wanted, spaces, told):
            change.perform()
        return told

    drill.told["restore"] = _told(perform)
    if not drill.failed():
        drill.after = _look(site)


def _volumes(site) -> list:
    return [row for row in storage.volumes(site).itertuples() if row.claim.startswith(f"{WHERE}/")]


def clear(site) -> None:
    """Nothing of the scratch workspace: its namespace, its volumes and their folders."""
    for change in workspaces.delete(site, SCRATCH.name, SCRATCH.owner):
        change.perform()
    if site.cluster.get("Namespace", WHERE):
        site.cluster.delete("Namespace", WHERE)
    site.cluster.wait("Namespace", WHERE, until=lambda obj: obj is None, timeout=180, what=f"namespace {WHERE} to be gone")
    remove_all(site, WHERE)
