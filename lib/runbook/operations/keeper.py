"""The keeper: one program for the whole site, outside the workspaces, that stops those in which nobody works."""

from runbook.operations.objects import delete_objects, ensure_objects
from runbook.params import Workspaces
from runbook.paths import charts
from runbook.plans import Plan, plan_of
from runbook.workspaces import KEEPER, KEEPER_NAMESPACE

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": KEEPER_NAMESPACE, "labels": {
    "app.kubernetes.io/managed-by": "runbook", "app.kubernetes.io/part-of": "runbook"}}}


def ensure_keeper(site, wanted: Workspaces) -> Plan:
    """Its namespace and its release; nothing where workspaces have no IDE, which it would ask."""
    if wanted.ide == "none":
        return Plan()
    there = site.cluster.get("Namespace", KEEPER_NAMESPACE) is not None
    release = site.helm.ensure(charts() / "keeper", KEEPER, KEEPER_NAMESPACE, {"image": wanted.ide_image}, timeout=wanted.timeout,
                               new_namespace=not there)
    return ensure_objects(site.cluster, [NAMESPACE]) + plan_of([release])


def remove_keeper(site) -> Plan:
    """Neither."""
    return plan_of([site.helm.remove(KEEPER, KEEPER_NAMESPACE)]) + delete_objects(site.cluster, [NAMESPACE])
