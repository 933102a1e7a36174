"""Workspaces that do not start: images, room, crashes, settings, init."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, NOTICE, WARNING, Case, Finding, first_match
from runbook.diagnose.signals.control import PORT
from runbook.diagnose.signals.databases import CASES as DATABASES
from runbook.diagnose.signals.docker import CASES as DOCKER
from runbook.diagnose.signals.network import DNS
from runbook.diagnose.snapshot import Snapshot, condition, statuses, where

FIX = "92-workspace-does-not-start"
STARTING = 120  #: seconds that a pod may take to be ready before anything is said
HANGING = 900  #: seconds after which an init container is told
LOOKS_FOR = "pods that do not start: images, room, crashes, settings, init that hangs"

PULL = (
    Case("image-rate-limit", WARNING, "the registry refuses more pulls for now",
         "this workspace cannot start until the limit is lifted",
         "wait, or log in to the registry: an imagePullSecret, or a mirror in /etc/rancher/k3s/registries.yaml", FIX,
         r"toomanyrequests|429 Too Many Requests|pull rate limit"),
    Case("image-auth", CRITICAL, "the registry does not let us pull this image", "this workspace cannot start",
         "see the image's name; if it is private, give the namespace an imagePullSecret", FIX,
         r"pull access denied|unauthorized: authentication|401 Unauthorized|authorization failed|"
         r"(manifests|v2)\S*: 403 Forbidden|403 Forbidden.*(manifests|v2)|denied: requested access"),
    Case("image-no-network", CRITICAL, "the registry cannot be reached",
         "this workspace cannot start; nor can any whose image is not here yet",
         "see that this server reaches the registry: its name, DNS, proxy and firewall", FIX,
         r"(pull|resolve|manifests|registry|failed to do request).*(no such host|i/o timeout|connection refused|"
         r"network is unreachable|no route to host|server misbehaving|TLS handshake timeout|x509: |: EOF)"),
    Case("image-not-found", CRITICAL, "the registry has no such image", "this workspace cannot start",
         "mend the image's name or tag in the parameters, then run step 02 again", FIX,
         r"(manifests?|resolve|pull).*(not found|404)|manifest unknown|repository does not exist|ErrImageNeverPull"),
    Case("image-name", CRITICAL, "this is no image's name", "this workspace cannot start",
         "mend the image's name in the parameters", FIX, r"InvalidImageName|couldn't parse image|invalid reference format"),
)
ROOM = (
    Case("pod-selector", CRITICAL, "no node has the labels that this pod asks for", "this workspace cannot start",
         "take the nodeSelector or affinity out, or label a node", FIX, r"didn't match Pod's node affinity/selector"),
    Case("pod-taint", CRITICAL, "every node keeps this pod out by a taint", "this workspace cannot start",
         "see kubectl describe node; uncordon it, or wait until its pressure is over", FIX,
         r"untolerated taint|had taint \{|taints that the pod didn't tolerate|node\(s\) were unschedulable"),
    Case("pod-no-room", CRITICAL, "no node has the room that this pod asks for",
         "this workspace cannot start; those that run are not hurt",
         "ask for less (workspaces.cpu, workspaces.memory), stop an idle workspace, or add a node", FIX,
         r"Insufficient (cpu|memory|ephemeral-storage|pods)|Too many pods"),
)
OOM = Case("oom-killed", CRITICAL, "a container needed more memory than it may have, and was killed",
           "unsaved work and the database's last writes may be lost; it starts again, and falls again",
           "raise workspaces.memory, or see what needs it", FIX, r"OOMKilled|Out of memory: Killed process")
KILLED = Case("container-killed", CRITICAL, "a container is killed from outside, again and again",
            "this workspace cannot be used; what it had not saved is gone",
            "see its events for a failing liveness probe; otherwise somebody or something on the server sends SIGKILL", FIX)
CRASH = Case("crash-loop", CRITICAL, "a container ends soon after it starts, again and again", "this workspace cannot be used",
            "read its last log lines; mend its command, image or settings", FIX,
            r"CrashLoopBackOff|back-off restarting failed container")
COMMAND = Case("command-not-found", CRITICAL, "the image does not have the command that it is started with",
            "this workspace cannot start", "use an image that has it, or mend the command", FIX,
            r"executable file not found in \$PATH|exec: .*: no such file or directory|StartError|RunContainerError")
CONFIG = Case("config-missing", CRITICAL, "a Secret or ConfigMap that the pod needs is not there",
            "this workspace cannot start", "make it again: run the step that made it (02 for workspaces)", FIX,
            r"(secret|configmap) \"[^\"]+\" not found|couldn't find key .* in (Secret|ConfigMap)|"
            r"CreateContainerConfigError")
INIT = Case("init-hangs", WARNING, "init has been running for a quarter of an hour",
            "the workspace does not open until init ends",
            "see its log; a server belongs into `command` of .gitpod.yml, not into `init`", FIX)
QUOTA = Case("quota-reached", CRITICAL, "the namespace's quota refuses another pod",
            "this workspace cannot start until something else of its owner stops",
            "stop another workspace of this owner, or raise the quota", FIX, r"exceeded quota")
QUOTA_FULL = Case("quota-full", NOTICE, "a quota is used up", "nothing more of that kind can be made in this namespace",
            "stop something, or raise the quota", FIX)
UNREADY = Case("not-ready", WARNING, "a pod runs but does not become ready",
            "its URL answers 503, or another pod serves alone", "see what its readiness probe says", FIX)
REFUSED = Case("pod-refused", CRITICAL, "the pod cannot be made", "this workspace cannot start", "see the message", FIX,
            r"violates PodSecurity|is forbidden:")

CASES = (*PULL, *ROOM, OOM, COMMAND, CONFIG, QUOTA, QUOTA_FULL, REFUSED, INIT, UNREADY, KILLED, CRASH)
WAITING_FOR_VOLUMES = (
    "unbound immediate PersistentVolumeClaims",
    "persistentvolumeclaim ",
    "volume node affinity conflict",
    "PersistentVolume's node affinity",
    "didn't find available persistent volumes",
)


def look(shot: Snapshot) -> Iterator[Finding]:
    for pod in shot.of("Pod"):
        if pod["metadata"].get("deletionTimestamp") or (pod["status"].get("phase") == "Succeeded"):
            continue
        yield from _pod(shot, pod)
    for kind in ("StatefulSet", "ReplicaSet", "Deployment", "Job"):
        yield from _refused(shot, kind)
    for quota in shot.of("ResourceQuota"):
        hard, used = (quota.get("status") or {}).get("hard", {}), (quota.get("status") or {}).get("used", {})
        full = [k for k in hard if k in used and used[k] == hard[k] and hard[k] != "0"]
        if full:
            yield QUOTA_FULL.at(where(quota), evidence=", ".join(f"{k}: {used[k]} of {hard[k]}" for k in full))


def _refused(shot: Snapshot, kind: str) -> Iterator[Finding]:
    """Workloads whose pods are refused before they exist; the newest message counts, and only while pods are lacking."""
    lacking = {(o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in shot.of(kind)
               if (o["spec"].get("replicas", 1) or 0) > ((o.get("status") or {}).get("replicas") or 0)}
    seen = set()
    for event in shot.of("Event"):
        about = event["involvedObject"]
        key = (about.get("namespace"), about.get("name"))
        if (
            about.get("kind") != kind
            or event.get("reason") != "FailedCreate"
            or key in seen
            or (kind != "ReplicaSet" and key not in lacking)
        ):
            continue
        seen.add(key)
        case = first_match((QUOTA, REFUSED), event.get("message", ""))
        if case and (kind != "ReplicaSet" or shot.age(event.get("lastTimestamp") or "") < 600):
            yield case.at(f"{kind} {key[0]}/{key[1]}", event.get("firstTimestamp") or "", event.get("message", ""))


def _pod(shot: Snapshot, pod: dict) -> Iterator[Finding]:
    name, since = where(pod), condition(pod, "Ready").get("lastTransitionTime") or pod["metadata"].get("creationTimestamp", "")
    scheduled = condition(pod, "PodScheduled")
    message = scheduled.get("message", "")
    if scheduled.get("status") == "False":
        case = first_match((*ROOM, PORT), message)
        if case and not any(words in message for words in WAITING_FOR_VOLUMES):
            yield case.at(name, scheduled.get("lastTransitionTime", since), message)
        return
    told = False
    for finding in _containers(shot, pod, name, since):
        told = True
        yield finding
    if (
        told
        or shot.age(since) < STARTING
        or condition(pod, "Ready").get("status") != "False"
        or pod["status"].get("phase") == "Failed"
    ):
        return
    hanging = next(
        (
            c
            for c in pod["status"].get("initContainerStatuses") or []
            if (c.get("state") or {}).get("running") and not c.get("started")
        ),
        None,
    )
    if hanging:
        started = hanging["state"]["running"].get("startedAt", "")
        if shot.age(started) > HANGING:
            yield INIT.at(f"{name} ({hanging['name']})", started)
        return
    events = [f"{e.get('reason')}: {e.get('message', '')}" for e in shot.events(pod)]
    mount = next((e for e in events if e.startswith("FailedMount")), "")
    if mount and CONFIG.matches(mount):
        yield CONFIG.at(name, since, mount)
    elif not mount and pod["status"].get("phase") == "Running" and not first_match(DATABASES, " ".join(events)):  # told there
        yield UNREADY.at(
            name, since, next((e for e in events if e.startswith("Unhealthy")), condition(pod, "Ready").get("message", ""))
        )


def _containers(shot: Snapshot, pod: dict, name: str, since: str) -> Iterator[Finding]:
    meta = pod["metadata"]
    for c in statuses(pod):
        waiting = (c.get("state") or {}).get("waiting") or {}
        ended = (c.get("state") or {}).get("terminated") or (c.get("lastState") or {}).get("terminated") or {}
        place = f"{name} ({c['name']})"
        reason, text = waiting.get("reason", ""), f"{waiting.get('reason', '')} {waiting.get('message', '')}"
        if reason in (
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
            "ImageInspectError",
            "RegistryUnavailable",
        ):
            events = " ".join(e.get("message", "") for e in shot.events(pod) if "pull" in e.get("message", "").lower())
            case = first_match(PULL, text) or first_match(PULL, events)
            if case:
                yield case.at(place, since, (text if case.matches(text) else events).strip())
        elif reason in ("CreateContainerConfigError", "CreateContainerError") and CONFIG.matches(text):
            yield CONFIG.at(place, since, text)
        elif ended.get("reason") == "OOMKilled" and not (c.get("ready") and shot.age(ended.get("finishedAt", "")) > 3600):
            yield OOM.at(
                place, ended.get("finishedAt", ""), f"exit code {ended.get('exitCode')}, {c.get('restartCount', 0)} restarts"
            )
        elif (
            ended.get("exitCode")
            and not c.get("ready")
            and (
                reason == "CrashLoopBackOff"
                or c.get("restartCount", 0) > 1
                or pod["status"].get("phase") == "Failed"
                or ended.get("reason") == "StartError"
            )
        ):
            if pod["status"].get("reason") == "Evicted" or any(o["kind"] == "Job" for o in meta.get("ownerReferences") or []):
                continue
            log = shot.logs.get(f"{meta['namespace']}/{meta['name']}/{c['name']}", "") + " " + ended.get("message", "")
            text = f"{log} {waiting.get('message', '')} {ended.get('reason', '')}"
            case, told = _why_it_crashes(c, ended, text)
            yield case.at(place, ended.get("finishedAt", since), f"exit code {ended['exitCode']}: {told or _last_words(log)}")


def _why_it_crashes(container: dict, ended: dict, text: str) -> tuple[Case, str]:
    """The case, and the line that tells it: the last one that is known, for a program survives what it only warned of."""
    from runbook.diagnose.signals.storage import VOLUME_FULL  # storage tells pods' volumes, and imports nothing of this

    is_database = any(word in f"{container['name']} {container.get('image', '')}" for word in ("maria", "mysql", "db"))
    is_docker = any(word in f"{container['name']} {container.get('image', '')}" for word in ("docker", "dind"))
    cases = (*(DATABASES if is_database else ()), *(DOCKER if is_docker else ()), VOLUME_FULL, COMMAND, PORT, DNS)
    for line in reversed(text.splitlines()):
        if case := first_match(cases, line):
            return case, line.strip()
    return first_match(cases, text) or (KILLED if ended.get("exitCode") == 137 else CRASH), ""


def _last_words(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "denied" in line.lower() or "no space" in line.lower()]
    return " | ".join((errors or lines)[-3:])
