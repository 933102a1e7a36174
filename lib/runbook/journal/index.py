"""The journal's own pages, from the ``run.json``\\ s: ``index.html`` of all runs, ``README.md`` for a forge."""

from pathlib import Path

from runbook.journal import atomic, history, record, render
from runbook.journal.progress import seconds

HEAD = """# Journal

Every run on a real server or a test cluster, newest first. Rehearsals are not kept here: `make run` makes one, and
`reports/index.html` then lists them too. Made by `runbook report` from the `run.json` in each folder.

"""
#: Where the pages for those who work in the workspaces are: a notebook, and the cell in it.
GUIDE, GUIDE_CELL = "10-use-the-codespace", "c09-9dec85"
COLUMNS = "| when | site | mode | result | time | changed | unchanged | claims | steps |\n|---|---|---|---|---|---|---|---|---|\n"


def write(reports: Path) -> None:
    """Make both, from what lies in the folder."""
    runs = history.all_runs(reports)
    atomic.write_text(reports / "README.md", readme([(folder, run) for folder, run in runs if run["banner"] != "REHEARSAL"]))
    page = render.environment().get_template("index.html.j2").render(
        runs=[{"folder": folder.name, **run} for folder, run in runs], guide=guide(runs, ".html"),
        pages={folder.name: [s["notebook"] for s in run["steps"] if (folder / f"{s['notebook']}.html").exists()] for folder, run in runs})
    atomic.write_text(reports / "index.html", page)


def readme(runs: list[tuple[Path, dict]]) -> str:
    """The Markdown of the journal, linking to notebooks, which a forge renders."""
    if not runs:
        return HEAD + "No run yet.\n"
    pages = guide(runs, ".ipynb")
    told = f"For the people who work in a workspace: [their pages](<{pages}>), of the newest run that made them.\n\n" if pages else ""
    return HEAD + told + COLUMNS + "".join(_row(folder, run) for folder, run in runs)


def guide(runs: list[tuple[Path, dict]], ending: str) -> str:
    """Where the newest pages for those who work in the workspaces are; "" if no run made any."""
    for folder, run in runs:
        if any(s["notebook"] == GUIDE and s["outcome"] == "ok" for s in run["steps"]) and (folder / f"{GUIDE}{ending}").exists():
            return f"{folder.name}/{GUIDE}{ending}" + (f"#cell-id={GUIDE_CELL}" if ending == ".html" else "")
    return ""


def _row(folder: Path, run: dict) -> str:
    counts = record.claims(run)
    name = run["name"] + (f" **{run['banner']}**" if run["banner"] else "")
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "–"
    steps = " ".join(f"[{s['notebook'][:2]}](<{folder.name}/{s['notebook']}.ipynb>)" + ("" if s["outcome"] == "ok" else f" {s['outcome']}")
                     for s in run["steps"] if (folder / f"{s['notebook']}.ipynb").exists())
    problem = record.problem(run)
    result = run["result"] + (f": {_cell(problem['reason'])}" if problem and problem["reason"] else "")
    return (f"| {render.when(run['started'])} | {name} | {run['mode']} | {result} | {seconds(run['duration_s'])} "
            f"| {_changed(run)} | {record.total(run, 'unchanged')} | {said} | {steps} |\n")


def _changed(run: dict) -> str:
    planned = record.total(run, "planned")
    return f"{record.total(run, 'changed')}" + (f" ({planned} would change)" if planned else "")


def _cell(text: str, limit: int = 160) -> str:
    """A text as it may stand in a cell of a Markdown table."""
    line = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return line if len(line) <= limit else line[: limit - 1] + "…"
