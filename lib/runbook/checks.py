"""Claims: sentences that a cell settles.

A claim is **proven**, **refuted** (the step stops) or **not shown**, with the reason. None is ever printed as
another: what cannot be shown in plan mode, on the rehearsal or on this target is said to be so.
"""

from collections.abc import Callable
from html import escape

from runbook.errors import ClaimRefuted, NotRecorded
from runbook.show import emit

PROVEN, REFUTED, NOT_SHOWN = "proven", "refuted", "not shown"
MARKS = {PROVEN: "✔", REFUTED: "✘", NOT_SHOWN: "–"}
COLOURS = {PROVEN: "#117733", REFUTED: "#aa2222", NOT_SHOWN: "#666666"}


def check(ok: bool | Callable[[], bool], claim: str, otherwise: str, *, fix: str = "", shown: str = "") -> None:
    """Settle a claim.

    Args:
        ok: whether it holds; a function is called only if the claim can be shown.
        claim: the sentence, as it stands when it holds: ``"the node has room"``.
        otherwise: what to do when it does not hold.
        fix: the notebook that mends it, without ending.
        shown: why it cannot be shown here, empty if it can. A claim that fails all the same is refuted:
            a reason never hides a failure that was seen.

    Raises:
        ClaimRefuted: it does not hold.
    """
    if callable(ok):
        try:
            ok = True if shown else ok()
        except NotRecorded as error:
            ok, shown = True, error.what
    outcome = REFUTED if not ok else NOT_SHOWN if shown else PROVEN
    reason = {PROVEN: "", REFUTED: otherwise, NOT_SHOWN: shown}[outcome]
    text = f"{MARKS[outcome]} {outcome}: {claim}" + (f" ({reason})" if reason else "")
    html = (
        f'<div style="border-left:4px solid {COLOURS[outcome]};padding:.2em .6em">{MARKS[outcome]} '
        f'<b style="color:{COLOURS[outcome]}">{outcome}</b>: {escape(claim)}'
        + (f"<br><small>{escape(reason)}</small>" if reason else "") + "</div>"
    )
    emit("claim", {"claim": claim, "outcome": outcome, "reason": reason, "fix": fix}, text, html)
    if outcome == REFUTED:
        raise ClaimRefuted(f"refuted: {claim}", do=otherwise, fix=fix)


def done(next: str = "", trouble: str = "90-diagnose") -> None:
    """The last cell of a notebook: the sentinel that the runner looks for.

    Args:
        next: the notebook to read next, without ending.
        trouble: the notebook to go to if something looks wrong.
    """
    text = "Done." + (f" Next: {next}.ipynb." if next else "") + f" If something looks wrong: {trouble}.ipynb."
    emit("done", {"next": next, "trouble": trouble}, text)
