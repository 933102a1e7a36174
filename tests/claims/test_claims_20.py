"""The claims of 20-backup-and-restore: Jobs that end as the kubelet and restic end them, and a scratch workspace that answers."""

import json

from runbook.operations import backup, drill
from runbook.rehearsal import RehearsalTransport
from runbook.rehearsal.recordings import key
from runbook.rehearsal.state import now

from .faults import label
from .kit import Table, Way, proof_of

GIVEN = {"backup": {"now": ["alice/demo", "bob/shop"], "restore": "alice/demo", "overwrite": "alice/demo"}}
AFTER = ("02", "03")
POD = "StatefulSet/drill-0"
OK = {"result": "ok", "message": ""}


class Jobs:
    """Every Job is over as soon as it is made. ``wrong``: a piece of its path → what its last container reports instead of success."""

    def __init__(self, world, wrong):
        self.world, self.wrong, self.write = world, wrong, RehearsalTransport.request
        world.patch.setattr(RehearsalTransport, "request", lambda t, *asked, **more: self.request(t, *asked, **more))

    def request(self, transport, method, path, *asked, **more):
        answer = self.write(transport, method, path, *asked, **more)
        if method == "PATCH" and "/jobs/" in path and "dryRun" not in str((asked, more)):
            namespace, name = path.split("/")[-3], path.rpartition("/")[2]
            report = next((r for piece, r in self.wrong.items() if piece in path), OK)
            self.world.change("Job", name, namespace, lambda job: self._over(job, report))
            with self.world.objects() as objects:
                self._pod(objects, objects.get("Job", name, namespace), report)
        return answer

    def _over(self, job, report):
        kind = "Complete" if report == OK else "Failed"
        job["status"] = {"startTime": now(), "completionTime": now(), "conditions": [{"type": kind, "status": "True", "message": ""}]}

    def _pod(self, objects, job, report):
        meta = job["metadata"]
        for old in objects.owned("Pod", job):
            objects.remove(old)
        labels = {**meta.get("labels", {}), "job-name": meta["name"]}
        ended = {"terminated": {"exitCode": 0 if report == OK else 1, "reason": "Completed", "message": json.dumps(report, separators=(",", ":"))}}
        objects.create("v1", "Pod", f"{meta['name']}-pod", meta["namespace"], job, metadata={"labels": labels}, spec=job["spec"]["template"]["spec"],
                       status={"phase": "Succeeded", "containerStatuses": [{"name": "files", "state": ended, "ready": False, "restartCount": 0}]})


def server(world, wrong=None, files=("aa  workspace/a\n",), rows=("10000\tabc\n",)):
    Jobs(world, wrong or {})
    answers = lambda texts: [{"exit_code": 0, "stdout": text, "stderr": ""} for text in texts]
    count = "SELECT COUNT(*), SHA2(GROUP_CONCAT(said ORDER BY id), 256) FROM drill"
    for container, argv, texts in (("web", ["sh", "-c", drill.FILL], [""]), ("web", ["sh", "-c", drill.HASHES], files),
                                   ("mariadb", ["sh", "-c", drill.SQL, drill.ROWS], [""]), ("mariadb", ["sh", "-c", drill.SQL, count], rows)):
        world.answer(key("exec", drill.WHERE, POD, container, json.dumps(argv)), *answers(texts))


def k3s_copied(world, names):
    """The state of k3s was copied: its Job is there. The rehearsal's machine has no datastore to copy."""
    names["site"].cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "backup-k3s", "namespace": "runbook-backup"}, "spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "files", "image": "busybox:1.36"}]}}}})


def way(act=None, at=None, **more):
    return Way(lambda world: (server(world, **more), act and act(world)), after=AFTER, given=GIVEN, at={"copied =": k3s_copied} | (at or {}))


def failed(result):
    return {"result": result, "message": "in its own words"}


def unscheduled(world, names):
    world.remove("CronJob", backup.backups.job_name("demo"), "ws-alice")


def old(world, names):
    world.every("Job", None, lambda job: job["status"].update(completionTime="2020-01-01T00:00:00Z"))


def provisioner_deletes_nothing(world):
    world.patch.setattr(drill, "remove_all", lambda *_: None)


TABLE = Table("20", proven=(way(),), refuted={
    "every workspace has the claims of its volumes": way(lambda world: world.remove("PersistentVolumeClaim", "demo-home", "ws-alice")),
    "every workspace is backed up on a schedule": way(at={"after =": unscheduled}),
    "the last backup of each workspace ended well, if it had one": way(wrong={"namespaces/ws-bob/jobs": failed("wrong-key")}),
    "no last backup is older than {…} hours": way(at={"after =": old}),
    "what was restored has the hashes and row counts that were taken at its backup": way(wrong={"ws-alice/jobs/restore-": failed("differs")}),
    "a new workspace is backed up and its repository checked": way(wrong={"ws-drill/jobs/backup": failed("corrupted")}),
    "nothing of the deleted workspace was left but its snapshots": way(provisioner_deletes_nothing),
    "every file is back with its hash": way(files=("aa  workspace/a\n", "bb  workspace/a\n")),
    "every row is back": way(rows=("10000\tabc\n", "9999\tdef\n")),
    "the state of k3s is in the repository, whole and checked": way(wrong={"jobs/backup-k3s": failed("corrupted")}),
    "a second run of step 20 would change no schedule": way(at={"again =": lambda world, names: label(world, "CronJob", "ws-alice")}),
})

test_proven, test_refuted = proof_of(TABLE)
