"""The README's tables that are made: of the parameters, from the models, and of the page for those who work in a workspace.

``python -m runbook.reference`` writes them.
"""

import types
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runbook import params, paths
from runbook.guide import Guide

MADE = "<!-- {}: made by python -m runbook.reference -->", "<!-- end of {} -->"


def table() -> str:
    """The Markdown table: one row a key, by section."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += _rows(params.Site, "")
    for name, model in params.SECTIONS.items():
        rows.append(f"| **{name}** | | | {(model.__doc__ or '').strip().splitlines()[0]} |")
        rows += _rows(model, f"{name}.")
    return "\n".join(rows)


def insert(text: str) -> str:
    """A README with each table between its marks."""
    for name, made in (("parameters", table()), ("page", Guide().table())):
        begin, end = (mark.format(name) for mark in MADE)
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{made}\n{end}{after}"
    return text


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for key, info in model.model_fields.items():
        inner = _model(info.annotation)
        many = get_origin(info.annotation) is list
        default = "" if info.is_required() else _default(info)
        rows.append(f"| `{prefix}{key}` | {_type(info)} | {default} | {_escape(info.description or '')} |")
        if inner:
            rows += _rows(inner, f"{prefix}{key}{'[]' if many else ''}.")
    return rows


def _type(info: FieldInfo) -> str:
    return _name(info.annotation)


def _name(annotation) -> str:
    if get_origin(annotation) is Annotated:
        return _name(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return f"list of {_name(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{a}`" for a in get_args(annotation))
    if isinstance(annotation, types.UnionType):
        return " or ".join(_name(a) for a in get_args(annotation))
    if _model(annotation):
        return "mapping"
    return {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "nothing"}.get(annotation, str(annotation))


def _model(annotation):
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and not get_args(candidate) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, (list, tuple)) and any(isinstance(v, BaseModel) for v in value):
        return _escape("; ".join(" ".join(f"{k}: {w}" for k, w in v.model_dump(exclude_defaults=True).items()) for v in value))
    return "" if value in ("", None, [], {}, ()) else f"`{_escape(str(value).lower() if isinstance(value, bool) else str(value))}`"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    for path in (paths.root() / "README.md",):
        Path(path).write_text(insert(path.read_text()))


if __name__ == "__main__":
    main()
