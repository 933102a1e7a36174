"""Names, locks, what killed runners left, resuming, expected times, files that are whole. No kernels."""

import errno
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from journal_kit import PARAMETERS, book, claim, executed, project, quiet, store

from runbook.errors import ClaimRefuted, RunbookError
from runbook.journal import atomic, draft, engine, execute, folders, history, index, notebook as books, record
from runbook.journal.hide import Hide, masked
from runbook.journal.judge import Verdict
from runbook.secrets import MASK

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REFUTED = claim("refuted", "the data survive", "look", "93-storage-stuck")


@pytest.fixture
def root(tmp_path, monkeypatch):
    made = project(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(made))
    for name in ("01-first", "02-second", "03-third"):
        store(made, name, "1")
    return made


@pytest.fixture
def ends(monkeypatch):
    """How each notebook ends, by name; all well unless said otherwise. Kernels are not started."""
    how = {}

    def fake(prepared, path, **more):
        return how.get(path.stem, executed(claims=[claim()])), 2.0, None

    monkeypatch.setattr(engine, "execute", fake)
    return how


def run(root, *only, parameters=PARAMETERS, **more):
    return execute.execute(books.select(books.steps(root / "notebooks"), only), parameters, root / "reports", quiet(), **more)


# names and locks

@pytest.mark.parametrize("name, target, slug", [
    ("rehearsal", "rehearsal", "rehearsal"), ("server", "rehearsal", "server-rehearsal"), ("server", "local", "server"),
    ("a b/../c", "local", "a-b-..-c"), ("..", "local", "site"),
])
def test_folders_of_rehearsals_are_told_by_their_name(name, target, slug):
    assert folders.slug(name, target) == slug


def test_two_runs_in_one_second_do_not_share_a_folder(tmp_path):
    names = [folders.begin(tmp_path, "x", AT) for _ in range(3)]
    assert len(set(names)) == 3 and all(folders.alive(name) for name in names)
    done = folders.finish(names[0], "ok")
    assert done.name == "20260102T030405Z-x-ok"
    assert folders.begin(tmp_path, "x", AT).name == ".20260102T030405Z-x-4-running"


def test_a_lock_of_a_dead_process_or_a_number_used_again_is_stale(tmp_path):
    mine, dead, again = (folders.begin(tmp_path, "x", AT) for _ in range(3))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (dead / folders.LOCK).write_text(json.dumps({"pid": ended.pid, "started": 1.0}))
    (again / folders.LOCK).write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    assert folders.stale(tmp_path) == sorted([dead, again])


def test_the_run_of_a_killed_runner_is_finished_by_the_next(root, ends):
    killed = folders.begin(root / "reports", "rehearsal", AT)
    steps = books.steps(root / "notebooks")
    left = record.start(PARAMETERS, steps, root=root, started=AT)
    left["steps"][0]["outcome"], left["running"] = "ok", "02-second"
    for name in ("01-first", "02-second"):
        nbformat.write(executed(pending=name == "02-second"), killed / f"{name}.ipynb")
    record.write(left, killed)
    (killed / folders.LOCK).unlink()
    run(root)
    done = root / "reports" / "20260102T030405Z-rehearsal-interrupted"
    assert [s["outcome"] for s in record.read(done)["steps"]] == ["ok", "interrupted", "not run"]
    assert (done / "02-second.html").exists() and done.name in (root / "reports" / "index.html").read_text()


def test_a_run_killed_before_it_noted_anything_leaves_nothing(root):
    killed = folders.begin(root / "reports", "rehearsal", AT)
    (killed / folders.LOCK).unlink()
    assert execute.settle(root / "reports") == [] and not killed.exists()


# resuming and expected times

def test_resuming_goes_on_at_the_first_step_that_did_not_succeed(root, ends):
    ends["02-second"] = executed(claims=[REFUTED], done=False)
    failed = run(root)
    assert [s["outcome"] for s in failed.record["steps"]] == ["ok", "failed", "not run"]
    folder, names = history.unfinished(history.all_runs(root / "reports"), PARAMETERS)
    assert (folder, names) == (failed.folder, ["02-second", "03-third"])


@pytest.mark.parametrize("parameters, message", [
    ({**PARAMETERS, "mode": "plan"}, "its parameters were others (mode)"),
    ({**PARAMETERS, "k3s": {"version": "x"}}, "its parameters were others (k3s)"),
    ({**PARAMETERS, "name": "elsewhere"}, "no run of “elsewhere”"),
])
def test_what_cannot_be_resumed_is_refused(root, ends, parameters, message):
    ends["02-second"] = executed(done=False)
    run(root)
    with pytest.raises(RunbookError) as refused:
        history.unfinished(history.all_runs(root / "reports"), parameters)
    assert message in str(refused.value)


def test_a_run_that_succeeded_is_not_resumed(root, ends):
    run(root)
    with pytest.raises(RunbookError, match="succeeded"):
        history.unfinished(history.all_runs(root / "reports"), PARAMETERS)


def test_expected_time_is_the_median_of_like_runs():
    def of(seconds, mode="apply", target="local", outcome="ok"):
        return None, {"mode": mode, "target": target, "steps": [{"notebook": "01-a", "outcome": outcome, "duration_s": seconds}]}

    runs = [of(1), of(9), of(2), of(100, mode="plan"), of(200, target="rehearsal"), of(300, outcome="failed")]
    assert history.expected(runs, "apply", "local") == {"01-a": 2}
    assert history.expected([], "apply", "local") == {}


# files that are whole

def test_a_full_disk_leaves_the_old_file_and_no_half(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(atomic.NotWritten) as error:
        atomic.write_text(path, "new")
    assert str(error.value).splitlines()[0] == "run.json could not be written: No space left on device"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("run.json", "old")]


def test_a_run_whose_disk_fills_says_so_in_one_line_and_leaves_no_half_file(root):
    program = """
import resource, signal, sys
from runbook import cli
from runbook.journal import engine, execute
sys.path.insert(0, sys.argv[1])
from journal_kit import executed
engine.execute = lambda prepared, path, **more: (executed(), 1.0, None)
keep = execute.keep
def full(*words, **more):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))  # as if 600 bytes were left
    return keep(*words, **more)
execute.keep = full
cli.main(["run", "--only", "01"])
"""
    ended = subprocess.run([sys.executable, "-c", program, os.path.dirname(__file__)], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "RUNBOOK_ROOT": str(root)}, cwd=root)
    assert ended.returncode == 1 and "✘ 01-first.ipynb could not be written: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    running, = (root / "reports").iterdir()
    assert sorted(p.name for p in running.iterdir()) == [".lock", "run.json"]
    assert record.read(running)["result"] == "running"


# what must not be told

def test_parameters_that_look_like_secrets_are_masked():
    given = {"name": "x", "admin": {"password": "hunter22", "tokens": [{"api_key": "abcdef"}], "monkey": "see"}, "secret": ""}
    assert masked(given) == {"name": "x", "admin": {"password": MASK, "tokens": [{"api_key": MASK}], "monkey": "see"}, "secret": ""}


@pytest.mark.parametrize("text, hidden", [
    ("token hunter2222 here", f"token {MASK} here"),
    ("/srv/the place/lib/x.py", "./lib/x.py"),
    ("/srv/the places", "/srv/the places"),
    ("nothing", "nothing"),
])
def test_outputs_are_cleaned(text, hidden, tmp_path):
    assert Hide({"password": "hunter2222"}, Path("/srv/the place"), {}).text(text) == hidden


def test_code_stays_as_it_was_written_but_for_secrets():
    notebook = book("open('/srv/place/x', 'hunter2222')")
    assert Hide({"token": "hunter2222"}, Path("/srv/place"), {}).notebook(notebook).cells[-1].source == f"open('/srv/place/x', '{MASK}')"


def test_images_are_left_as_they_are():
    notebook = book()
    notebook.cells[0]["data"] = {"image/png": "hunter2222", "text/plain": "hunter2222"}
    assert Hide({"token": "hunter2222"}, None, {}).notebook(notebook).cells[0]["data"] == {"image/png": "hunter2222", "text/plain": MASK}


# the pages

def test_the_forge_page_leaves_rehearsals_out_and_names_problems(root, ends):
    ends["01-first"] = executed(claims=[{**REFUTED, "claim": "a | b\n<c>"}], done=False)
    run(root)
    run(root, parameters={**PARAMETERS, "name": "server", "target": "local"})
    text = (root / "reports" / "README.md").read_text()
    assert "server" in text and "rehearsal-failed" not in text
    assert "failed: refuted: a \\| b &lt;c> |" in text
    page = (root / "reports" / "index.html").read_text()
    assert page.count("<tr>") == 3 and "a | b\n&lt;c&gt;" in page


def test_report_makes_the_same_pages_anew(root, ends):
    from runbook.journal import render
    left = run(root)
    before = {p.name: p.read_text() for p in left.folder.glob("*.html")}
    for path in left.folder.glob("*.html"):
        path.unlink()
    render.write(left.folder, record.read(left.folder))
    assert {p.name: p.read_text() for p in left.folder.glob("*.html")} == before


def test_a_failed_steps_page_links_to_what_mends_it(root, ends):
    ends["01-first"] = executed(claims=[REFUTED], done=False)
    page = (run(root).folder / "01-first.html").read_text()
    assert 'href="../../notebooks/93-storage-stuck.ipynb"' in page and "This step failed: refuted: the data survive" in page


def test_text_from_a_server_cannot_become_markup(root, ends):
    evil = "<script>alert(1)</script>"
    ends["01-first"] = executed(claims=[claim("refuted", evil, evil, evil)], done=False)
    left = run(root)
    for path in (left.folder / "01-first.html", left.folder / "index.html", root / "reports" / "index.html"):
        assert evil not in path.read_text()


def test_a_foreign_or_broken_record_is_passed_over(root, ends):
    run(root)
    for name, text in (("20200101T000000Z-x-ok", "{"), ("20200102T000000Z-x-ok", '{"schema": 99}')):
        (root / "reports" / name).mkdir()
        (root / "reports" / name / "run.json").write_text(text)
    assert len(history.all_runs(root / "reports")) == 1
    index.write(root / "reports")


# stepping by hand

def test_a_draft_is_prepared_stepped_and_closed(root):
    folder = draft.prepare(books.steps(root / "notebooks")[:2], PARAMETERS, root / "reports")
    assert folder.name.endswith("-rehearsal-draft") and {p.suffix for p in folder.iterdir()} == {".ipynb", ".json"}
    prepared = nbformat.read(folder / "01-first.ipynb", 4)
    assert prepared.cells[2].source.splitlines()[1] == 'name = "rehearsal"' and prepared.cells[-1].execution_count is None
    with pytest.raises(RunbookError, match="no cell was executed"):
        draft.close(folder)
    nbformat.write(executed(claims=[claim()]), folder / "01-first.ipynb")
    left = draft.close(folder)
    assert left.folder.name.endswith("-rehearsal-ok")
    assert [s["outcome"] for s in left.record["steps"]] == ["ok", "not run"]
    assert (left.folder / "01-first.html").exists() and not (left.folder / "02-second.ipynb").exists()
    with pytest.raises(RunbookError, match="not a draft"):
        draft.close(left.folder)


def test_a_draft_that_failed_is_closed_as_failed_and_its_order_noted(root):
    folder = draft.prepare(books.steps(root / "notebooks")[:1], PARAMETERS, root / "reports")
    stepped = executed(claims=[REFUTED], done=False)
    stepped.cells[1].execution_count = 7
    nbformat.write(stepped, folder / "01-first.ipynb")
    left = draft.close(folder)
    assert left.folder.name.endswith("-failed") and left.record["steps"][0]["notes"] == [draft.OUT_OF_ORDER]


def test_drafts_are_no_runs_yet(root):
    draft.prepare(books.steps(root / "notebooks"), PARAMETERS, root / "reports")
    assert history.all_runs(root / "reports") == []


def test_the_error_tree_is_what_the_judge_reads():
    from runbook.journal.judge import judge
    error = ClaimRefuted("refuted: x", do="do y", fix="93-z")
    assert judge(executed(error=("ClaimRefuted", str(error)))) == Verdict("failed", "ClaimRefuted: refuted: x", "do y", "93-z", 2)
