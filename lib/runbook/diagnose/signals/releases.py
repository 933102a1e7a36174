"""Helm releases that did not finish, k3s's own install jobs, roll-outs that do not end."""

from collections.abc import Iterator

from runbook.diagnose.findings import CRITICAL, WARNING, Case, Finding
from runbook.diagnose.snapshot import Snapshot, condition, where

LOOKS_FOR = "releases: pending or failed ones, k3s's helm-install jobs, roll-outs and upgrades that do not end"
FIX = "02-deploy-gitpod-lamp"
PENDING = Case("release-pending", WARNING, "a Helm release stopped half-way",
            "it cannot be upgraded until that is mended; what runs goes on",
            "run the step that made it again; it rolls back to the last good revision first", FIX,
            r"another operation \(install/upgrade/rollback\) is in progress")
FAILED = Case("release-failed", WARNING, "a Helm release failed", "it runs as far as it came, or as it was before",
            "see its message, mend the parameters, run the step again", FIX,
            r"(INSTALLATION|UPGRADE) FAILED|has no deployed releases|release: not found")
HELM_JOB = Case("helm-job-failing", CRITICAL, "k3s cannot install one of its own charts",
            "what that chart brings (Traefik: every URL) is not there",
            "see the log of its pod in kube-system: kubectl -n kube-system logs job/NAME", "01-install-k3s")
JOB = Case("job-failed", WARNING, "a job failed for good", "what it was to do is not done", "see the log of its pod", "")
STUCK = Case("rollout-stuck", WARNING, "a roll-out does not end", "the old pods go on serving; the new ones are not ready",
            "see the newest pod; roll back with helm or kubectl rollout undo", FIX,
            r"ProgressDeadlineExceeded|exceeded its progress deadline|timed out waiting for the condition")
STUCK_AGE = 900  #: seconds that a release may be pending

CASES = (PENDING, FAILED, HELM_JOB, JOB, STUCK)


def look(shot: Snapshot) -> Iterator[Finding]:
    for release in _newest(shot.of("Release")):
        labels = release["metadata"].get("labels") or {}
        place, since = f"release {release['metadata']['namespace']}/{labels.get('name', '?')}", release["metadata"].get(
            "creationTimestamp", ""
        )
        if labels.get("status") == "failed":
            yield FAILED.at(place, since, f"revision {labels.get('version')}")
        elif shot.age(since) > STUCK_AGE:
            yield PENDING.at(place, since, f"revision {labels.get('version')}: {labels.get('status')}")
    for job in shot.of("Job"):
        failed = condition(job, "Failed")
        is_helm = job["metadata"]["name"].startswith("helm-")
        if failed.get("status") == "True" or (
            is_helm and (job.get("status") or {}).get("failed", 0) > 2 and not (job.get("status") or {}).get("succeeded")
        ):
            yield (HELM_JOB if is_helm else JOB).at(
                where(job), failed.get("lastTransitionTime", ""), failed.get("message", "") or "its pods fail"
            )
    for deployment in shot.of("Deployment"):
        progress = condition(deployment, "Progressing")
        if progress.get("reason") == "ProgressDeadlineExceeded" and (deployment["spec"].get("replicas") or 0) > 0:
            yield STUCK.at(where(deployment), progress.get("lastTransitionTime", ""), progress.get("message", ""))


def _newest(releases: list[dict]) -> list[dict]:
    newest: dict[tuple, dict] = {}
    for release in releases:
        labels = release["metadata"].get("labels") or {}
        key = (release["metadata"]["namespace"], labels.get("name"))
        if key not in newest or int(labels.get("version", 0)) > int(newest[key]["metadata"]["labels"].get("version", 0)):
            newest[key] = release
    return list(newest.values())
