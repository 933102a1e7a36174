"""Which kinds are served, and where a REST path leads."""

import re
from urllib.parse import unquote

from runbook.cluster.transport import ApiFailure, Resource
from runbook.rehearsal.schema import failure
from runbook.rehearsal.state import resource_key, seed

ROUTE = re.compile(r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))(?:/namespaces/(?P<ns>[^/]+)(?=/[^/]))?/(?P<plural>[^/]+)"
                   r"(?:/(?P<name>[^/]+)(?:/(?P<sub>.+))?)?$")


class Route:
    """Where a path leads: a kind, and perhaps one object and a part of it."""

    def __init__(self, kind: dict, namespace: str, name: str, sub: str):
        self.kind, self.namespace, self.name, self.sub = kind, namespace, name, sub
        self.key = resource_key(kind["apiVersion"], kind["plural"])
        self.where = f"{namespace}/{name}"

    def missing(self) -> ApiFailure:
        group = self.kind["apiVersion"].rpartition("/")[0]
        details = {"name": self.name, **({"group": group} if group else {}), "kind": self.kind["plural"]}
        return failure(404, f"{self.key} \"{self.name}\" not found", "NotFound", details)


def kinds(data: dict) -> list[dict]:
    """What is served: what the recorded cluster served, and custom resources that are defined since."""
    made = []
    for crd in data["objects"].get("customresourcedefinitions.apiextensions.k8s.io", {}).values():
        names = crd["spec"]["names"]
        for version in crd["spec"]["versions"]:
            if version.get("served", True):
                made.append({"apiVersion": f"{crd['spec']['group']}/{version['name']}", "kind": names["kind"], "plural": names["plural"],
                             "namespaced": crd["spec"]["scope"] == "Namespaced", "status": "status" in (version.get("subresources") or {}),
                             "scale": False})
    return seed()["kinds"] + made


def resource(kind: str, data: dict) -> Resource:
    """See :meth:`runbook.cluster.transport.Transport.resource`."""
    version, _, bare = kind.rpartition("/")
    for found in kinds(data):
        if found["kind"] == bare and version in ("", found["apiVersion"]):
            return Resource(found["apiVersion"], found["kind"], found["plural"], found["namespaced"])
    raise ApiFailure(404, f"this cluster serves no kind {bare}")


def route(path: str, data: dict) -> Route:
    """The route of a path; ApiFailure 404 where it leads nowhere."""
    found = ROUTE.match(path)
    if found:
        version = found["core"] or f"{found['group']}/{found['version']}"
        for kind in kinds(data):
            if kind["apiVersion"] == version and kind["plural"] == found["plural"]:
                return Route(kind, found["ns"] or "", unquote(found["name"] or ""), found["sub"] or "")
    raise ApiFailure(404, "404 page not found")


def namespace_of(path: str) -> str:
    """The namespace that a path lies in, empty for one of the whole cluster."""
    found = re.search(r"/namespaces/([^/]+)", path)
    return found[1] if found else ""
