"""Does it survive? A scratch workspace is filled, ended in every way, and looked at after each: its files, rows and volumes.

The scratch workspace is there only for that; nobody's work is disturbed.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from runbook.errors import ClusterError, NotRecorded, Unreachable
from runbook.facts import storage as facts
from runbook.operations import workspaces
from runbook.operations.released import remove
from runbook.params import Storage, Workspace, Workspaces
from runbook.paths import charts
from runbook.plans import Change, Plan
from runbook.workspaces import namespace

SCRATCH = Workspace(name="proof", owner="scratch")
FILES = {"workspace": "/workspace/.proof", "home": "/home/coder/.proof"}
RECOVERY = "crash recovery"  #: what InnoDB says when it starts after a server that did not shut down
KUBELET_PORT = 10250  #: https://kubernetes.io/docs/reference/networking/ports-and-protocols/
TRIALS = {
    "pod deleted": "the pod is deleted; the StatefulSet makes another",
    "stopped and started": "the workspace is stopped and started again",
    "Helm upgrade": "the release is upgraded with other values, and back",
    "database killed": "mariadbd dies right after a COMMIT, without shutting down",
    "kubelet restarted": "the kubelet is another process; containers go on running meanwhile",
}
#: The credentials are in the container's environment; they never come here.
SQL = 'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -u"$MARIADB_USER" -h127.0.0.1 "$MARIADB_DATABASE" -BNe "$0"'


@dataclass
class Proof:
    """What was written, and what was found after each trial.

    ``absent`` says why nothing could be written; ``broken`` names the trial after which the data were not what they were: those after it are
    not made, and the workspace is left as it is. ``seen`` has, by trial, ``{"files", "rows", "volumes", "wanted", "log", "seconds", "replayed",
    "why"}``: ``wanted`` are the rows that had been committed before it, ``why`` says why a trial was not made.
    """

    site: object
    written: dict = field(default_factory=dict)
    seen: dict[str, dict] = field(default_factory=dict)
    absent: str = ""
    broken: str = ""

    def table(self) -> pd.DataFrame:
        """One row a trial: ``trial``, ``files``, ``rows``, ``volumes`` (same, differ, not shown), ``seconds``, ``remark``."""
        rows = []
        for trial, told in TRIALS.items():
            found = self.seen.get(trial, {})
            words = [_word(found.get(k), self._expected(found).get(k)) for k in ("files", "rows", "volumes")]
            rows.append((trial, *words, round(found.get("seconds", float("nan")), 1), found.get("why") or self.not_shown(trial) or told))
        return pd.DataFrame(rows, columns=["trial", "files", "rows", "volumes", "seconds", "remark"])

    def not_shown(self, trial: str) -> str:
        """Why a trial shows nothing here; empty if it does."""
        found = self.seen.get(trial)
        return self.site.shown(*([] if found is None else [found["replayed"], found["why"]])) or ("" if found else "the trial was not made")

    def same(self, trial: str) -> bool:
        """Whether files, rows and volumes are what they were."""
        found = self.seen[trial]
        return all(found[k] == self._expected(found)[k] for k in ("files", "rows", "volumes"))

    def _expected(self, found: dict) -> dict:
        return self.written | {"rows": found.get("wanted") or self.written.get("rows")}

    def recovered(self) -> bool:
        """Whether the log of the database tells of the recovery."""
        return RECOVERY in self.seen["database killed"]["log"].lower()


def _word(found, written) -> str:
    return "not shown" if not found or not written else "same" if found == written else "differ"


def prove(site, wanted: Storage, spaces: Workspaces, proof: Proof) -> Plan:
    """Make the scratch workspace on our class, fill it, end it in every way, look after each, and remove it."""
    spaces = spaces.model_copy(update={"list": [SCRATCH], "ide": "none", "idle_stop": 0, "storage": "64Mi", "home": "32Mi", "database": "256Mi"})
    where, title = namespace(SCRATCH.owner), f"{namespace(SCRATCH.owner)}/{SCRATCH.name}"

    def make():
        for step in (clear, lambda s: workspaces.ensure_workspaces(s, spaces)):
            for change in step(site):
                change.perform()
        _ready(site)  # on a full node it is queued
        try:
            proof.written = write(site)
        except NotRecorded as missing:
            proof.absent = missing.what

    changes = [Change("create", "Workspace", title, make, undo=f"kubectl delete ns {where}",
                      note="a scratch workspace, with files and rows whose hashes are noted")]
    ways = {"pod deleted": _delete_pod, "stopped and started": _stop_start, "Helm upgrade": _upgrade, "database killed": _kill_database,
            "kubelet restarted": lambda s, p: _restart_kubelet(s, p, wanted)}
    changes += [Change("run", "Trial", trial, lambda t=trial, w=way: _try(site, proof, t, w), note=TRIALS[trial]) for trial, way in ways.items()]
    changes.append(Change("delete", "Workspace", title, lambda: [c.perform() for c in clear(site) if not proof.broken], note="with its volumes"))
    return Plan(tuple(changes)).as_passing()


def clear(site) -> Plan:
    """No scratch workspace, its volumes and their folders included."""
    where = namespace(SCRATCH.owner)
    plan = workspaces.delete(site, SCRATCH.name, SCRATCH.owner)
    volumes = [row for row in facts.volumes(site).itertuples() if row.volume and row.claim.startswith(f"{where}/")]
    return plan + Plan(tuple(Change("delete", "PersistentVolume", v.volume, lambda name=v.volume: remove(site, name)) for v in volumes))


def write(site) -> dict:
    """Fill the scratch workspace: a file on each volume, a table in the database. What :func:`look` sees then."""
    for path in FILES.values():
        site.cluster.exec(f"{SCRATCH.name}-0", ["sh", "-c", 'seq 20000 > "$0"', path], namespace(SCRATCH.owner), "web")
    sql(site, "CREATE TABLE proof (id INT PRIMARY KEY, said VARCHAR(64)) ENGINE=InnoDB")
    insert(site, 1)
    return look(site)


def insert(site, number: int) -> None:
    """One more row, committed."""
    sql(site, f"INSERT INTO proof VALUES ({number}, SHA2('row {number}', 256)); COMMIT")


def sql(site, statement: str):
    """Run SQL in the scratch workspace as its user; the result of the command."""
    return site.cluster.exec(f"{SCRATCH.name}-0", ["sh", "-c", SQL, statement], namespace(SCRATCH.owner), "mariadb")


def look(site) -> dict:
    """What is there: hashes of the files, the rows, the identity of each volume."""
    where = namespace(SCRATCH.owner)
    hashes = _hashes(site)
    rows = sql(site, "SELECT * FROM proof ORDER BY id")
    table = facts.volumes(site)
    mine = table[table["claim"].str.startswith(f"{where}/") & (table["state"] == "Bound")]
    volumes = {row.use: (row.volume, row.identity, row.path) for row in mine.itertuples()}
    return {"files": hashes.stdout, "rows": rows.stdout, "volumes": volumes, "log": "", "seconds": 0.0, "why": "",
            "replayed": hashes.replayed or rows.replayed or site.cluster.replayed}


def _hashes(site):
    return site.cluster.exec(f"{SCRATCH.name}-0", ["sha256sum", *FILES.values()], namespace(SCRATCH.owner), "web", check=False)


def _try(site, proof: Proof, trial: str, way) -> None:
    begun = time.monotonic()
    unmade = proof.absent or (f"not made: after “{proof.broken}” the data were not what they were" if proof.broken else "")
    try:
        told = {"why": unmade} if unmade else way(site, proof) or {}
        found = {"replayed": ""} if told.get("why") else look(site)
    except NotRecorded as missing:
        told, found = {"why": missing.what}, {"replayed": ""}
    proof.seen[trial] = {"why": "", **found, **told, "seconds": time.monotonic() - begun}
    if not proof.not_shown(trial) and not proof.same(trial):
        proof.broken = trial  # the claim about this trial says so, and stops the step


def _ready(site, other_than: str = "") -> None:
    """Wait until the scratch workspace is ready in another pod than the one of this uid."""
    def until(pod):
        return bool(pod) and pod["metadata"]["uid"] != other_than and "deletionTimestamp" not in pod["metadata"] and any(
            c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))

    site.cluster.wait("Pod", f"{SCRATCH.name}-0", namespace(SCRATCH.owner), until=until, timeout=300, what="the scratch workspace to be ready again")


def _uid(site) -> str:
    return site.cluster.get("Pod", f"{SCRATCH.name}-0", namespace(SCRATCH.owner))["metadata"]["uid"]


def _delete_pod(site, proof) -> None:
    before = _uid(site)
    site.cluster.delete("Pod", f"{SCRATCH.name}-0", namespace(SCRATCH.owner))
    _ready(site, before)


def _stop_start(site, proof) -> None:
    for step in (workspaces.stop, workspaces.start):
        for change in step(site, SCRATCH.name, SCRATCH.owner):
            change.perform()


def _upgrade(site, proof) -> None:
    where = namespace(SCRATCH.owner)
    values = site.helm.release(SCRATCH.name, where).values
    mariadb = values.get("mariadb", {})
    for changed in (values | {"mariadb": mariadb | {"args": ["--max-connections=61"]}}, values):
        before = _uid(site)
        site.helm.ensure(charts() / "workspace", SCRATCH.name, where, changed).perform()
        _ready(site, before)


def _kill_database(site, proof) -> dict:
    """A row is committed, then the server gets SIGKILL: from the host, because a container's first process is deaf to it from inside."""
    where, pod = namespace(SCRATCH.owner), f"{SCRATCH.name}-0"
    insert(site, 2)
    before = site.cluster.get("Pod", pod, where)
    process = _process(site, before["metadata"]["uid"], "mariadbd")
    if not process:
        return {"why": site.host.replayed or "the pod does not run on this host"}
    wanted, restarts = sql(site, "SELECT * FROM proof ORDER BY id").stdout, _restarts(before)
    site.host.run(["kill", "-KILL", process], root=True)
    site.cluster.wait("Pod", pod, where, until=lambda p: bool(p) and _restarts(p) > restarts, timeout=60, what="the killed database to be started again")
    _ready(site)
    return {"log": site.cluster.logs(pod, where, "mariadb", tail=400), "wanted": wanted}


def _process(site, uid: str, program: str) -> str:
    """The process number, on the host, of a program that runs in the pod of this uid; empty if it runs elsewhere."""
    for number in site.host.run(["pgrep", "-x", program], check=False).stdout.split():
        groups = site.host.read(f"/proc/{number}/cgroup") or ""
        if uid in groups.replace("_", "-"):  # systemd's cgroup driver writes it with underscores
            return number
    return ""


def _restarts(pod: dict) -> int:
    return sum(c["restartCount"] for c in pod.get("status", {}).get("containerStatuses", []) if c["name"] == "mariadb")


def _restart_kubelet(site, proof, wanted: Storage) -> dict:
    """The command of the parameters, and whether it did it: another process listens on the kubelet's port, and renews the node's lease."""
    if not wanted.restart_kubelet:
        return {"why": "storage.restart_kubelet names no command"}
    pod = site.cluster.get("Pod", f"{SCRATCH.name}-0", namespace(SCRATCH.owner))
    before, rows = _kubelet(site), sql(site, "SELECT * FROM proof ORDER BY id").stdout
    if before is None or not _process(site, pod["metadata"]["uid"], "mariadbd"):
        return {"why": site.host.replayed or "the pod and its kubelet do not run on this host"}
    site.host.run(wanted.restart_kubelet, root=True, timeout=300)
    _renews(site, pod["spec"]["nodeName"], datetime.now(UTC))
    _ready(site)
    same = _kubelet(site) == before
    return {"why": f"`{' '.join(wanted.restart_kubelet)}` ended well, but the kubelet is the same process" if same else "", "wanted": rows}


def _kubelet(site) -> int | None:
    """The number of the process that is the kubelet of this host: k3s, where k3s is. ``None``: there is none."""
    return next((s["pid"] for s in site.host.sockets() if s["port"] == KUBELET_PORT), None)


def _renews(site, node: str, since: datetime) -> None:
    """Wait until the kubelet of a node has renewed its lease, and runs commands in its pods again: until it has read them anew, it says
    "pod does not exist". An API server that restarts with it is away for longer than a request is tried.
    """
    def back(lease):
        return bool(lease) and datetime.fromisoformat(lease["spec"]["renewTime"]) > since and _runs(site)

    for last in (False, False, False, True):
        try:
            site.cluster.wait("Lease", node, "kube-node-lease", until=back, timeout=120, what="the restarted kubelet to renew its lease and know its pods")
            return
        except Unreachable:
            if last:
                raise


def _runs(site) -> bool:
    try:
        return bool(_hashes(site).stdout)
    except ClusterError:
        return False
