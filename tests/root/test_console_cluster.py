"""Step 91 with a real cluster behind it: ``kubectl port-forward --address`` to a pod, real rules on this machine, and the undo of both."""

import os
import shutil
import threading

import pytest
from console_kit import Machine, sh

import runbook
from runbook import apply, firewall, section
from runbook.facts import console as facts
from runbook.operations import console
from runbook.operations.objects import ensure_objects

pytestmark = [pytest.mark.root, pytest.mark.cluster]


def test_with_kubectl_and_a_real_cluster(tmp_path):
    """The real ``kubectl port-forward --address`` to a pod; a pod that is replaced costs one request, then it serves again."""
    name, port = f"kots-{os.getpid()}", 18811
    site = runbook.connect("local", name="lab", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    site.host = Machine(tmp_path / "server", kubectl=shutil.which("kubectl"))
    address = site.cluster.list("Node")[0]["status"]["addresses"][0]["address"]
    wanted = section("console", {"namespace": name, "port": port, "listen": address, "probe": "100.64.85.77"})
    apply(ensure_objects(site.cluster, console_objects(name)), "apply")
    try:
        site.cluster.wait(
            "Deployment",
            "kotsadm",
            name,
            until=lambda d: (d or {}).get("status", {}).get("readyReplicas") == 1,
            timeout=120,
            what="the console's pod to be ready",
        )
        before = firewall.foreign(facts.ruleset(site))
        apply(console.ensure_console(site, wanted), "apply")
        assert set(facts.listening(site, port)["address"]) == {"127.0.0.1", address}
        proof = console.prove(site, wanted)
        assert list(proof["answer"]) == ["HTTP 200", "no answer", "HTTP 200"]
        assert facts.state(site, wanted) == "one network"
        assert not console.ensure_console(site, wanted)

        pod = site.cluster.list("Pod", name)[0]["metadata"]["name"]
        site.cluster.delete("Pod", pod, name)
        site.cluster.wait(
            "Deployment",
            "kotsadm",
            name,
            timeout=120,
            what="another pod",
            until=lambda d: d["status"].get("readyReplicas") == 1
            and pod
            not in [p["metadata"]["name"] for p in site.cluster.list("Pod", name) if not p["metadata"].get("deletionTimestamp")],
        )
        asked = [facts.told(facts.answer(site, "127.0.0.1", port))]
        while asked[-1] != "HTTP 200" and len(asked) < 30:
            threading.Event().wait(0.5)
            asked.append(facts.told(facts.answer(site, "127.0.0.1", port)))
        assert asked[-1] == "HTTP 200", asked
        apply(console.undo(site, wanted), "apply")
        assert facts.listeners(site, port).empty and facts.table(site) is None
        assert firewall.foreign(facts.ruleset(site)) == before
        assert [p for p in (tmp_path / "server").rglob("*") if p.is_file() and p.name != "kubectl"] == []
    finally:
        for unit in list(site.host.units.running):
            site.host.units.stop(unit)
        sh("nft", "delete", "table", firewall.FAMILY, firewall.NAME, check=False)
        site.cluster.delete("Namespace", name)


def console_objects(namespace: str) -> list[dict]:
    """A console as KOTS leaves one: a Deployment and a Service ``kotsadm`` on port 3000."""
    labels = {"app": "kotsadm"}
    command = ["sh", "-c", "mkdir -p /tmp/www; echo console >/tmp/www/index.html; exec httpd -f -p 3000 -h /tmp/www"]
    pod = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "kotsadm", "image": "docker.io/library/busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": command,
         "readinessProbe": {"httpGet": {"path": "/", "port": 3000}, "periodSeconds": 1}}]}}
    meta = {"name": "kotsadm", "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 3000, "protocol": "TCP"}]},
        },
    ]
