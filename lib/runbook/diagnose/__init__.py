"""Failures found by the machine: one snapshot of host and cluster, a table of signals, findings that link to what mends them.

::

    report = diagnose(site)     # a Report: shows itself; .table(), .exit_code
    explain(error_text)         # the same table on one message: a Finding, or None
"""

from runbook.diagnose import signals
from runbook.diagnose.findings import Case, Finding, Report, cases_table, ordered
from runbook.diagnose.open import connect
from runbook.diagnose.snapshot import Snapshot, take

__all__ = ["Case", "Finding", "Report", "Snapshot", "connect", "diagnose", "evaluate", "explain", "known", "take"]


def diagnose(site, console=None, namespaces: tuple[str, ...] = ()) -> Report:
    """Read host and cluster once and say what is wrong.

    Args:
        site: an opened site; its cluster may be absent or silent.
        console: the ``console`` section, where step 91 is used.
        namespaces: only objects of these; empty for all.
    """
    return evaluate(take(site, console, namespaces))


def evaluate(shot: Snapshot) -> Report:
    """The report of a snapshot. Pure."""
    return Report(ordered(signals.evaluate(shot)), signals.LOOKED_AT, tuple(shot.blind), shot.calls, shot.taken, shot.replayed)


def known(notebook: str = ""):
    """What is looked for, as a table (columns signal, severity, what, do); of one notebook if it is given."""
    return cases_table(signals.CASES, notebook)


def explain(error_text: str) -> Finding | None:
    """What an error message is known to mean, or ``None``. Pure; for a failed step of the journal."""
    for case in signals.CASES:
        if case.matches(error_text):
            line = next((line for line in error_text.splitlines() if case.matches(line)), error_text)
            return case.at("this step", evidence=line.strip())
    return None
