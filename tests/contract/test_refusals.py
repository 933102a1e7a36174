"""What the API server refuses, and its words."""

import copy
import json
import secrets

import pytest

from runbook.cluster.transport import ApiFailure
from runbook.errors import Forbidden, Invalid, NotFound
from . import things
from .conftest import RECORDED
from .things import told

APPLY = "application/apply-patch+yaml"


def changed(obj, **paths):
    """A copy with some fields set; ``__`` separates the keys: ``spec__serviceName="x"``."""
    out = copy.deepcopy(obj)
    for path, value in paths.items():
        *keys, last = path.split("__")
        inner = out
        for key in keys:
            inner = inner[int(key) if key.isdigit() else key]
        inner[last] = value
    return out


def refusal(transport, obj, path=None):
    """The status and message of an apply that must fail."""
    resource = transport.resource(f"{obj['apiVersion']}/{obj['kind']}")
    with pytest.raises(ApiFailure) as caught:
        transport.request("PATCH", path or resource.path(obj["metadata"]["name"], obj["metadata"].get("namespace", "")),
                          {"fieldManager": "runbook", "dryRun": "All", "force": "true"}, obj, APPLY)
    return caught.value.status, caught.value.message


@pytest.fixture(scope="module")
def there(cluster, place):
    """Objects to change in vain."""
    made = {"sts": things.statefulset(place, "keep", replicas=0), "deploy": things.deployment(place, "keep", replicas=0), "claim": things.claim(place, "keep"),
            "service": things.service(place, "keep"), "config": things.config(place, "keep", a="1"), "pod": things.pod(place, "keep")}
    for obj in made.values():
        cluster.apply(obj)
    return made


STS = ("StatefulSet.apps \"keep\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
       "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
CASES = {
    "service name of a StatefulSet": ("sts", {"spec__serviceName": "other"}, 422, STS),
    "claim of a StatefulSet": ("sts", {"spec__volumeClaimTemplates__0__spec__resources__requests__storage": "1Gi"}, 422, STS),
    "selector of a Deployment": ("deploy", {"spec__selector": {"matchLabels": {"app": "x"}}, "spec__template__metadata__labels": {"app": "keep"}}, 422,
                                 "Deployment.apps \"keep\" is invalid: "),
    "cluster IP of a Service": ("service", {"spec__clusterIP": "10.43.0.99"}, 422,
                                "Service \"keep\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.43.0.99\"]: may not change once set"),
    "a claim that is not bound and shall grow": ("claim", {"spec__resources__requests__storage": "1Gi"}, 422,
                                                 "PersistentVolumeClaim \"keep\" is invalid: spec: Forbidden: spec is immutable after creation except "),
    "mode of a claim": ("claim", {"spec__accessModes": ["ReadWriteMany"]}, 422,
                        "PersistentVolumeClaim \"keep\" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and "
                        "volumeAttributesClassName for bound claims"),
    "command of a pod": ("pod", {"spec__containers__0__command": ["true"]}, 422,
                         "Pod \"keep\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"),
    "unknown field": ("config", {"bogus": 1}, 500, ": .bogus: field not declared in schema"),
    "unknown field deep inside": ("deploy", {"spec__replicaz": 1}, 500, ": .spec.replicaz: field not declared in schema"),
    "unknown field of a list item": ("deploy", {"spec__template__spec__containers__0__imagee": "x"}, 500, ": field not declared in schema"),
    "text for a truth": ("deploy", {"spec__paused": "yes"}, 500, ": .spec.paused: expected boolean, got &{yes}"),
    "text for a number": ("deploy", {"spec__replicas": "two"}, 500, ": .spec.replicas: expected numeric (int or float), got string"),
    "a number for text": ("config", {"data": {"a": 1}}, 500, ": .data.a: expected string, got &value.valueUnstructured{Value:1}"),
}


def test_a_misspelt_field_is_invalid_for_the_caller_at_once(cluster, there):
    before = cluster.calls
    with pytest.raises(Invalid, match=".spec.replicaz: field not declared in schema"):
        cluster.apply(changed(there["deploy"], spec__replicaz=1))
    assert cluster.calls == before + 1


@pytest.mark.parametrize("case", CASES)
def test_a_change_that_is_refused(transport, there, case):
    what, change, status, words = CASES[case]
    found = refusal(transport, changed(there[what], **change))
    assert found[0] == status
    assert words in found[1]


def test_a_template_without_containers(transport, place):
    obj = things.deployment(place, "empty")
    del obj["spec"]["template"]["spec"]["containers"]
    assert refusal(transport, obj) == (422, 'Deployment.apps "empty" is invalid: spec.template.spec.containers: Required value')


def test_labels_that_the_selector_does_not_match(transport, place):
    obj = changed(things.deployment(place, "astray"), spec__template__metadata__labels={"app": "y"})
    assert refusal(transport, obj) == (422, 'Deployment.apps "astray" is invalid: spec.template.metadata.labels: Invalid value: {"app":"y"}: '
                                            "`selector` does not match template `labels`")


def test_a_bad_name(transport, place):
    status, message = refusal(transport, things.config(place, "Bad_Name"))
    assert status == 422 and message.startswith('ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain')


def test_another_name_than_the_path(transport, place):
    resource = transport.resource("ConfigMap")
    found = refusal(transport, things.config(place, "x"), resource.path("y", place))
    assert found == (400, "the name of the object (x) does not match the name on the URL (y)")


def test_an_old_version(transport, there, place):
    found = refusal(transport, changed(there["config"], metadata__resourceVersion="1"))
    assert found == (409, 'Operation cannot be fulfilled on configmaps "keep": the object has been modified; please apply your changes to the latest '
                          "version and try again")


def test_a_namespace_that_is_not_there(cluster, transport):
    assert refusal(transport, things.config("ct-nowhere")) == (404, 'namespaces "ct-nowhere" not found')
    with pytest.raises(NotFound, match='namespaces "ct-nowhere" not found'):
        cluster.apply(things.config("ct-nowhere"))
    assert cluster.list("ConfigMap", "ct-nowhere") == []
    assert cluster.get("ConfigMap", "x", "ct-nowhere") is None


def test_an_unknown_kind(cluster):
    with pytest.raises(NotFound, match="serves no kind Gizmo"):
        cluster.list("Gizmo")
    with pytest.raises(NotFound, match="serves no kind Gizmo"):
        cluster.apply({"apiVersion": "example.org/v1", "kind": "Gizmo", "metadata": {"name": "x"}})


def test_an_invalid_object_is_invalid_for_the_caller(cluster, place):
    with pytest.raises(Invalid, match="Required value"):
        cluster.apply(changed(things.deployment(place, "empty"), spec__template__spec={"containers": []}))


def test_deleting_what_is_not_there(cluster, place):
    cluster.delete("ConfigMap", "none", place)
    with pytest.raises(NotFound, match='configmaps "none" not found'):
        cluster.delete("ConfigMap", "none", place, missing_ok=False)


def test_a_dry_delete_deletes_nothing(cluster, there, place):
    cluster.delete("ConfigMap", "keep", place, dry_run=True)
    assert cluster.get("ConfigMap", "keep", place)


def test_patching_and_scaling_what_is_not_there(cluster, place):
    with pytest.raises(NotFound, match='configmaps "none" not found'):
        cluster.patch("ConfigMap", "none", place, {"data": {"a": "1"}})
    with pytest.raises(NotFound, match='statefulsets.apps "none" not found'):
        cluster.scale("StatefulSet", "none", place, 1)


def test_selectors_that_are_none(cluster, place):
    with pytest.raises(Invalid, match="unable to parse requirement"):
        cluster.list("Pod", place, selector="a=(b")
    with pytest.raises(Invalid, match="field label not supported: spec.bogus"):
        cluster.list("Pod", place, fields="spec.bogus=1")
    with pytest.raises(Invalid, match='"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"'):
        cluster.list("ConfigMap", place, fields="data.a=1")


def test_more_than_a_quota_allows(cluster, place):
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": things.meta("tight", place), "spec": {"hard": {"requests.cpu": "1"}}})
    cluster.wait("ResourceQuota", "tight", place, until=lambda o: o["status"].get("used"), timeout=30, what="the quota to be counted")
    big = things.pod(place, "big", [things.container(resources={"requests": {"cpu": "2"}})])
    with pytest.raises(Forbidden, match='pods "big" is forbidden: exceeded quota: tight, requested: requests.cpu=2, used: requests.cpu=0, limited: requests.cpu=1'):
        cluster.apply(big)
    cluster.delete("ResourceQuota", "tight", place)


def test_a_namespace_that_must_stay(cluster):
    with pytest.raises(Forbidden, match='namespaces "kube-system" is forbidden: this namespace may not be deleted'):
        cluster.delete("Namespace", "kube-system", dry_run=True)


SECURITY = json.loads((RECORDED.parent / "podsecurity.json").read_text())["cases"]


@pytest.fixture(scope="module", params=["baseline", "restricted"])
def guarded(request, cluster):
    name = f"ct-{request.param}-{secrets.token_hex(2)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": request.param}}})
    cluster.wait("ServiceAccount", "default", name, until=bool, timeout=30, what="the account of the namespace")
    yield name, request.param
    cluster.delete("Namespace", name)


def test_pods_that_a_security_level_forbids(transport, guarded):
    """All recorded cases of a level: the answers differ in nothing."""
    place, level = guarded
    found, wanted = {}, {}
    for case in (c for c in SECURITY if c["level"] == level):
        wanted[case["case"]] = case["answer"]
        try:
            transport.request("POST", f"/api/v1/namespaces/{place}/pods", {"dryRun": "All"},
                              {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": case["spec"]})
            found[case["case"]] = ""
        except ApiFailure as refusal:
            found[case["case"]] = refusal.message
    assert found == wanted


@pytest.mark.parametrize("kind, words", [
    ("StatefulSet", 'Create Pod {name}-0 in StatefulSet {name} failed error: pods "{name}-0" is forbidden: violates PodSecurity "baseline:latest": privileged '),
    ("DaemonSet", 'Error creating: pods "{name}-'), ("Job", 'Error creating: pods "{name}-')])
def test_a_controller_tells_that_its_pods_are_refused(cluster, guarded, kind, words):
    place, level = guarded
    if level != "baseline":
        return
    name = kind.lower()
    bad = [things.container(securityContext={"privileged": True})]
    obj = {**things.deployment(place, name, containers=bad), "kind": kind}
    if kind == "Job":
        obj = {"apiVersion": "batch/v1", "kind": kind, "metadata": things.meta(name, place), "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": bad}}}}
    if kind == "DaemonSet":
        del obj["spec"]["replicas"]
    cluster.apply(obj)
    told(cluster, place, f"{kind}/{name}", "Warning", "FailedCreate", words.format(name=name))
    assert cluster.list("Pod", place, selector=f"app={name}") == []


@pytest.mark.parametrize("resources, words", [
    ({}, 'pods "q" is forbidden: failed quota: firm: must specify limits.memory for: main; requests.cpu for: main'),
    ({"requests": {"cpu": "3"}, "limits": {"memory": "2Gi"}}, 'pods "q" is forbidden: exceeded quota: firm, requested: limits.memory=2Gi,requests.cpu=3, '
     "used: limits.memory=0,requests.cpu=0, limited: limits.memory=1Gi,requests.cpu=1")])
def test_a_quota_says_what_is_missing_or_too_much(cluster, resources, words):
    place = f"ct-quota-{secrets.token_hex(2)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
    cluster.wait("ServiceAccount", "default", place, until=bool, timeout=30, what="the account of the namespace")
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": things.meta("firm", place), "spec": {
        "hard": {"requests.cpu": "1", "limits.memory": "1Gi", "requests.storage": "100Mi"}}})
    cluster.wait("ResourceQuota", "firm", place, until=lambda o: o["status"].get("used"), timeout=30, what="the quota to be counted")
    with pytest.raises(Forbidden) as caught:
        cluster.apply(things.pod(place, "q", [things.container(resources=resources)]))
    assert words in str(caught.value)
    with pytest.raises(Forbidden, match='persistentvolumeclaims "big" is forbidden: exceeded quota: firm, requested: requests.storage=1Gi, used: '
                                        "requests.storage=0, limited: requests.storage=100Mi"):
        cluster.apply(things.claim(place, "big", "1Gi"))
    cluster.delete("Namespace", place)
