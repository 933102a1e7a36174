"""The claims of 01-install-k3s: on a given cluster, and where it installs (the rehearsal's machine, taken for this server)."""

import runbook
from runbook import rehearsal
from runbook.operations.k3s import CONFIG, KUBECONFIG, PROGRAM
from runbook.rehearsal.recordings import key

from .kit import Table, Way, proof_of, run

LOCAL = {"target": "local", "k3s": {"version": "v1.36.2+k3s1", "installer_sha256": "0" * 64}}


def here(world):
    """``local`` is the rehearsal's machine: files, units and commands are those of its state."""
    world.patch.setattr(runbook, "connect", lambda target, *, name, kubeconfig, mode: rehearsal.connect(name, mode))


def present(world):
    """k3s of the wanted version is there; its configuration is not ours yet."""
    here(world)
    world.command(["k3s", "--version"], stdout="k3s version v1.36.2+k3s1\n")
    world.patch.setattr("runbook.rehearsal.host.RehearsalHost._noted", _noted)


def _noted(host, argv, noted=rehearsal.RehearsalHost._noted):
    return None if argv == ["k3s", "--version"] else noted(host, argv)


def not_ready(obj):
    for condition in obj["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "False"


def dns_fails(world):
    world.every_pod("kube-system", {"k8s-app": "kube-dns"}, not_ready)


def no_metrics(world):
    world.remove("Deployment", "metrics-server", "kube-system")


def readable(world):
    with world.state.change() as data:
        data["files"][KUBECONFIG]["mode"] = 0o644


def edited(world, names):
    names["site"].host.write(CONFIG, "disable: [traefik]\n")


TABLE = Table("01", proven=(Way(), Way(present, given=LOCAL)), refuted={
    "the server has the room and the free ports that Kubernetes needs": Way(lambda world: world.file("/proc/cpuinfo", "processor : 0\n")),
    "every node is Ready": Way(lambda world: world.every_node(not_ready)),
    "the components that come with the cluster are ready": Way(dns_fails),
    "names, metrics and volumes are served (coredns, metrics-server, local-path-provisioner)": Way(no_metrics),
    "only its owner may read the kubeconfig": Way(readable),
    "the API server of the kubeconfig answers": Way(at={"host.kubeconfig(site)": lambda world, names: rehearsal.break_("api-down")}),
    "a second run of step 01 would change nothing": Way(present, given=LOCAL, at={"again =": edited}),
})

test_proven, test_refuted = proof_of(TABLE)


def absent(world):
    """No k3s here, and no API server."""
    here(world)
    world.command(["getent", "hosts", "get.k3s.io"], stdout="203.0.113.1 get.k3s.io\n")
    world.answer(key("sockets"), {"sockets": []})
    with world.state.change() as data:
        for path in (PROGRAM, KUBECONFIG):
            del data["files"][path]


def test_where_nothing_is_installed_a_plan_refutes_nothing(stage, tmp_path):
    settled = run(stage, tmp_path, "01", Way(absent, given=LOCAL, mode="plan", trust=False))
    assert [c["outcome"] for c in settled] == ["not shown"] * 7
