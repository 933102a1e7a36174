"""Docker inside workspaces: what a try means, which mode is chosen, what the releases are brought to."""

import json

import pytest

import runbook
from runbook import docker, plans
from runbook.docker import Try
from runbook.errors import Forbidden, ParameterError, RunbookError, WaitFailed, WaitTimeout
from runbook.facts import docker as facts
from runbook.operations import docker as operations, policies
from runbook.operations.workspaces import ensure_workspaces
from runbook.plans import Change

#: Printed by the try's script on a node with cgroup v1, Kubernetes 1.36, containerd 2.4, Docker 20.10; shortened.
REFUSED = """cgroup=v1
cgroup_writable=mkdir: cannot create directory '/sys/fs/cgroup/pids/runbook-try': Read-only file system
kernel=6.18.44
uid_map=0 617218048 65536
daemon=20.10.24+dfsg1
driver=overlay2
told=docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
container process: unable to apply cgroup configuration: mkdir /sys/fs/cgroup/cpuset/docker: read-only file system: unknown.
ran=no
"""
RAN = "cgroup=v1\ncgroup_writable=yes\nkernel=6.18.44\nuid_map=0 0 4294967295\ndaemon=20.10.24+dfsg1\ndriver=overlay2\nran=yes\n"


def wanted(**keys):
    return runbook.section("docker", keys)


def names(plan):
    return [c.title for c in plan]


# -- tries ---------------------------------------------------------------------


def test_a_try_that_ran():
    found = docker.understood("privileged", RAN)
    assert found.ran and found.why == "" and dict(found.seen)["driver"] == "overlay2"


def test_a_try_that_was_refused_says_by_what():
    found = docker.understood("userns", REFUSED)
    assert not found.ran
    assert found.why == "cgroup: unable to apply cgroup configuration: mkdir /sys/fs/cgroup/cpuset/docker: read-only file system"
    logged = 'unknown. time="2026-11-24T14:50:38Z" level=error msg="error waiting for container: context canceled"\n'
    assert docker.understood("userns", REFUSED.replace("unknown.\n", logged)).why == found.why


@pytest.mark.parametrize("output", ["", "cgroup=v2\n", "sh: dockerd-entrypoint.sh: not found\n"])
def test_a_try_without_its_last_line_did_not_run(output):
    found = docker.understood("userns", output)
    assert not found.ran and "ended early" in found.told


def test_a_try_is_kept_as_text():
    found = docker.understood("userns", REFUSED)
    assert Try.of("userns", found.text()) == found


@pytest.mark.parametrize(("told", "cause"), [
    ('pods "try-userns" is forbidden: violates PodSecurity "baseline:latest": privileged', "admission"),
    ("ErrImagePull: failed to pull and unpack image: dial tcp: lookup registry-1.docker.io: no such host", "image"),
    ('FailedCreatePodSandBox: Failed to create pod sandbox: no runtime for "runbook-docker" is configured', "container runtime"),
    ("FailedCreatePodSandBox: can't set `spec.hostUsers: false`, runtime does not support user namespaces", "container runtime"),
    ("failed to create containerd task: failed to set MOUNT_ATTR_IDMAP on /x: invalid argument", "kernel"),
    ("apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: no such file or directory", "AppArmor"),
    ("mkdir /sys/fs/cgroup/docker: read-only file system", "cgroup"),
    ("failed to start daemon: Error initializing network controller: iptables failed: Permission denied", "kernel"),
    ("something else", "unknown"),
])
def test_cause_of_a_refusal(told, cause):
    assert docker.cause(told) == cause and cause in docker.MEND


@pytest.mark.parametrize(("told", "says"), [
    ('Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.43.0.10:53: no such host',
     "cannot be reached"),
    ("Error response from daemon: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and "
     "upgrading: https://www.docker.com/increase-rate-limit", "limit of pulls"),
    ("httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/python/manifests/sha256:53: 429 Too Many "
     "Requests", "limit of pulls"),
    ("Error response from daemon: pull access denied for nothing, repository does not exist or may require 'docker login'", "no such image"),
    ("no space left on device", ""),
])
def test_a_registrys_trouble_is_named_with_the_setting(told, says):
    found = docker.registry_trouble(told)
    assert says in found and ("docker.mirror" in found) == bool(says)


@pytest.mark.parametrize(("keys", "modes"), [
    ({}, ["userns"]), ({"allow_privileged": True}, ["userns", "privileged"]), ({"mode": "none"}, []), ({"mode": "userns"}, ["userns"]),
    ({"mode": "privileged", "allow_privileged": True}, ["privileged"]),
])
def test_only_what_the_parameters_accept_is_tried(keys, modes):
    assert docker.to_try(wanted(**keys)) == modes


YES, NO = Try("x", True), Try("x", False, "cgroup", "…")


@pytest.mark.parametrize(("keys", "tries", "mode"), [
    ({}, {}, None), ({}, {"userns": YES}, "userns"), ({}, {"userns": NO}, "none"),
    ({"allow_privileged": True}, {"userns": NO}, None), ({"allow_privileged": True}, {"userns": NO, "privileged": YES}, "privileged"),
    ({"allow_privileged": True}, {"userns": YES}, "userns"), ({"mode": "none"}, {"userns": YES}, "none"),
    ({}, {"userns": NO, "privileged": YES}, "none"),  # no longer accepted
])
def test_the_safest_mode_that_works_is_chosen(keys, tries, mode):
    assert docker.chosen(wanted(**keys), tries) == mode


def test_pods_of_the_modes():
    plain, root = (docker.pod(mode, wanted(), "handler")["spec"] for mode in ("userns", "privileged"))
    assert plain["hostUsers"] is False and plain["runtimeClassName"] == "handler" and "hostUsers" not in root
    assert root["containers"][0]["securityContext"]["privileged"] and "privileged" not in plain["containers"][0]["securityContext"]
    assert "runtimeClassName" not in docker.pod("userns", wanted())["spec"]


def node(**info):
    return {"metadata": {"name": "n"}, "status": {"nodeInfo": {"kernelVersion": "1", "containerRuntimeVersion": "c", "kubeletVersion": "k"} | info}}


def test_a_try_counts_for_one_kernel_runtime_and_image():
    first = docker.fingerprint([node()], wanted(), "")
    assert first == docker.fingerprint([node()], wanted(mirror="https://m.example"), "")
    others = [docker.fingerprint([node(kernelVersion="2")], wanted(), ""), docker.fingerprint([node()], wanted(image="x"), ""),
              docker.fingerprint([node()], wanted(), "handler")]
    assert len({first, *others}) == 4


@pytest.mark.parametrize("keys", [{"mode": "root"}, {"mirror": "mirror.example"}, {"pids": 10}, {"storage": 5}, {"allow_priviledged": True}])
def test_bad_parameters_are_refused(keys):
    with pytest.raises(ParameterError):
        wanted(**keys)


# -- the daemons ---------------------------------------------------------------


def spaces():
    return runbook.section("workspaces", {"list": [{"name": "demo", "owner": "alice"}, {"name": "shop", "owner": "bob"}]})


@pytest.fixture
def deployed(site):
    plans.apply(ensure_workspaces(site, spaces()), "apply")
    return site


def tried(site, given, **found):
    """As if the modes had been tried."""
    handler = facts.handler(site)
    data = {mode: t.text() for mode, t in found.items()} | {"policies": "enforced", "of": docker.fingerprint(site.cluster.list("Node"), given, handler)}
    for obj in (operations._place(given), {"apiVersion": "v1", "kind": "ConfigMap", "data": data,
                                           "metadata": {"name": docker.RECORD, "namespace": given.namespace}}):
        site.cluster.apply(obj)


def test_without_a_try_the_plan_tries_first(deployed):
    plan = operations.ensure_docker(deployed, spaces(), wanted(allow_privileged=True))
    assert names(plan) == ["create Namespace runbook-docker", "run Try userns then privileged", "run Daemons ws-alice/demo, ws-bob/shop"]
    assert facts.mode(deployed, wanted()) == "" and set(facts.modes(deployed, wanted()).outcome) == {"not tried"}


def test_privileged_is_never_set_up_unasked(deployed):
    with pytest.raises(ParameterError, match="root on the server"):
        operations.ensure_docker(deployed, spaces(), wanted(mode="privileged"))


@pytest.mark.parametrize("mode", ["userns", "privileged"])
def test_daemons_come_and_go(deployed, mode):
    given = wanted(allow_privileged=True, mirror="https://mirror.example")
    tried(deployed, given, **({"userns": NO} if mode == "privileged" else {}), **{mode: YES})
    plan = operations.ensure_docker(deployed, spaces(), given)
    assert {"update Release ws-alice/demo", "update Release ws-bob/shop", "update Namespace ws-alice"} <= set(names(plan))
    plans.apply(plan, "apply")
    found = facts.daemons(deployed, spaces())
    assert set(found["mode"]) == {mode} and set(found.volume) == {"5Gi"} and set(found.memory) == {"2Gi"}
    assert not operations.ensure_docker(deployed, spaces(), given)
    assert not ensure_workspaces(deployed, spaces())  # step 02 leaves it alone
    plans.apply(operations.undo(deployed, given), "apply")
    assert set(facts.daemons(deployed, spaces())["mode"]) == {"none"}
    assert deployed.cluster.get("PersistentVolumeClaim", "demo-docker", "ws-alice")  # images are data
    assert deployed.cluster.get("NetworkPolicy", "runbook-egress", "ws-alice") is None
    assert not operations.undo(deployed, given)
    plans.apply(operations.undo(deployed, given, delete_data=True), "apply")
    assert deployed.cluster.get("PersistentVolumeClaim", "demo-docker", "ws-alice") is None


def test_no_daemon_where_no_mode_works(deployed):
    tried(deployed, wanted(), userns=NO)
    plan = operations.ensure_docker(deployed, spaces(), wanted())
    assert "run Restart ws-alice/demo" in names(plan) and not any("Release" in t for t in names(plan))
    plans.apply(plan, "apply")
    assert not operations.ensure_docker(deployed, spaces(), wanted())
    told = facts.modes(deployed, wanted()).set_index("mode")
    assert told.loc["userns", "outcome"] == "refused" and told.loc["privileged", "cause"] == "not accepted"


def test_a_refusing_api_server_is_admission(site, monkeypatch):
    def refuse(obj, **_):
        raise Forbidden('pods "try-userns" is forbidden: violates PodSecurity "baseline:latest": unmasked procMount')
    monkeypatch.setattr(site.cluster, "apply", refuse)
    assert operations.try_mode(site, wanted(), "userns").cause == "admission"


def test_a_pod_that_does_not_start_says_why(site, monkeypatch):
    site.cluster.apply(operations._place(wanted()))

    def fail(kind, name, *_, **__):
        raise WaitFailed('waiting for the try of mode userns: Pod x failed: FailedCreatePodSandBox: no runtime for "runbook-docker" is configured\n  …')
    monkeypatch.setattr(site.cluster, "wait", fail)
    found = operations.try_mode(site, wanted(), "userns")
    assert found.cause == "container runtime" and found.told.startswith("FailedCreatePodSandBox: no runtime")
    assert site.cluster.get("Pod", "try-userns", "runbook-docker") is None  # nothing is left behind


def test_a_full_node_says_nothing_of_a_mode(site, monkeypatch):
    site.cluster.apply(operations._place(wanted()))
    full = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}  # as Kubernetes 1.36 said it

    def wait(kind, name, where, *, fail_on, **__):
        pod = {"metadata": {"name": name, "namespace": where}, "status": {"conditions": [full]}}
        monkeypatch.setattr(site.cluster, "events", lambda *_, **__: [{"reason": "FailedScheduling", "message": full["message"]}])
        monkeypatch.setattr(site.cluster, "get", lambda *_, **__: pod)
        assert fail_on(pod) == ""  # room may come
        raise WaitTimeout("still waiting for the try")

    monkeypatch.setattr(site.cluster, "wait", wait)
    with pytest.raises(RunbookError, match="could not be tried: .*Insufficient cpu"):
        operations.try_mode(site, wanted(), "userns")


@pytest.mark.parametrize(("status", "told"), [
    ({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}}]}, "ErrImagePull: no such host"),
    ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
    ({"containerStatuses": [{"state": {"terminated": {"reason": "StartError", "message": "apparmor"}}}]}, "StartError: apparmor"),
    ({}, ""),
])
def test_why_a_container_will_not_start(site, status, told):
    assert operations._refused(site, {"metadata": {"name": "p", "namespace": "default"}, "status": status}) == told


def test_policies_are_tried_with_a_control():
    assert policies.forbid("x")["spec"]["policyTypes"] == ["Ingress"] and "ingress" not in policies.forbid("x")["spec"]


def test_a_change_of_tries_shows_its_pods():
    change = operations._tries(None, spaces(), wanted(allow_privileged=True), "")
    assert isinstance(change, Change) and [p.name for p in change.parts] == ["runbook-docker/try-userns", "runbook-docker/try-privileged"]
    assert json.dumps(change.record())
