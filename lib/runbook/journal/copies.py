"""What an executed copy needs to be read on its own: links that lead somewhere, and on top why it stopped."""

import os
import re
from dataclasses import replace
from pathlib import Path

import nbformat

from runbook import paths
from runbook.journal import engine
from runbook.journal.judge import FAILED, INTERRUPTED, Verdict

#: Papermill's own tag for such cells: executing the copy again takes them away.
MARKED = "papermill-error-cell-tag"
LINK = re.compile(r"(\]\()([\w.-]+)\.ipynb(#[^)]*)?(\))")


def relink(notebook, names: set[str], folder: Path) -> bool:
    """Let Markdown links to notebooks that are not beside this copy lead to the stored ones; whether any did not."""
    away = os.path.relpath(paths.notebooks(), folder).replace(os.sep, "/")
    changed = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = LINK.sub(lambda m: m[0] if m[2] in names else f"{m[1]}{away}/{m[2]}.ipynb{m[3] or ''}{m[4]}", cell.source)
            changed |= source != cell.source
            cell.source = source
    return changed


def relink_all(folder: Path, run: dict) -> None:
    """:func:`relink` every copy of a run, now that it is known which there are."""
    names = {step["notebook"] for step in run["steps"] if (folder / f"{step['notebook']}.ipynb").exists()}
    for name in sorted(names):
        path = folder / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        if relink(notebook, names, folder):
            engine.save(notebook, path)


def mark(notebook, verdict: Verdict) -> Verdict:
    """Put a cell on top that says why the step stopped and what mends it; the verdict with its cell's new index."""
    notebook.cells = [cell for cell in notebook.cells if MARKED not in cell.metadata.get("tags", [])]
    if verdict.outcome not in (FAILED, INTERRUPTED):
        return verdict
    lines = [f"**This step {'failed' if verdict.outcome == FAILED else 'was interrupted'}:** {verdict.reason}"]
    if verdict.do:
        lines.append(f"**Do this:** {verdict.do}")
    if verdict.fix:
        lines.append(f"**See:** [{verdict.fix}]({verdict.fix}.ipynb)")
    cell = nbformat.v4.new_markdown_cell("\n\n".join(lines), id="why-it-stopped", metadata={"tags": [MARKED]})
    notebook.cells.insert(0, cell)
    return replace(verdict, cell=verdict.cell + 1 if verdict.cell >= 0 else -1)
