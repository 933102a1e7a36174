"""What a cell shows: one value, for the eye (HTML), for a terminal (text) and for the journal (a record).

The journal reads the records out of the executed notebook, so a notebook that was run by hand or by bare
papermill leaves the same record as one that ``runbook run`` executed.
"""

from html import escape

from IPython import get_ipython
from IPython.display import display

RECORD = "application/vnd.runbook.{}+json"
#: The kinds of records that the journal gathers, by :func:`records`.
KINDS = ("identity", "claim", "plan", "outcome", "figure", "done")


def emit(kind: str, record: dict, text: str, html: str = "") -> None:
    """Display a record of one of :data:`KINDS`: ``text`` on a terminal, ``html`` in a notebook."""
    if get_ipython() is None:
        print(text, flush=True)
        return
    bundle = {RECORD.format(kind): record, "text/plain": text, "text/html": html or f"<pre>{escape(text)}</pre>"}
    display(bundle, raw=True)


def records(notebook, kind: str) -> list[dict]:
    """All records of a kind in an executed notebook (an ``nbformat`` node), in order; each with its ``cell`` index."""
    mime = RECORD.format(kind)
    return [
        {**output["data"][mime], "cell": i}
        for i, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", ())
        if mime in output.get("data", {})
    ]
