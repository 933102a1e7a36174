"""The claims of 92-workspace-does-not-start."""

import runbook

from .kit import Table, Way, proof_of

PLACE = "ws-alice"
THIS = "something of this kind is wrong, and it is known what"


def workspace(image):
    """A workload like a workspace's, in short."""
    labels = {"app": "demo"}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "demo", "namespace": PLACE}, "spec": {
        "replicas": 1, "serviceName": "demo", "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}}}


def stuck(world, mended="busybox:1.36"):
    """The pod waits for an image that no registry has; the template has been mended since, and the pod stands in its way."""
    cluster = runbook.connect("rehearsal", name="rehearsal", mode="apply").cluster
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    cluster.apply(workspace("registry.invalid/nothing:1"))
    broken = cluster.get("Pod", "demo-0", PLACE)
    cluster.apply(workspace(mended), force=True)
    with world.objects() as objects:  # a real StatefulSet leaves it in place: its pod is not Ready
        now = objects.get("Pod", "demo-0", PLACE)
        if now["metadata"]["uid"] != broken["metadata"]["uid"]:
            objects.remove(now)
            objects.put(broken)


TABLE = Table("92", proven=(Way(stuck),), refuted={
    THIS: Way(),
    "each workspace that was mended starts": Way(lambda world: stuck(world, "registry.invalid/nothing:2")),
    "a second run would change nothing": Way(stuck, at={"again =": lambda world, names: stuck(world)}),
})

test_proven, test_refuted = proof_of(TABLE)
