"""The pages as a browser shows them, offline."""

import subprocess

import nbformat
import pytest
from journal_kit import PARAMETERS, claim, executed, project, quiet, store

from runbook.journal import engine, execute, notebook as books

pytestmark = pytest.mark.browser
HOSTILE = '<p id="said">shown</p><script>document.title = "taken over"; document.getElementById("said").textContent = "changed"</script>'


def dom(path) -> str:
    """The page's elements after everything on it had its chance to run."""
    return subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_page_shows_its_claims_and_runs_nothing(tmp_path, monkeypatch):
    root = project(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(root))
    store(root, "01-first", "1")
    notebook = executed(claims=[claim(text="the page answers"), claim("not shown", "it scales", "plan mode")])
    notebook.cells[-1].outputs.append(nbformat.v4.new_output("display_data", data={"text/html": HOSTILE}))
    monkeypatch.setattr(engine, "execute", lambda *_, **__: (notebook, 1.0, None))
    left = execute.execute(books.steps(root / "notebooks"), PARAMETERS, root / "reports", quiet())
    page = dom(left.folder / "01-first.html")
    assert '<p id="said">shown</p>' in page and "<title>01 01 first · rehearsal</title>" not in page
    assert "<title>01 First · rehearsal</title>" in page
    assert page.count('<li class="proven">') == 1 and page.count('<li class="shown">') == 1
