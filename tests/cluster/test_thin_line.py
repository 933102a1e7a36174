"""The thin line on a real cluster: planned, applied, proven, recorded; killed and converged; refused cleanly."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import helm_python
import pytest
import yaml

from runbook import connect, paths

pytestmark = pytest.mark.cluster
OWNERS = ("thinone", "thintwo")
SPACES = tuple(f"ws-{o}" for o in OWNERS)
AUDIT = os.environ.get("RUNBOOK_AUDIT_LOG", "")
KILLED = "thinkill"


@pytest.fixture(scope="module")
def site():
    site = connect("local", name="thin", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    yield site
    for space in (*SPACES, f"ws-{KILLED}"):
        site.cluster.delete("Namespace", space)


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    return tmp_path_factory.mktemp("thin line")


def parameters(folder: Path, owners, kubeconfig=None) -> Path:
    file = folder / f"{'-'.join(owners)}.yaml"
    file.write_text(yaml.safe_dump({"name": "thin", "target": "local", "kubeconfig": kubeconfig or os.environ["KUBECONFIG"], "workspaces": {
        "list": [{"name": "demo", "owner": o} for o in owners], "storage": "64Mi", "home": "64Mi", "database": "128Mi"}}))
    return file


def command(folder: Path, file: Path, mode: str) -> list[str]:
    return [sys.executable, "-m", "runbook.cli", "run", "--params", str(file), "--only", "02", "--mode", mode, "--reports", str(folder / "reports")]


def run(folder: Path, file: Path, mode: str) -> dict:
    done = subprocess.run(command(folder, file, mode), capture_output=True, text=True, timeout=400, cwd=paths.root())
    newest = sorted((folder / "reports").glob("2*"))[-1]
    record = json.loads((newest / "run.json").read_text())
    record |= {"exit": done.returncode, "said": done.stdout + done.stderr, "folder": newest}
    return record


def writes(offset: int) -> list[dict]:
    """The audit log's writes of people (not of controllers) in the test's namespaces since ``offset``."""
    with open(AUDIT, "rb") as log:
        log.seek(offset)
        events = [json.loads(line) for line in log.read().splitlines()]
    return [e for e in events if any(s in e["requestURI"] for s in SPACES) or e.get("objectRef", {}).get("name") in SPACES]


@pytest.fixture(scope="module")
def runs(site, where):
    """Plan, apply, apply again, in that order; each with what the API server noted of it."""
    file, left = parameters(where, OWNERS), {}
    for name, mode in (("plan", "plan"), ("apply", "apply"), ("again", "apply")):
        offset = os.path.getsize(AUDIT) if AUDIT else 0
        left[name] = run(where, file, mode)
        left[name]["writes"] = writes(offset) if AUDIT else []
    return left


def titles(changes) -> set[str]:
    return {f"{c['kind']} {c['name']}" for change in changes for c in (change, *change["parts"]) if c["kind"] != "Release"}


def test_the_runs_succeed(runs):
    assert {name: r["exit"] for name, r in runs.items()} == {"plan": 0, "apply": 0, "again": 0}, [r["said"] for r in runs.values()]


@pytest.mark.skipif(not AUDIT, reason="no audit log was named")
def test_plan_mode_writes_nothing(runs):
    assert [w["requestURI"] for w in runs["plan"]["writes"] if "dryRun=All" not in w["requestURI"]] == []
    assert [w for w in runs["apply"]["writes"] if "dryRun=All" not in w["requestURI"]]


def test_the_plan_lists_what_apply_changes(runs, site):
    from runbook.show import records
    import nbformat

    book = nbformat.read(runs["plan"]["folder"] / "02-deploy-gitpod-lamp.ipynb", as_version=4)
    planned = titles(c for record in records(book, "plan") for c in record["changes"])
    made = set()
    for space in SPACES:
        made.add(f"Namespace {space}")
        for kind in ("Secret", "ConfigMap", "Service", "StatefulSet", "PersistentVolumeClaim", "NetworkPolicy", "ServiceAccount", "Role", "RoleBinding",
                     "ResourceQuota", "LimitRange", "CronJob"):
            for obj in site.cluster.list(kind, space):
                managers = {m["manager"] for m in obj["metadata"].get("managedFields", [])}
                if managers & {"helm", "runbook", "helm.worker"} or obj.get("type") == "helm.sh/release.v1":
                    made.add(f"{kind} {space}/{obj['metadata']['name']}")
    assert planned == made


def test_each_page_answers_from_its_own_database(runs):
    claims = {c["claim"]: c["outcome"] for c in runs["apply"]["steps"][0]["claims"]}
    assert any("data from its own database" in claim for claim in claims)
    assert set(claims.values()) == {"proven"}


def test_a_second_apply_changes_nothing(runs):
    assert sum(s["changed"] for s in runs["again"]["steps"]) == 0


def test_helm_lists_the_releases(runs):
    with helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"]) as helm:
        listed = {(r["namespace"], r["name"], r["status"]) for r in helm.list(all_namespaces=True)}
    assert {(space, "demo", "deployed") for space in SPACES} <= listed


def test_no_password_is_in_any_file_of_a_run(runs, site):
    import base64

    secrets = [base64.b64decode(v) for space in SPACES for v in site.cluster.get("Secret", "demo", space)["data"].values()]
    for record in runs.values():
        for file in record["folder"].rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert not any(s in content for s in secrets), file.name


def test_killed_in_the_change_cell_it_converges(site, where):
    file = parameters(where, (KILLED,))
    runner = subprocess.Popen(command(where, file, "apply"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=paths.root(),
                              start_new_session=True)
    try:
        until(lambda: site.helm.releases(f"ws-{KILLED}"), runner)
        import psutil

        family = [*psutil.Process(runner.pid).children(recursive=True), psutil.Process(runner.pid)]
        for process in family:
            process.send_signal(signal.SIGKILL)
    finally:
        runner.stdout.close()
        runner.wait(20)
    record = run(where, file, "apply")
    assert record["exit"] == 0, record["said"]
    assert site.helm.release("demo", f"ws-{KILLED}").status == "deployed"


def until(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if condition():
            return
        time.sleep(0.1)  # the moment between two states of another process
    raise AssertionError("it did not come")


def test_a_kubeconfig_without_rights_is_refused(site, where):
    path = site.cluster._resource("ServiceAccount").path("default", "default", "token")
    token = site.cluster._request("POST", path, body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    poor = where / "poor.kubeconfig"
    poor.write_text(yaml.safe_dump(config))
    record = run(where, parameters(where, ("thinpoor",), str(poor)), "apply")
    assert record["exit"] == 1 and "forbidden" in record["said"].lower()
    assert site.cluster.get("Namespace", "ws-thinpoor") is None
