"""An edge of its own for tests: a gateway in its own namespace, under a domain that only a DNS server of the test knows."""

import base64
import http.client
import os
import socket
import ssl
import threading
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

import workspaces_kit as kit
from dns_kit import dns

import runbook
from runbook import certs, urls, wire
from runbook.facts import ingress as facts
from runbook.operations.ingress import ensure_ingress, undo
from runbook.operations.settle import settle
from runbook.paths import charts
from runbook.plans import apply
from runbook.workspaces import namespace

DOMAIN, NAMESPACE, OWNERS, NAME = "ing.test", "ws-ing-system", ("ing1", "ing2"), "demo"
LOCAL = "127.0.0.1"
PUBLIC, PRIVATE = 8000, 9000  #: the ports that echo.js is started on
ECHO = Path(__file__).with_name("echo.js")


def section(resolver: str, **more):
    return runbook.section("ingress", {"domain": DOMAIN, "namespace": NAMESPACE, "owners": list(OWNERS), "address": LOCAL, "probe": LOCAL,
                                       "resolver": resolver} | more)


@contextmanager
def edge(**more):
    """The site, the section of step 05 applied to it; two owners with a workspace each, whose port 8000 is public. All of it goes at the end.

    ``more``: keys of the section.
    """
    site = kit.connect()
    with dns({f"*.ws.{DOMAIN}": LOCAL, f"ws.{DOMAIN}": LOCAL}) as resolver:
        wanted = section(resolver, **more)
        kit.make(site, *({"name": NAME, "owner": o} for o in OWNERS))
        for owner in OWNERS:
            declare(site, owner)
        apply(ensure_ingress(site, wanted), "apply")
        for owner in OWNERS:
            serve(site, owner)
        try:
            yield site, wanted
        finally:
            if not os.environ.get("RUNBOOK_KEEP"):
                apply(undo(site, wanted, delete_data=True), "apply")
                kit.unmake(site, *OWNERS)


def declare(site, owner: str) -> None:
    """The port that a .gitpod.yml would declare public."""
    live = site.helm.release(NAME, namespace(owner))
    ports = [{"first": PUBLIC, "last": PUBLIC, "onOpen": "notify", "visibility": "public", "name": "Echo"}]
    values = live.values | {"gitpod": live.values.get("gitpod", {}) | {"ports": ports}}
    change = site.helm.ensure(charts() / "workspace", NAME, namespace(owner), values, settle=lambda: settle(site, NAME, owner, 300))
    if change:
        change.perform()


def serve(site, owner: str) -> None:
    """Pages and WebSockets: on all addresses at the public port, on the workspace's own at the private one."""
    node = "/opt/ide/usr/lib/code-server/lib/node"
    site.cluster.exec(f"{NAME}-0", ["/bin/sh", "-c", "cat >/tmp/echo.js"], namespace(owner), "web", input=ECHO.read_text())
    for port, address in ((PUBLIC, "0.0.0.0"), (PRIVATE, "127.0.0.1")):
        kit.sh(site, owner, NAME, f"setsid {node} /tmp/echo.js {port} {address} >/tmp/echo-{port}.log 2>&1 </dev/null & "
                                  f"i=0; until curl -s -o /dev/null http://127.0.0.1:{port}/ || php -r 'exit(@fsockopen(\"127.0.0.1\", {port}) ? 0 : 1);'; "
                                  "do i=$((i+1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done")


def host(owner: str, port: int = 0) -> str:
    return urls.host(DOMAIN, NAME, owner, port)


def cookie(site, wanted, owner: str) -> str:
    """Signed in: ``name=value``."""
    found, answer = wire.sign_in(host(owner), LOCAL, kit.password(site, owner, NAME), port=wanted.probe_port,
                                 authority=facts.authority(site, wanted))
    assert found, f"{answer.status} {answer.error} {answer.body[:300]}"
    return found


def tls(name: str, authority: str, port: int = 443) -> ssl.SSLSocket:
    return wire.trusting(authority).wrap_socket(socket.create_connection((LOCAL, port), 20), server_hostname=name)


def upload(name: str, authority: str, megabytes: int, headers: dict, port: int = 443) -> tuple[int, bytes, float]:
    """POST so many MB, in pieces; status, answer and seconds."""
    connection, piece = http.client.HTTPConnection(name), b"x" * 2**20
    connection.sock = tls(name, authority, port)
    connection.sock.settimeout(300)
    started = time.monotonic()
    connection.request("POST", "/upload", (piece for _ in range(megabytes)), {"Content-Length": str(megabytes * 2**20)} | headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), time.monotonic() - started


def try_password(name: str, authority: str, password: str) -> wire.Answer:
    form = urllib.parse.urlencode({"password": password, "base": ".", "href": f"https://{name}/login"})
    return wire.request(name, LOCAL, path="/login", method="POST", body=form, authority=authority,
                        headers={"Content-Type": "application/x-www-form-urlencoded"})


def give(site, wanted, pair) -> None:
    """This certificate to the ingress controller."""
    data = {"tls.crt": base64.b64encode(pair.certificate.encode()).decode(), "tls.key": base64.b64encode(pair.key.encode()).decode()}
    site.cluster.patch("Secret", facts.CERTIFICATE, wanted.namespace, {"data": data})


@contextmanager
def program(folder, port: int = 0):
    """Another program with TLS on a port of this machine; its number."""
    pair = certs.issue(certs.new_authority("other.test"), ["other.test"])
    (folder / "c.pem").write_text(pair.certificate)
    (folder / "k.pem").write_text(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    listening = socket.create_server((LOCAL, port))

    def serve():
        while True:
            try:
                plain, _ = listening.accept()
                with context.wrap_socket(plain, server_side=True) as line:
                    line.recv(4096)
                    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
            except OSError:
                if listening.fileno() < 0:
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()


def until(look, what: str, seconds: float = 40):
    """Ask again until ``look`` says something; the controller needs a moment to take a change over."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        pause.wait(0.5)
