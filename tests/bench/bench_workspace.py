"""From the command to the IDE answering: a workspace, against a bare pod of the same images and volumes applied with kubectl.

Needs KUBECONFIG and kubectl. Prints one line: medians in seconds and their ratio, and the same without the volumes' provisioning.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import redirect_stdout

import runbook
from runbook.operations import workspaces as operations
from runbook.operations.released import remove_all
from runbook.plans import apply
from runbook.workspaces import namespace

ROUNDS = int(os.environ.get("ROUNDS", "3"))
OWNER, BARE = "bench", "bench-bare"
SIZES = {"storage": "64Mi", "home": "64Mi", "database": "128Mi"}


def bare(wanted, volumes: bool) -> list[dict]:
    """A pod that runs the IDE beside the image, and nothing else; with as many volumes as a workspace has."""
    names = ("workspace", "home", "database") if volumes else ()
    claims = [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": n, "namespace": BARE}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}} for n in names]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": BARE}, "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "web", "image": wanted.image, "env": [{"name": "PASSWORD", "value": "bench"}, {"name": "HOME", "value": "/tmp"}],
            "command": ["/opt/ide/usr/lib/code-server/bin/code-server", "--bind-addr", "0.0.0.0:13337", "/tmp"],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 13337}, "periodSeconds": 1},
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
            "volumeMounts": [{"name": "ide", "mountPath": "/opt/ide"}, *({"name": n, "mountPath": f"/mnt/{n}"} for n in names)]}],
        "volumes": [{"name": "ide", "image": {"reference": wanted.ide_image, "pullPolicy": "IfNotPresent"}},
                    *({"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names)]}}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": BARE}}, *claims, pod]


def answers(site, where: str, pod: str, end: float) -> None:
    """Wait until the IDE of a pod answers."""
    while time.monotonic() < end:
        found = site.cluster.get("Pod", pod, where)
        address = (found or {}).get("status", {}).get("podIP")
        try:
            if address and urllib.request.urlopen(f"http://{address}:13337/healthz", timeout=1).status == 200:
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise SystemExit(f"pod {where}/{pod} did not answer")


def by_kubectl(site, wanted, volumes: bool) -> float:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": bare(wanted, volumes)})
    started = time.monotonic()
    subprocess.run(["kubectl", "apply", "-f", "-"], input=text, text=True, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["kubectl", "-n", BARE, "wait", "--for=condition=Ready", "pod/bare", "--timeout=120s"], check=True, stdout=subprocess.DEVNULL)
    answers(site, BARE, "bare", started + 120)
    took = time.monotonic() - started
    site.cluster.delete("Namespace", BARE)
    site.cluster.wait("Namespace", BARE, until=lambda n: n is None, timeout=120, what="the bare pod to be gone")
    return took


def by_runbook(site, wanted) -> float:
    started = time.monotonic()
    plan = operations.ensure_workspaces(site, wanted)
    *before, release = plan
    apply(runbook.Plan(tuple(before)), "apply")
    making = threading.Thread(target=release.perform)
    making.start()  # it also waits for the database; the IDE is there before
    answers(site, namespace(OWNER), "demo-0", started + 120)
    took = time.monotonic() - started
    making.join()
    apply(operations.delete(site, "demo", OWNER), "apply")
    remove_all(site, namespace(OWNER))
    return took


def main() -> int:
    if not (os.environ.get("KUBECONFIG") and shutil.which("kubectl")):
        print("bench_workspace: not measured, it needs KUBECONFIG and kubectl")
        return 0
    site = runbook.connect("local", name="bench", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    wanted = runbook.section("workspaces", {"list": [{"name": "demo", "owner": OWNER}], **SIZES})
    times = {"workspace": [], "bare": [], "bare without volumes": []}
    with redirect_stdout(sys.stderr):
        for _ in range(ROUNDS):
            times["bare"].append(by_kubectl(site, wanted, True))
            times["workspace"].append(by_runbook(site, wanted))
            times["bare without volumes"].append(by_kubectl(site, wanted, False))
    median = {name: statistics.median(found) for name, found in times.items()}
    print(f"bench_workspace: create to IDE {median['workspace']:.1f} s, bare pod with the same volumes {median['bare']:.1f} s, "
          f"ratio {median['workspace'] / median['bare']:.2f}; bare pod without volumes {median['bare without volumes']:.1f} s; "
          f"{ROUNDS} rounds, load average {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
