"""Lists: label and field selectors, pages."""

import base64
import json

from runbook.rehearsal.schema import failure
from runbook.rehearsal.values import at, clone, label_selector

#: Field selectors that the API server knows besides metadata.name and metadata.namespace. Source: its answers, and each kind's strategy.
FIELDS = {
    "pods": ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP",
             "status.nominatedNodeName"),
    "events": ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
               "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"),
    "secrets": ("type",), "namespaces": ("status.phase",), "nodes": ("spec.unschedulable",), "services": ("spec.clusterIP", "spec.type"),
    "jobs.batch": ("status.successful",),
}


def answer(route, data: dict, query: dict) -> dict:
    """The List object of a GET without a name."""
    try:
        wanted = label_selector(query.get("labelSelector", ""))
    except ValueError as error:
        raise failure(400, f"unable to parse requirement: {error}", "BadRequest") from None
    fits = _field_selector(route.key, query.get("fieldSelector", ""))
    table = data["objects"].get(route.key, {})
    found = [o for k, o in sorted(table.items()) if (not route.namespace or k.startswith(route.namespace + "/"))
             and wanted(o["metadata"].get("labels")) and fits(o)]
    start = json.loads(base64.b64decode(query["continue"]))["start"] if query.get("continue") else 0
    end = start + int(query["limit"]) if query.get("limit") else len(found)
    meta = {"resourceVersion": str(data["version"])}
    if end < len(found):
        meta |= {"continue": base64.b64encode(json.dumps({"start": end}).encode()).decode(), "remainingItemCount": len(found) - end}
    return {"kind": f"{route.kind['kind']}List", "apiVersion": route.kind["apiVersion"], "metadata": meta,
            "items": [{k: v for k, v in clone(o).items() if k not in ("apiVersion", "kind")} for o in found[start:end]]}


def _field_selector(key: str, text: str):
    known = ("metadata.name", "metadata.namespace", *FIELDS.get(key, ()))
    tests = []
    for term in filter(None, text.split(",")):
        name, sign, value = next(((n, s, v) for s in ("!=", "==", "=") for n, found, v in [term.partition(s)] if found), (term, "", ""))
        if name not in known:
            if key in FIELDS:
                raise failure(400, f"field label not supported: {name}", "BadRequest")
            raise failure(400, f"\"{name}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", "BadRequest")
        path = ("source", "component") if name == "source" else name.split(".")
        tests.append(lambda o, p=path, v=value, s=sign: (_text(at(o, *p, default="")) == v) == (s != "!="))
    return lambda obj: all(test(obj) for test in tests)


def _text(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
