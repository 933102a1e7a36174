"""Workspaces: names, values, states, and the plans that make, stop, start and delete them."""

from pathlib import Path
from types import SimpleNamespace

import helm_python
import pytest

import runbook
from runbook import plans
from runbook.errors import ParameterError, RunbookError
from runbook.facts import repositories, workspaces as facts
from runbook.gitpod import parse
from runbook.operations import settle, tour, workspaces as operations
from runbook.params import Workspace
from runbook.workspaces import chart_values, gitpod_values

CHART = Path(__file__).resolve().parents[1] / "lib" / "charts" / "workspace"
ALICE = {"name": "demo", "owner": "alice"}


def wanted(*listed, **keys):
    return runbook.section("workspaces", {"list": list(listed or (ALICE,)), **keys})


def apply(plan):
    return plans.apply(plan, "apply")


# -- pure --------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["image", "copy", "none"])
@pytest.mark.parametrize("text", [
    "", "image: docker.io/library/node:22", "{checkoutLocation: a/b, workspaceLocation: a}",
    "tasks: [{name: x, init: 'true', env: {A: \"it's\"}}]\nports: [{port: 3000-3003, visibility: public}]\nvscode: {extensions: [a.b]}",
])
def test_values_fit_the_chart(mount, text):
    repo = "https://example.org/team/shop.git"
    values = chart_values(Workspace(**ALICE, repo=repo), wanted(), mount, gitpod_values(parse(text), repo))
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        assert chart.render(values=values, name="demo", namespace="ws-alice")


@pytest.mark.parametrize("given, asked, site_wide, image", [
    ("", "", "php", "php"),
    ("", "node", "php", "node"),
    ("mine", "node", "php", "mine"),
])
def test_which_image(given, asked, site_wide, image):
    assert chart_values(Workspace(**ALICE, image=given), wanted(image=site_wide), "image", {"image": asked})["image"] == image


def pod(ready="False", scheduled="True", message="", **waiting):
    conditions = [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": scheduled, "message": message}]
    containers = [{"name": name, "state": {"waiting": state}} for name, state in waiting.items()]
    return {"metadata": {}, "status": {"conditions": conditions, "containerStatuses": containers}}


@pytest.mark.parametrize("replicas, observed, state, why", [
    (1, pod(ready="True"), "ready", ""),
    (1, None, "starting", ""),
    (1, pod(web={"reason": "ContainerCreating"}), "starting", ""),
    (1, pod(scheduled="False", message="0/1 nodes are available: 1 Insufficient memory."), "queued", "0/1 nodes are available: 1 Insufficient memory."),
    (1, pod(web={"reason": "ImagePullBackOff", "message": "no such image"}), "failing", "web: ImagePullBackOff: no such image"),
    (0, None, "stopped", ""),
    (0, pod(ready="True"), "stopping", ""),
    (1, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "restarting", ""),
])
def test_state(replicas, observed, state, why):
    assert facts.state_of({"spec": {"replicas": replicas}}, observed) == (state, why)


@pytest.mark.parametrize("kubelet, runtime, has", [
    ("v1.36.2", "containerd://2.4.0-beta", True),
    ("v1.35.0+k3s1", "containerd://2.1.5-k3s1", True),
    ("v1.34.1+k3s1", "containerd://2.1.4-k3s1", False),
    ("v1.36.2", "containerd://1.7.28", False),
    ("v1.36.2", "docker://28.0.0", False),
    ("unknown", "", False),
])
def test_image_volumes_are_found_out(kubelet, runtime, has):
    assert facts.has_image_volumes(kubelet, runtime) is has


def test_the_ide_is_copied_if_any_node_cannot_mount_it():
    def site_of(*versions):
        nodes = [{"status": {"nodeInfo": {"kubeletVersion": v, "containerRuntimeVersion": "containerd://2.2.0"}}} for v in versions]
        return SimpleNamespace(cluster=SimpleNamespace(list=lambda kind: nodes))

    assert facts.ide_mount(site_of("v1.36.0", "v1.36.0"), wanted()) == "image"
    assert facts.ide_mount(site_of("v1.36.0", "v1.33.0"), wanted()) == "copy"
    assert facts.ide_mount(site_of(), wanted()) == "copy"
    assert facts.ide_mount(site_of(), wanted(ide="none")) == "none"


@pytest.mark.parametrize("generation, status, seen", [
    (1, {"observedGeneration": 1}, True), (2, {"observedGeneration": 1}, False), (2, {}, False), (2, {"observedGeneration": 3}, True),
])
def test_a_change_that_the_controller_has_not_seen_is_waited_for(generation, status, seen):
    assert settle._observed({"metadata": {"generation": generation}, "status": status}) is seen


# -- plans, on the rehearsal ---------------------------------------------------


def test_made_once_then_nothing_to_do(site):
    two = wanted(ALICE, {"name": "demo", "owner": "bob"})  # two owners may use the same name
    plan = operations.ensure_workspaces(site, two)
    assert [c.name for c in plan if c.kind == "Release"] == ["runbook-keeper/keeper", "ws-alice/demo", "ws-bob/demo"]
    apply(plan)
    assert not operations.ensure_workspaces(site, two)
    table = facts.table(site)
    assert list(zip(table.owner, table.name, table.state)) == [("alice", "demo", "ready"), ("bob", "demo", "ready")]
    assert facts.settled(table, two) and not facts.settled(table, wanted({"name": "other", "owner": "alice"}))


def test_what_the_user_stopped_stays_stopped(site):
    apply(operations.ensure_workspaces(site, wanted()))
    apply(operations.stop(site, "demo", "alice"))
    assert not operations.stop(site, "demo", "alice")
    assert facts.table(site).state[0] == "stopped"
    changed = wanted(memory="300Mi")
    apply(operations.ensure_workspaces(site, changed))
    assert not operations.ensure_workspaces(site, changed)
    assert facts.table(site).state[0] == "stopped"
    apply(operations.start(site, "demo", "alice"))
    assert facts.table(site).state[0] == "ready"


def test_passwords_are_made_once_and_never_shown(site):
    plan = operations.ensure_workspaces(site, wanted())
    apply(plan)
    secret = site.cluster.get("Secret", "demo", "ws-alice")
    assert set(secret["data"]) == {"db-password", "db-root-password", "ide-password"}
    shown = str(plan) + str(plan.record())
    assert not any(value in shown for value in secret["data"].values())
    apply(operations.ensure_workspaces(site, wanted(memory="300Mi")))
    assert site.cluster.get("Secret", "demo", "ws-alice")["data"] == secret["data"]


def test_what_other_steps_set_stays(site):
    apply(operations.ensure_workspaces(site, wanted()))
    live = site.helm.release("demo", "ws-alice")
    apply(runbook.plan_of([site.helm.ensure(CHART, "demo", "ws-alice", live.values | {"domain": "example.org"})]))
    assert not operations.ensure_workspaces(site, wanted())
    apply(operations.ensure_workspaces(site, wanted(memory="300Mi")))
    assert site.helm.release("demo", "ws-alice").values["domain"] == "example.org"


def test_a_new_workspace_gets_what_other_steps_set_in_its_neighbours(site):
    apply(operations.ensure_workspaces(site, wanted()))
    live = site.helm.release("demo", "ws-alice")
    apply(runbook.plan_of([site.helm.ensure(CHART, "demo", "ws-alice", live.values | {"domain": "example.org"})]))
    apply(operations.ensure_workspaces(site, wanted(), only=(Workspace(name="shop", owner="bob"),)))
    assert site.helm.release("shop", "ws-bob").values["domain"] == "example.org"
    assert facts.table(site).set_index("name").url["shop"] == "https://shop-bob.ws.example.org"


def test_a_volume_that_was_enlarged_stays_so(site):
    apply(operations.ensure_workspaces(site, wanted(home="5Gi")))
    assert not operations.ensure_workspaces(site, wanted(home="1Gi"))
    assert site.cluster.get("PersistentVolumeClaim", "demo-home", "ws-alice")["spec"]["resources"]["requests"]["storage"] == "5Gi"


def test_more_than_the_quota_is_refused_before_anything_is_made(site):
    with pytest.raises(RunbookError, match="2 workspaces would be more than the quota of 1") as refused:
        operations.ensure_workspaces(site, wanted(ALICE, {"name": "two", "owner": "alice"}, quota={"workspaces": 1}))
    assert "quota" in refused.value.do
    assert facts.table(site).empty
    apply(operations.ensure_workspaces(site, wanted(quota={"workspaces": 1})))
    with pytest.raises(RunbookError, match="there are demo"):
        operations.ensure_workspaces(site, wanted({"name": "two", "owner": "alice"}, quota={"workspaces": 1}))
    assert not operations.ensure_workspaces(site, wanted(quota={"workspaces": 1}))  # what is there may stay


def test_delete_leaves_nothing(site):
    apply(operations.ensure_workspaces(site, wanted(ALICE, {"name": "two", "owner": "alice"})))
    apply(operations.delete(site, "two", "alice"))
    assert site.cluster.get("Namespace", "ws-alice") and list(facts.table(site).name) == ["demo"]
    apply(operations.delete(site, "demo", "alice"))
    assert site.cluster.get("Namespace", "ws-alice") is None
    assert not operations.delete(site, "demo", "alice")


def test_data_that_is_kept_is_taken_up_again(site):
    apply(operations.ensure_workspaces(site, wanted()))
    secret = site.cluster.get("Secret", "demo", "ws-alice")["data"]
    apply(operations.undo(site, wanted()))
    assert facts.table(site).empty
    assert len(site.cluster.list("PersistentVolumeClaim", "ws-alice")) == 3
    assert not operations.undo(site, wanted())
    apply(operations.ensure_workspaces(site, wanted()))
    assert site.cluster.get("Secret", "demo", "ws-alice")["data"] == secret
    apply(operations.undo(site, wanted()))
    apply(operations.undo(site, wanted(), delete_data=True))
    assert site.cluster.get("Namespace", "ws-alice") is None


@pytest.mark.parametrize("act", [operations.stop, operations.start])
def test_a_workspace_that_is_not_there(site, act):
    apply(operations.ensure_workspaces(site, wanted()))
    with pytest.raises(RunbookError, match="workspace alice/other: there is none; alice has demo"):
        act(site, "other", "alice")


def test_a_malformed_gitpod_file_stops_before_anything_is_made(site, monkeypatch):
    monkeypatch.setattr(repositories, "gitpod_file", lambda *_: "tasks: {}")
    with pytest.raises(ParameterError, match="alice/demo: .gitpod.yml: tasks"):
        operations.ensure_workspaces(site, wanted({**ALICE, "repo": "https://example.org/x.git"}))
    assert site.cluster.get("Namespace", "ws-alice") is None


def test_what_the_repository_asked_for_is_read_once(site, monkeypatch):
    listed = wanted({**ALICE, "repo": "https://example.org/x.git"})
    monkeypatch.setattr(repositories, "gitpod_file", lambda *_: "image: docker.io/library/node:22\ntasks: [{init: make}]")
    apply(operations.ensure_workspaces(site, listed))
    values = site.helm.release("demo", "ws-alice").values
    assert values["image"] == "docker.io/library/node:22" and values["checkoutLocation"] == "x"
    monkeypatch.setattr(repositories, "gitpod_file", lambda *_: pytest.fail("read again"))
    assert not operations.ensure_workspaces(site, listed)


# -- room, the day, the tour ------------------------------------------


def test_room_is_counted_for_those_that_are_not_there(site):
    apply(operations.ensure_workspaces(site, wanted()))
    assert set(facts.room(site, wanted()).asked) == {0}
    room = facts.room(site, wanted(ALICE, {"name": "big", "owner": "alice"}, memory="900Gi"))
    assert dict(zip(room.resource, room.enough)) == {"cpu": True, "memory": False, "pods": True}


def test_daily_starts_stops_and_deletes(site):
    apply(operations.ensure_workspaces(site, wanted(ALICE, {"name": "shop", "owner": "bob"})))
    asked = wanted(stop=["alice/demo"], delete=["bob/shop"])
    assert not tour.as_asked(site, asked)
    with pytest.raises(ParameterError, match="deleting loses"):
        tour.daily(site, asked)
    apply(tour.daily(site, asked, confirm="rehearsal"))
    assert tour.as_asked(site, asked) and not tour.daily(site, asked, confirm="rehearsal")
    apply(tour.daily(site, wanted(start=["alice/demo"])))
    assert tour.as_asked(site, wanted(start=["alice/demo"])) and not tour.as_asked(site, wanted(stop=["alice/demo"]))


def test_the_tour_leaves_nothing(site):
    apply(tour.tour(site, wanted()))
    assert list(facts.table(site).state) == ["ready"]
    assert list(facts.kept(site, "tour", "guest").text) == [tour.TEXT] * 3
    apply(tour.end(site))
    assert not tour.end(site) and site.cluster.get("Namespace", "ws-guest") is None
