"""The claims of 94-url-unreachable."""

import runbook

from .kit import Table, Way, proof_of
from .test_claims_92 import THIS

GIVEN = {"trouble": {"start": True}}
PLACE = "shop"


def stopped(world, *_):
    """A URL whose workload was scaled to nothing."""
    cluster = runbook.connect("rehearsal", name="rehearsal", mode="apply").cluster
    labels = {"app": "web"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": PLACE}, "spec": {
        "replicas": 0, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "busybox:1.36", "ports": [{"containerPort": 80}]}]}}}})
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": PLACE}, "spec": {"selector": labels, "ports": [{"port": 80}]}})
    cluster.apply({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": PLACE}, "spec": {
        "ingressClassName": "traefik", "rules": [{"host": "web.example.org", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}})


def again(world, names):
    """Somebody scales it down again."""
    names["site"].cluster.scale("Deployment", "web", PLACE, 0)


TABLE = Table("94", proven=(Way(stopped, given=GIVEN),), refuted={
    THIS: Way(given=GIVEN),
    "each URL that was mended has a ready pod behind it": Way(stopped, given=GIVEN, at={"left =": again}),
    "a second run would change nothing": Way(stopped, given=GIVEN, at={"again =": again}),
})

test_proven, test_refuted = proof_of(TABLE)
