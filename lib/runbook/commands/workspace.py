"""``runbook workspace create · list · open · stop · start · delete · logs``: the life of a workspace."""

import sys
from typing import Annotated

import typer

from runbook.cli_options import Assigned, Mode, Params, site_parameters

app = typer.Typer(no_args_is_help=True, help="Create, open, stop, start and delete workspaces.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The workspace.")]
Owner = Annotated[str, typer.Option(help="Whose it is.")]


@app.command()
def create(
    name: Name, owner: Owner, params: Params = None, mode: Mode = None, assigned: Assigned = None,
    repo: Annotated[str, typer.Option(metavar="URL", help="A git repository to begin with; without it an example page.")] = "",
    ref: Annotated[str, typer.Option(metavar="BRANCH", help="Its branch or tag.")] = "",
    git_secret: Annotated[str, typer.Option(metavar="SECRET", help="Secret of the owner's namespace with username and password for it.")] = "",
    image: Annotated[str, typer.Option(help="Image of the workspace; default: the repository's, else the site's.")] = "",
):
    """Make a workspace, and wait until its IDE answers."""
    from runbook import section
    from runbook.facts import workspaces as facts
    from runbook.operations.workspaces import ensure_workspaces, warnings
    from runbook.plans import apply

    asked = {"name": name, "owner": owner, "repo": repo, "ref": ref, "git_secret": git_secret, "image": image}
    site, wanted = _open(params, mode, assigned)
    made = section("workspaces", {"list": [asked]})
    for said in warnings(site, made):
        typer.echo(f"! {said}")
    plan = ensure_workspaces(site, wanted, only=tuple(made.list))
    typer.echo(str(plan))
    typer.echo(str(apply(plan, site.mode)))
    if site.mode == "apply":
        _tell(site, name, owner)
        answers = facts.ides(site, made)
        if wanted.ide != "none" and not (answers.status == 200).all():
            typer.echo(f"Its IDE does not answer yet. {facts.trouble(site, name, owner)}")
            raise typer.Exit(1)


@app.command("list")
def list_(
    owner: Annotated[str, typer.Option(help="Only this owner's.")] = "", params: Params = None, mode: Mode = None, assigned: Assigned = None,
):
    """List the workspaces: state, age, CPU and memory in use, size of volumes, URL."""
    from rich.console import Console
    from rich.table import Table

    from runbook.facts import workspaces as facts

    site, _ = _open(params, mode, assigned)
    found = facts.table(site, owner)
    table = Table("owner", "workspace", "state", "age", "CPU", "memory", "volumes", "URL", box=None, header_style="dim", pad_edge=False)
    for w in found.itertuples():
        cpu, memory = ("–" if v != v else f for v, f in ((w.cpu, f"{w.cpu:.3f}"), (w.memory, f"{w.memory:.0f} MiB")))
        table.add_row(w.owner, w.name, w.state, _age(w.age), cpu, memory, f"{w.storage:g} GiB", w.url or "–")
    Console().print(table, markup=False, highlight=False)
    for w in found.itertuples():
        if w.why:
            typer.echo(f"{w.owner}/{w.name}: {w.why}")


@app.command("open")
def open_(name: Name, owner: Owner, params: Params = None, mode: Mode = None, assigned: Assigned = None):
    """Say where a workspace is, and how to read its password."""
    from runbook.operations.workspaces import existing

    site, _ = _open(params, mode, assigned)
    existing(site, name, owner)
    _tell(site, name, owner)


@app.command()
def stop(name: Name, owner: Owner, params: Params = None, mode: Mode = None, assigned: Assigned = None):
    """Stop a workspace. Files, settings and data stay."""
    from runbook.operations import workspaces

    site, _ = _open(params, mode, assigned)
    _apply(site, workspaces.stop(site, name, owner))


@app.command()
def start(name: Name, owner: Owner, params: Params = None, mode: Mode = None, assigned: Assigned = None):
    """Start a workspace again."""
    from runbook.operations import workspaces

    site, wanted = _open(params, mode, assigned)
    _apply(site, workspaces.start(site, name, owner, wanted.timeout))
    if site.mode == "apply":
        _tell(site, name, owner)


@app.command()
def delete(
    name: Name, owner: Owner, params: Params = None, mode: Mode = None, assigned: Assigned = None,
    confirm: Annotated[str, typer.Option(metavar="NAME", help="The workspace's name, typed again.")] = "",
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Keep its volumes; a new workspace of that name takes them up.")] = False,
):
    """Delete a workspace with its files and its database. Asks for its name, typed again."""
    from runbook.errors import ParameterError
    from runbook.operations import workspaces

    site, _ = _open(params, mode, assigned)
    plan = workspaces.delete(site, name, owner, keep_data=keep_data)
    if not plan:
        workspaces.existing(site, name, owner)
    if plan and site.mode == "apply" and confirm != name:
        typer.echo(str(plan))
        typed = typer.prompt("Type its name to delete it", default="", show_default=False) if sys.stdin.isatty() and not confirm else confirm
        if typed != name:
            raise ParameterError(f"delete {owner}/{name}: its name was not typed; nothing was deleted", do=f"add --confirm {name}")
    _apply(site, plan)


@app.command()
def logs(
    name: Name, owner: Owner, params: Params = None, mode: Mode = None, assigned: Assigned = None,
    container: Annotated[str, typer.Option(help="web (IDE, Apache, tasks), mariadb; clone and users run before them.")] = "web",
    tail: Annotated[int, typer.Option(help="How many lines.")] = 100,
):
    """Show the last log lines of a workspace, and what keeps it from being ready."""
    from runbook.facts import workspaces as facts
    from runbook.operations.workspaces import existing
    from runbook.workspaces import namespace

    site, _ = _open(params, mode, assigned)
    state, _ = facts.state_of(existing(site, name, owner), site.cluster.get("Pod", f"{name}-0", namespace(owner)))
    if state == "stopped":
        typer.echo(f"{owner}/{name} is stopped; start it with: runbook workspace start {name} --owner {owner}")
        return
    if state != "ready":
        typer.echo(facts.trouble(site, name, owner))
    typer.echo(site.cluster.logs(f"{name}-0", namespace(owner), container, tail=tail).rstrip())


def _open(params, mode, assigned):
    """The site, and its section ``workspaces``."""
    from runbook import connect, section
    from runbook.errors import RunbookError

    given = site_parameters(params, mode, assigned)
    wanted = section("workspaces", given.get("workspaces", {}))
    site = connect(given["target"], name=given["name"], kubeconfig=given.get("kubeconfig", ""), mode=given["mode"])
    if site.cluster is None:
        raise RunbookError(f"site {site.name}: no Kubernetes yet", do="run step 01 first", fix="01-install-k3s")
    return site, wanted


def _apply(site, plan) -> None:
    from runbook.plans import apply

    typer.echo(str(plan))
    typer.echo(str(apply(plan, site.mode)))


def _tell(site, name: str, owner: str) -> None:
    """Where a workspace is reached, and the command that shows its password."""
    from runbook.facts import workspaces as facts
    from runbook.workspaces import namespace

    found = facts.table(site, owner)
    url = next((w.url for w in found.itertuples() if w.name == name), "")
    if not url:
        typer.echo(f"It has no URL before step 05. From this server: kubectl -n {namespace(owner)} port-forward service/{name} {facts.IDE_PORT}")
        url = f"http://127.0.0.1:{facts.IDE_PORT}"
    typer.echo(f"Open:     {url}")
    typer.echo(f"Password: {facts.password_command(name, owner)}")


def _age(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
