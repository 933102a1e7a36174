"""The way of a request: for each fault the right hop is the red one, and the message says what to do. Faults are in what is seen."""

import copy

import pandas as pd
import pytest

from runbook import params, plots, urls, wire
from runbook.facts import ingress as facts
from runbook.facts import request_path as rp

TO, DOMAIN = "203.0.113.7", "code.example.org"
WANTED = params.section("ingress", {"domain": DOMAIN})
IDE = urls.Url("alice", "demo", 0, "ide", urls.host(DOMAIN, "demo", "alice"))
PUBLIC = urls.Url("alice", "demo", 8000, "public", urls.host(DOMAIN, "demo", "alice", 8000))


def meta(name, namespace, **more):
    return {"name": name, "namespace": namespace, **more}


def pod(ready=True, **status):
    return {"metadata": meta("demo-0", "ws-alice", labels={"runbook/owner": "alice", "runbook/workspace": "demo"}),
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}], **status}}


def well() -> dict:
    """Everything as it is when all is well: arguments of ``hops``."""
    service = {"metadata": meta("demo", "ws-alice", labels={"runbook/owner": "alice", "runbook/workspace": "demo"}),
               "spec": {"ports": [{"name": "ide", "port": 13337}, {"name": "public-8000", "port": 8000}]}}
    gateway = {"metadata": meta("gateway", "runbook-system", labels={}), "spec": {"ports": [{"name": "http", "port": 80}]}}
    seen = rp.Seen(
        WANTED, TO, "127.0.0.1", "",
        [{"metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
          "spec": {"controller": "traefik.io/ingress-controller"}}],
        [{"metadata": meta("gateway", "runbook-system"), "spec": {"rules": [{"host": f"*.ws.{DOMAIN}"}]}}],
        {("ws-alice", "demo"): service, ("runbook-system", "gateway"): gateway}, {("ws-alice", "demo"): 1, ("runbook-system", "gateway"): 1}, [pod()], [])
    return {"seen": seen, "u": IDE, "port": ({"error": ""}, ""), "holder": "", "names": wire.Names((TO,)),
            "shown": ({"error": "", "refused": "", "names": f"*.ws.{DOMAIN}", "days_left": 90.0}, ""),
            "answer": ({"status": 302, "mark": "ide", "location": "./login", "body": "", "error": "", "seconds": 0.01}, "")}


def judged(**changed) -> pd.DataFrame:
    arguments = well() | changed
    return pd.DataFrame([(arguments["u"].url, *h) for h in rp.hops(**arguments)], columns=rp.COLUMNS)


def answer(status, mark="", error="", **more):
    return {"status": status, "mark": mark, "location": "", "body": "", "error": error, "seconds": 0.0, **more}, ""


def test_all_is_well():
    found = judged()
    assert list(found.hop) == list(rp.HOPS) and set(found.state) == {rp.OK}
    assert rp.broken(found).empty and rp.before_workspaces(found).empty and rp.why_not(found) == ""


def seen(**changed) -> rp.Seen:
    found = copy.deepcopy(well()["seen"])
    for key, value in changed.items():
        setattr(found, key, value)
    return found


def ingress(**spec):
    return [{"metadata": meta("gateway", "runbook-system"), "spec": {"rules": [{"host": f"*.ws.{DOMAIN}"}], **spec}}]


REFUSED = {"error": "", "refused": "it expired on 2026-01-01 00:00 UTC", "names": "x", "days_left": -3.0}, ""
UNSERVED = seen(ingresses=ingress(ingressClassName="nginx"),
                classes=well()["seen"].classes + [{"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}])
NO_ENDPOINT = {("runbook-system", "gateway"): 1}
WAITING = pod(False, containerStatuses=[{"name": "web", "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])
FAULTS = {
    "DNS elsewhere": ("name", "leads to 192.0.2.9, not to 203.0.113.7", "make a record", {"names": wire.Names(("192.0.2.9",))}),
    "no record": ("name", "knows no such name", "make a record", {"names": wire.Names(error="the DNS server x knows no such name")}),
    "nothing on 443": ("port", "nothing listens there", "see that the ingress controller runs", {
        "port": ({"error": "the connection is refused: nothing listens there"}, ""), "shown": ({"error": "refused", "refused": ""}, ""),
        "answer": answer(0, error="the connection is refused")}),
    "443 held": ("port", "something else answers", "nginx (process 7) holds port 443: stop it", {
        "holder": "nginx (process 7) holds port 443: stop it, or move it to another port", "answer": answer(200)}),
    "443 waited for": ("port", "nothing listens there", "waits for the port", {
        "holder": "pod kube-system/svclb waits for the port: 0/1 nodes had free ports", "port": ({"error": "the connection is refused: nothing listens there"}, ""),
        "shown": ({"error": "refused", "refused": ""}, ""), "answer": answer(0, error="refused")}),
    "expired": ("certificate", "it expired on 2026-01-01", "run step 05 again", {"shown": REFUSED}),
    "no TLS": ("certificate", "no TLS is spoken there", "see the hop before", {
        "shown": ({"error": "no TLS is spoken there", "refused": ""}, ""), "answer": answer(0, error="no TLS is spoken there")}),
    "no Ingress": ("ingress", "no Ingress has this name", "run step 05", {"seen": seen(ingresses=[]), "answer": ({}, ""), "shown": ({}, "")}),
    "class unknown": ("ingress", "IngressClass nope does not exist", "set ingress.class_name to one of: traefik", {
        "seen": seen(ingresses=ingress(ingressClassName="nope")), "answer": answer(404)}),
    "class unserved": ("ingress", "does not serve IngressClass nginx", "there are: traefik, nginx", {"seen": UNSERVED, "answer": answer(404), "shown": REFUSED}),
    "no class": ("ingress", "none is the default", "set ingress.class_name", {"seen": seen(classes=[]), "answer": answer(404)}),
    "gateway gone": ("gateway", "there is no such Service", "run step 05", {
        "seen": seen(services={("ws-alice", "demo"): well()["seen"].services["ws-alice", "demo"]}, ready={("ws-alice", "demo"): 1}), "answer": answer(404)}),
    "gateway down": ("gateway", "no ready endpoint, no pod", "kubectl -n runbook-system describe pods", {
        "seen": seen(ready={("ws-alice", "demo"): 1}), "answer": answer(503)}),
    "no such workspace": ("service", "there is no such Service", "see the names", {
        "u": urls.Url("bob", "shop", 0, "ide", urls.host(DOMAIN, "shop", "bob")), "answer": answer(404, "no-workspace")}),
    "stopped": ("endpoint", "the workspace is stopped", "runbook workspace start demo --owner alice", {
        "seen": seen(ready=NO_ENDPOINT, pods=[]), "answer": answer(503, "no-endpoint")}),
    "failing": ("endpoint", "web: CrashLoopBackOff", "92-workspace-does-not-start", {
        "seen": seen(ready=NO_ENDPOINT, pods=[WAITING]), "answer": answer(503, "no-endpoint")}),
    "wrong selector": ("endpoint", "the Service selects none", "run step 02 again", {"seen": seen(ready=NO_ENDPOINT), "answer": answer(503, "no-endpoint")}),
    "port not listening": ("container", "nothing listens on the port", "0.0.0.0:8000", {"u": PUBLIC, "answer": answer(503, "no-endpoint")}),
    "IDE hangs": ("container", "the IDE does not answer", "restart the workspace", {"answer": answer(502, "broken")}),
    "IDE fails": ("container", "HTTP 500", "see the IDE's log", {"answer": answer(500, "ide")}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_broken_hop_is_the_red_one(fault):
    hop, observed, do, changed = FAULTS[fault]
    found = judged(**changed)
    first = rp.broken(found).iloc[0]
    assert first.hop == hop
    assert observed in first.observed or observed in first.otherwise
    assert do in first.otherwise
    assert len(found[found.state == rp.BROKEN]) == 1, "one fault, one red hop"
    assert rp.before_workspaces(found).empty is (hop not in ("port", "certificate", "ingress", "gateway"))
    assert f"broken at {hop}" in plots.request_path(found, "way").alt


def test_what_nobody_can_tell_is_neither_red_nor_green():
    names = wire.Names(error="there is no such name")
    found = judged(names=names, seen=seen(wanted=params.section("ingress", {})), port=({}, "not recorded"), shown=({}, "not recorded"), answer=({}, "not recorded"))
    assert set(found[found.state == rp.UNKNOWN].hop) == {"name", "port", "certificate", "ingress"}
    assert rp.broken(found).empty and rp.why_not(found, "port") == "not recorded"


def test_a_name_is_judged_strictly_when_it_is_ones_own():
    gone = wire.Names(error="there is no such name")
    assert facts.judge_names(gone, TO, WANTED)[0] is False
    assert facts.judge_names(gone, TO, params.section("ingress", {}))[0] is None
    assert facts.judge_names(gone, TO, params.section("ingress", {"resolver": "9.9.9.9"}))[0] is False
    assert facts.judge_names(wire.Names(error="silent", silent=True), TO, WANTED)[0] is None


def holding(name, *ports, node="n1", phase="Running"):
    return {"metadata": meta(name, "shop"), "spec": {"nodeName": node, "containers": [{"name": "c", "ports": [{"hostPort": p} for p in ports]}]},
            "status": {"phase": phase}}


@pytest.mark.parametrize("others, said", [
    ([], "waits for the port: 0/1 nodes"), ([holding("web", 443)], "waits for the port, which pod shop/web holds: delete what made it"),
    ([holding("web", 8443)], "waits for the port: 0/1 nodes"), ([holding("web", 443, phase="Succeeded")], "waits for the port: 0/1 nodes"),
    ([holding("traefik", 443, node="")], "waits for the port: 0/1 nodes"), ([holding("a", 80, 443), holding("b", 443)], "pod shop/a, shop/b holds")])
def test_a_waiting_controller_names_who_has_its_port(others, said):
    assert said in rp._waits(holding("traefik", 443, node=""), 443, others, "0/1 nodes had no free ports")


def test_the_picture_has_a_box_for_each_hop_and_its_data():
    drawing = plots.request_path(pd.concat([judged(), judged(u=PUBLIC, answer=answer(503, "no-endpoint"))]), "way", note="replayed")
    assert drawing.png()[:8] == b"\x89PNG\r\n\x1a\n" and len(drawing.data) == 2 * len(rp.HOPS)
    assert sum(type(p).__name__ == "FancyBboxPatch" for p in drawing.figure.axes[0].patches) == 16


@pytest.mark.parametrize("said, words", [
    (answer(302, "ide", location="./login"), "the sign-in page"), (answer(302, "ide", location="./?folder=/workspace"), "the IDE"),
    (answer(200, "private"), "the port"), (answer(302, "private", location="./login?to=/a"), "the sign-in page"),
    (answer(302, "public", location="/login"), "the public port"), (answer(404, "unknown"), "404"), (answer(404, "no-workspace"), "404"),
    (answer(404, "private"), "the port"), (answer(404), "HTTP 404, not from the gateway"), (answer(308, "https", location="https://x/"), "HTTPS"),
    (answer(301, "", location="https://x/"), "HTTPS"), (answer(302, "", location="https://x/"), "HTTPS"),
    (answer(302, "public", location="https://elsewhere/"), "the public port"), (answer(401, "private"), "refused (HTTP 401)"), (answer(429, "tries"), "refused (HTTP 429)"),
    (answer(500, "private", body="connect ECONNREFUSED 0.0.0.0:9"), "the port, where nothing listens"), (answer(503, "no-endpoint"), "the port, where nothing listens"),
    (answer(0, error="no answer within 10 s"), "no answer within 10 s"), (answer(502, "broken"), "HTTP 502 (broken)"),
])
def test_answers_in_words(said, words):
    assert facts.observe(said[0]) == words


def test_nobody_is_let_in_by_the_words():
    """What an outsider may see is never one of the things that a signed-in person sees."""
    inside = facts.ANSWERS["the IDE"] | facts.ANSWERS["the port"]
    for visibility in ("ide", "private"):
        assert not facts.ANSWERS[facts.EXPECTED[visibility, "out"]] & inside
