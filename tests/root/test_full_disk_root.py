"""The journal on a disk that is really full: a tmpfs of a few pages, mounted over reports/. No half file, one line that says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from journal_kit import project, store

from runbook.journal import record

pytestmark = pytest.mark.root
#: The kernel is left out: a step is what journal_kit makes, with a picture and some text.
PROGRAM = """
import base64, sys
from runbook import cli
from runbook.journal import engine
sys.path.insert(0, sys.argv[1])
import nbformat
from journal_kit import claim, executed
PNG = base64.b64encode(b"\\x89PNG" + bytes(9000)).decode()
def execute(prepared, path, **more):
    book = executed(claims=[claim()])
    book.cells[-2].outputs.append(nbformat.v4.new_output("display_data", data={"image/png": PNG, "text/plain": "x" * 20000}))
    return book, 1.0, None
engine.execute = execute
cli.main(sys.argv[2:])
"""
NEEDED = 400  #: KiB that this run takes, and more


@pytest.fixture
def disk(tmp_path):
    """A project whose reports lie on a disk of so many KiB."""
    root = project(tmp_path)
    store(root, "01-first", "1")
    reports = root / "reports"
    reports.mkdir()

    def sized(kib: int, how: str = "rw") -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{how},size={kib}k", "tmpfs", str(reports)], check=True)
        return root

    yield sized
    subprocess.run(["umount", str(reports)], check=True)


def runbook(root: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", PROGRAM, str(Path(__file__).parent.parent), *words], cwd=root, timeout=120,
                          capture_output=True, text=True, env={**os.environ, "RUNBOOK_ROOT": str(root)})


def whole(reports: Path) -> None:
    """Every file can be read as what it is, and none is left over from writing."""
    for path in reports.rglob("*"):
        assert not path.name.endswith(".tmp"), path
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".ipynb":
            nbformat.read(path, as_version=4)
        if path.suffix == ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>"), path
        if path.suffix == ".png":
            assert path.stat().st_size == 9004, path


@pytest.mark.parametrize("kib", range(4, 128, 32))
def test_a_disk_that_fills_at_any_moment_leaves_no_half_file(disk, kib):
    root = disk(kib)
    ended = runbook(root, "run", "--only", "01")
    said = ended.stdout + ended.stderr
    assert ended.returncode == (1 if "could not be written: No space left on device" in said else 0), said
    assert kib > 90 or ended.returncode == 1, "it does not fit"
    assert "Traceback" not in said
    whole(root / "reports")

    # With room again, what the run left becomes an entry of the journal, and the next run is as if nothing had been.
    subprocess.run(["mount", "-o", f"remount,size={4 * NEEDED}k", str(root / "reports")], check=True)
    after = runbook(root, "report")
    assert after.returncode == 0, after.stderr
    results = [record.read(p)["result"] for p in (root / "reports").iterdir() if p.is_dir()]
    assert all(r in ("interrupted", "ok") for r in results), results
    assert runbook(root, "run", "--only", "01").returncode == 0
    whole(root / "reports")
    assert (root / "reports" / "index.html").exists()


def test_with_room_it_succeeds(disk):
    """The case that shows that the others are refused for want of room."""
    root = disk(NEEDED)
    assert runbook(root, "run", "--only", "01").returncode == 0
    whole(root / "reports")


def test_a_disk_that_may_not_be_written(disk):
    root = disk(NEEDED, "ro")
    ended = runbook(root, "run", "--only", "01")
    assert ended.returncode == 1 and "Read-only file system" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
