"""Taking a snapshot with a constant number of requests, half-blind, without secrets; the bundle; the command."""

import json
import zipfile

import pytest
from diagnose_kit import SECRET, Api, Machine, pod, site
from typer.testing import CliRunner

from runbook import rehearsal
from runbook.cli import app
from runbook.diagnose import bundle, connect, diagnose, evaluate, take
from runbook.diagnose.redact import redact
from runbook.diagnose.snapshot import MOST_LOGS
from runbook.errors import HostError, NotRecorded
from runbook.secrets import keep_secret


@pytest.mark.parametrize("workspaces", [1, 50, 1000])
def test_requests_do_not_grow_with_workspaces(workspaces):
    api = Api({"pods": [pod(i, ready=True) for i in range(workspaces)]})
    shot = take(site(api))
    assert shot.calls == 20 and len(shot.of("Pod")) == workspaces


def test_logs_are_read_of_a_few_only():
    api = Api({"pods": [pod(i) for i in range(200)]})
    take(site(api))
    assert api.asked.count("log") == MOST_LOGS


def test_an_api_server_that_is_down_is_said_once_and_the_host_is_still_seen():
    df = "Filesystem Type 1-blocks Used Available Capacity Mounted on\n/dev/sda1 ext4 1000 990 10 99% /\n"
    shot = take(site(Api(down=True), Machine(prints={"df": df})))
    report = evaluate(shot)
    assert [b for b in report.blind if b.startswith("the cluster")] == [report.blind[-1]]
    assert {"disk-full"} <= {f.signal for f in report.findings} and report.exit_code == 2
    assert shot.calls == 6, "one request with its retries, and no more"


def test_missing_rights_are_said_and_the_rest_is_seen():
    report = evaluate(take(site(Api({"pods": [pod(1)]}, refused=("nodes", "secrets", "persistentvolumes")))))
    assert [f.signal for f in report.findings] == ["crash-loop"]
    assert sum("not allowed" in b for b in report.blind) == 4  # Node, PersistentVolume, and two kinds of Secrets


def test_a_server_that_nobody_may_look_at_and_no_cluster():
    report = evaluate(take(site(host=Machine(blind=True))))
    assert report.findings == () and report.exit_code == 3
    assert any("no kubeconfig" in b for b in report.blind) and sum("of the server" in b for b in report.blind) >= 5


def test_what_the_rehearsal_has_not_recorded_is_not_seen():
    class Rehearsed(Machine):
        def run(self, argv, **_):
            raise NotRecorded("no recording of df")

    assert any("no recording of df" in b for b in take(site(host=Rehearsed())).blind)


def planted() -> tuple:
    known = keep_secret("a-known-secret-value")
    tls = {
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "t", "namespace": "ws-1"},
        "data": {"tls.crt": "eA==", "tls.key": "U0VDUkVU"},
    }
    event = {
        "kind": "Event",
        "metadata": {"namespace": "ws-1"},
        "involvedObject": {"kind": "Pod", "name": "demo-1", "namespace": "ws-1"},
        "reason": "Unhealthy",
        "message": f"Readiness probe failed: mysql --password={SECRET} refused",
    }
    api = Api({"pods": [pod(1)], "secrets": [tls], "events": [event]})
    journal = (
        f"level=fatal msg=\"K10a1b2c3d4e5f60718293a4b5c6d7e8f9::server:{SECRET} encrypted with different token\"\n"
        f"Authorization: Bearer {SECRET}\ncloning https://alice:{SECRET}@git.example.org/x.git\n{known}\n"
        "-----BEGIN EC PRIVATE KEY-----\nU0VDUkVU\n-----END EC PRIVATE KEY-----\neyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln\n"
    )
    place = site(api, Machine(prints={"journalctl": journal}))
    return place, (SECRET, known, "U0VDUkVU", "K10a1b2c", "eyJhbGci", "PRIVATE KEY")


def test_planted_secrets_are_not_in_the_bundle(tmp_path):
    place, secrets = planted()
    shot = take(place)
    report = evaluate(shot)
    with zipfile.ZipFile(bundle.write(tmp_path / "out.zip", shot, report)) as written:
        texts = {name: written.read(name).decode() for name in written.namelist()}
    assert {
        "README.txt",
        "findings.txt",
        "findings.json",
        "snapshot.json",
        "k3s.log",
        "logs/ws-1_demo-1_main.log",
    } <= texts.keys()
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"{secret} in {name}"
    assert (
        "crash-loop" in texts["findings.json"] and "encrypted with different token" in texts["k3s.log"]
    ), "what helps is still there"
    json.loads(texts["snapshot.json"])


@pytest.mark.parametrize(
    "text",
    [
        "token CA hash does not match the Cluster CA certificate hash",
        "secret \"absent\" not found",
        "password is wrong",
        "pulling image docker.io/library/php:8.2-apache",
        "lookup registry on 10.43.0.10:53: no such host",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_a_bundle_that_cannot_be_written_says_so(tmp_path):
    shot = take(site())
    with pytest.raises(HostError, match="No such file"):
        bundle.write(tmp_path / "none" / "out.zip", shot, evaluate(shot))


def test_the_command_on_the_rehearsal(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNBOOK_REHEARSAL", str(tmp_path))
    done = CliRunner().invoke(app, ["doctor", "--json", "--bundle", str(tmp_path / "out.zip")])
    assert done.exit_code in (0, 3), done.output
    record = json.loads(done.stdout)
    assert record["findings"] == [] and record["looked_at"] and (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    "fault, signal",
    [
        ("", ""),
        ("crash-loop", "crash-loop"),
        ("image-not-found", "image-no-network"),  # recorded where no registry can be reached
        ("missing-config", "config-missing"),
        ("missing-secret", "config-missing"),
        ("node-selector", "pod-selector"),
        ("not-ready", "not-ready"),
        ("oom-killed", "oom-killed"),
        ("pvc-pending", "claim-no-class"),
        ("unschedulable", "pod-no-room"),
    ],
)
def test_the_rehearsal_s_faults_are_found_and_nothing_without(fault, signal, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNBOOK_REHEARSAL", str(tmp_path))
    if fault:
        rehearsal.break_(fault)
    assert {f.signal for f in diagnose(connect("rehearsal", name="rehearsal")).findings} == ({signal} if signal else set())


@pytest.mark.parametrize("fault, said", [("api-down", "the cluster: the API server"), ("unauthorized", "not allowed")])
def test_a_rehearsed_cluster_that_does_not_answer_or_refuses_is_said(fault, said, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNBOOK_REHEARSAL", str(tmp_path))
    rehearsal.break_(fault)
    site = connect("rehearsal", name="rehearsal")
    assert (site.target, site.banner) == ("rehearsal", "REHEARSAL")
    report = diagnose(site)
    assert report.findings == () and report.exit_code == 3 and any(said in b for b in report.blind)
