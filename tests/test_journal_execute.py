"""Runs with real kernels: a good one, and each way in which a notebook ends badly."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from journal_kit import DONE, PARAMETERS, project, quiet, store

from runbook.journal import execute, index, notebook as books, record
from runbook.journal.stop import Stopper

SECRET = "s3cr3t-Planted-9f2"
PLOT = """
import matplotlib.pyplot as plt
from runbook.show import emit
plt.plot([1, 3, 2])
emit("figure", {"name": "load", "png": "", "csv": "t,rps\\n0,1\\n"}, "load")
"""
GOOD = [
    "## Before", "import os, sys\nprint(os.environ['PLANTED_TOKEN'], name, mode)",
    "from runbook.checks import check\ncheck(True, 'the page answers', 'x')\ncheck(True, 'it scales', 'x', shown='plan mode')",
    "## Load\n\nSee [the next](02-next.ipynb) and [another](91-other.ipynb).", PLOT,
    "from runbook.show import emit\nemit('outcome', {'changed': 2, 'unchanged': 1, 'planned': 0, 'items': [], 'seconds': 0.1}, '')\n"
    "emit('identity', {'name': 'x', 'server': 'https://127.0.0.1', 'version': 'v1.36.2', 'nodes': 1, 'banner': 'LAB'}, '')",
    DONE,
]


def run(root: Path, *only: str, **more) -> execute.Run:
    steps = books.select(books.steps(root / "notebooks"), only)
    return execute.execute(steps, {**PARAMETERS, "docker": {"mode": "none"}, "password": SECRET + "2"}, root / "reports", quiet(), **more)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = project(tmp_path_factory.mktemp("good"))
    patch = pytest.MonkeyPatch()
    patch.setenv("RUNBOOK_ROOT", str(root))
    patch.setenv("PLANTED_TOKEN", SECRET)
    store(root, "01-first", *GOOD)
    store(root, "02-next", "password = password\nprint(password)", DONE, declares="password = ''")
    yield run(root)
    patch.undo()


def test_a_good_run_is_kept_whole(good):
    assert re.fullmatch(r"\d{8}T\d{6}Z-rehearsal-ok", good.folder.name)
    assert {p.name for p in good.folder.iterdir()} == {
        "01-first.ipynb", "01-first.html", "02-next.ipynb", "02-next.html", "figures", "index.html", "run.json"}
    assert sorted(p.name for p in (good.folder / "figures").iterdir()) == ["01-1.csv", "01-1.png"]
    assert record.read(good.folder) == good.record


def test_its_record_says_what_happened(good):
    first, second = good.record["steps"]
    assert (good.record["result"], first["outcome"], second["outcome"]) == ("ok", "ok", "ok")
    assert [(c["claim"], c["outcome"]) for c in first["claims"]] == [("the page answers", "proven"), ("it scales", "not shown")]
    assert (first["changed"], first["unchanged"]) == (2, 1)
    assert (good.record["banner"], good.record["versions"]["cluster"]) == ("LAB", "v1.36.2")
    assert first["figures"][0]["csv"] == "figures/01-1.csv"


def test_only_what_a_notebook_declares_is_passed(good):
    first = nbformat.read(good.folder / "01-first.ipynb", 4)
    assert set(first.metadata.papermill.parameters) == {"name", "target", "mode"}


def test_a_planted_secret_is_in_no_file(good):
    files = [p for p in good.folder.rglob("*") if p.is_file()]
    assert files and not [p.name for p in files if SECRET.encode() in p.read_bytes()]
    assert "••••" in (good.folder / "02-next.ipynb").read_text()


def test_the_pages_load_nothing(good):
    for path in [*good.folder.glob("*.html"), good.folder.parent / "index.html"]:
        text = path.read_text()
        assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"'](?!data:)", text), path.name
        assert "default-src 'none'" in text


def test_the_pages_link_to_one_another_and_the_claims_to_their_cells(good):
    page = (good.folder / "01-first.html").read_text()
    assert 'href="02-next.html"' in page and 'href="index.html"' in page and 'href="../../notebooks/91-other.ipynb"' in page
    for anchor in re.findall(r'href="#(cell-id=[^"]+)"', page):
        assert f'id="{anchor}"' in page
    assert f"{good.folder.name}/01-first.html" in (good.folder.parent / "index.html").read_text()
    assert "](../../notebooks/91-other.ipynb)" in (good.folder / "01-first.ipynb").read_text()


def test_no_place_of_this_machine_is_told(good):
    root = str(good.folder.parents[1])
    assert not [p.name for p in good.folder.rglob("*.*") if root.encode() in p.read_bytes()]


def test_the_forge_page_lists_what_is_no_rehearsal(good, tmp_path):
    text = (good.folder.parent / "README.md").read_text()
    assert f"(<{good.folder.name}/01-first.ipynb>)" in text and "LAB" in text
    assert "No run yet" in index.readme([])


@pytest.mark.parametrize("cell, reason", [
    ("import os; os._exit(0)", "the kernel was gone: ended by itself with exit code 0"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the kernel was gone: killed by signal 9"),
    ("import sys; sys.exit(0)", r"the cell ended the notebook by exit\(0\)"),
    ("from runbook.host import Host; Host().run(['false'])", "CommandFailed: .*exit code 1"),
    ("import subprocess; subprocess.run(['sleep', '600'])", "the cell was still running after 1 s, its limit"),
])
def test_a_bad_end_is_a_failure_with_its_reason(tmp_path, monkeypatch, cell, reason):
    root = project(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(root))
    store(root, "01-bad", cell, DONE)
    store(root, "02-next", DONE)
    left = run(root, cell_timeout=1 if "600" in cell else 60)
    bad, following = left.record["steps"]
    assert (left.record["result"], bad["outcome"], following["outcome"]) == ("failed", "failed", "not run")
    assert re.search(reason, bad["reason"], re.DOTALL)
    assert "This step failed" in (left.folder / "01-bad.html").read_text()
    assert nbformat.read(left.folder / "01-bad.ipynb", 4).cells[0].source.startswith("**This step failed:**")
    assert not (left.folder / "02-next.ipynb").exists()


SLEEPER = """
import subprocess
subprocess.Popen(['sleep', '7531'], start_new_session=True)  # as Host.run starts its commands: no child of our group
print('begun', flush=True)
subprocess.run(['sleep', '7531'])
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_readable_report_and_no_process(tmp_path, signum):
    root = project(tmp_path)
    store(root, "01-long", "print('before')", SLEEPER, DONE)
    program = [sys.executable, "-m", "runbook.cli", "run"]
    process = subprocess.Popen(program, env={**os.environ, "RUNBOOK_ROOT": str(root)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running = next(_until(lambda: [p for p in root.glob("reports/.*-running/*.ipynb") if sleepers(p.parent.name)], 60)).parent
    process.send_signal(signum)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, errors
    assert not sleepers(running.name)
    folder, = root.glob("reports/2*-interrupted")
    step, = json.loads((folder / "run.json").read_text())["steps"]
    assert (step["outcome"], step["reason"]) == ("interrupted", f"stopped by {signum.name}")
    assert "before" in (folder / "01-long.ipynb").read_text()
    assert "was interrupted" in (folder / "01-long.html").read_text()
    assert "interrupted" in output


def sleepers(running: str) -> list[str]:
    """The processes that a run's kernel started and that live."""
    mark = f"RUNBOOK_RUN={running.removeprefix('.').removesuffix('-running')}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"7531" in (folder / "cmdline").read_bytes() and mark in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


def _until(look, seconds: float):
    """Yield what ``look`` finds first, looking often; nothing found in time is an error."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            yield found[0]
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_run_stopped_between_steps_starts_no_other(tmp_path, monkeypatch):
    root = project(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(root))
    store(root, "01-never", DONE)
    stopper = Stopper()
    stopper.stop("interrupted", "stopped by SIGINT")
    left = run(root, stopper=stopper)
    assert (left.record["result"], left.record["steps"][0]["outcome"]) == ("interrupted", "not run")


def test_bare_papermill_needs_nothing_of_ours(tmp_path):
    root = project(tmp_path)
    path = store(root, "01-first", *GOOD[2:3], DONE)
    (tmp_path / "x.yaml").write_text('name: "somewhere"\n')
    subprocess.run([sys.executable, "-m", "papermill", str(path), "out.ipynb", "-f", "x.yaml", "--no-progress-bar"],
                   cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert "the page answers" in (tmp_path / "out.ipynb").read_text()
