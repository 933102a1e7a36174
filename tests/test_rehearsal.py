"""The rehearsal beyond the API: its state file, its machine, its faults, its Helm."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbook import rehearsal
from runbook.checks import check
from runbook.cluster import Cluster
from runbook.errors import CommandFailed, Forbidden, NotRecorded, ParameterError, RunbookError, Unreachable
from runbook.rehearsal import RehearsalHost, RehearsalTransport, State, canonical, faults
from runbook.rehearsal.host import K3S
from runbook.rehearsal.state import seed


def config(name="settings", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def workload(name="demo", namespace="ws-alice"):
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": namespace}, "spec": {
        "serviceName": name, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "containers": [{"name": "web", "image": "php:8.2-apache"}, {"name": "mariadb", "image": "mariadb:11"}]}}}}


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "with a space" / "state.json")


@pytest.fixture
def cluster(state):
    return Cluster(RehearsalTransport(state), pause=lambda seconds: None)


@pytest.fixture
def demo(cluster):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ws-alice"}})
    cluster.apply(workload())
    return "ws-alice"


# -- the state --------------------------------------------------------------


def test_reading_writes_no_file(state, cluster):
    assert cluster.version == seed()["version"] and cluster.list("Node")
    assert not state.path.exists()


def test_steps_follow_one_another(state, cluster):
    cluster.apply(config(a="1"))
    later = Cluster(RehearsalTransport(State(state.path)))
    assert later.get("ConfigMap", "settings", "default")["data"] == {"a": "1"}
    later.apply(config(a="2"))
    assert cluster.get("ConfigMap", "settings", "default")["data"] == {"a": "2"}


def test_an_error_inside_a_change_leaves_file_and_memory_as_they_were(state):
    with pytest.raises(ZeroDivisionError), state.change() as data:
        data["files"]["/etc/x"] = {}
        1 / 0
    assert "/etc/x" not in state.read()["files"]


def test_a_file_of_another_seed_starts_anew(state, cluster):
    cluster.apply(config(a="1"))
    state.path.write_text(state.path.read_text().replace(json.dumps(seed()["about"]), '"recorded long ago"'))
    assert Cluster(RehearsalTransport(State(state.path))).get("ConfigMap", "settings", "default") is None


def test_a_damaged_file_is_named(state):
    state.path.parent.mkdir()
    state.path.write_text("{")
    with pytest.raises(RunbookError, match="state.json cannot be read"):
        State(state.path).read()


def test_reset(state, cluster):
    cluster.apply(config(a="1"))
    state.reset()
    assert cluster.get("ConfigMap", "settings", "default") is None


def writes(path, number):
    cluster = Cluster(RehearsalTransport(State(path)))
    for i in range(5):
        cluster.apply(config(f"of-{number}-{i}"))


def test_processes_at_once_lose_nothing(state):
    running = [multiprocessing.get_context("fork").Process(target=writes, args=(state.path, n)) for n in range(3)]
    for one in running:
        one.start()
    for one in running:
        one.join(60)
    found = Cluster(RehearsalTransport(state)).list("ConfigMap", "default")
    assert sum(o["metadata"]["name"].startswith("of-") for o in found) == 15


def test_threads_at_once_lose_nothing(state, cluster):
    def work(number):
        for i in range(5):
            cluster.apply(config(f"by-{number}-{i}"))
            cluster.list("ConfigMap", "default")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, n) for n in range(4)]:
            done.result()
    assert sum(o["metadata"]["name"].startswith("by-") for o in cluster.list("ConfigMap", "default")) == 20


def test_the_seed_holds_no_secret():
    text = json.dumps(seed()["objects"])
    assert "Secret" not in {o["kind"] for o in seed()["objects"]} and "-----BEGIN" not in text


# -- the machine ---------------------------------------------------------------


def test_files_are_kept_with_mode_and_backup(state):
    host = RehearsalHost(state)
    assert host.read("/etc/rancher/k3s/config.yaml") is None and not host.exists("/etc/rancher/k3s/config.yaml")
    host.write("/etc/rancher/k3s/config.yaml", "a", 0o600)
    host.write("/etc/rancher/k3s/config.yaml", "b", 0o600)
    later = RehearsalHost(State(state.path))
    assert later.read("/etc/rancher/k3s/config.yaml") == "b" and later.mode("/etc/rancher/k3s/config.yaml") == 0o600
    [backup] = [p for p in state.read()["files"] if ".before-" in p]
    assert later.read(backup) == "a" and later.exists("/etc/rancher")
    later.remove("/etc/rancher/k3s/config.yaml")
    later.remove("/etc/rancher/k3s/config.yaml")
    assert not later.exists("/etc/rancher/k3s/config.yaml")


def test_units_follow_systemctl(state):
    host = RehearsalHost(state)
    assert host.unit("kots-console")["LoadState"] == "not-found"
    with pytest.raises(CommandFailed, match="Unit kots-console.service not found"):
        host.run(["systemctl", "start", "kots-console"])
    host.write("/etc/systemd/system/kots-console.service", "[Unit]")
    assert host.unit("kots-console")["ActiveState"] == "inactive"
    assert host.run(["systemctl", "enable", "--now", "kots-console"]).replayed
    assert {"UnitFileState": "enabled", "ActiveState": "active"}.items() <= host.unit("kots-console").items()
    host.run(["systemctl", "disable", "--now", "kots-console.service"])
    assert {"UnitFileState": "disabled", "ActiveState": "inactive"}.items() <= host.unit("kots-console").items()


def test_a_change_is_noted_and_uninstalling_takes_the_cluster(state, cluster):
    host = RehearsalHost(state)
    cluster.apply(config(a="1"))
    host.change(["sh", "install.sh"], leaves=["/usr/local/bin/tool"])
    assert host.which("tool") == "/usr/local/bin/tool" and rehearsal.connect(state=state).cluster
    host.change(["k3s-uninstall.sh"], gone=[K3S])
    assert rehearsal.connect(state=state).cluster is None and not host.which("k3s")
    assert cluster.get("ConfigMap", "settings", "default") is None


def test_what_nobody_recorded_is_not_shown(state, capsys):
    host = RehearsalHost(state)
    for ask in (lambda: host.run(["no-such-command"]), lambda: host.read("/proc/no-such-file"), lambda: host.download("https://example.org")):
        with pytest.raises(NotRecorded, match="^rehearsal: no recording of "):
            ask()
    check(lambda: host.run(["no-such-command"]).ok, "the command works", "mend it")
    assert "– not shown: the command works (rehearsal: no recording of `no-such-command` on the host)" in capsys.readouterr().out


# -- faults ----------------------------------------------------------------------


def test_an_unknown_fault_names_those_there_are(state):
    with pytest.raises(ParameterError, match="there is none of that name") as caught:
        faults.on(state, "flat-tyre")
    assert "image-not-found" in str(caught.value)


@pytest.mark.parametrize("name", sorted(n for n, f in faults.known().items() if f.get("objects")))
def test_every_recorded_fault_can_be_laid_and_lifted(state, cluster, name):
    before = {k: sorted(t) for k, t in state.read()["objects"].items() if k not in ("events",)}
    found = faults.on(state, name, "ct-broken")
    assert found["title"] and found["about"].startswith("recorded 20")
    pod = cluster.get("Pod", found["pod"], "ct-broken") if found.get("pod") else None
    if pod:
        assert not any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        assert cluster.events("ct-broken", of=f"Pod/{found['pod']}")
    faults.off(state, name)
    cluster.delete("Namespace", "ct-broken")
    assert {k: sorted(t) for k, t in state.read()["objects"].items() if k not in ("events",)} == before


@pytest.mark.parametrize("name, reason", [("crash-loop", "CrashLoopBackOff"), ("oom-killed", "CrashLoopBackOff"), ("image-not-found", "ImagePullBackOff"),
                                          ("missing-config", "CreateContainerConfigError")])
def test_a_workload_falls_ill_until_its_template_changes(state, cluster, demo, name, reason):
    faults.on(state, name, demo, "StatefulSet/demo", "mariadb")

    def waiting():
        found = cluster.get("Pod", "demo-0", demo)["status"].get("containerStatuses", [])
        return {c["name"]: c["state"]["waiting"]["reason"] for c in found if "waiting" in c["state"]}

    assert waiting() == {"mariadb": reason}
    assert not cluster.get("StatefulSet", "demo", demo)["status"].get("readyReplicas")
    assert "demo-0" in json.dumps(cluster.events(demo, of="Pod/demo-0")) and "ct-zoo" not in json.dumps(cluster.events(demo))
    cluster.delete("Pod", "demo-0", demo)
    assert waiting() == {"mariadb": reason}, "the cause is still there"
    mended = workload()
    mended["spec"]["template"]["spec"]["containers"][1]["image"] = "mariadb:11.4"
    cluster.apply(mended)
    assert waiting() == {} and cluster.get("StatefulSet", "demo", demo)["status"]["readyReplicas"] == 1


def test_a_workload_recovers_when_the_fault_is_switched_off(state, cluster, demo):
    faults.on(state, "oom-killed", demo, "StatefulSet/demo")
    assert cluster.logs("demo-0", demo, "web", previous=True) == "filling memory\n"
    faults.off(state)
    assert cluster.get("StatefulSet", "demo", demo)["status"]["readyReplicas"] == 1


def test_a_fault_upon_what_is_not_there(state):
    with pytest.raises(ParameterError, match="no pod of StatefulSet/demo"):
        faults.on(state, "oom-killed", "default", "StatefulSet/demo")
    with pytest.raises(ParameterError, match="no workload"):
        faults.on(state, "oom-killed", "default", "demo")
    with pytest.raises(ParameterError, match="it is not a pod's"):
        faults.on(state, "api-down", "default", "StatefulSet/demo")


def test_a_class_that_comes_mends_the_claim(state, cluster):
    faults.on(state, "pvc-pending", "ct-broken")
    assert cluster.get("PersistentVolumeClaim", "noclass", "ct-broken")["status"]["phase"] == "Pending"
    cluster.apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "does-not-exist"}, "provisioner": "rancher.io/local-path"})
    assert cluster.get("PersistentVolumeClaim", "noclass", "ct-broken")["status"]["phase"] == "Bound"
    assert cluster.get("Pod", "wants-claim", "ct-broken")["status"]["phase"] == "Running"


def test_an_api_server_that_is_down(state, cluster):
    faults.on(state, "api-down")
    with pytest.raises(Unreachable, match="Connection refused"):
        cluster.list("Node")
    faults.off(state, "api-down")
    assert cluster.list("Node")


def test_an_api_server_that_is_busy_is_asked_again(state, cluster):
    faults.on(state, "api-429")
    assert cluster.list("Node") and cluster.calls >= 2


def test_a_user_who_may_only_read(state, cluster):
    assert cluster.can("patch", "secrets", "default")
    faults.on(state, "forbidden")
    assert cluster.list("Node") and not cluster.can("patch", "secrets", "default") and cluster.can("get", "secrets", "default")
    with pytest.raises(Forbidden, match='configmaps "settings" is forbidden: User "system:serviceaccount:ct-apf:poor" cannot patch resource "configmaps" '
                                        'in API group "" in the namespace "default"'):
        cluster.apply(config(a="1"))


def test_a_user_whom_nobody_knows(state, cluster):
    faults.on(state, "unauthorized")
    with pytest.raises(Forbidden, match="Unauthorized"):
        cluster.list("Node")


@pytest.mark.parametrize("value, wanted", [
    ("500m", "500m"), (0.5, "500m"), ("0.5", "500m"), (1, "1"), ("1000m", "1"), ("1500m", "1500m"), ("0", "0"), ("0m", "0"), ("1024Mi", "1Gi"),
    ("1000Mi", "1000Mi"), ("1.5Gi", "1536Mi"), ("512", "512"), ("1Ki", "1Ki"), ("0.5Ki", "512"), ("1000M", "1G"), ("1e3", "1e3"), ("100n", "100n"),
    ("2E", "2E"), ("no quantity", "no quantity"),
])
def test_quantities_take_their_canonical_form(value, wanted):
    assert canonical.quantity(value) == wanted
