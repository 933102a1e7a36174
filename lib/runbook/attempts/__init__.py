"""What is tried on a running site, as its users would; each attempt takes away what it made. Only in apply mode.

Every module hands back a table with a row an attempt: ``attempt``, ``ok``, ``said`` (what happened, in its own words), ``shown`` (why it
shows nothing: replayed, or its control failed; empty if it does).
"""

import pandas as pd

from runbook.checks import check

UNHEARD = "the rehearsal has no recording of this attempt"
COLUMNS = ["attempt", "ok", "said", "shown"]


def table(rows: list[tuple]) -> pd.DataFrame:
    """Rows ``(attempt, ok, said, shown)`` as a table."""
    return pd.DataFrame(rows, columns=COLUMNS)


def settle(site, tried: pd.DataFrame | None, attempt: str, claim: str, otherwise: str, *, absent: str = "", fix: str = "") -> None:
    """Settle the claim that rests on one attempt.

    Args:
        tried: the attempts; ``None`` when none was made.
        absent: why it was not made: no Docker, no second workspace. Plan mode is known without it.

    Raises:
        ClaimRefuted: the attempt went the wrong way; its own words are in the message.
    """
    found = None if tried is None else next((row for row in tried.itertuples() if row.attempt == attempt), None)
    if found is None:
        check(True, claim, otherwise, fix=fix, shown=absent or site.shown() or "it was not tried: an earlier attempt failed")
        return
    said = str(found.said).strip()
    check(bool(found.ok), claim, f"{otherwise}; seen: {said}" if said else otherwise, fix=fix, shown=site.seen(found.shown))
