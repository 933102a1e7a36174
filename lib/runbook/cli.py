"""The command line: ``runbook run · list · report · draft · close``.

Heavy imports happen inside the commands, so that ``--help`` answers at once. Other commands live in
:mod:`runbook.commands`, a module each.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runbook import paths
from runbook.cli_options import Assigned, Mode, Params, site_parameters
from runbook.commands import workspace
from runbook.commands.doctor import doctor
from runbook.commands.undo import undo
from runbook.errors import RunbookError

app = typer.Typer(
    name="runbook", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Turn one server into a self-hosted codespace, step by step, and keep a journal of it.",
    epilog="Begin with [bold]runbook run[/bold]: the whole runbook on the embedded rehearsal; nothing is changed anywhere.",
)
out, err = Console(), Console(stderr=True)

Only = Annotated[list[str] | None, typer.Option(metavar="STEP", help="Only this step, by number or name; may be repeated.")]
From = Annotated[str, typer.Option("--from", metavar="STEP", help="Begin with this step.")]
Reports = Annotated[Path | None, typer.Option(metavar="DIR", help="The journal's folder; default: reports/ of the project.")]


@app.callback()
def _all(traceback: Annotated[bool, typer.Option("--traceback", help="Show Python's traceback of an error.")] = False):
    """Turn one server into a self-hosted codespace, step by step, and keep a journal of it."""


@app.command()
def run(
    params: Params = None, mode: Mode = None, only: Only = None, start: From = "", assigned: Assigned = None, reports: Reports = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where this site's newest run stopped, under the same parameters.")] = False,
    cell_timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Time limit of one cell.")] = 1800,
):
    """Run notebooks and leave a report: 00–06, 10 and 90, or those that you choose.

    Stops at the first step that does not succeed. Ctrl-C ends it in order, with a report.
    """
    from runbook.journal import execute, history, notebook, progress

    if resume and (only or start):
        raise typer.BadParameter("--resume chooses the steps itself: leave --only and --from out")
    parameters = site_parameters(params, mode, assigned)
    known, folder = notebook.steps(paths.notebooks()), journal(reports)
    tell_settled(execute.settle(folder))
    runs, resumed_from = history.all_runs(folder), ""
    if resume:
        before, names = history.unfinished(runs, parameters)
        resumed_from, steps = before.name, notebook.select(known, only=names)
    else:
        steps = notebook.select(known, only or [], start)
    out.print(f"{parameters['name']} · target {parameters['target']} · mode {parameters['mode']} · {len(steps)} step{'s' * (len(steps) != 1)}"
              + (f" · resumed from {resumed_from}" if resumed_from else ""), style="bold", markup=False, highlight=False, soft_wrap=True)
    watch = progress.Progress(out, history.expected(runs, parameters["mode"], parameters["target"]))
    left = execute.execute(steps, parameters, folder, watch, resumed_from=resumed_from, cell_timeout=cell_timeout)
    summary(left.record, left.folder)
    raise typer.Exit(0 if left.record["result"] == "ok" else 128 + left.signal if left.signal else 1)


@app.command("list")
def list_(reports: Reports = None):
    """List the notebooks: what each leaves behind, and how its newest run ended."""
    from runbook.journal import history, notebook, progress, render

    newest = {}
    for _, record in reversed(history.all_runs(journal(reports))):
        newest |= {step["notebook"]: (record, step) for step in record["steps"] if step["outcome"] != "not run"}
    table = Table("step", "", "runs", "newest run", box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for step in notebook.steps(paths.notebooks()):
        record, entry = newest.get(step.name, (None, None))
        told = f"{entry['outcome']}, {record['mode']} on {record['name']}, {progress.seconds(entry['duration_s'])}, " \
               f"{render.when(record['started'])}" if entry else "–"
        table.add_row(step.name, step.title, "always" if step.number in notebook.DEFAULT_NUMBERS else "by name", told)
    out.print(table, markup=False, highlight=False)


@app.command()
def report(reports: Reports = None):
    """Make all pages of the journal anew from the executed notebooks, and its index."""
    from runbook.journal import execute, history, index, render

    folder = journal(reports)
    settled = execute.settle(folder)
    runs = history.all_runs(folder)
    for path, record in runs:
        render.write(path, record)
    index.write(folder)
    tell_settled(settled)
    out.print(f"{len(runs)} run{'s' * (len(runs) != 1)}: {folder / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def draft(
    params: Params = None, mode: Mode = None, only: Only = None, assigned: Assigned = None, reports: Reports = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the folder and nothing else.")] = False,
):
    """Prepare copies of the notebooks with your parameters, to step through in JupyterLab.

    Afterwards, runbook close FOLDER makes a run of the journal of it.
    """
    from runbook.journal import draft as drafts, notebook

    known = notebook.steps(paths.notebooks())
    steps = notebook.select(known, only) if only else known
    folder = drafts.prepare(steps, site_parameters(params, mode, assigned), journal(reports))
    print(folder)
    if not quiet:
        print(f'Step through it:       jupyter lab "{folder}"\nThen keep it as a run:  runbook close "{folder}"')


@app.command()
def close(folder: Annotated[Path, typer.Argument(metavar="DRAFT", help="The folder that `runbook draft` printed.")]):
    """Judge a draft as a run is judged, make its pages, and put it into the journal."""
    from runbook.journal import draft as drafts

    left = drafts.close(folder)
    summary(left.record, left.folder)
    raise typer.Exit(0 if left.record["result"] == "ok" else 1)


# Commands and groups of others are added here.
app.command()(undo)
app.command()(doctor)
app.add_typer(workspace.app, name="workspace")


def tell_settled(folders: list[Path]) -> None:
    """Say which runs were found whose runner had been killed."""
    for path in folders:
        out.print(f"{path.name}: its runner ended before it did; its report is finished now", markup=False, highlight=False, soft_wrap=True)


def journal(reports: Path | None) -> Path:
    """The journal's folder."""
    return (reports or paths.reports()).resolve()


def summary(record: dict, folder: Path) -> None:
    """A run in three lines: how it ended, what changed, where to read it."""
    from runbook.journal import progress, record as records

    counts = records.claims(record)
    colour = {"ok": "green", "failed": "red"}.get(record["result"], "yellow")
    out.print(f"{record['result']} in {progress.seconds(record['duration_s'])}", style=f"bold {colour}", highlight=False)
    changes = f"{records.total(record, 'changed')} changed, {records.total(record, 'unchanged')} unchanged"
    planned = records.total(record, "planned")
    out.print((f"{planned} would change, " if planned else "") + changes + " · claims: "
              + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()), highlight=False)
    out.print(str(folder / "index.html"), markup=False, highlight=False, soft_wrap=True)


def main(argv: list[str] | None = None) -> None:
    """The program ``runbook``. Exit code 1 for an error, 2 for a wrong command line, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in words
    words = [word for word in words if word != "--traceback"]
    try:
        app(args=words)
    except RunbookError as error:
        if traceback:
            raise
        first, *rest = str(error).splitlines() or [type(error).__name__]
        err.print(f"✘ {first}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        for line in rest:
            err.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except Exception as error:
        if traceback:
            raise
        err.print(f"✘ not foreseen: {type(error).__name__}: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        err.print("  Do this: run it again with --traceback, and report what it shows", markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
