"""Step 20: the objects, the plans, the copy of k3s."""

import base64
import json
import sqlite3
import subprocess
import sys

import pytest

import runbook
from runbook import backups
from runbook.errors import ParameterError, RunbookError
from runbook.facts import backup as facts
from runbook.operations import backup, drill, k3s_state, restore
from storage_kit import Host, cron, site, workload


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
