"""Taking a snapshot with a constant number of requests, half-blind, without secrets; the bundle; the command; mending."""

import json
import zipfile
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from runbook import rehearsal
from runbook.cli import app
from runbook.cluster import Cluster
from runbook.cluster.transport import ApiFailure, Resource
from runbook.diagnose import bundle, connect, diagnose, evaluate, mend, take
from runbook.diagnose.redact import redact
from runbook.diagnose.snapshot import MOST_LOGS
from runbook.errors import HostError, MissingRight, NotRecorded
from runbook.host import Result
from runbook.params import section
from runbook.plans import apply
from runbook.secrets import keep_secret

NAMES = {
    "EndpointSlice": "endpointslices",
    "Ingress": "ingresses",
    "StorageClass": "storageclasses",
    "IngressClass": "ingressclasses",
    "metrics.k8s.io/v1beta1/NodeMetrics": "nodes.metrics",
}
SECRET = "hunter2-in-clear"


class Api:
    """An API server of tables: ``objects`` by plural; ``refused`` plurals answer 403; ``down`` answers nothing."""

    server, replayed, static = "https://api:6443", "", False

    def __init__(self, objects=None, refused=(), down=False):
        self.objects, self.refused, self.down, self.asked = objects or {}, refused, down, []

    def resource(self, kind):
        short = kind.rpartition("/")[2]
        return Resource("v1", short, NAMES.get(kind, NAMES.get(short, short.lower() + "s")), True)

    def request(self, method, path, query=None, body=None, content_type=""):
        if self.down:
            raise ApiFailure(0, "connection refused")
        plural = path.rpartition("/")[2]
        self.asked.append(plural)
        if plural == "version":
            return {"gitVersion": "v1.36.2"}
        if plural in self.refused:
            raise ApiFailure(403, f"{plural} is forbidden", {})
        return {"items": self.objects.get(plural, [])}

    def text(self, path, query=None):
        self.asked.append("log")
        return f"MARIADB_ROOT_PASSWORD={SECRET}\nerror: no such table\n"


class Machine:
    """A server of tables; ``blind`` ones may be read by nobody."""

    replayed = ""

    def __init__(self, files=None, prints=None, blind=False):
        self.files, self.prints, self.blind = files or {}, prints or {}, blind

    def run(self, argv, **_):
        if self.blind:
            raise MissingRight(f"{argv[0]} needs root")
        out = next((text for word, text in self.prints.items() if word in argv[0]), None)
        return Result(tuple(argv), 0 if out is not None else 127, out or "")

    def read(self, path):
        if self.blind:
            raise MissingRight(f"{path} may not be read")
        return self.files.get(path)

    def sockets(self):
        return []

    def unit(self, name):
        return {}

    def exists(self, path):
        return path in self.files

    def which(self, program):
        return None


def site(api=None, host=None, **more):
    cluster = Cluster(api, pause=lambda s: None) if api else None
    return SimpleNamespace(cluster=cluster, host=host or Machine(), kubeconfig="", mode="apply", **more)


def pod(i, ready=False, reason="CrashLoopBackOff", **more):
    state = {"running": {}} if ready else {"waiting": {"reason": reason}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"demo-{i}",
            "namespace": f"ws-{i}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"note": SECRET},
            "managedFields": [{"x": SECRET}],
            **more.get("metadata", {}),
        },
        "spec": {
            "nodeName": "n",
            "containers": [{"name": "main", "image": "php", "env": [{"name": "DB_PASSWORD", "value": SECRET}]}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": ready,
                    "restartCount": 0 if ready else 5,
                    "image": f"php{i}",
                    "state": state,
                    "lastState": {} if ready else {"terminated": {"exitCode": 1, "reason": "Error"}},
                }
            ],
            **more.get("status", {}),
        },
    }


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


# -- mending -------------------------------------------------------------------


class Cruel(Api):
    """Takes deletes and patches, and does them."""

    def request(self, method, path, query=None, body=None, content_type=""):
        if method == "GET" and path.split("/")[-2] in self.objects:
            raise ApiFailure(404, "not found")
        if method == "DELETE":
            self.objects["pods"] = [p for p in self.objects["pods"] if not path.endswith(p["metadata"]["name"])]
            return {}
        if method == "PATCH" and path.endswith("/scale"):
            self.asked.append(body)
            self.objects["deployments"][0]["spec"]["replicas"] = body["spec"]["replicas"]
            return {}
        if method == "PATCH":
            if not query.get("dryRun"):
                self.objects["storageclasses"].append(body)
            return body
        return super().request(method, path, query, body, content_type)


OWNED = {"ownerReferences": [{"kind": "StatefulSet", "name": "demo"}], "labels": {"controller-revision-hash": "demo-1"}}


def owner(update):
    return {"kind": "StatefulSet", "metadata": {"name": "demo", "namespace": "ws-1"}, "spec": {"replicas": 1},
            "status": {"replicas": 1, "updateRevision": update}}


@pytest.mark.parametrize("update, ready, deleted", [("demo-2", False, 1), ("demo-1", False, 0), ("demo-2", True, 0)])
def test_only_broken_pods_of_an_older_revision_are_deleted(update, ready, deleted):
    place = site(Cruel({"pods": [pod(1, ready=ready, metadata=OWNED)], "statefulsets": [owner(update)]}))
    mending = mend.workspaces(place, section("trouble"))
    assert len(mending.plan) == deleted and len(mending.findings) == deleted
    apply(mending.plan, "apply")
    assert not mend.workspaces(place, section("trouble")).plan


def test_a_lone_pod_is_never_deleted():
    evicted = pod(1, status={"phase": "Failed", "reason": "Evicted"})
    assert not mend.workspaces(site(Cruel({"pods": [evicted]})), section("trouble")).plan
    evicted["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "x"}]
    assert [c.title for c in mend.workspaces(site(Cruel({"pods": [evicted]})), section("trouble")).plan] == [
        "delete Pod ws-1/demo-1"
    ]


def claim(name="data"):
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "ws-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"storageClassName": "fast"},
        "status": {"phase": "Pending"},
    }


def klass(name, default):
    return {"kind": "StorageClass", "metadata": {"name": name, "annotations": {mend.DEFAULT_CLASS: str(default).lower()}},
            "provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer"}


def test_an_absent_class_is_made_once_as_a_twin_that_retains():
    api = Cruel({"persistentvolumeclaims": [claim(), claim("home")], "storageclasses": [klass("local-path", True)]})
    place = site(api)
    mending = mend.storage(place, section("trouble"))
    assert [c.title for c in mending.plan] == ["create StorageClass fast"]
    apply(mending.plan, "apply")
    assert (api.objects["storageclasses"][1]["reclaimPolicy"], api.objects["storageclasses"][1]["provisioner"]) == (
        "Retain",
        "rancher.io/local-path",
    )
    assert not mend.storage(place, section("trouble")).plan


def test_without_a_default_class_nothing_is_made_up():
    assert not mend.storage(
        site(Cruel({"persistentvolumeclaims": [claim()], "storageclasses": [klass("x", False)]})), section("trouble")
    ).plan


def deployment(name, namespace, replicas, labels=None):
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels or {}}}}, "status": {}}


@pytest.mark.parametrize(
    "name, namespace, replicas, planned",
    [
        ("traefik", "kube-system", 0, 1),
        ("coredns", "kube-system", 0, 1),
        ("traefik", "kube-system", 1, 0),
        ("traefik", "ws-1", 0, 0),
        ("shop", "kube-system", 0, 0),
    ],
)
def test_what_serves_everybody_is_started(name, namespace, replicas, planned):
    place = site(Cruel({"deployments": [deployment(name, namespace, replicas)]}))
    mending = mend.urls(place, section("trouble"))
    assert len(mending.plan) == planned
    apply(mending.plan, "apply")
    assert not mend.urls(place, section("trouble")).plan


@pytest.mark.parametrize("start, planned", [(False, 0), (True, 1)])
def test_a_stopped_workspace_is_started_only_when_told(start, planned):
    labels = {"app": "demo"}
    api = Cruel(
        {
            "deployments": [deployment("demo", "ws-1", 0, labels)],
            "services": [
                {
                    "kind": "Service",
                    "metadata": {"name": "demo", "namespace": "ws-1"},
                    "spec": {"selector": labels, "ports": [{"port": 80}]},
                }
            ],
            "ingresses": [
                {
                    "kind": "Ingress",
                    "metadata": {"name": "demo", "namespace": "ws-1"},
                    "spec": {
                        "rules": [
                            {
                                "host": "demo.ws.example.org",
                                "http": {"paths": [{"backend": {"service": {"name": "demo", "port": {"number": 80}}}}]},
                            }
                        ]
                    },
                }
            ],
        }
    )
    mending = mend.urls(site(api), section("trouble", {"start": start}))
    assert len(mending.plan) == planned and [f.signal for f in mending.findings] == ["url-stopped"] * planned
    apply(mending.plan, "apply")
    assert api.asked.count({"spec": {"replicas": 1}}) == planned


def test_what_is_still_wrong_after_its_time_is_told():
    place = site(Cruel({"pods": [pod(1, metadata=OWNED)], "statefulsets": [owner("demo-2")]}))
    mending = mend.workspaces(place, section("trouble"))
    wanted = section("trouble", {"seconds": 1})
    assert [f.signal for f in mend.left(place, wanted, mending)] == ["crash-loop"]
    apply(mending.plan, "apply")
    assert mend.left(place, wanted, mending) == ()
