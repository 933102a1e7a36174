"""Stepping by hand: prepared copies in the journal's folder, and making a run of them afterwards."""

import shutil
from datetime import datetime
from pathlib import Path

import nbformat

from runbook import paths
from runbook.errors import RunbookError
from runbook.journal import copies, engine, execute, folders, index, notebook as books, record
from runbook.journal.hide import Hide
from runbook.journal.judge import FAILED, NOT_RUN, OK, code_cells, judge

OUT_OF_ORDER = "its cells were executed by hand, in another order than they stand"


def prepare(steps: list[books.Step], parameters: dict, reports: Path) -> Path:
    """Put copies of notebooks, with their parameters injected, into ``reports/<time>-<name>-draft/``; that folder."""
    at = folders.now()
    working = folders.begin(reports, folders.slug(parameters["name"], parameters["target"]), at)
    run = record.start(parameters, steps, root=paths.root(), started=at)
    run["result"] = "draft"
    for step in steps:
        copy = engine.prepare(step.path, execute.passed(step, parameters))
        copies.relink(copy, {step.name for step in steps}, working)
        engine.save(copy, working / f"{step.name}.ipynb")
    record.write(run, working)
    return folders.finish(working, "draft")


def close(folder: Path) -> execute.Run:
    """Judge each notebook of a draft as a run's, and make the draft a run.

    Raises:
        RunbookError: it is no draft, or nothing in it was executed.
    """
    folder = folder.resolve()
    run = record.read(folder)
    if run is None or run["result"] != "draft":
        raise RunbookError(f"{folder.name}: not a draft", do="give the folder that `runbook draft` printed")
    hide = Hide(run["parameters"], paths.root())
    read = {step["notebook"]: nbformat.read(folder / f"{step['notebook']}.ipynb", as_version=4) for step in run["steps"]
            if (folder / f"{step['notebook']}.ipynb").exists()}
    verdicts = {name: judge(book, by_hand=True) for name, book in read.items()}
    if all(verdict.outcome == NOT_RUN for verdict in verdicts.values()):
        raise RunbookError(f"{folder.name}: no cell was executed in it", do="step through it in JupyterLab and save, then close it")
    for i, step in enumerate(run["steps"]):
        name, verdict = step["notebook"], verdicts.get(step["notebook"])
        if verdict is None or verdict.outcome == NOT_RUN:
            (folder / f"{name}.ipynb").unlink(missing_ok=True)
            continue
        record.learn(run, read[name])
        notes = [OUT_OF_ORDER] if out_of_order(read[name]) else []
        run["steps"][i] = execute.keep(name, step["title"], read[name], verdict, taken(read[name]), folder, hide, notes)
    run["steps"] = [step for step in run["steps"] if step["outcome"] != NOT_RUN or step["notebook"][:2] in books.DEFAULT_NUMBERS]
    shutil.rmtree(folder / ".ipynb_checkpoints", ignore_errors=True)  # JupyterLab's
    outcomes = {step["outcome"] for step in run["steps"]}
    final = execute.close(folder, run, FAILED if FAILED in outcomes else OK)
    index.write(final.parent)
    return execute.Run(final, run)


def out_of_order(notebook) -> bool:
    """Whether the numbers that the cells got do not rise from top to bottom."""
    counts = [cell.execution_count for _, cell in code_cells(notebook) if cell.execution_count is not None]
    return counts != sorted(set(counts))


def taken(notebook) -> float:
    """Seconds that the cells took, as far as JupyterLab noted it (its setting "record timing"); 0 if it did not."""
    total = 0.0
    for _, cell in code_cells(notebook):
        noted = cell.metadata.get("execution", {})
        try:
            times = [datetime.fromisoformat(noted[key].replace("Z", "+00:00")) for key in ("iopub.execute_input", "shell.execute_reply")]
        except (KeyError, ValueError, AttributeError):
            continue
        total += (times[1] - times[0]).total_seconds()
    return total
