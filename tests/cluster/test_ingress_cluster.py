"""Step 05 on a real cluster with a real ingress controller: who gets in, what passes, and for each fault the red hop."""

import base64
import datetime
import json
import os
import threading
import time
from datetime import timedelta

import ingress_kit as kit
import pytest
import websocket
import workspaces_kit
from dns_kit import dns
from ingress_kit import DOMAIN, LOCAL, OWNERS, PRIVATE, PUBLIC, host

from runbook import apply, certs, plots, wire
from runbook.facts import ingress as facts
from runbook.facts import request_path as rp
from runbook.operations import workspaces
from runbook.operations.ingress import ensure_ingress

pytestmark = [pytest.mark.cluster, pytest.mark.long]
IDLE = float(os.environ.get("RUNBOOK_IDLE_SECONDS", "3"))
MEGABYTES = int(os.environ.get("RUNBOOK_UPLOAD_MB", "64"))
ONE, TWO = OWNERS


@pytest.fixture(scope="module")
def edge():
    with kit.edge() as made:
        yield made


@pytest.fixture(scope="module")
def ca(edge):
    return facts.authority(*edge)


def get(name, ca, **more):
    return wire.request(name, LOCAL, authority=ca, **more)


# -- what it is for ----------------------------------------------------------


def test_a_second_plan_is_empty(edge):
    assert not ensure_ingress(*edge)


def test_the_whole_way_is_green(edge):
    found = rp.table(*edge)
    assert set(found[found.hop != "container"].state) == {rp.OK} and rp.broken(found).empty
    assert found.url.nunique() == 6
    assert facts.records(*edge).ok.tolist() == [True, True]


def test_each_url_for_each_visitor(edge):
    found = facts.access(*edge)
    assert found.ok.eq(True).all(), found[found.ok.ne(True)].to_string()
    assert len(found) == 3 * (6 + 2) and set(found.visibility) == {"ide", "private", "public", "nobody's", "http"}


def test_a_session_is_the_workspaces_own(edge, ca):
    """The cookie, by another name, on another path, from another page, under another Host: no way around."""
    mine = kit.cookie(*edge, ONE)
    name, value = mine.split("=", 1)
    assert get(host(ONE, PRIVATE), ca, headers={"Cookie": mine}).status == 200
    for forged in (mine, f"{name.replace(ONE, TWO)}={value}", f"code-server-session={value}", f"{name.replace(ONE, TWO)}={value}; {mine}"):
        for port in (0, PRIVATE, 80):
            assert facts.observe(facts.kept(get(host(TWO, port), ca, headers={"Cookie": forged}))) == "the sign-in page"
    for header in ("Forwarded", "X-Forwarded-Host"):
        answer = get(host(TWO), ca, headers={header: f"host={host(TWO, PRIVATE)}" if header == "Forwarded" else host(TWO, PRIVATE), "Cookie": mine})
        assert facts.observe(facts.kept(answer)) == "the sign-in page"
    assert get(host(ONE, PRIVATE), ca, headers={"Accept": "*/*"}).status == 401


def test_the_cookie_is_for_https_and_no_script_and_no_program(edge, ca):
    signed = kit.try_password(host(ONE), ca, workspaces_kit.password(edge[0], ONE, kit.NAME))
    words = signed.header("set-cookie")
    assert signed.status == 302 and f"Domain=ws.{DOMAIN}" in words and "Secure" in words and "HttpOnly" in words and "SameSite=Lax" in words
    mine = words.split(";")[0]
    for port, marked in ((PUBLIC, "public"), (PRIVATE, "private")):
        answer = get(host(ONE, port), ca, headers={"Cookie": f"theirs=1; {mine}; code-server-session-x=2"})
        assert answer.header(facts.MARK) == marked
        assert json.loads(answer.body)["headers"]["cookie"] == "theirs=1"


def test_a_page_of_another_workspace_may_not_reach_in(edge, ca):
    mine = kit.cookie(*edge, ONE)
    ask = lambda origin: get(host(ONE, PRIVATE), ca, method="POST", body="x", headers={"Cookie": mine, "Origin": f"https://{origin}"}).status
    assert ask(host(TWO, PUBLIC)) == 403
    assert ask(host(ONE, PUBLIC)) == 200 and ask(host(ONE)) == 200


def test_the_authority_is_offered(edge, ca):
    answer = get(f"ws.{DOMAIN}", ca, path="/ca.crt")
    assert answer.body == ca and certs.permits(ca, f"ws.{DOMAIN}") and not certs.permits(ca, "example.org")
    assert get(f"ws.{DOMAIN}", ca).status == 404 and get(f"x.ws.{DOMAIN}", ca).status == 404


@pytest.mark.parametrize("port", [PUBLIC, PRIVATE])
def test_large_uploads(edge, ca, port):
    headers = {"Cookie": kit.cookie(*edge, ONE)} if port == PRIVATE else {}
    status, answer, seconds = kit.upload(host(ONE, port), ca, MEGABYTES, headers)
    assert status == 200 and json.loads(answer)["bytes"] == MEGABYTES * 2**20
    print(f"{MEGABYTES} MB to port {port} in {seconds:.1f} s")


def test_websockets_stay(edge, ca):
    """Idle for a while (RUNBOOK_IDLE_SECONDS=900 for a quarter of an hour), then used again."""
    mine = kit.cookie(*edge, ONE)
    said = {}

    def talk(port, cookie):
        name = host(ONE, port)
        line = websocket.create_connection(f"wss://{name}/", socket=kit.tls(name, ca), cookie=cookie, timeout=60)
        line.send("before")
        assert line.recv() == "before"
        started = time.monotonic()
        threading.Event().wait(IDLE)
        line.send("after")
        said[port] = (line.recv(), round(time.monotonic() - started))
        line.close()

    talks = [threading.Thread(target=talk, args=a) for a in ((PUBLIC, None), (PRIVATE, mine))]
    for t in talks:
        t.start()
    for t in talks:
        t.join()
    assert {port: text for port, (text, _) in said.items()} == {PUBLIC: "after", PRIVATE: "after"}
    print(f"idle for {min(s for _, s in said.values())} s")
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        websocket.create_connection(f"wss://{host(ONE, PRIVATE)}/", socket=kit.tls(host(ONE, PRIVATE), ca), timeout=60)
    with pytest.raises(websocket.WebSocketBadStatusException, match="404"):
        websocket.create_connection(f"wss://x.ws.{DOMAIN}/", socket=kit.tls(f"x.ws.{DOMAIN}", ca), timeout=60)


def test_no_key_in_a_workspace(edge):
    """Neither mounted, nor to be asked for: the container that people work in has no token."""
    found = workspaces_kit.sh(edge[0], ONE, kit.NAME, "ls /var/run/secrets/kubernetes.io 2>&1; mount | grep -c tls || true; env | grep -ci 'PRIVATE KEY' || true")
    assert "No such file" in found and found.split()[-2:] == ["0", "0"]


def test_fifty_workspaces_in_as_many_calls(edge, ca):
    site, wanted = edge

    def calls():
        before, started = site.cluster.calls, time.monotonic()
        found = rp.table(site, wanted)
        return site.cluster.calls - before, found.url.nunique(), time.monotonic() - started

    few = calls()
    labels = {"app.kubernetes.io/part-of": "runbook", "runbook/owner": ONE}
    made = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"w{n}", "namespace": f"ws-{ONE}", "labels": labels | {"runbook/workspace": f"w{n}"}},
             "spec": {"selector": {"app": f"w{n}"}, "ports": [{"name": "ide", "port": 13337}]}} for n in range(50)]
    try:
        wire.each(site.cluster.apply, made)
        many = calls()
        assert many[0] == few[0] and many[1] == few[1] + 50
        print(f"{few[1]} URLs: {few[0]} calls, {few[2]:.1f} s; {many[1]} URLs: {many[0]} calls, {many[2]:.1f} s")
    finally:
        wire.each(lambda o: site.cluster.delete("Service", o["metadata"]["name"], f"ws-{ONE}"), made)


# -- faults, made on purpose -------------------------------------------------


def red(site, wanted, hop, words, do, owner=ONE, port=0):
    """Until the way to a workspace breaks at this hop, in these words; and nowhere else."""
    def look():
        found = rp.table(site, wanted, host(owner, port))
        broken = rp.broken(found)
        return found if len(broken) and broken.hop.iloc[0] == hop and words in broken.observed.iloc[0] + broken.otherwise.iloc[0] else None

    found = kit.until(look, f"{hop} is red: {words}")
    assert do in rp.broken(found).otherwise.iloc[0]
    assert set(found[found.state == rp.BROKEN].hop) == {hop}
    assert f"broken at {hop}" in plots.request_path(found, "way").alt


def green(site, wanted):
    kit.until(lambda: rp.broken(rp.table(site, wanted, host(ONE))).empty, "the whole way is green again")


def test_an_expired_certificate_is_red_and_renewed(edge):
    site, wanted = edge
    authority = facts.pair(site.cluster.get("Secret", facts.AUTHORITY, wanted.namespace))
    names = [f"*.ws.{DOMAIN}", f"ws.{DOMAIN}"]
    kit.give(site, wanted, certs.issue(authority, names, days=10, now=datetime.datetime.now(datetime.timezone.utc) - timedelta(days=20)))
    red(site, wanted, "certificate", "it expired on", "run step 05 again")
    plan = ensure_ingress(site, wanted)
    assert [c.title for c in plan] == [f"update Secret {wanted.namespace}/{facts.CERTIFICATE}"]
    apply(plan, "apply")
    green(site, wanted)


def test_a_certificate_for_another_host_is_red_and_mended(edge):
    site, wanted = edge
    authority = facts.pair(site.cluster.get("Secret", facts.AUTHORITY, wanted.namespace))
    kit.give(site, wanted, certs.issue(authority, [f"ws.{DOMAIN}"]))
    red(site, wanted, "certificate", f"not for {host(ONE)}", "run step 05 again")
    apply(ensure_ingress(site, wanted), "apply")
    green(site, wanted)


def test_a_stopped_workspace_is_a_service_without_endpoints(edge):
    site, wanted = edge
    apply(workspaces.stop(site, kit.NAME, TWO), "apply")
    red(site, wanted, "endpoint", "the workspace is stopped", f"runbook workspace start {kit.NAME} --owner {TWO}", owner=TWO)
    found = facts.access(site, wanted)
    assert found[found.url.str.contains(f"-{TWO}.")].ok.isna().all() and not found.ok.eq(False).any()
    apply(workspaces.start(site, kit.NAME, TWO), "apply")
    kit.serve(site, TWO)
    kit.until(lambda: rp.broken(rp.table(site, wanted, host(TWO))).empty, "the workspace is reached again")


def test_a_service_that_selects_nothing(edge):
    site, wanted = edge
    site.cluster.patch("Service", kit.NAME, f"ws-{ONE}", {"spec": {"selector": {"app.kubernetes.io/instance": "somebody-else"}}})
    try:
        red(site, wanted, "endpoint", "the Service selects none", "run step 02 again")
    finally:
        site.cluster.patch("Service", kit.NAME, f"ws-{ONE}", {"spec": {"selector": {"app.kubernetes.io/instance": kit.NAME}}})
    green(site, wanted)


def test_a_class_that_nobody_serves(edge):
    site, wanted = edge
    name = "ws-ing-nobody"
    site.cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}, "spec": {"controller": "example.org/nobody"}})
    try:
        apply(ensure_ingress(site, wanted.model_copy(update={"class_name": name})), "apply")
        red(site, wanted, "ingress", f"does not serve IngressClass {name} (example.org/nobody)", "set ingress.class_name")
    finally:
        site.cluster.delete("IngressClass", name)
        red(site, wanted, "ingress", f"IngressClass {name} does not exist", "one of: traefik")
        apply(ensure_ingress(site, wanted), "apply")
    green(site, wanted)


def test_no_gateway(edge):
    site, wanted = edge
    site.cluster.scale("Deployment", facts.GATEWAY, wanted.namespace, 0)
    try:
        red(site, wanted, "gateway", "no ready endpoint", f"kubectl -n {wanted.namespace} describe pods")
    finally:
        site.cluster.scale("Deployment", facts.GATEWAY, wanted.namespace, 1)
    green(site, wanted)


def test_a_port_where_nothing_listens(edge):
    site, wanted = edge
    workspaces_kit.sh(site, ONE, kit.NAME, f"php -r 'foreach (glob(\"/proc/[0-9]*/cmdline\") as $f) if (str_contains(@file_get_contents($f), \"echo.js\\0{PUBLIC}\")) "
                                           "posix_kill((int) explode(\"/\", $f)[2], 15);'")
    try:
        red(site, wanted, "container", "nothing listens on the port", f"0.0.0.0:{PUBLIC}", port=PUBLIC)
    finally:
        kit.serve(site, ONE)


@pytest.mark.parametrize("address, words", [("192.0.2.9", f"leads to 192.0.2.9, not to {LOCAL}"), ("", "knows no address of that name")])
def test_dns_pointing_elsewhere(edge, address, words):
    site, wanted = edge
    with dns({f"ws.{DOMAIN}": LOCAL} | ({f"*.ws.{DOMAIN}": address} if address else {})) as elsewhere:
        asked = wanted.model_copy(update={"resolver": elsewhere})
        red(site, asked, "name", words, "make a record *.ws.<domain>")
        found = facts.records(site, asked)
        assert found.ok.tolist() == [True, False] and f"make the record *.ws.{DOMAIN} A {LOCAL}" in facts.wrong(found)


def test_a_port_that_another_program_holds(edge, tmp_path):
    site, wanted = edge
    with kit.program(tmp_path) as port:
        red(site, wanted.model_copy(update={"probe_port": port}), "port", f"holds port {port}", f"(process {os.getpid()})")
    red(site, wanted.model_copy(update={"probe_port": port}), "port", "nothing listens there", "see that the ingress controller runs")


# -- last, because it leaves the sign-in of one workspace tired --------------


def test_tries_to_sign_in_are_counted(edge, ca):
    site, _ = edge
    answers = [kit.try_password(host(TWO), ca, f"wrong {n}") for n in range(12)]
    statuses = [a.status for a in answers]
    assert statuses[0] == 200 and "Incorrect password" in answers[0].body
    assert 429 in statuses and set(statuses) <= {200, 429}
    first = statuses.index(429)
    assert answers[first].header("retry-after") == "60" and set(statuses[first:]) == {429}
    assert kit.try_password(host(TWO), ca, workspaces_kit.password(site, TWO, kit.NAME)).status == 429
    assert kit.try_password(host(TWO, PRIVATE), ca, "wrong").status == 429, "the port's page is the same sign-in"
    assert kit.cookie(*edge, ONE), "other workspaces are not concerned"
    assert base64.b64encode(workspaces_kit.password(site, TWO, kit.NAME).encode()).decode() not in str(answers)
