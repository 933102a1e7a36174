"""Autoscalers that cannot see, or stand at their end."""

from collections.abc import Iterator

from runbook.diagnose.findings import WARNING, Case, Finding, first_match
from runbook.diagnose.snapshot import Snapshot, condition, where

FIX = "06-performance-and-autoscaling"
LOOKS_FOR = "autoscalers: metrics, CPU requests"
NO_REQUEST = Case("hpa-no-request", WARNING, "an autoscaler needs a CPU request on every container",
            "the tier does not grow under load", "give every container of it resources.requests.cpu, sidecars too", FIX,
            r"missing request for cpu")
NO_METRICS = Case("hpa-no-metrics", WARNING, "an autoscaler gets no metrics", "the tier does not grow under load",
            "see metrics-server in kube-system; after a start it needs a minute", FIX,
            r"unable to (get|fetch) metrics|no metrics returned from resource metrics API|did not receive metrics for|"
            r"FailedGetResourceMetric")
METRICS_DOWN = Case("metrics-down", WARNING, "the metrics API does not answer",
            "autoscalers stand still, `kubectl top` shows nothing", "see metrics-server in kube-system", FIX,
            r"the server (is currently unable to handle the request|could not find the requested resource) \(get "
            r"\w+\.metrics\.k8s\.io|Metrics API not available")
NO_TARGET = Case("hpa-no-target", WARNING, "an autoscaler's target is not there", "nothing is scaled",
            "mend its scaleTargetRef, or delete it", FIX, r"FailedGetScale")

CASES = (NO_REQUEST, METRICS_DOWN, NO_METRICS, NO_TARGET)


def look(shot: Snapshot) -> Iterator[Finding]:
    for hpa in shot.of("HorizontalPodAutoscaler"):
        active, able = condition(hpa, "ScalingActive"), condition(hpa, "AbleToScale")
        if able.get("status") == "False":
            yield NO_TARGET.at(where(hpa), able.get("lastTransitionTime", ""), f"{able.get('reason')}: {able.get('message', '')}")
        elif (
            active.get("status") == "False"
            and active.get("reason") != "ScalingDisabled"
            and shot.age(hpa["metadata"].get("creationTimestamp", "")) > 120
        ):
            case = first_match((NO_REQUEST, NO_METRICS), f"{active.get('reason')} {active.get('message', '')}")
            if case:
                yield case.at(where(hpa), active.get("lastTransitionTime", ""), active.get("message", ""))
    if shot.metrics is False:
        yield METRICS_DOWN.at("the cluster")
