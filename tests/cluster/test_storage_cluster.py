"""Storage on a real cluster: a class that keeps data, volumes given back, deleted, grown, and what is refused.

RUNBOOK_RESTART_KUBELET names the command that restarts the kubelet of this machine; it disturbs everybody, so without it that is not tried.
"""

import os
import shlex
import threading

import pytest

import runbook
from runbook.errors import ParameterError, WaitTimeout
from runbook.facts import backup as backups, disks, storage as facts
from runbook.operations import released, survival, workspaces
from runbook.operations.storage import ensure_storage, grow, refuse_in_use, undo
from runbook.workspaces import namespace
from storage_kit import claim, workload

pytestmark = [pytest.mark.cluster, pytest.mark.long]
OWNER, NAME = "stor3", "keep"
WHERE = namespace(OWNER)


@pytest.fixture(scope="module")
def site():
    return runbook.connect("local", name="tests", kubeconfig=os.environ["KUBECONFIG"], mode="apply")


@pytest.fixture(scope="module")
def spaces(site):
    asked = runbook.section("workspaces", {"list": [{"owner": OWNER, "name": NAME}], "ide": "none", "idle_stop": 0, "storage": "64Mi", "home": "32Mi", "database": "256Mi"})
    runbook.apply(ensure_storage(site, wanted(retain_existing=False)), "apply")
    runbook.apply(workspaces.ensure_workspaces(site, asked), "apply")
    yield asked
    runbook.apply(workspaces.delete(site, NAME, OWNER), "apply")
    site.cluster.delete("Namespace", WHERE)
    for row in mine(site).itertuples():
        if row.volume:
            site.cluster.wait("PersistentVolumeClaim", row.claim.split("/")[1], WHERE, until=lambda o: o is None, timeout=120, what="the claim to be gone")
            released.remove(site, row.volume)


def wanted(**given):
    return runbook.section("storage", given)


def mine(site):
    table = facts.volumes(site)
    return table[table["claim"].str.startswith(f"{WHERE}/")].reset_index(drop=True)


def sh(site, command, container="web"):
    return site.cluster.exec(f"{NAME}-0", ["sh", "-c", command], WHERE, container).stdout


def test_the_class_is_there_once_and_new_workspaces_use_it(site, spaces):
    assert not ensure_storage(site, wanted(retain_existing=False))
    table = mine(site)
    assert set(table["class"]) == {"runbook-retain"} and set(table.policy) == {"Retain"}
    assert all(f"/{WHERE}/" in path and path.endswith(name) for path, name in zip(table.path, table.volume))
    assert not workspaces.ensure_workspaces(site, spaces)


def test_use_is_measured_from_outside_and_from_inside(site, spaces):
    sh(site, "head -c 20000000 /dev/urandom > /workspace/big; sync")
    used, unseen = facts.used(site, mine(site))
    assert unseen == ""
    outside = facts.volumes(site, used).set_index("claim").loc[f"{WHERE}/{NAME}-workspace"]
    within = facts.inside(site, NAME, OWNER).set_index("use").loc["workspace"]
    assert outside.used >= 20_000_000 and abs(outside.used - within.used) < 1_000_000
    assert facts.over(facts.volumes(site, used), 0.25).claim.isin([f"{WHERE}/{NAME}-workspace"]).any()


def test_a_foreign_folder_is_found(site, spaces):
    folder = mine(site).set_index("use").loc["workspace"].path
    assert facts.ownership(site, mine(site))[0] == []
    before = os.stat(folder)
    try:
        os.chown(folder, 0, 0)
        os.chmod(folder, 0o755)
        assert facts.ownership(site, mine(site))[0] == [f"{WHERE}/{NAME}-workspace: {folder} is 0:0 755"]
    finally:
        os.chown(folder, before.st_uid, before.st_gid)
        os.chmod(folder, before.st_mode & 0o7777)


def test_local_path_cannot_grow_and_says_what_to_do(site, spaces):
    with pytest.raises(ParameterError, match="limits no size either"):
        grow(site, wanted(grow={f"{WHERE}/{NAME}-home": "64Mi"}))


def test_a_deleted_claim_leaves_its_data_and_is_given_back(site, spaces):
    sh(site, "echo treasure > /workspace/treasure")
    runbook.apply(workspaces.stop(site, NAME, OWNER), "apply")
    volume = mine(site).set_index("use").loc["workspace"].volume
    site.cluster.delete("PersistentVolumeClaim", f"{NAME}-workspace", WHERE)
    site.cluster.wait("PersistentVolume", volume, until=lambda v: v["status"]["phase"] == "Released", timeout=60, what="the volume to be released")
    assert list(facts.released(mine(site)).volume) == [volume]
    plan = released.take_back(site, wanted(take_back=[volume]))
    runbook.apply(plan, "apply")
    assert not released.take_back(site, wanted(take_back=[volume]))
    runbook.apply(workspaces.start(site, NAME, OWNER), "apply")
    assert sh(site, "cat /workspace/treasure") == "treasure\n"
    assert not workspaces.ensure_workspaces(site, spaces)  # the release finds its claim as it made it


def test_a_claim_made_anew_is_empty_and_the_old_volume_is_not_given_to_it(site, spaces):
    sh(site, "echo older > ~/older")
    runbook.apply(workspaces.stop(site, NAME, OWNER), "apply")
    claim = site.cluster.get("PersistentVolumeClaim", f"{NAME}-home", WHERE)
    site.cluster.delete("PersistentVolumeClaim", f"{NAME}-home", WHERE)
    old = claim["spec"]["volumeName"]
    site.cluster.wait("PersistentVolume", old, until=lambda v: v["status"]["phase"] == "Released", timeout=60, what="the volume to be released")
    runbook.apply(workspaces.ensure_workspaces(site, spaces), "apply")
    runbook.apply(workspaces.start(site, NAME, OWNER), "apply")
    assert sh(site, "ls ~") == ""
    with pytest.raises(ParameterError, match="has another volume now"):
        released.take_back(site, wanted(take_back=[old]))
    folder = facts.path_of(site.cluster.get("PersistentVolume", old))
    assert os.path.exists(f"{folder}/older")
    with pytest.raises(ParameterError, match="for good"):
        released.delete(site, wanted(delete=[old]), "")
    runbook.apply(released.delete(site, wanted(delete=[old]), "tests"), "apply")
    assert not os.path.exists(folder)
    with pytest.raises(ParameterError, match="in use"):
        released.delete(site, wanted(delete=[mine(site).set_index("use").loc["home"].volume]), "tests")


def test_the_facts_ask_as_often_for_fifty_workspaces_as_for_one(site, spaces):
    def asked():
        before = site.cluster.calls
        table = facts.volumes(site)
        facts.classes(site), facts.used(site, table), facts.orphans(site, table), facts.ownership(site, table), disks.below(site, facts.folder(site))
        backups.state(site, backup), backups.without_claims(site, backup)
        return site.cluster.calls - before, set(table["workspace"])

    backup = runbook.section("backup", {})
    few, _ = asked()
    where = namespace("stor3many")
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}})
    try:
        for number in range(50):  # stopped: what they are made of is there, nothing runs
            for obj in (claim("stor3many", f"w{number}", use, storage_class="runbook-retain") for use in ("workspace", "home", "database")):
                spec = {k: v for k, v in obj["spec"].items() if k != "volumeName"}
                metadata = {k: obj["metadata"][k] for k in ("name", "namespace", "labels")}
                site.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
            site.cluster.apply(stopped("stor3many", f"w{number}"))
        many, there = asked()
        assert many == few and {f"w{number}" for number in range(50)} <= there
    finally:
        site.cluster.delete("Namespace", where)


def stopped(owner, name):
    workspace = workload(owner, name)
    labels = workspace["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": workspace["spec"]["template"]["spec"]}
    return {"apiVersion": "apps/v1"} | workspace | {"spec": {"replicas": 0, "serviceName": name, "selector": {"matchLabels": labels}, "template": template}}


def test_a_claim_grows_where_the_class_says_so_and_something_does_it(site, spaces):
    """local-path grows nothing. The class is made to say that it can, and this test does what a provisioner's resizer would."""
    name, title = f"{NAME}-home", f"{WHERE}/{NAME}-home"
    grows = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "runbook-retain"}}
    site.cluster.patch("StorageClass", "runbook-retain", "", grows | {"allowVolumeExpansion": True})

    def resizer():
        asked = site.cluster.wait("PersistentVolumeClaim", name, WHERE, timeout=60, what="a larger size to be asked for",
                                  until=lambda c: c["spec"]["resources"]["requests"]["storage"] == "48Mi")
        volume, size = asked["spec"]["volumeName"], {"capacity": {"storage": "48Mi"}}
        site.cluster.patch("PersistentVolume", volume, "", {"spec": size})
        site.cluster.patch("PersistentVolumeClaim", f"{name}/status", WHERE, {"status": size})

    thread = threading.Thread(target=resizer, daemon=True)
    thread.start()
    try:
        runbook.apply(grow(site, wanted(grow={title: "48Mi"})), "apply")
        thread.join()
        assert not grow(site, wanted(grow={title: "48Mi"}))
        assert facts.volumes(site).set_index("claim").asked[title] == 48 * 2**20
        with pytest.raises(ParameterError, match="cannot shrink"):
            grow(site, wanted(grow={title: "16Mi"}))
    finally:
        site.cluster.patch("StorageClass", "runbook-retain", "", grows | {"allowVolumeExpansion": None})


@pytest.mark.root
def test_survival(site, spaces):
    proof = survival.Proof(site)
    runbook.apply(survival.prove(site, wanted(), spaces, proof), "apply")
    for trial in ("pod deleted", "stopped and started", "Helm upgrade", "database killed"):
        assert proof.not_shown(trial) == "" and proof.same(trial), trial
    assert proof.recovered() and proof.not_shown("kubelet restarted") == "storage.restart_kubelet names no command"
    with pytest.raises(WaitTimeout):
        site.cluster.wait("Namespace", namespace(survival.SCRATCH.owner), until=lambda n: n is not None, timeout=1, what="the scratch namespace, which is gone")


if os.environ.get("RUNBOOK_RESTART_KUBELET"):
    @pytest.mark.root
    @pytest.mark.parametrize("command, said", [(shlex.split(os.environ["RUNBOOK_RESTART_KUBELET"]), ""), (["true"], "the kubelet is the same process")])
    def test_survival_of_a_kubelet_restart(site, spaces, monkeypatch, command, said):
        for way in ("_delete_pod", "_stop_start", "_upgrade", "_kill_database"):
            monkeypatch.setattr(survival, way, lambda site, proof: {"why": "left out here"})
        proof = survival.Proof(site)
        runbook.apply(survival.prove(site, wanted(restart_kubelet=command), spaces, proof), "apply")
        assert said in proof.not_shown("kubelet restarted") if said else proof.not_shown("kubelet restarted") == ""
        assert said or proof.same("kubelet restarted")


class Ours:
    """The cluster as if nobody else's workspaces were on it: undo takes all that it sees."""

    def __init__(self, cluster):
        self._cluster = cluster

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def list(self, kind, namespace="", **more):
        def where(obj):
            return (obj["spec"].get("claimRef") or {}).get("namespace") if kind == "PersistentVolume" else obj["metadata"].get("namespace", WHERE)

        return [obj for obj in self._cluster.list(kind, namespace, **more) if where(obj) == WHERE]


def test_undo_leaves_nothing_of_the_step(site, spaces, monkeypatch):
    """With a class of its own, and only what is ours in view: others use the same cluster. Last, since it takes the workspace with it."""
    monkeypatch.setattr(site, "cluster", Ours(site.cluster))
    asked = wanted(class_name="runbook-stor3", retain_existing=False)
    runbook.apply(ensure_storage(site, asked), "apply")
    with pytest.raises(ParameterError, match=f"in use: {OWNER}/{NAME}"):
        refuse_in_use(site)
    folders = [path for path in mine(site).path]
    runbook.apply(workspaces.delete(site, NAME, OWNER, keep_data=True), "apply")
    refuse_in_use(site)
    assert all(map(os.path.exists, folders)) and len(mine(site)) == 3
    runbook.apply(undo(site, asked, delete_data=True), "apply")
    assert mine(site).empty and not any(map(os.path.exists, folders))
    assert site.cluster.get("StorageClass", "runbook-stor3") is None and not undo(site, asked, delete_data=True)
