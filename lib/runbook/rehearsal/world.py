"""The objects of a state, for what works on them: find, put, remove, tell an event. Used inside ``State.change`` only."""

from runbook.rehearsal.state import new_uid, now, resource_key, seed, suffix
from runbook.rehearsal.values import at, clone

BUILTIN = {k["kind"]: resource_key(k["apiVersion"], k["plural"]) for k in reversed(seed()["kinds"]) if not k["apiVersion"].startswith(("metrics", "events"))}


class World:
    """A view of the data of a :class:`runbook.rehearsal.state.State`. ``writes`` counts what was changed through it."""

    def __init__(self, data: dict):
        self.data = data
        self.writes = 0

    def table(self, key: str) -> dict[str, dict]:
        """All objects of ``"statefulsets.apps"``, by ``namespace/name``."""
        return self.data["objects"].get(key, {})

    def all(self, kind: str, namespace: str | None = None) -> list[dict]:
        """The objects of a built-in kind; of one namespace unless that is ``None``."""
        table = self.table(BUILTIN[kind])
        if namespace is None:
            return list(table.values())
        return [o for k, o in table.items() if k.startswith(namespace + "/")]

    def get(self, kind: str, name: str, namespace: str = "") -> dict | None:
        return self.table(BUILTIN[kind]).get(f"{namespace}/{name}")

    def put(self, obj: dict, key: str = "") -> dict:
        """Store an object, new or changed; it gets a new version."""
        meta = obj["metadata"]
        self.data["version"] += 1
        self.writes += 1
        meta["resourceVersion"] = str(self.data["version"])
        self.data["objects"].setdefault(key or BUILTIN[obj["kind"]], {})[f"{meta.get('namespace', '')}/{meta['name']}"] = obj
        return obj

    def create(self, api_version: str, kind: str, name: str, namespace: str, owner: dict | None = None, **parts) -> dict:
        """A new object of a controller: ``parts`` are its other top-level fields, ``metadata`` is added to."""
        meta = {"name": name, **({"namespace": namespace} if namespace else {}), "uid": new_uid(), "creationTimestamp": now(), **parts.pop("metadata", {})}
        if owner:
            meta["ownerReferences"] = [{"apiVersion": owner["apiVersion"], "blockOwnerDeletion": True, "controller": True, "kind": owner["kind"],
                                        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]
        return self.put({"apiVersion": api_version, "kind": kind, "metadata": meta, **clone(parts)})

    def set_status(self, obj: dict, status: dict) -> None:
        """Store a status if it differs. Times of conditions that stay the same are kept."""
        old = obj.get("status") or {}
        before = {c["type"]: c for c in old.get("conditions") or []}
        for condition in status.get("conditions") or []:
            was = before.get(condition["type"])
            if was and was["status"] == condition["status"]:
                for key in ("lastTransitionTime", "lastUpdateTime", "lastProbeTime"):
                    if key in condition:
                        condition[key] = was.get(key)
        if status != old:
            obj["status"] = status
            self.put(obj)

    def remove(self, obj: dict) -> None:
        """Take an object out, and all that it owns."""
        meta = obj["metadata"]
        key = self._key(obj)
        if self.table(key).pop(f"{meta.get('namespace', '')}/{meta['name']}", None) is None:
            return
        self.writes += 1
        self.data["version"] += 1
        for owned in [o for t in self.data["objects"].values() for o in t.values()
                      if any(r["uid"] == meta.get("uid") for r in o["metadata"].get("ownerReferences") or [])]:
            self.remove(owned)

    def _key(self, obj: dict) -> str:
        meta = obj["metadata"]
        where = f"{meta.get('namespace', '')}/{meta['name']}"
        return next((k for k, t in self.data["objects"].items() if t.get(where) is obj), BUILTIN.get(obj["kind"], ""))

    def owned(self, kind: str, owner: dict) -> list[dict]:
        """What an object controls, of one kind, oldest first."""
        uid = owner["metadata"]["uid"]
        return [o for o in self.all(kind, owner["metadata"].get("namespace", ""))
                if any(r["uid"] == uid and r.get("controller") for r in o["metadata"].get("ownerReferences") or [])]

    def event(self, about: dict, kind: str, reason: str, message: str, component: str) -> None:
        """Tell an event, in the shape that the recorded cluster tells it; the same one again only counts."""
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        reference = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": meta["name"], "uid": meta.get("uid", ""),
                     **({"namespace": meta["namespace"]} if meta.get("namespace") else {})}
        for event in self.all("Event", namespace):
            if event["involvedObject"].get("uid") == reference["uid"] and (event["reason"], event["message"]) == (reason, message):
                return
        self.create("v1", "Event", f"{meta['name']}.{suffix(16)}", namespace, involvedObject=reference, reason=reason, message=message, type=kind,
                    source={"component": component}, reportingComponent=component, reportingInstance="", firstTimestamp=now(), lastTimestamp=now(), count=1)

    def address(self, kind: str) -> int:
        """The next free number of ``pod``, ``service`` or ``port``."""
        self.data["addresses"][kind] += 1
        return self.data["addresses"][kind]

    def nodes(self) -> list[dict]:
        """The nodes that take pods."""
        ready = lambda n: any(c["type"] == "Ready" and c["status"] == "True" for c in at(n, "status", "conditions", default=[]))
        return [n for n in self.all("Node") if ready(n) and not at(n, "spec", "unschedulable")]
