"""Waiting for workspaces: until one is ready, or queued, or not wanted, or fails."""

from runbook.errors import ClusterError, RunbookError
from runbook.facts import workspaces as facts
from runbook.params import Workspaces
from runbook.workspaces import namespace

#: Waiting reasons that a container does not recover from by itself; the back-offs come after it was tried again.
HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "ImagePullBackOff", "CrashLoopBackOff"}
FIX = "92-workspace-does-not-start"


def settle(site, name: str, owner: str, timeout: int) -> None:
    """Wait until a workspace's pod is ready, or queued for want of room, or not wanted.

    Raises:
        RunbookError: it fails, with its containers' own words; a quota refuses its pod; or it is not ready in time.
    """
    where, pod = namespace(owner), f"{name}-0"
    # Until its controller has seen the change, it names the revision of the pod that is to go.
    workload = site.cluster.wait("StatefulSet", name, where, until=lambda obj: obj is None or _observed(obj), timeout=60,
                                 what=f"the controller to see workspace {owner}/{name}")
    if workload is None or workload["spec"].get("replicas", 1) == 0:
        return
    revision = workload.get("status", {}).get("updateRevision", "")
    before = facts.refusals(site, workload)

    def settled(obj: dict | None) -> bool:
        if obj is None:
            return facts.refusals(site, workload) != before  # refused now; what was refused earlier is still told
        if revision and obj["metadata"].get("labels", {}).get("controller-revision-hash", revision) != revision:
            return False
        return facts.state_of(workload, obj)[0] in ("ready", "queued")

    def failed(obj: dict) -> str:
        for c in obj.get("status", {}).get("initContainerStatuses", []) + obj.get("status", {}).get("containerStatuses", []):
            waiting = c.get("state", {}).get("waiting", {})
            if waiting.get("reason") in HOPELESS:
                return f"{c['name']}: {waiting['reason']}"
        return ""

    try:
        obj = site.cluster.wait("Pod", pod, where, until=settled, fail_on=failed, timeout=timeout, what=f"workspace {owner}/{name} to be ready")
    except ClusterError as error:
        raise RunbookError(f"workspace {owner}/{name} does not start: {error.what.splitlines()[0]}\n{facts.trouble(site, name, owner)}".rstrip(),
                           do="mend the reason above, then run the step again; what was begun is taken back", fix=FIX) from None
    if obj is None:
        raise RunbookError(f"workspace {owner}/{name} gets no pod: {facts.refusal(site, workload)}",
                           do="stop or delete another workspace of this owner, or raise workspaces.quota; what was begun is taken back", fix=FIX)
    state, why = facts.state_of(workload, obj)
    if state == "queued":
        print(f"workspace {owner}/{name} is queued: {why}", flush=True)


def settle_all(site, wanted: Workspaces) -> None:
    """Wait until every listed workspace has settled, whoever began it: a killed run may have left one that is still starting.

    One that fails is told and left to the claims.
    """
    for w in wanted.list:
        try:
            settle(site, w.name, w.owner, wanted.timeout)
        except RunbookError as error:
            print(error.what, flush=True)


def _observed(workload: dict) -> bool:
    meta, status = workload["metadata"], workload.get("status", {})
    return status.get("observedGeneration", 0) >= meta.get("generation", 0)
