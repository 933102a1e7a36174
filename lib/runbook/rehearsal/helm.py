"""What Helm does, done to the store: the rehearsal's runner of :class:`runbook.helm.Helm`."""

from datetime import datetime, timezone
from pathlib import Path

import yaml

from runbook.cluster import Cluster
from runbook.errors import ClusterError, ReleaseFailed
from runbook.helm import KEEP, MANAGER, render
from runbook.helm.records import Release, encode, newest
from runbook.rehearsal.values import at

#: The order in which Helm sends kinds. Source: helm.sh/helm/v4 pkg/release/v1/util/kind_sorter.go (InstallOrder).
ORDER = ("PriorityClass", "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap",
         "StorageClass", "PersistentVolume", "PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role",
         "RoleBinding", "Service", "DaemonSet", "Pod", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob",
         "IngressClass", "Ingress")


class RehearsalRunner:
    """The same interface as :class:`runbook.helm.sdk.SdkRunner`."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster

    def run(self, action: str, name: str, namespace: str, *, chart: str = "", values: dict | None = None, stop=None, **arguments) -> None:
        """``install``, ``upgrade``, ``rollback`` or ``uninstall``; raises ReleaseFailed like the real one."""
        try:
            {"install": self._deploy, "upgrade": self._deploy, "rollback": self._rollback, "uninstall": self._uninstall}[action](
                name, namespace, chart, values or {}, arguments)
        except ClusterError as error:
            raise ReleaseFailed(f"release {namespace}/{name}: {action} failed: {error.what}", do="mend the reason and run the step again",
                                fix="92-workspace-does-not-start") from None

    def _records(self, name: str, namespace: str) -> list[dict]:
        return self._cluster.list("Secret", namespace, selector=f"owner=helm,name={name}")

    def _deploy(self, name: str, namespace: str, chart: str, values: dict, arguments: dict) -> None:
        about = yaml.safe_load((Path(chart) / "Chart.yaml").read_text(encoding="utf-8"))
        objects = [o for o in render(Path(chart), name, namespace, values) if "helm.sh/hook" not in (o["metadata"].get("annotations") or {})]
        records = self._records(name, namespace)
        before = newest(records)[0] if records else None
        manifest = "".join(f"---\n{yaml.safe_dump(o, sort_keys=False)}" for o in objects)
        release = Release(name, namespace, (before.revision if before else 0) + 1, "deployed", about["name"], about["version"], values, manifest,
                          datetime.now(timezone.utc).isoformat())
        try:
            self._bring(objects, before)
            self._record(release, records)
            if arguments.get("wait"):
                self._ready(name, namespace, objects)
        except (ClusterError, ReleaseFailed) as error:
            if not arguments.get("rollback_on_failure"):
                self._record(Release(**{**release.__dict__, "status": "failed"}), records)
                raise
            self._record(Release(**{**release.__dict__, "status": "failed"}), records)
            undo = self._rollback if before else self._uninstall
            undo(name, namespace, chart, values, arguments)
            raise ReleaseFailed(f"release {namespace}/{name}: failed, and was taken back: {error.what}",
                                do="mend the reason and run the step again", fix="92-workspace-does-not-start") from None

    def _bring(self, objects: list[dict], before: Release | None) -> None:
        for obj in sorted(objects, key=lambda o: ORDER.index(o["kind"]) if o["kind"] in ORDER else len(ORDER)):
            self._cluster.apply(obj, manager=MANAGER)
        names = {(o["kind"], o["metadata"]["name"]) for o in objects}
        for obj in before.objects() if before else []:
            if (obj["kind"], obj["metadata"]["name"]) not in names:
                self._delete(obj, before.namespace)

    def _delete(self, obj: dict, namespace: str) -> None:
        meta, kind = obj["metadata"], f"{obj['apiVersion']}/{obj['kind']}"
        live = self._cluster.get(kind, meta["name"], meta.get("namespace") or namespace)
        kept = "keep" in (at(o, "metadata", "annotations", KEEP) for o in (obj, live or {}))
        if live and not kept:
            self._cluster.delete(kind, meta["name"], meta.get("namespace") or namespace)

    def _ready(self, name: str, namespace: str, objects: list[dict]) -> None:
        """Nothing here gets ready by waiting: what is not ready now fails the release, as a time limit would.

        Ready is what Helm's watcher takes for it: workloads with all replicas, claims that are bound.
        """
        for obj in objects:
            kind, own = obj["kind"], obj["metadata"]["name"]
            if kind not in ("StatefulSet", "Deployment", "PersistentVolumeClaim"):
                continue
            live = self._cluster.get(kind, own, namespace)
            if kind == "PersistentVolumeClaim":
                why = "" if at(live, "status", "phase") == "Bound" else f"it is {at(live, 'status', 'phase')}"
            else:
                wanted, ready = live["spec"]["replicas"], at(live, "status", "readyReplicas", default=0)
                why = "" if ready >= wanted else f"{ready}/{wanted}"
            if why:
                raise ReleaseFailed(f"release {namespace}/{name}: {kind} {own} is not ready: {why}", do="mend the reason and run the step again",
                                    fix="92-workspace-does-not-start")

    def _record(self, release: Release, records: list[dict]) -> None:
        """Helm's record of a revision; the one that was deployed before is superseded by the one that is."""
        for old in records:
            if release.status == "deployed" and old["metadata"]["labels"]["status"] == "deployed":
                past = newest([old])[0]
                self._cluster.apply(encode(Release(**{**past.__dict__, "status": "superseded"})), force=True, manager=MANAGER)
        self._cluster.apply(encode(release), force=True, manager=MANAGER)

    def _rollback(self, name: str, namespace: str, chart: str, values: dict, arguments: dict) -> None:
        """To the revision before the newest, as Helm does when none is named."""
        records = {int(s["metadata"]["labels"]["version"]): s for s in self._records(name, namespace)}
        last = max(records)
        if last - 1 not in records:
            raise ReleaseFailed(f"release {namespace}/{name}: has no {last - 1} version", do="uninstall it")
        target = newest([records[last - 1]])[0]
        self._bring(target.objects(), newest([records[last]])[0])
        self._record(Release(**{**target.__dict__, "revision": last + 1, "status": "deployed"}), list(records.values()))

    def _uninstall(self, name: str, namespace: str, chart: str, values: dict, arguments: dict) -> None:
        records = self._records(name, namespace)
        if not records:
            raise ReleaseFailed(f"release {namespace}/{name}: uninstall failed: release: not found", do="nothing: it is gone")
        for obj in reversed(newest(records)[0].objects()):
            self._delete(obj, namespace)
        for record in records:
            self._cluster.delete("Secret", record["metadata"]["name"], namespace)

