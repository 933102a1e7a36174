"""The table of signals on recorded input: each fires on what it is for, none on a healthy cluster.

tests/recorded/signals: a file a signal, with its source: objects of faults that were made on the lab, or text quoted from a
public issue or documentation. Each is laid over tests/recorded/healthy.json. tests/recorded/texts.json: error messages, with
their sources.
"""

import dataclasses
import datetime as dt
import json
import random

import pytest
from journal_kit import executed

from runbook.diagnose import Snapshot, evaluate, explain, signals
from runbook.diagnose.findings import CRITICAL, NOTICE, SEVERITIES, WARNING
from runbook.diagnose.signals.urls import covers
from runbook.journal.judge import judge
from runbook.paths import notebooks, root

RECORDED = root() / "tests/recorded"
FILES = sorted((RECORDED / "signals").glob("*.json"))
TEXTS = json.loads((RECORDED / "texts.json").read_text())


def healthy() -> Snapshot:
    return Snapshot.load((RECORDED / "healthy.json").read_text())


def over(shot: Snapshot, overlay: dict) -> Snapshot:
    """A recorded part laid over a snapshot: objects are added, parts of the host replaced, the time moves on."""
    for kind, items in overlay.get("objects", {}).items():
        shot.objects[kind] = shot.objects.get(kind, []) + items
    shot.host |= overlay.get("host", {})
    shot.logs |= overlay.get("logs", {})
    for key in ("metrics", "taken"):
        if key in overlay:
            setattr(shot, key, overlay[key])
    if "taken" in overlay and "Lease" not in overlay.get("objects", {}):  # the healthy node goes on renewing its lease
        for lease in shot.of("Lease"):
            lease["spec"]["renewTime"] = overlay["taken"]
    return shot


def test_nothing_fires_on_a_healthy_cluster():
    report = evaluate(healthy())
    assert report.findings == () and report.exit_code == 0
    assert str(report).startswith("Nothing found. Looked at: pods that do not start")


def test_the_healthy_snapshot_has_what_the_signals_look_at():
    shot = healthy()
    for kind in (
        "Node",
        "Lease",
        "Pod",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "Service",
        "EndpointSlice",
        "Ingress",
        "Certificate",
        "Deployment",
        "HorizontalPodAutoscaler",
        "ResourceQuota",
        "StorageClass",
        "IngressClass",
    ):
        assert shot.of(kind), f"no healthy {kind}: nothing would be shown by silence"
    assert shot.metrics is True and shot.host["disks"] and shot.host["sockets"] and shot.host["cgroup"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_recording_is_found_as_what_it_is(path):
    record = json.loads(path.read_text())
    assert record["source"]
    report = evaluate(over(healthy(), record["snapshot"]))
    found = {f.signal for f in report.findings}
    assert path.stem.startswith(record["signal"]) and record["signal"] in found, f"found instead: {found}"
    for finding in report.findings:
        assert finding.what and finding.where and finding.meaning and finding.do
    assert report.exit_code == {CRITICAL: 2, WARNING: 1, NOTICE: 0}[report.findings[0].severity]


@pytest.mark.parametrize("record", TEXTS, ids=lambda r: r["signal"])
def test_error_messages_are_explained(record):
    assert record["source"].startswith(("https://", "recorded on the lab, "))
    finding = explain("papermill: cell 7 failed\n" + record["text"])
    assert finding is not None and finding.signal == record["signal"]
    assert finding.evidence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AssertionError",
        "KeyError: 'name'",
        "refuted: the node has room",
        "Traceback (most recent call last):\n  File x",
        "successfully pulled image docker.io/library/php:8.2-apache",
        "release demo: deployed",
    ],
)
def test_what_is_not_known_is_not_explained(text):
    assert explain(text) is None


def test_every_case_has_a_recording():
    known = {json.loads(p.read_text())["signal"] for p in FILES} | {t["signal"] for t in TEXTS}
    assert {c.name for c in signals.CASES} - known == set()


def test_names_are_unique_and_links_exist():
    names = [c.name for c in signals.CASES]
    assert len(names) == len(set(names))
    for case in signals.CASES:
        assert case.severity in SEVERITIES
        assert not case.fix or (notebooks() / f"{case.fix}.ipynb").exists(), f"{case.name}: {case.fix}"


def test_each_mending_notebook_is_reached_by_a_signal():
    linked = {c.fix for c in signals.CASES}
    assert {p.stem for p in notebooks().glob("9[2-8]-*.ipynb")} <= linked


def test_worst_first_and_many_of_a_kind_are_one_row():
    shot = healthy()
    claim = json.loads((RECORDED / "signals/claim-no-class.json").read_text())["snapshot"]["objects"]["PersistentVolumeClaim"][0]
    many = [claim | {"metadata": claim["metadata"] | {"name": f"data-{i}"}} for i in range(500)]
    report = evaluate(over(shot, {"objects": {"PersistentVolumeClaim": many}, "host": {"clock": {"NTP": "no"}}}))
    assert len(report.findings) == 501
    assert list(report.table()["severity"]) == [CRITICAL, NOTICE]
    assert "and 499 more" in report.table()["where"][0]
    assert "and in 499 more places" in str(report)


def test_blind_is_said_and_has_its_exit_code():
    shot = dataclasses.replace(Snapshot(taken="2026-01-01T00:00:00Z"), blind=["the cluster: no answer"])
    report = evaluate(shot)
    assert report.findings == () and report.exit_code == 3
    assert "not seen: the cluster: no answer" in str(report)


@pytest.mark.parametrize(
    "kind", ["StorageClass", "Service", "EndpointSlice", "IngressClass", "Certificate", "Event", "Pod", "Node", "Lease"]
)
def test_a_kind_that_may_not_be_read_is_not_taken_for_absent(kind):
    """With rights missing for one kind, nothing else is accused because of it."""
    shot = healthy()
    del shot.objects[kind]
    assert evaluate(shot).findings == ()


def test_a_pod_that_has_just_been_made_is_given_time():
    record = json.loads((RECORDED / "signals/not-ready.json").read_text())["snapshot"]
    started = record["objects"]["Pod"][0]["metadata"]["creationTimestamp"]
    soon = (dt.datetime.fromisoformat(started) + dt.timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "not-ready" not in {f.signal for f in evaluate(over(healthy(), record | {"taken": soon})).findings}


@pytest.mark.parametrize("started, expected", [("False", True), ("True", False)])
def test_a_mount_that_failed_once_is_not_told_when_it_has_succeeded_since(started, expected):
    """The event of kubelet's first try stays for an hour; seen on the lab under load, with an image that could not be pulled."""
    record = json.loads((RECORDED / "signals/volume-not-mounted.json").read_text())["snapshot"]
    for pod in record["objects"]["Pod"]:
        pod["status"]["conditions"] = [c for c in pod["status"]["conditions"] if c["type"] != "PodReadyToStartContainers"]
        pod["status"]["conditions"].append({"type": "PodReadyToStartContainers", "status": started})
    found = {f.signal for f in evaluate(over(healthy(), record)).findings}
    assert ("volume-not-mounted" in found) is expected


@pytest.mark.parametrize("pattern, host, expected", [
    ("*.ws.example.org", "3000-demo.ws.example.org", True), ("*.ws.example.org", "demo.ws.example.org", True),
    ("*.ws.example.org", "3000.demo.ws.example.org", False), ("*.ws.example.org", "ws.example.org", False),
    ("ws.example.org", "ws.example.org", True), ("*.example.org", "demo.ws.example.org", False),
])
def test_a_wildcard_stands_for_one_label(pattern, host, expected):
    assert covers(pattern, host) is expected


def test_waiting_for_the_first_pod_is_told_apart():
    record = json.loads((RECORDED / "signals/claim-waits-for-pod.json").read_text())["snapshot"]
    findings = evaluate(over(healthy(), record)).findings
    assert [(f.signal, f.severity, f.fix) for f in findings] == [("claim-waits-for-pod", NOTICE, "")]


@pytest.mark.parametrize(
    "text, fix, do",
    [
        (
            'WaitTimeout: not within 60 s\n  0/1 nodes are available: 1 Insufficient cpu.\nDo this: read them\nSee: 90-diagnose.ipynb',
            "92-workspace-does-not-start",
            "no node has the room",
        ),
        ("ClusterError: storageclass.storage.k8s.io \"fast\" not found", "93-storage-stuck", "a claim asks for a StorageClass"),
        ("WaitFailed: 1 Insufficient cpu\nDo this: wait\nSee: 93-storage-stuck.ipynb", "93-storage-stuck", "wait"),
        ("ValueError: no", "", ""),
    ],
)
def test_a_failed_step_is_told_with_what_mends_it(text, fix, do):
    verdict = judge(executed(error=("X", text)))
    assert verdict.fix == fix and verdict.do.startswith(do)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_an_odd_object_ends_no_diagnosis(path):
    """Fields taken away or emptied at random: a diagnosis still ends, and says what it could not judge."""
    odd = random.Random(path.stem)
    for _ in range(5):
        shot = over(healthy(), json.loads(path.read_text())["snapshot"])
        for _ in range(4):
            obj = odd.choice(shot.objects[odd.choice([k for k in shot.objects if shot.objects[k]])])
            part = obj.get(odd.choice(["spec", "status", "metadata"]))
            if part:
                part[odd.choice(sorted(part))] = None
        report = evaluate(shot)
        assert report.findings or report.exit_code in (0, 3)


def test_what_could_not_be_judged_is_said_and_the_rest_is_found():
    shot = over(
        healthy(),
        {
            "objects": {"Ingress": [{"kind": "Ingress", "metadata": {"name": "odd", "namespace": "x"}, "spec": None}]},
            "host": {"clock": {"NTP": "no"}},
        },
    )
    report = evaluate(shot)
    assert [f.signal for f in report.findings] == ["clock-not-kept"]
    assert any(b.startswith("URLs:") and "unforeseen form" in b for b in report.blind) and report.exit_code == 3


def test_html_escapes_what_it_shows():
    shot = over(
        healthy(), {"host": {"clock": {"NTP": "no"}, "journal": 'level=fatal msg="<script>bootstrap data already found"'}}
    )
    assert "<script>" not in evaluate(shot)._repr_html_()
