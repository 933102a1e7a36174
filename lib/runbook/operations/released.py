"""Volumes that nobody uses: given back to the claim that they had, or deleted with their data."""

from runbook.backups import SELECTOR
from runbook.errors import ParameterError
from runbook.facts import storage as facts
from runbook.params import Storage
from runbook.plans import Change, Field, Plan, plan_of
from runbook.workspaces import WORKSPACE

FIX = "93-storage-stuck"
WAIT = 120
CHART = "helm.sh/chart"


def take_back(site, wanted: Storage) -> Plan:
    """Released volumes given back to the claim that they had: the claim is made anew on the volume, whose data are as they were.

    Raises:
        ParameterError: no such volume, one in use, or a claim of that name that has another volume.
    """
    table = facts.volumes(site)
    return plan_of(_take_back(site, table, name) for name in wanted.take_back)


def _take_back(site, table, name: str) -> Change | None:
    row = _volume(table, name)
    namespace, _, claim_name = row.claim.partition("/")
    claim = site.cluster.get("PersistentVolumeClaim", claim_name, namespace)
    if row.state == "Bound" and claim and claim["spec"].get("volumeName") == name:
        return None
    if claim and claim["spec"].get("volumeName") not in (None, "", name):
        raise ParameterError(f"volume {name}: its claim {row.claim} has another volume now, {claim['spec']['volumeName']}",
                             do="stop the workspace and delete that claim first (its volume is kept), or leave this one as it is", fix=FIX)
    volume = site.cluster.get("PersistentVolume", name)

    def perform():
        ref = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim_name, "uid": None, "resourceVersion": None}
        site.cluster.patch("PersistentVolume", name, "", {"spec": {"claimRef": ref}})
        if claim is None:
            others = site.cluster.list("PersistentVolumeClaim", namespace, selector=f"{WORKSPACE}={row.workspace}") if row.workspace else []
            chart = next((o["metadata"]["labels"].get(CHART, "") for o in others), "")
            site.cluster.apply(claim_for(volume, row.owner, row.workspace, row.use, chart))
        site.cluster.wait("PersistentVolumeClaim", claim_name, namespace, until=lambda c: (c or {}).get("status", {}).get("phase") == "Bound",
                          timeout=WAIT, what=f"claim {row.claim} to have volume {name} again")

    return Change("update", "PersistentVolume", name, perform, (Field("status.phase", row.state, "Bound"),), note=f"given back to claim {row.claim}",
                  undo=f"kubectl -n {namespace} delete pvc {claim_name} (the volume is kept)")


def claim_for(volume: dict, owner: str, workspace: str, use: str, chart: str = "") -> dict:
    """The claim that a volume had, as the workspace's release would have it: marked as Helm's, so that the release takes it up.

    Args:
        chart: the label that tells the chart, as the workspace's other claims have it.
    """
    ref, spec = volume["spec"]["claimRef"], volume["spec"]
    helm = {"app.kubernetes.io/name": "workspace", "app.kubernetes.io/instance": workspace, "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/part-of": "runbook", "runbook/owner": owner, "runbook/workspace": workspace, facts.COMPONENT: use}
    helm |= {CHART: chart} if chart else {}
    marks = {"helm.sh/resource-policy": "keep", "meta.helm.sh/release-name": workspace, "meta.helm.sh/release-namespace": ref["namespace"]}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": ref["name"], "namespace": ref["namespace"]} | ({"labels": helm, "annotations": marks} if workspace else {}),
            "spec": {"accessModes": spec["accessModes"], "storageClassName": spec.get("storageClassName", ""), "volumeName": volume["metadata"]["name"],
                     "resources": {"requests": {"storage": spec["capacity"]["storage"]}}}}


def delete(site, wanted: Storage, confirm: str) -> Plan:
    """Released volumes, and claims without workspace, deleted with their data.

    Args:
        confirm: the site's name, typed. A plan needs none; applying does.

    Raises:
        ParameterError: not confirmed, or something that is in use.
    """
    if not wanted.delete:
        return Plan()
    if site.mode == "apply" and confirm != site.name:
        raise ParameterError(f"{', '.join(wanted.delete)}: deleting loses these data for good", do=f'set confirm to "{site.name}"')
    table = facts.volumes(site)
    orphans = facts.orphans(site, table)
    return plan_of(_delete_claim(site, table, orphans, name) if "/" in name else delete_volume(site, table, name) for name in wanted.delete)


def delete_volume(site, table, name: str) -> Change | None:
    """A released volume and its folder gone."""
    if name not in set(table["volume"]):
        return None
    row = _volume(table, name)
    if row.state == "Bound":
        raise ParameterError(f"volume {name}: in use by claim {row.claim}", do="delete the workspace first, or leave the volume", fix=FIX)
    if row.path in facts.shared_paths(table):
        raise ParameterError(f"volume {name}: another volume uses its folder {row.path}, too", do="see the table of volumes; move the data first", fix=FIX)
    return Change("delete", "PersistentVolume", name, lambda: remove(site, name), note=f"and its data in {row.path}; it was of claim {row.claim}")


def _delete_claim(site, table, orphans, title: str) -> Change | None:
    if title not in set(table["claim"]):
        return None
    if title not in set(orphans["claim"]):
        raise ParameterError(f"claim {title}: not one without workspace", do="see the table of claims without workspace; delete the workspace first", fix=FIX)
    volumes = [v for v in table[table["claim"] == title]["volume"] if v]
    workspace = next(row.workspace for row in orphans.itertuples() if row.claim == title)

    def perform():
        delete_claim(site, title, workspace)
        for volume in volumes:
            remove(site, volume)

    return Change("delete", "PersistentVolumeClaim", title, perform, note="and its data" + (f" in {', '.join(volumes)}" if volumes else ""))


def delete_claim(site, title: str, workspace: str) -> None:
    """A claim gone, whose workspace is no more; and with it what backs it up, since finished pods hold a claim as running ones do."""
    namespace, _, name = title.partition("/")
    for kind in ("CronJob", "Job"):
        for job in site.cluster.list(kind, namespace, selector=f"{SELECTOR},{WORKSPACE}={workspace}"):
            site.cluster.delete(kind, job["metadata"]["name"], namespace)
    site.cluster.delete("PersistentVolumeClaim", name, namespace)
    site.cluster.wait("PersistentVolumeClaim", name, namespace, until=lambda c: c is None, timeout=WAIT, what=f"claim {title} to be gone")


def remove(site, volume: str) -> None:
    """Let the provisioner delete a volume with its folder: it does so once the policy says Delete and the claim is gone."""
    if site.cluster.get("PersistentVolume", volume) is None:
        return
    set_policy(site, volume, "Delete")
    site.cluster.wait("PersistentVolume", volume, until=lambda v: v is None, timeout=WAIT, what=f"volume {volume} and its data to be deleted",
                      fail_on=lambda v: v.get("status", {}).get("message", "") if v.get("status", {}).get("phase") == "Failed" else "")


def remove_all(site, *spaces: str) -> None:
    """Every volume that claims of these namespaces have or had, with its data: for scratch workspaces, whose class may keep volumes."""
    for row in facts.volumes(site).itertuples():
        if row.volume and row.claim.split("/")[0] in spaces:
            remove(site, row.volume)


def _volume(table, name: str):
    found = [row for row in table.itertuples() if row.volume == name]
    if not found:
        raise ParameterError(f"volume {name}: there is none", do="see the table of volumes", fix=FIX)
    return found[0]


def set_policy(site, volume: str, policy: str) -> None:
    """What becomes of a volume when its claim goes: ``Retain`` or ``Delete``."""
    site.cluster.patch("PersistentVolume", volume, "", {"spec": {"persistentVolumeReclaimPolicy": policy}})
