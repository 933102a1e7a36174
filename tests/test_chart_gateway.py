"""The chart `gateway`: clean, valid, strict; and nothing of it may read a secret."""

import helm_python
import kubernetes_validate
import pytest
import yaml

from runbook import certs, paths
from runbook.errors import ReleaseFailed
from runbook.helm import render

CHART = paths.charts() / "gateway"
SCHEMAS = "1.36"
DOMAIN = "ws.code.example.org"
CA = certs.new_authority(DOMAIN).certificate
VARIANTS = [
    pytest.param({"domain": DOMAIN}, id="defaults"),
    pytest.param({"domain": DOMAIN, "ca": CA, "replicas": 2, "imagePullSecrets": ["registry"]}, id="authority"),
    pytest.param({"domain": DOMAIN, "ingress": {"className": "nginx", "annotations": {"a/b": "0"}}, "networkPolicy": {"ingressNamespaces": []}}, id="nginx"),
    pytest.param({"domain": DOMAIN, "networkPolicy": {"enabled": False}}, id="no-policy"),
]


def objects(values: dict) -> list[dict]:
    return render(CHART, "gateway", "runbook-system", values)


def of(values: dict, kind: str) -> dict:
    return next(o for o in objects(values) if o["kind"] == kind)


@pytest.mark.parametrize("values", VARIANTS)
def test_clean_and_valid(values):
    report = helm_python.lint(CHART, values, strict=True, namespace="runbook-system", kube_version=f"v{SCHEMAS}.0")
    assert not report["errors"] and [m for m in report["messages"] if m["severity"] > 1] == []
    for o in objects(values):
        kubernetes_validate.validate(o, SCHEMAS, strict=True)


@pytest.mark.parametrize("values", [{}, {"domain": ""}, {"domain": "no dots"}, {"domain": "WS.Example.org"}, {"domain": DOMAIN, "replica": 2},
                                    {"domain": DOMAIN, "ca": "-----BEGIN PRIVATE KEY-----"}, {"domain": DOMAIN, "replicas": 0}])
def test_bad_values_are_refused(values):
    with pytest.raises(ReleaseFailed):
        objects(values)


def test_one_ingress_for_everybody():
    spec = of({"domain": DOMAIN}, "Ingress")["spec"]
    assert [r["host"] for r in spec["rules"]] == [f"*.{DOMAIN}", DOMAIN]
    assert spec["tls"] == [{"secretName": "workspaces-tls", "hosts": [f"*.{DOMAIN}", DOMAIN]}]
    assert "ingressClassName" not in spec
    assert of({"domain": DOMAIN, "ingress": {"className": "nginx"}}, "Ingress")["spec"]["ingressClassName"] == "nginx"


def test_its_pod_has_no_right_and_no_secret():
    spec = of({"domain": DOMAIN, "ca": CA}, "Deployment")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False and spec["securityContext"]["runAsNonRoot"] is True
    assert "secret" not in yaml.safe_dump(spec["volumes"]).lower()
    container = spec["containers"][0]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert not any("valueFrom" in e for e in container["env"])


def test_only_the_controllers_namespace_reaches_it():
    rules = of({"domain": DOMAIN}, "NetworkPolicy")["spec"]["ingress"]
    assert rules == [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]}]
    assert of({"domain": DOMAIN, "networkPolicy": {"ingressNamespaces": []}}, "NetworkPolicy")["spec"]["ingress"] == []


def test_the_authority_is_offered_only_where_there_is_one():
    env = {e["name"]: e["value"] for e in of({"domain": DOMAIN, "ca": CA}, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["CA_FILE"] == "/opt/gateway/ca.crt" and of({"domain": DOMAIN, "ca": CA}, "ConfigMap")["data"]["ca.crt"] == CA
    env = {e["name"]: e["value"] for e in of({"domain": DOMAIN}, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["CA_FILE"] == ""


def test_a_changed_script_restarts_it():
    first, second = (of({"domain": DOMAIN, "ca": ca}, "Deployment")["spec"]["template"]["metadata"]["annotations"]["runbook/files"] for ca in ("", CA))
    assert first != second
