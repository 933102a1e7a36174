"""The page for a person who works in a workspace: from what is there, in the report of step 10, linked to from the journal."""

import nbformat
import pytest

import runbook
from runbook import guide, paths, plans
from runbook.facts import guide as facts
from runbook.guide import Guide
from runbook.journal import index
from runbook.operations import workspaces as operations


@pytest.mark.parametrize("seconds, said", [
    (3600, "an hour"), (7200, "2 hours"), (60, "a minute"), (1200, "20 minutes"), (90, "90 seconds"), (5400, "90 minutes"),
])
def test_durations(seconds, said):
    assert guide.duration(seconds) == said
    assert guide.left_alone(seconds) == f"left alone for {said} it stops by itself"


def test_what_never_stops_says_so():
    assert guide.left_alone(0) == "it does not stop by itself"


def test_the_pages_tell_what_is_there(site):
    wanted = runbook.section("workspaces", {"list": [{"name": "demo", "owner": "alice"}, {"name": "later", "owner": "bob"}], "idle_stop": 1200})
    only = wanted.model_copy(update={"list": wanted.list[:1]})
    plans.apply(operations.ensure_workspaces(site, only), "apply")
    page, = facts.pages(site, wanted)  # the other is not there yet
    told = dict(page.rows())
    assert "port-forward service/demo 13337" in told["open your workspace"]  # before step 05
    assert "left alone for 20 minutes" in told["stop for today"]
    assert told["more room"].startswith("1 of 3 workspaces, 4 of 30 GiB of volumes, 0.075 of 2 CPUs, 0.375 of 4 GiB of memory are used")
    secret = site.cluster.get("Secret", "demo", "ws-alice")
    assert secret and not [v for v in secret.get("stringData", secret.get("data", {})).values() if v in page.table()]
    assert "get secret demo" in told["your password"]


def test_the_url_of_a_port_is_the_workspaces_own():
    page = Guide(url="https://demo-alice.ws.example.org", port_url="https://3000-demo-alice.ws.example.org")
    assert "`https://3000-demo-alice.ws.example.org`" in page.table() and page.table().count("\n") == 1 + len(page.rows())
    assert r"\| base64 -d" in page.table()  # the bar of the command is none of the table's


def test_pages_in_a_notebook_and_in_a_terminal():
    pages = guide.Pages([Guide(name="demo", owner="alice"), Guide(name="shop", owner="bob")])
    html = pages._repr_html_()
    assert html.count("<table>") == 2 and "<h4>Workspace shop of bob</h4>" in html and "ide-password}' | base64 -d</code>" in html
    assert '<a href="https://&lt;workspace&gt;' in html and "<workspace>" not in html  # what is put in is text, never a tag
    sited = guide.Pages([Guide(url="https://demo-alice.ws.example.org")])._repr_html_()
    assert '<a href="https://demo-alice.ws.example.org">https://demo-alice.ws.example.org</a>' in sited
    assert "alice/demo\n  open your workspace:" in repr(pages) and repr(guide.Pages()) == "no workspace is there"


def test_the_journal_leads_to_the_newest_pages(tmp_path):
    def run(name, outcome):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{index.GUIDE}.html").touch()
        return tmp_path / name, {"steps": [{"notebook": index.GUIDE, "outcome": outcome}]}

    runs = [run("c", "failed"), run("b", "ok"), run("a", "ok"), (tmp_path / "none", {"steps": []})]
    assert index.guide(runs, ".html") == f"b/{index.GUIDE}.html#cell-id={index.GUIDE_CELL}"
    assert index.guide(runs, ".ipynb") == "" and index.guide(runs[:1], ".html") == ""


def test_the_cell_that_the_journal_leads_to_is_there():
    book = nbformat.read(paths.notebooks() / f"{index.GUIDE}.ipynb", as_version=4)
    cell, = [c for c in book.cells if c.id == index.GUIDE_CELL]
    assert "guide.pages(" in cell.source
