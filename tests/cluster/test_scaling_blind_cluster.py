"""A cluster without metrics-server: step 06 says so and stops before it changes anything; the cluster is left as found.

For the time of the test nobody's autoscaler on this cluster measures anything.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
import workspaces_kit as kit
import yaml

import runbook
from runbook import paths, performance, plans
from runbook.errors import LoadError
from runbook.facts import scaling as facts
from runbook.facts import workspaces
from runbook.load import Stage
from runbook.operations import scaling

pytestmark = [pytest.mark.cluster, pytest.mark.long]
SYSTEM, SERVER, API = "kube-system", "metrics-server", "v1beta1.metrics.k8s.io"
API_SERVICE = "apiregistration.k8s.io/v1/APIService"
SPACE = f"blind-{os.getpid()}"
SAYS = {"down": "metrics-server does not answer: ", "absent": "the cluster serves no metrics.k8s.io: metrics-server is not installed"}


def connect():
    return runbook.connect("local", name="blind", kubeconfig=os.environ["KUBECONFIG"], mode="apply")


@contextmanager
def blind(how: str):
    """A site whose cluster does not measure: metrics-server runs no more (down), or its API is gone, too (absent)."""
    site = connect()
    kept = site.cluster.get(API_SERVICE, API)
    manager = next(m["manager"] for m in kept["metadata"]["managedFields"] if "status" not in m.get("subresource", ""))
    back = {k: kept[k] for k in ("apiVersion", "kind", "spec")} | {
        "metadata": {k: kept["metadata"][k] for k in ("name", "labels", "annotations") if k in kept["metadata"]}}
    site.cluster.scale("Deployment", SERVER, SYSTEM, 0)
    try:
        if how == "absent":
            site.cluster.delete(API_SERVICE, API)
            kit.gone(site, API_SERVICE, API)
        else:
            site.cluster.wait(API_SERVICE, API, timeout=90, until=lambda s: not available(s), what="the metrics API to be unavailable")
        yield connect()
    finally:
        site.cluster.apply(back, manager=manager, force=True)
        site.cluster.scale("Deployment", SERVER, SYSTEM, 1)
        site.cluster.wait(API_SERVICE, API, timeout=120, what="the metrics API to be back", until=available)


def available(service: dict | None) -> bool:
    conditions = (service or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)


@pytest.mark.parametrize("how", ["down", "absent"])
def test_step_06_says_so_and_changes_nothing(how, tmp_path):
    file = tmp_path / "blind.yaml"
    site = {"name": "blind", "target": "local", "kubeconfig": os.environ["KUBECONFIG"]}
    file.write_text(yaml.safe_dump(site | {"load": {"namespace": SPACE}}))
    with blind(how) as site:
        assert facts.measures(site).startswith(SAYS[how])
        command = ["run", "--params", str(file), "--only", "06", "--mode", "apply", "--reports", str(tmp_path)]
        done = subprocess.run([sys.executable, "-m", "runbook.cli", *command], capture_output=True, text=True, timeout=300, cwd=paths.root())
        record = json.loads(next(tmp_path.glob("2*/run.json")).read_text())
        (step,) = record["steps"]
        refuted = [c for c in step["claims"] if c["outcome"] == "refuted"]
        assert done.returncode != 0 and record["result"] == "failed"
        assert [c["claim"] for c in refuted] == ["the cluster measures CPU and memory (metrics-server)"]
        assert SAYS[how] in json.dumps(step) and "k3s brings metrics-server" in json.dumps(step)
        assert SAYS[how].split(":")[0] in done.stdout + done.stderr
        assert site.cluster.get("Namespace", SPACE) is None
        assert workspaces.table(site).memory.isna().all(), "the table of workspaces needs no metrics"


def test_a_tier_that_cannot_be_watched_is_not_measured():
    """metrics-server goes after the tier was installed: the load ends with the reason, and no graph is drawn of nothing."""
    site = connect()
    wanted = runbook.section("load", {"namespace": SPACE, "cpu_limit": "300m", "replicas_max": 2})
    plans.apply(scaling.ensure_tier(site, wanted), "apply")
    try:
        scaling.await_rest(site, wanted)
        with blind("absent") as unseen, pytest.raises(LoadError, match="the tier could not be watched") as refused:
            performance.measure(unseen, wanted, "wave", [Stage("steady", 5, 2)])
        assert "metrics-server" in refused.value.do
    finally:
        site.cluster.delete("Namespace", SPACE)
        kit.gone(site, "Namespace", SPACE)
