"""The chart `workspace`: clean, valid against the Kubernetes schemas, and strict about its values."""

from pathlib import Path

import helm_python
import kubernetes_validate
import pytest
import yaml

CHART = Path(__file__).resolve().parents[1] / "lib" / "charts" / "workspace"
SCHEMAS = "1.36"  # the newest Kubernetes that the project is tried on


def render(name="demo", namespace="ws-alice", **values) -> list[dict]:
    """The objects of a release, in Helm's order."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values=values, name=name, namespace=namespace)
    texts = rendered.values() if isinstance(rendered, dict) else [rendered]
    return [o for text in texts for o in yaml.safe_load_all(text) if o]


def of(objects: list[dict], kind: str) -> list[dict]:
    return [o for o in objects if o["kind"] == kind]


def pod(objects: list[dict]) -> dict:
    return of(objects, "StatefulSet")[0]["spec"]["template"]["spec"]


def container(objects: list[dict], name: str) -> dict:
    return next(c for c in pod(objects)["containers"] if c["name"] == name)


VARIANTS = [
    pytest.param({}, id="defaults"),
    pytest.param({"mariadb": {"enabled": False}}, id="no-database"),
    pytest.param({"networkPolicy": {"enabled": False}}, id="no-policy"),
    pytest.param({"storage": {"className": "kept"}, "imagePullSecrets": ["registry"]}, id="class-and-pull-secret"),
]


@pytest.mark.parametrize("values", VARIANTS)
def test_lints_clean(values):
    report = helm_python.lint(CHART, values, strict=True, namespace="ws-alice", kube_version=f"v{SCHEMAS}.0")
    assert not report["errors"]
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("values", VARIANTS)
def test_objects_are_valid(values):
    objects = render(**values)
    assert objects
    for o in objects:
        kubernetes_validate.validate(o, SCHEMAS, strict=True)


def test_start_and_stop_are_not_helms():
    assert "replicas" not in of(render(), "StatefulSet")[0]["spec"]


def test_volumes_outlive_the_release_and_can_grow():
    claims = of(render(), "PersistentVolumeClaim")
    assert {c["metadata"]["name"] for c in claims} == {"demo-workspace", "demo-home", "demo-database"}
    assert all(c["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for c in claims)
    assert "volumeClaimTemplates" not in of(render(), "StatefulSet")[0]["spec"]
    grown = render(storage={"workspace": {"size": "9Gi"}})
    assert {c["spec"]["resources"]["requests"]["storage"] for c in of(grown, "PersistentVolumeClaim")} == {"9Gi", "1Gi"}


def test_secrets_come_by_reference_only():
    objects = render(existingSecret="given")
    assert of(objects, "Secret") == []
    refs = [e["valueFrom"]["secretKeyRef"] for c in pod(objects)["containers"] for e in c["env"] if "valueFrom" in e]
    assert {r["name"] for r in refs} == {"given"}
    assert {r["key"] for r in refs} >= {"db-password", "db-root-password"}


def test_every_object_says_whose_it_is():
    for o in render():
        labels = o["metadata"]["labels"]
        assert (labels["runbook/owner"], labels["runbook/workspace"]) == ("alice", "demo")
        assert labels["app.kubernetes.io/instance"] == "demo"


def test_runs_with_few_rights():
    objects = render()
    assert pod(objects)["automountServiceAccountToken"] is False and pod(objects)["serviceAccountName"] == "default"
    assert not [v for v in pod(objects)["volumes"] if "projected" in v]
    assert not [o for o in objects if o["kind"] in ("ServiceAccount", "Role", "RoleBinding")]
    web = container(objects, "web")["securityContext"]
    assert web["runAsNonRoot"] and web["runAsUser"] == 1000 and web["capabilities"] == {"drop": ["ALL"]}
    for c in pod(objects)["containers"]:
        assert c["securityContext"]["allowPrivilegeEscalation"] is False
        assert set(c["resources"]) == {"requests", "limits"} and "cpu" in c["resources"]["requests"]


def test_other_owners_are_kept_out():
    spec = of(render(), "NetworkPolicy")[0]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"from": [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "runbook-system"}}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "runbook-keeper"}}},
    ]}]
    assert "--bind-address=127.0.0.1" in container(render(), "mariadb")["args"]


def test_adminer_is_a_switch():
    assert "adminer" not in [c["name"] for c in pod(render())["containers"]]
    adminer = container(render(adminer={"enabled": True, "image": "adminer:5"}), "adminer")
    assert adminer["image"] == "adminer:5" and {"name": "ADMINER_DEFAULT_SERVER", "value": "127.0.0.1"} in adminer["env"]


@pytest.mark.parametrize("values, named", [
    ({"iamge": "x"}, "iamge"),
    ({"web": {"port": 80}}, "port"),
    ({"owner": "Alice"}, "owner"),
    ({"owner": "al-ice"}, "owner"),
    ({"web": {"documentRoot": "../etc"}}, "documentRoot"),
    ({"user": {"uid": 0}}, "uid"),
    ({"storage": {"home": {"size": "much"}}}, "size"),
    ({"mariadb": {"args": ["rm"]}}, "args"),
])
def test_unknown_and_wrong_values_are_refused(values, named):
    with pytest.raises(helm_python.HelmError, match=named):
        render(**values)
