"""What Jobs of backups and restores told: their reports, or why they never began."""

import json
import math
from datetime import datetime

HERE = "20-backup-and-restore"
#: What a backup or restore can end with: a sentence, what to do, the notebook that mends it.
PROBLEMS = {
    "full-disk": ("the disk is full", "free room where the message says, or give the repository another place", "93-storage-stuck"),
    "wrong-key": ("the key does not open the repository", "put the key that the repository was made with into the Secret of backup.key", HERE),
    "corrupted": ("the repository is damaged",
                  "keep it as it is, look at it with `restic check --read-data`, and begin a new one elsewhere (backup.repository)", HERE),
    "locked": ("the repository is locked by another run",
               "wait for that run; a lock that stays is taken away by the next backup after half an hour", HERE),
    "busy": ("another backup or restore of this workspace is running, or its database is in use",
             "wait until it has ended, then run this again", HERE),
    "not-allowed": ("the repository or a volume may not be used", "see who owns the folder, and the rights behind the key", "93-storage-stuck"),
    "unreachable": ("the repository does not answer", "see the address in backup.repository, and the network", HERE),
    "no-repository": ("there is no repository at this place", "see backup.repository; a workspace that was never backed up has none", HERE),
    "no-snapshot": ("there is no such snapshot", "choose one of the table of snapshots", HERE),
    "no-database": ("the database was never started", "start the workspace once, then restore", HERE),
    "db-password": ("the database refuses its password", "put back the Secret that the workspace was made with", "92-workspace-does-not-start"),
    "incomplete": ("some files could not be read", "see the message; then back up again", HERE),
    "differs": ("what came back is not what was backed up", "choose another snapshot; keep this one to look at", HERE),
    "claim-gone": ("a volume's claim is gone", "give the volume back (storage.take_back), or restore the workspace", "93-storage-stuck"),
    "interrupted": ("it was interrupted before its end", "run it again; a lock that it left is taken away then", HERE),
    "too-long": ("it took longer than backup.timeout", "raise backup.timeout, or see what it waits for", HERE),
    "image": ("the image cannot be had", "see backup.image, and that the node reaches its registry", HERE),
    "failed": ("it failed", "read its last words", HERE),
}


def outcome(job: dict, pod: dict | None) -> dict:
    """What came of a Job: ``result`` and ``message``, and what its containers told (rows, files, summary…); ``seconds`` from begin to end."""
    ended = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    told = reports(pod) if pod else {}
    merged = {k: v for part in told.values() for k, v in part.items()}
    merged["seconds"] = _seconds(job)
    bad = next((part for part in told.values() if part.get("result") not in ("ok", None)), None)
    if "Complete" in ended:
        return merged | {"result": "ok" if told else "ended", "message": ""}
    if "Failed" in ended:
        if bad:
            return merged | {"result": bad["result"], "message": bad["message"]}
        why = ended["Failed"].get("message", "")
        if ended["Failed"].get("reason") == "DeadlineExceeded" and not (pod and stuck(pod)[0]):
            return merged | {"result": "too-long", "message": why}
        result, message = stuck(pod) if pod else ("", "")
        return merged | {"result": result or "interrupted", "message": message if result else why}
    return merged | {"result": "running", "message": ""}


def reports(pod: dict) -> dict[str, dict]:
    """What each container of a pod left as its report; a text that is none is its last words."""
    status = pod.get("status", {})
    found = {}
    for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        ended = c.get("state", {}).get("terminated")
        if ended:
            found[c["name"]] = report(ended.get("message", ""), ended.get("exitCode", 0), ended.get("reason", ""))
    return found


def report(text: str, code: int, reason: str = "") -> dict:
    """A container's report: ``{"result", "message", …}``."""
    start = text.rfind('{"result":')
    if start >= 0:
        try:
            return json.loads(text[start:].strip())
        except ValueError:
            pass
    if code == 0:
        return {"result": "ok", "message": ""}
    if "no space left" in text.lower():
        return {"result": "full-disk", "message": text.strip()[-500:]}
    result = "interrupted" if code in (137, 143) and reason != "OOMKilled" else "failed"
    return {"result": result, "message": f"{reason}, exit code {code}: {text.strip()[-500:]}".strip(": ")}


def stuck(pod: dict) -> tuple[str, str]:
    """Why a pod that does not begin never will: ``(result, message)``, both empty while it may."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and "persistentvolumeclaim" in condition.get("message", ""):
            return "claim-gone", condition["message"]
    for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = c.get("state", {}).get("waiting", {})
        if waiting.get("reason") in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"):
            return "image", f"{waiting['reason']}: {waiting.get('message', '')}"
        if waiting.get("reason") == "CreateContainerConfigError":
            return "failed", waiting.get("message", "")
    return "", ""


def _seconds(job: dict) -> float:
    status = job.get("status", {})
    end = status.get("completionTime") or next((c.get("lastTransitionTime") for c in status.get("conditions", []) if c["type"] == "Failed"), "")
    if not end or not status.get("startTime"):
        return math.nan
    return (datetime.fromisoformat(end) - datetime.fromisoformat(status["startTime"])).total_seconds()


def snapshots_of(found: dict) -> list[tuple[str, str]]:
    """The snapshots that a backup told of: ``(id, UTC time)``, oldest first."""
    return [tuple(part.split(" ", 1)) for part in found.get("snapshots", "").split(";") if " " in part]
