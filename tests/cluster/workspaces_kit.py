"""Workspaces on the cluster that KUBECONFIG names, for tests: made, asked, deleted."""

import base64
import os

import git_server
import runbook
from runbook.facts import workspaces as facts
from runbook.operations import workspaces as operations
from runbook.operations.released import remove_all
from runbook.plans import apply
from runbook.workspaces import namespace


def connect():
    return runbook.connect("local", name="tests", kubeconfig=os.environ["KUBECONFIG"], mode="apply")


def wanted(*listed, **keys):
    return runbook.section("workspaces", {"list": list(listed), **keys})


def make(site, *listed, **keys):
    """These workspaces, ready or queued."""
    asked = wanted(*listed, **keys)
    apply(operations.ensure_workspaces(site, asked), "apply")
    return asked


def unmake(site, *owners):
    """Nothing of these owners, however far a test came."""
    for owner in owners:
        for name in {c["metadata"]["labels"]["runbook/workspace"] for kind in ("StatefulSet", "PersistentVolumeClaim")
                     for c in site.cluster.list(kind, namespace(owner), selector=facts.SELECTOR)}:
            apply(operations.delete(site, name, owner), "apply")
        site.cluster.delete("Namespace", namespace(owner))
        gone(site, "Namespace", namespace(owner))
        remove_all(site, namespace(owner))


def gone(site, kind, name, where="", timeout=120):
    site.cluster.wait(kind, name, where, until=lambda obj: obj is None, timeout=timeout, what=f"{kind} {name} to be gone")


def sh(site, owner, name, script, container="web", check=True, timeout=60):
    """What a script prints in a workspace, with the environment that its terminals have."""
    return site.cluster.exec(f"{name}-0", ["/bin/sh", "-c", f". /opt/runbook/env.sh; {script}"], namespace(owner), container,
                             check=check, timeout=timeout).stdout


def password(site, owner, name):
    return base64.b64decode(site.cluster.get("Secret", name, namespace(owner))["data"]["ide-password"]).decode()


def address(site, owner, name):
    """The IDE's address inside the cluster, which a single node reaches: the pod's, for the Service's follows a moment later."""
    return f"http://{site.cluster.get('Pod', f'{name}-0', namespace(owner))['status']['podIP']}:{facts.IDE_PORT}"


def ready(pod):
    return bool(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def serve_git(site):
    """The git server up; its address."""
    for obj in git_server.objects():
        site.cluster.apply(obj, force=True)
    site.cluster.wait("Pod", "git", git_server.NAMESPACE, until=ready, timeout=120, what="the git server to be ready")
    return site.cluster.get("Service", "git", git_server.NAMESPACE)["spec"]["clusterIP"]
