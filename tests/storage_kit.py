"""Objects of a cluster with workspaces, made as the real ones look, and a cluster that only lists them and counts."""

from types import SimpleNamespace

from runbook import backups
from runbook.host import Result

CLASS = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "rancher.io/local-path", "reclaimPolicy": "Delete",
         "volumeBindingMode": "WaitForFirstConsumer",
         "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}


class Cluster:
    """Lists and gets what it was given; ``calls`` counts; what is changed is noted in ``done``."""

    replayed = ""

    def __init__(self, objects):
        self.objects, self.calls, self.done = list(objects), 0, []

    def _key(self, obj):
        return obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", "")

    def list(self, kind, namespace="", selector="", fields=""):
        self.calls += 1
        wanted = [part.partition("=") for part in selector.split(",") if part]
        return [o for o in self.objects if o["kind"] == kind and namespace in ("", o["metadata"].get("namespace", ""))
                and all(k in o["metadata"].get("labels", {}) and (not eq or o["metadata"]["labels"][k] == v) for k, eq, v in wanted)]

    def get(self, kind, name, namespace=""):
        self.calls += 1
        kind = kind.rsplit("/", 1)[-1]
        return next((o for o in self.objects if self._key(o) == (kind, name, namespace)), None)

    def apply(self, obj, dry_run=False, **_):
        self.calls += 1
        if not dry_run:
            self.done.append(("apply", *self._key(obj)))
        return obj

    def patch(self, kind, name, namespace, body, dry_run=False):
        self.done.append(("patch", kind, name, body))
        return body

    def delete(self, kind, name, namespace="", **_):
        self.done.append(("delete", kind, name))

    def wait(self, kind, name, namespace="", **_):
        self.done.append(("wait", kind, name))


class Host:
    """Has these paths; answers these commands by their program."""

    replayed = ""

    def __init__(self, paths=(), answers=None):
        self.paths, self.answers, self.ran = set(paths), answers or {}, []

    def exists(self, path):
        return path in self.paths

    def run(self, argv, **_):
        self.ran.append(argv)
        return Result(tuple(argv), 0, self.answers[argv[0]])


def site(objects=(), host=None, **more):
    return SimpleNamespace(cluster=Cluster(objects), host=host or Host(), name="here", mode="plan", target="local", **more)


def labels(owner, workspace, use=""):
    return {"app.kubernetes.io/name": "workspace", "app.kubernetes.io/part-of": "runbook", "runbook/owner": owner, "runbook/workspace": workspace} | (
        {"app.kubernetes.io/component": use} if use else {})


def volume(owner, workspace, use, *, phase="Bound", policy="Delete", size="1Gi", path="", uid=""):
    name = f"pvc-{owner}-{workspace}-{use}"
    return {"kind": "PersistentVolume", "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": policy, "storageClassName": "local-path",
                     "hostPath": {"path": path or f"/volumes/{name}"},
                     "claimRef": {"namespace": f"ws-{owner}", "name": f"{workspace}-{use}", "uid": uid or f"claim-{owner}-{workspace}-{use}"}},
            "status": {"phase": phase}}


def claim(owner, workspace, use, *, phase="Bound", size="1Gi", storage_class="local-path"):
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": f"{workspace}-{use}", "namespace": f"ws-{owner}", "uid": f"claim-{owner}-{workspace}-{use}",
                                                          "labels": labels(owner, workspace, use), "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"storageClassName": storage_class, "volumeName": f"pvc-{owner}-{workspace}-{use}", "accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": size}}},
            "status": {"phase": phase}}


def workload(owner, workspace):
    env = [{"name": "MARIADB_ROOT_PASSWORD", "valueFrom": {"secretKeyRef": {"name": workspace, "key": "db-root-password"}}}]
    containers = [{"name": "web", "image": "php"}, {"name": "mariadb", "image": "mariadb:11", "env": env}]
    return {"kind": "StatefulSet", "metadata": {"name": workspace, "namespace": f"ws-{owner}", "labels": labels(owner, workspace)},
            "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}}}


def workspace(owner, name):
    """A workspace with its three volumes."""
    return [workload(owner, name), *(part(owner, name, use) for use in ("workspace", "home", "database") for part in (volume, claim))]


def cron(owner="alice", name="demo", **status):
    """The CronJob of a workspace's backups."""
    return {"kind": "CronJob", "metadata": {"name": backups.job_name(name), "namespace": f"ws-{owner}", "labels": backups.labels(owner, name), "uid": "c"},
            "spec": {"schedule": "5 3 * * *", "jobTemplate": {"spec": {}}}, "status": status}
