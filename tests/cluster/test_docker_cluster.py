"""Docker in workspaces on a real cluster: each mode's true outcome, what a daemon can do, what keeps its images, a registry that fails."""

import mirror
import pytest
import workspaces_kit as kit

import runbook
from runbook.attempts import containers, settle
from runbook.docker import registry_trouble
from runbook.errors import ClaimRefuted
from runbook.facts import docker as facts
from runbook.operations import docker as operations
from runbook.operations.walls import LEVEL
from runbook.params import Workspace
from runbook.plans import apply

pytestmark = [pytest.mark.cluster, pytest.mark.long]

OWNER, PLACE, MIRROR = "docktest", "dockprobe-test", "dockprobe-registry"
DEMO = Workspace(name="demo", owner=OWNER)
#: A registry that has had enough, as Docker Hub says it. https://docs.docker.com/docker-hub/usage
ENOUGH = """http_response_code(429); header('Content-Type: application/json');
echo '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}';"""


def wanted(**keys):
    return runbook.section("docker", {"namespace": PLACE, "allow_privileged": True, "memory_limit": "768Mi", "storage": "2Gi", **keys})


def spaces():
    return kit.wanted({"name": DEMO.name, "owner": DEMO.owner})


@pytest.fixture(scope="module")
def site():
    """One workspace, and no Docker yet."""
    site = kit.connect()
    kit.unmake(site, OWNER)
    site.cluster.delete("Namespace", PLACE)
    kit.gone(site, "Namespace", PLACE)
    kit.make(site, {"name": DEMO.name, "owner": DEMO.owner})
    yield site
    kit.unmake(site, OWNER)
    for where in (PLACE, MIRROR):
        site.cluster.delete("Namespace", where)


@pytest.fixture(scope="module")
def registry(site):
    mirror.fill(site.cluster, MIRROR)
    return mirror.url(MIRROR)


@pytest.fixture(scope="module")
def running(site):
    """Its daemon, in the mode that the node supports."""
    apply(operations.ensure_docker(site, spaces(), wanted()), "apply")
    return site


def test_each_mode_has_its_true_outcome(running):
    modes = facts.modes(running, wanted()).set_index("mode")
    seen = facts.seen(running, wanted()).set_index("mode")
    assert (modes.outcome == "works").sum() == 1
    if modes.outcome["userns"] == "refused":  # on cgroup v1, and on v2 without containerd's setting
        assert modes.cause["userns"] == "cgroup" and "/sys/fs/cgroup" in modes.told["userns"]
        assert seen.cgroup_writable["userns"] != "yes" and not seen.uid_map["userns"].startswith("0 0 ")
        assert seen.uid_map["privileged"].startswith("0 0 ")


def test_userns_alone_is_refused_with_its_reason_where_it_cannot_work(site, running):
    if facts.mode(running, wanted()) == "userns":
        return
    alone = wanted(allow_privileged=False, namespace=f"{PLACE}-2")
    site.cluster.apply(operations._place(alone))
    try:
        found = operations.try_mode(site, alone, "userns")
        assert found.why.startswith("cgroup: ")
        unknown = operations.try_mode(site, alone, "userns", "no-such-class")
        assert unknown.cause in ("admission", "container runtime") and "no-such-class" in unknown.told
        missing = operations.try_mode(site, wanted(namespace=alone.namespace, image="registry.invalid/none:1"), "userns")
        assert missing.cause == "image", missing
        site.cluster.patch("Namespace", alone.namespace, "", {"metadata": {"labels": {LEVEL: "baseline"}}})
        strict = operations.try_mode(site, alone, "userns")
        assert strict.cause == "admission" and "PodSecurity" in strict.told
    finally:
        site.cluster.delete("Namespace", alone.namespace)


def test_a_second_run_changes_nothing(running):
    assert not operations.ensure_docker(running, spaces(), wanted())


def test_no_registry_is_named_with_the_setting(running):
    """Where Docker Hub is reached this is refuted by nobody: then the pull works."""
    found = containers.works(running, DEMO, spaces()).set_index("attempt")
    assert found.ok[["run", "limits", "images kept"]].all(), found.to_string()
    if not found.ok["pull"]:
        assert "docker.mirror" in found.said["pull"] and "cannot be reached" in found.said["pull"]
        with pytest.raises(ClaimRefuted, match="docker.mirror"):
            settle(running, found.reset_index(), "pull", "docker pull reaches a registry", "–")


def test_a_registry_that_has_had_enough_is_named(running):
    """Docker's own words for HTTP 429, from a server in the workspace, which shares the daemon's network."""
    script = 'printf %s "<?php $1" >/tmp/enough.php; php -S 127.0.0.1:5055 /tmp/enough.php >/dev/null 2>&1 & ' \
             'PATH=$PATH:/opt/runbook; for i in $(seq 50); do curl -so /dev/null http://127.0.0.1:5055/ && break; done; docker pull localhost:5055/library/php; kill $!'
    done = running.cluster.exec("demo-0", ["sh", "-c", script, "x", ENOUGH], f"ws-{OWNER}", "web", check=False)
    told = registry_trouble(done.stdout + done.stderr)
    assert "limit of pulls" in told and "docker.mirror" in told, done


def test_images_that_were_lost_are_missed(running, monkeypatch):
    monkeypatch.setattr(containers, "END", "docker -H unix://$DOCKER_SOCKET rmi -f runbook/try >/dev/null; kill -TERM 1")
    containers._daemon(running, DEMO, containers.OWN_IMAGE)
    assert containers.kept(running, DEMO)[1] is False


def test_limits_that_do_not_hold_are_seen(running):
    """A process that Docker's limits do not reach: what the daemon's pod is not the parent of."""
    containers._daemon(running, DEMO, containers.OWN_IMAGE)
    assert containers.within(running, DEMO)[1] is True
    outside = containers._daemon(running, DEMO, "cat /proc/self/cgroup && echo -- && sed 's|:/kubepods|:/elsewhere|' /proc/self/cgroup").stdout
    assert containers.lies_within(outside) is False


def test_a_hog_in_docker_ends_at_the_daemons_limit(running):
    """Half again as much memory as the daemon may have: the kernel ends it, and the workspace's main container goes on."""
    containers._daemon(running, DEMO, containers.OWN_IMAGE)
    before = running.cluster.get("Pod", "demo-0", f"ws-{OWNER}")["status"]["containerStatuses"]
    hog = "docker run --rm runbook/try /bin/sh -c 'x=0123456789abcdef; while :; do x=$x$x; [ ${#x} -lt 1200000000 ] || break; done; echo survived'"
    done = containers._user(running, DEMO, hog, timeout=100)
    after = running.cluster.get("Pod", "demo-0", f"ws-{OWNER}")["status"]["containerStatuses"]
    count = lambda found: {c["name"]: c["restartCount"] for c in found if c["name"] != "docker"}
    assert "survived" not in done.stdout and not done.ok and count(before) == count(after)


def test_a_mirror_serves_pull_build_and_compose(running, registry):
    given = wanted(mirror=registry)
    apply(operations.ensure_docker(running, spaces(), given), "apply")
    found = containers.works(running, DEMO, spaces()).set_index("attempt")
    assert found.ok.all() and {"pull", "build", "compose up", "its page"} <= set(found.index), found.to_string()
    assert "in containers" in found.said["its page"]


def test_images_outlive_the_pod(running):
    where = f"ws-{OWNER}"
    containers._daemon(running, DEMO, containers.OWN_IMAGE)
    before = containers._user(running, DEMO, "docker images --no-trunc -q runbook/try").stdout
    old = running.cluster.get("Pod", "demo-0", where)["metadata"]["uid"]
    running.cluster.delete("Pod", "demo-0", where)
    running.cluster.wait("Pod", "demo-0", where, timeout=200, what="the workspace to be back", until=lambda o: o is not None and o["metadata"]["uid"] != old
                         and any(c["type"] == "Ready" and c["status"] == "True" for c in o.get("status", {}).get("conditions", [])))
    assert before and containers._user(running, DEMO, "docker images --no-trunc -q runbook/try").stdout == before


def test_undo_takes_the_daemon_away_and_keeps_the_images(running):
    live = running.helm.release("demo", f"ws-{OWNER}")
    apply(runbook.plan_of([operations._release(running, live, {}, wanted(), 200)]), "apply")
    assert list(facts.daemons(running, spaces())["mode"]) == ["none"]
    assert running.cluster.get("PersistentVolumeClaim", "demo-docker", f"ws-{OWNER}")
