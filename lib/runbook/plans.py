"""Plans: what would change, as a diff by field, before anything is changed.

An operation returns a :class:`Plan`; ``apply(plan, mode)`` carries it out, or in plan mode leaves it at showing it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from html import escape

from runbook.errors import ParameterError
from runbook.secrets import MASK, SECRET_KEY, mask
from runbook.show import RECORD, emit

MODES = ("plan", "apply")
SIGNS = {"create": "+", "update": "~", "delete": "-", "run": "!", "scale": "~"}
COLOURS = {"create": "#117733", "update": "#996600", "delete": "#aa2222", "run": "#332288", "scale": "#996600"}
#: What the API server keeps for itself: no difference that anybody asked for.
SERVER_FIELDS = {("metadata", k) for k in ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")} | {("status",)}


@dataclass(frozen=True)
class Field:
    """One field that differs: its path, and its value before and after (``None``: absent)."""

    path: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.before)} → {_short(self.after)}"


@dataclass(frozen=True)
class Change:
    """One thing that would be done.

    Attributes:
        action: ``create``, ``update``, ``delete``, ``scale`` or ``run``.
        kind: what it is: ``StatefulSet``, ``Release``, ``File``, ``Unit``, ``Command``…
        name: which: ``ws-alice/demo``, ``/etc/rancher/k3s/config.yaml``.
        perform: does it. ``None`` for a part of another change, which that one does.
        fields: what differs.
        parts: the changes that this one brings about, such as the objects of a release.
        note: what the reader should know: ``"not server-checked: its namespace is created by the same plan"``.
        undo: how to take it back, in a sentence or a command.
        passing: a trial: the same notebook takes away again what it makes. Counted apart, not as a change of the site.
    """

    action: str
    kind: str
    name: str
    perform: Callable[[], object] | None = None
    fields: tuple[Field, ...] = ()
    parts: tuple["Change", ...] = ()
    note: str = ""
    undo: str = ""
    passing: bool = False

    @property
    def title(self) -> str:
        return f"{self.action} {self.kind} {self.name}"

    def record(self) -> dict:
        """For the journal: JSON, secrets masked."""
        return {
            "action": self.action, "kind": self.kind, "name": mask(self.name), "note": mask(self.note), "undo": self.undo,
            "fields": [mask(str(f)) for f in self.fields], "parts": [p.record() for p in self.parts],
        }

    def lines(self, indent: str = "") -> Iterator[str]:
        yield mask(f"{indent}{SIGNS[self.action]} {self.title}" + (f"  ({self.note})" if self.note else ""))
        if self.action != "create":
            for f in self.fields:
                yield mask(f"{indent}    {f}")
        for part in self.parts:
            yield from part.lines(indent + "  ")


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they would be made. Falsy when there is nothing to do.

    ``kept`` counts the things that were looked at and are as wanted already.
    """

    changes: tuple[Change, ...] = ()
    kept: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(self.changes + other.changes, self.kept + other.kept)

    def as_passing(self) -> "Plan":
        """The same changes, each marked as passing."""
        return Plan(tuple(replace(c, passing=True) for c in self.changes), self.kept)

    def record(self) -> dict:
        return {"changes": [c.record() for c in self.changes], "kept": self.kept}

    def __str__(self) -> str:
        if not self:
            return f"Nothing to change: {_count(self.kept, 'thing')} as wanted."
        return "\n".join(line for c in self.changes for line in c.lines())

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {RECORD.format("plan"): self.record(), "text/plain": str(self), "text/html": self._html()}

    __repr__ = __str__

    def _html(self) -> str:
        if not self:
            return f"<p>{escape(str(self))}</p>"
        return '<div style="font-family:monospace;font-size:90%">' + "".join(_change_html(c) for c in self.changes) + "</div>"


@dataclass
class Outcome:
    """What came of a plan: titles of what was changed, how many things were as wanted, seconds; in plan mode, what would be.

    ``tried`` counts what was done only to be taken away again.
    """

    mode: str
    changed: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    unchanged: int = 0
    tried: int = 0
    seconds: float = 0.0
    failed: str = ""

    def record(self) -> dict:
        return {"mode": self.mode, "changed": len(self.changed), "planned": len(self.planned), "unchanged": self.unchanged,
                "tried": self.tried,
                "items": [mask(t) for t in self.changed or self.planned], "seconds": round(self.seconds, 3), "failed": mask(self.failed)}

    def __str__(self) -> str:
        if self.mode == "plan":
            return (f"Plan mode: nothing was changed. {_count(len(self.planned), 'change')} would be made." if self.planned
                    else "Plan mode: nothing would be changed.")
        tried = f", {self.tried} tried and taken away again" if self.tried else ""
        text = f"{_count(len(self.changed), 'change')} made, {self.unchanged} unchanged{tried}, {self.seconds:.1f} s."
        return text + (f" Stopped at: {self.failed}." if self.failed else "")

    __repr__ = __str__

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {RECORD.format("outcome"): self.record(), "text/plain": str(self), "text/html": f"<p>{escape(str(self))}</p>"}


def apply(plan: Plan, mode: str) -> Outcome:
    """Carry a plan out, change by change, each announced; in ``plan`` mode only say what would be done.

    A change that fails ends it: what was done until then is recorded, and a new plan starts from there.
    """
    if mode not in MODES:
        raise ParameterError(f"mode: {mode!r} is not one of {', '.join(MODES)}", do="set mode to plan or apply")
    if mode == "plan":
        return Outcome(mode, planned=[c.title for c in plan], unchanged=plan.kept)
    outcome, started = Outcome(mode, unchanged=plan.kept), time.monotonic()
    for change in plan:
        print(mask(change.title), "…", flush=True)
        begun = time.monotonic()
        try:
            change.perform()
        except BaseException:
            outcome.failed, outcome.seconds = change.title, time.monotonic() - started
            emit("outcome", outcome.record(), str(outcome))
            raise
        if change.passing:
            outcome.tried += 1
        else:
            outcome.changed.append(change.title)
        print(f"  done in {time.monotonic() - begun:.1f} s", flush=True)
    outcome.seconds = time.monotonic() - started
    return outcome


def diff(before: dict | None, after: dict | None) -> tuple[Field, ...]:
    """The fields in which two objects differ, without what the API server keeps for itself; values of secrets masked.

    List elements that have a ``name`` are told apart by it, others by their position.
    """
    kind = (after or before or {}).get("kind")
    old, new = dict(_leaves(before or {}, ())), dict(_leaves(after or {}, ()))
    found = []
    for path in sorted(old.keys() | new.keys()):
        a, b = old.get(path), new.get(path)
        if a != b:
            hidden = (kind == "Secret" and path[0] in ("data", "stringData")) or SECRET_KEY.search(path[-1] if path else "")
            found.append(Field(".".join(path), *((None if v is None else MASK for v in (a, b)) if hidden else (a, b))))
    return tuple(found)


def _leaves(value, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if path in SERVER_FIELDS:
        return
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list) and value and all(isinstance(i, dict) for i in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, f"[{inner.get('name', index)}]"))
    elif value not in ({}, [], None):
        yield path, value


def _short(value, limit: int = 120) -> str:
    if value is None:
        return "(absent)"
    text = str(value).replace("\n", "⏎")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _change_html(change: Change) -> str:
    colour = COLOURS[change.action]
    head = (f'<span style="color:{colour}"><b>{SIGNS[change.action]} {escape(change.action)}</b></span> '
            f"{escape(mask(change.kind))} <b>{escape(mask(change.name))}</b>")
    if change.note:
        head += f" <i>({escape(mask(change.note))})</i>"
    rows = "".join(
        f"<tr><td>{escape(f.path)}</td><td style='color:#aa2222'>{escape(mask(_short(f.before)))}</td>"
        f"<td style='color:#117733'>{escape(mask(_short(f.after)))}</td></tr>" for f in change.fields)
    body = f'<table style="font-size:90%"><tr><th>field</th><th>before</th><th>after</th></tr>{rows}</table>' if rows else ""
    body += "".join(f'<div style="margin-left:1.5em">{_change_html(p)}</div>' for p in change.parts)
    opened = " open" if change.action != "create" else ""
    return f"<details{opened}><summary>{head}</summary>{body}</details>" if body else f"<div>{head}</div>"


def plan_of(changes: Iterable[Change | None]) -> Plan:
    """A plan of changes in which ``None`` stands for a thing that is as wanted."""
    changes = list(changes)
    return Plan(tuple(c for c in changes if c), sum(c is None for c in changes))
