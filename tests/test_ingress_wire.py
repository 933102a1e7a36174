"""Probes against real servers of this process on 127.0.0.1: DNS over UDP, TLS, HTTP. Each way to fail has its own words."""

import http.server
import os
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from dns_kit import dns

from runbook import certs, wire

DOMAIN = "ws.example.org"
HOST = f"demo-alice.{DOMAIN}"


class Page(http.server.BaseHTTPRequestHandler):
    """Says what it was sent; ``/login`` takes one password."""

    def do_GET(self):
        self._say(200, f"host={self.headers['Host']} cookie={self.headers.get('Cookie')}")

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "password=right+one" in text:
            self._say(302, "", ("Location", "./"), ("Set-Cookie", "other=1; Path=/"), ("Set-Cookie", "code-server-session-demo-alice=h%24; Path=/; HttpOnly"))
        else:
            self._say(200, "Incorrect password")

    def _say(self, status, text, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@contextmanager
def site(pair: certs.Pair | None, folder):
    """An HTTP server on 127.0.0.1, over TLS if it is given a certificate. Hands out its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    if pair:
        (folder / "c.pem").write_text(pair.certificate)
        (folder / "k.pem").write_text(pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "c.pem", folder / "k.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def authority():
    return certs.new_authority(DOMAIN)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_wildcard_record_is_found():
    with dns({f"*.{DOMAIN}": "203.0.113.7"}) as server:
        assert wire.resolve(HOST, server) == wire.Names(("203.0.113.7",))
        assert "knows no address" in wire.resolve(DOMAIN, server).error


@pytest.mark.parametrize("code, said", [(3, "knows no such name"), (2, "failed"), (5, "refuses to answer"), (11, "answers with code 11")])
def test_what_a_dns_server_refuses_is_named(code, said):
    with dns({}, code=code) as server:
        found = wire.resolve(HOST, server)
        assert said in found.error and not found.silent


def test_a_dns_server_that_is_silent_or_talks_nonsense_proves_nothing():
    assert wire.resolve(HOST, f"127.0.0.1:{free_port()}", timeout=0.5).silent
    with dns({}, garbage=b"no") as server:
        assert wire.resolve(HOST, server).silent


def test_the_systems_resolver():
    assert "127.0.0.1" in wire.resolve("localhost").addresses


def test_a_good_certificate_passes(authority, tmp_path):
    with site(certs.issue(authority, [f"*.{DOMAIN}"]), tmp_path) as port:
        assert wire.connect("127.0.0.1", port) == ""
        assert wire.handshake("127.0.0.1", port, HOST, authority.certificate) == ""
        assert certs.describe(wire.shown_certificate("127.0.0.1", port, HOST)[0]).names == (f"*.{DOMAIN}",)
        answer = wire.request(HOST, "127.0.0.1", port=port, authority=authority.certificate, headers={"Cookie": "a=b"})
        assert (answer.status, answer.body, answer.error) == (200, f"host={HOST} cookie=a=b", "")


def test_what_the_machine_trusts_is_read_once_for_each_of_its_states(authority, tmp_path, monkeypatch):
    store = tmp_path / "authorities.pem"
    store.write_text(authority.certificate)
    os.utime(store, (1, 1))
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with site(certs.issue(authority, [f"*.{DOMAIN}"]), tmp_path) as port:
        assert wire.handshake("127.0.0.1", port, HOST) == "" and wire.trusting() is wire.trusting()
        store.write_text(certs.new_authority(DOMAIN).certificate)  # no longer ours
        os.utime(store, (2, 2))
        assert "certificate is refused" in wire.handshake("127.0.0.1", port, HOST)


def test_each_bad_certificate_is_refused_in_its_own_words(authority, tmp_path):
    old = certs.issue(authority, [f"*.{DOMAIN}"], now=datetime.now(timezone.utc) - timedelta(days=500))
    for pair, trusted, words in ((old, authority.certificate, "expired"), (certs.issue(authority, [DOMAIN]), authority.certificate, "ostname mismatch"),
                                 (certs.issue(authority, [HOST]), certs.new_authority(DOMAIN).certificate, "self-signed"),
                                 (certs.issue(authority, [HOST]), "", "self-signed")):
        with site(pair, tmp_path) as port:
            assert words in wire.handshake("127.0.0.1", port, HOST, trusted)
            refused = wire.request(HOST, "127.0.0.1", port=port, authority=trusted)
            assert refused.status == 0 and words in refused.error
            assert wire.request(HOST, "127.0.0.1", port=port, authority=trusted, verify=False).status == 200


def test_no_tls_there(tmp_path):
    with site(None, tmp_path) as port:
        assert "no TLS is spoken there" in wire.handshake("127.0.0.1", port, HOST)
        assert wire.shown_certificate("127.0.0.1", port, HOST)[0] == b""
        assert wire.request(HOST, "127.0.0.1", port=port, tls=False).status == 200


def test_nobody_there():
    port = free_port()
    for said in (wire.connect("127.0.0.1", port), wire.handshake("127.0.0.1", port, HOST), wire.request(HOST, "127.0.0.1", port=port).error,
                 wire.shown_certificate("127.0.0.1", port, HOST)[1]):
        assert "nothing listens there" in said


def test_somebody_who_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert wire.connect("127.0.0.1", port) == ""
        assert "no answer within 0.3 s" in wire.handshake("127.0.0.1", port, HOST, timeout=0.3)
        assert "no answer within 0.3 s" in wire.request(HOST, "127.0.0.1", port=port, tls=False, timeout=0.3).error


@pytest.mark.parametrize("password, cookie", [("right one", "code-server-session-demo-alice=h%24"), ("wrong one", "")])
def test_sign_in(authority, tmp_path, password, cookie):
    with site(certs.issue(authority, [HOST]), tmp_path) as port:
        found, answer = wire.sign_in(HOST, "127.0.0.1", password, port=port, authority=authority.certificate)
        assert found == cookie and answer.status in (200, 302)


def test_side_by_side_keeps_the_order_and_the_bound():
    running, most, lock = set(), [], threading.Lock()
    meet = threading.Barrier(4, timeout=5)

    def job(n):
        with lock:
            running.add(n)
            most.append(len(running))
        if n < 4:
            meet.wait()  # passes only if four run at once
        with lock:
            running.discard(n)
        return n * n

    assert wire.each(job, range(20), at_once=4) == [n * n for n in range(20)] and max(most) == 4
    assert wire.each(job, []) == []
