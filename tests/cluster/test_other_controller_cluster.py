"""The same claims behind another ingress controller: HAProxy Ingress, beside the cluster's own, on ports of its own.

HAPROXY_INGRESS is a checkout of github.com/jcmoraisjr/haproxy-ingress in which `go build -o haproxy-ingress-controller ./pkg` was
done; the controller runs from there on this machine, as its own `make run` does, and drives Debian's haproxy, which needs lua-json.
"""

import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import ingress_kit as kit
import pytest
import websocket
from ingress_kit import OWNERS, PRIVATE, PUBLIC, host

from runbook import connect
from runbook.facts import ingress as facts
from runbook.facts import request_path as rp
from runbook.operations.ingress import ensure_ingress

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.haproxy]
CLASS, SPACE, CONTROLLER = "haproxy-test", "ing-haproxy", "haproxy-ingress.github.io/controller"
ONE = OWNERS[0]


def free_ports(count: int) -> list[int]:
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [s.getsockname()[1] for s in made]
    for s in made:
        s.close()
    return found


@contextmanager
def controller(folder: Path):
    """HAProxy Ingress for the class, on two ports of this machine: the one with TLS, the one without."""
    site = connect("local", name="haproxy", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    source, (https, http, stats, health, own) = Path(os.environ["HAPROXY_INGRESS"]), free_ports(5)
    shutil.copytree(source / "rootfs/etc/lua", folder / "etc/haproxy/lua")
    for part in ("var/run/haproxy", "var/lib/haproxy"):
        (folder / part).mkdir(parents=True)
    keys = {"https-port": f"{https}", "http-port": f"{http}", "stats-port": f"{stats}", "healthz-port": f"{health}",
            "bind-ip-addr-http": "127.0.0.1"}
    for obj in (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "haproxy", "namespace": SPACE}, "data": keys},
            {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": CLASS}, "spec": {"controller": CONTROLLER}}):
        site.cluster.apply(obj)
    argv = [str(source / "haproxy-ingress-controller"), f"--kubeconfig={site.kubeconfig}", f"--local-filesystem-prefix={folder}",
            "--update-status=false", f"--configmap={SPACE}/haproxy", "--watch-gateway=false", f"--healthz-addr=127.0.0.1:{own}"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(argv, cwd=source, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield {"class_name": CLASS, "probe_port": https, "probe_http_port": http}
        finally:
            process.terminate()
            process.wait(60)
            haproxy = folder / "var/run/haproxy/haproxy.pid"
            for pid in haproxy.read_text().split() if haproxy.exists() else ():
                subprocess.run(["kill", pid], check=False)
            for kind, name in (("IngressClass", CLASS), ("Namespace", SPACE)):
                site.cluster.delete(kind, name)
            print((folder / "log").read_text()[-1500:])


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    with controller(tmp_path_factory.mktemp("haproxy")) as keys, kit.edge(**keys) as made:
        yield made


@pytest.fixture(scope="module")
def ca(edge):
    return facts.authority(*edge)


def test_the_class_is_there_and_is_not_the_default(edge):
    found = facts.classes(edge[0]).set_index("name")
    assert found.controller[CLASS] == CONTROLLER and not found.default[CLASS] and facts.class_name(*edge) == CLASS


def test_the_whole_way_is_green(edge):
    kit.until(lambda: rp.broken(rp.table(*edge)).empty, "the way to be green")
    found = rp.table(*edge)
    assert set(found[found.hop != "container"].state) == {rp.OK} and found.url.nunique() == 6
    assert found[found.hop == "ingress"].observed.eq(f"IngressClass {CLASS}").all()


def test_each_url_for_each_visitor(edge):
    found = facts.access(*edge)
    assert found.ok.eq(True).all(), found[found.ok.ne(True)].to_string()
    assert set(found.visibility) == {"ide", "private", "public", "nobody's", "http"}


def test_the_certificate_is_ours_and_a_second_plan_is_empty(edge):
    assert not facts.certificate(*edge).problems.any() and not ensure_ingress(*edge)


@pytest.mark.parametrize("port", [PUBLIC, PRIVATE])
def test_uploads_and_websockets(edge, ca, port):
    name, cookie, to = host(ONE, port), kit.cookie(*edge, ONE) if port == PRIVATE else "", edge[1].probe_port
    status, answer, _ = kit.upload(name, ca, 16, {"Cookie": cookie} if cookie else {}, to)
    assert status == 200 and json.loads(answer)["bytes"] == 16 * 2**20
    line = websocket.create_connection(f"wss://{name}/", socket=kit.tls(name, ca, to), cookie=cookie or None, timeout=60)
    line.send("there and back")
    assert line.recv() == "there and back"
    line.close()


def test_a_controller_that_does_not_serve_the_class_is_red(edge):
    """The cluster's own controller is asked for a name that only the other one serves."""
    site, wanted = edge
    asked = wanted.model_copy(update={"probe_port": 443})
    broken = rp.broken(rp.table(site, asked, host(ONE)))
    assert broken.hop.tolist() == ["ingress"] and f"does not serve IngressClass {CLASS} ({CONTROLLER})" in broken.observed.iloc[0]
