"""The chart `lamp`: clean, valid, and built so that scaling and rolling out lose no request."""

from pathlib import Path

import helm_python
import kubernetes_validate
import pytest
import yaml

CHART = Path(__file__).resolve().parents[1] / "lib" / "charts" / "lamp"
SCHEMAS = "1.36"  # the newest Kubernetes that the project is tried on
VARIANTS = [
    pytest.param({}, id="defaults"),
    pytest.param({"demo": False, "existingSecret": "db", "imagePullSecrets": ["registry"]}, id="own-image"),
    pytest.param({"service": {"type": "ClusterIP", "nodePort": 30080}}, id="cluster-ip"),
    pytest.param({"service": {"type": "NodePort", "nodePort": 30081}}, id="node-port"),
]


def render(**values) -> dict[str, dict]:
    """The objects of a release by kind."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values=values, name="shop", namespace="lamp")
    return {o["kind"]: o for path, text in rendered.items() for o in yaml.safe_load_all(text) if o}


@pytest.mark.parametrize("values", VARIANTS)
def test_lints_clean_and_is_valid(values):
    report = helm_python.lint(CHART, values, strict=True, namespace="lamp", kube_version=f"v{SCHEMAS}.0")
    assert not report["errors"] and [m for m in report["messages"] if m["severity"] > 1] == []
    objects = render(**values)
    assert set(objects) == {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"}
    for obj in objects.values():
        kubernetes_validate.validate(obj, SCHEMAS, strict=True)


def test_the_number_of_replicas_is_the_autoscalers():
    assert "replicas" not in render()["Deployment"]["spec"]


def test_every_container_requests_cpu():
    pod = render()["Deployment"]["spec"]["template"]["spec"]
    assert all(c["resources"]["requests"]["cpu"] for c in pod["containers"] + pod.get("initContainers", []))


def test_a_pod_ends_only_after_another_took_its_place_and_drains_first():
    spec = render(drain=7, finish=11)["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = spec["template"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert pod["terminationGracePeriodSeconds"] >= 7 + 11  # never killed while it may still finish
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/"
    assert "GracefulShutdownTimeout 11" in render(drain=7, finish=11)["ConfigMap"]["data"]["tier.conf"]


def test_the_autoscaler_is_as_asked():
    spec = render(autoscaling={"min": 2, "max": 6, "target": 70, "up": 0, "down": 15})["HorizontalPodAutoscaler"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)
    assert spec["metrics"][0]["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 15
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}


def test_a_budget_does_not_block_the_drain_of_a_single_replica():
    assert render()["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_a_change_of_the_configuration_rolls_the_pods():
    def mark(**values):
        return render(**values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]["runbook/files"]

    assert mark() == mark() != mark(workers=21)


@pytest.mark.parametrize("values, says", [
    ({"autoscaling": {"min": 3, "max": 2, "target": 60}}, "min 3 is more than autoscaling.max 2"),
    ({"autoscaling": {"min": 0, "max": 2, "target": 60}}, "min"),
    ({"resources": {"requests": {"cpu": None}}}, "cpu"),
    ({"service": {"type": "LoadBalancer"}}, "service"),
    ({"replicas": 3}, "replicas"),
])
def test_values_that_make_no_sense_are_refused(values, says):
    with pytest.raises(helm_python.HelmError, match=says):
        render(**values)
