"""What can be mended by itself: safe (no data are lost), idempotent, and only where its case was found.

Everything else is told by the finding's ``do`` and left to a person.
"""

import threading
import time
from dataclasses import dataclass

from runbook.diagnose import diagnose, take
from runbook.diagnose.findings import Finding, Report
from runbook.diagnose.signals import evaluate
from runbook.diagnose.snapshot import Snapshot, condition, where
from runbook.operations.objects import ensure_object
from runbook.plans import Change, Field, Plan, plan_of

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class Mending:
    """A plan, and the findings that it is to end."""

    plan: Plan
    findings: tuple[Finding, ...]


def _pairs_to_mending(pairs: list[tuple[Finding | None, Change | None]]) -> Mending:
    return Mending(plan_of(c for _, c in pairs), tuple(f for f, c in pairs if f and c))


def workspaces(site, wanted) -> Mending:
    """92: pods that stand in the way of better ones.

    - A StatefulSet waits for a broken pod of its older revision for ever, also when its template has been mended:
      https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback.
      That pod is deleted; its volumes stay.
    - Evicted pods are leftovers; their workload has made another one.
    """
    shot = _shot(site, wanted)
    found = evaluate(shot)
    newest = {
        (s["metadata"]["namespace"], s["metadata"]["name"]): s["status"].get("updateRevision") for s in shot.of("StatefulSet")
    }
    pairs = []
    for pod in shot.of("Pod"):
        owner = next(iter(pod["metadata"].get("ownerReferences") or []), {})
        revision = (pod["metadata"].get("labels") or {}).get("controller-revision-hash")
        update = newest.get((pod["metadata"]["namespace"], owner.get("name"))) if owner.get("kind") == "StatefulSet" else None
        stuck = (
            update
            and revision != update
            and condition(pod, "Ready").get("status") != "True"
            and not pod["metadata"].get("deletionTimestamp")
        )
        left = (
            owner.get("kind") in ("StatefulSet", "ReplicaSet")
            and pod["status"].get("phase") == "Failed"
            and pod["status"].get("reason") == "Evicted"
        )
        if stuck or left:
            why = (
                "of the revision before; a mended one takes its place, its volumes stay"
                if stuck
                else "evicted; another one has taken its place"
            )
            finding = next((f for f in found if f.where.split(" (")[0] == where(pod)), None)
            pairs.append((finding, _delete(site, pod, why)))
    return _pairs_to_mending(pairs)


def storage(site, wanted) -> Mending:
    """93: a StorageClass that claims ask for in vain is made as a twin of the default one; it keeps what is deleted."""
    shot = _shot(site, wanted)
    default = next(
        (c for c in shot.of("StorageClass") if (c["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"), None
    )
    pairs, made = [], set()
    claims = {where(c): c for c in shot.of("PersistentVolumeClaim")}
    for finding in evaluate(shot):
        if finding.signal == "claim-no-class" and default:
            name = claims[finding.where]["spec"]["storageClassName"]
            twin = {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name},
                "provisioner": default["provisioner"],
                "volumeBindingMode": default.get("volumeBindingMode", "Immediate"),
                "reclaimPolicy": "Retain",
            }
            pairs.append((finding, ensure_object(site.cluster, twin) if name not in made else None))
            made.add(name)
    return _pairs_to_mending(pairs)


def urls(site, wanted) -> Mending:
    """94: what serves every URL and was scaled to nothing is scaled to one; stopped workspaces only with ``trouble.start``."""
    shot = _shot(site, wanted)
    pairs = []
    findings = evaluate(shot)
    for kind in ("Deployment", "StatefulSet"):
        for workload in shot.of(kind):
            if workload["spec"].get("replicas") != 0:
                continue
            meta = workload["metadata"]
            serves_all = meta["namespace"] == "kube-system" and meta["name"] in ("traefik", "coredns")
            labels = ((workload["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
            behind = [
                f for f in findings if f.signal == "url-stopped" and wanted.start and _selects(shot, f, labels, meta["namespace"])
            ]
            if serves_all or behind:
                change = Change(
                    "scale",
                    kind,
                    f"{meta['namespace']}/{meta['name']}",
                    _scale(site, kind, meta),
                    (Field("spec.replicas", 0, 1),),
                    undo=f"kubectl -n {meta['namespace']} scale {kind.lower()} {meta['name']} --replicas 0",
                )
                pairs += [(f, change if i == 0 else None) for i, f in enumerate(behind or [None])]
    return Mending(plan_of(c for _, c in pairs), tuple(f for f, _ in pairs if f))


def _scale(site, kind: str, meta: dict):
    return lambda: site.cluster.scale(kind, meta["name"], meta["namespace"], 1)


def _selects(shot: Snapshot, finding: Finding, labels: dict, namespace: str) -> bool:
    """Does a Service behind the finding's Ingress select pods of these labels?"""
    ingress = finding.where.split(" ")[1]
    for i in shot.of("Ingress"):
        if f"{i['metadata']['namespace']}/{i['metadata']['name']}" == ingress and i["metadata"]["namespace"] == namespace:
            names = {
                p["backend"]["service"]["name"]
                for r in i["spec"].get("rules") or []
                for p in (r.get("http") or {}).get("paths") or []
                if (p.get("backend") or {}).get("service")
            }
            return any(
                s["metadata"]["name"] in names
                and s["metadata"]["namespace"] == namespace
                and (s["spec"].get("selector") or {"": ""}).items() <= labels.items()
                for s in shot.of("Service")
            )
    return False


def left(site, wanted, mending: Mending) -> tuple[Finding, ...]:
    """Those of the mended findings that are still there; in apply mode they get ``trouble.seconds`` to go."""
    end = time.monotonic() + (wanted.seconds if site.mode == "apply" and not site.host.replayed else 0)
    targets = {(f.signal, f.where) for f in mending.findings}
    while True:
        still = tuple(f for f in report(site, wanted).findings if (f.signal, f.where) in targets)
        if not still or time.monotonic() >= end:
            return still
        threading.Event().wait(2)


def report(site, wanted) -> Report:
    """A diagnosis of where the ``trouble`` section says to look."""
    return diagnose(site, namespaces=tuple(wanted.namespaces))


def of(found: Report, notebook: str) -> Report:
    """The findings that a notebook mends."""
    kept = tuple(f for f in found.findings if f.fix == notebook)
    return Report(kept, (f"what {notebook} is about",), found.blind, found.calls, found.taken, found.replayed)


def _shot(site, wanted) -> Snapshot:
    return take(site, namespaces=tuple(wanted.namespaces))


def _delete(site, pod: dict, note: str) -> Change:
    meta = pod["metadata"]
    return Change(
        "delete",
        "Pod",
        f"{meta['namespace']}/{meta['name']}",
        lambda: site.cluster.delete("Pod", meta["name"], meta["namespace"]),
        note=note,
    )
