"""Helm on both: the real one over its SDK, and what stands in for it on the rehearsal."""

import os

import pytest

from runbook.errors import ReleaseFailed
from runbook.helm import Helm
from runbook.rehearsal import RehearsalRunner

from .things import wait_ready

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: thing\nversion: 0.1.0\n",
    "values.yaml": "word: one\nextra: true\nimage: busybox:1.36\n",
    "templates/all.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {word: "{{ .Values.word }}"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: "{{ .Release.Name }}", annotations: {helm.sh/resource-policy: keep}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-extra"}
{{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}", app.kubernetes.io/instance: "{{ .Release.Name }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "{{ .Values.image }}", command: [sleep, "3600"], volumeMounts: [{name: v, mountPath: /v}]}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: "{{ .Release.Name }}"}}]
""",
}
BAD = {"image": "registry.invalid/none:1"}


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charts") / "thing"
    for name, text in CHART.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def helm(cluster):
    if cluster.replayed:
        return Helm(cluster, RehearsalRunner(cluster))
    from runbook.helm.sdk import SdkRunner

    return Helm(cluster, SdkRunner(os.environ["KUBECONFIG"]))


def revisions(cluster, place, name):
    """The revisions of a release with their states, as Helm keeps them."""
    found = cluster.list("Secret", place, selector=f"owner=helm,name={name}")
    return {int(s["metadata"]["labels"]["version"]): s["metadata"]["labels"]["status"] for s in found}


def managers(cluster, kind, name, place):
    return {(e["manager"], e["operation"]) for e in cluster.get(kind, name, place)["metadata"]["managedFields"] if "f:spec" in e["fieldsV1"] or "f:data" in e["fieldsV1"]}


def test_a_release_from_its_birth_to_its_end(cluster, helm, chart, place):
    helm.ensure(chart, "life", place, {}).perform()
    assert helm.ensure(chart, "life", place, {}) is None
    release = helm.release("life", place)
    assert (release.revision, release.status, release.chart, release.chart_version, release.values) == (1, "deployed", "thing", "0.1.0", {})
    assert {(o["kind"], o["metadata"]["name"]) for o in release.objects()} == {
        ("ConfigMap", "life"), ("ConfigMap", "life-extra"), ("PersistentVolumeClaim", "life"), ("Deployment", "life")}
    assert managers(cluster, "ConfigMap", "life", place) == {("helm", "Apply")}
    labels = cluster.get("ConfigMap", "life", place)["metadata"]
    assert labels["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert labels["annotations"] == {"meta.helm.sh/release-name": "life", "meta.helm.sh/release-namespace": place}
    wait_ready(cluster, "Deployment", "life", place)

    helm.ensure(chart, "life", place, {"word": "two", "extra": False}).perform()
    assert cluster.get("ConfigMap", "life", place)["data"] == {"word": "two"}
    assert cluster.get("ConfigMap", "life-extra", place) is None
    assert revisions(cluster, place, "life") == {1: "superseded", 2: "deployed"}
    assert helm.release("life", place).values == {"word": "two", "extra": False}

    helm.remove("life", place).perform()
    assert revisions(cluster, place, "life") == {} and helm.release("life", place) is None and helm.remove("life", place) is None
    assert cluster.get("Deployment", "life", place) is None and cluster.get("ConfigMap", "life", place) is None
    assert cluster.get("PersistentVolumeClaim", "life", place), "what the chart keeps stays"


def test_what_drifted_is_brought_back(cluster, helm, chart, place):
    helm.ensure(chart, "drift", place, {"word": "mine"}).perform()
    cluster.delete("ConfigMap", "drift", place)
    change = helm.ensure(chart, "drift", place, {"word": "mine"})
    assert [p.title for p in change.parts][:1] == [f"create ConfigMap {place}/drift"]
    change.perform()
    assert cluster.get("ConfigMap", "drift", place)["data"] == {"word": "mine"}


def test_a_first_install_that_fails_leaves_no_release(cluster, helm, chart, place):
    with pytest.raises(ReleaseFailed) as failed:
        helm.ensure(chart, "stillborn", place, BAD, timeout=8).perform()
    assert not cluster.replayed or "Deployment stillborn is not ready: 0/1" in str(failed.value)
    assert revisions(cluster, place, "stillborn") == {} and cluster.get("Deployment", "stillborn", place) is None


def test_an_upgrade_that_fails_is_rolled_back(cluster, helm, chart, place):
    helm.ensure(chart, "back", place, {"word": "good"}).perform()
    with pytest.raises(ReleaseFailed):
        helm.ensure(chart, "back", place, {"word": "bad", **BAD}, timeout=8).perform()
    assert revisions(cluster, place, "back") == {1: "superseded", 2: "failed", 3: "deployed"}
    assert cluster.get("ConfigMap", "back", place)["data"] == {"word": "good"}
    assert cluster.get("Deployment", "back", place)["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox:1.36"
    assert helm.ensure(chart, "back", place, {"word": "good"}) is None


def test_one_that_settles_by_itself_is_taken_back_by_what_it_raises(cluster, helm, chart, place):
    def unsettled():
        raise ReleaseFailed("it does not settle")

    helm.ensure(chart, "self", place, BAD, settle=lambda: None).perform()
    assert revisions(cluster, place, "self") == {1: "deployed"}
    with pytest.raises(ReleaseFailed, match="it does not settle"):
        helm.ensure(chart, "self", place, {"word": "new", **BAD}, settle=unsettled).perform()
    assert revisions(cluster, place, "self") == {1: "superseded", 2: "superseded", 3: "deployed"}
    assert cluster.get("ConfigMap", "self", place)["data"] == {"word": "one"}


def test_an_object_that_the_server_refuses_fails_the_release(cluster, helm, chart, place, tmp_path):
    import shutil

    bad = shutil.copytree(chart, tmp_path / "bad")
    (bad / "templates" / "quota.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: taken}\nspec: {clusterIP: 192.0.2.1, ports: [{port: 80}]}\n")
    with pytest.raises(Exception, match="192.0.2.1"):
        helm.ensure(bad, "refused", place, {}, timeout=20).perform()
