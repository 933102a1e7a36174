"""``run.json``: what a run was, and what came of each step."""

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runbook.journal import atomic, figures
from runbook.journal.hide import masked
from runbook.journal.judge import NOT_RUN, Verdict
from runbook.show import records

SCHEMA = 1
FILE = "run.json"
PACKAGES = {"papermill": "papermill", "kubernetes": "kubernetes", "helm": "helm-python-sdk", "runbook": "runbook"}
#: The keys of the parameters that are not sections.
PLAIN = ("name", "target", "mode", "kubeconfig")


def versions() -> dict:
    """The versions of what does the work: Python and the packages that matter; ``""`` for one that is not there."""
    found = {"python": platform.python_version()}
    for name, package in PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = ""
    return found


def revision(root: Path) -> dict:
    """The git revision of the project and whether its files differ from it, reports aside; empty without git."""
    def git(*words):
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports")
        return {"revision": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return {"revision": "", "dirty": False}


def start(parameters: dict, steps, *, root: Path, started, resumed_from: str = "") -> dict:
    """The record of a run in which nothing has been done yet; all its steps are "not run"."""
    return {
        "schema": SCHEMA, "name": parameters["name"], "target": parameters["target"], "mode": parameters["mode"],
        "banner": "REHEARSAL" if parameters["target"] == "rehearsal" else "", "result": "running",
        "started": started.isoformat(), "ended": "", "duration_s": 0.0, "resumed_from": resumed_from,
        "parameters": masked(parameters), "git": revision(root), "versions": {**versions(), "cluster": ""}, "cluster": {},
        "steps": [not_run(step.name, step.title) for step in steps],
    }


def not_run(name: str, title: str) -> dict:
    """The entry of a step that was not run."""
    return {"notebook": name, "title": title, "outcome": NOT_RUN, "duration_s": 0.0, "reason": "", "do": "", "fix": "", "anchor": "",
            "claims": [], "changed": 0, "unchanged": 0, "planned": 0, "outcomes": [], "figures": [], "notes": []}


def step(name: str, title: str, notebook, verdict: Verdict, seconds: float, *, hide, pictures=(), notes=()) -> dict:
    """The entry of a step, from its executed notebook and its :class:`~runbook.journal.judge.Verdict`."""
    def anchor(index: int) -> str:
        return notebook.cells[index].get("id", "") if 0 <= index < len(notebook.cells) else ""

    outcomes = [{k: v for k, v in record.items() if k != "cell"} for record in records(notebook, "outcome")]
    claims = [{"claim": c["claim"], "outcome": c["outcome"], "reason": c.get("reason", ""), "fix": c.get("fix", ""),
               "cell": c["cell"], "anchor": anchor(c["cell"])} for c in records(notebook, "claim")]
    return hide.value({
        **not_run(name, title), "outcome": verdict.outcome, "duration_s": round(seconds, 3),
        "reason": verdict.reason, "do": verdict.do, "fix": verdict.fix, "anchor": anchor(verdict.cell), "claims": claims,
        **{key: sum(o.get(key, 0) for o in outcomes) for key in ("changed", "unchanged", "planned")},
        "outcomes": outcomes, "figures": list(pictures), "notes": list(notes),
    })


def learn(run: dict, notebook) -> None:
    """Note in a run's record on which cluster a notebook acted, as its identity says."""
    for identity in records(notebook, "identity"):
        run["cluster"] = {key: identity.get(key) for key in ("server", "version", "nodes") if identity.get(key)}
        run["versions"]["cluster"] = identity.get("version") or run["versions"]["cluster"]
        run["banner"] = identity.get("banner") or run["banner"]


def entry(name: str, title: str, notebook, verdict: Verdict, seconds: float, folder: Path, hide, notes=()) -> dict:
    """:func:`step`, with the notebook's figures put beside it in ``folder``."""
    notebook = hide.notebook(notebook)
    return step(name, title, notebook, verdict, seconds, hide=hide, pictures=figures.extract(notebook, folder, name[:2]), notes=notes)


def write(run: dict, folder: Path) -> None:
    """Write ``run.json`` whole, or raise :class:`~runbook.journal.atomic.NotWritten`."""
    atomic.write_json(folder / FILE, run)


def read(folder: Path) -> dict | None:
    """The record in a folder; None if there is none, or it is not ours to read."""
    try:
        run = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run if isinstance(run, dict) and run.get("schema") == SCHEMA else None


def claims(run: dict) -> dict:
    """How many claims of a run were proven, refuted, not shown: ``{"proven": 12, …}``."""
    counts = {"proven": 0, "refuted": 0, "not shown": 0}
    for entry_ in run["steps"]:
        for claim in entry_["claims"]:
            counts[claim["outcome"]] = counts.get(claim["outcome"], 0) + 1
    return counts


def total(run: dict, key: str) -> int:
    """The sum of ``changed``, ``unchanged`` or ``planned`` over the steps."""
    return sum(entry_.get(key, 0) for entry_ in run["steps"])


def problem(run: dict) -> dict | None:
    """The step at which a run ended early, or None."""
    return next((entry_ for entry_ in run["steps"] if entry_["outcome"] not in ("ok", NOT_RUN)), None)
