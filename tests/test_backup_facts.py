"""Step 20: what Jobs told, and the table of all backups."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from storage_kit import Host, claim, cron, site, workload, workspace

import runbook
from runbook import backups
from runbook.facts import backup as facts, backup_jobs as jobs


def wanted(**given):
    return runbook.section("backup", {"key": "keys/key"} | given)


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
