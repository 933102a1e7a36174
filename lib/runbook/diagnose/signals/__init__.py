"""The table of what is looked for: one module a family, each with its cases and one function over a snapshot."""

from runbook.diagnose.findings import Case, Finding
from runbook.diagnose.signals import console, control, databases, docker, network, pods, releases, scaling, storage, urls
from runbook.diagnose.snapshot import Snapshot

#: In the order in which an error message is compared with them: special words before general ones.
FAMILIES = (pods, databases, docker, scaling, releases, storage, urls, console, control, network)
CASES: tuple[Case, ...] = tuple(case for family in FAMILIES for case in family.CASES)
LOOKED_AT = tuple(family.LOOKS_FOR for family in FAMILIES)


def evaluate(shot: Snapshot) -> list[Finding]:
    """Every finding of a snapshot, in the families' order. Notes in ``shot.blind`` what a family could not judge."""
    return [finding for family in FAMILIES for finding in _judged(family, shot)]


def _judged(family, shot: Snapshot) -> list[Finding]:
    """One object of an unforeseen form must not hide what the other families see."""
    found = []
    try:
        for finding in family.look(shot):
            found.append(finding)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        note = f"{family.LOOKS_FOR}: an object of an unforeseen form ended that look ({type(error).__name__}: {error})"
        shot.blind += [note] if note not in shot.blind else []
    return found
