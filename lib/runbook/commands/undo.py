"""``runbook undo STEP``: take back what one step left."""

from typing import Annotated

import typer

from runbook.cli_options import Assigned, Mode, Params, site_parameters


def undo(
    step: Annotated[str, typer.Argument(metavar="STEP", help="Its number: 02.")],
    params: Params = None, mode: Mode = None, assigned: Assigned = None,
    delete_data: Annotated[bool, typer.Option("--delete-data", help="The users' data, too; asks for --confirm.")] = False,
    confirm: Annotated[str, typer.Option(metavar="SITE", help="The site's name, typed, where data are deleted.")] = "",
):
    """Take back what one step left: show it, or with --mode apply do it. Data stay unless asked otherwise."""
    from runbook import connect
    from runbook.errors import ParameterError
    from runbook.operations.undo import sections, undo as undo_step
    from runbook.params import SECTIONS
    from runbook.plans import apply

    given = site_parameters(params, mode, assigned)
    if delete_data and given["mode"] == "apply" and confirm != given["name"]:
        raise ParameterError(f"undo {step}: deleting data asks for the site's name", do=f"add --confirm {given['name']}")
    wanted = sections(**{name: given.get(name, {}) for name in SECTIONS})
    site = connect(given["target"], name=given["name"], kubeconfig=given.get("kubeconfig", ""), mode=given["mode"])
    plan = undo_step(step, site, wanted, delete_data)
    typer.echo(str(plan))
    typer.echo(str(apply(plan, given["mode"])))
