"""What every command takes: the site's parameters."""

from pathlib import Path
from typing import Annotated

import typer

from runbook import paths

Params = Annotated[Path | None, typer.Option("--params", "-f", metavar="FILE", help="The site's YAML; without it the embedded rehearsal.")]
Assigned = Annotated[list[str] | None, typer.Option("--set", "-p", metavar="SECTION.KEY=VALUE", help="Set one value; may be repeated.")]
Mode = Annotated[str | None, typer.Option(metavar="plan|apply", help="plan shows what would change, apply changes it; overrides the parameters.")]


def site_parameters(params: Path | None, mode: str | None, assigned: list[str] | None) -> dict:
    """The parameters of a run: the file (or the rehearsal's), then ``-p``, then ``--mode``; all of it validated.

    Raises:
        ParameterError: anything unknown or of a wrong type, before anything is started.
    """
    from runbook import params as models
    from runbook.errors import ParameterError

    default = paths.params() / "rehearsal.yaml"
    given = models.load_file(params) if params else models.load_file(default) if default.exists() else {"mode": "apply"}
    for assignment in assigned or []:
        given = models.override(given, assignment)
    given = {"name": "rehearsal", "target": "rehearsal", "mode": "plan", **given, **({"mode": mode} if mode else {})}
    models.validate(given)
    if given["target"] != "rehearsal" and given["name"] == "rehearsal":
        raise ParameterError("parameters: name: “rehearsal” is the rehearsal's; a real site needs its own", do="set name")
    return given
