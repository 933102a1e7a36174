"""What the runs of before tell: how long a step takes, and where to go on."""

from pathlib import Path
from statistics import median

from runbook.errors import RunbookError
from runbook.journal import folders, record
from runbook.journal.hide import masked
from runbook.journal.judge import OK


def all_runs(reports: Path) -> list[tuple[Path, dict]]:
    """Every finished run with its record, newest first."""
    return [(folder, run) for folder in folders.runs(reports) if (run := record.read(folder))]


def expected(runs: list[tuple[Path, dict]], mode: str, target: str) -> dict[str, float]:
    """Seconds that each notebook took, as the median of its successful runs in this mode on this kind of target."""
    taken: dict[str, list[float]] = {}
    for _, run in runs:
        if run["mode"] == mode and (run["target"] == "rehearsal") == (target == "rehearsal"):
            for step in run["steps"]:
                if step["outcome"] == OK:
                    taken.setdefault(step["notebook"], []).append(step["duration_s"])
    return {name: median(seconds) for name, seconds in taken.items()}


def differences(before: dict, now: dict, path: str = "") -> list[str]:
    """The dotted names under which two dictionaries differ."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        a, b, name = before.get(key), now.get(key), f"{path}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{name}.")
        elif a != b:
            found.append(name)
    return found


def unfinished(runs: list[tuple[Path, dict]], parameters: dict) -> tuple[Path, list[str]]:
    """The run to resume, and its notebooks from the first that did not succeed.

    It is the newest of the same name, and only under the same parameters and mode.

    Raises:
        RunbookError: there is none, it succeeded, or its parameters were others.
    """
    name = parameters["name"]
    found = next(((folder, run) for folder, run in runs if run["name"] == name), None)
    if not found:
        raise RunbookError(f"nothing to resume: no run of “{name}” in the journal", do="run it without --resume")
    folder, run = found
    left = [step["notebook"] for step in run["steps"]]
    while left and run["steps"][len(run["steps"]) - len(left)]["outcome"] == OK:
        left.pop(0)
    if not left:
        raise RunbookError(f"nothing to resume: the newest run of “{name}” succeeded ({folder.name})", do="run it without --resume")
    other = differences(run["parameters"], masked(parameters))
    if other:
        raise RunbookError(f"cannot resume {folder.name}: its parameters were others ({', '.join(other)})",
                           do="give the same parameters, or run without --resume")
    return folder, left
