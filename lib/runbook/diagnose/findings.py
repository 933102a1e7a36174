"""A finding: what is wrong, where, since when, what it means for users, and what to do about it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from html import escape

import pandas as pd

from runbook.secrets import mask

CRITICAL, WARNING, NOTICE = "critical", "warning", "notice"
SEVERITIES = (CRITICAL, WARNING, NOTICE)
COLOURS = {CRITICAL: "#aa2222", WARNING: "#996600", NOTICE: "#332288"}
COLUMNS = ["severity", "what", "where", "since", "evidence", "meaning", "do", "fix"]


@dataclass(frozen=True)
class Case:
    """What is known of one kind of failure.

    Attributes:
        name: ``"image-not-found"``; unique in the table.
        severity: ``critical`` (users cannot work), ``warning`` (some cannot, or soon), ``notice`` (nobody is hurt yet).
        what: what is wrong, in a sentence without its subject's name.
        meaning: what it means for users.
        do: the next action.
        fix: the notebook that mends it, without ending; empty if the action says it all.
        pattern: words of an error message that tell this case (a regular expression, case ignored); empty if no message does.
    """

    name: str
    severity: str
    what: str
    meaning: str
    do: str
    fix: str = ""
    pattern: str = ""

    def matches(self, text: str) -> bool:
        return bool(self.pattern) and re.search(self.pattern, text, re.IGNORECASE) is not None

    def at(self, where: str, since: str = "", evidence: str = "") -> "Finding":
        """This case, seen somewhere."""
        line = " ".join(mask(evidence).split())
        return Finding(self.name, self.severity, self.what, where, since, line if len(line) <= 400 else line[:399] + "…",
                       self.meaning, self.do, self.fix)


@dataclass(frozen=True)
class Finding:
    """A case seen at a place. ``since`` is a UTC time or empty."""

    signal: str
    severity: str
    what: str
    where: str
    since: str
    evidence: str
    meaning: str
    do: str
    fix: str = ""

    def record(self) -> dict:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.what}: {self.where}" + (f" (since {self.since})" if self.since else "")]
        lines += [f"  seen: {self.evidence}"] if self.evidence else []
        return "\n".join(
            [*lines, f"  means: {self.meaning}", f"  do: {self.do}"] + ([f"  see: {self.fix}.ipynb"] if self.fix else [])
        )


def first_match(cases: Iterable[Case], text: str) -> Case | None:
    """The first case whose words are in a text."""
    return next((case for case in cases if case.matches(text)), None)


@dataclass(frozen=True)
class Report:
    """What a diagnosis found, what it looked at, and what it could not see.

    Attributes:
        findings: worst first.
        looked_at: what was looked for, in words, one a signal.
        blind: what could not be seen, and why.
        calls: API requests made.
    """

    findings: tuple[Finding, ...]
    looked_at: tuple[str, ...]
    blind: tuple[str, ...] = ()
    calls: int = 0
    taken: str = ""
    replayed: str = ""

    @property
    def exit_code(self) -> int:
        """For automation: 2 critical, 1 a warning, 3 nothing found but not everything could be seen, 0 nothing."""
        severities = {f.severity for f in self.findings}
        return 2 if CRITICAL in severities else 1 if WARNING in severities else 3 if self.blind else 0

    def of(self, *signals: str, namespace: str = "") -> tuple[Finding, ...]:
        """The findings of these signals; of one namespace if it is given."""
        return tuple(
            f
            for f in self.findings
            if f.signal in signals and (not namespace or f.where.split(" ")[-1].startswith(f"{namespace}/"))
        )

    def table(self) -> pd.DataFrame:
        """Columns: severity, what, where, since, evidence, meaning, do, fix; the same trouble in many places is one row."""
        rows = [
            {c: getattr(f, c) for c in COLUMNS} | {"where": f.where + (f" and {n - 1} more" if n > 1 else "")}
            for f, n in self.grouped()
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def grouped(self) -> Iterator[tuple[Finding, int]]:
        """The first finding of each signal, and how many there are; a few (three) are told one by one."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.signal, []).append(finding)
        for group in groups.values():
            yield from ([(f, 1) for f in group] if len(group) <= 3 else [(group[0], len(group))])

    def record(self) -> dict:
        return {"taken": self.taken, "findings": [f.record() for f in self.findings], "looked_at": list(self.looked_at),
                "blind": list(self.blind), "calls": self.calls}

    def __str__(self) -> str:
        lines = [str(f) + (f"\n  and in {n - 1} more places" if n > 1 else "") for f, n in self.grouped()]
        if not lines:
            lines = [f"Nothing found. Looked at: {'; '.join(self.looked_at)}."]
        lines += [f"not seen: {b}" for b in self.blind]
        return "\n".join(lines + ([f"({self.replayed})"] if self.replayed else []))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = []
        for f, n in self.grouped():
            link = f' · <a href="{f.fix}.ipynb">{f.fix}</a>' if f.fix else ""
            more = f" <i>and {n - 1} more</i>" if n > 1 else ""
            parts.append(
                f'<div style="border-left:4px solid {COLOURS[f.severity]};padding:.2em .6em;margin:.4em 0">'
                f'<b style="color:{COLOURS[f.severity]}">{f.severity}</b>: {escape(f.what)}: <b>{escape(f.where)}</b>{more} '
                f"<small>{escape(f.since)}</small><br>{escape(f.meaning)}<br>"
                f"<b>Do:</b> {escape(f.do)}{link}"
                + (f"<br><small><code>{escape(f.evidence)}</code></small>" if f.evidence else "")
                + "</div>"
            )
        if not parts:
            parts = [f"<p>Nothing found. Looked at: {escape('; '.join(self.looked_at))}.</p>"]
        parts += [f"<p><b>not seen:</b> {escape(b)}</p>" for b in self.blind]
        return "".join(parts) + (f"<p><small>{escape(self.replayed)}</small></p>" if self.replayed else "")


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first, then by signal and place; each once."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: (SEVERITIES.index(f.severity), f.signal, f.where)))


def cases_table(cases: Iterable[Case], notebook: str = "") -> pd.DataFrame:
    """What is known: columns signal, severity, what, do; of one notebook if it is given."""
    rows = [
        {"signal": c.name, "severity": c.severity, "what": c.what, "do": c.do} for c in cases if not notebook or c.fix == notebook
    ]
    return pd.DataFrame(rows, columns=["signal", "severity", "what", "do"])
