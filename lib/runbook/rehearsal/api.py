"""The API server of the rehearsal: one REST call against a :class:`runbook.rehearsal.state.State`.

What is accepted, filled in and refused, and in which words, is that of a v1.36.2 API server (tests/contract runs the same cases on both).
"""

import re

from runbook.cluster.transport import Resource
from runbook.rehearsal import admission, canonical, defaults, fields, links, listing, routes, volumes
from runbook.rehearsal.routes import Route
from runbook.rehearsal.schema import Schemas, failure, invalid
from runbook.rehearsal.state import State, new_uid, now, seed, suffix
from runbook.rehearsal.values import at, clone, merge_patch
from runbook.rehearsal.world import World

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
BAD_NAME = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")


class Api:
    """Answers REST calls over a state."""

    def __init__(self, state: State):
        self.state = state
        self.schemas = Schemas(seed()["version"])
        self.fields = fields.Fields(self.schemas)

    def resource(self, kind: str) -> Resource:
        """See :meth:`runbook.cluster.transport.Transport.resource`."""
        return routes.resource(kind, self.state.read())

    # -- reading ---------------------------------------------------------------

    def get(self, path: str, query: dict) -> dict:
        data = self.state.read()
        if path == "/version":
            return clone(seed()["answer"])
        route = routes.route(path, data)
        if not route.name:
            return listing.answer(route, data, query)
        obj = data["objects"].get(route.key, {}).get(route.where)
        if obj is None:
            raise route.missing()
        if route.sub == "scale":
            return scale_of(obj)
        return clone(obj) | {"apiVersion": route.kind["apiVersion"]}

    # -- writing ----------------------------------------------------------------

    def write(self, method: str, path: str, query: dict, body: dict, content_type: str) -> dict:
        dry = query.get("dryRun") == "All"
        if dry:
            return self._write(World(clone(self.state.read())) if method == "DELETE" else World(_shallow(self.state.read())), method, path, query, body,
                               content_type, dry)
        with self.state.change() as data:
            world = World(data)
            answer = clone(self._write(world, method, path, query, body, content_type, dry))
            if world.writes:
                links.settle(world, routes.namespace_of(path))
            return answer

    def _write(self, world: World, method: str, path: str, query: dict, body: dict, content_type: str, dry: bool) -> dict:
        route = routes.route(path, world.data)
        if method == "POST" and not route.name:
            return self._create(world, route, body, query)
        live = world.table(route.key).get(route.where)
        if method == "DELETE":
            return self._delete(world, route, live)
        if method == "PATCH" and content_type == "application/apply-patch+yaml":
            return self._apply(world, route, live, body, query)
        if method == "PATCH":
            return self._merge(world, route, live, body, query)
        if method == "PUT":
            return self._replace(world, route, live, body, query)
        raise failure(405, "the server does not allow this method on the requested resource", "MethodNotAllowed")

    def _create(self, world: World, route: Route, body: dict, query: dict) -> dict:
        obj = clone(body)
        meta = obj.setdefault("metadata", {})
        obj.setdefault("apiVersion", route.kind["apiVersion"])
        obj.setdefault("kind", route.kind["kind"])
        if route.kind["namespaced"]:
            meta.setdefault("namespace", route.namespace)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + suffix()
        named = Route(route.kind, route.namespace, meta.get("name", ""), "")
        self._admissible(world, named, obj)
        if named.where in world.table(named.key):
            raise failure(409, f"{named.key} \"{named.name}\" already exists", "AlreadyExists", {"name": named.name, "kind": route.kind["plural"]})
        self._finish(world, named, None, obj)
        fields.updated(self.fields, None, obj, query.get("fieldManager") or "runbook", now())
        return self._store(world, named, None, obj)

    def _apply(self, world: World, route: Route, live: dict | None, body: dict, query: dict) -> dict:
        if not query.get("fieldManager"):
            raise failure(422, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch", "Invalid")
        wanted = clone(body)
        asked = wanted.get("metadata", {}).get("resourceVersion")
        if wanted.get("metadata", {}).get("name", route.name) != route.name:
            raise failure(400, f"the name of the object ({wanted['metadata']['name']}) does not match the name on the URL ({route.name})", "BadRequest")
        for key in ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"):
            wanted["metadata"].pop(key, None)
        if route.kind["namespaced"]:
            wanted["metadata"]["namespace"] = route.namespace
        self._admissible(world, route, wanted)
        if live is not None and asked and asked != live["metadata"]["resourceVersion"]:
            raise failure(409, f"Operation cannot be fulfilled on {route.key} \"{route.name}\": the object has been modified; please apply your changes "
                               "to the latest version and try again", "Conflict", {"name": route.name, "kind": route.kind["plural"]})
        if route.kind.get("status"):
            wanted.pop("status", None)
        before = clone(live) if live else None
        obj = clone(fields.applied(self.fields, before, wanted, query["fieldManager"], query.get("force") == "true", now()))
        self._finish(world, route, live, obj)
        return self._store(world, route, live, obj)

    def _merge(self, world: World, route: Route, live: dict | None, body: dict, query: dict) -> dict:
        if live is None:
            raise route.missing()
        if route.sub == "scale":
            obj = clone(live)
            obj["spec"]["replicas"] = at(body, "spec", "replicas", default=live["spec"]["replicas"])
        else:
            obj = merge_patch(clone(live), clone(body))
        self._check(obj)
        self._finish(world, route, live, obj, keep_status=route.sub == "status")
        fields.updated(self.fields, live, obj, query.get("fieldManager") or "runbook", now(), route.sub)
        stored = self._store(world, route, live, obj)
        return scale_of(stored) if route.sub == "scale" else stored

    def _replace(self, world: World, route: Route, live: dict | None, body: dict, query: dict) -> dict:
        if live is None:
            raise route.missing()
        obj = clone(body)
        for key in ("uid", "creationTimestamp", "managedFields", "generation", "namespace"):
            if key in live["metadata"]:
                obj["metadata"][key] = clone(live["metadata"][key])
        self._check(obj)
        self._finish(world, route, live, obj)
        fields.updated(self.fields, live, obj, query.get("fieldManager") or "runbook", now())
        return self._store(world, route, live, obj)

    def _delete(self, world: World, route: Route, live: dict | None) -> dict:
        if live is None:
            raise route.missing()
        meta = live["metadata"]
        admission.deletable(world, live)
        if live["kind"] == "PersistentVolumeClaim" and volumes.users(world, live):
            live = clone(live)  # protected until the last pod that mounts it is gone
            live["metadata"] |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
            return world.put(live)
        world.remove(live)
        if live["kind"] == "Namespace":
            for table in world.data["objects"].values():
                for key in [k for k in table if k.startswith(meta["name"] + "/")]:
                    del table[key]
        group = route.kind["apiVersion"].rpartition("/")[0]
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": route.name, **({"group": group} if group else {}), "kind": route.kind["plural"], "uid": meta.get("uid", "")}}

    # -- what every write goes through --------------------------------------------

    def _check(self, obj: dict) -> None:
        self.schemas.check({k: v for k, v in obj.items() if k != "status"} | {"metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}})

    def _admissible(self, world: World, route: Route, obj: dict) -> None:
        """Before anything is merged: kind, name, schema, namespace."""
        if route.namespace and not world.get("Namespace", route.namespace):
            raise failure(404, f"namespaces \"{route.namespace}\" not found", "NotFound", {"name": route.namespace, "kind": "namespaces"})
        self._check(obj)
        rbac = route.key.endswith("rbac.authorization.k8s.io")
        if not rbac and not NAME.fullmatch(obj["metadata"].get("name") or ""):
            raise invalid(obj, [("metadata.name", "FieldValueInvalid", f"Invalid value: \"{obj['metadata'].get('name', '')}\": {BAD_NAME}")])

    def _finish(self, world: World, route: Route, live: dict | None, obj: dict, keep_status: bool = False) -> None:
        """Identity, defaults, admission, and what may not change."""
        meta = obj["metadata"]
        meta.setdefault("uid", new_uid())
        meta.setdefault("creationTimestamp", now())
        meta.setdefault("name", route.name)
        if live is None and obj["kind"] in defaults.STATUS and route.kind.get("status"):
            obj["status"] = clone(defaults.STATUS[obj["kind"]])
        elif live is not None and not keep_status and "status" in live and route.kind.get("status"):
            obj["status"] = clone(live["status"])
        canonical.settle(self.schemas, obj)
        defaults.default(obj)
        admission.check(obj, live)
        admission.admit(world, obj, live)
        counted = obj["kind"] in defaults.GENERATION
        if counted and live is None:
            meta["generation"] = 1
        elif counted and live.get("spec") != obj.get("spec"):
            meta["generation"] = live["metadata"].get("generation", 1) + 1

    def _store(self, world: World, route: Route, live: dict | None, obj: dict) -> dict:
        if live is not None and _same(live, obj):
            return live
        for key in [k for k in ("labels", "annotations", "finalizers") if obj["metadata"].get(k) in ({}, [])]:
            del obj["metadata"][key]
        return world.put(obj, route.key)


def _same(a: dict, b: dict) -> bool:
    """Equal but for the times of managed fields."""
    entries = lambda o: [{k: v for k, v in e.items() if k != "time"} for e in o["metadata"].get("managedFields", [])]
    bare = lambda o: {**o, "metadata": {**o["metadata"], "managedFields": entries(o)}}
    return bare(a) == bare(b)


def _shallow(data: dict) -> dict:
    """A copy that a dry run of one write may put one object into."""
    return {**data, "addresses": dict(data["addresses"]), "objects": {k: dict(t) for k, t in data["objects"].items()}}


def scale_of(obj: dict) -> dict:
    """The ``Scale`` of a workload."""
    meta, selector = obj["metadata"], at(obj, "spec", "selector", "matchLabels", default={})
    return {"kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta},
            "spec": {"replicas": at(obj, "spec", "replicas", default=0)},
            "status": {"replicas": at(obj, "status", "replicas", default=0), "selector": ",".join(f"{k}={v}" for k, v in selector.items())}}
