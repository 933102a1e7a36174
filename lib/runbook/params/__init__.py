"""The parameters of a site: one YAML file, keys grouped in sections, each a pydantic model; :mod:`runbook.params.sections` has them all.

Unknown keys and wrong types are refused by name. Nothing is coerced: ``1.30`` is a number, ``"1.30"`` a version.
"""

import difflib
import inspect
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from runbook.errors import ParameterError
from runbook.params.base import PATTERNS, Section, shown
from runbook.params.sections import (
    SECTIONS, Backup, Docker, Ingress, K3s, Load, Site, Storage, Workspace, Workspaces,
)

__all__ = [
    "Backup", "Docker", "Ingress", "K3s", "Load", "SECTIONS", "Section", "Site", "Storage", "Workspace", "Workspaces", "load_file",
    "override", "section", "validate",
]


def section(name: str, value: dict | None = None) -> Section:
    """One section, its defaults filled in.

    Args:
        name: ``"workspaces"``.
        value: what the parameters say; empty for the defaults alone.

    Raises:
        ParameterError: unknown key (the nearest known one is named), wrong type or value.
    """
    return _validated(SECTIONS[name], {} if value is None else value, name)


def validate(site: dict) -> dict:
    """Check all parameters of a site; hand them back unchanged. Raises ParameterError naming the section and key."""
    known = [*Site.model_fields, *SECTIONS]
    for key in site:
        if key not in known:
            raise ParameterError(f"parameters: unknown section or key {key!r}{_nearest(key, known)}", do=f"use one of {', '.join(known)}")
    _validated(Site, {k: v for k, v in site.items() if k in Site.model_fields}, "")
    for key in SECTIONS.keys() & site.keys():
        section(key, site[key])
    return site


def load_file(path: str | Path) -> dict:
    """Read a site's YAML. Raises ParameterError if it is missing, not YAML, not a mapping or says a key twice."""
    try:
        text = Path(path).expanduser().read_text()
    except OSError as error:
        raise ParameterError(f"parameter file {path}: {error.strerror}", do="give the path of a YAML file, such as params/server.yaml") from None
    try:
        loaded = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ParameterError(f"parameter file {path}: {' '.join(str(error).split())}", do="mend the YAML at that place") from None
    if not isinstance(loaded, dict) and loaded is not None:
        raise ParameterError(f"parameter file {path}: a mapping of sections is expected, not {type(loaded).__name__}", do="see params/server.yaml")
    return loaded or {}


def override(site: dict, assignment: str) -> dict:
    """A copy of the parameters with ``section.key=value`` set. Text stays text: ``k3s.version=1.30`` is not a number.

    Values of other keys are read as YAML: ``docker.allow_privileged=true``, ``workspaces.list=[{name: a, owner: b}]``.
    """
    path, equals, text = assignment.partition("=")
    *above, key = path.split(".")
    if not equals or not all((*above, key)) or len(above) > 1:
        raise ParameterError(f"-p {assignment}: section.key=value is expected", do="for example -p workspaces.cpu=200m")
    model = SECTIONS.get(above[0]) if above else Site
    info = model.model_fields.get(key) if model else None
    is_text = info is not None and isinstance(info.default, str)
    value = text if is_text else yaml.load(text, Loader=_Loader)
    inner = {**site.get(above[0], {}), key: value} if above else value
    return {**site, (above[0] if above else key): inner}


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: a key said twice is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    seen = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _validated(model: type[Section], value: Any, where: str):
    if not isinstance(value, dict):
        raise ParameterError(f"{where}: a mapping of keys is expected, not {type(value).__name__}", do="see the reference table in the README")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refusal(model, error, where) from None


def _refusal(model: type[Section], error: ValidationError, where: str) -> ParameterError:
    first = error.errors()[0]
    path = ".".join(str(part) for part in ((where,) if where else ()) + first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, first["loc"][:-1])
        return ParameterError(f"parameters: unknown key {path}{_nearest(str(first['loc'][-1]), known)}", do=f"use one of {', '.join(known)}")
    message = PATTERNS.get(first.get("ctx", {}).get("pattern", ""), "") or first["msg"].removeprefix("Value error, ")
    got = "" if first["type"] in ("missing", "value_error") else f" (got {shown(str(first['loc'][-1]), first['input'])!r})"
    return ParameterError(f"parameters: {path}: {message}{got}", do="mend this key; the README's table says what it takes")


def _keys_at(model: type[BaseModel], loc: tuple) -> list[str]:
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = model.model_fields[part].annotation
            arguments = [a for a in (*getattr(inner, "__args__", ()), inner) if inspect.isclass(a) and not get_args(a) and issubclass(a, BaseModel)]
            model = arguments[0] if arguments else model
    return list(model.model_fields)


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(re.sub(r"[-\s]", "_", key.lower()), known, n=1, cutoff=0.55)
    return f"; did you mean {close[0]}?" if close else ""
