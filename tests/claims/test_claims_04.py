"""The claims of 04-docker-in-workspaces: a node on which Docker works behind its walls, and answers as one does; then one thing is wrong.

Programs inside pods are answered at the transport, told apart by the library's own scripts; pods of the tries of limits end as the kubelet
ends them.
"""

from collections.abc import Callable

from runbook import docker
from runbook.attempts import containers, isolation, limits
from runbook.host import Result
from runbook.operations import policies
from runbook.operations.cgroups import KUBELET
from runbook.operations.walls import LEVEL
from runbook.rehearsal import RehearsalHost, RehearsalTransport

from .faults import label
from .kit import Table, Way, proof_of
from .test_claims_05 import network

PLACE = "ws-alice"
TRIED = "ran=yes\nkernel=6.18\ncgroup=v2\ncgroup_writable=yes\nuid_map=0 165536 65536\ndriver=overlay2\n"
PAGE = "PHP 8.2.1 and MariaDB 11.4 in containers"
IMAGES = "docker images --no-trunc -q"
#: Script → what it prints on a good day. The first whose text is in the command is taken.
GOOD: dict[str, str | tuple[str, int] | Callable] = {
    docker.script(): TRIED, containers.WITHIN: "0::/\n--\n0::/docker/abc\n", containers.OWN_IMAGE: "sha256:1\n", IMAGES: "sha256:1\n",
    "echo it runs": "it runs\n", "docker pull": "php\n", containers.BUILD: "built\n", containers.PUT: "", containers.UP: "started\n", containers.PAGE: PAGE,
    containers.DOWN: "", isolation.SLEEP: "", isolation.PROCESSES: "control\n", isolation.FILES: "control\n", isolation.TOKEN: "control\n",
    "sleep 0.5": "",
}
MEMORY = {"reason": "OOMKilled", "exitCode": 137}


class Node:
    """What runs inside pods. ``wrong`` overrides answers by script; ``ways`` are the connections that are open beside a workspace's own."""

    def __init__(self, world, wrong, ways, memory, evicted):
        self.world, self.wrong, self.ways, self.memory, self.evicted, self.ended = world, wrong, ways, memory, evicted, False
        self.write = RehearsalTransport.request
        begin, start = RehearsalTransport.__init__, RehearsalHost.__init__
        world.patch.setattr(RehearsalTransport, "__init__", lambda t, state: (begin(t, state), setattr(t, "replayed", ""))[0])
        world.patch.setattr(RehearsalHost, "__init__", lambda h, state: (start(h, state), setattr(h, "replayed", ""))[0])
        world.patch.setattr(RehearsalTransport, "exec", lambda t, *asked: self.exec(*asked))
        world.patch.setattr(RehearsalTransport, "request", lambda t, *asked, **more: self.request(t, *asked, **more))

    def exec(self, namespace, pod, container, argv, timeout, input):
        """A command in a container: connections first, since their targets matter; then by script."""
        text, said = " ".join(argv), None
        if isolation.CONNECT in text:
            said = self._connect(namespace, *argv[-2:])
        elif pod == policies.CLIENT and "stream_socket_client" in text:
            with self.world.objects() as objects:
                said = ("", 1 if objects.get("NetworkPolicy", policies.SERVER, namespace) else 0)
        elif argv[-2:] == [containers.END, "docker"] or f" {containers.END} " in f" {text} ":
            said = self._end(namespace, pod)
        else:
            found = next((script for script in (*self.wrong, *GOOD) if script in text), None)
            assert found is not None, f"nothing is known of: {text[:200]}"
            said = self.wrong.get(found, GOOD.get(found))
        said = said(self) if callable(said) else said
        out, code = said if isinstance(said, tuple) else (said, 0)
        return Result(tuple(argv), code, out)

    def _connect(self, namespace, host, port):
        own = host.endswith(f".{namespace}.svc") or host == "127.0.0.1"
        return "open\n" if own or int(port) in self.ways else "no answer\n"

    def _end(self, namespace, pod):
        """The kubelet starts a daemon that was ended again."""
        def again(obj):
            status = next(c for c in obj["status"]["containerStatuses"] if c["name"] == "docker")
            status["restartCount"] += 1
            status["started"] = True

        self.ended = True
        self.world.change("Pod", pod, namespace, again)
        return ""

    def request(self, transport, method, path, *asked, **more):
        """As the rehearsal's; a pod that was made to meet its limits has met them."""
        answer = self.write(transport, method, path, *asked, **more)
        name = path.rpartition("/")[2]
        if method == "PATCH" and name in (limits.POD, limits.DISK_POD) and "dryRun" not in str(asked):
            namespace = path.split("/")[-3]
            self.world.change("Pod", name, namespace, self._over if name == limits.POD else lambda pod: pod["status"].update(self.evicted))
        return answer

    def _over(self, pod):
        for status in pod["status"]["containerStatuses"]:
            status["state"] = {"terminated": self.memory if status["name"] == "memory" else {"reason": "Completed", "exitCode": 0}}


def server(world, wrong=None, ways=(), memory=MEMORY, evicted=None, throttled=9, processes=100, **probes):
    Node(world, wrong or {}, ways, memory, evicted or {"phase": "Failed", "reason": "Evicted", "message": "ephemeral local storage usage exceeds"})
    network(world, **{"docker": {"body": PAGE}, **probes})
    world.log(PLACE, f"Pod/{limits.POD}", "cpu", f"throttled {throttled}\n")
    world.log(PLACE, f"Pod/{limits.POD}", "pids", f"processes {processes}\n")
    with world.state.change() as data:
        data["files"][KUBELET] = {"text": "", "mode": 0o644, "time": ""}


def way(act=None, at=None, **more):
    return Way(lambda world: (server(world, **more), act and act(world)), after=("02", "05"), at=at or {})


def says(script, text, code=0):
    return way(wrong={script: (text, code)})


def pod_spec(change):
    """Somebody changes the template of alice's workspace."""
    return way(at={"found = facts.mode": lambda world, names: world.change(
        "StatefulSet", "demo", PLACE, lambda o: change(o["spec"]["template"]["spec"], next(
            c for c in o["spec"]["template"]["spec"]["containers"] if c["name"] == "docker")))})


def not_ready(world, names):
    world.change("Pod", "demo-0", PLACE, lambda pod: next(c for c in pod["status"]["containerStatuses"] if c["name"] == "docker").update(ready=False))


def relabelled(world, names):
    world.change("Namespace", PLACE, "", lambda o: o["metadata"]["labels"].update({LEVEL: "restricted"}))


def no_admission(world):
    server(world)
    world.patch.setattr("runbook.rehearsal.podsecurity.violations", lambda level, pod: "")


def full(world, names):
    world.every("ResourceQuota", PLACE, lambda quota: quota["spec"]["hard"].update({"pods": "0"}))


def let_out(world, names):
    names["site"].cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "everything", "namespace": PLACE},
                                 "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}})


def unlimited(world, names):
    world.change("Pod", "demo-0", PLACE, lambda pod: pod["spec"]["containers"][0]["resources"]["limits"].pop("memory"))


def without_docker(act=server, at=None):
    return Way(act, after=("02", "05"), given={"docker": {"mode": "none"}}, at=at or {})


TABLE = Table("04", proven=(way(), without_docker()), refuted={
    "every workspace of the parameters is deployed": Way(server),
    "no daemon becomes root on the server without the parameters' consent": Way(server, after=("02", "05"), given={"docker": {"mode": "privileged"}}),
    "a mode that the parameters accept runs a container on this node": Way(
        lambda world: server(world, {docker.script(): "told=mount: permission denied\nran=no\n"}), after=("02", "05"), given={"docker": {"mode": "userns"}}),
    "every daemon runs in that mode": pod_spec(lambda spec, daemon: spec.pop("hostUsers")),
    "every daemon is ready, or its workspace stopped": way(at={"found = facts.mode": not_ready}),
    "every daemon has a volume with a size, and limits": pod_spec(lambda spec, daemon: daemon["resources"]["limits"].pop("memory")),
    "docker run works in a workspace": says("opt/runbook\ndocker run --rm", "docker: permission denied", 126),
    "what Docker runs counts against the daemon's limits": says(containers.WITHIN, "0::/\n--\n0::/../../elsewhere\n"),
    "images outlive the daemon": way(wrong={IMAGES: lambda node: "" if node.ended else "sha256:1\n"}),
    "docker pull reaches a registry": says("docker pull", "dial tcp: lookup registry-1.docker.io: no such host", 1),
    "docker build works": says(containers.BUILD, "failed to solve", 1),
    "docker compose up works": says(containers.UP, "no such service", 1),
    "the compose file's page answers with PHP and MariaDB": says(containers.PAGE, "curl: (52) Empty reply", 1),
    "its port is reached by the workspace's port URL": way(docker={"body": "nothing listens"}),
    "a workspace cannot read the server's files": says(isolation.FILES, "control\nfound /host/etc/machine-id\n"),
    "a workspace does not see other pods' processes": says(isolation.PROCESSES, "control\nfound /proc/4242\n"),
    "a workspace cannot reach the IDE of another owner": way(ways=(isolation.IDE_PORT,)),
    "a workspace cannot reach the database of another owner": way(ways=(isolation.DATABASE_PORT,)),
    "a workspace cannot reach the server's kubelet": way(ways=(isolation.KUBELET_PORT,)),
    "a workspace cannot reach the API server": way(ways=(isolation.API_PORT,)),
    "the main container has no token": says(isolation.TOKEN, "control\nfound /var/run/secrets/kubernetes.io/serviceaccount/token\n"),
    "root in the daemon is nobody on the server": says(docker.script(), TRIED.replace("0 165536 65536", "0 0 4294967295")),
    "no policy lets a workspace out to metadata addresses or the server's own ports": way(at={"ways =": let_out}),
    "Pod Security is as strict as the mode allows: {…}": way(at={"levels =": relabelled}),
    "a pod that asks for the server's disk is refused": without_docker(no_admission),
    "an ordinary pod is admitted": way(at={"levels =": full}),
    "every container has limits of CPU, memory and disk": way(at={"strict =": unlimited}),
    "a memory hog is ended, and nothing else": way(memory={"reason": "Completed", "exitCode": 0}),
    "a busy loop is held to its limit of CPU": way(throttled=0),
    "a fork bomb ends at the pod's limit of processes": way(processes=5000),
    "a pod that fills the disk is evicted": way(evicted={"phase": "Succeeded"}),
    "a second run of step 04 would change nothing": way(at={"again =": lambda world, names: label(world, "NetworkPolicy", PLACE)}),
})

test_proven, test_refuted = proof_of(TABLE)
