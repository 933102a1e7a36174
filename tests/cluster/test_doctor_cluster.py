"""The doctor half-blind on a real cluster: an API server that does not answer, and a user who may read pods and nothing else."""

import base64
import os
import zipfile

import pytest
import yaml
from typer.testing import CliRunner

import runbook
from runbook.cli import app
from runbook.diagnose import connect, evaluate, take

pytestmark = [pytest.mark.cluster, pytest.mark.long]
NAME = f"fault-{os.getpid()}-doctor"


@pytest.fixture
def config():
    with open(os.environ["KUBECONFIG"]) as file:
        return yaml.safe_load(file)


def written(tmp_path, config) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_an_api_server_that_does_not_answer(tmp_path, config):
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = "https://127.0.0.1:1"
    path = written(tmp_path, config)
    site = connect("local", name="down", kubeconfig=path)
    report = evaluate(take(site))
    assert any(b.startswith("the cluster: the API server https://127.0.0.1:1 does not answer") for b in report.blind)
    done = CliRunner().invoke(app, ["doctor", "-p", "name=down", "-p", "target=local", "-p", f"kubeconfig={path}"])
    assert done.exit_code in (1, 2, 3) and "not seen: the cluster" in done.stdout


@pytest.fixture
def reader(config):
    """A token that may list pods, and nothing else."""
    cluster = runbook.connect("local", name="lab", kubeconfig=os.environ["KUBECONFIG"]).cluster
    meta = {"name": NAME, "namespace": NAME}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta | {"annotations": {"kubernetes.io/service-account.name": NAME}},
            "type": "kubernetes.io/service-account-token",
        },
        rbac
        | {
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
        },
        rbac
        | {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAME}],
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {"containers": [{"name": "main", "image": "Not/An Image"}]},
        },
    ]
    for obj in objects:
        cluster.apply(obj)
    secret = cluster.wait(
        "Secret", NAME, NAME, until=lambda s: bool((s or {}).get("data", {}).get("token")), timeout=30, what="its token"
    )
    cluster.wait("Pod", NAME, NAME, timeout=60, what="its image's name to be refused",
                 until=lambda p: "InvalidImageName" in str((p or {}).get("status", {}).get("containerStatuses")))
    config["users"] = [
        {"name": u["name"], "user": {"token": base64.b64decode(secret["data"]["token"]).decode()}} for u in config["users"]
    ]
    yield config
    cluster.delete("Namespace", NAME)
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        cluster.delete(kind, NAME)


def test_a_user_who_may_read_pods_alone(tmp_path, reader):
    path = written(tmp_path, reader)
    site = connect("local", name="reader", kubeconfig=path)
    shot = take(site, namespaces=(NAME,))
    report = evaluate(shot)
    assert {f.signal for f in report.findings if NAME in f.where} == {"image-name"}
    assert sum("not allowed" in b for b in report.blind) >= 15 and not shot.saw("Secret")
    token = reader["users"][0]["user"]["token"]
    bundle = tmp_path / "out.zip"
    done = CliRunner().invoke(
        app,
        ["doctor", "-p", "name=reader", "-p", "target=local", "-p", f"kubeconfig={path}", "-n", NAME, "--bundle", str(bundle)],
    )
    assert done.exit_code == 2 and "this is no image's name" in done.stdout
    with zipfile.ZipFile(bundle) as written_files:
        assert not any(token.encode() in written_files.read(n) for n in written_files.namelist())
