"""Whether an executed notebook succeeded.

Not papermill's word for it: papermill 2.7 marks every cell completed after a killed kernel, and takes ``sys.exit(0)``
for success. A step is ``ok`` only if no cell failed, every code cell was executed, no claim is refuted, and the last
code cell left the ``done`` record.
"""

import re
from dataclasses import dataclass, replace

from runbook.diagnose import explain
from runbook.show import records

OK, FAILED, INTERRUPTED, NOT_RUN = "ok", "failed", "interrupted", "not run"
GENERAL = "90-diagnose"  #: what is named when nothing better is known
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SEE = re.compile(r"^See: ([\w-]+)\.ipynb$", re.MULTILINE)
DO = re.compile(r"^Do this: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """``outcome`` (:data:`OK`, …), why in a sentence, what to do, the notebook that mends it, the index of the cell."""

    outcome: str
    reason: str = ""
    do: str = ""
    fix: str = ""
    cell: int = -1


def code_cells(notebook) -> list[tuple[int, dict]]:
    """The code cells that hold anything, with their indexes."""
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]


def judge(notebook, *, stopped: str = "", reason: str = "", error: BaseException | None = None, by_hand: bool = False) -> Verdict:
    """Judge an executed notebook; a failure whose words are known is told with what they mean, and the notebook that mends it.

    Args:
        notebook: an ``nbformat`` node.
        stopped: ``"interrupted"`` or ``"time limit"`` if the runner stopped it, with its ``reason``.
        error: what ended the execution early.
        by_hand: it was stepped through in JupyterLab: papermill's marks in its cells say nothing.
    """
    verdict = _judge(notebook, stopped, reason, error, by_hand)
    found = explain(verdict.reason) if verdict.outcome == FAILED and verdict.fix in ("", GENERAL) else None
    return replace(verdict, do=f"{found.what}: {found.do}", fix=found.fix or verdict.fix) if found else verdict


def _judge(notebook, stopped: str, reason: str, error: BaseException | None, by_hand: bool) -> Verdict:
    cells = code_cells(notebook)
    last = _last_touched(cells)
    if stopped == INTERRUPTED:
        return Verdict(INTERRUPTED, reason, cell=last)
    if stopped:
        return Verdict(FAILED, reason, do="see what it waited for, or give a longer --cell-timeout", cell=last)
    refuted = [claim for claim in records(notebook, "claim") if claim.get("outcome") == "refuted"]
    failed = [(i, output) for i, cell in cells for output in cell.outputs if output.output_type == "error"
              and "raises-exception" not in cell.metadata.get("tags", [])]
    if refuted:
        claim = refuted[0]
        return Verdict(FAILED, f"refuted: {claim['claim']}", claim.get("reason", ""), claim.get("fix", ""), claim["cell"])
    if failed:
        return _raised(*failed[0])
    if error is not None:
        return Verdict(FAILED, str(error).strip() or type(error).__name__, cell=last)
    executed = [i for i, cell in cells if cell.execution_count is not None]
    pending = [i for i, cell in cells if i not in executed or not (by_hand or _completed(cell))]
    if not executed:
        return Verdict(NOT_RUN, "no cell was executed")
    if pending:
        return Verdict(FAILED, f"{len(pending)} of {len(cells)} code cells were not executed", cell=pending[0])
    if not any(record["cell"] == cells[-1][0] for record in records(notebook, "done")):
        return Verdict(FAILED, "the last cell did not say that the step is done", "end the notebook with done()", cell=cells[-1][0])
    return Verdict(OK)


def _completed(cell) -> bool:
    return cell.metadata.get("papermill", {}).get("status") == "completed"


def _last_touched(cells) -> int:
    """The cell where it ended: the last that has an output, a number, or began."""
    touched = [i for i, cell in cells if cell.outputs or cell.execution_count is not None
               or cell.metadata.get("papermill", {}).get("start_time")]
    return touched[-1] if touched else -1


def _raised(index: int, output) -> Verdict:
    """The verdict for a cell that ended with an exception; ours say in their text what to do."""
    name, text = output.ename, ANSI.sub("", output.evalue).strip()
    if name == "SystemExit":
        return Verdict(FAILED, f"the cell ended the notebook by exit({text}); the cells after it were not run", cell=index)
    do, fix = DO.search(text), SEE.search(text)
    plain = SEE.sub("", DO.sub("", text)).strip()
    return Verdict(FAILED, f"{name}: {plain}" if plain else name, do[1] if do else "", fix[1] if fix else "", index)
