"""A cluster and a server of tables, for the doctor's tests: no network, and everything that is asked is noted."""

from types import SimpleNamespace

from runbook.cluster import Cluster
from runbook.cluster.transport import ApiFailure, Resource
from runbook.errors import MissingRight
from runbook.host import Result

NAMES = {
    "EndpointSlice": "endpointslices",
    "Ingress": "ingresses",
    "StorageClass": "storageclasses",
    "IngressClass": "ingressclasses",
    "metrics.k8s.io/v1beta1/NodeMetrics": "nodes.metrics",
}
SECRET = "hunter2-in-clear"


class Api:
    """An API server of tables: ``objects`` by plural; ``refused`` plurals answer 403; ``down`` answers nothing."""

    server, replayed, static = "https://api:6443", "", False

    def __init__(self, objects=None, refused=(), down=False):
        self.objects, self.refused, self.down, self.asked = objects or {}, refused, down, []

    def resource(self, kind):
        short = kind.rpartition("/")[2]
        return Resource("v1", short, NAMES.get(kind, NAMES.get(short, short.lower() + "s")), True)

    def request(self, method, path, query=None, body=None, content_type=""):
        if self.down:
            raise ApiFailure(0, "connection refused")
        plural = path.rpartition("/")[2]
        self.asked.append(plural)
        if plural == "version":
            return {"gitVersion": "v1.36.2"}
        if plural in self.refused:
            raise ApiFailure(403, f"{plural} is forbidden", {})
        return {"items": self.objects.get(plural, [])}

    def text(self, path, query=None):
        self.asked.append("log")
        return f"MARIADB_ROOT_PASSWORD={SECRET}\nerror: no such table\n"


class Machine:
    """A server of tables; ``blind`` ones may be read by nobody."""

    replayed = ""

    def __init__(self, files=None, prints=None, blind=False):
        self.files, self.prints, self.blind = files or {}, prints or {}, blind

    def run(self, argv, **_):
        if self.blind:
            raise MissingRight(f"{argv[0]} needs root")
        out = next((text for word, text in self.prints.items() if word in argv[0]), None)
        return Result(tuple(argv), 0 if out is not None else 127, out or "")

    def read(self, path):
        if self.blind:
            raise MissingRight(f"{path} may not be read")
        return self.files.get(path)

    def sockets(self):
        return []

    def unit(self, name):
        return {}

    def exists(self, path):
        return path in self.files

    def which(self, program):
        return None


def site(api=None, host=None, **more):
    cluster = Cluster(api, pause=lambda s: None) if api else None
    return SimpleNamespace(cluster=cluster, host=host or Machine(), kubeconfig="", mode="apply", **more)


def pod(i, ready=False, reason="CrashLoopBackOff", **more):
    state = {"running": {}} if ready else {"waiting": {"reason": reason}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"demo-{i}",
            "namespace": f"ws-{i}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"note": SECRET},
            "managedFields": [{"x": SECRET}],
            **more.get("metadata", {}),
        },
        "spec": {
            "nodeName": "n",
            "containers": [{"name": "main", "image": "php", "env": [{"name": "DB_PASSWORD", "value": SECRET}]}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": ready,
                    "restartCount": 0 if ready else 5,
                    "image": f"php{i}",
                    "state": state,
                    "lastState": {} if ready else {"terminated": {"exitCode": 1, "reason": "Error"}},
                }
            ],
            **more.get("status", {}),
        },
    }
