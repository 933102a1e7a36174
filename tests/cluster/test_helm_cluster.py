"""Releases on a real cluster: failed ones taken back with their reason, killed ones recovered, drift and conflicts seen."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from runbook import connect
from runbook.errors import FieldConflict, ReleaseFailed
from runbook.plans import apply, plan_of

pytestmark = pytest.mark.cluster
SPACE = "helm-test"
GOOD = {"image": "docker.io/library/busybox:1.36", "greeting": "hello"}
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {greeting: {{ .Values.greeting | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
spec:
  selector: {matchLabels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: {{ .Values.image | quote }}, imagePullPolicy: IfNotPresent, command: [sleep, "3600"]}]
"""


@pytest.fixture(scope="module")
def site():
    site = connect("local", name="helm", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    site.cluster.delete("Namespace", SPACE)
    site.cluster.wait("Namespace", SPACE, until=lambda o: o is None, timeout=60, what="the last run's namespace to go")
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    yield site
    site.cluster.delete("Namespace", SPACE)


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chart") / "tiny"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE)
    return folder


def ensure(site, chart, name, timeout=60, **values):
    return plan_of([site.helm.ensure(chart, name, SPACE, {**GOOD, **values}, timeout=timeout)])


def test_install_upgrade_nothing_and_uninstall(site, chart):
    apply(ensure(site, chart, "life"), "apply")
    assert not ensure(site, chart, "life")
    plan = ensure(site, chart, "life", greeting="bonjour")
    assert "data.greeting: hello → bonjour" in str(plan)
    apply(plan, "apply")
    assert site.helm.release("life", SPACE).revision == 2
    assert site.cluster.get("ConfigMap", "life", SPACE)["data"]["greeting"] == "bonjour"
    apply(plan_of([site.helm.remove("life", SPACE)]), "apply")
    assert site.cluster.get("Deployment", "life", SPACE) is None and site.helm.remove("life", SPACE) is None


def test_fields_are_helms_whoever_calls_it(site, chart):
    apply(ensure(site, chart, "owner"), "apply")
    managers = {m["manager"] for m in site.cluster.get("ConfigMap", "owner", SPACE)["metadata"]["managedFields"]}
    assert managers == {"helm"}


def test_drift_is_seen_and_mended(site, chart):
    apply(ensure(site, chart, "drift"), "apply")
    site.cluster.delete("ConfigMap", "drift", SPACE)
    plan = ensure(site, chart, "drift")
    assert "create ConfigMap helm-test/drift" in str(plan)
    apply(plan, "apply")
    assert site.cluster.get("ConfigMap", "drift", SPACE) and not ensure(site, chart, "drift")


def test_a_field_that_another_owns_is_named_with_its_owner(site, chart):
    apply(ensure(site, chart, "conflict"), "apply")
    site.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conflict", "namespace": SPACE}, "data": {"greeting": "mine"}},
                       force=True, manager="somebody")
    with pytest.raises(FieldConflict, match=r'data\.greeting(.|\n)*"somebody"'):
        ensure(site, chart, "conflict")


def test_a_failed_install_is_taken_back_with_its_reason(site, chart):
    with pytest.raises(ReleaseFailed) as failed:
        apply(ensure(site, chart, "broken", timeout=12, image="docker.io/library/no-such-image:1"), "apply")
    assert "no-such-image:1" in str(failed.value) and "Pull" in str(failed.value)
    assert site.helm.release("broken", SPACE) is None and site.cluster.get("Deployment", "broken", SPACE) is None


def test_a_failed_upgrade_is_rolled_back(site, chart):
    apply(ensure(site, chart, "upgrade"), "apply")
    with pytest.raises(ReleaseFailed):
        apply(ensure(site, chart, "upgrade", timeout=12, image="docker.io/library/no-such-image:1"), "apply")
    assert site.helm.release("upgrade", SPACE).status == "deployed"
    assert not ensure(site, chart, "upgrade")


def _install(kubeconfig: str, chart: str) -> None:
    site = connect("local", name="helm", kubeconfig=kubeconfig, mode="apply")
    apply(ensure(site, Path(chart), "killed", timeout=120, image="docker.io/library/no-such-image:1"), "apply")


def test_a_release_left_pending_by_a_killed_process_is_recovered(site, chart):
    process = multiprocessing.get_context("spawn").Process(target=_install, args=(os.environ["KUBECONFIG"], str(chart)))
    process.start()
    end = time.monotonic() + 60
    while not ((live := site.helm.release("killed", SPACE)) and live.pending):
        assert process.is_alive() and time.monotonic() < end
        time.sleep(0.1)  # until another process has come so far
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "Helm's worker ends with its caller"
    assert site.helm.release("killed", SPACE).pending
    plan = ensure(site, chart, "killed")
    assert "stuck in pending-install: taken back first" in str(plan)
    apply(plan, "apply")
    assert site.helm.release("killed", SPACE).status == "deployed"
