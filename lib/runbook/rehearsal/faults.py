"""Faults to switch on: objects and events recorded on a broken cluster, and answers of an API server in trouble."""

import json
import re
from functools import lru_cache
from pathlib import Path

from runbook.cluster.transport import ApiFailure
from runbook.errors import ParameterError
from runbook.rehearsal.state import State

FOLDER = Path(__file__).resolve().parent / "faults"


@lru_cache
def known() -> dict[str, dict]:
    """All faults by name, each with ``title``, ``about``, and ``objects`` or ``answers``."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(FOLDER.glob("*.json"))}


def fault(name: str) -> dict:
    """One fault. Raises ParameterError, naming those there are."""
    if name not in known():
        raise ParameterError(f"fault {name!r}: there is none of that name", do=f"take one of: {', '.join(known())}")
    return known()[name]


def meet(state: State, method: str, path: str, body: dict) -> None:
    """Raise the answer of a fault that is switched on and concerns this request."""
    active = state.read()["faults"]
    for name in active:
        for answer in known()[name].get("answers", []):
            if method not in answer.get("methods", [method]) or not re.search(answer.get("path", ""), path):
                continue
            left = active[name].get("left")
            if left is not None:
                if left <= 0:
                    continue
                with state.change() as data:
                    data["faults"][name]["left"] = left - 1
            raise ApiFailure(answer["status"], answer["message"], answer.get("body"))


def on(state: State, name: str, namespace: str = "") -> dict:
    """Switch a fault on; its objects are laid into ``namespace`` (its own when empty). Returns the fault."""
    from runbook.rehearsal import laying

    found = fault(name)
    with state.change() as data:
        entry = {"namespace": namespace or found.get("namespace", ""), **({"left": found["times"]} if found.get("times") else {})}
        data["faults"][name] = entry
        laying.lay(data, found, entry["namespace"])
    return found


def off(state: State, name: str = "") -> None:
    """Switch a fault off (all when empty): its answers end, its objects go."""
    from runbook.rehearsal import laying

    with state.change() as data:
        for one in [name] if name else list(data["faults"]):
            fault(one)
            entry = data["faults"].pop(one, None)
            if entry is not None:
                laying.lift(data, known()[one], entry["namespace"])


