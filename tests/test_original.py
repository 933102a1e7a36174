"""Gitpod itself: what a registry's answers mean, and what a cluster lacks. The registry is a server of this machine."""

import http.server
import json
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from runbook.errors import NotRecorded
from runbook.facts import original
from runbook.host import Host

TOKEN = "given-to-anybody"


class Registry(http.server.BaseHTTPRequestHandler):
    """As the distribution specification says it: a manifest's HEAD, and the place that gives tokens."""

    def do_HEAD(self):
        name = self.path.removeprefix("/v2/").partition("/manifests/")[0]
        given = self.headers.get("Authorization", "")
        status = {"gone": 404, "full": 429, "broken": 500, "closed": 401, "forbidden": 403}.get(name, 200)
        if name in ("asks", "closed") and given != f"Bearer {TOKEN}":
            status = 401
        assert original.MANIFESTS == self.headers["Accept"]
        self.send_response(status)
        if status == 401:
            realm = f"http://127.0.0.1:{self.server.server_port}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="test",scope="repository:{name}:pull"')
        self.end_headers()

    def do_GET(self):
        said = {"token": TOKEN} if "repository%3Aasks%3Apull" in self.path else {"errors": [{"code": "UNAUTHORIZED"}]}
        self.send_response(200 if "token" in said else 401)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *args):
        pass


@contextmanager
def served(handler=Registry):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def registry():
    with served() as place:
        yield place


@pytest.fixture
def silent():
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing():
    """A port on which nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


FOUND = {
    "public": ("there", "there"),
    "asks": ("there", "there"),  # for a token, which it gives to anybody
    "gone": ("gone (404)", "missing"),
    "closed": ("not public (401)", "not known"),
    "forbidden": ("not public (403)", "not known"),
    "full": ("too many requests (429)", "not known"),
    "broken": ("the registry answers 500", "not known"),
}


def images(monkeypatch, place, *names):
    monkeypatch.setattr(original, "IMAGES", {name: f"{place}/{name}:1" for name in names})
    table = original.pieces(SimpleNamespace(cluster=None, version="", host=Host()))
    return {r.piece: (r.found, r.verdict) for r in table.itertuples() if r.piece in names}


def test_what_a_registry_says(monkeypatch, registry):
    assert images(monkeypatch, registry, *FOUND) == FOUND


def test_a_registry_that_does_not_answer(monkeypatch, silent, refusing):
    monkeypatch.setattr(original, "SECONDS", 0.3)
    for place, why in ((silent, "no answer within 0.3 s"), (refusing, "the connection is refused: nothing listens there")):
        assert images(monkeypatch, place, "a") == {"a": (f"the registry cannot be reached: {why}", "not known")}
    assert images(monkeypatch, "registry.invalid", "a")["a"][1] == "not known"


def test_the_rehearsal_asks_nobody(monkeypatch):
    class Rehearsed(Host):
        def probe(self, asked, look):
            raise NotRecorded("rehearsal: no recording of it")

    table = original.pieces(SimpleNamespace(cluster=None, version="", host=Rehearsed()))
    assert set(table.verdict) == {"not known"}
    assert set(table.found[5:]) == {"rehearsal: no recording of it"}


def test_nobody_is_asked_unless_it_is_wanted():
    class Deaf(Host):
        def probe(self, asked, look):
            raise AssertionError("a registry was asked")

    table = original.pieces(SimpleNamespace(cluster=None, version="", host=Deaf()), ask=False)
    assert set(table.found[5:]) == {"not asked: workspaces.original is not set"} and set(table.verdict) == {"not known"}


def node(kernel="6.1.0-18-amd64", runtime="containerd://2.0.0", labels=original.LABELS):
    return {"metadata": {"labels": dict.fromkeys(labels, "true")},
            "status": {"nodeInfo": {"kernelVersion": kernel, "containerRuntimeVersion": runtime}}}


@pytest.mark.parametrize("nodes, version, crd, missing", [
    ([node()], "v1.36.2+k3s1", True, []),
    ([node(), node(labels=())], "v1.36.2", True, []),
    ([node(kernel="5.4.0")], "v1.21.0", True, []),
    ([node(kernel="4.19.0-1")], "v1.36.2", True, ["kernel"]),
    ([node()], "v1.20.15", True, ["Kubernetes"]),
    ([node(), node(runtime="cri-o://1.30.0")], "v1.36.2", True, ["runtime"]),
    ([node(labels=original.LABELS[1:])], "v1.36.2", True, ["node labels"]),
    ([node()], "v1.36.2", False, ["cert-manager"]),
])
def test_what_a_cluster_lacks(monkeypatch, nodes, version, crd, missing):
    monkeypatch.setattr(original, "IMAGES", {})
    cluster = SimpleNamespace(list=lambda kind: nodes, get=lambda kind, name: {"metadata": {}} if crd else None)
    table = original.pieces(SimpleNamespace(cluster=cluster, version=version, host=Host()))
    assert list(table[table.verdict == "missing"].piece) == missing
    assert bool(original.lacking(table)) == bool(missing)
