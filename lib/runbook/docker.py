"""Docker inside workspaces: its modes, the pods that try them, and what to make of a try. Pure: texts and objects in, sentences out."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from runbook.params import Docker

#: Safest first. What each means for the server.
MODES = {
    "userns": "root in the daemon is nobody on the server: the pod has a user namespace of its own",
    "privileged": "whoever uses this Docker is root on the server: containers share its devices, kernel settings and disks",
}
RUNTIME_CLASS = "runbook-docker"  #: also the name of containerd's handler
RECORD = "docker-tries"  #: the ConfigMap that keeps what the tries saw
SCRIPTS = Path(__file__).with_name("scripts")
SETTING = "docker.mirror"

#: What a refusal's text shows → where it comes from. The first that fits. Sources: messages of a run on Kubernetes 1.36, containerd 2.4 and
#: Docker 20.10 (cgroup, image); kubelet's and containerd's own texts (``runtime does not support user namespaces``, ``no runtime for "…" is
#: configured``, internal/cri/config/config.go); Docker Hub's ``toomanyrequests``.
CAUSES = (
    ("admission", r"violates PodSecurity|admission webhook|is forbidden|exceeded quota"),
    ("image", r"ErrImage|ImagePull|InvalidImageName|pull image|failed to pull|toomanyrequests|registry-1\.docker\.io"),
    ("AppArmor", r"(?i)apparmor"),
    ("container runtime", r"(?i)no runtime for|does not support user namespaces|FailedCreatePodSandBox.*runtime|RuntimeClass"),
    ("kernel", r"(?i)idmap|MOUNT_ATTR|max_user_namespaces|user namespaces? (is|are) not|unknown filesystem|no such device"),
    ("cgroup", r"(?i)cgroup"),
    ("kernel", r"(?i)iptables|modprobe|overlay|operation not permitted|permission denied"),
)
MEND = {
    "admission": "see the namespace's Pod Security label and quota",
    "image": "see that this image can be pulled; a mirror for the node goes into its container runtime's settings",
    "AppArmor": "allow it in the node's AppArmor profile",
    "container runtime": "containerd 2.0 or newer is needed, and the handler of the RuntimeClass in its settings",
    "kernel": "Linux 6.3 or newer is needed, with overlay and idmapped mounts",
    "cgroup": "cgroup v2 and containerd's cgroup_writable are needed; step 04 sets that on k3s",
    "unknown": "read the words above",
}


@dataclass(frozen=True)
class Try:
    """What became of one mode.

    Attributes:
        ran: a container ran.
        cause: where the refusal comes from: one of :data:`MEND`; ``"not accepted"`` when it was not tried.
        told: the refusal's own words.
        seen: what was seen: ``{"kernel", "cgroup", "cgroup_writable", "uid_map", "apparmor", "daemon", "driver", …}``.
    """

    mode: str
    ran: bool
    cause: str = ""
    told: str = ""
    seen: tuple[tuple[str, str], ...] = ()

    @property
    def why(self) -> str:
        """A sentence: why it was refused; empty when it runs."""
        return "" if self.ran else f"{self.cause}: {self.told}"

    def text(self) -> str:
        return json.dumps({"ran": self.ran, "cause": self.cause, "told": self.told, "seen": dict(self.seen)}, sort_keys=True)

    @classmethod
    def of(cls, mode: str, text: str) -> "Try":
        kept = json.loads(text)
        return cls(mode, kept["ran"], kept["cause"], kept["told"], tuple(sorted(kept["seen"].items())))


def understood(mode: str, output: str) -> Try:
    """What ``docker-try.sh`` printed, as a :class:`Try`. Without its last line nothing ran."""
    seen = dict(line.split("=", 1) for line in output.splitlines() if re.match(r"[a-z_]+=", line))
    if seen.get("ran") == "yes":
        return Try(mode, True, seen=tuple(sorted(seen.items())))
    told = plain(seen.get("told", "")) or f"the try ended early: {output.strip()[-300:] or 'it printed nothing'}"
    denied = seen.get("cgroup_writable", "yes") != "yes" and cause(told) == "kernel" and "cgroup" in told
    return Try(mode, False, "cgroup" if denied else cause(told), told, tuple(sorted(seen.items())))


def cause(text: str) -> str:
    """Where a refusal comes from, by its own words: a key of :data:`MEND`."""
    return next((name for name, pattern in CAUSES if re.search(pattern, text)), "unknown")


def plain(told: str) -> str:
    """A refusal without the wrapping that each layer adds: the last of its parts, and the part before when that says what was tried."""
    told = re.sub(r"^(docker: )?Error response from daemon: ", "", told.strip())
    told = re.sub(r'\s*time="[^"]*" level=.*$', "", told)  # what the client logs after it
    parts = [p for p in told.removesuffix(".").removesuffix(": unknown").split(": ") if p]
    return ": ".join(parts[-3:]) if len(parts) > 3 else ": ".join(parts)


def registry_trouble(told: str) -> str:
    """What a failed pull means, with the setting that helps; empty when it is not the registry's doing."""
    if re.search(r"toomanyrequests|429 Too Many|rate limit", told, re.IGNORECASE):
        return f"Docker Hub's limit of pulls is reached: set {SETTING} to a mirror of Docker Hub, or wait"
    if re.search(r"no such host|i/o timeout|connection refused|network is unreachable|Temporary failure in name resolution|no route to host|"
                 r"TLS handshake timeout|context deadline exceeded|Client\.Timeout|lookup .* on .*:53|server misbehaving", told):
        return f"the registry cannot be reached from the workspaces: let them out to it, or set {SETTING} to a mirror of Docker Hub"
    if re.search(r"manifest unknown|pull access denied|not found|repository does not exist", told):
        return f"the registry has no such image: see its name, and that the mirror in {SETTING} holds it"
    return ""


def pod(mode: str, wanted: Docker, runtime_class: str = "") -> dict:
    """The pod in which a mode is tried: the rights and limits that the chart gives a workspace's daemon in that mode."""
    rights: dict = {"runAsUser": 0, "runAsGroup": 0}
    rights |= {"privileged": True} if mode == "privileged" else {
        "capabilities": {"add": ["ALL"]}, "procMount": "Unmasked", "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"}}
    spec = {
        "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": 1,
        "activeDeadlineSeconds": wanted.timeout * 2,
        "containers": [{
            "name": "docker", "image": wanted.image, "command": ["sleep", str(wanted.timeout * 2)], "securityContext": rights,
            "resources": {"requests": {"cpu": wanted.cpu, "memory": wanted.memory},
                          "limits": {"cpu": wanted.cpu_limit, "memory": wanted.memory_limit}},
            "volumeMounts": [{"name": "images", "mountPath": "/var/lib/docker"}]}],
        "volumes": [{"name": "images", "emptyDir": {"sizeLimit": "1Gi"}}],
    }
    if mode == "userns":
        spec |= {"hostUsers": False} | ({"runtimeClassName": runtime_class} if runtime_class else {})
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {
        "name": f"try-{mode}", "namespace": wanted.namespace, "labels": {"app.kubernetes.io/managed-by": "runbook", "runbook/try": mode}}}


def script() -> str:
    """The text of ``docker-try.sh``."""
    return (SCRIPTS / "docker-try.sh").read_text()


def fingerprint(nodes: list[dict], wanted: Docker, runtime_class: str) -> str:
    """What a try's result depends on; another node, kernel, runtime or image asks for a new try."""
    infos = [[n["metadata"]["name"], *(n["status"]["nodeInfo"][k] for k in ("kernelVersion", "containerRuntimeVersion", "kubeletVersion"))]
             for n in nodes]
    return hashlib.sha256(json.dumps([sorted(infos), wanted.image, runtime_class, script()]).encode()).hexdigest()[:16]


def to_try(wanted: Docker) -> list[str]:
    """The modes that the parameters let us try, safest first."""
    if wanted.mode == "auto":
        return ["userns", "privileged"] if wanted.allow_privileged else ["userns"]
    return [] if wanted.mode == "none" else [wanted.mode]


def chosen(wanted: Docker, tries: dict[str, Try]) -> str | None:
    """The mode by the tries; ``none`` if each was refused; ``None`` while they have not been made."""
    for mode in to_try(wanted):
        if mode not in tries:
            return None
        if tries[mode].ran:
            return mode
    return "none"


def values(mode: str, wanted: Docker, runtime_class: str = "") -> dict:
    """The chart's values below ``docker``; empty for no Docker."""
    if mode == "none":
        return {}
    return {"mode": mode, "image": wanted.image, "runtimeClass": runtime_class if mode == "userns" else "", "mirror": wanted.mirror,
            "storage": {"size": wanted.storage}, "resources": {
                "requests": {"cpu": wanted.cpu, "memory": wanted.memory},
                "limits": {"cpu": wanted.cpu_limit, "memory": wanted.memory_limit, "ephemeral-storage": wanted.disk_limit}}}
