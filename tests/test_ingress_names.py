"""Names: domains, URLs, and what a controller's chart is told in its own words."""

import pytest
import yaml

from runbook import certs, controllers, urls
from runbook.errors import ParameterError


# -- names -------------------------------------------------------------------


@pytest.mark.parametrize("address, domain", [
    ("203.0.113.7", "203-0-113-7.sslip.io"), ("2001:db8::7", "2001-db8--7.sslip.io"), ("::1", "0--1.sslip.io"), ("fe80::", "fe80--0.sslip.io")])
def test_a_domain_made_of_an_address(address, domain):
    assert urls.domain_of(address) == domain


@pytest.mark.parametrize("bad", ["", "example.org", "300.1.1.1", "10.0.0.0/8"])
def test_no_domain_of_what_is_no_address(bad):
    with pytest.raises(ParameterError, match="no address"):
        urls.domain_of(bad)


@pytest.mark.parametrize("name, found", [
    ("demo-alice.ws.a.org", (0, "demo", "alice")), ("3000-demo-alice.ws.a.org", (3000, "demo", "alice")), ("my-shop-2-bob.ws.a.org", (0, "my-shop-2", "bob")),
    ("80-a-b.ws.a.org.", (80, "a", "b")), ("DEMO-Alice.WS.a.org", (0, "demo", "alice")), ("65536-demo-alice.ws.a.org", None), ("0-demo-alice.ws.a.org", None),
    ("alice.ws.a.org", None), ("demo-alice.a.org", None), ("x.demo-alice.ws.a.org", None), ("ws.a.org", None), ("demo-alice.ws.a.org.evil.net", None)])
def test_a_name_is_read_one_way(name, found):
    assert urls.read(name, "a.org") == found


@pytest.mark.parametrize("port, workspace, owner", [(0, "demo", "alice"), (65535, "a" * 30, "b" * 20), (3000, "my-shop", "bob2")])
def test_a_name_is_read_as_it_was_made_and_is_one_label(port, workspace, owner):
    host = urls.host("a.org", workspace, owner, port)
    assert urls.read(host, "a.org") == (port, workspace, owner) and len(host.split(".")[0]) <= 63
    assert certs.covers(["*.ws.a.org"], host)


def test_the_urls_of_a_service():
    service = {"metadata": {"labels": {"runbook/owner": "alice", "runbook/workspace": "demo"}, "annotations": {"runbook/private-ports": "3000 8000"}},
               "spec": {"ports": [{"name": "http", "port": 80}, {"name": "ide", "port": 13337}, {"name": "public-8000", "port": 8000}]}}
    assert [(u.port, u.visibility) for u in urls.of_service(service, "a.org")] == [(0, "ide"), (80, "private"), (3000, "private"), (8000, "public")]
    service["spec"]["ports"] = [{"name": "public-80", "port": 80}]
    assert [(u.port, u.visibility, u.url) for u in urls.of_service(service, "a.org")][:1] == [(80, "public", "https://80-demo-alice.ws.a.org/")]


# -- controllers -------------------------------------------------------------

TIMEOUT = {"ports": {"websecure": {"transport": {"respondingTimeouts": {"readTimeout": "0s"}}}}}
TO = {"entryPoint": {"to": "websecure", "scheme": "https", "permanent": True}}


@pytest.mark.parametrize("version, web", [
    ("41.3.0", {"http": {"redirections": TO}}), ("39.0.0", {"http": {"redirections": TO}}), ("38.0.201+up38.0.2", {"redirections": TO}),
    ("34.2.1+up34.2.0", {"redirections": TO}), ("33.2.1", {"redirectTo": {"port": "websecure"}}), ("28.0.0", {"redirectTo": {"port": "websecure"}})])
def test_traefiks_keys_are_those_of_the_running_chart(version, web):
    assert yaml.safe_load(controllers.traefik_values(version, False)) == TIMEOUT
    assert yaml.safe_load(controllers.traefik_values(version, True)) == {"ports": TIMEOUT["ports"] | {"web": web}}


def test_traefiks_oldest_known_chart_and_those_before():
    assert "additionalArguments" in controllers.traefik_values("27.0.201+up27.0.2", True) and "redirectTo" in controllers.traefik_values("25.0.3", True)
    for unknown in ("24.0.0", "", "main"):
        with pytest.raises(ValueError, match="its keys are known from 25 on"):
            controllers.traefik_values(unknown, True)


@pytest.mark.parametrize("chart, version", [
    ("https://%{KUBERNETES_API}%/static/charts/traefik-34.2.1+up34.2.0.tgz", "34.2.1+up34.2.0"), ("traefik", ""), ("", "")])
def test_the_version_in_a_charts_name(chart, version):
    assert controllers.chart_version(chart) == version
