"""Server-side apply: what is filled in, who owns what, what is removed."""

import json

import pytest

from runbook.errors import FieldConflict, Invalid
from runbook.plans import diff
from . import things
from .conftest import RECORDED

#: Chosen anew by every cluster.
CHANCE = ("clusterIP", "nodePort", "kube-api-access", "controller-uid", "volumeName", "ingressClassName")
#: Later than pods, on which it acts.
LAST = ("LimitRange", "ResourceQuota")
ZOO = json.loads((RECORDED.parent / "zoo-applied.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def nothing_left_of_the_cluster_wide_ones(cluster, place):
    yield
    for name in sorted(ZOO["objects"]):
        asked = moved(ZOO["objects"][name]["asked"], place)
        if "namespace" not in asked["metadata"] and asked["kind"] != "Namespace":
            cluster.delete(f"{asked['apiVersion']}/{asked['kind']}", asked["metadata"]["name"])


def differences(a, b):
    return [str(f) for f in diff(a, b) if not any(c in text for c in CHANCE for text in (f.path, str(f.before), str(f.after)))]


def moved(obj, namespace):
    """A recorded object in the namespace of this test."""
    return json.loads(json.dumps(obj).replace("ct-zoo", namespace))


@pytest.mark.parametrize("name", sorted(ZOO["objects"], key=lambda n: (n.startswith(LAST), n)))
def test_every_kind_comes_back_as_the_recorded_server_gave_it(cluster, place, name):
    asked, given = (moved(ZOO["objects"][name][k], place) for k in ("asked", "given"))
    if asked["kind"] == "Namespace":
        asked["metadata"]["name"] = given["metadata"]["name"] = place
    planned = cluster.apply(asked, dry_run=True)
    made = cluster.apply(asked)
    assert differences(given, made) == []
    assert differences(planned, made) == []


@pytest.mark.parametrize("name", sorted(n for n, o in ZOO["objects"].items() if o["asked"]["metadata"].get("namespace")))
def test_a_second_apply_finds_nothing_to_do(cluster, place, name):
    asked = moved(ZOO["objects"][name]["asked"], place)
    kind, where = f"{asked['apiVersion']}/{asked['kind']}", asked["metadata"]["namespace"]
    cluster.apply(asked)
    again = cluster.apply(asked, dry_run=True)
    assert diff(cluster.get(kind, asked["metadata"]["name"], where), again) == ()


def test_a_dry_run_writes_nothing(cluster, place):
    assert cluster.apply(things.config(place, "dry", a="1"), dry_run=True)["data"] == {"a": "1"}
    assert cluster.get("ConfigMap", "dry", place) is None
    cluster.apply(things.config(place, "dry", a="1"))
    cluster.apply(things.config(place, "dry", a="2"), dry_run=True)
    assert cluster.get("ConfigMap", "dry", place)["data"] == {"a": "1"}


def test_the_same_again_makes_no_new_version(cluster, place):
    first = cluster.apply(things.config(place, "same", a="1"))
    assert cluster.apply(things.config(place, "same", a="1"))["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_field_that_is_no_longer_applied_goes(cluster, place):
    cluster.apply(things.config(place, "less", a="1", b="2"))
    assert cluster.apply(things.config(place, "less", a="1"))["data"] == {"a": "1"}
    web = things.deployment(place, "less", containers=[things.container(readinessProbe={"tcpSocket": {"port": 80}}, env=[{"name": "A", "value": "1"}])])
    cluster.apply(web)
    bare = cluster.apply(things.deployment(place, "less"), dry_run=True)["spec"]["template"]["spec"]["containers"][0]
    assert "readinessProbe" not in bare and "env" not in bare


@pytest.mark.parametrize("first", [{"labels": {"a": "1"}}, {"annotations": {"a": "1"}}, {"labels": {"a": "1"}, "annotations": {"b": "2"}}, {}],
                         ids=["labels", "annotations", "both", "nothing of it"])
def test_an_object_keeps_its_name_when_all_that_was_applied_to_its_metadata_goes(cluster, place, first):
    bare = things.config(place, "bare", a="1")
    made = cluster.apply({**bare, "metadata": bare["metadata"] | first})
    left = cluster.apply(bare)
    assert {k: left["metadata"].get(k) for k in ("name", "namespace", "uid", "creationTimestamp", "labels", "annotations")} == {
        **{k: made["metadata"][k] for k in ("name", "namespace", "uid", "creationTimestamp")}, "labels": None, "annotations": None}
    assert cluster.get("ConfigMap", "bare", place)["data"] == {"a": "1"}


def test_what_another_manager_applied_stays(cluster, place):
    cluster.apply(things.config(place, "shared", a="1"))
    cluster.apply(things.config(place, "shared", b="2"), manager="other")
    assert cluster.apply(things.config(place, "shared", a="3"))["data"] == {"a": "3", "b": "2"}
    assert cluster.apply(things.config(place, "shared"), manager="other")["data"] == {"a": "3"}


def test_a_claim_whose_class_is_no_longer_named_is_refused_and_a_defaulted_one_is_not(cluster, place):
    """The class that a manager named is taken out with its field; the one that the server filled in is nobody's."""
    cluster.apply(things.claim(place, "named", storageClassName="local-path"))
    with pytest.raises(Invalid, match="spec is immutable after creation"):
        cluster.apply(things.claim(place, "named"))
    made = cluster.apply(things.claim(place, "defaulted"))
    assert cluster.apply(things.claim(place, "defaulted"))["spec"] == made["spec"]
    named = cluster.apply(things.claim(place, "defaulted", storageClassName=made["spec"]["storageClassName"]))
    assert named["spec"] == made["spec"]


def test_a_conflict_names_field_and_owner(cluster, place):
    cluster.apply(things.config(place, "owned", a="1", b="1"))
    with pytest.raises(FieldConflict) as caught:
        cluster.apply(things.config(place, "owned", a="2", b="1"), manager="other")
    assert str(caught.value).splitlines()[1] == '  .data.a: conflict with "runbook"'
    assert cluster.get("ConfigMap", "owned", place)["data"]["a"] == "1"


def test_a_value_that_both_want_is_no_conflict(cluster, place):
    cluster.apply(things.config(place, "agreed", a="1"))
    cluster.apply(things.config(place, "agreed", a="1"), manager="other")
    assert cluster.apply(things.config(place, "agreed"))["data"] == {"a": "1"}


def test_force_takes_the_field_over(cluster, place):
    cluster.apply(things.config(place, "forced", a="1"))
    assert cluster.apply(things.config(place, "forced", a="2"), manager="other", force=True)["data"] == {"a": "2"}
    with pytest.raises(FieldConflict, match='conflict with "other"'):
        cluster.apply(things.config(place, "forced", a="1"))


def test_a_patch_takes_the_field_over(cluster, place):
    cluster.apply(things.config(place, "patched", a="1", b="1"))
    assert cluster.patch("ConfigMap", "patched", place, {"data": {"a": "2", "b": None}})["data"] == {"a": "2"}
    with pytest.raises(FieldConflict, match='.data.a: conflict with "runbook" using v1'):
        cluster.apply(things.config(place, "patched", a="1"))


def test_a_list_item_has_an_owner(cluster, place):
    cluster.apply(things.deployment(place, "listed", replicas=0, containers=[things.container(env=[{"name": "A", "value": "1"}])]))
    wanted = things.deployment(place, "listed", replicas=0, containers=[{"name": "main", "env": [{"name": "A", "value": "2"}]}])
    with pytest.raises(FieldConflict) as caught:
        cluster.apply(wanted, manager="other", dry_run=True)
    assert '.spec.template.spec.containers[name="main"].env[name="A"].value: conflict with "runbook"' in str(caught.value)


def test_scaling_owns_the_replicas(cluster, place):
    cluster.apply(things.deployment(place, "scaled", replicas=0))
    cluster.scale("Deployment", "scaled", place, 1)
    assert cluster.get("Deployment", "scaled", place)["spec"]["replicas"] == 1
    with pytest.raises(FieldConflict, match='.spec.replicas: conflict with "runbook" with subresource "scale" using apps/v1'):
        cluster.apply(things.deployment(place, "scaled", replicas=0))


def test_scaling_as_a_dry_run(cluster, place):
    cluster.apply(things.deployment(place, "unscaled", replicas=0))
    cluster.scale("Deployment", "unscaled", place, 5, dry_run=True)
    assert cluster.get("Deployment", "unscaled", place)["spec"]["replicas"] == 0


def test_stringdata_becomes_data(cluster, place):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": things.meta("word", place), "stringData": {"a": "open sesame"}}
    assert cluster.apply(secret)["data"] == {"a": "b3BlbiBzZXNhbWU="}


def test_limits_of_the_namespace_are_given_and_noted(cluster, place):
    cluster.apply(moved(ZOO["objects"]["LimitRange/limits"]["asked"], place))
    cluster.delete("LimitRange", "rich", place)
    cluster.delete("ResourceQuota", "quantities", place)
    made = cluster.apply(things.pod(place, "limited"), dry_run=True)
    assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "128Mi"}}
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container main; memory limit for container main")
