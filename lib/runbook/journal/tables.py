"""The journal as tables, for the notebooks that speak of it."""

import pandas as pd

from runbook import paths
from runbook.journal import history, notebook


def catalogue() -> pd.DataFrame:
    """Every runbook. Columns ``notebook``, ``what you have afterwards``."""
    steps = notebook.steps(paths.notebooks())
    return pd.DataFrame([(s.name, s.sentence) for s in steps], columns=["notebook", "what you have afterwards"]).set_index("notebook")


def changes(name: str) -> pd.DataFrame:
    """What the runs of a site changed, newest first. Columns ``when`` (UTC), ``step``, ``change``."""
    rows = [
        (record["started"], step["notebook"], title)
        for _, record in history.all_runs(paths.reports()) if record["name"] == name
        for step in record["steps"] for outcome in step.get("outcomes", []) if outcome["mode"] == "apply" for title in outcome["items"]
    ]
    return pd.DataFrame(rows, columns=["when", "step", "change"])
