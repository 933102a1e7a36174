"""What the runner costs: the default run on the rehearsal beside bare nbclient on the same notebooks, in one go; and a plan of 200 objects.

Prints figures and asserts nothing: they depend on the machine and on who else uses it. The runner's share is a ratio of two times
taken right after each other.
"""

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from rich.console import Console

from runbook import paths, rehearsal
from runbook.journal import execute, notebook, progress
from runbook.operations.objects import ensure_objects
from runbook.plans import apply

OBJECTS = 200
#: A load that takes seconds: it would be the same time on both sides.
SHORT = {"knee_rates": [2, 4], "knee_seconds": 2, "rollout_rate": 2, "rollout_seconds": 10,
         "stages": [{"name": "quiet", "seconds": 2, "rate": 1}, {"name": "more", "seconds": 2, "rate": 4}, {"name": "quiet again", "seconds": 2, "rate": 1}]}


def parameters() -> dict:
    """Those of the rehearsal, with a short load."""
    return yaml.safe_load((paths.params() / "rehearsal.yaml").read_text(encoding="utf-8")) | {"load": SHORT}


def runner(steps, folder: Path) -> float:
    """Seconds of the default run: executed, judged, rendered."""
    begun = time.monotonic()
    left = execute.execute(steps, parameters(), folder / "reports", progress.Progress(Console(file=io.StringIO()), {}))
    seconds = time.monotonic() - begun
    if left.record["result"] != "ok":
        print(f"  (the run ended {left.record['result']}: {left.folder})")
    return seconds


def bare(steps) -> float:
    """Seconds of nbclient alone, a kernel a notebook, with the same parameters in the same cells."""
    begun = time.monotonic()
    for step in steps:
        book = nbformat.read(step.path, as_version=4)
        cell = next(i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", []))
        given = "\n".join(f"{k} = {v!r}" for k, v in execute.passed(step, parameters()).items())
        book.cells.insert(cell + 1, nbformat.v4.new_code_cell(given))
        NotebookClient(book, kernel_name="python3", timeout=1800, resources={"metadata": {"path": str(paths.notebooks())}}).execute(
            stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def config(number: int) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"thing-{number}", "namespace": "bench"}, "data": {"number": str(number)}}


def plan_of_many() -> None:
    """A plan of many objects that are not there yet, and one when they are."""
    rehearsal.reset("bench")
    site = rehearsal.connect("bench", mode="apply")
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}})
    wanted = [config(i) for i in range(OBJECTS)]
    for what in ("to make", "as wanted"):
        calls, begun = site.cluster.calls, time.monotonic()
        plan = ensure_objects(site.cluster, wanted)
        print(f"plan of {OBJECTS} objects {what}: {time.monotonic() - begun:.2f} s, {site.cluster.calls - calls} API calls, {len(plan)} changes")
        with contextlib.redirect_stdout(io.StringIO()):
            apply(plan, "apply")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench "))
    try:
        os.environ["RUNBOOK_REHEARSAL"] = str(folder)
        plan_of_many()
        steps = notebook.select(notebook.steps(paths.notebooks()))
        first = runner(steps, folder)
        alone, ours = bare(steps), runner(steps, folder)
        print(f"default run on the rehearsal ({len(steps)} notebooks): first {first:.1f} s, again {ours:.1f} s; bare nbclient {alone:.1f} s; "
              f"ratio {ours / alone:.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
