"""What happens inside pods and behind services: replayed, never made up."""

import json
import re

from runbook.host import Result
from runbook.rehearsal import faults
from runbook.rehearsal.recordings import key, recorded, replay, workload
from runbook.rehearsal.schema import failure
from runbook.rehearsal.state import State
from runbook.rehearsal.values import at, label_selector

METRICS = re.compile(r"/metrics\.k8s\.io/v1beta1(?:/namespaces/(?P<ns>[^/]+))?/(?P<what>pods|nodes)(?:/(?P<name>[^/]+))?$")
PROXY = re.compile(r"/api/v1/namespaces/(?P<ns>[^/]+)/services/(?P<scheme>https?:)?(?P<service>[^/:]+)(?::(?P<port>[^/:]+))?:?/proxy(?P<path>/.*)?$")


def exec(state: State, pod: dict, container: str, argv: list[str], input: str | None) -> Result:
    """A command in a container."""
    _running(pod, container)
    asked = exec_key(pod, container, argv, input)
    answer, label = replay(state, asked, f"`{' '.join(argv)}` in {workload(pod)} ({container}) of {pod['metadata']['namespace']}")
    return Result(tuple(argv), answer["exit_code"], answer["stdout"], answer["stderr"], answer.get("seconds", 0.0), label)


def exec_key(pod: dict, container: str, argv: list[str], input: str | None) -> str:
    fed = [json.dumps(input)] if input is not None else []
    return key("exec", pod["metadata"]["namespace"], workload(pod), container, json.dumps(list(argv)), *fed)


def logs(state: State, pod: dict, query: dict) -> str:
    """What a container printed."""
    names = [c["name"] for c in pod["spec"]["containers"]]
    meta = pod["metadata"]
    if not query.get("container") and len(names) > 1:
        raise failure(400, f"a container name must be specified for pod {meta['name']}, choose one of: [{' '.join(names)}]", "BadRequest")
    container = query.get("container") or names[0]
    inits = [c["name"] for c in pod["spec"].get("initContainers") or []]
    if container not in names + inits:
        raise failure(400, f"container {container} is not valid for pod {meta['name']}", "BadRequest")
    waiting = at(_status(pod, container), "state", "waiting", "reason")
    if waiting and waiting not in ("CrashLoopBackOff",):
        why = {"ImagePullBackOff": "trying and failing to pull image", "ErrImagePull": "image can't be pulled"}.get(waiting, waiting)
        raise failure(400, f"container \"{container}\" in pod \"{meta['name']}\" is waiting to start: {why}", "BadRequest")
    ill = faults.log_of(state, pod, query.get("previous") == "true")
    if ill is not None:
        return ill
    answer, _ = replay(state, log_key(pod, container, query), f"the log of {workload(pod)} ({container}) of {meta['namespace']}")
    lines = answer["text"].splitlines(keepends=True)
    return "".join(lines[-int(query["tailLines"]):]) if query.get("tailLines") else answer["text"]


def log_key(pod: dict, container: str, query: dict) -> str:
    return key("logs", pod["metadata"]["namespace"], workload(pod), container, "previous" if query.get("previous") == "true" else "now")


def _status(pod: dict, container: str) -> dict:
    found = [*at(pod, "status", "containerStatuses", default=[]), *at(pod, "status", "initContainerStatuses", default=[])]
    return next((c for c in found if c["name"] == container), {})


def _running(pod: dict, container: str) -> None:
    if "running" not in at(_status(pod, container), "state", default={}):
        raise failure(500, f"unable to upgrade connection: container not found (\"{container}\")", "InternalError")


def http(state: State, api, path: str) -> tuple[int, str]:
    """A page of a service, through the API server."""
    found = PROXY.search(path)
    if not found:
        raise failure(404, "404 page not found")
    ns, name = found["ns"], found["service"]
    service = api.get(f"/api/v1/namespaces/{ns}/services/{name}", {})
    ports = service["spec"].get("ports") or []
    wanted = found["port"] or (str(ports[0]["port"]) if len(ports) == 1 else "")
    if wanted not in {str(p["port"]) for p in ports} | {p.get("name") for p in ports}:
        raise failure(503, f"no service port {wanted} found for service \"{name}\"", "ServiceUnavailable")
    subsets = state.read()["objects"]["endpoints"].get(f"{ns}/{name}", {}).get("subsets") or []
    if not any(s.get("addresses") for s in subsets):
        raise failure(503, f"no endpoints available for service \"{name}\"", "ServiceUnavailable")
    number = next(str(p["port"]) for p in ports if wanted in (str(p["port"]), p.get("name")))
    answer, _ = replay(state, http_key(ns, name, number, found["path"] or "/"), f"the page {found['path'] or '/'} of Service {ns}/{name} port {wanted}")
    return answer["status"], answer["body"]


def http_key(namespace: str, service: str, port: str, path: str) -> str:
    return key("http", f"{namespace}/{service}:{port}", path)


def usage(state: State, path: str, query: dict) -> dict:
    """CPU and memory in use, as metrics-server measured them on the recorded cluster; what nobody measured is not in the list, as there."""
    found = METRICS.search(path)
    if not found:
        raise failure(404, "404 page not found")
    data = state.read()
    items = []
    if found["what"] == "nodes":
        for node in data["objects"]["nodes"].values():
            if usage_key("node") in recorded():
                answer, _ = replay(state, usage_key("node"), "the use of the node")
                items.append({**answer, "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"].get("labels", {})}})
    else:
        wanted = label_selector(query.get("labelSelector", ""))
        for pod in data["objects"]["pods"].values():
            meta = pod["metadata"]
            if found["ns"] in (None, meta["namespace"]) and at(pod, "status", "phase") == "Running" and wanted(meta.get("labels")):
                one = usage_key(meta["namespace"], workload(pod))
                if one in recorded():
                    answer, _ = replay(state, one, "")
                    items.append({**answer, "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": meta.get("labels", {})}})
    kind = {"pods": "PodMetrics", "nodes": "NodeMetrics"}[found["what"]]
    return {"kind": f"{kind}List", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}


def usage_key(*parts: str) -> str:
    return key("usage", *parts)
