"""Walls: what policies allow, what an attempt's words mean, what the limits' pods left behind. The holes themselves are opened on a cluster."""

import pytest

import runbook
from runbook.attempts import isolation, limits
from runbook.facts import walls as facts
from runbook.host import Result
from runbook.operations import walls
from runbook.params import Workspace

WORKSPACE = {"app.kubernetes.io/name": "workspace"}
NODE = "192.0.2.7"


def said(text, code=0, replayed=""):
    return Result(("x",), code, text, "" if code == 0 else "sh: not found", 0, replayed)


# -- what policies say ---------------------------------------------------------


def policy(*egress, selector=None, types=("Egress",)):
    return {"spec": {"podSelector": selector or {}, "policyTypes": list(types), "egress": list(egress)}}


def to(cidr, *without, port=None):
    rule = {"to": [{"ipBlock": {"cidr": cidr, "except": list(without)}}]}
    return rule | ({"ports": [{"protocol": "TCP", "port": port}]} if port else {})


OURS = walls.egress("alice", [NODE])


@pytest.mark.parametrize(("policies", "address", "port", "allowed"), [
    ([], "169.254.169.254", 80, True),  # what no policy concerns is allowed
    ([policy(types=["Ingress"])], "169.254.169.254", 80, True),
    ([policy()], "198.51.100.1", 443, False),
    ([policy({})], "169.254.169.254", 80, True),
    ([policy(to("0.0.0.0/0"))], "169.254.169.254", 80, True),
    ([policy(to("0.0.0.0/0", "169.254.0.0/16"))], "169.254.169.254", 80, False),
    ([policy(to("0.0.0.0/0", "169.254.0.0/16")), policy(to("169.254.169.254/32"))], "169.254.169.254", 80, True),  # rules add up
    ([policy(to("192.0.2.7/32", port=6443))], NODE, 6443, True), ([policy(to("192.0.2.7/32", port=6443))], NODE, 10250, False),
    ([policy({"to": [{"podSelector": {}}]})], "169.254.169.254", 80, False),
    ([policy(selector={"matchLabels": {"app": "other"}})], "169.254.169.254", 80, True),
    ([OURS], "169.254.169.254", 80, False), ([OURS], NODE, 10250, False), ([OURS], NODE, 6443, False), ([OURS], "198.51.100.1", 443, True),
    ([OURS], "10.43.0.10", 53, True), ([OURS], "fd00:ec2::254", 80, False), ([OURS], "2001:db8::1", 443, True),
])
def test_what_policies_allow(policies, address, port, allowed):
    assert facts.allows(policies, WORKSPACE, address, port) is allowed


@pytest.mark.parametrize(("mode", "level"), [("none", "baseline"), ("userns", "privileged"), ("privileged", "privileged")])
def test_level_of_a_mode(mode, level):
    assert walls.level(mode) == level


@pytest.fixture
def site(site):
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ws-alice", "labels": {"its": "own"}}})
    return site


def test_walls_are_put_up_once_and_taken_down(site):
    given, spaces = runbook.section("docker"), runbook.section("workspaces")
    plan = walls.ensure_walls(site, "alice", "none", given)
    assert [c.title for c in plan] == ["update Namespace ws-alice", "create LimitRange ws-alice/runbook-disk", "create NetworkPolicy ws-alice/runbook-egress"]
    assert facts.ways_out(site, spaces).allowed.all()
    runbook.apply(plan, "apply")
    assert not walls.ensure_walls(site, "alice", "none", given)
    assert not facts.ways_out(site, spaces).allowed.any() and list(facts.levels(site, spaces).level) == ["baseline"]
    runbook.apply(walls.ensure_walls(site, "alice", "privileged", given), "apply")
    assert list(facts.levels(site, spaces).level) == ["privileged"]
    runbook.apply(walls.remove_walls(site, "alice"), "apply")
    assert site.cluster.get("Namespace", "ws-alice")["metadata"]["labels"].get("its") == "own"
    assert not walls.remove_walls(site, "alice") and list(facts.levels(site, spaces).level) == [""]


# -- what attempts say -----------------------------------------------------------


@pytest.mark.parametrize(("text", "code", "ok", "shown"), [
    ("control\n", 0, True, False), ("control\nfound /host/etc/machine-id\n", 0, False, False), ("", 0, True, True), ("", 127, True, True),
    ("found /x\n", 0, False, False),  # a hole is a hole, control or not
])
def test_what_was_looked_for(text, code, ok, shown):
    _, held, _, why = isolation._found("the node's files", said(text, code))
    assert held is ok and bool(why) is shown


OPEN, SHUT, BROKEN = said("open\n"), said("ECONNREFUSED\n"), said("", 127)


@pytest.mark.parametrize(("controls", "result", "unenforced", "ok", "shown"), [
    ([OPEN], SHUT, "", True, False), ([OPEN], said("no answer\n"), "", True, False), ([OPEN], OPEN, "", False, False),
    ([OPEN, SHUT], SHUT, "", True, True),  # the other side is down: nothing is shown
    ([BROKEN], BROKEN, "", True, True), ([SHUT], OPEN, "", False, False),
    ([OPEN], OPEN, "not enforced", True, True), ([OPEN], SHUT, "not enforced", True, True),
])
def test_a_connection_that_must_fail(controls, result, unenforced, ok, shown):
    _, held, _, why = isolation._closed("x", controls, result, unenforced)
    assert held is ok and bool(why) is shown


def test_what_was_replayed_shows_nothing():
    assert isolation._closed("x", [OPEN], said("no answer", replayed="replayed"))[3] == "replayed"


def test_who_tries_whom(site):
    spaces = runbook.section("workspaces", {"list": [{"name": n, "owner": o} for n, o in (("a", "alice"), ("b", "alice"), ("c", "bob"))]})
    assert isolation.pair(site, spaces) == (None, None)
    site.cluster.get = lambda kind, name, where: {"status": {"conditions": [{"type": "Ready", "status": "True" if name != "a-0" else "False"}]}}
    assert isolation.pair(site, spaces) == (Workspace(name="b", owner="alice"), Workspace(name="c", owner="bob"))


# -- what limits left -------------------------------------------------------------


def ended(**state):
    return {"status": {"containerStatuses": [{"name": "memory", "state": {"terminated": state} if state else {"running": {}}}]}}


@pytest.mark.parametrize(("pod", "ok"), [(ended(reason="OOMKilled", exitCode=137), True), (ended(reason="Completed", exitCode=0), False),
                                         (ended(), False), ({}, False)])
def test_a_memory_hog(pod, ok):
    assert limits.memory(pod)[1] is ok


@pytest.mark.parametrize(("log", "ok", "shown"), [("throttled 7\n", True, False), ("throttled 0\n", False, False), ("", True, True)])
def test_a_busy_loop(log, ok, shown):
    row = limits.cpu(log)
    assert row[1] is ok and bool(row[3]) is shown


@pytest.mark.parametrize(("log", "pids_set", "ok", "shown"), [
    ("processes 400\n", True, True, False), ("processes 400\n", False, True, False), ("processes 575\n", False, True, True),
    ("processes 575\n", True, False, False), ("", True, False, False),
])
def test_a_fork_bomb(log, pids_set, ok, shown):
    row = limits.processes(log, 512, pids_set)
    assert row[1] is ok and bool(row[3]) is shown


@pytest.mark.parametrize(("status", "ok"), [({"phase": "Failed", "reason": "Evicted", "message": "exceeds"}, True), ({"phase": "Running"}, False),
                                            ({"phase": "Failed", "reason": "DeadlineExceeded"}, False)])
def test_a_file_that_grows(status, ok):
    assert limits.written({"status": status})[1] is ok


def test_the_limits_pods_are_bounded():
    pods = [limits.pod_of("x", "image", 600), limits.disk_pod("x", "image")]
    for pod in pods:
        assert pod["spec"]["activeDeadlineSeconds"] <= 300 and pod["spec"]["restartPolicy"] == "Never"
        for c in pod["spec"]["containers"]:
            assert set(c["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    assert pods[0]["spec"]["containers"][2]["command"][-1] == "600"
