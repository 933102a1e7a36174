"""The one page for a person who works in a workspace: its table in the README and its pages in the journal are made here."""

import re
from dataclasses import dataclass
from html import escape

HEAD = "| you want | do this |\n|---|---|"


@dataclass(frozen=True)
class Guide:
    """What such a page tells. The defaults are the README's: placeholders, and the parameters' defaults in words."""

    name: str = "<workspace>"
    owner: str = "<owner>"
    url: str = "https://<workspace>-<owner>.ws.<domain>"
    port_url: str = "https://3000-<workspace>-<owner>.ws.<domain>"
    password: str = r"kubectl -n ws-<owner> get secret <workspace> -o jsonpath='{.data.ide-password}' | base64 -d"
    left_alone: str = "left alone for an hour it stops by itself"
    quota: str = "the page of your workspace in the journal shows your quota and what is used of it"

    def rows(self) -> list[tuple[str, str]]:
        """What one wants, and what to do."""
        return [
            ("open your workspace", f"{_open(self.url)}; the first page asks for your password"),
            ("see a server that you started on port 3000", f"{_open(self.port_url)}, or `gp url 3000` in the terminal"),
            ("your password", f"the operator reads it with `{self.password}`"),
            ("your files", "`/workspace` and your home folder; both survive stopping, and so does the database (`127.0.0.1:3306`)"),
            ("stop for today", f"`gp stop` in the terminal; {self.left_alone}. Nothing is lost"),
            ("start again", f"ask the operator: `runbook workspace start {self.name} --owner {self.owner}`"),
            ("more room", f"{self.quota}; the operator raises it (`workspaces.quota`)"),
            ("it does not open", "wait a minute and reload; then tell the operator, who runs `runbook doctor`"),
        ]

    def table(self) -> str:
        """The rows in Markdown."""
        return "\n".join([HEAD, *(f"| {want} | {_cell(do)} |" for want, do in self.rows())])


class Pages(list):
    """Guides, shown in a notebook one below the other."""

    def _repr_html_(self) -> str:
        rows = [f"<h4>Workspace {escape(g.name)} of {escape(g.owner)}</h4><table>"
                + "".join(f"<tr><th>{want}</th><td>{_html(do)}</td></tr>" for want, do in g.rows()) + "</table>" for g in self]
        return "\n".join(rows) or "no workspace is there"

    def __repr__(self) -> str:
        return "\n\n".join("\n".join([f"{g.owner}/{g.name}", *(f"  {want}: {do}" for want, do in g.rows())]) for g in self) or "no workspace is there"


def duration(seconds: int) -> str:
    """``"an hour"``, ``"20 minutes"``, ``"90 seconds"``."""
    for unit, length in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}s" if count != 1 else ("an " if unit == "hour" else "a ") + unit
    return ""


def left_alone(seconds: int) -> str:
    """What becomes of a workspace in which nobody works."""
    return f"left alone for {duration(seconds)} it stops by itself" if seconds else "it does not stop by itself"


def _open(url: str) -> str:
    # What is not yet a URL is a sentence of its own.
    return f"`{url}`" if url.startswith("http") else url


def _html(text: str) -> str:
    spans = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"<code>(https?://[^<\s]+)</code>", r'<a href="\1">\1</a>', spans)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
