"""Faults that are made for real: what is made, as what it must be found, and how it is mended.

Each has a namespace of its own. ``make`` and ``mend`` are objects to apply (as kubectl does) or functions; a mended fault's
``proof`` is what must be ready afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

BUSYBOX, MARIADB = "docker.io/library/busybox:1.36", "docker.io/library/mariadb:11"
DOCKER, DAEMON = "docker.io/library/docker:28-dind", ["dockerd-entrypoint.sh", "dockerd", "--host=unix:///var/run/docker.sock"]
SLEEP = ["sleep", "3600"]
SMALL = {"requests": {"cpu": "1m", "memory": "8Mi"}}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what is made, in words.
        signals: as what it must be found, exactly.
        make: the objects that make it; ``{ns}`` is the namespace.
        mended: the objects, as its finding's ``do`` says to mend them.
        notebook: what mends the rest: ``workspaces`` (92), ``storage`` (93), ``urls`` (94) of runbook.diagnose.mend; or nothing.
        surely: the notebook certainly has something to do; a pod that flaps may be replaced by its controller before.
        proof: kind and name that must be ready in the end.
        mend: done to mend it, with (site, namespace).
    """

    name: str
    signals: frozenset[str]
    make: Callable[[str], list[dict]]
    proof: tuple[str, str] = ("StatefulSet", "demo")
    mended: Callable[[str], list[dict]] = field(default=lambda ns: [])
    notebook: str = ""
    surely: bool = True
    mend: Callable = field(default=lambda site, ns: None)


def workload(
    ns,
    kind="StatefulSet",
    name="demo",
    image=BUSYBOX,
    command=SLEEP,
    resources=SMALL,
    replicas=1,
    volumes=None,
    templates=None,
    **container,
):
    labels = {"app": name}
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": container.pop("name_in_pod", "main"),
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    "resources": resources,
                    **container,
                }
            ],
        }
        | ({"volumes": volumes} if volumes else {}),
    }
    if command is None:
        del pod["spec"]["containers"][0]["command"]
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    if kind == "StatefulSet":
        spec |= {"serviceName": name} | ({"volumeClaimTemplates": templates} if templates else {})
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": spec}


def mount(claim=None, **empty):
    volume = {"name": "data", **({"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": empty})}
    return {"volumes": [volume], "volumeMounts": [{"name": "data", "mountPath": "/data"}]}


def claim(ns, name="data", storage_class=None):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}} | (
        {"storageClassName": storage_class} if storage_class else {}
    )
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": ns}, "spec": spec}


def service(ns, selector="demo", port=80, target=8080):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo", "namespace": ns},
            "spec": {"selector": {"app": selector}, "ports": [{"port": port, "targetPort": target, "protocol": "TCP"}]}}


def ingress(ns):
    backend = {"service": {"name": "demo", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "demo", "namespace": ns},
        "spec": {
            "rules": [
                {"host": f"{ns}.ws.example.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
            ]
        },
    }


SERVE = ["sh", "-c", "mkdir -p /tmp/w; echo ok >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"]
PORT = {"ports": [{"containerPort": 8080}], "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}
FILL = ["sh", "-c", "dd if=/dev/zero of=/data/f bs=64k count=32 && sleep 3600"]
TAKEN = 18797  #: a port of the server that nobody else uses in tests
DATABASE_READY = {"exec": {"command": ["sh", "-c", "mariadb -uroot -e 'select 1'"]}, "periodSeconds": 2}
#: It lets the database be made first: half a minute.
KILL = "sleep 30; while true; do ps | grep '[m]ariadbd' | while read pid rest; do kill -9 $pid; done; sleep 4; done"
KILLER = {"name": "killer", "image": BUSYBOX, "command": ["sh", "-c", KILL], "resources": SMALL}


def database(ns, killed):
    """A database on a volume, and beside it, if ``killed``, somebody who kills it every four seconds."""
    made = workload(
        ns,
        image=MARIADB,
        command=None,
        resources={"requests": {"cpu": "5m", "memory": "64Mi"}},
        name_in_pod="mariadb",
        env=[{"name": "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "value": "1"}],
        readinessProbe=DATABASE_READY,
        **mount("data"),
    )
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"][0]["mountPath"] = "/var/lib/mysql"
    if killed:
        made["spec"]["template"]["spec"] |= {"shareProcessNamespace": True, "containers": [container, KILLER]}
    return made


def free_the_port(site, ns):
    site.cluster.delete("Deployment", "holder", ns)


def holder(ns):
    return workload(ns, kind="Deployment", name="holder", ports=[{"containerPort": 8080, "hostPort": TAKEN}])


FAULTS = {
    "image": Fault(
        "image not found",
        frozenset({"image-not-found"}),
        lambda ns: [workload(ns, image="docker.io/library/nobody-made-this:1", imagePullPolicy="Never")],
        mended=lambda ns: [workload(ns)],
        notebook="workspaces",
    ),
    "port": Fault(
        "port of the server taken",
        frozenset({"port-taken"}),
        lambda ns: [holder(ns), workload(ns, name="demo", ports=[{"containerPort": 8080, "hostPort": TAKEN}])],
        mend=free_the_port,
    ),
    "full": Fault(
        "full volume",
        frozenset({"volume-full"}),
        lambda ns: [workload(ns, command=FILL, **mount(medium="Memory", sizeLimit="1Mi"))],
        mended=lambda ns: [workload(ns, command=FILL, **mount(medium="Memory", sizeLimit="8Mi"))],
        notebook="workspaces",
    ),
    "class": Fault(
        "missing StorageClass",
        frozenset({"claim-no-class"}),
        lambda ns: [claim(ns, storage_class=f"{ns}-fast"), workload(ns, **mount("data"))],
        notebook="storage",
    ),
    "endpoints": Fault(
        "a Service without endpoints",
        frozenset({"url-no-pod"}),
        lambda ns: [workload(ns, command=SERVE, **PORT), service(ns, selector="nobody"), ingress(ns)],
        mended=lambda ns: [service(ns)],
    ),
    "database": Fault(
        "killed database",
        frozenset({"container-killed"}),
        lambda ns: [claim(ns), database(ns, killed=True)],
        mended=lambda ns: [database(ns, killed=False)],
        notebook="workspaces",
        surely=False,
    ),
    "memory": Fault(
        "out of memory",
        frozenset({"oom-killed"}),
        lambda ns: [
            workload(ns, command=["sh", "-c", "tail /dev/zero"], resources={"limits": {"memory": "16Mi", "cpu": "200m"}})
        ],
        mended=lambda ns: [workload(ns)],
        notebook="workspaces",
    ),
    "room": Fault(
        "unschedulable",
        frozenset({"pod-no-room"}),
        lambda ns: [workload(ns, resources={"requests": {"cpu": "64"}})],
        mended=lambda ns: [workload(ns)],
        notebook="workspaces",
    ),
    "settings": Fault(
        "a Secret that is not there",
        frozenset({"config-missing"}),
        lambda ns: [workload(ns, envFrom=[{"secretRef": {"name": "settings"}}])],
        mended=lambda ns: [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "settings", "namespace": ns}, "stringData": {"A": "b"}}
        ],
    ),
    "docker": Fault(
        "a Docker daemon without the rights it needs",
        frozenset({"docker-iptables"}),
        lambda ns: [workload(ns, image=DOCKER, command=DAEMON, name_in_pod="docker", **mount())],
        mended=lambda ns: [workload(ns)],
        notebook="workspaces",
        surely=False,
    ),
    "stopped": Fault(
        "a stopped workspace",
        frozenset({"url-stopped"}),
        lambda ns: [workload(ns, command=SERVE, replicas=0, **PORT), service(ns), ingress(ns)],
        notebook="urls",
    ),
}
