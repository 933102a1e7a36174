"""Recorded behaviour: what a real cluster and a real host answered, found again by what was asked.

A recordings file (``recordings/*.json``) holds ``about`` (``"recorded 2026-11-23 on Kubernetes v1.36.2 (lab)"``) and ``answers``:
for each key the answers in the order in which they came.
"""

import json
import os
import re
from functools import lru_cache
from pathlib import Path

from runbook.errors import NotRecorded

FOLDER = Path(__file__).resolve().parent.parent / "recordings"
SEED = "cluster-seed.json"
#: What differs from one run to the next and is nobody's meaning.
MOVING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"/tmp/[A-Za-z0-9_.-]+"), "/tmp/<name>"),
    (re.compile(r"\b10\.42\.\d+\.\d+\b"), "<pod address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\b"), "<time>"),
    (re.compile(r"\b127\.0\.0\.1:\d{4,5}\b"), "127.0.0.1:<port>"),
)


def steady(text: str) -> str:
    """The text without what moves: addresses of pods, uids, temporary names, times, ports of this moment."""
    for pattern, name in MOVING:
        text = pattern.sub(name, text)
    return text


def workload(pod: dict) -> str:
    """What a pod is part of: ``"StatefulSet/db-0"``, ``"Deployment/web"``, ``"Pod/bare"``; no random endings."""
    meta = pod["metadata"]
    owner = next((r for r in meta.get("ownerReferences") or [] if r.get("controller")), None)
    if owner is None:
        return f"Pod/{meta['name']}"
    if owner["kind"] == "StatefulSet":
        return f"StatefulSet/{meta['name']}"
    short = (meta.get("labels") or {}).get("pod-template-hash")
    if owner["kind"] == "ReplicaSet" and short:
        return f"Deployment/{owner['name'].removesuffix('-' + short)}"
    return f"{owner['kind']}/{owner['name']}"


def key(kind: str, *parts: str) -> str:
    """``key("exec", "ws-alice", "StatefulSet/demo-0", "ide", "id -u")``."""
    return steady(" ".join((kind, *parts)))


@lru_cache(maxsize=4)
def _load(folder: str, stamp: tuple) -> dict[str, tuple[str, list]]:
    found: dict[str, tuple[str, list]] = {}
    for path in sorted(Path(folder).glob("*.json")):
        if path.name != SEED:
            data = json.loads(path.read_text(encoding="utf-8"))
            found |= {k: (data["about"], v) for k, v in data["answers"].items()}
    return found


def recorded() -> dict[str, tuple[str, list]]:
    """All recordings: key → (about, answers). ``RUNBOOK_RECORDINGS`` names another folder."""
    folder = Path(os.environ.get("RUNBOOK_RECORDINGS") or FOLDER)
    return _load(str(folder), tuple(sorted((p.name, p.stat().st_mtime_ns) for p in folder.glob("*.json"))))


def replay(state, asked: str, what: str) -> tuple[object, str]:
    """The answer to a key, and its label ``"replayed: recorded … on …"``.

    Answers that came one after the other are given one after the other; the last one stays.

    Args:
        asked: the key.
        what: in words, for the error: ``"`id -u` in StatefulSet/demo-0 (ide)"``.

    Raises:
        NotRecorded: nobody recorded that.
    """
    about, answers = recorded().get(asked, ("", []))
    if not answers:
        raise NotRecorded(f"rehearsal: no recording of {what}", do="run this step on a real cluster, or record it there: make record")
    turn = state.read()["heard"].get(asked, 0)
    if turn < len(answers) - 1:
        with state.change() as data:
            data["heard"][asked] = turn + 1
    return answers[min(turn, len(answers) - 1)], f"replayed: {about}"
