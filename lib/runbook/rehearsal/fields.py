"""Server-side apply: who owns which field, conflicts, and the removal of what is no longer applied.

A set of fields is a set of paths; a path is a tuple of the keys of ``FieldsV1``: ``("f:spec", 'k:{"name":"main"}', "f:image")``.
Source: the Kubernetes documentation of server-side apply, and the answers of a v1.36.2 API server (tests/contract).
"""

import json

from runbook.rehearsal.schema import Schemas, failure

Path = tuple[str, ...]
#: Fields that nobody owns.
STRIPPED = {("f:apiVersion",), ("f:kind",), ("f:status",)} | {
    ("f:metadata", f"f:{k}") for k in ("name", "namespace", "uid", "creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink")}
#: What goes only with the object itself, though nobody owns it.
STAYS = {path[:n] for path in STRIPPED for n in range(1, len(path) + 1)}
#: The API's own defaults of list keys.
KEY_DEFAULTS = {"protocol": "TCP"}


def item_key(item: dict, keys: list[str]) -> str:
    return "k:" + json.dumps({k: item.get(k, KEY_DEFAULTS.get(k)) for k in sorted(keys) if k in item or k in KEY_DEFAULTS}, separators=(",", ":"))


class Fields:
    """Field sets and merges by the schemas of one Kubernetes version."""

    def __init__(self, schemas: Schemas):
        self._schemas = schemas

    def leaves(self, obj: dict) -> dict[Path, object]:
        """Every field of an object that can be owned, with its value; list items stand with ``None``."""
        found: dict[Path, object] = {}
        self._walk(obj, self._schemas.kind(obj["apiVersion"], obj["kind"]), (), found)
        return found

    def _walk(self, value, schema: dict, path: Path, found: dict) -> None:
        if path in STRIPPED:
            return
        merged = schema.get("x-kubernetes-map-type") != "atomic" and schema.get("x-kubernetes-list-type") != "atomic"
        if isinstance(value, dict) and value and merged:
            for key, inner in value.items():
                self._walk(inner, self._schemas.inner(schema, key), (*path, f"f:{key}"), found)
        elif isinstance(value, list) and value and merged and (keys := schema.get("x-kubernetes-list-map-keys")):
            for item in value:
                here = (*path, item_key(item, keys))
                found[here] = None
                self._walk(item, self._schemas.inner(schema), here, found)
        elif isinstance(value, list) and value and schema.get("x-kubernetes-list-type") == "set":
            for item in value:
                found[(*path, "v:" + json.dumps(item))] = item
        else:
            found[path] = value

    def merge(self, live: dict, wanted: dict) -> dict:
        """What is applied, laid over what is there."""
        return self._merge(live, wanted, self._schemas.kind(wanted["apiVersion"], wanted["kind"]))

    def _merge(self, old, new, schema: dict):
        if schema.get("x-kubernetes-map-type") == "atomic" or schema.get("x-kubernetes-list-type") == "atomic":
            return new
        if isinstance(old, dict) and isinstance(new, dict):
            return {**old, **{k: self._merge(old.get(k), v, self._schemas.inner(schema, k)) for k, v in new.items()}}
        keys = schema.get("x-kubernetes-list-map-keys")
        if isinstance(old, list) and isinstance(new, list) and keys:
            inner, before = self._schemas.inner(schema), {item_key(i, keys): i for i in old}
            return interleave(before, {(k := item_key(i, keys)): self._merge(before.get(k), i, inner) for i in new})
        if isinstance(old, list) and isinstance(new, list) and schema.get("x-kubernetes-list-type") == "set":
            return interleave({json.dumps(i): i for i in old}, {json.dumps(i): i for i in new})
        return new

    def remove(self, obj: dict, gone: set[Path]) -> None:
        """Take these fields and all below them out of the object."""
        for path in sorted(gone, key=len):
            if not any(path[:n] in gone for n in range(1, len(path))):
                self._remove(obj, self._schemas.kind(obj["apiVersion"], obj["kind"]), path)

    def _remove(self, value, schema: dict, path: Path) -> None:
        head, *rest = path
        if head.startswith("f:"):
            name = head[2:]
            if not isinstance(value, dict) or name not in value:
                return
            if rest:
                self._remove(value[name], self._schemas.inner(schema, name), tuple(rest))
            else:
                del value[name]
        elif isinstance(value, list):
            same = (lambda i: json.dumps(i) == head[2:]) if head.startswith("v:") else (
                lambda i: item_key(i, schema.get("x-kubernetes-list-map-keys") or ["name"]) == head)
            for item in [i for i in value if same(i)]:
                if rest:
                    self._remove(item, self._schemas.inner(schema), tuple(rest))
                else:
                    value.remove(item)


def interleave(old: dict, new: dict) -> list:
    """The new items in their order, the old ones that are not among them where they stood."""
    out, left = [], list(new)
    for key, item in old.items():
        if key not in new:
            out.append(item)
        elif key in left:
            upto = left.index(key) + 1
            out += [new[k] for k in left[:upto]]
            left = left[upto:]
    return out + [new[k] for k in left]


# -- who owns what ---------------------------------------------------------

Owner = tuple[str, str, str, str]  #: manager, operation, apiVersion, subresource


def owners(obj: dict) -> dict[Owner, set[Path]]:
    """The field sets of an object's ``managedFields``."""
    return {(e["manager"], e["operation"], e["apiVersion"], e.get("subresource", "")): set(_decode(e["fieldsV1"], ()))
            for e in obj.get("metadata", {}).get("managedFields", [])}


def write_owners(obj: dict, sets: dict[Owner, set[Path]], now: str) -> None:
    """Put field sets into ``managedFields``; an entry that stays the same keeps its time."""
    before = {(e["manager"], e["operation"], e["apiVersion"], e.get("subresource", "")): e for e in obj["metadata"].get("managedFields", [])}
    entries = []
    for owner, paths in sets.items():
        if not paths:
            continue
        manager, operation, api_version, subresource = owner
        fields = _encode(paths)
        old = before.get(owner)
        entries.append({"manager": manager, "operation": operation, "apiVersion": api_version,
                        "time": old["time"] if old and old["fieldsV1"] == fields else now, "fieldsType": "FieldsV1", "fieldsV1": fields,
                        **({"subresource": subresource} if subresource else {})})
    obj["metadata"]["managedFields"] = entries


def _decode(node: dict, path: Path):
    for key, inner in node.items():
        if key == ".":
            yield path
        elif inner:
            yield from _decode(inner, (*path, key))
        else:
            yield (*path, key)


def _encode(paths: set[Path]) -> dict:
    root: dict = {}
    for path in sorted(paths):
        node = root
        for key in path:
            node = node.setdefault(key, {})
    for path in paths:
        node = root
        for key in path:
            node = node[key]
        if node:
            node["."] = {}
    return root


def applied(fields: Fields, live: dict | None, wanted: dict, manager: str, force: bool, now: str) -> dict:
    """The object after a server-side apply, its ``managedFields`` in order; the caller fills in defaults.

    Raises:
        ApiFailure: 409, naming each field and its owner.
    """
    me: Owner = (manager, "Apply", wanted["apiVersion"], "")
    mine = fields.leaves(wanted)
    if live is None:
        obj = fields.merge({}, wanted)
        write_owners(obj, {me: set(mine)}, now)
        return obj
    sets, there = owners(live), fields.leaves(live)
    last = sets.get(me, set())
    disputed: dict[Owner, list[Path]] = {}
    for owner, paths in sets.items():
        if owner != me:
            found = sorted(p for p in paths & mine.keys() if there.get(p) != mine[p])
            if found:
                disputed[owner] = found
    if disputed and not force:
        raise _conflict(disputed)
    for owner, paths in disputed.items():
        sets[owner] -= set(paths)
    sets[me] = set(mine)
    obj = fields.merge(live, wanted)
    kept = {p[:n] for paths in sets.values() for p in paths for n in range(1, len(p) + 1)}
    gone = {p[:n] for p in last for n in range(1, len(p) + 1)} - kept - STAYS
    if gone:
        fields.remove(obj, gone)
    write_owners(obj, sets, now)
    return obj


def updated(fields: Fields, live: dict | None, obj: dict, manager: str, now: str, subresource: str = "") -> None:
    """Note in ``obj`` that ``manager`` changed it by another way than apply (POST, merge patch, scale)."""
    me: Owner = (manager, "Update", obj["apiVersion"], subresource)
    after, before = fields.leaves(obj), fields.leaves(live) if live else {}
    sets = owners(live) if live else {}
    changed = {p for p, v in after.items() if p not in before or before[p] != v}
    gone = before.keys() - after.keys()
    for owner in sets:
        sets[owner] -= gone if owner == me else changed | gone
    sets[me] = (sets.get(me, set()) | changed) & after.keys()
    write_owners(obj, sets, now)


def dotted(path: Path) -> str:
    """``.spec.containers[name="main"].image``, as the API server writes it."""
    out = ""
    for key in path:
        kind, rest = key[:2], key[2:]
        if kind == "k:":
            out += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(rest).items()) + "]"
        else:
            out += f"[={rest}]" if kind == "v:" else f".{rest}"
    return out


def _conflict(disputed: dict[Owner, list[Path]]):
    causes, told = [], []
    for (manager, operation, api_version, subresource), paths in disputed.items():
        who = json.dumps(manager) + (f' with subresource "{subresource}"' if subresource else "") + (f" using {api_version}" if operation == "Update" else "")
        causes += [{"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": dotted(p)} for p in paths]
        told.append((who, [dotted(p) for p in paths]))
    if len(causes) == 1:
        text = f"conflict with {told[0][0]}: {told[0][1][0]}"
    else:
        text = "\n".join(f"conflicts with {who}:\n" + "\n".join(f"- {p}" for p in paths) for who, paths in told)
    count = f"{len(causes)} conflict" + ("s" if len(causes) != 1 else "")
    return failure(409, f"Apply failed with {count}: {text}", "Conflict", {"causes": causes})
