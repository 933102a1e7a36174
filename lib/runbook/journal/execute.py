"""A run: step after step, into a folder of its own, until the last or the first that does not succeed."""

from dataclasses import dataclass
from pathlib import Path

import nbformat

from runbook import paths
from runbook.journal import atomic, copies, engine, folders, index, notebook as books, record, render
from runbook.journal.hide import Hide
from runbook.journal.judge import FAILED, INTERRUPTED, NOT_RUN, OK, judge
from runbook.journal.stop import Stopper, end_children, on_signals


#: Of a step whose runner is gone.
ENDED = "the runner ended before the step did (killed, or its disk was full); what the cell did until then is not known"


@dataclass(frozen=True)
class Run:
    """What a run left: its folder, its record, and the signal that stopped it (0 for none)."""

    folder: Path
    record: dict
    signal: int = 0


def passed(step: books.Step, parameters: dict) -> dict:
    """The parameters that a step declares, of those given."""
    return {key: value for key, value in parameters.items() if key in step.declared}


def execute(steps: list[books.Step], parameters: dict, reports: Path, progress, *, resumed_from: str = "",
            cell_timeout: float = 1800.0, stopper: Stopper | None = None) -> Run:
    """Execute steps in order, and leave a run in the journal.

    Args:
        steps: from :func:`runbook.journal.notebook.select`.
        parameters: validated; ``name``, ``target`` and ``mode`` are there.
        reports: the folder of the journal.
        progress: a :class:`runbook.journal.progress.Progress`.
        cell_timeout: seconds that one cell may take.

    Raises:
        NotWritten: the report could not be written.
    """
    stopper, started = stopper or Stopper(), folders.now()
    settle(reports)
    folder = folders.begin(reports, folders.slug(parameters["name"], parameters["target"]), started)
    run = record.start(parameters, steps, root=paths.root(), started=started, resumed_from=resumed_from)
    hide = Hide(parameters, paths.root())
    with on_signals(stopper):
        result = OK
        for i, step in enumerate(steps):
            if stopper.kind:
                result = INTERRUPTED
                break
            run["running"] = step.name
            record.write(run, folder)
            progress.step(step, i + 1, len(steps))
            run["steps"][i] = _step(step, run, folder, parameters, hide, stopper, progress, cell_timeout)
            progress.ended(run["steps"][i])
            result = run["steps"][i]["outcome"]
            if result != OK:
                break
        final = close(folder, run, result)
        index.write(reports)
    return Run(final, run, stopper.signal)


def _step(step, run, folder, parameters, hide, stopper, progress, cell_timeout) -> dict:
    """Execute one step and keep what it left; its entry for ``run.json``."""
    path = folder / f"{step.name}.ipynb"
    prepared = engine.prepare(step.path, passed(step, parameters))
    book, taken, error = engine.execute(prepared, path, stopper=stopper, watcher=progress, hide=hide,
                                        mark=folders.stem(folder), cell_timeout=cell_timeout)
    if isinstance(error, atomic.NotWritten):
        raise error
    verdict = judge(book, stopped=stopper.kind, reason=stopper.reason, error=error)
    record.learn(run, book)
    return keep(step.name, step.title, book, verdict, taken, folder, hide)


def keep(name: str, title: str, book, verdict, seconds: float, folder: Path, hide: Hide, notes=()) -> dict:
    """Save an executed notebook, marked on top if it did not succeed, with its figures; its entry for ``run.json``."""
    verdict = copies.mark(book, verdict)
    engine.save(hide.notebook(book), folder / f"{name}.ipynb")
    return record.entry(name, title, book, verdict, seconds, folder, hide, notes)


def close(folder: Path, run: dict, result: str) -> Path:
    """Finish the record of a run, make its pages, and give its folder its last name."""
    ended = folders.now()
    run.pop("running", None)
    run["result"], run["ended"] = result, ended.isoformat()
    run["duration_s"] = round(sum(step["duration_s"] for step in run["steps"]), 3)
    record.write(run, folder)
    copies.relink_all(folder, run)
    render.write(folder, run)
    return folders.finish(folder, result)


def settle(reports: Path) -> list[Path]:
    """Make finished runs of what killed runners left, marked interrupted; their folders."""
    settled = []
    for folder in folders.stale(reports):
        try:
            settled.append(_settle(folder))
        except FileNotFoundError:  # another run settles it at this moment
            continue
    return [folder for folder in settled if folder]


def _settle(folder: Path) -> Path | None:
    folders.lock(folder)
    end_children(folders.stem(folder))
    run = record.read(folder)
    if run is None or run["result"] == "draft":  # killed before anything was noted, or done
        (folder / folders.LOCK).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
        elif run:
            folders.finish(folder, "draft")
        return None
    running, result = run.get("running", ""), INTERRUPTED
    for i, step in enumerate(run["steps"]):
        path = folder / f"{step['notebook']}.ipynb"
        if step["notebook"] == running and step["outcome"] == NOT_RUN and path.exists():
            book = nbformat.read(path, as_version=4)
            hide = Hide(run["parameters"], paths.root())
            verdict = judge(book, stopped=INTERRUPTED, reason=ENDED)
            record.learn(run, book)
            seconds = sum(cell.metadata.get("papermill", {}).get("duration") or 0 for cell in book.cells)
            run["steps"][i] = keep(step["notebook"], step["title"], book, verdict, seconds, folder, hide)
    outcomes = {step["outcome"] for step in run["steps"]}
    if outcomes == {OK} or FAILED in outcomes:  # killed at the very end: all was known already
        result = FAILED if FAILED in outcomes else OK
    return close(folder, run, result)
