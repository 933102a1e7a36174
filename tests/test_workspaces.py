"""Workspaces: names, values, states, and the plans that make, stop, start and delete them."""

import threading
from pathlib import Path
from types import SimpleNamespace

import helm_python
import pandas as pd
import pytest

import runbook
from runbook import cli, plans
from runbook.errors import ParameterError, RunbookError
from runbook.facts import repositories, workspaces as facts
from runbook.gitpod import parse
from runbook.host import Result
from runbook.operations import settle, tour, workspaces as operations
from runbook.operations.together import Together
from runbook.params import Workspace
from runbook.plans import Change
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


# -- together ----------------------------------------------------------------


def change(perform):
    return Change("create", "Thing", "x", perform)


def test_changes_are_carried_out_together():
    both = threading.Barrier(2, timeout=10)  # each waits for the other: one after the other would never end
    together = Together(2)
    first, second = (together.add(change(both.wait)) for _ in range(2))
    first.perform()
    second.perform()


def test_after_a_failure_none_is_begun():
    seen, together = [], Together(1)

    def fail():
        raise RunbookError("no room")

    changes = [together.add(change(f)) for f in (fail, lambda: seen.append("begun"))]
    with pytest.raises(RunbookError, match="no room"):
        changes[0].perform()
    with pytest.raises(RunbookError, match="not begun"):
        changes[1].perform()
    assert seen == []


def test_after_a_failure_those_under_way_come_to_their_end():
    both, seen, together = threading.Barrier(2, timeout=10), [], Together(2)

    def fail():
        both.wait()
        raise RunbookError("no room")

    def finish():
        both.wait()
        seen.append("finished")

    changes = [together.add(change(f)) for f in (fail, finish)]
    with pytest.raises(RunbookError, match="no room"):
        changes[0].perform()
    assert seen == ["finished"]


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


EMPTY = (503, 'no endpoints available for service "demo"')


@pytest.mark.parametrize("answers, status, looks", [
    ([(200, '{"status": "alive"}')], 200, 1),
    ([EMPTY, EMPTY, (200, '{"status": "alive"}')], 200, 3),
    ([EMPTY] * 9, 503, 4),
    ([(503, "busy"), (200, "{}")], 503, 1),
])
def test_an_ide_whose_service_follows_a_moment_later(monkeypatch, answers, status, looks):
    monkeypatch.setattr(facts, "SETTLING", (0, 0, 0))
    left = list(answers)
    found = facts.ides(SimpleNamespace(cluster=SimpleNamespace(proxy=lambda *_: left.pop(0))), wanted())
    assert (found.status[0], len(answers) - len(left)) == (status, looks)


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


# -- repositories ------------------------------------------------------------


def git_says(stderr="", code=128, shown=""):
    """A site whose git fails with these words, or clones and shows a file."""
    calls = []

    def run(argv, **options):
        calls.append((argv, options))
        return Result(tuple(argv), 0, shown) if "show" in argv else Result(tuple(argv), code, "", stderr)

    return SimpleNamespace(host=SimpleNamespace(run=run), calls=calls, cluster=None)


# Messages as git 2.39 printed them against servers made for it.
@pytest.mark.parametrize("said, advice", [
    ("fatal: could not read Username for 'http://10.0.0.1': terminal prompts disabled", "git_secret"),
    ("remote: Invalid credentials\nfatal: Authentication failed for 'http://10.0.0.1/x.git/'", "git_secret"),
    ("fatal: remote error: access denied or repository not exported: /nothing.git", "the URL"),
    ("fatal: repository 'http://10.0.0.1/x.git/' not found", "the URL"),
    ("fatal: unable to access 'https://no.such.host/x.git/': Could not resolve host: no.such.host", "reaches that host"),
    ("warning: Could not find remote branch v9 to clone.\nfatal: Remote branch v9 not found in upstream origin", "correct ref"),
    ("fatal: something else", "git's words"),
])
def test_a_repository_that_cannot_be_read(said, advice):
    with pytest.raises(RunbookError) as refused:
        repositories.gitpod_file(git_says(said), Workspace(**ALICE, repo="https://example.org/x.git"))
    assert said.splitlines()[-1] in str(refused.value)
    assert advice in refused.value.do


def test_the_file_is_read_without_shell_or_prompt():
    site = git_says(code=0, shown="tasks: []")
    assert repositories.gitpod_file(site, Workspace(**ALICE, repo="https://example.org/x.git", ref="v1")) == "tasks: []"
    argv, options = site.calls[0]
    assert argv[:3] == ["git", "clone", "--quiet"] and argv[-2] == "https://example.org/x.git" and "v1" in argv
    assert options["env"]["GIT_TERMINAL_PROMPT"] == "0" and options["timeout"] <= 60


def test_the_password_of_a_repository_comes_by_reference():
    site = git_says(code=0)
    secret = {"data": {"username": "cmVhZGVy", "password": "c2VjcmV0LXBhc3N3b3Jk"}}
    site.cluster = SimpleNamespace(get=lambda kind, name, where: secret if (name, where) == ("git", "ws-alice") else None)
    repositories.gitpod_file(site, Workspace(**ALICE, repo="https://example.org/x.git", git_secret="git"))
    argv, options = site.calls[0]
    assert options["env"]["RUNBOOK_GIT_PASSWORD"] == "secret-password"
    assert "secret-password" not in " ".join(argv)
    with pytest.raises(RunbookError, match="Secret ws-alice/other does not exist"):
        repositories.gitpod_file(site, Workspace(**ALICE, repo="https://example.org/x.git", git_secret="other"))


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


# -- claims of the notebooks, refuted ------------------------------------------


def answers(**changed):
    row = {"owner": "alice", "name": "demo", "page": "example", "status": 200, "php": "8.2", "mariadb": "11.4", "database": "app"} | changed
    return pd.DataFrame([row])


@pytest.mark.parametrize("answer, holds", [
    (answers(), True),
    (answers(page="own", status=404, mariadb=""), True),  # the person's own page says what it likes
    (answers(status=503, mariadb=""), False),  # the example page without its database
    (answers(page="own", status=0), False),
])
def test_pages_answer(answer, holds):
    assert facts.pages_answer(answer) is holds


def test_room_is_counted_for_those_that_are_not_there(site):
    apply(operations.ensure_workspaces(site, wanted()))
    assert set(facts.room(site, wanted()).asked) == {0}
    room = facts.room(site, wanted(ALICE, {"name": "big", "owner": "alice"}, memory="900Gi"))
    assert dict(zip(room.resource, room.enough)) == {"cpu": True, "memory": False, "pods": True}


def test_whether_strangers_are_reached(site):
    def seen(ok):
        pods = {name: {"metadata": {}, "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}} for name in ("a", "b")}
        cluster = SimpleNamespace(get=lambda kind, name, where: pods.get(where.removeprefix("ws-")),
                                  exec=lambda *_, **__: Result((), 0 if ok else 124, ""))
        return facts.strangers(SimpleNamespace(cluster=cluster), wanted({"name": "x", "owner": "a"}, {"name": "x", "owner": "b"}))

    assert list(seen(True).reached) == [True] and list(seen(False).reached) == [False]
    assert facts.strangers(site, wanted()).empty


def test_last_words_of_an_ide_that_does_not_answer(site):
    table = pd.DataFrame([("alice", "demo", 503, "")], columns=["owner", "name", "status", "activity"])
    said = facts.last_words(SimpleNamespace(cluster=SimpleNamespace(logs=lambda *_, **__: "no code-server at /opt/ide")), table)
    assert said == "alice/demo:\nno code-server at /opt/ide"
    assert facts.last_words(site, table[table.status == 200]) == ""


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


# -- the command line ------------------------------------------------------------


@pytest.fixture
def command(site, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text("name: rehearsal\ntarget: rehearsal\nmode: apply\n")

    def run(*words):
        capsys.readouterr()
        try:
            cli.main(["workspace", *words, "--params", str(params)])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, "".join(capsys.readouterr())

    return run


def test_life_of_a_workspace_from_the_command_line(site, command):
    code, said = command("create", "demo", "--owner", "alice")
    assert code == 0 and "Open:" in said and "get secret demo" in said
    code, said = command("list")
    assert code == 0 and "alice" in said and "ready" in said
    assert command("stop", "demo", "--owner", "alice")[0] == 0
    assert "is stopped; start it with" in command("logs", "demo", "--owner", "alice")[1]
    assert command("start", "demo", "--owner", "alice")[0] == 0
    assert command("open", "demo", "--owner", "alice")[0] == 0
    code, said = command("delete", "demo", "--owner", "alice")
    assert code == 1 and "its name was not typed; nothing was deleted" in said
    assert command("delete", "demo", "--owner", "alice", "--confirm", "demo")[0] == 0
    assert facts.table(site).empty


@pytest.mark.parametrize("words, said", [
    (("create", "Demo", "--owner", "alice"), "workspaces.list.0.name"),
    (("create", "demo", "--owner", "al-ice"), "workspaces.list.0.owner"),
    (("create", "demo", "--owner", "alice", "--repo", "not a url"), "workspaces.list.0.repo"),
    (("create", "demo", "--owner", "alice", "--repo", "https://me:word@example.org/x"), "without a password"),
    (("stop", "demo", "--owner", "alice"), "alice has no workspace"),
    (("delete", "demo", "--owner", "alice"), "there is none"),
    (("logs", "demo", "--owner", "alice"), "there is none"),
])
def test_what_the_command_line_refuses(site, command, words, said):
    code, text = command(*words)
    assert code == 1 and said in text and "Do this:" in text
    assert site.cluster.get("Namespace", "ws-alice") is None


@pytest.mark.parametrize("generation, status, seen", [
    (1, {"observedGeneration": 1}, True), (2, {"observedGeneration": 1}, False), (2, {}, False), (2, {"observedGeneration": 3}, True),
])
def test_a_change_that_the_controller_has_not_seen_is_waited_for(generation, status, seen):
    assert settle._observed({"metadata": {"generation": generation}, "status": status}) is seen
