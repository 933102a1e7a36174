"""Claims that do not bind, volumes that are full or elsewhere, disks under pressure."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, NOTICE, WARNING, Case, Finding, first_match
from runbook.diagnose.snapshot import Snapshot, condition, where

FIX = "93-storage-stuck"
LOOKS_FOR = "storage: claims that wait, full volumes and disks, volumes on another node, evictions"
LOW, GONE = (
    0.85,
    0.95,
)  #: of a disk in use; kubelet evicts from 85 % of imagefs or 90 % of nodefs on, by default (hard eviction thresholds)

WAITS = Case("claim-waits-for-pod", NOTICE, "a claim waits for the first pod that uses it",
            "nobody is hurt: its class binds when a pod comes (WaitForFirstConsumer)",
            "start the workspace; nothing is wrong with the claim", "", r"waiting for first consumer to be created")
NO_CLASS = Case("claim-no-class", CRITICAL, "a claim asks for a StorageClass that is not there", "the workspace cannot start",
            "run step 03, or name a class that exists", FIX, r"storageclass.storage.k8s.io \"[^\"]+\" not found")
NO_DEFAULT = Case("claim-no-default-class", CRITICAL, "a claim names no class, and there is no default one",
            "the workspace cannot start", "name a class, or make one the default", FIX,
            r"no persistent volumes available for this claim and no storage class is set")
PROVISION = Case("claim-not-provisioned", CRITICAL, "the provisioner could not make a volume", "the workspace cannot start",
            "see its message, and the log of local-path-provisioner in kube-system", FIX,
            r"failed to provision volume|ProvisioningFailed")
NO_PROVISIONER = Case("claim-no-provisioner", CRITICAL, "nobody makes volumes of this class", "the workspace cannot start",
            "see that the class's provisioner runs (local-path-provisioner in kube-system)", FIX,
            r"Waiting for a volume to be created either by the external provisioner")
LOST = Case("claim-lost", CRITICAL, "the volume of a claim is gone",
            "the data of this workspace are not there; it cannot start", "restore them from a backup (step 20)", FIX)
MISSING = Case("claim-missing", CRITICAL, "a pod's claim is not there", "the workspace cannot start",
            "run step 02 again; with kept volumes it finds them", FIX, r"persistentvolumeclaim \"[^\"]+\" not found")
AFFINITY = Case("volume-elsewhere", CRITICAL, "the volume lies on another node than the pod may run on",
            "the workspace cannot start until that node is back",
            "bring the node back, or restore its data on another one (step 20); local volumes do not move", FIX,
            r"volume node affinity conflict|didn't match PersistentVolume's node affinity")
TERMINATING = Case("claim-terminating", NOTICE, "a claim is being deleted, but a pod still uses it",
            "it stays until that pod is gone; then its data go, unless the class retains them",
            "stop the pod if that was meant", FIX)
RELEASED = Case("volume-released", NOTICE, "a kept volume has no claim any more", "its data are safe, but nobody uses them",
            "bind it to a new claim, or delete it on purpose", FIX)
MOUNT = Case("volume-not-mounted", CRITICAL, "a volume cannot be mounted", "the workspace cannot start",
            "see the message; the pod's events say which volume", FIX,
            r"MountVolume\.\w+ failed|Unable to attach or mount volumes|FailedMapVolume")
VOLUME_FULL = Case("volume-full", CRITICAL, "a volume is full",
            "nothing can be saved in this workspace; its programs fail one after the other",
            "free room in it, or move to a larger volume", FIX, r"No space left on device|Disk quota exceeded|ENOSPC")
DISK_FULL = Case("disk-full", CRITICAL, "a disk of the server is full",
            "workspaces on it cannot save, new ones cannot start, the cluster may stop",
            "free room: `k3s crictl rmi --prune`, old logs and backups; local-path volumes share this disk", FIX)
DISK_LOW = Case("disk-low", WARNING, "a disk of the server is getting full", "soon pods are evicted and images removed",
            "free room: `k3s crictl rmi --prune`, old logs and backups", FIX)
INODES = Case("inodes-low", WARNING, "a file system is running out of inodes",
            "soon no file can be made on it, though there is room", "find folders with very many files, such as caches", FIX)
PRESSURE = Case("node-pressure", CRITICAL, "a node is under pressure and evicts pods",
            "workspaces on it are being stopped; new ones do not start there",
            "free what the message names; evicted workspaces come back when it is over", FIX,
            r"The node (was low on|had condition: \[(Disk|Memory|PID)Pressure)")
EVICTED = Case("evicted", WARNING, "a pod was evicted",
            "what it had not saved on a volume is gone; its workload starts another one", "see the message for what ran out",
            FIX, r"Usage of EmptyDir volume .* exceeds the limit|ephemeral local storage usage exceeds|The node was low on "
            r"resource")

CASES = (
    WAITS,
    NO_CLASS,
    NO_DEFAULT,
    MISSING,
    AFFINITY,
    NO_PROVISIONER,
    PROVISION,
    LOST,
    TERMINATING,
    RELEASED,
    EVICTED,
    PRESSURE,
    VOLUME_FULL,
    MOUNT,
    DISK_FULL,
    DISK_LOW,
    INODES,
)


def look(shot: Snapshot) -> Iterator[Finding]:
    for claim in shot.of("PersistentVolumeClaim"):
        yield from _claim(shot, claim)
    for volume in shot.of("PersistentVolume"):
        if (volume.get("status") or {}).get("phase") in ("Released", "Failed"):
            claim = volume["spec"].get("claimRef") or {}
            yield RELEASED.at(where(volume), evidence=f"was claimed by {claim.get('namespace')}/{claim.get('name')}")
    for pod in shot.of("Pod"):
        yield from _pod(shot, pod)
    for node in shot.of("Node"):
        for kind in ("DiskPressure", "MemoryPressure", "PIDPressure"):
            seen = condition(node, kind)
            if seen.get("status") == "True":
                yield PRESSURE.at(where(node), seen.get("lastTransitionTime", ""), f"{kind}: {seen.get('message', '')}")
    yield from _disks(shot)


def _claim(shot: Snapshot, claim: dict) -> Iterator[Finding]:
    meta, phase = claim["metadata"], (claim.get("status") or {}).get("phase")
    name, since = where(claim), meta.get("creationTimestamp", "")
    if meta.get("deletionTimestamp"):
        yield TERMINATING.at(name, meta["deletionTimestamp"])
    elif phase == "Lost":
        yield LOST.at(name, since, f"volume {claim['spec'].get('volumeName', '')}")
    elif phase == "Pending":
        classes = {c["metadata"]["name"]: c for c in shot.of("StorageClass")}
        wanted = claim["spec"].get("storageClassName")
        messages = [e.get("message", "") for e in shot.events(claim)]
        told = next((m for m in messages if first_match((PROVISION, NO_CLASS), f"{m}")), "")
        if wanted and wanted not in classes and shot.saw("StorageClass"):
            yield NO_CLASS.at(name, since, told or f"storage class {wanted} is not there")
        elif not wanted:
            yield NO_DEFAULT.at(name, since, next(iter(messages), ""))  # a default class would have been filled in
        elif told:
            yield PROVISION.at(name, since, told)
        elif classes.get(wanted, {}).get("volumeBindingMode") == "WaitForFirstConsumer" and not _users(shot, claim):
            yield WAITS.at(name, since, f"class {wanted} binds with the first pod")
        elif shot.age(since) > 120 and not _waits_for_a_node(shot, claim):
            yield NO_PROVISIONER.at(name, since, next(iter(messages), ""))


def _users(shot: Snapshot, claim: dict) -> list[dict]:
    meta = claim["metadata"]
    return [p for p in shot.of("Pod") if p["metadata"]["namespace"] == meta["namespace"] and any(
        (v.get("persistentVolumeClaim") or {}).get("claimName") == meta["name"] for v in p["spec"].get("volumes") or [])]


def _waits_for_a_node(shot: Snapshot, claim: dict) -> bool:
    """A claim that binds with its first pod waits for as long as that pod has no node: the pod is the one to tell of."""
    return any(condition(p, "PodScheduled").get("status") == "False" for p in _users(shot, claim))


def _pod(shot: Snapshot, pod: dict) -> Iterator[Finding]:
    status, since = pod["status"], pod["metadata"].get("creationTimestamp", "")
    if status.get("phase") == "Failed" and status.get("reason") == "Evicted":
        yield EVICTED.at(where(pod), status.get("startTime", since), status.get("message", ""))
        return
    message = condition(pod, "PodScheduled").get("message", "") if condition(pod, "PodScheduled").get("status") == "False" else ""
    case = first_match((AFFINITY, MISSING), message)
    if case:
        yield case.at(where(pod), since, message)
    mounted = condition(pod, "PodReadyToStartContainers").get("status") == "True"  # an event of a first try stays for an hour
    if status.get("phase") == "Pending" and pod["spec"].get("nodeName") and shot.age(since) > 60 and not mounted:
        failed = next(
            (
                e.get("message", "")
                for e in shot.events(pod)
                if e.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
            ),
            "",
        )
        if failed and "not found" not in failed:
            yield MOUNT.at(where(pod), since, failed)


def _disks(shot: Snapshot) -> Iterator[Finding]:
    for disk in shot.host.get("disks", []):
        used = 1 - disk["available"] / disk["size"]
        if used >= LOW:
            text = f"{used:.0%} of {disk['size'] / 2**30:.0f} GiB in use"
            yield (DISK_FULL if used >= GONE else DISK_LOW).at(f"{disk['mount']} of this server", evidence=text)
    for disk in shot.host.get("inodes", []):
        used = 1 - disk["available"] / disk["size"]
        if used >= 0.9:
            yield INODES.at(f"{disk['mount']} of this server", evidence=f"{used:.0%} of its inodes in use")
