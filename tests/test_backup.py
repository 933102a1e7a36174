"""Step 20: the objects, what Jobs told, the table, the plans, the words of the scripts."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

import runbook
from runbook import backups
from runbook.errors import ParameterError, RunbookError
from runbook.facts import backup as facts, backup_jobs as jobs
from runbook.operations import backup, drill, k3s_state, restore
from storage_kit import Host, claim, site, workload, workspace


def wanted(**given):
    return runbook.section("backup", {"key": "keys/key"} | given)


SPACES = runbook.section("workspaces", {"list": [{"name": "demo", "owner": "alice", "image": "docker.io/library/php:8.3-apache"}]})
KEY = {"kind": "Secret", "metadata": {"name": "key", "namespace": "keys"}, "data": {"password": base64.b64encode(b"s3cret-key").decode()}}
SPACE = {"kind": "Namespace", "metadata": {"name": "keys"}}


def titles(plan):
    return [c.title for c in plan]


# Objects ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, minutes", [("H 3 * * *", range(60)), ("5 3 * * *", (5,))])
def test_the_schedule_has_a_minute_of_its_own(text, minutes):
    minute, *rest = backups.schedule(text, "alice", "demo").split()
    assert int(minute) in minutes and rest == ["3", "*", "*", "*"]
    assert len({backups.schedule("H 3 * * *", "alice", f"ws{i}") for i in range(50)}) > 20


@pytest.mark.parametrize("place, mounts", [("/srv/backup", True), ("sftp:me@host:/srv/backup", False), ("s3:https://s3.example.org/bucket/", False)])
def test_each_workspace_has_a_repository_of_its_own(place, mounts):
    cron = backups.cron_job(wanted(repository=place), "alice", "demo", "mariadb:11", "demo")
    spec = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    env = {e["name"]: e.get("value") for e in spec["containers"][0]["env"]}
    folders = [v["hostPath"]["path"] for v in spec["volumes"] if "hostPath" in v]
    assert folders == (["/srv/backup/alice/demo"] if mounts else [])
    assert env["RESTIC_REPOSITORY"] == ("/repository" if mounts else place.rstrip("/") + "/alice/demo")


def test_a_backup_reads_the_files_and_cannot_write_them():
    spec = backups.cron_job(wanted(), "alice", "demo", "mariadb:11", "demo")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    dump, files = spec["initContainers"][0], spec["containers"][0]
    assert all(m["readOnly"] for m in files["volumeMounts"] if m["name"] in ("workspace", "home"))
    assert {m["name"] for m in dump["volumeMounts"]} == {"database", "scripts", "dump", "tmp"}
    for c in (dump, files):
        assert c["securityContext"]["capabilities"]["drop"] == ["ALL"] and not c["securityContext"]["allowPrivilegeEscalation"]
    assert not spec["automountServiceAccountToken"] and "s3cret" not in json.dumps(spec)


def test_a_workspace_without_database_has_no_database_volume():
    spec = backups.cron_job(wanted(), "alice", "demo", "", "")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "database" not in {v["name"] for v in spec["volumes"]}
    assert spec["initContainers"][0]["command"][-1].endswith("none.sh")


def test_a_restore_proves_before_it_replaces():
    spec = backups.restore_job(wanted(repository="/srv"), ("alice", "demo"), ("bob", "copy"), "mariadb:11", "copy", "r")["spec"]["template"]["spec"]
    assert [c["name"] for c in spec["initContainers"] + spec["containers"]] == ["fetch", "load", "replace"]
    assert [v["hostPath"]["path"] for v in spec["volumes"] if "hostPath" in v] == ["/srv/alice/demo"]
    claims = {v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {"copy-workspace", "copy-home", "copy-database"}


def test_the_scripts_are_all_there_and_plain_sh():
    data = backups.scripts("alice")["data"]
    assert {"backup.sh", "dump.sh", "fetch.sh", "k3s.sh", "lib.sh", "load.sh", "mariadb.sh", "none.sh", "replace.sh", "restic.sh"} == set(data)
    for name, text in data.items():
        assert subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True).returncode == 0, name


@pytest.mark.parametrize("text, kind", [  # as the programs said it on a real cluster, or as their sources have it
    ("Fatal: wrong password or no key found", "wrong-key"),
    ("Pack ID does not match, want 870c, got 9f09 Fatal: repository contains errors", "corrupted"),
    ("ignoring error for /data/workspace/big: ciphertext verification failed", "corrupted"),
    ("/data/home: tree 64c7886262c8 could not be loaded; the repository could be damaged: decrypting blob from 1527775d failed", "corrupted"),
    ("Fatal: unable to save snapshot: write /repository/data: no space left on device", "full-disk"),
    ("mariadb-dump: Got errno 28 on write: No space left on device", "full-disk"),
    ("unable to create lock in backend: repository is already locked by PID 32 on backup-other", "locked"),
    ("Fatal: create repository at /repository failed: mkdir: permission denied", "not-allowed"),
    ("Stat: The request signature we calculated does not match the signature you provided. Check your key and signing method.", "not-allowed"),
    ("dial tcp 127.0.0.1:9000: connect: connection refused", "unreachable"),
    ("Fatal: failed to find snapshot: no matching ID found", "no-snapshot"),
    ("subprocess ssh: root@10.88.99.1: Permission denied (publickey,keyboard-interactive). Fatal: unable to open repository at sftp:root@10.88.99.1:/srv: "
     "unable to start the sftp session, error: error receiving version packet from server: unexpected EOF", "not-allowed"),
    ("Fatal: unable to start the sftp session, error: error receiving version packet from server: unexpected EOF", "unreachable"),
    ("something else", "failed")])
def test_the_scripts_know_the_failures(text, kind):
    script = (backups.SCRIPTS / "lib.sh").read_text() + '\nkind "$0"'
    assert subprocess.run(["sh", "-c", script, text], text=True, capture_output=True).stdout.strip() == kind
    assert kind in facts.PROBLEMS


TRY = "Stat(<config/>) returned error, retrying after 1.3s: Stat: {}"  #: restic 0.18.1, tried against an S3 server
OVER = "\nFatal: unable to open config file: context canceled\nIs there a repository at the following location?"


@pytest.mark.parametrize("said, code, told", [
    ("{}", 0, "there"),
    ("Fatal: unable to open config file: stat /repository/config: no such file or directory\nIs there a repository at the following location?", 10, "absent"),
    ("Fatal: wrong password or no key found", 12, "wrong-key"),
    (TRY.format("The specified bucket does not exist.") + OVER, 143, "absent"),
    (TRY.format("The request signature we calculated does not match the signature you provided.") + OVER, 143, "not-allowed"),
    (TRY.format("No user exists with the provided access key ID.") + OVER, 143, "not-allowed"),
    (TRY.format("dial tcp 127.0.0.1:17070: connect: connection refused") + OVER, 124, "unreachable"),
    ("", 143, "unreachable")])
def test_whether_there_is_a_repository(said, code, told):
    texts = [(backups.SCRIPTS / name).read_text().replace(". /opt/backup/lib.sh", "") for name in ("lib.sh", "restic.sh")]
    script = "\n".join([*texts, 'finish() { echo "$1"; exit 1; }', 'timeout() { printf "%s" "$SAID"; return "$CODE"; }',
                        "if present; then echo there; else echo absent; fi"])
    env = {"SAID": said, "CODE": str(code), "PATH": os.environ["PATH"]}
    assert subprocess.run(["sh", "-c", script], text=True, capture_output=True, env=env).stdout.strip() == told


# Reports ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, code, reason, result", [
    ('{"result":"ok","message":"","rows":3}', 0, "Completed", "ok"),
    ('progress 0.5\n{"result":"wrong-key","message":"no"}', 1, "Error", "wrong-key"),
    ("", 137, "Error", "interrupted"), ("", 143, "Error", "interrupted"), ("", 137, "OOMKilled", "failed"),
    ("sort: write failed: No space left on device", 2, "Error", "full-disk"),
    ('{"result":"ok","mess', 1, "Error", "failed"), ("", 0, "Completed", "ok")])
def test_a_containers_last_words(text, code, reason, result):
    assert jobs.report(text, code, reason)["result"] == result


def told(name, **report):
    message = json.dumps({"result": "", "message": ""} | report, separators=(",", ":"))
    return {"name": name, "state": {"terminated": {"exitCode": 0 if report["result"] == "ok" else 1, "message": message}}}


def job(end="Complete", uid="j", hours=1.0, owner="alice", name="demo"):
    at = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"startTime": at, "completionTime": at, "conditions": [{"type": end, "status": "True", "message": "because", "lastTransitionTime": at}]}
    return {"kind": "Job", "metadata": {"name": f"backup-{name}-{uid}", "namespace": f"ws-{owner}", "uid": uid, "creationTimestamp": at,
                                        "labels": backups.labels(owner, name)}, "status": status if end else {"startTime": at}}


def pod(*containers, uid="j", owner="alice", name="demo", **status):
    return {"kind": "Pod", "metadata": {"name": f"p-{uid}", "namespace": f"ws-{owner}", "creationTimestamp": "2026-11-01T00:00:00Z",
                                        "labels": backups.labels(owner, name), "ownerReferences": [{"kind": "Job", "uid": uid}]},
            "status": {"containerStatuses": list(containers), **status}}


GOOD = pod(told("dump", result="ok", rows=5, tables=1),
           told("files", result="ok", checked="10%", snapshots="aaaaaaaa 2026-11-01T00:00:00;bbbbbbbb 2026-11-02T00:00:00;",
                summary={"snapshot_id": "bbbbbbbbcccc", "total_files_processed": 7, "total_bytes_processed": 70, "data_added": 9}))


def test_outcomes():
    assert jobs.outcome(job(), GOOD)["result"] == "ok" and jobs.outcome(job(), GOOD)["rows"] == 5
    assert jobs.outcome(job("Failed"), pod(told("dump", result="ok"), told("files", result="corrupted")))["result"] == "corrupted"
    assert jobs.outcome(job("Failed"), None) == {"seconds": 0.0, "result": "interrupted", "message": "because"}
    late = job("Failed")
    late["status"]["conditions"][0]["reason"] = "DeadlineExceeded"
    assert jobs.outcome(late, None)["result"] == "too-long"
    assert jobs.outcome(job(""), None)["result"] == "running" and jobs.outcome(job(), None)["result"] == "ended"


@pytest.mark.parametrize("status, result", [
    ({"conditions": [{"type": "PodScheduled", "status": "False", "message": 'persistentvolumeclaim "demo-home" not found'}]}, "claim-gone"),
    ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: insufficient cpu"}]}, ""),
    ({"initContainerStatuses": [{"name": "dump", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}, "image"),
    ({"initContainerStatuses": [{"name": "dump", "state": {"waiting": {"reason": "PodInitializing"}}}]}, "")])
def test_why_a_pod_never_begins(status, result):
    assert jobs.stuck({"status": status})[0] == result


def cron(owner="alice", name="demo", **status):
    return {"kind": "CronJob", "metadata": {"name": backups.job_name(name), "namespace": f"ws-{owner}", "labels": backups.labels(owner, name), "uid": "c"},
            "spec": {"schedule": "5 3 * * *", "jobTemplate": {"spec": {}}}, "status": status}


def row(*objects, **given):
    return facts.state(site([workload("alice", "demo"), *objects]), wanted(**given)).iloc[0]


def test_the_table_tells_the_last_good_backup_and_the_last_result():
    found = row(cron(), job(), GOOD)
    assert (found.result, found.snapshot, found.files, found.rows, found.kept, found.remark) == ("ok", "bbbbbbbb", 7, 5, 2, "")
    found = row(cron(), job(hours=5), GOOD, job("Failed", "k"), pod(told("files", result="full-disk", message="no room"), uid="k"))
    assert (found.result, found.snapshot, found.remark) == ("full-disk", "bbbbbbbb", "no room") and found.age_hours > 4


def test_the_table_tells_what_is_amiss():
    assert row(cron()).remark == "never backed up" and row().remark == "not scheduled"
    assert row(cron(), job(hours=30), GOOD).remark == "older than 26 h" and row(cron(), job(hours=30), GOOD, overdue_hours=31).remark == ""
    assert row(cron(lastSuccessfulTime=job()["status"]["completionTime"])).result == "ok"
    gone = facts.state(site([cron("bob", "old")]), wanted()).iloc[0]
    assert (gone.workspace, gone.remark) == ("old", facts.GONE)


def test_snapshots_are_told_newest_first():
    here = site([GOOD])
    assert list(facts.snapshots(here, "alice", "demo").snapshot) == ["bbbbbbbb", "aaaaaaaa"] and facts.snapshots(here, "bob", "x").empty


@pytest.mark.parametrize("count", [1, 50])
def test_the_facts_ask_as_often_for_fifty_workspaces_as_for_one(count):
    here = site([o for i in range(count) for o in (*workspace(f"o{i}", "demo"), cron(f"o{i}"), job(uid=str(i), owner=f"o{i}"))])
    assert len(facts.state(here, wanted())) == count and here.cluster.calls == 4
    facts.without_claims(here, wanted())
    assert here.cluster.calls == 6


def test_a_workspace_without_a_claim_is_named():
    assert facts.without_claims(site(workspace("alice", "demo")), wanted()) == []
    objects = [o for o in workspace("alice", "demo") if not (o["kind"] == "PersistentVolumeClaim" and o["metadata"]["name"] == "demo-home")]
    assert facts.without_claims(site(objects), wanted()) == ["alice/demo: home"]
    assert facts.without_claims(site([*objects, claim("alice", "demo", "home", phase="Lost")]), wanted()) == ["alice/demo: home"]


def test_a_copy_on_the_same_disk_is_called_that():
    df = "head\n/dev/vda 10 5 5 10 5\n"
    config = {"kind": "ConfigMap", "metadata": {"name": "local-path-config", "namespace": "kube-system"},
              "data": {"config.json": '{"nodePathMap":[{"paths":["/volumes"]}]}'}}
    here = site([config], Host({"/volumes", "/srv"}, {"df": df, "stat": "abc\n"}))
    assert "not the loss of the disk" in facts.place(here, wanted(repository="/srv/backup")).survives[0]
    assert "if it lies elsewhere" in facts.place(site(), wanted(repository="s3:https://s3.example.org/b")).survives[0]
    assert "not known" in facts.place(site(), wanted(repository="/srv/backup")).survives[0]


# Plans --------------------------------------------------------------------------------------------------------------

def test_the_plan_makes_a_key_once_and_a_schedule_for_each_workspace():
    plan = backup.ensure_backups(site([workload("alice", "demo")]), wanted())
    assert titles(plan) == ["create Namespace keys", "create Secret keys/key", "create ConfigMap ws-alice/backup-scripts", "create Secret ws-alice/backup-key",
                            "create CronJob ws-alice/backup-demo"]
    here = site([workload("alice", "demo"), KEY, SPACE, {**KEY, "metadata": {"name": "backup-key", "namespace": "ws-alice"}}, backups.scripts("alice"),
                 backups.cron_job(wanted(), "alice", "demo", "mariadb:11", "demo")])
    assert not backup.ensure_backups(here, wanted())


def test_another_key_is_copied_and_a_schedule_without_workspace_goes():
    copy = {"kind": "Secret", "metadata": {"name": "backup-key", "namespace": "ws-alice"}, "data": {"password": "b3RoZXI="}}
    plan = backup.ensure_backups(site([workload("alice", "demo"), KEY, SPACE, copy, backups.scripts("alice"), cron("bob", "old"),
                                       backups.cron_job(wanted(), "alice", "demo", "mariadb:11", "demo")]), wanted())
    assert titles(plan) == ["update Secret ws-alice/backup-key", "delete CronJob ws-bob/backup-old"]
    assert "s3cret" not in str(plan) and KEY["data"]["password"] not in json.dumps(plan.record())


@pytest.mark.parametrize("only, schedules, table", [
    ([], ["create CronJob ws-alice/backup-demo", "delete CronJob ws-carol/backup-old"], ["alice/demo", "bob/other", "carol/old"]),
    (["alice/demo"], ["create CronJob ws-alice/backup-demo"], ["alice/demo"]), (["bob/other"], [], ["bob/other"])])
def test_who_names_a_few_says_nothing_of_the_others(only, schedules, table):
    here = site([workload("alice", "demo"), workload("bob", "other"),
                 backups.cron_job(wanted(), "bob", "other", "mariadb:11", "other"), cron("carol", "old")])
    assert [t for t in titles(backup.ensure_backups(here, wanted(only=only))) if "CronJob" in t] == schedules
    told = facts.state(here, wanted(only=only))
    assert list(told.owner + "/" + told.workspace) == table and list(told.workspace[told.remark == facts.GONE]) == ([] if only else ["old"])


def test_a_workspace_that_is_not_there_is_refused():
    with pytest.raises(ParameterError, match="no workspace alice/x"):
        backup.ensure_backups(site(), wanted(only=["alice/x"]))
    with pytest.raises(RunbookError, match="it is not there"):
        backup.run(site(), wanted(), "alice", "demo")
    with pytest.raises(RunbookError, match="has no backup yet"):
        backup.run(site([workload("alice", "demo")]), wanted(), "alice", "demo")


@pytest.mark.parametrize("schedule", [{"repository": "/gone"}, {"repository": "/new"}, None])
def test_what_a_restore_replaces_is_backed_up_where_backups_go_now_and_the_schedule_stays(monkeypatch, schedule):
    crons = [backups.cron_job(wanted(**schedule), "alice", "demo", "mariadb:11", "demo")] if schedule else []
    for made in crons:
        made["metadata"]["uid"] = "c"
    copy = {**KEY, "metadata": {"name": "backup-key", "namespace": "ws-alice"}}
    here, applied = site([workload("alice", "demo"), KEY, SPACE, copy, *crons]), []
    monkeypatch.setattr(here.cluster, "apply", lambda obj, dry_run=False, **_: obj if dry_run else applied.append(obj))
    monkeypatch.setattr(backup, "finished", lambda *_: {"result": "ok"})
    first = next(iter(restore.restore(here, wanted(repository="/new", restore="alice/demo", overwrite="alice/demo"), SPACES)))
    first.perform()
    made = applied[-1]
    assert [o["kind"] for o in applied] == ["ConfigMap", "Job"]
    assert [v["hostPath"]["path"] for v in made["spec"]["template"]["spec"]["volumes"] if "hostPath" in v] == ["/new/alice/demo"]
    assert [r["uid"] for r in made["metadata"].get("ownerReferences", [])] == ["c"] * len(crons) and made["spec"]["backoffLimit"] == 0
    assert ("ttlSecondsAfterFinished" in made["spec"]) == (not crons)


@pytest.mark.parametrize("overwrite, restore_to, refused", [("", "", True), ("alice/other", "", True), ("alice/demo", "", False), ("", "alice/new", False)])
def test_a_restore_never_replaces_without_the_typed_name(overwrite, restore_to, refused):
    here, asked = site([workload("alice", "demo")]), wanted(restore="alice/demo", restore_to=restore_to, overwrite=overwrite)
    if refused:
        with pytest.raises(ParameterError, match="it is there"):
            restore.restore(here, asked, SPACES)
    else:
        first = "create Workspace alice/new" if restore_to else "run Backup alice/demo"
        assert titles(restore.restore(here, asked, SPACES)) == [first, f"update Workspace {restore_to or 'alice/demo'}"]
    assert not here.cluster.done


def test_nothing_to_restore_is_no_plan_and_a_new_name_is_made_alike():
    assert not restore.restore(site(), wanted(), SPACES)
    made = restore._alike(SPACES, ("alice", "demo"), ("bob", "copy"))
    assert (made.owner, made.name, made.image) == ("bob", "copy", "docker.io/library/php:8.3-apache")
    assert restore._alike(SPACES, ("carol", "x"), ("bob", "copy")).image == ""


@pytest.mark.parametrize("result", [*facts.PROBLEMS, "never heard of"])
def test_every_problem_says_what_to_do_and_where(result):
    error = backup.problem("the backup of alice/demo", result, "last words")
    assert str(error).startswith("the backup of alice/demo failed: ") and "last words" in str(error) and error.do and error.fix


def test_undo_takes_the_schedules_and_keeps_key_and_snapshots():
    master = {**KEY, "metadata": KEY["metadata"] | {"labels": backups.labels("x")}}
    copy = {"kind": "Secret", "metadata": {"name": "backup-key", "namespace": "ws-alice", "labels": backups.labels("alice")}}
    assert titles(backup.undo(site([master, copy, cron(), backups.scripts("alice")]), wanted(), delete_data=True)) == [
        "delete CronJob ws-alice/backup-demo", "delete ConfigMap ws-alice/backup-scripts", "delete Secret ws-alice/backup-key"]
    assert not backup.undo(site([master]), wanted())


def test_the_drill_can_be_left_out():
    exercise = drill.Drill(site())
    assert not drill.run(site(), wanted(drill=False), SPACES, exercise) and exercise.why == "backup.drill is false"
    steps = ["create", "run", "delete", "update", "delete"], ["Workspace", "Backup", "Workspace", "Workspace", "Workspace"]
    assert titles(drill.run(site(), wanted(), SPACES, drill.Drill(site()))) == [f"{action} {kind} drill/drill" for action, kind in zip(*steps)]


# The state of k3s ---------------------------------------------------------------------------------------------------

def test_a_datastore_in_use_is_copied_whole(tmp_path):
    live = sqlite3.connect(tmp_path / "state.db")
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE kine (id INTEGER)")
    live.executemany("INSERT INTO kine VALUES (?)", [(i,) for i in range(1000)])
    live.commit()
    live.execute("INSERT INTO kine VALUES (-1)")  # not committed: not in the copy
    (tmp_path / "token").write_text("K10::server:token")
    argv = [sys.executable, "-c", k3s_state.PROGRAM, str(tmp_path / "state.db"), str(tmp_path / "token"), str(tmp_path / "copy")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "integrity ok\n", done.stderr
    assert sqlite3.connect(tmp_path / "copy" / "state.db").execute("SELECT COUNT(*) FROM kine").fetchone() == (1000,)
    assert (tmp_path / "copy" / "token").read_text() == "K10::server:token"
    assert [p.stat().st_mode & 0o777 for p in (tmp_path / "copy", tmp_path / "copy/state.db", tmp_path / "copy/token")] == [0o700, 0o600, 0o600]
    assert subprocess.run([*argv[:3], str(tmp_path / "none.db"), *argv[4:]], capture_output=True).returncode != 0


def test_k3s_is_copied_only_where_it_is():
    assert "not on this host" in k3s_state.why_not(site(), wanted()) and not k3s_state.copy(site(), wanted())
    assert k3s_state.why_not(site(), wanted(k3s=False)) == "backup.k3s is false"
    here = site(host=Host({k3s_state.DATASTORE}))
    assert [c.kind for c in k3s_state.copy(here, wanted())] == ["Command", "Backup"]
    made = k3s_state.job(wanted(repository="/srv"), "keys", "backup-k3s")["spec"]["template"]["spec"]
    assert [v["hostPath"]["path"] for v in made["volumes"] if "hostPath" in v] == [k3s_state.COPY, "/srv/k3s"]
