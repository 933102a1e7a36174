"""Every wall, whole and with the hole opened on purpose: the same attempts must hold in the one case and be refuted in the other."""

import os
from pathlib import Path

import pytest

import runbook
from runbook import docker
from runbook.attempts import isolation, limits, settle
from runbook.errors import ClaimRefuted
from runbook.facts import walls as facts
from runbook.operations import policies, walls
from runbook.params import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.long]

#: Who tries, and who is tried at; owners of their own, so that nothing else is touched.
ONE, OTHER = Workspace(name="one", owner="dockone"), Workspace(name="two", owner="docktwo")
SPACES = runbook.section("workspaces", {"list": [w.model_dump(exclude_defaults=True) for w in (ONE, OTHER)]})
IDE = SPACES.ide_image
LISTEN = "for (const p of [13337, 3306]) require('http').createServer((q, a) => a.end('x')).listen(p, p == 3306 ? process.argv[1] : '0.0.0.0')"


def pod(w, hole=False):
    """A pod that looks like a workspace, as far as the attempts see it: the IDE's node, a listener for the IDE and one for the database."""
    where = f"ws-{w.owner}"
    volumes = [{"name": "ide", "image": {"reference": IDE, "pullPolicy": "IfNotPresent"}}]
    mounts = [{"name": "ide", "mountPath": "/opt/ide"}]
    if hole:
        volumes.append({"name": "host", "hostPath": {"path": "/etc"}})
        mounts.append({"name": "host", "mountPath": "/mnt/host", "readOnly": True})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{w.name}-0", "namespace": where, "labels": {
        "app.kubernetes.io/name": "workspace", "runbook/workspace": w.name}}, "spec": {
        "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": hole, "hostPID": hole, "volumes": volumes,
        "containers": [{"name": "web", "image": SPACES.image, "volumeMounts": mounts,
                        "command": [isolation.NODE, "-e", LISTEN, "0.0.0.0" if hole else "127.0.0.1"],
                        "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": False},
                        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
                        "readinessProbe": {"tcpSocket": {"port": 13337}, "periodSeconds": 1}}]}}


def service(w):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": w.name, "namespace": f"ws-{w.owner}"},
            "spec": {"selector": {"runbook/workspace": w.name}, "ports": [{"port": 13337, "protocol": "TCP"}]}}


def own_only(w):
    """As the chart has it: pods of the same namespace may come in."""
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": w.name, "namespace": f"ws-{w.owner}"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}}


def make(site, hole):
    for w in (ONE, OTHER):
        where = f"ws-{w.owner}"
        site.cluster.delete("Pod", f"{w.name}-0", where)
        site.cluster.wait("Pod", f"{w.name}-0", where, until=lambda o: o is None, timeout=60, what="the earlier pod to go")
        site.cluster.apply(service(w))
        site.cluster.apply(pod(w, hole))
        for policy in (own_only(w), walls.egress(w.owner, walls.api_server(site))):
            if hole:
                site.cluster.delete("NetworkPolicy", policy["metadata"]["name"], where)
            else:
                site.cluster.apply(policy)
    for w in (ONE, OTHER):
        site.cluster.wait("Pod", f"{w.name}-0", f"ws-{w.owner}", timeout=120, what="a pod like a workspace", until=lambda o: o is not None and any(
            c["type"] == "Ready" and c["status"] == "True" for c in o.get("status", {}).get("conditions", [])))


def until(attempt, good, tries=40):
    """The attempt's result as soon as it is as wanted; rules take a moment to be written."""
    for _ in range(tries):
        found = attempt()
        if good(found):
            break
    return found


@pytest.fixture(scope="module")
def site():
    site = runbook.connect("local", name="lab", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ws-{w.owner}"}} for w in (ONE, OTHER)]
    for obj in spaces:
        site.cluster.apply(obj)
    yield site
    for obj in spaces:
        site.cluster.delete("Namespace", obj["metadata"]["name"])


NAMES = ["the node's files", "other pods' processes", "a service account token", "another workspace's IDE", "another workspace's database",
         "the node's own ports", "the API server"]


def test_walls_hold(site, capsys):
    make(site, hole=False)
    found = until(lambda: isolation.walls(site, ONE, OTHER), lambda t: t.ok.all() and not t.shown.any())
    assert set(found.attempt) == set(NAMES) and found.ok.all(), found.to_string()
    assert not found.shown.any(), found.to_string()
    for name in NAMES:
        settle(site, found, name, f"{name}: held", "–")
    assert capsys.readouterr().out.count("✔ proven") == len(NAMES)


def test_one_policy_that_lets_out_to_the_api_server_is_seen(site):
    make(site, hole=False)
    ends = site.cluster.list("EndpointSlice", "default", selector="kubernetes.io/service-name=kubernetes")
    to = [{"to": [{"ipBlock": {"cidr": f"{a}/32"}} for a in walls.api_server(site)],
           "ports": [{"protocol": "TCP", "port": ends[0]["ports"][0]["port"]}]}]
    site.cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "hole", "namespace": f"ws-{ONE.owner}"},
                        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": to}})
    try:
        found = until(lambda: isolation.walls(site, ONE, OTHER), lambda t: not t.ok.all()).set_index("attempt")
        assert list(found.index[~found.ok]) == ["the API server"] and found.loc["the API server", "said"] == "open", found.to_string()
        with pytest.raises(ClaimRefuted, match="seen: "):
            settle(site, found.reset_index(), "the API server", "a workspace cannot reach the API server", "–")
    finally:
        site.cluster.delete("NetworkPolicy", "hole", f"ws-{ONE.owner}")


def test_every_hole_is_seen(site):
    make(site, hole=True)
    found = until(lambda: isolation.walls(site, ONE, OTHER), lambda t: not t.ok.any())
    assert not found.ok.any(), found.to_string()
    for name in NAMES:
        with pytest.raises(ClaimRefuted, match="seen: "):
            settle(site, found, name, f"{name}: held", "–")


def test_the_daemons_own_container_reaches_the_nodes_disk_when_privileged(site):
    """What `privileged` means: the wall that is then not shown is not there."""
    where, given = "ws-dockone", runbook.section("docker", {"namespace": "ws-dockone"})
    tried = docker.pod("privileged", given)
    site.cluster.apply(tried)
    name = tried["metadata"]["name"]
    site.cluster.wait("Pod", name, where, timeout=120, what="a privileged pod", until=lambda o: o is not None and any(
        c.get("state", {}).get("running") for c in o.get("status", {}).get("containerStatuses", [])))
    result = site.cluster.exec(name, ["sh", "-c", isolation.FILES, "attempt", "no-such-machine"], where)
    site.cluster.delete("Pod", name, where)
    assert isolation._found("the node's files", result)[1] is False, result


def test_policies_are_seen_to_be_enforced_or_not(site, monkeypatch):
    assert policies.enforced(site, "ws-dockone", SPACES.image) == policies.ENFORCED
    nobody = policies.forbid("ws-dockone")
    nobody["spec"]["podSelector"] = {"matchLabels": {"runbook/try": "nobody"}}  # what a cluster does that ignores policies
    monkeypatch.setattr(policies, "forbid", lambda where: nobody)
    assert policies.enforced(site, "ws-dockone", SPACES.image, tries=5) == policies.IGNORED


def test_pod_security_refuses_and_admits(site):
    def row(label):
        site.cluster.patch("Namespace", "ws-dockone", "", {"metadata": {"labels": {walls.LEVEL: label}}})
        return facts.levels(site, SPACES).set_index("owner").loc["dockone"]

    closed, opened = row("baseline"), row("privileged")
    assert (closed["host disk"], closed["plain pod"]) == ("refused", "admitted")
    assert (opened["host disk"], opened["plain pod"]) == ("admitted", "admitted")


def test_limits_hold(site):
    found = limits.limits(site, ONE.owner, SPACES, runbook.section("docker", {"pids": 512})).set_index("attempt")
    assert found.loc[["memory", "cpu", "disk"], "ok"].all() and not found.loc[["memory", "cpu", "disk"], "shown"].any(), found.to_string()


def test_without_limits_nothing_holds(site, monkeypatch):
    def unlimited(name, image, command, *_):
        return {"name": name, "image": image, "command": command, "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}

    monkeypatch.setattr(limits, "_container", unlimited)
    monkeypatch.setattr(limits, "WRITE", f"head -c {limits.DISK_MI * 4}m /dev/zero >/tmp/much; sleep 25")  # longer than the kubelet takes to look
    found = limits.limits(site, ONE.owner, SPACES, runbook.section("docker", {"pids": 512})).set_index("attempt")
    assert not found.loc[["memory", "cpu", "disk"], "ok"].any(), found.to_string()


@pytest.mark.root
def test_a_fork_bomb_ends_at_the_pods_limit(site):
    """The node sets no limit, so the test sets it where the kubelet would: on the pod's own control group."""
    where, name = "ws-dockone", "forks"
    obj = limits._pod(name, where, [limits._container("pids", SPACES.image, ["sleep", "120"], "1", "512Mi")])
    site.cluster.apply(obj)
    live = site.cluster.wait("Pod", name, where, timeout=60, what="a pod to fork in", until=lambda o: o is not None and any(
        c.get("state", {}).get("running") for c in o.get("status", {}).get("containerStatuses", [])))
    groups = [p for p in Path("/sys/fs/cgroup").rglob(f"*pod{live['metadata']['uid']}*/pids.max") if p.exists()]
    assert groups, "this node is another machine: run the test on it"

    def forks():
        script = limits.FORKS.replace("/tmp/f", "/tmp/f$$")  # a pipe of its own each time
        done = site.cluster.exec(name, ["sh", "-c", script, "forks", "600"], where, check=False)
        return limits.processes(done.stdout, 512, pids_set=True)

    groups[0].write_text("300")
    bound = forks()
    groups[0].write_text("max")
    free = forks()
    site.cluster.delete("Pod", name, where)
    assert free[1] is False and bound[1] is True, (free, bound)
