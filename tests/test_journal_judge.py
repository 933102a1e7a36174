"""Whether an executed notebook succeeded, told without executing any."""

import pytest
from journal_kit import book, claim, executed

from runbook.journal.judge import judge

REFUTED = claim("refuted", "the data survive", "look at the claims", "93-storage-stuck")


@pytest.mark.parametrize("given, outcome, reason", [
    ({}, "ok", ""),
    ({"claims": [claim(), claim("not shown", reason="plan mode")]}, "ok", ""),
    ({"done": False}, "failed", "the last cell did not say that the step is done"),
    ({"pending": True}, "failed", "1 of 2 code cells were not executed"),
    ({"claims": [claim(), REFUTED]}, "failed", "refuted: the data survive"),
    ({"error": ("ValueError", "no")}, "failed", "ValueError: no"),
    ({"error": ("SystemExit", "0")}, "failed", "the cell ended the notebook by exit(0); the cells after it were not run"),
])
def test_judged_by_what_is_there(given, outcome, reason):
    verdict = judge(executed(**given))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_a_refuted_claim_says_what_to_do_and_where_it_stands():
    verdict = judge(executed(claims=[claim(), REFUTED]))
    assert (verdict.do, verdict.fix, verdict.cell) == ("look at the claims", "93-storage-stuck", 3)


def test_our_errors_say_what_to_do():
    text = "Pod ws-a/x: failed\nlast line\nDo this: free memory\nSee: 96-node-under-pressure.ipynb"
    verdict = judge(executed(error=("WaitFailed", text)))
    assert (verdict.reason, verdict.do, verdict.fix) == ("WaitFailed: Pod ws-a/x: failed\nlast line", "free memory", "96-node-under-pressure")


def test_papermills_word_does_not_count():
    notebook = executed()
    notebook.metadata["papermill"] = {"exception": None}
    notebook.cells[1].execution_count = None  # though marked completed, as papermill does after a killed kernel
    assert judge(notebook).outcome == "failed"


@pytest.mark.parametrize("more, outcome, reason", [
    ({"stopped": "interrupted", "reason": "stopped by SIGINT"}, "interrupted", "stopped by SIGINT"),
    ({"stopped": "time limit", "reason": "too long"}, "failed", "too long"),
    ({"error": RuntimeError("the kernel was gone")}, "failed", "the kernel was gone"),
])
def test_what_ended_it_early_counts_even_if_every_cell_looks_complete(more, outcome, reason):
    verdict = judge(executed(), **more)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_by_hand_papermills_marks_are_not_asked_for():
    notebook = executed()
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
    assert judge(notebook).outcome == "failed"
    assert judge(notebook, by_hand=True).outcome == "ok"
    assert judge(book("1"), by_hand=True).outcome == "not run"


def test_an_error_that_the_notebook_expects_is_none():
    notebook = executed(error=("ValueError", "shown on purpose"))
    notebook.cells[-1].metadata["tags"] = ["raises-exception"]
    assert judge(notebook).outcome == "ok"
