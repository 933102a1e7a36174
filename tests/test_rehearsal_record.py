"""Recording and replaying: what a real run was answered is found again by what is asked; secrets never get into a file."""

import json

import pytest

from runbook.cluster import Cluster
from runbook.errors import CommandFailed, NotRecorded
from runbook.host import Result, expect
from runbook.rehearsal import RehearsalHost, RehearsalTransport, State
from runbook.rehearsal.record import RecordingHost, RecordingTransport, compact
from runbook.rehearsal.recordings import key, steady, workload
from runbook.secrets import MASK, keep_secret


def owned(name, kind=None, owner="", **labels):
    owners = [{"kind": kind, "name": owner, "controller": True}] if kind else []
    return {"metadata": {"name": name, "namespace": "ws", "ownerReferences": owners, "labels": labels}}


@pytest.mark.parametrize("pod, wanted", [
    (owned("bare"), "Pod/bare"),
    (owned("db-1", "StatefulSet", "db"), "StatefulSet/db-1"),
    (owned("web-abc-x1", "ReplicaSet", "web-abc", **{"pod-template-hash": "abc"}), "Deployment/web"),
    (owned("rs-x1", "ReplicaSet", "rs"), "ReplicaSet/rs"),
    (owned("ds-x1", "DaemonSet", "ds"), "DaemonSet/ds"),
    (owned("job-x1", "Job", "job"), "Job/job"),
])
def test_a_pod_is_known_by_its_workload(pod, wanted):
    assert workload(pod) == wanted


@pytest.mark.parametrize("text, wanted", [
    ("plain text", "plain text"),
    ("curl http://10.42.0.17:80/", "curl http://<pod address>:80/"),
    ("ls /tmp/tmpab_12/x", "ls /tmp/<name>/x"),
    ("at 2026-11-23T06:08:18Z", "at <time>"),
    ("pvc-ae56b1a4-42f7-40ba-bd98-483a140e0c3b", "pvc-<uid>"),
    ("http://127.0.0.1:39999/", "http://127.0.0.1:<port>/"),
    ("10.43.0.10 stays, 127.0.0.1:80 too", "10.43.0.10 stays, 127.0.0.1:80 too"),
])
def test_what_moves_is_not_part_of_a_key(text, wanted):
    assert steady(text) == wanted


class RealTransport:
    """Answers as a cluster would, with another pod name than the rehearsal's."""

    server, replayed, static = "https://real", "", False
    pod = owned("web-abc-x1", "ReplicaSet", "web-abc", **{"pod-template-hash": "abc"}) | {"spec": {"containers": [{"name": "main"}]}}

    def __init__(self):
        self.pages = iter([(200, "first"), (200, "second"), (200, "second")])

    def request(self, method, path, query=None, body=None, content_type=""):
        if path == "/version":
            return {"gitVersion": "v1.36.2"}
        if "metrics.k8s.io" in path:
            return {"items": [{"metadata": {"namespace": "ws", "name": "web-abc-x1"}, "containers": [{"name": "main", "usage": {"cpu": "3m", "memory": "8Mi"}}]}]}
        return self.pod

    def text(self, path, query=None):
        return "one\ntwo\nthree\n"

    def http(self, path, timeout):
        return next(self.pages)

    def exec(self, namespace, pod, container, argv, timeout, input):
        return Result(tuple(argv), 3, "out hunter2secret\n", "err\n", 0.25)


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes.jsonl"


@pytest.fixture
def replaying(tmp_path, notes, monkeypatch):
    """A function that turns the notes into a rehearsal that replays them."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    monkeypatch.setenv("RUNBOOK_RECORDINGS", str(folder))

    def begin():
        (folder / "one.json").write_text(json.dumps(compact(notes.read_text().splitlines(), "lab")))
        state = State(tmp_path / "state.json")
        cluster = Cluster(RehearsalTransport(state))
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ws"}})
        cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "ws"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "containers": [{"name": "main", "image": "busybox:1.36"}]}}}})
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ws"},
                       "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}]}})
        return state, cluster, cluster.list("Pod", "ws")[0]["metadata"]["name"]

    return begin


def test_what_a_cluster_did_is_replayed_with_its_label(notes, replaying):
    keep_secret("hunter2secret")
    real = RecordingTransport(RealTransport(), str(notes))
    real.exec("ws", "web-abc-x1", "", ["show", "it"], 5, None)
    real.text("/api/v1/namespaces/ws/pods/web-abc-x1/log", {"tailLines": 2})
    for _ in range(3):
        real.http("/api/v1/namespaces/ws/services/web:80/proxy/?a=1", 5)
    real.request("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/ws/pods")
    assert real.server == "https://real" and "hunter2secret" not in notes.read_text()

    state, cluster, pod = replaying()
    result = cluster.exec(pod, ["show", "it"], "ws", check=False)
    assert (result.exit_code, result.stdout, result.stderr, result.seconds) == (3, f"out {MASK}\n", "err\n", 0.25)
    assert result.replayed.startswith("replayed: recorded 20") and result.replayed.endswith(" on Kubernetes v1.36.2 (lab)")
    assert cluster.logs(pod, "ws", tail=2) == "two\nthree\n"
    assert [cluster.proxy("ws", "web", port, "/?a=1")[1] for port in (80, "http", 80)] == ["first", "second", "second"]
    [row] = cluster.usage("pods", "ws")
    assert (row["name"], row["memory"]) == (pod, 8 * 2**20)
    with pytest.raises(NotRecorded, match=r"no recording of `show more` in Deployment/web \(main\) of ws"):
        cluster.exec(pod, ["show", "more"], "ws")
    with pytest.raises(NotRecorded, match="no recording of the page /none of Service ws/web port 80"):
        cluster.proxy("ws", "web", 80, "/none")


class RealHost:
    name, replayed = "local", ""

    def run(self, argv, check=True, **options):
        result = Result(tuple(argv), 1 if argv[0] == "false" else 0, "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n")
        return expect(result, "local") if check else result

    def read(self, path):
        return "the content"

    def which(self, program):
        return f"/usr/bin/{program}"

    def exists(self, path):
        return True

    def sockets(self):
        return [{"address": "0.0.0.0", "port": 80, "pid": 7, "program": "apache2"}, {"address": "0.0.0.0", "port": 2024, "pid": None, "program": ""}]

    def mode(self, path):
        return 0o600


def test_what_a_host_said_is_replayed(notes, replaying):
    host = RecordingHost(RealHost(), str(notes))
    host.run(["openssl", "genrsa"])
    with pytest.raises(CommandFailed):
        host.run(["false"])
    assert (host.read("/proc/meminfo"), host.read("/etc/rancher/k3s/k3s.yaml"), host.mode("/x")) == ("the content", "the content", 0o600)
    host.which("nft"), host.which("k3s"), host.sockets(), host.exists("/sys/fs/cgroup/cgroup.controllers")
    assert "PRIVATE KEY" not in notes.read_text()

    state, _, _ = replaying()
    rehearsed = RehearsalHost(state)
    assert rehearsed.run(["openssl", "genrsa"]).stdout == f"{MASK}\n"
    assert rehearsed.run(["false"], check=False).exit_code == 1
    assert rehearsed.read("/proc/meminfo") == "the content" and rehearsed.exists("/sys/fs/cgroup/cgroup.controllers")
    assert rehearsed.read("/etc/rancher/k3s/k3s.yaml") == "", "what may hold secrets is not recorded"
    assert rehearsed.which("nft") == "/usr/bin/nft" and rehearsed.which("k3s") == "/usr/local/bin/k3s"
    assert rehearsed.sockets() == [{"address": "0.0.0.0", "port": 80, "pid": None, "program": "apache2"}]


def line(asked, answer):
    return json.dumps({"key": asked, "answer": answer, "at": "2026-11-23T06:00:00+00:00"})


def test_recordings_are_compact():
    lines = [line("about", {"version": "v1.36.2"}), line("exec ws p c x", {"stdout": "a", "seconds": 1}), line("exec ws p c x", {"stdout": "a", "seconds": 2}),
             line("exec ws p c x", {"stdout": "b", "seconds": 2}), line("run df", {"stdout": "1"}), line("run df", {"stdout": "2"}),
             line("usage ws Pod/p", {"n": 1}), line("usage others Pod/p", {"n": 1})]
    found = compact(lines, "lab")
    assert found["about"] == "recorded 2026-11-23 on Kubernetes v1.36.2 (lab)"
    assert {k: len(v) for k, v in found["answers"].items()} == {"exec ws p c x": 2, "run df": 1, "usage ws Pod/p": 1}
    assert found["answers"]["run df"] == [{"stdout": "2"}]
    assert compact([], "lab")["answers"] == {}


def test_the_packaged_recordings_hold_no_secret_and_say_where_they_are_from():
    from runbook.rehearsal.recordings import recorded

    assert recorded()
    for about, answers in recorded().values():
        assert about.startswith("recorded 20") and " on Kubernetes v" in about and answers
    text = json.dumps([answers for _, answers in recorded().values()])
    assert "PRIVATE KEY" not in text and "::server:" not in text


def test_keys_are_told_apart():
    assert key("exec", "a", "b") != key("exec", "a", "c") and key("run", "df") == "run df"
