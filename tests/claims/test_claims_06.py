"""The claims of 06-performance-and-autoscaling: a tier that was recorded as it followed its load, then one thing is wrong.

k6 is not run here: what it measured is written for the test, as the recordings of the tier are (tests/test_load_generator.py runs it).
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from runbook.load.result import Run
from runbook.load.scenario import Scenario
from runbook.performance import recorded, workspaces
from runbook.rehearsal import behaviour
from runbook.rehearsal.schema import failure

from .faults import label, no_room, unready
from .kit import Table, Way, proof_of

LABELS = {"app.kubernetes.io/name": "lamp"}
LOAD = {"adopt": True, "workspaces_most": 1, "knee_rates": [2, 5, 10], "knee_seconds": 3}
HEARD = '{"status": "alive"}'
TIER = {name: recorded.tier(name) for name in ("wave", "staircase", "roll-out")}


def measured(took=0.02, **errors):
    """What k6 measured: every request answered after ``took`` seconds; ``errors``: part of the stages' names → kind of all failures."""
    def rehearse(stages, objective):
        rows, clock = [], 0
        for stage in stages:
            kind = next((kind for name, kind in errors.items() if name in stage.name), "")
            rows += [(clock + i / stage.rate, took, "/", 0 if kind else 200, kind) for i in range(stage.seconds * stage.rate)]
            clock += stage.seconds
        requests = pd.DataFrame(rows, columns=["start", "took", "path", "status", "error"])
        used = pd.DataFrame({"at": np.arange(clock) + 1.0, "cores": 0.1})
        return Run(Scenario("http://127.0.0.1:1", stages, objective=objective), requests, pd.DataFrame({"at": []}), used, 1.7e9, False, 2)

    return rehearse


def tier(world, **changed):
    """The recorded tier, ``changed`` in some columns of the wave."""
    wave = {**TIER["wave"], "tier": TIER["wave"]["tier"].assign(**changed)}
    world.patch.setattr(recorded, "tier", lambda name: {**TIER, "wave": wave}.get(name, TIER["staircase"]))


def all_well(world, names=None, run=measured(), **changed):
    world.patch.setattr(recorded, "rehearse", run)
    tier(world, **changed)
    for name in ("IDLE_SECONDS", "WORK_SECONDS", "GONE_SECONDS"):
        world.patch.setattr(workspaces, name, 0)
    world.answer(behaviour.usage_key("node"), {"usage": {"cpu": "500m", "memory": "1Gi"}})
    world.page("ws-loadtest1", "w1", 13337, "/healthz", body=HEARD)


def blind(world):
    def unserved(*_):
        raise failure(404, "the server could not find the requested resource", "NotFound")

    all_well(world)
    world.patch.setattr(behaviour, "usage", unserved)


def full(world):
    all_well(world)
    no_room(world)


def measures(world, names):
    """The autoscaler has measured the tier, as it does on a cluster within half a minute."""
    def told(hpa):
        hpa["status"] = hpa.get("status", {}) | {
            "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}],
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "12m"}}}]}

    world.change("HorizontalPodAutoscaler", "lamp", "lamp", told)


def ask_for_nothing(pod):
    pod["spec"]["containers"][0]["resources"] = {}


def every(by):
    return lambda world, names: world.every_pod("lamp", LABELS, by)


def stays(world, names):
    """A volume of the count is not removed."""
    with world.objects() as objects:
        objects.put({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-left"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "ws-loadtest1", "name": "w1-home"}, "hostPath": {"path": "/somewhere"}}})


MEASURES = {"after = facts.autoscaler": measures}


def way(prepare=all_well, at=None, **more):
    return Way(prepare, at=MEASURES | (at or {}), given={"load": LOAD}, **more)


def run(**errors):
    return way(lambda world: all_well(world, run=measured(**errors)))


TABLE = Table("06", proven=(way(),), refuted={
    "the cluster measures CPU and memory (metrics-server)": way(blind),
    "the nodes have room for {…} replicas of {…} and {…}": way(full),
    "the tier is ready": way(at={"pods = facts.pods": every(unready)}),
    "every container of the tier requests CPU, without which the autoscaler gives up": way(at={"pods = facts.pods": every(ask_for_nothing)}),
    "the autoscaler measures the tier's CPU": replace(way(), at={}),
    "under load the autoscaler added replicas, and they became ready": way(lambda world: all_well(world, ready=1)),
    "when the load was gone, the replicas were taken away again": way(
        lambda world: all_well(world, ready=TIER["wave"]["tier"]["ready"].cummax())),
    "no request was lost while it scaled up and down": run(spike="connection reset"),
    "a rate keeps the objective, and at each that does 99 % of what was offered was answered well": run(**{"/s": "status 503"}),
    "every pod was replaced, and no request was lost meanwhile": run(**{"roll-out": "connection refused"}),
    "with what the measurements recommend, no request was lost either": way(at={
        "carries_now = ": lambda world, names: world.patch.setattr(recorded, "rehearse", measured(**{"/s": "timeout"}))}),
    "the count left nothing behind": way(at={"filled = ": stays}),
    "a second run of step 06 would change nothing": way(at={"again = scaling": lambda world, names: label(world, "PodDisruptionBudget", "lamp", "helm.sh/chart")}),
})

test_proven, test_refuted = proof_of(TABLE)
