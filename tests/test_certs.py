"""Certificates: what our authority signs is accepted by TLS itself, and each thing that can be wrong is named."""

import datetime
import ssl
from datetime import timedelta

import pytest

from runbook import certs
from runbook.errors import RunbookError

DOMAIN = "ws.example.org"
NAMES = [f"*.{DOMAIN}", DOMAIN]
NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def authority():
    return certs.new_authority(DOMAIN, now=NOW)


@pytest.fixture(scope="module")
def leaf(authority):
    return certs.issue(authority, NAMES, now=NOW)


def shake_hands(server: certs.Pair, trusted: str, host: str, folder) -> None:
    """A TLS handshake in memory; raises ssl.SSLError when the client refuses."""
    (folder / "c.pem").write_text(server.certificate)
    (folder / "k.pem").write_text(server.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))
    client = ssl.create_default_context(cadata=trusted).wrap_bio(client_in, client_out, server_hostname=host)
    far = context.wrap_bio(server_in, server_out, server_side=True)
    for _ in range(6):
        done = 0
        for end in (client, far):
            try:
                end.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
            server_in.write(client_out.read())
            client_in.write(server_out.read())
        if done == 2:
            return
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize("host", [f"demo-alice.{DOMAIN}", f"3000-demo-alice.{DOMAIN}", DOMAIN])
def test_tls_accepts_what_the_authority_signs(tmp_path, host):
    authority = certs.new_authority(DOMAIN)
    shake_hands(certs.issue(authority, NAMES), authority.certificate, host, tmp_path)


def test_tls_refuses_a_name_outside_of_the_authority(tmp_path):
    authority = certs.new_authority(DOMAIN)
    outside = certs.issue(authority, ["bank.example.com"])
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        shake_hands(outside, authority.certificate, "bank.example.com", tmp_path)
    assert certs.problems(outside.certificate, ["bank.example.com"], authority.certificate)


def test_tls_refuses_another_authority(tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(certs.issue(certs.new_authority(DOMAIN), NAMES), certs.new_authority(DOMAIN).certificate, DOMAIN, tmp_path)


def test_nothing_is_wrong_with_a_good_one(authority, leaf):
    assert certs.problems(leaf.certificate, [*NAMES, f"demo-alice.{DOMAIN}"], authority.certificate, leaf.key, NOW) == []


@pytest.mark.parametrize("case, said", [
    ("expired", "it expired on 2027-06-02 11:00 UTC"),
    ("early", "it is valid from 2026-05-01 11:00 UTC on only"),
    ("host", "it is for *.ws.example.org, ws.example.org, not for a.b.ws.example.org"),
    ("key", "its private key is another's"),
    ("not a key", "its private key is another's"),
    ("authority", "not by our authority"),
    ("garbage", "no certificate in PEM form"),
])
def test_what_is_wrong_is_named(authority, leaf, case, said):
    arguments = {"chain": leaf.certificate, "hosts": [DOMAIN], "authority": authority.certificate, "key": leaf.key, "now": NOW}
    arguments |= {
        "expired": {"now": NOW + timedelta(days=500)}, "early": {"now": NOW - timedelta(days=1)}, "host": {"hosts": [f"a.b.{DOMAIN}"]},
        "key": {"key": authority.key}, "not a key": {"key": "nonsense"},
        "authority": {"authority": certs.new_authority(DOMAIN, now=NOW).certificate}, "garbage": {"chain": "-----BEGIN"},
    }[case]
    found = certs.problems(**arguments)
    assert len(found) == 1 and said in found[0]


@pytest.mark.parametrize("names, host, covered", [
    (["*.ws.a.org"], "x.ws.a.org", True), (["*.ws.a.org"], "X.WS.a.org.", True), (["*.ws.a.org"], "ws.a.org", False),
    (["*.ws.a.org"], "x.y.ws.a.org", False), (["*.ws.a.org"], ".ws.a.org", False), (["a.org"], "a.org", True), ([], "a.org", False),
])
def test_a_wildcard_is_one_label(names, host, covered):
    assert bool(certs.covers(names, host)) is covered


def test_what_a_certificate_says(leaf, authority):
    said = certs.describe(leaf.certificate)
    assert (said.subject, said.issuer, said.names, said.authority) == (f"*.{DOMAIN}", f"runbook {DOMAIN}", tuple(NAMES), False)
    assert round(said.days_left(NOW)) == certs.LEAF_DAYS and said.days_left(NOW + timedelta(days=398)) < 0
    assert len(said.fingerprint) == 95 and certs.describe(authority.certificate).authority
    assert certs.describe(ssl.PEM_cert_to_DER_cert(authority.certificate)).fingerprint == certs.describe(authority.certificate).fingerprint


def test_a_certificate_does_not_outlive_its_authority():
    short = certs.new_authority(DOMAIN, days=10, now=NOW)
    assert certs.describe(certs.issue(short, NAMES, now=NOW).certificate).not_after == certs.describe(short.certificate).not_after


def test_a_key_that_is_not_the_authoritys_cannot_sign(authority, leaf):
    for wrong in (certs.Pair(authority.certificate, leaf.key), leaf):
        with pytest.raises(RunbookError, match="cannot sign"):
            certs.issue(wrong, NAMES)


def test_a_pair_does_not_show_its_key(leaf):
    assert "PRIVATE" not in f"{leaf} {leaf!r}" and "PRIVATE" in leaf.key
