"""exec, logs, pages, use: live on a real cluster, replayed on the rehearsal."""

import pytest

from runbook.errors import ClusterError, CommandFailed, Invalid, NotFound, NotRecorded
from . import things
from .things import wait_ready

PAGE = ["sh", "-c", "mkdir -p /w; echo hello from the page > /w/index.html; echo started; exec httpd -f -p 8080 -h /w"]


@pytest.fixture(scope="module")
def web(cluster, stage):
    cluster.apply(things.deployment(stage, "web", containers=[
        things.container(command=PAGE, readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}), things.container("side")]))
    cluster.apply(things.service(stage, "web", port=80) | {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}})
    cluster.apply(things.service(stage, "lost"))
    wait_ready(cluster, "Deployment", "web", stage)
    [pod] = cluster.list("Pod", stage, selector="app=web")
    return pod["metadata"]["name"]


def test_exec_gives_output_and_label(cluster, stage, web):
    result = cluster.exec(web, ["echo", "one two"], stage, "main")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "one two\n", "")
    assert bool(result.replayed) == bool(cluster.replayed)


def test_exec_gives_the_exit_code_and_both_streams(cluster, stage, web):
    result = cluster.exec(web, ["sh", "-c", "echo out; echo err >&2; exit 3"], stage, "main", check=False)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    with pytest.raises(CommandFailed, match="ended with exit code 3"):
        cluster.exec(web, ["sh", "-c", "echo out; echo err >&2; exit 3"], stage, "main")


def test_exec_reads_its_input(cluster, stage, web):
    assert cluster.exec(web, ["wc", "-c"], stage, "main", input="12345").stdout.strip() == "5"


def test_exec_in_a_container_that_is_none(cluster, stage, web):
    with pytest.raises(Invalid, match="container nowhere is not valid for pod"):
        cluster.exec(web, ["true"], stage, "nowhere")


def test_exec_in_a_pod_that_is_none(cluster, stage, web):
    with pytest.raises(NotFound, match='pods "none" not found'):
        cluster.exec("none", ["true"], stage)


def test_logs(cluster, stage, web):
    assert cluster.logs(web, stage, "main") == "started\n"
    with pytest.raises(Invalid, match=r"a container name must be specified for pod .*, choose one of: \[main side\]"):
        cluster.logs(web, stage)
    with pytest.raises(NotFound, match='pods "none" not found'):
        cluster.logs("none", stage)


def test_a_page_through_the_api_server(cluster, stage, web):
    assert cluster.proxy(stage, "web", 80, "/") == (200, "hello from the page\n")
    assert cluster.proxy(stage, "web", 80, "/none.html")[0] == 404


def test_a_page_that_nobody_serves(cluster, stage, web):
    status, body = cluster.proxy(stage, "lost", 80, "/")
    assert (status, "no endpoints available for service" in body) == (503, True)
    status, body = cluster.proxy(stage, "web", 81, "/")
    assert (status, 'no service port 81 found for service "web"' in body) == (503, True)
    assert cluster.proxy(stage, "none", 80, "/")[0] == 404


def test_use_of_cpu_and_memory(cluster, stage, web):
    import time

    for _ in range(60):
        rows = cluster.usage("pods", stage)
        if rows or cluster.replayed:
            break
        time.sleep(2)
    [row] = [r for r in rows if r["name"] == web]
    assert set(row["containers"]) == {"main", "side"} and row["memory"] > 0
    [node] = cluster.usage("nodes")
    assert node["cpu"] > 0 and node["memory"] > 2**26


def test_what_this_user_may(cluster, stage):
    assert cluster.can("create", "pods", stage)


def test_what_nobody_recorded_is_said_to_be_so(cluster, stage, web):
    if not cluster.replayed:
        assert cluster.exec(web, ["true"], stage, "main").ok
        return
    with pytest.raises(NotRecorded, match=r"no recording of `rm -rf /` in Deployment/web \(main\)"):
        cluster.exec(web, ["rm", "-rf", "/"], stage, "main")


def test_a_log_of_a_container_that_waits(cluster, stage):
    cluster.apply(things.pod(stage, "pull", [{"name": "main", "image": "registry.invalid/none/nothing:1"}]))
    cluster.wait("Pod", "pull", stage, timeout=60, what="the pull to be given up", until=lambda o: any(
        c["state"].get("waiting", {}).get("reason") == "ImagePullBackOff" for c in (o or {}).get("status", {}).get("containerStatuses", [])))
    with pytest.raises(ClusterError, match='container "main" in pod "pull" is waiting to start: trying and failing to pull image'):
        cluster.logs("pull", stage)
