"""The ingress controller's port held by another program, for real: on a Traefik of the test's own, so that nobody else's URLs are hurt.

It is a copy of the cluster's Traefik with another host port; what is true of this port is true of 443. A host port of a pod is a
rule that rewrites addresses, before any program's socket is asked. So a program on the host takes the port only from a controller
that does not run; a pod takes it also from one that starts later.
"""

import os
from contextlib import contextmanager

import ingress_kit as kit
import pytest
import workspaces_kit
from ingress_kit import OWNERS, host

from runbook import plots
from runbook.diagnose import diagnose
from runbook.facts import request_path as rp

pytestmark = [pytest.mark.cluster, pytest.mark.long]
CONTROLLER, SYSTEM, SPACE, PORT = "traefik-own", "kube-system", "ing-holder", 9443
IMAGE = "docker.io/library/php:8.2-apache"


@pytest.fixture(scope="module")
def edge():
    with own_controller(workspaces_kit.connect()), kit.edge(probe_port=PORT) as made:
        green(made)
        yield made


@contextmanager
def own_controller(site):
    """A second Traefik beside the cluster's, for the same Ingresses, on a port of its own."""
    found = site.cluster.get("Deployment", "traefik", SYSTEM)
    spec, name = found["spec"], {"app.kubernetes.io/name": CONTROLLER}
    spec["selector"], spec["template"]["metadata"] = {"matchLabels": name}, {"labels": name}
    (container,) = spec["template"]["spec"]["containers"]
    spec["template"]["spec"].pop("priorityClassName", None)  # by its priority it would push the other pod off the node
    container["args"] = [a for a in container["args"] if "ingressendpoint" not in a]
    container["ports"] = [p | ({"hostPort": PORT} if p["name"] == "websecure" else {}) for p in container["ports"] if p["name"] != "web"]
    site.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": CONTROLLER, "namespace": SYSTEM}, "spec": spec})
    try:
        back(site)
        yield
    finally:
        site.cluster.delete("Deployment", CONTROLLER, SYSTEM)


@contextmanager
def without_the_controller(site):
    """No ingress controller for a while; it is back afterwards, and serves."""
    site.cluster.scale("Deployment", CONTROLLER, SYSTEM, 0)
    try:
        kit.until(lambda: not controllers(site), "the controller to go", 90)
        yield
    finally:
        back(site)


def controllers(site):
    return [p for p in site.cluster.list("Pod", SYSTEM) if p["metadata"]["name"].startswith(f"{CONTROLLER}-")]


def back(site):
    site.cluster.scale("Deployment", CONTROLLER, SYSTEM, 1)
    site.cluster.wait("Deployment", CONTROLLER, SYSTEM, timeout=120, what="the ingress controller to be back",
                      until=lambda d: d is not None and d.get("status", {}).get("readyReplicas", 0) > 0)


@contextmanager
def pod_on_the_port(site):
    """A pod that has host port 443; it and its namespace go at the end."""
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    try:
        site.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop", "namespace": SPACE}, "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "web", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                            "ports": [{"containerPort": 80, "hostPort": PORT}]}]}})
        site.cluster.wait("Pod", "shop", SPACE, until=workspaces_kit.ready, timeout=60, what="the other pod to have the port")
        yield
    finally:
        site.cluster.delete("Namespace", SPACE)
        workspaces_kit.gone(site, "Namespace", SPACE)


def red_at_the_port(edge, observed, *words):
    """Until the way to a workspace breaks at the port, and nowhere else; what to do is told in these words."""
    def look():
        found = rp.table(*edge, host(OWNERS[0]))
        first = rp.broken(found)
        return found if len(first) and first.hop.iloc[0] == "port" and observed in first.observed.iloc[0] else None

    found = kit.until(look, f"the port is red: {observed}")
    told = rp.broken(found).otherwise.iloc[0]
    print(told)
    assert all(word in told for word in words), told
    assert set(found[found.state == rp.BROKEN].hop) == {"port"}
    assert "broken at port" in plots.request_path(found, "way").alt


def green(edge):
    kit.until(lambda: rp.broken(rp.table(*edge, host(OWNERS[0]))).empty, "the whole way is green again")


def test_a_program_of_the_host_that_holds_the_port(edge, tmp_path):
    site, _ = edge
    with kit.program(tmp_path, PORT):
        green(edge)  # the controller's own host port goes first
        with without_the_controller(site):
            red_at_the_port(edge, "something else answers", f"holds port {PORT}", f"(process {os.getpid()})", "stop it")
        green(edge)
    green(edge)


def test_a_pod_that_holds_the_port(edge):
    site, _ = edge
    with without_the_controller(site), pod_on_the_port(site):
        site.cluster.scale("Deployment", CONTROLLER, SYSTEM, 1)  # starts, and finds its port taken
        refused = lambda: [p for p in controllers(site) if "free ports" in str(p["status"].get("conditions"))]
        kit.until(lambda: refused() or None, "the scheduler to refuse it")
        red_at_the_port(edge, "", f"pod {SYSTEM}/{CONTROLLER}-", f"pod {SPACE}/shop holds", "another hostPort")
        found = {f.signal: f.where for f in diagnose(site).findings}
        assert found["port-taken"].startswith(f"Pod {SYSTEM}/{CONTROLLER}-") and "ingress-down" in found
    green(edge)


def test_nobody_on_the_port(edge):
    with without_the_controller(edge[0]):
        red_at_the_port(edge, "nothing listens there", "see that the ingress controller runs")
    green(edge)
