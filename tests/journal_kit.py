"""Small projects and notebooks for the tests of the journal."""

import io
from pathlib import Path

import nbformat
from rich.console import Console

from runbook.journal.progress import Progress
from runbook.show import RECORD

DONE = "from runbook.checks import done\ndone()"
PARAMETERS = {"name": "rehearsal", "target": "rehearsal", "mode": "apply"}


def project(folder: Path) -> Path:
    """An empty project, its path with a space."""
    root = folder / "a project"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "runbook"\n')
    return root


def book(*cells: str, title: str = "01 A title", declares: str = 'name = ""\ntarget = "rehearsal"\nmode = "plan"'):
    """A notebook: title, parameters cell, then code cells; one that begins with ``#`` and a space is Markdown."""
    made = [nbformat.v4.new_markdown_cell(f"# {title}\n\nA thing is there afterwards.", id="title")]
    made.append(nbformat.v4.new_code_cell(declares, id="parameters", metadata={"tags": ["parameters"]}))
    for i, text in enumerate(cells):
        new = nbformat.v4.new_markdown_cell if text.startswith(("# ", "## ")) else nbformat.v4.new_code_cell
        made.append(new(text, id=f"cell-{i}"))
    return nbformat.v4.new_notebook(cells=made, metadata={
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "language_info": {"name": "python"}})


def store(root: Path, name: str, *cells: str, **more) -> Path:
    """Put a notebook into a project."""
    path = root / "notebooks" / f"{name}.ipynb"
    nbformat.write(book(*cells, title=f"{name[:2]} {name[3:].replace('-', ' ').capitalize()}", **more), path)
    return path


def executed(*, claims=(), done=True, error=None, pending=False):
    """A notebook as it looks after its execution, made without a kernel: one claim a cell, then ``done``."""
    notebook = book(*["check(…)" for _ in claims], "done()")
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell.execution_count = count
        cell.metadata["papermill"] = {"status": "completed", "start_time": "2026-01-01T00:00:00"}
    for cell, record in zip((c for c in notebook.cells if c.source == "check(…)"), claims, strict=True):
        cell.outputs.append(output("claim", record))
    last = notebook.cells[-1]
    if done:
        last.outputs.append(output("done", {}))
    if error:
        last.outputs.append(nbformat.v4.new_output("error", ename=error[0], evalue=error[1], traceback=[]))
    if pending:
        last.execution_count, last.metadata["papermill"] = None, {"status": "pending"}
        last.outputs = []
    return notebook


def output(kind: str, record: dict):
    """An output that carries a record."""
    return nbformat.v4.new_output("display_data", data={RECORD.format(kind): record, "text/plain": kind})


def claim(outcome: str = "proven", text: str = "the page answers", reason: str = "", fix: str = "") -> dict:
    """A claim's record."""
    return {"claim": text, "outcome": outcome, "reason": reason, "fix": fix}


def quiet() -> Progress:
    """A progress that tells nobody."""
    return Progress(Console(file=io.StringIO()), {})
