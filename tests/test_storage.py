"""Step 03: what is observed of classes, volumes and the disk, and what the plans make of it."""

import json
import math

import pandas as pd
import pytest

import runbook
from runbook.errors import ParameterError
from runbook.facts import disks, storage as facts
from runbook.operations import released, survival
from runbook.operations.storage import LAYOUT, ensure_storage, grow, refuse_in_use, storage_class, undo
from storage_kit import CLASS, Host, claim, site, volume, workload, workspace


def wanted(**given):
    return runbook.section("storage", given)


def titles(plan):
    return [c.title for c in plan]


def test_volumes_name_their_owner_use_and_share():
    table = facts.volumes(site(workspace("alice", "demo")), {"/volumes/pvc-alice-demo-home": 2**29}).set_index("use")
    row = table.loc["home"]
    assert (row.owner, row.workspace, row.claim, row.policy, row.asked, row.used, row.share) == (
        "alice", "demo", "ws-alice/demo-home", "Delete", 2**30, 2**29, 0.5)
    assert math.isnan(table.loc["database"].used)


def test_a_released_volume_is_read_from_its_last_claim():
    table = facts.volumes(site([volume("alice", "my-demo", "home", phase="Released")]))
    assert tuple(table.loc[0, ["state", "owner", "workspace", "use"]]) == ("Released", "alice", "my-demo", "home")
    assert list(facts.released(table).volume) == ["pvc-alice-my-demo-home"]


def test_a_claim_made_anew_is_not_the_one_that_a_volume_had():
    objects = [volume("alice", "demo", "home", phase="Released", uid="an older one"), claim("alice", "demo", "home", phase="Pending")]
    table = facts.volumes(site(objects))
    assert sorted(table.state) == ["Pending", "Released"]


@pytest.mark.parametrize("phase, told", [("Lost", ["ws-alice/demo-home (Lost)"]), ("Pending", []), ("Bound", [])])
def test_lost_claims(phase, told):
    assert facts.lost(facts.volumes(site([claim("alice", "demo", "home", phase=phase)]))) == told


def test_orphans_are_claims_whose_workspace_is_gone():
    here = site([*workspace("alice", "demo"), claim("bob", "old", "home"), volume("bob", "old", "home"),
                 {"kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "other"},
                  "spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound"}}])
    assert list(facts.orphans(here, facts.volumes(here)).claim) == ["ws-bob/old-home"]
    assert facts.orphans(site(), facts.volumes(site())).empty


def test_shared_folders_and_use_over_the_share():
    here = site([volume("a", "x", "home", path="/v/1"), volume("a", "y", "home", path="/v/1/"), volume("a", "z", "home", path="/v/2")])
    table = facts.volumes(here, {"/v/2": 2**30})
    assert facts.shared_paths(table) == ["/v/1"]
    assert list(facts.over(table, 0.8).path) == ["/v/2"] and facts.over(table, 1.0).empty


def test_use_is_measured_on_the_node_only():
    table = facts.volumes(site(workspace("alice", "demo")))
    host = Host({"/volumes/pvc-alice-demo-home"}, {"du": "4096\t/volumes/pvc-alice-demo-home\n"})
    assert facts.used(site(host=host), table) == ({"/volumes/pvc-alice-demo-home": 4096}, "")
    assert facts.used(site(), table) == ({}, "the volumes do not lie on this host")


@pytest.mark.parametrize("owner, wrong", [("1000 1000 755", 0), ("0 1000 2775", 0), ("0 0 777", 0), ("0 0 755", 1), ("33 1000 755", 1), ("1000 0 555", 1)])
def test_folders_in_which_their_person_may_not_write(owner, wrong):
    path = "/volumes/pvc-alice-demo-home"
    here = site(workspace("alice", "demo"), Host({path}, {"stat": f"{owner} {path}\n"}))
    assert len(facts.ownership(here, facts.volumes(here))[0]) == wrong


def test_the_disk_is_read_in_bytes():
    host = Host({"/v"}, {"df": "Filesystem 1B-blocks Used Avail Inodes IFree\n/dev/vda 1000 400 500 100 25\n", "stat": "abc\n"})
    table, unseen = disks.below(site(host=host), "/v")
    assert unseen == "" and tuple(table.loc[0, ["device", "filesystem", "size", "used", "free", "inodes_free"]]) == ("/dev/vda", "abc", 1000, 400, 500, 0.25)
    assert disks.below(site(), "/v")[1] and disks.below(site(), "")[0].empty


def days_of(*used, free=100):
    return pd.DataFrame({"at": [f"2026-11-{1 + i:02d}T00:00:00+00:00" for i in range(len(used))], "used": used, "free": [free] * len(used)})


@pytest.mark.parametrize("used, days", [((10, 20), 10), ((10, 20, 30), 10), ((30, 30), math.inf), ((30, 20), math.inf)])
def test_the_day_on_which_the_disk_is_full(used, days):
    assert disks.forecast(days_of(*used)) == (days, "")


def test_the_outlook_tells_what_is_left_and_for_how_long():
    past = days_of(10, 20).assign(folder="/v", device="/dev/vda", size=2**30, inodes_free=0.5)
    told = lambda *forecast: disks.outlook(past, *forecast).value
    assert told(10, "")["full in"] == "10 days, at 0.00977 KiB a day" and told(math.inf, "")["full in"] == "it does not grow"
    assert told(math.nan, "needs a day")["full in"] == "needs a day" and disks.outlook(days_of(), math.nan, "").empty


@pytest.mark.parametrize("size, text", [(0, "0 KiB"), (2**20, "1 MiB"), (1.5 * 2**30, "1.5 GiB"), (2**40, "1024 GiB"), (math.nan, "")])
def test_sizes_for_the_eye(size, text):
    assert disks.size_text(size) == text


def test_volumes_for_the_eye():
    shown = facts.readable(facts.volumes(site(workspace("alice", "demo")), {"/volumes/pvc-alice-demo-home": 2**29}))
    assert list(shown.loc["ws-alice/demo-home", ["state", "asked", "used", "share"]]) == ["Bound", "1 GiB", "512 MiB", "50%"]
    assert shown.loc["ws-alice/demo-database", "used"] == "" and "days" in shown.age.iloc[0]


def test_no_forecast_without_a_day_of_past():
    assert "earlier run" in disks.forecast(days_of(1))[1] and "earlier run" in disks.forecast(days_of())[1]
    soon = pd.DataFrame({"at": ["2026-11-01T00:00:00+00:00", "2026-11-01T06:00:00+00:00"], "used": [1, 2], "free": [9, 9]})
    assert "6.0 hours" in disks.forecast(soon)[1]


def test_the_past_is_read_from_the_journal_of_this_site_only(tmp_path):
    def run(folder, name, target, at, used, filesystem="123"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "f.csv").write_text(f"at,folder,filesystem,used,free\n{at},/v,{filesystem},{used},9\n")
        (tmp_path / folder / "run.json").write_text(json.dumps({"name": name, "target": target, "steps": [{"figures": [
            {"name": disks.FIGURE, "csv": "f.csv"}, {"name": "another", "csv": "missing.csv"}]}]}))

    run("20261101T000000Z-a", "a", "local", "2026-11-01T00:00:00+00:00", 1)
    run("20261102T000000Z-b", "b", "local", "2026-11-02T00:00:00+00:00", 2)
    run("20261103T000000Z-c", "a", "rehearsal", "2026-11-03T00:00:00+00:00", 3)
    run("20261103T120000Z-c", "a", "local", "2026-11-03T12:00:00+00:00", 4, filesystem="of another disk")
    (tmp_path / "20261104T000000Z-d").mkdir()
    (tmp_path / "20261104T000000Z-d" / "run.json").write_text("{")
    now = pd.DataFrame({"at": ["2026-11-05T00:00:00+00:00"], "folder": ["/v"], "filesystem": ["123"], "used": [5], "free": [9]})
    assert list(disks.history(tmp_path, "a", now).used) == [1, 5]
    assert list(disks.history(tmp_path / "none", "a", now).used) == [5]


@pytest.mark.parametrize("count", [1, 50])
def test_the_facts_ask_as_often_for_fifty_workspaces_as_for_one(count):
    here = site([CLASS, *(o for i in range(count) for o in workspace(f"owner{i}", "demo"))])
    table = facts.volumes(here)
    facts.classes(here), facts.used(here, table), facts.orphans(here, table), facts.ownership(here, table), disks.below(here, facts.folder(here))
    assert len(table) == 3 * count and here.cluster.calls == 5


def test_our_class_keeps_data_in_a_folder_of_each_volume():
    ours = storage_class(wanted(), CLASS)
    assert (ours["reclaimPolicy"], ours["volumeBindingMode"], ours["parameters"]["pathPattern"]) == ("Retain", "WaitForFirstConsumer", LAYOUT)
    assert LAYOUT.startswith("{{ .PVC.Namespace }}/{{ .PVC.Name }}/") and ours["metadata"]["annotations"] == {"defaultVolumeType": "local"}


def test_another_provisioner_keeps_its_parameters_and_its_growth():
    ours = storage_class(wanted(), CLASS | {"provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}, "allowVolumeExpansion": True})
    assert ours["parameters"] == {"type": "gp3"} and ours["allowVolumeExpansion"] and "annotations" not in ours["metadata"]


def test_the_plan_makes_the_class_and_keeps_the_volumes_of_workspaces():
    other = {"kind": "PersistentVolume", "metadata": {"name": "pvc-of-somebody"}, "spec": {"capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Delete"}}
    here = site([CLASS, other, *workspace("alice", "demo")])
    assert titles(ensure_storage(here, wanted())) == ["create StorageClass runbook-retain", *(
        f"update PersistentVolume pvc-alice-demo-{use}" for use in ("database", "home", "workspace"))]
    assert titles(ensure_storage(here, wanted(retain_existing=False))) == ["create StorageClass runbook-retain"]


def test_what_is_as_wanted_is_no_change():
    ours = storage_class(wanted(), CLASS)
    assert not ensure_storage(site([CLASS, ours, volume("a", "x", "home", policy="Retain"), claim("a", "x", "home")]), wanted())


def test_the_default_class_stays_unless_asked():
    assert titles(ensure_storage(site([CLASS]), wanted(make_default=True))) == ["create StorageClass runbook-retain", "update StorageClass local-path"]


def test_a_class_that_cannot_become_ours_is_refused():
    theirs = storage_class(wanted(), CLASS) | {"reclaimPolicy": "Delete"}
    with pytest.raises(ParameterError, match="reclaimPolicy differ"):
        ensure_storage(site([CLASS, theirs]), wanted())
    with pytest.raises(ParameterError, match="no StorageClass"):
        ensure_storage(site(), wanted())


@pytest.mark.parametrize("size, grows, said", [
    ("2Gi", False, "limits no size either"), ("500Mi", True, "cannot shrink"), ("500Mi", False, "cannot shrink")])
def test_growth_that_cannot_be(size, grows, said):
    here = site([CLASS | {"allowVolumeExpansion": grows}, *workspace("alice", "demo")])
    with pytest.raises(ParameterError, match=said):
        grow(here, wanted(grow={"ws-alice/demo-home": size}))


def test_growth_where_the_class_can():
    here = site([CLASS | {"allowVolumeExpansion": True}, *workspace("alice", "demo")])
    plan = grow(here, wanted(grow={"ws-alice/demo-home": "2Gi", "ws-alice/demo-database": "1024Mi"}))
    assert titles(plan) == ["update PersistentVolumeClaim ws-alice/demo-home"] and plan.kept == 1
    plan.changes[0].perform()
    assert [d[0] for d in here.cluster.done] == ["patch", "wait"]
    with pytest.raises(ParameterError, match="there is none"):
        grow(here, wanted(grow={"ws-alice/no-home": "2Gi"}))


def test_a_released_volume_is_given_back_as_its_release_had_it():
    here = site([volume("alice", "demo", "home", phase="Released")])
    plan = released.take_back(here, wanted(take_back=["pvc-alice-demo-home"]))
    assert titles(plan) == ["update PersistentVolume pvc-alice-demo-home"] and not here.cluster.done
    plan.changes[0].perform()
    assert here.cluster.done[0][3]["spec"]["claimRef"]["uid"] is None
    assert here.cluster.done[1] == ("apply", "PersistentVolumeClaim", "demo-home", "ws-alice")
    made = released.claim_for(volume("alice", "demo", "home"), "alice", "demo", "home")
    assert made["metadata"]["annotations"]["meta.helm.sh/release-name"] == "demo" and made["spec"]["volumeName"] == "pvc-alice-demo-home"


def test_a_volume_in_use_is_given_back_already_and_another_claim_is_not_robbed():
    assert not released.take_back(site(workspace("alice", "demo")), wanted(take_back=["pvc-alice-demo-home"]))
    other = claim("alice", "demo", "home") | {"spec": claim("alice", "demo", "home")["spec"] | {"volumeName": "pvc-newer"}}
    with pytest.raises(ParameterError, match="has another volume now"):
        released.take_back(site([volume("alice", "demo", "home", phase="Released", uid="older"), other]), wanted(take_back=["pvc-alice-demo-home"]))
    with pytest.raises(ParameterError, match="there is none"):
        released.take_back(site(), wanted(take_back=["pvc-x"]))


def test_deleting_asks_for_the_typed_name_and_spares_what_is_in_use():
    here = site([*workspace("alice", "demo"), volume("bob", "old", "home", phase="Released")])
    assert titles(released.delete(here, wanted(delete=["pvc-bob-old-home"]), "")) == ["delete PersistentVolume pvc-bob-old-home"]
    here.mode = "apply"
    with pytest.raises(ParameterError, match="for good"):
        released.delete(here, wanted(delete=["pvc-bob-old-home"]), "there")
    assert released.delete(here, wanted(delete=["pvc-bob-old-home"]), "here")
    for name in ("pvc-alice-demo-home", "ws-alice/demo-home"):
        with pytest.raises(ParameterError, match="in use|not one without workspace"):
            released.delete(here, wanted(delete=[name]), "here")
    assert not released.delete(here, wanted(), "")
    assert not released.delete(here, wanted(delete=["pvc-gone", "ws-alice/gone"]), "here")


def test_a_folder_that_two_volumes_share_is_not_deleted():
    here = site([volume("a", "x", "home", phase="Released", path="/v/1"), volume("a", "y", "home", path="/v/1")])
    with pytest.raises(ParameterError, match="uses its folder"):
        released.delete(here, wanted(delete=["pvc-a-x-home"]), "here")


def test_an_orphan_claim_goes_with_its_volume():
    here = site([claim("bob", "old", "home"), volume("bob", "old", "home")])
    released.delete(here, wanted(delete=["ws-bob/old-home"]), "here").changes[0].perform()
    assert [d[:3] for d in here.cluster.done if d[0] != "wait"] == [("delete", "PersistentVolumeClaim", "old-home"), ("patch", "PersistentVolume", "pvc-bob-old-home")]


def test_undo_keeps_the_data_unless_asked():
    here = site([storage_class(wanted(), CLASS), *workspace("alice", "demo")])
    assert titles(undo(here, wanted())) == ["delete StorageClass runbook-retain"]
    plan = undo(here, wanted(), delete_data=True)
    assert len(plan) == 4
    plan.changes[0].perform()
    assert [d[:2] for d in here.cluster.done if d[0] != "wait"] == [("delete", "PersistentVolumeClaim"), ("patch", "PersistentVolume")]
    assert not undo(site(), wanted())


@pytest.mark.parametrize("going, using", [({"alice", "bob"}, None), ({"alice"}, "bob/shop"), ((), "alice/demo, bob/shop")])
def test_no_data_are_deleted_under_a_workspace(going, using):
    here = site([*workspace("alice", "demo"), *workspace("bob", "shop")])
    if using is None:
        return refuse_in_use(here, set(going))
    with pytest.raises(ParameterError, match=f"in use: {using}\n"):
        refuse_in_use(here, set(going))


def test_a_new_workspace_gets_our_class_and_one_with_volumes_keeps_theirs():
    ours = storage_class(wanted(), CLASS)
    assert facts.class_for_new(site([CLASS, ours]), "demo", "ws-alice") == "runbook-retain"
    assert facts.class_for_new(site([CLASS, ours, claim("alice", "demo", "home")]), "demo", "ws-alice") == "local-path"
    assert facts.class_for_new(site([CLASS]), "demo", "ws-alice") == ""


def proof(**found):
    here = site()
    here.shown = lambda *reasons: next(filter(None, reasons), "")
    seen = {"files": "h", "rows": "1\n2", "volumes": {"home": ("v", "id")}, "log": "InnoDB: Starting crash recovery", "why": "", "replayed": "", "seconds": 1.0}
    return survival.Proof(here, {"files": "h", "rows": "1", "volumes": {"home": ("v", "id")}}, {"database killed": seen | {"wanted": "1\n2"} | found})


def test_a_trial_compares_with_what_was_there_right_before_it():
    assert proof().same("database killed") and proof().recovered() and proof().not_shown("database killed") == ""
    assert not proof(rows="1").same("database killed") and not proof(files="x").same("database killed")
    assert not proof(volumes={"home": ("v", "another")}).same("database killed") and not proof(log="ready for connections").recovered()


def test_a_trial_that_was_not_made_shows_nothing():
    assert proof().not_shown("pod deleted") == "the trial was not made"
    assert proof(why="the pod does not run here").not_shown("database killed") == "the pod does not run here"
    assert list(proof(rows="1").table().set_index("trial").loc["database killed", ["files", "rows", "volumes"]]) == ["same", "differ", "same"]


def test_workload_is_no_volume():
    assert facts.volumes(site([workload("alice", "demo")])).empty
