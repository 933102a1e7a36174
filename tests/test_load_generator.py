"""k6 for real, against a small server on the loopback: what is offered arrives, bad targets are named, Ctrl-C keeps."""

import datetime
import http.server
import os
import signal
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runbook import load
from runbook.errors import LoadError
from runbook.load import Scenario, Stage, generator, loopback


@pytest.fixture(scope="module")
def url():
    with loopback.server(workers=2) as address:
        yield address


def quiet(_):
    """Progress that nobody reads."""


def test_what_is_offered_is_achieved_and_known_latencies_come_back(url):
    said = []
    run = load.run(Scenario(url, (Stage("steady", 3, 40),), {"/delay/30": 3, "/delay/90": 1}), every=1, say=said.append)
    whole = load.totals(run)
    assert 100 <= whole["requests"] <= 121 and whole["failed"] == 0  # a busy machine starts the last ones too late
    assert whole["achieved"] >= 0.99 * whole["offered"]
    by_path = run.requests.groupby("path")["took"].min() * 1000
    assert 30 <= by_path["/delay/30"] < by_path["/delay/90"] and by_path["/delay/90"] >= 90
    assert run.requests["path"].value_counts()["/delay/90"] in (len(run.requests) // 4, len(run.requests) // 4 + 1)  # the weights hold exactly
    assert len(said) >= 2 and "offered" in said[-1]


def test_a_slow_target_shows_its_queue(url):
    run = load.run(Scenario(url, (Stage("too much", 3, 60),), {"/busy/50": 1}, timeout=5), say=quiet)  # 2 places: 40/s
    table = load.by_second(run)
    assert table["p95"].iloc[-1] > table["p95"].iloc[0] + 100  # an open model does not wait for the queue
    assert not load.by_stage(run)["good"].iloc[0]


@pytest.mark.parametrize("path, says, do", [("/status/503", "status 503", "log"), ("/hang", "timeout", "does not answer in time")])
def test_a_target_that_never_answers_well_is_refused(url, path, says, do):
    with pytest.raises(LoadError) as refused:
        load.run(Scenario(url, (Stage("a", 1, 30),), {path: 1}, timeout=0.5), say=quiet)
    assert "not one of" in str(refused.value) and says in str(refused.value) and do in refused.value.do


def test_a_hopeless_run_ends_early(url):
    with pytest.raises(LoadError, match="not one of [0-9]{2} requests"):
        load.run(Scenario(url, (Stage("a", 60, 20),), {"/status/500": 1}), say=quiet)


def test_a_target_that_is_down():
    with pytest.raises(LoadError) as refused:
        load.run(Scenario("http://127.0.0.1:9", (Stage("a", 1, 10),)), say=quiet)
    assert "connection refused" in str(refused.value) and "start the target" in refused.value.do


@pytest.fixture
def tls(tmp_path):
    """An HTTPS server with a certificate for demo.test that nobody knows: (port, file of the certificate)."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "demo.test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - day).not_valid_after(now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("demo.test")]), False).sign(key, hashes.SHA256()))
    pem, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    pem.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, str(pem)
    server.shutdown()
    server.server_close()


def test_tls_is_verified_and_a_private_authority_can_be_given(tls):
    port, pem = tls
    asked = {"url": f"https://demo.test:{port}", "stages": (Stage("a", 1, 10),), "hosts": {"demo.test": "127.0.0.1"}}
    with pytest.raises(LoadError) as refused:
        load.run(Scenario(**asked), say=quiet)
    assert "TLS" in str(refused.value) and "certificate authority" in refused.value.do
    assert load.totals(load.run(Scenario(**asked, ca=pem), say=quiet))["failed"] == 0


def test_too_few_places_to_wait_are_the_generators_limit(url):
    with pytest.raises(LoadError, match="load generator itself was the limit.*1 places to wait are too few"):
        load.run(Scenario(url, (Stage("a", 2, 50),), {"/delay/100": 1}, most_waiting=1), say=quiet)


def test_an_interrupt_keeps_what_was_measured(url):
    said = []

    def interrupt(line):
        said.append(line)
        if "offered" in line:  # answers have come
            os.kill(os.getpid(), signal.SIGINT)

    run = load.run(Scenario(url, (Stage("long", 60, 20),)), every=1, say=interrupt)
    assert run.interrupted and 0 < len(run.requests) < 600 and "interrupted" in said[-1]
    assert load.totals(run)["seconds"] < 30 and load.totals(run)["failed"] == 0


def test_the_generator_does_not_reach_another_address(url, monkeypatch):
    """Even if a target were let through: k6 has the rule too."""
    monkeypatch.setattr("runbook.load.scenario.loopback_only", lambda *_: None)
    with pytest.raises(LoadError, match="address refused by us"):
        load.run(Scenario("http://192.0.2.1:9", (Stage("a", 1, 5),)), say=quiet)


def test_without_k6(monkeypatch, tmp_path):
    monkeypatch.setattr(generator.sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match="not installed"):
        generator.program()
