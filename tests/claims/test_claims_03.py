"""The claims of 03-persistent-storage: a machine on which the volumes lie, a scratch workspace that answers, a journal with a past."""

import json
from datetime import UTC, datetime, timedelta

from runbook.facts import disks, storage as facts
from runbook.host import Result
from runbook.operations.survival import FILES, SQL
from runbook.rehearsal import RehearsalHost

from .faults import label
from .kit import Table, Way, proof_of

SCRATCH, POD = "ws-scratch", "StatefulSet/proof-0"
RESTART = ["restart", "the kubelet"]
GIVEN = {"storage": {"restart_kubelet": RESTART}}
SAME, OTHER = "aa /workspace/.proof\nbb /home/coder/.proof\n", "cc /workspace/.proof\nbb /home/coder/.proof\n"
ONE, TWO = "1\tabc\n", "1\tabc\n2\tdef\n"
#: The disk, as df tells it: 100 GB, half of it in use.
SIZE, USED = 100_000_000_000, 50_000_000_000


class Machine:
    """What the host's programs do, where the volumes lie on it."""

    def __init__(self, world, mode="0777"):
        self.world, self.mode, self.kubelet = world, mode, 77
        self.run_, self.read_, self.exists_ = RehearsalHost.run, RehearsalHost.read, RehearsalHost.exists
        for name in ("run", "read", "exists", "sockets"):
            world.patch.setattr(RehearsalHost, name, self._method(getattr(self, name)))

    def _method(self, own):
        return lambda host, *args, **more: own(host, *args, **more)

    def run(self, host, argv, **more):
        """stat, du, df, pgrep, and a kill that a kubelet notices."""
        program, paths = argv[0], argv[argv.index("--") + 1:] if "--" in argv else []
        said = {"stat": lambda: "".join(f"0 0 {self.mode} {p}\n" for p in paths) or "fs1\n", "du": lambda: "".join(f"4096\t{p}\n" for p in paths),
                "df": lambda: f"Filesystem Size\n/dev/vda1 {SIZE} {USED} {SIZE - USED} 1000 900\n", "pgrep": lambda: "4242\n", "kill": self._restarted,
                "restart": self._kubelet_restarted}
        if program in said and (program != "df" or "--block-size=1" in argv):
            return Result(tuple(argv), 0, said[program]())
        return self.run_(host, argv, **more)

    def read(self, host, path):
        """The control groups of that one process: those of every pod."""
        if path != "/proc/4242/cgroup":
            return self.read_(host, path)
        with self.world.objects() as objects:
            return "\n".join(p["metadata"]["uid"] for p in objects.all("Pod"))

    def exists(self, host, path):
        return "/storage" in path or self.exists_(host, path)

    def sockets(self, host):
        return [{"address": "*", "port": 10250, "pid": self.kubelet, "program": "kubelet"}]

    def _kubelet_restarted(self):
        self.kubelet += 1
        with self.world.objects() as objects:
            node = objects.get("Pod", "proof-0", SCRATCH)["spec"]["nodeName"]
            objects.create("coordination.k8s.io/v1", "Lease", node, "kube-node-lease", None,
                           spec={"renewTime": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")})
        return ""

    def _restarted(self):
        def again(pod):
            for c in pod["status"]["containerStatuses"]:
                c["restartCount"] += 1

        self.world.change("Pod", "proof-0", SCRATCH, again)
        return ""


def server(world, files=(SAME,), rows=(ONE, ONE, ONE, ONE, TWO), log="InnoDB: Starting crash recovery\n", used_before=USED - 1_000_000, mode="0777"):
    """The lists of answers are given one after the other, the last one stays: when it was filled, then after each trial."""
    Machine(world, mode)
    exec_key = lambda container, argv: world_key(SCRATCH, POD, container, argv)
    world.answer(exec_key("web", ["sha256sum", *FILES.values()]), *[{"exit_code": 0, "stdout": f, "stderr": ""} for f in files])
    world.answer(exec_key("mariadb", ["sh", "-c", SQL, "SELECT * FROM proof ORDER BY id"]), *[{"exit_code": 0, "stdout": r, "stderr": ""} for r in rows])
    for path in FILES.values():
        world.inside(SCRATCH, POD, "web", ["sh", "-c", 'seq 20000 > "$0"', path])
    for statement in ("CREATE TABLE proof (id INT PRIMARY KEY, said VARCHAR(64)) ENGINE=InnoDB",
                      *(f"INSERT INTO proof VALUES ({n}, SHA2('row {n}', 256)); COMMIT" for n in (1, 2))):
        world.inside(SCRATCH, POD, "mariadb", ["sh", "-c", SQL, statement])
    world.log(SCRATCH, POD, "mariadb", log)
    past(world, used_before)


def world_key(*parts):
    from runbook.rehearsal.recordings import key

    return key("exec", *parts[:3], json.dumps(parts[3]))


def past(world, used):
    """The journal has a run of two days ago, and how full the disk was then."""
    from runbook import connect

    run = world.folder / "reports" / "20260101T000000Z-server-ok"
    run.mkdir()
    at, where = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2), facts.folder(connect("rehearsal", name="rehearsal"))
    (run / "disk.csv").write_text(f"at,folder,device,filesystem,size,used,free,inodes_free\n{at.isoformat()},{where},/dev/vda1,fs1,{SIZE},{used},{SIZE - used},0.9\n")
    (run / "run.json").write_text(json.dumps({"name": "rehearsal", "target": "local", "started": at.isoformat(), "steps": [
        {"notebook": "03-persistent-storage", "figures": [{"name": disks.FIGURE, "csv": "disk.csv"}]}]}))


def way(act=lambda world: None, at=None, **more):
    return Way(lambda world: (server(world, **more), act(world)), after=("02",), given=GIVEN, at=at or {})


def lost(world):
    world.change("PersistentVolumeClaim", "demo-home", "ws-alice", lambda claim: claim["status"].update(phase="Lost"))
    with world.objects() as objects:
        objects.remove(next(v for v in objects.all("PersistentVolume") if v["spec"]["claimRef"]["name"] == "demo-home"))


def shared(world):
    with world.objects() as objects:
        first, second = objects.all("PersistentVolume")[:2]
        for kind in ("local", "hostPath"):
            if kind in first["spec"]:
                second["spec"].pop("local", None), second["spec"].pop("hostPath", None)
                second["spec"][kind] = dict(first["spec"][kind])
        objects.put(second)


def no_class(world):
    with world.objects() as objects:
        for one in objects.all("StorageClass"):
            objects.remove(one)


def class_deletes(world, names):
    world.change("StorageClass", "runbook-retain", "", lambda o: o.update(reclaimPolicy="Delete"))


def volume_deletes(world, names):
    world.every("PersistentVolume", None, lambda v: v["spec"].update(persistentVolumeReclaimPolicy="Delete"))


TABLE = Table("03", proven=(way(),), refuted={
    "a storage class makes volumes here": way(no_class),
    "no claim has lost its volume": way(lost),
    "no two volumes share a folder": way(shared),
    "people may write into their volumes": way(mode="0755"),
    "files, rows and volumes survive the deletion of their pod": way(files=(SAME, OTHER)),
    "they survive stop and start": way(files=(SAME, SAME, OTHER)),
    "they survive a Helm upgrade and its way back": way(files=(SAME, SAME, SAME, OTHER)),
    "a row committed right before mariadbd was killed is there": way(rows=(ONE, ONE, ONE, ONE, TWO, ONE)),
    "the log of the database tells of its recovery": way(log="ready for connections\n"),
    "they survive a restart of the kubelet": way(files=(SAME,) * 5 + (OTHER,)),
    "the class keeps the data of a claim that goes": way(at={"now =": class_deletes}),
    "no workspace's volume goes with its claim": way(at={"now =": volume_deletes}),
    "the disk lasts longer than {…} days at its growth": way(used_before=USED - 20_000_000_000),
    "a second run of step 03 would change nothing": way(at={"again =": lambda world, names: label(world, "StorageClass", None)}),
})

test_proven, test_refuted = proof_of(TABLE)
