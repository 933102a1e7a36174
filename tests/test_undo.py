"""Every step's undo leaves nothing of it, on the rehearsal; 99 does all of them, when it was told to."""

import hashlib
import re

import pytest
from claims import test_claims_91 as console
from claims.kit import SITE, Stage, Way, play

import runbook
from runbook import plans, rehearsal
from runbook.errors import ParameterError
from runbook.operations.k3s import INSTALLER
from runbook.operations.undo import UNDO, sections, undo, undo_all
from runbook.params import SECTIONS
from runbook.rehearsal.host import K3S, KUBECONFIG, RehearsalHost

SCRIPT = "#!/bin/sh\n"
INSTALL = {"target": "local", "k3s": {"version": "v1.36.2+k3s1", "installer_sha256": hashlib.sha256(SCRIPT.encode()).hexdigest()}}
#: What comes and goes by itself, or counts revisions.
MOVING = ("events", "leases", "endpointslices", "controllerrevisions", "replicasets", "pods", "podmetrics")
REVISION = re.compile(r"[.]v[0-9]+$")  #: of a Helm release's record
#: What an undo keeps on purpose, beside the data: who trusts the authority trusts it for longer; snapshots outlive everything.
KEPT_ALWAYS = {"20": {"secrets runbook-backup/backup-key", "namespaces /runbook-backup", "configmaps runbook-backup/kube-root-ca.crt",
                      "serviceaccounts runbook-backup/default"}}
#: The kinds in which data, and what opens them, are kept.
DATA = {"persistentvolumeclaims", "persistentvolumes", "secrets", "namespaces", "resourcequotas", "limitranges", "serviceaccounts", "configmaps"}


def bare(world):
    """A server without k3s, whose installer is there already."""
    world.patch.setattr(runbook, "connect", lambda target, *, name, kubeconfig, mode: rehearsal.connect(name, mode))
    with world.state.change() as data:
        for path in (K3S, KUBECONFIG, "/usr/local/bin/k3s-uninstall.sh"):
            del data["files"][path]
        data["files"][INSTALLER] = {"text": SCRIPT, "mode": 0o700, "time": ""}
    world.command(["getent", "hosts", "get.k3s.io"], stdout="203.0.113.1 get.k3s.io\n")
    world.command(["k3s", "--version"], stdout=f"k3s version {INSTALL['k3s']['version']}\n")
    noted = RehearsalHost._noted
    world.patch.setattr(RehearsalHost, "_noted", lambda host, argv: None if argv == ["k3s", "--version"] else noted(host, argv))
    world.answer("sockets", {"sockets": []})


#: How each step is applied; all but these need step 02 before, or nothing.
WAYS = {"01": Way(bare, given=INSTALL, trust=False), "02": Way(trust=False), "06": Way(trust=False),
        "91": console.TABLE.proven[0]}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def quick(monkeypatch):
    """No load is sent: it leaves nothing, and takes its time."""
    from runbook.performance import Measured

    monkeypatch.setattr("runbook.performance.measure", lambda site, wanted, name, stages, **more: Measured(name, why="not sent in this test"))


def snapshot(world):
    """Every object, file and running unit, by name."""
    data = world.state.read()
    names = {f"{kind} {REVISION.sub('', key)}" for kind, table in data["objects"].items()
             if kind.partition(".")[0] not in MOVING for key in table}
    units = {f"unit {name}" for name, unit in data["units"].items() if unit["ActiveState"] == "active" or unit["UnitFileState"] == "enabled"}
    return names | {f"file {path}" for path in data["files"]} | units


def kernel(world):
    """The rehearsal notes that a table is deleted; here it is gone from what nft lists, too."""
    change = RehearsalHost.change

    def changed(host, argv, **more):
        if argv[:3] == ["nft", "delete", "table"]:
            console.rules(world, None)
        return change(host, argv, **more)

    world.patch.setattr(RehearsalHost, "change", changed)


def wanted(given):
    return sections(**{name: (SITE | given).get(name, {}) for name in SECTIONS})


def take_back(step, given, delete_data):
    """The undo of a step, carried out; its titles."""
    site = rehearsal.connect(mode="apply")
    return plans.apply(undo(step, site, wanted(given), delete_data), "apply").changed


@pytest.mark.parametrize("delete_data", [False, True], ids=["data kept", "data deleted"])
@pytest.mark.parametrize("step", sorted(UNDO))
def test_undo_leaves_nothing_of_the_step(stage, tmp_path, monkeypatch, quick, step, delete_data):
    way = WAYS.get(step, Way(after=("02",), trust=False))
    world = stage.world(tmp_path, monkeypatch, way.after)
    way.prepare(world)
    kernel(world)
    before = snapshot(world)
    settled = play(step, world, Way(given=way.given, trust=False, at=way.at))
    assert not [c for c in settled if c["outcome"] == "refuted"]
    if step == "03" and delete_data:  # undone after step 02, whose claims hold its volumes
        take_back("02", way.given, True)
    applied = snapshot(world)
    assert applied - before, "the step left nothing to take back"
    assert take_back(step, way.given, delete_data)
    left = snapshot(world) - before - KEPT_ALWAYS.get(step, set())
    if delete_data:
        assert not left
    assert not {name for name in left if name.split(" ")[0] not in DATA}
    assert take_back(step, way.given, delete_data) == [], "a second undo finds something"


def test_data_are_not_deleted_under_workspaces_and_go_after_them(stage, tmp_path, monkeypatch):
    world = stage.world(tmp_path, monkeypatch, ("02", "03"))
    before = snapshot(world)
    with pytest.raises(ParameterError, match="alice/demo, bob/shop"):
        take_back("03", {}, True)
    assert snapshot(world) == before
    take_back("02", {}, False)
    assert take_back("03", {}, True)
    assert not {n for n in snapshot(world) if n.startswith(("persistentvolume", "storageclasses /runbook", "storageclasses runbook"))}


def test_data_are_kept_and_found_again(stage, tmp_path, monkeypatch):
    world = stage.world(tmp_path, monkeypatch, ("02",))
    volumes = {n for n in snapshot(world) if n.startswith("persistentvolume")}
    take_back("02", {}, False)
    assert {n for n in snapshot(world) if n.startswith("persistentvolume")} == volumes
    assert not [c for c in play("02", world, Way(trust=False)) if c["outcome"] == "refuted"]
    assert {n for n in snapshot(world) if n.startswith("persistentvolume")} == volumes


def test_claims_that_were_kept_keep_the_class_that_they_were_made_with(stage, tmp_path, monkeypatch):
    """Seen on the lab: a workspace made after step 03, taken back, and made again."""
    world = stage.world(tmp_path, monkeypatch, ("02", "03"))
    classes = []
    for delete_data in (True, False):
        take_back("02", {}, delete_data)
        assert not [c for c in play("02", world, Way(trust=False)) if c["outcome"] == "refuted"]
        classes.append({c["spec"]["storageClassName"] for c in rehearsal.connect().cluster.list("PersistentVolumeClaim", "ws-alice")})
    assert classes == [{"runbook-retain"}] * 2


def test_a_step_that_leaves_nothing_has_no_undo():
    with pytest.raises(ParameterError, match="step 00: it leaves nothing to undo"):
        undo("00", None, {})


# -- 99 ---------------------------------------------------------------------

ALL = ("02", "03", "05")


def test_the_teardown_lists_what_every_undo_lists(stage, tmp_path, monkeypatch):
    stage.world(tmp_path, monkeypatch, ALL)
    site = rehearsal.connect(mode="plan")
    listed = [c.title for c in undo_all(site, wanted({}))]
    assert listed == [c.title for step in UNDO for c in undo(step, site, wanted({}))]
    assert any("Release ws-alice/demo" in title for title in listed) and any("k3s-uninstall" in title for title in listed)


@pytest.mark.parametrize("given, mode", [({}, "plan"), ({}, "apply"), ({"confirm": "rehearsals"}, "apply"), ({"delete_data": True}, "apply")])
def test_the_teardown_changes_nothing_unless_the_name_was_typed(stage, tmp_path, monkeypatch, given, mode):
    world = stage.world(tmp_path, monkeypatch, ALL)
    before = snapshot(world)
    settled = play("99", world, Way(given=given, mode=mode, trust=False))
    assert (settled[-1]["outcome"] == "refuted") == (mode == "apply")
    assert snapshot(world) == before


@pytest.mark.parametrize("delete_data", [False, True])
def test_the_teardown_takes_data_only_when_asked(stage, tmp_path, monkeypatch, delete_data):
    world = stage.world(tmp_path, monkeypatch, ALL)
    seen = []

    def before_k3s_goes(world, names):  # with k3s the whole cluster goes, and its objects with it
        site = names["site"]
        for change in names["plan"]:
            if "k3s-uninstall" in change.name:
                break
            change.perform()
        seen.extend(site.cluster.list("PersistentVolume"))
        names["plan"] = undo_all(site, names["wanted"], delete_data)

    settled = play("99", world, Way(given={"confirm": "rehearsal", "delete_data": delete_data}, trust=False, at={"runbook.apply(plan": before_k3s_goes}))
    assert not [c for c in settled if c["outcome"] == "refuted"]
    assert bool(seen) != delete_data
    assert not {n for n in snapshot(world) if "/ws-" in n or " ws-" in n}
