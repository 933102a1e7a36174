"""The chart `keeper`: clean and valid, with few rights; and its script against an API server and workspaces of this process."""

import http.server
import json
import os
import ssl
import subprocess
import threading
from contextlib import contextmanager

import helm_python
import kubernetes_validate
import pytest

from runbook import certs, paths
from runbook.errors import ReleaseFailed
from runbook.helm import render
from runbook.workspaces import KEEPER, KEEPER_NAMESPACE, keeper_binding

CHART = paths.charts() / "keeper"
SCHEMAS = "1.36"


def objects(values=None) -> list[dict]:
    return render(CHART, KEEPER, KEEPER_NAMESPACE, values or {})


def of(kind: str, name: str = "") -> dict:
    return next(o for o in objects() if o["kind"] == kind and o["metadata"]["name"] in (name, name or o["metadata"]["name"]))


@pytest.mark.parametrize("values", [{}, {"checkEvery": 2, "imagePullSecrets": ["registry"]}])
def test_clean_and_valid(values):
    report = helm_python.lint(CHART, values, strict=True, namespace=KEEPER_NAMESPACE, kube_version=f"v{SCHEMAS}.0")
    assert not report["errors"] and [m for m in report["messages"] if m["severity"] > 1] == []
    for o in objects(values):
        kubernetes_validate.validate(o, SCHEMAS, strict=True)


@pytest.mark.parametrize("values", [{"checkEvery": 0}, {"image": ""}, {"interval": 3}])
def test_bad_values_are_refused(values):
    with pytest.raises(ReleaseFailed):
        objects(values)


def test_its_rights():
    assert of("ClusterRole", "runbook-keeper")["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    stop = of("ClusterRole", "runbook-keeper-stop")
    assert stop["rules"] == [{"apiGroups": ["apps"], "resources": ["statefulsets/scale"], "verbs": ["patch"]}]
    bound = [o["roleRef"]["name"] for o in objects() if o["kind"] == "ClusterRoleBinding"]
    assert bound == ["runbook-keeper"]  # stopping is bound in each owner's namespace only
    binding = keeper_binding("alice")
    kubernetes_validate.validate(binding, SCHEMAS, strict=True)
    assert binding["roleRef"]["name"] == stop["metadata"]["name"] and binding["metadata"]["namespace"] == "ws-alice"
    account = of("ServiceAccount")["metadata"]
    assert [(s["name"], s["namespace"]) for s in binding["subjects"]] == [(account["name"], account["namespace"])]


def test_only_workspaces_reach_it():
    assert of("NetworkPolicy")["spec"]["ingress"] == [{
        "from": [{"namespaceSelector": {"matchExpressions": [{"key": "runbook/owner", "operator": "Exists"}]},
                  "podSelector": {"matchLabels": {"app.kubernetes.io/name": "workspace", "app.kubernetes.io/part-of": "runbook"}}}],
        "ports": [{"port": "http", "protocol": "TCP"}]}]


# -- the script ---------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """The API server and a workspace's IDE in one: lists pods, notes what is scaled, says when somebody last worked."""

    def _say(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/healthz":
            return self._say(*self.server.health)
        self.server.asked.append(self.path)
        self._say(200, {"items": self.server.pods, "metadata": {}})

    def do_PATCH(self):
        self.server.scaled.append((self.path.replace("?fieldManager=runbook-keeper", ""), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self._say(200 if self.headers["Authorization"] == "Bearer t0ken" else 401, {})

    def log_message(self, *_):
        pass


@contextmanager
def serving(context=None, **state):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vars(server).update(state)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(folder, pods, health, code):
    """What the keeper scaled while it did something, and what it printed; NOW is milliseconds of this moment, AGO(seconds) an ISO time."""
    authority = certs.new_authority("ws.test")
    leaf = certs.issue(authority, ["api.ws.test"])
    for name, text in (("ca.crt", authority.certificate), ("token", "t0ken\n"), ("leaf.pem", leaf.certificate), ("key.pem", leaf.key)):
        (folder / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem", folder / "key.pem")
    with serving(health=health) as ide, serving(context, pods=pods, scaled=[], asked=[]) as api:
        for pod in pods:
            pod["spec"]["containers"][0]["ports"][0]["containerPort"] = ide.server_address[1]
        # The name in the certificate leads to this machine: one program's own table of names, nobody else's.
        names = "const dns=require('dns'); dns.lookup=(n,o,done)=>{if(!done){done=o;o={}} o.all?done(null,[{address:'127.0.0.1',family:4}]):done(null,'127.0.0.1',4)};"
        done = subprocess.run(["node", "-e", f"{names} const keeper=require({json.dumps(str(CHART / 'files' / 'keeper.js'))}); {code}"], text=True,
                              capture_output=True, timeout=60, env={**os.environ, "ACCOUNT": str(folder), "KUBERNETES_SERVICE_HOST": "api.ws.test",
                                                                    "KUBERNETES_SERVICE_PORT": str(api.server_address[1])})
    assert done.returncode == 0, done.stderr
    return api, done.stdout


def pod(limit="120", started="2026-01-01T00:00:00Z", **meta):
    return {"metadata": {"uid": "u1", "namespace": "ws-alice", "name": "demo-0", "annotations": {"runbook/idle-stop": limit},
                         "ownerReferences": [{"kind": "StatefulSet", "name": "demo", "controller": True}], **meta},
            "spec": {"containers": [{"name": "web", "ports": [{"name": "ide", "containerPort": 0}]}]},
            "status": {"podIP": "127.0.0.1", "containerStatuses": [{"name": "web", "state": {"running": {"startedAt": started}}}]}}


FUTURE = "2999-01-01T00:00:00Z"  #: a beat, or a start, of this moment at least
STOPPED = [("/apis/apps/v1/namespaces/ws-alice/statefulsets/demo/scale", {"spec": {"replicas": 0}})]


@pytest.mark.node
@pytest.mark.parametrize("found, health, stopped", [
    (pod(), (200, {"lastHeartbeat": 0}), True),
    (pod(), (200, {"lastHeartbeat": 32472144000000}), False),  # somebody works in it
    (pod(started=FUTURE), (200, {"lastHeartbeat": 0}), False),  # it has only just started
    (pod(limit="0"), (200, {"lastHeartbeat": 0}), False),
    (pod(limit="soon"), (200, {"lastHeartbeat": 0}), False),
    (pod(deletionTimestamp="2026-01-01T00:00:00Z"), (200, {"lastHeartbeat": 0}), False),  # stopping already
    (pod(ownerReferences=[]), (200, {"lastHeartbeat": 0}), False),
    (pod(), (503, {}), False),  # what does not answer is not judged
    (pod(), (200, {"status": "alive"}), False), (pod(), (200, None), False),
    (pod(), (200, {"lastHeartbeat": 0, "more": "x" * 9000}), False),
], ids=["idle", "busy", "new", "no-limit", "no-number", "stopping", "nobodys", "silent", "no-beat", "nothing", "too-long"])
def test_what_one_look_stops(tmp_path, found, health, stopped):
    api, _ = run(tmp_path, [found], health, "keeper.round()")
    assert api.scaled == (STOPPED if stopped else [])
    assert "labelSelector=app.kubernetes.io%2Fname%3Dworkspace%2Capp.kubernetes.io%2Fpart-of%3Drunbook" in api.asked[0]


@pytest.mark.node
@pytest.mark.parametrize("address, found, status", [
    ("127.0.0.1", [pod(limit="0")], 200), ("192.0.2.1", [pod()], 403), ("127.0.0.1", [], 403),
    ("127.0.0.1", [pod(deletionTimestamp="2026-01-01T00:00:00Z")], 403),
])
def test_who_asks_is_told_by_the_address(tmp_path, address, found, status):
    api, said = run(tmp_path, found, (200, {}), f"keeper.asked('{address}').then((a) => console.log(a.status))")
    rehearsed = [(f"{path}&dryRun=All", body) for path, body in STOPPED]
    assert said.split()[0] == str(status) and api.scaled == (rehearsed + STOPPED if status == 200 else [])
    assert f"fieldSelector=status.podIP%3D{address}" in api.asked[0]
