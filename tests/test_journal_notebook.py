"""What stored notebooks say about themselves, and which of them are chosen."""

import pytest
from journal_kit import book, project, store

from runbook.errors import RunbookError
from runbook.journal import notebook as books
from runbook.journal.progress import seconds

NAMES = ["00-start-here", "01-install-k3s", "02-deploy-gitpod-lamp", "20-backup-and-restore", "90-diagnose", "91-kots-admin-console"]


@pytest.fixture
def known(tmp_path):
    root = project(tmp_path)
    for name in NAMES:
        store(root, name)
    (root / "notebooks" / "notes.ipynb").write_text("no step: it has no number")
    return books.steps(root / "notebooks")


@pytest.mark.parametrize("only, start, chosen", [
    ([], "", ["00", "01", "02", "90"]),
    (["91"], "", ["91"]),
    (["2"], "", ["02"]),
    (["20,01"], "", ["01", "20"]),
    (["91", "91-kots-admin-console.ipynb"], "", ["91"]),
    (["deploy"], "", ["02"]),
    ([], "02", ["02", "90"]),
    (["00", "20"], "01", ["20"]),
])
def test_selection(known, only, start, chosen):
    assert [step.number for step in books.select(known, only, start)] == chosen


@pytest.mark.parametrize("only, start, message", [
    (["backup-an-restor"], "", "did you mean backup-and-restore?"),
    (["77"], "", "no notebook “77”"),
    (["a"], "", "could be"),
    (["00"], "90", "nothing to run"),
])
def test_a_selection_that_means_nothing_is_refused(known, only, start, message):
    with pytest.raises(RunbookError) as refused:
        books.select(known, only, start)
    assert message in str(refused.value)


def test_a_notebook_tells_title_sentence_and_parameters(known):
    step = known[1]
    assert (step.number, step.title, step.sentence) == ("01", "Install k3s", "A thing is there afterwards.")
    assert step.declared == {"name": "", "target": "rehearsal", "mode": "plan"}


def test_a_parameters_cell_holds_literals_only():
    with pytest.raises(RunbookError, match="line 2 of its parameters cell is not a literal"):
        books.declared(book(declares="a = 1\nb = a + 1"), "x.ipynb")


def test_headings_are_those_above_each_cell():
    assert books.headings(book("1", "## **Before**", "2", title="01 T")) == ["01 T", "01 T", "01 T", "Before", "Before"]


def test_a_folder_without_notebooks_and_a_file_that_is_none(tmp_path):
    with pytest.raises(RunbookError, match="no notebooks"):
        books.steps(tmp_path)
    (tmp_path / "01-broken.ipynb").write_text("{")
    with pytest.raises(RunbookError, match="01-broken.ipynb: not a notebook"):
        books.steps(tmp_path)


@pytest.mark.parametrize("value, text", [(0.04, "0.0 s"), (9.94, "9.9 s"), (42.4, "42 s"), (185, "3 min 05 s"), (3725, "1 h 02 min")])
def test_seconds(value, text):
    assert seconds(value) == text
