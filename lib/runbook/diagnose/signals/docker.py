"""Docker refused inside a workspace, by cause. Words of dockerd, runc and its client."""

from collections.abc import Iterator

from runbook.diagnose.findings import WARNING, Case, Finding, first_match
from runbook.diagnose.snapshot import Snapshot

LOOKS_FOR = "Docker in workspaces: mounts, cgroups, user namespaces, the daemon's socket"
NONE = "`docker` does not work in this workspace; everything else does"
CASES = (
    Case("docker-rootless", WARNING, "Docker may not map its users", NONE,
         "set docker.mode to userns or privileged; rootless needs newuidmap and its rights", "04-docker-in-workspaces",
         r"newuidmap .*(failed|Operation not permitted)|failed to setup UID/GID map"),
    Case("docker-overlay", WARNING, "Docker may not mount its layers", NONE,
         "run step 04 again: it probes which mode this server can do; a volume for /var/lib/docker is needed, "
         "overlay on overlay is refused", "04-docker-in-workspaces",
         r"failed to mount overlay: (operation not permitted|permission denied|invalid argument)|error "
         r"initializing graphdriver|driver not supported"),
    Case("docker-cgroup", WARNING, "Docker cannot make cgroups for its containers", NONE,
         "this server needs cgroup v2 for Docker inside of pods; see step 04's probe", "04-docker-in-workspaces",
         r"cgroups?: (cannot (find|found) cgroup mount|cgroup mountpoint does not exist)|cgroup.*(read-only file "
         r"system|permission denied)|Devices cgroup isn't mounted"),
    Case("docker-iptables", WARNING, "Docker may not set up its network", NONE,
         "it needs NET_ADMIN in its own network; run step 04 again", "04-docker-in-workspaces",
         r"can't initialize iptables table|iptables failed|failed to (create NAT chain|register \"bridge\" driver)"),
    Case("docker-down", WARNING, "the Docker daemon of a workspace does not answer", NONE,
         "see the log of the container docker in this workspace", "04-docker-in-workspaces",
         r"Cannot connect to the Docker daemon|failed to start daemon|docker.sock: connect: (no such file|"
         r"connection refused)"),
    Case("docker-socket", WARNING, "the user may not talk to Docker's socket", NONE,
         "start the workspace anew; its group must own the socket", "04-docker-in-workspaces",
         r"permission denied while trying to connect to the (Docker|docker)"),
)


def look(shot: Snapshot) -> Iterator[Finding]:
    """Daemons that crash are told with their pods; here those that run but are not ready."""
    for key, log in shot.logs.items():
        namespace, pod, container = key.split("/", 2)
        case = first_match(CASES, log)
        if case and any(word in container for word in ("docker", "dind")) and not _crashing(shot, namespace, pod, container):
            yield case.at(
                f"Pod {namespace}/{pod} ({container})", evidence=next(line for line in log.splitlines() if case.matches(line))
            )


def _crashing(shot: Snapshot, namespace: str, pod: str, container: str) -> bool:
    return any(
        p["metadata"]["name"] == pod
        and p["metadata"]["namespace"] == namespace
        and c["name"] == container
        and c.get("restartCount", 0) > 1
        for p in shot.of("Pod")
        for c in (p["status"].get("containerStatuses") or [])
    )
