"""What Kubernetes says of its kinds: validity, and which lists are merged by key.

Source: the Kubernetes JSON schemas that the package ``kubernetes-validate`` carries (strict form).
"""

from functools import lru_cache

import jsonschema
from kubernetes_validate.utils import all_versions, schema_contents
from referencing import Registry, Resource

from runbook.cluster.transport import ApiFailure

QUANTITY = "quantity"  #: marks the schema of a resource quantity
ANY: dict = {}  #: the schema of what has none: custom resources; maps merge by key, lists are replaced


class Schemas:
    """The schemas of one Kubernetes version (``"v1.36.2"``; the newest that is not newer is taken)."""

    def __init__(self, version: str):
        wanted = tuple(int(n) for n in version.removeprefix("v").split(".")[:2])
        known = [v for v in all_versions() if tuple(int(n) for n in v.split(".")[:2]) <= wanted]
        if not known:
            raise ValueError(f"no schemas for Kubernetes {version}")
        self._folder = f"kubernetes-json-schema/v{known[-1]}-local-strict"
        self._version = known[-1]
        self._valid: set[int] = set()

    def kind(self, api_version: str, kind: str) -> dict:
        """The schema of a kind; :data:`ANY` when there is none."""
        return self._kind(api_version, kind) or ANY

    @lru_cache
    def _kind(self, api_version: str, kind: str) -> dict | None:
        group, _, version = api_version.rpartition("/")
        name = f"{kind.lower()}-{group.split('.')[0] + '-' if group else ''}{version}"
        try:
            return schema_contents(f"{self._folder}/{name}.json", self._version)
        except FileNotFoundError:
            return None

    @property
    @lru_cache
    def _definitions(self) -> dict:
        return schema_contents(f"{self._folder}/_definitions.json", self._version)

    @lru_cache
    def _validator(self, api_version: str, kind: str):
        schema = self._kind(api_version, kind)
        if schema is None:
            return None
        registry = Resource.from_contents(self._definitions) @ (Resource.from_contents(schema) @ Registry())
        return jsonschema.validators.Draft202012Validator(schema, registry=registry)

    def inner(self, schema: dict, key: str | None = None) -> dict:
        """The schema of one field of a map, or of the items of a list (``key`` None), its references followed."""
        found = schema.get("items", ANY) if key is None else schema.get("properties", {}).get(key, schema.get("additionalProperties", ANY))
        while isinstance(found, dict) and "$ref" in found:
            marks = {k: v for k, v in found.items() if k.startswith("x-kubernetes")}
            name = found["$ref"].rsplit("/", 1)[1]
            found = self._definitions["$defs"][name] | marks | ({QUANTITY: True} if name.endswith(".api.resource.Quantity") else {})
        return found if isinstance(found, dict) else ANY

    def check(self, obj: dict) -> None:
        """Raise the API server's answer (ApiFailure 500 or 422, in its words) if the object breaks its schema."""
        seen = hash(repr(obj))
        if seen in self._valid:
            return
        validator = self._validator(obj["apiVersion"], obj["kind"])
        error = jsonschema.exceptions.best_match(validator.iter_errors(obj)) if validator else None
        if error is not None:
            raise _refusal(obj, error)
        self._valid.add(seen)


def _refusal(obj: dict, error) -> ApiFailure:
    path = "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in error.absolute_path)
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return invalid(obj, [((path + "." + missing).lstrip("."), "FieldValueRequired", "Required value")])
    if error.validator == "additionalProperties":
        extra = sorted(set(error.instance) - set(error.schema.get("properties", {})))[0]
        return typed_patch(obj, f"{path}.{extra}: field not declared in schema")
    got = {str: "string", int: "int", float: "float", bool: "boolean", dict: "map", list: "list"}.get(type(error.instance), "null")
    kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    wanted = {"integer": "numeric (int or float)", "number": "numeric (int or float)", "object": "map", "array": "list"}
    if error.validator == "type" and kinds[0] in ("string", "boolean"):  # as the server's Go prints them
        shown = str(error.instance).lower() if isinstance(error.instance, bool) else error.instance
        printed = f"&value.valueUnstructured{{Value:{shown}}}" if kinds[0] == "string" else f"&{{{shown}}}"
        return typed_patch(obj, f"{path}: expected {kinds[0]}, got {printed}")
    if error.validator == "type":
        return typed_patch(obj, f"{path}: expected {wanted.get(kinds[0], kinds[0])}, got {got}")
    return invalid(obj, [(path.lstrip("."), "FieldValueInvalid", f"Invalid value: {error.instance!r}: {error.message}")])


def typed_patch(obj: dict, what: str) -> ApiFailure:
    """The API server's answer to an apply whose object is not of its schema: status 500, as recorded on v1.36.2."""
    group, _, version = obj["apiVersion"].rpartition("/")
    meta = obj.get("metadata", {})
    where = "/".join(filter(None, (meta.get("namespace"), meta.get("name"))))
    message = f"failed to create typed patch object ({where}; {group}/{version}, Kind={obj['kind']}): {what}"
    return failure(500, message)


def invalid(obj: dict, causes: list[tuple[str, str, str]]) -> ApiFailure:
    """422: ``causes`` are ``(field, reason, message)``."""
    group = obj["apiVersion"].rpartition("/")[0]
    kind, name = obj["kind"], obj["metadata"].get("name", "")
    told = [f"{field}: {message}" for field, _, message in causes]
    text = told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"
    details = {"name": name, **({"group": group} if group else {}), "kind": kind,
               "causes": [{"reason": r, "message": m, "field": f} for f, r, m in causes]}
    return failure(422, f"{kind}{'.' + group if group else ''} \"{name}\" is invalid: {text}", "Invalid", details)


def failure(status: int, message: str, reason: str = "", details: dict | None = None) -> ApiFailure:
    """An answer of the API server other than success, with its ``Status`` object."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": status}
    return ApiFailure(status, message, body | ({"reason": reason} if reason else {}) | ({"details": details} if details else {}))
