"""``runbook doctor``: look for every known failure, once; an exit code for automation, a bundle for asking help."""

from pathlib import Path
from typing import Annotated

import typer

from runbook.cli_options import Assigned, Params, site_parameters


def doctor(
    params: Params = None,
    assigned: Assigned = None,
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Only this one; may be repeated.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="OUT.zip", help="Write what was seen, without secrets, to send it to somebody."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
):
    """Look for every known failure of the server and its cluster. Changes nothing.

    Exit code 0: nothing found; 1: warnings; 2: something critical; 3: nothing found, but not everything could be seen.
    """
    import json

    from runbook.diagnose import bundle as bundles, connect, evaluate, take
    from runbook.params import section

    given = site_parameters(params, None, assigned)
    site = connect(given["target"], name=given["name"], kubeconfig=given.get("kubeconfig", ""))
    shot = take(site, section("console", given.get("console", {})), tuple(namespace or ()))
    report = evaluate(shot)
    typer.echo(json.dumps(report.record(), indent=1, ensure_ascii=False) if as_json else str(report))
    if bundle:
        typer.echo(f"written: {bundles.write(bundle, shot, report)}", err=True)
    raise typer.Exit(report.exit_code)
