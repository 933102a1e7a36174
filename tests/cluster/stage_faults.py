"""All the faults at once, so that they are waited for once: made, mended as their findings say, cleared.

``KUBECONFIG=… python tests/cluster/stage_faults.py make`` (then ``mend``, ``clear``) stages them in namespaces ``fault-…`` for
90-diagnose and the mending notebooks to meet; it prints the namespaces, for ``trouble.namespaces``.
"""

import json
import os
import sys

import faults
import faults_of_databases
import faults_of_images

import runbook

FAULTS = faults.FAULTS | faults_of_images.FAULTS | faults_of_databases.FAULTS
RECORDED = {*faults_of_images.FAULTS, *faults_of_databases.FAULTS, "docker"}  #: those that are kept for tests/test_diagnose.py


def connect():
    return runbook.connect("local", name="lab", kubeconfig=os.environ["KUBECONFIG"], mode="apply")


def kubectl_apply(site, objects: list[dict]) -> None:
    for obj in objects:
        site.cluster.apply(obj, force=True, manager="test")


def ready(site, kind: str, name: str, where: str) -> None:
    site.cluster.wait(kind, name, where, until=lambda o: o["status"].get("readyReplicas") == 1, timeout=120, what=f"{name} to be ready")


def make(site, tag: str = "fault") -> None:
    where = f"{tag}-registry"
    kubectl_apply(site, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}}, *faults_of_images.registry(where)])
    ready(site, "Deployment", "registry", where)
    for key, fault in FAULTS.items():
        where = f"{tag}-{key}"
        kubectl_apply(site, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}}])
        for obj in fault.make(where):
            kubectl_apply(site, [obj])
            if obj["metadata"]["name"] == "holder":  # the other one comes too late for the port
                ready(site, "Deployment", "holder", where)


def mend(site, tag: str = "fault", keys=tuple(FAULTS)) -> None:
    """What a person does whom a finding tells what to do; the notebooks do the rest."""
    for key in keys:
        kubectl_apply(site, FAULTS[key].mended(f"{tag}-{key}"))
        FAULTS[key].mend(site, f"{tag}-{key}")


def clear(site, tag: str = "fault") -> None:
    for key in [*FAULTS, "registry"]:
        site.cluster.delete("Namespace", f"{tag}-{key}")
    site.cluster.delete("StorageClass", f"{tag}-class-fast")


if __name__ == "__main__":
    {"make": make, "mend": mend, "clear": clear}[sys.argv[1]](connect())
    print(json.dumps([f"fault-{key}" for key in FAULTS]))
