"""Faults to switch on: objects and events recorded on a broken cluster, and answers of an API server in trouble."""

import json
import re
from functools import lru_cache
from pathlib import Path

from runbook.cluster.transport import ApiFailure
from runbook.errors import ParameterError
from runbook.rehearsal import laying, links
from runbook.rehearsal.schema import failure
from runbook.rehearsal.state import State, resource_key
from runbook.rehearsal.world import World

FOLDER = Path(__file__).resolve().parent / "faults"
WORKLOAD = re.compile(r"^(StatefulSet|Deployment|DaemonSet|Pod)/[a-z0-9.-]+$")
VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
PATH = re.compile(r"^/(?:api|apis/(?P<group>[^/]+))/[^/]+(?:/namespaces/(?P<ns>[^/]+)(?=/[^/]))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?")


@lru_cache
def known() -> dict[str, dict]:
    """All faults by name, each with ``title``, ``about``, and ``objects`` or ``answers``."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(FOLDER.glob("*.json"))}


def fault(name: str) -> dict:
    """One fault. Raises ParameterError, naming those there are."""
    if name not in known():
        raise ParameterError(f"fault {name!r}: there is none of that name", do=f"take one of: {', '.join(known())}")
    return known()[name]


def meet(state: State, method: str, path: str) -> None:
    """Raise the answer of a fault that is switched on and concerns this request."""
    active = state.read()["faults"]
    if not active:
        return
    for name in active:
        for answer in known()[name].get("answers", []):
            if method not in answer.get("methods", [method]) or path.endswith("selfsubjectaccessreviews"):
                continue
            left = active[name].get("left")
            if left is not None:
                if left <= 0 or path == "/apis":  # what is served is asked once, and not counted
                    continue
                with state.change() as data:
                    data["faults"][name]["left"] = left - 1
            raise _forbidden(method, path, answer["user"]) if answer["status"] == 403 else ApiFailure(answer["status"], answer["message"], answer.get("body"))


def may(state: State, verb: str) -> bool:
    """What a SelfSubjectAccessReview answers."""
    methods = {m for n in state.read()["faults"] for a in known()[n].get("answers", []) if a["status"] == 403 for m in a["methods"]}
    return verb not in {VERBS[m] for m in methods} | ({"deletecollection"} if methods else set())


def _forbidden(method: str, path: str, user: str) -> ApiFailure:
    """The API server's words, as recorded: ``secrets "x" is forbidden: User "…" cannot patch resource "secrets" in API group "" …``."""
    found = PATH.match(path)
    group, plural = found["group"] or "", found["plural"]
    name, sub = found["name"] or "", f"/{found['sub']}" if found["sub"] else ""
    where = f"in the namespace \"{found['ns']}\"" if found["ns"] else "at the cluster scope"
    what = resource_key(f"{group}/" if group else "v1", plural) + (f' "{name}"' if name else "")
    message = f"{what} is forbidden: User \"{user}\" cannot {VERBS[method]} resource \"{plural}{sub}\" in API group \"{group}\" {where}"
    return failure(403, message, "Forbidden", {**({"name": name} if name else {}), **({"group": group} if group else {}), "kind": plural})


def on(state: State, name: str, namespace: str = "", workload: str = "", container: str = "") -> dict:
    """Switch a fault on. Returns the fault.

    Args:
        namespace: where its objects are laid, or where the workload is; empty: the one it was recorded in.
        workload: ``"StatefulSet/demo"``: its pods fall ill of it, until its template changes; no objects are laid.
        container: which of its containers; the first one.
    """
    found = fault(name)
    if workload and not (WORKLOAD.match(workload) and found.get("pod")):
        raise ParameterError(f"fault {name!r} upon {workload!r}: " + ("it is not a pod's" if WORKLOAD.match(workload) else "no workload"),
                             do="name a workload as StatefulSet/demo, and a fault that a pod can have")
    with state.change() as data:
        entry = {"namespace": namespace or found.get("namespace", ""), "workload": workload, "container": container,
                 **({"left": found["times"]} if found.get("times") else {})}
        data["faults"][name] = entry
        if not workload:
            laying.lay(data, found, entry["namespace"])
            return found
        world = World(data)
        pods = [p for p in world.all("Pod", namespace) if laying.concerns(p, entry)]
        if not pods:
            raise ParameterError(f"fault {name!r}: no pod of {workload} in {namespace or '(no namespace)'}", do="apply the step that makes it first")
        entry["template"] = laying.template_of(pods[0])
        for pod in pods:
            laying.graft(world, pod, found, container)
        links.settle(world, namespace)
    return found


def off(state: State, name: str = "") -> None:
    """Switch a fault off (all when empty): its answers end, its objects go, ill pods are replaced."""
    with state.change() as data:
        for one in [fault(name) and name] if name else list(data["faults"]):
            entry = data["faults"].pop(one, None)
            if entry is None:
                continue
            if not entry["workload"]:
                laying.lift(data, known()[one], entry["namespace"])
                continue
            world = World(data)
            for pod in [p for p in world.all("Pod", entry["namespace"]) if laying.concerns(p, entry)]:
                world.remove(pod)
            links.settle(world, entry["namespace"])


def upon(world: World, pod: dict) -> tuple[dict, str] | None:
    """The fault that this pod has to fall ill of, and the container."""
    for name, entry in world.data["faults"].items():
        if laying.concerns(pod, entry):
            return known()[name], entry.get("container", "")
    return None


def log_of(state: State, pod: dict, previous: bool) -> str | None:
    """What a pod that is ill of a recorded fault printed."""
    for name, entry in state.read()["faults"].items():
        found = known()[name]
        laid = not entry["workload"] and entry["namespace"] == pod["metadata"]["namespace"] and pod["metadata"]["name"] == found.get("pod")
        if found.get("logs") and (laid or laying.concerns(pod, entry)):
            return found["logs"]["previous" if previous else "now"]
    return None
