"""The scaled tier as plans, on the rehearsal's store; and a load test of it, end to end, with what is replayed labelled."""

import pandas as pd
import pytest

import runbook
from runbook import performance, plans
from runbook.errors import LoadError, NotFound, WaitTimeout
from runbook.load import Stage, staircase
from runbook.operations import scaling, undo
from runbook.performance import recorded
from runbook.performance.measured import Midway


def wanted(**keys):
    return runbook.section("load", {"replicas_max": 3, "cpu_limit": "200m", **keys})


@pytest.fixture
def tier(site):
    """The site with the tier installed."""
    plans.apply(scaling.ensure_tier(site, wanted()), "apply")
    return site


def titles(plan):
    return [change.title for change in plan]


def test_a_tier_is_planned_applied_and_then_as_wanted(site):
    plan = scaling.ensure_tier(site, wanted())
    assert titles(plan) == ["create Namespace lamp", "create Release lamp/lamp"]
    plans.apply(plan, "apply")
    assert not scaling.ensure_tier(site, wanted())
    hpa = site.cluster.get("HorizontalPodAutoscaler", "lamp", "lamp")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (1, 3)


def test_a_namespace_that_is_there_is_left_alone(site):
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lamp", "labels": {"owner": "somebody"}}}, manager="somebody")
    plan = scaling.ensure_tier(site, wanted())
    assert titles(plan) == ["create Release lamp/lamp"]


def test_another_size_is_an_update_of_the_fields_that_differ(tier):
    (change,) = scaling.ensure_tier(tier, wanted(target=75))
    assert [str(f) for f in change.fields] == ["values.autoscaling.target: 60 → 75"]


def test_the_replicas_of_the_autoscaler_are_in_nobodys_plan(tier):
    tier.cluster.scale("Deployment", "lamp", "lamp", 3)
    assert not scaling.ensure_tier(tier, wanted())


def test_undo_takes_the_tier_back_and_nothing_else(tier):
    plan = undo.undo("06", tier, {"load": wanted()})
    assert titles(plan) == ["delete Release lamp/lamp", "delete Namespace lamp"]
    plans.apply(plan, "apply")
    assert tier.cluster.get("Deployment", "lamp", "lamp") is None
    assert not undo.undo("06", tier, {"load": wanted()})


def test_a_namespace_with_others_in_it_stays(tier):
    tier.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": "lamp"}})
    assert titles(scaling.undo(tier, wanted())) == ["delete Release lamp/lamp"]


def test_rolling_out_changes_one_annotation(tier):
    (change,) = scaling.roll_out(tier, wanted())
    assert [f.path for f in change.fields] == [f"spec.template.metadata.annotations.{scaling.RESTARTED}"]
    change.perform()
    assert scaling.RESTARTED in tier.cluster.get("Deployment", "lamp", "lamp")["spec"]["template"]["metadata"]["annotations"]
    assert not scaling.ensure_tier(tier, wanted())  # and it is not the release's


def test_rolling_out_nothing_says_so(site):
    with pytest.raises(NotFound, match="lamp/lamp does not exist"):
        scaling.roll_out(site, wanted())


STATUS = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize("status, done", [
    (STATUS, True), ({**STATUS, "observedGeneration": 1}, False), ({**STATUS, "replicas": 3}, False), ({**STATUS, "updatedReplicas": 1}, False),
    ({**STATUS, "availableReplicas": 1}, False), ({}, False),
])
def test_when_a_rollout_is_over(status, done):
    assert scaling.rolled_out({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}) is done


@pytest.mark.parametrize("why, says, fix", [("exceeded quota: few", "exceeded quota: few", "90-diagnose"), ("", "not within", "")])
def test_a_rollout_that_finds_no_room_says_so(tier, monkeypatch, why, says, fix):
    def wait(*_, **__):
        raise WaitTimeout("not within 180 s")

    monkeypatch.setattr(tier.cluster, "wait", wait)
    monkeypatch.setattr(scaling.facts, "obstacle", lambda deployment, pods: why)
    with pytest.raises(WaitTimeout, match=says) as error:
        scaling.await_rollout(tier, wanted())
    assert error.value.fix == fix


def test_no_deployment_is_not_rolled_out():
    assert scaling.rolled_out(None) is False


def test_where_the_load_goes(tier):
    assert scaling.address(tier, wanted(url="https://demo.example.org")) == "https://demo.example.org"
    tier.cluster.patch("Service", "lamp", "lamp", {"spec": {"ports": [{"name": "http", "port": 80, "nodePort": 31000}]}})
    assert scaling.address(tier, wanted()) == "http://127.0.0.1:31000"


def test_without_a_port_the_load_goes_nowhere(site):
    with pytest.raises(LoadError, match="has no NodePort"):
        scaling.address(site, wanted())


def test_recommendations_become_parameters_and_yaml():
    table = pd.DataFrame([("cpu_request_m", 190), ("cpu_limit_m", 380), ("memory_request_mib", 64), ("memory_limit_mib", 128), ("min", 1), ("max", 3),
                          ("target", 75)], columns=["setting", "recommended"])
    better = scaling.adopt(wanted(), table)
    assert (better.cpu_request, better.cpu_limit, better.target) == ("190m", "380m", 75)
    assert scaling.as_parameters(better, wanted()) == 'load:\n  cpu_request: "190m"\n  cpu_limit: "380m"\n  target: 75'
    assert scaling.as_parameters(wanted(), wanted()) == "(as they are)"
    assert scaling.present(wanted())["memory_request_mib"] == 64


# -- a load test of a site -----------------------------------------------------


def test_in_plan_mode_nothing_is_sent(tier, capsys):
    tier.mode = "plan"
    measured = performance.measure(tier, wanted(), "wave", [Stage("a", 1, 5)], midway=lambda: pytest.fail("nothing may be done"))
    assert measured.run is None and "plan mode" in measured.why
    shown = [measured.table(), measured.knee, measured.latency(), measured.tier_with_load(), measured.reaction, performance.findings(measured, measured)]
    assert all("plan mode" in repr(what) for what in shown)
    assert measured.lost() == 0 and "offered" not in capsys.readouterr().out


def test_before_the_cluster_is_there_it_says_what_it_needs(tier):
    tier.cluster = None
    assert "needs 01-install-k3s" in performance.measure(tier, wanted(), "wave", [Stage("a", 1, 5)]).why


def test_on_the_rehearsal_k6_is_real_and_the_tier_replayed(tier, tmp_path, monkeypatch, capsys):
    called = []
    first = performance.measure(tier, wanted(), "steps", staircase([10, 20], 30), midway=lambda: called.append(1))
    assert called and first.lost() == 0 and first.served() and 25 <= len(first.run.requests) <= 95  # cut short: seconds, not a minute
    assert "no run of this was recorded" in first.replayed and "no run of this" in repr(first.tier_with_load())
    assert "requests measured" in capsys.readouterr().out
    # what is recorded comes back
    seen = pd.DataFrame({"at": [0.0, 1.5], "wanted": [1, 2], "ready": [1, 2], "pending": [0, 0], "measured": [1, 2], "cpu_m": [50.0, 90.0], "request_m": [100.0, 200.0],
                         "memory_mib": [30.0, 31.0], "node_share": [0.5, 0.6], "obstacle": ["", "no room"]})
    real = performance.Measured("steps", run=first.run, tier=seen, about={"seconds": performance.measured.load.by_second(first.run),
                                                                        "stages": performance.measured.load.by_stage(first.run)})
    assert real.obstacles == "no room" and first.obstacles == ""
    recorded.save(real, "v1.36.2", tmp_path)
    again = recorded.tier("steps", tmp_path / "load")
    pd.testing.assert_frame_equal(again["tier"], seen)
    pd.testing.assert_frame_equal(again["about"]["seconds"], real.about["seconds"].round(4), check_dtype=False)
    assert "replayed from a run of" in again["replayed"] and "v1.36.2" in again["replayed"]


def test_a_recommendation_that_was_not_adopted_is_not_measured(tier):
    assert "load.adopt is false" in performance.again(tier, wanted(), "x", [Stage("a", 1, 5)]).why


def test_what_fails_midway_is_raised():
    with pytest.raises(NotFound):
        with Midway(lambda: (_ for _ in ()).throw(NotFound("gone")), 0) as midway:
            midway._timer.join()
    with Midway(None, 0):
        pass


def test_workspaces_are_predicted_from_requests(tier):
    table = performance.predict(tier, runbook.section("workspaces"))
    assert list(table["what"]) == ["cpu", "memory", "pods", "quota of one owner"] and (table["together"] <= table["fit"])[:3].all() and table["together"].iloc[0] > 0
    assert (table["one"] > 0).all()


@pytest.mark.parametrize("change, says", [({"mode": "plan"}, "plan mode"), ({}, "rehearsal")])
def test_workspaces_are_not_started_where_that_shows_nothing(tier, change, says):
    tier.mode = change.get("mode", tier.mode)
    filled = performance.fill(tier, runbook.section("workspaces"), wanted(workspaces_most=4), do=lambda plan: pytest.fail("nothing may be done"))
    assert says in filled.why and says in repr(filled.table(None)) and says in repr(filled.advice(None)) and says in repr(filled.memory())
