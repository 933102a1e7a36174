"""The tier that scales: installed, sized anew from measurements, rolled out, removed. Each function returns a Plan."""

import time

import pandas as pd

from runbook import paths
from runbook.cluster import quantity
from runbook.errors import LoadError, NotFound, WaitFailed, WaitTimeout
from runbook.facts import scaling as facts
from runbook.operations.objects import ensure_objects, stays
from runbook.params import Load
from runbook.plans import Change, Field, Plan, plan_of

RESTARTED = "kubectl.kubernetes.io/restartedAt"  #: what `kubectl rollout restart` sets
START_SECONDS, MEASURE_SECONDS = 180, 120


def values(wanted: Load) -> dict:
    """The values of the chart ``lamp``."""
    return {
        "image": wanted.image, "demo": wanted.demo, "drain": wanted.drain,
        "resources": {"requests": {"cpu": wanted.cpu_request, "memory": wanted.memory_request},
                      "limits": {"cpu": wanted.cpu_limit, "memory": wanted.memory_limit}},
        "autoscaling": {"min": wanted.replicas_min, "max": wanted.replicas_max, "target": wanted.target, "up": 0, "down": wanted.fewer_after},
    }


def ensure_tier(site, wanted: Load) -> Plan:
    """A namespace and the release in it, as wanted."""
    there = site.cluster.get("Namespace", wanted.namespace) is not None
    namespace = [] if there else [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace}}]
    release = site.helm.ensure(paths.charts() / "lamp", wanted.release, wanted.namespace, values(wanted), timeout=START_SECONDS,
                               new_namespace=not there)
    return ensure_objects(site.cluster, namespace) + plan_of([release])


def undo(site, wanted: Load, delete_data: bool = False) -> Plan:
    """No release, and no namespace if nothing else lives in it. The tier keeps no data."""
    if not stays(site.cluster, "Namespace", wanted.namespace):
        return plan_of([None])
    changes = [site.helm.remove(wanted.release, wanted.namespace)]
    ours = f"sh.helm.release.v1.{wanted.release}."
    others = [o for kind in ("Deployment", "StatefulSet", "PersistentVolumeClaim") for o in site.cluster.list(kind, wanted.namespace)
              if not (kind == "Deployment" and o["metadata"]["name"] == wanted.release)]
    others += [s for s in site.cluster.list("Secret", wanted.namespace) if not s["metadata"]["name"].startswith(ours)]
    if not others:
        changes.append(Change("delete", "Namespace", wanted.namespace, lambda: site.cluster.delete("Namespace", wanted.namespace)))
    return plan_of(changes)


def roll_out(site, wanted: Load) -> Plan:
    """Every pod replaced by a new one, as ``kubectl rollout restart`` does."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    live = site.cluster.get("Deployment", wanted.release, wanted.namespace)
    if live is None:
        raise NotFound(f"Deployment {wanted.namespace}/{wanted.release} does not exist", do="apply this step's plan first",
                       fix="06-performance-and-autoscaling")
    path = f"spec.template.metadata.annotations.{RESTARTED}"
    before = live["spec"]["template"]["metadata"].get("annotations", {}).get(RESTARTED)
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: now}}}}}
    return Plan((Change("update", "Deployment", f"{wanted.namespace}/{wanted.release}",
                        lambda: site.cluster.patch("Deployment", wanted.release, wanted.namespace, body),
                        fields=(Field(path, before, now),), note="rolls out: each pod is replaced"),))


def rolled_out(obj: dict | None) -> bool:
    """Is a Deployment wholly of its newest template, ready, and nothing of the old one left?"""
    if obj is None:
        return False
    status, replicas = obj.get("status", {}), obj["spec"].get("replicas", 1)
    return (status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0) and status.get("replicas", 0) == replicas
            and status.get("updatedReplicas", 0) == replicas and status.get("availableReplicas", 0) == replicas)


def await_rollout(site, wanted: Load, timeout: float = START_SECONDS) -> None:
    """Wait until the tier is rolled out (see :func:`rolled_out`). What stands in its way (no room, a quota) is in the error."""
    try:
        site.cluster.wait("Deployment", wanted.release, wanted.namespace, until=rolled_out, timeout=timeout,
                          fail_on=lambda d: next((c["message"] for c in d.get("status", {}).get("conditions", [])
                                                  if c["type"] == "Progressing" and c["status"] == "False"), ""),
                          what=f"the tier {wanted.namespace}/{wanted.release} to be rolled out")
    except (WaitFailed, WaitTimeout) as error:
        pods = site.cluster.list("Pod", wanted.namespace, selector=facts.selector(wanted.release))
        why = facts.obstacle(site.cluster.get("Deployment", wanted.release, wanted.namespace) or {}, pods)
        if not why:
            raise
        raise type(error)(f"{error.what}\n  {why}", do="make room, or raise the quota: a rollout needs room for one more pod",
                          fix="90-diagnose") from None


def await_rest(site, wanted: Load, timeout: float = 0) -> None:
    """Wait until the autoscaler measures CPU and the tier is at rest: as few replicas as it may have. Nothing in plan mode and rehearsal."""
    if site.cluster is None or site.cluster.replayed or site.mode == "plan":
        return
    timeout = timeout or MEASURE_SECONDS + wanted.fewer_after
    site.cluster.wait("HorizontalPodAutoscaler", wanted.release, wanted.namespace, timeout=timeout,
                      until=lambda h: facts.measured_of(h) is not None and h["status"].get("currentReplicas") == wanted.replicas_min,
                      what=f"the autoscaler to measure CPU, and {wanted.replicas_min} replicas at rest")
    await_rollout(site, wanted)


def address(site, wanted: Load) -> str:
    """Where the load goes: ``load.url``, else the NodePort of the tier, at 127.0.0.1 of this server.

    Raises:
        LoadError: the tier's Service has no NodePort.
    """
    if wanted.url:
        return wanted.url
    service = site.cluster.get("Service", wanted.release, wanted.namespace) or {"spec": {}}
    port = next((p["nodePort"] for p in service["spec"].get("ports", []) if p.get("nodePort")), None)
    if port is None:
        raise LoadError(f"Service {wanted.namespace}/{wanted.release} has no NodePort", do="apply this step's plan, or give load.url")
    return f"http://127.0.0.1:{port}"


def present(wanted: Load) -> dict:
    """The present values, in the units of :func:`runbook.load.recommend`."""
    mib = 2**20
    return {"cpu_request_m": round(quantity(wanted.cpu_request) * 1000), "cpu_limit_m": round(quantity(wanted.cpu_limit) * 1000),
            "memory_request_mib": round(quantity(wanted.memory_request) / mib), "memory_limit_mib": round(quantity(wanted.memory_limit) / mib),
            "min": wanted.replicas_min, "max": wanted.replicas_max, "target": wanted.target}


def adopt(wanted: Load, recommended: pd.DataFrame) -> Load:
    """The parameters with what :func:`runbook.load.recommend` recommends in them."""
    new = recommended.set_index("setting")["recommended"]
    return wanted.model_copy(update={
        "cpu_request": f"{new['cpu_request_m']}m", "cpu_limit": f"{new['cpu_limit_m']}m",
        "memory_request": f"{new['memory_request_mib']}Mi", "memory_limit": f"{new['memory_limit_mib']}Mi",
        "replicas_min": int(new["min"]), "replicas_max": int(new["max"]), "target": int(new["target"])})


def as_parameters(wanted: Load, before: Load) -> str:
    """The keys that differ, as YAML for the parameter file."""
    lines = [f"  {key}: {value if isinstance(value, int) else chr(34) + str(value) + chr(34)}"
             for key, value in wanted.model_dump().items() if value != getattr(before, key) and isinstance(value, (int, str))]
    return "load:\n" + "\n".join(lines) if lines else "(as they are)"
