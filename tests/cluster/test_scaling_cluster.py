"""The tier on a real cluster: it scales and rolls out without losing a request, and says why when it cannot."""

import os

import pytest

import runbook
from runbook import performance, plans
from runbook.errors import LoadError
from runbook.facts import scaling as facts
from runbook.load import Stage
from runbook.operations import scaling

pytestmark = [pytest.mark.cluster, pytest.mark.long]
SPACE = f"perf-test-{os.getpid()}"  # two runs at once do not meet


def wanted(**keys):
    return runbook.section("load", {"namespace": SPACE, "cpu_limit": "300m", "replicas_max": 3, "fewer_after": 5, "timeout": 30, **keys})


@pytest.fixture(scope="module")
def site():
    site = runbook.connect("local", name="perf", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    plans.apply(scaling.ensure_tier(site, wanted()), "apply")
    scaling.await_rest(site, wanted())
    yield site
    site.cluster.delete("Namespace", SPACE)
    site.cluster.wait("Namespace", SPACE, until=lambda obj: obj is None, timeout=120, what=f"namespace {SPACE} to be gone")


def test_a_second_plan_is_empty(site):
    assert not scaling.ensure_tier(site, wanted())


def test_the_autoscaler_works_and_the_cluster_measures(site):
    assert facts.measures(site) == "" and facts.scales(facts.autoscaler(site, SPACE, "lamp"))
    assert (facts.pods(site, SPACE, "lamp")["without_request"] == "").all()


def test_scaling_up_and_down_loses_nothing(site):
    wave = performance.measure(site, wanted(), "wave", [Stage("quiet", 4, 2), Stage("plateau", 45, 14), Stage("quiet again", 60, 2)])
    assert wave.lost() == 0, wave.run.requests["error"].value_counts()
    assert wave.reaction.most > wave.reaction.fewest, wave.obstacles
    assert wave.reaction.back == wave.reaction.back and wave.reaction.ready > 0  # a number: it came


def test_rolling_out_loses_nothing(site):
    scaling.await_rest(site, wanted())
    old = facts.pods(site, SPACE, "lamp")
    rollout = scaling.roll_out(site, wanted())
    rolled = performance.measure(site, wanted(), "roll-out", [Stage("steady", 24, 8)], midway=lambda: plans.apply(rollout, "apply"))
    scaling.await_rollout(site, wanted())
    assert rolled.lost() == 0, rolled.run.requests["error"].value_counts()
    assert facts.replaced(old, facts.pods(site, SPACE, "lamp"))


def test_a_quota_that_is_reached_is_named(site):
    site.cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": SPACE}, "spec": {"hard": {"pods": "1"}}})
    try:
        plans.apply(scaling.ensure_tier(site, wanted(replicas_min=2)), "apply")
        site.cluster.wait("Deployment", "lamp", SPACE, timeout=60, what="the quota to refuse a pod",
                          until=lambda d: "exceeded quota" in facts.obstacle(d, []))
        assert "exceeded quota: few" in facts.sample(site, SPACE, "lamp")["obstacle"]
    finally:
        site.cluster.delete("ResourceQuota", "few", SPACE)
        plans.apply(scaling.ensure_tier(site, wanted()), "apply")


def test_without_cpu_requests_the_autoscaler_says_that_it_is_blind(site):
    bare = {"name": "bare", "namespace": SPACE}
    label = {"app": "bare"}
    container = {"name": "web", "image": wanted().image, "resources": {"limits": {"memory": "128Mi"}}}
    site.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": bare, "spec": {
        "selector": {"matchLabels": label}, "template": {"metadata": {"labels": label}, "spec": {"containers": [container]}}}})
    site.cluster.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": bare, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "bare"}, "maxReplicas": 2,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
    site.cluster.wait("HorizontalPodAutoscaler", "bare", SPACE, timeout=90, what="the autoscaler to say so",
                      until=lambda h: any(c["type"] == "ScalingActive" and c["status"] == "False" for c in h.get("status", {}).get("conditions", [])))
    table = facts.autoscaler(site, SPACE, "bare")
    assert not facts.scales(table)
    for kind in ("HorizontalPodAutoscaler", "Deployment"):
        site.cluster.delete(kind, "bare", SPACE)


def test_a_tier_that_is_gone_is_not_measured_and_nothing_is_left(site):
    plans.apply(scaling.undo(site, wanted()), "apply")
    with pytest.raises(LoadError, match="has no NodePort"):
        performance.measure(site, wanted(), "wave", [Stage("a", 1, 5)])
    site.cluster.wait("Namespace", SPACE, until=lambda obj: obj is None, timeout=120, what=f"namespace {SPACE} to be gone")
    assert not scaling.undo(site, wanted())
