"""What a person sees while a run goes on: lines, and on a terminal one that moves."""

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from runbook.journal import notebook as books
from runbook.journal.engine import Watcher

MARKS = {"ok": ("✔", "green"), "failed": ("✘", "red"), "interrupted": ("■", "yellow"), "not run": ("–", "dim")}


def seconds(value: float) -> str:
    """``0.4 s``, ``42 s``, ``3 min 05 s``, ``1 h 02 min``."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 100:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


class Progress(Watcher):
    """Tells step and cell: a moving line on a terminal, plain lines elsewhere.

    Args:
        console: where to.
        expected: seconds of each notebook by name, as far as known.
    """

    def __init__(self, console: Console, expected: dict[str, float]):
        self.console, self.expected = console, expected
        console.soft_wrap = True
        self._live, self._step, self._where, self._since, self._heading = None, None, "", 0.0, ""

    def step(self, step, index: int, count: int) -> None:
        """Step ``index`` of ``count`` begins."""
        self._step, self._since, self._where, self._heading = step, time.monotonic(), "starting", ""
        known = self.expected.get(step.name)
        self._expects = f", about {seconds(known)}" if known else ""
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._line, console=self.console, transient=True, refresh_per_second=4)
            self._live.start()
        else:
            self._say(f"[{index}/{count}] {step.number} {step.title}{self._expects}")

    def cell(self, notebook, index: int) -> None:
        """A cell begins; elsewhere than on a terminal, each heading is told once."""
        code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
        heading = books.headings(notebook)[index]
        self._where = f"cell {code.index(index) + 1}/{len(code)} · {heading}"
        if not self._live and heading != self._heading:
            self._say(f"      {self._where} · {seconds(time.monotonic() - self._since)}")
        self._heading = heading

    def ended(self, entry: dict) -> None:
        """The step's entry in ``run.json`` is known."""
        if self._live:
            self._live.stop()
            self._live = None
        mark, colour = MARKS[entry["outcome"]]
        line = Text.assemble((f"{mark} ", colour), (f"{entry['notebook'][:2]} {entry['title']}", "bold"),
                             (f"  {seconds(entry['duration_s'])}", "dim"), (told(entry), "dim"))
        self._say(line)
        if entry["reason"]:
            self._say(Text(f"  {entry['reason']}", colour))
        if entry["do"]:
            self._say(f"  Do this: {entry['do']}")
        if entry["fix"]:
            self._say(f"  See: {entry['fix']}.ipynb")

    def _say(self, line) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _line(self) -> Text:
        gone = seconds(time.monotonic() - self._since)
        return Text.assemble(("▸ ", "cyan"), (f"{self._step.number} {self._step.title}  ", "bold"),
                             (self._where, ""), (f"  {gone}{self._expects}", "dim"), overflow="ellipsis", no_wrap=True)


def told(entry: dict) -> str:
    """A step's changes and claims in a few words."""
    words = []
    if entry["changed"]:
        words.append(f"{entry['changed']} changed")
    if entry["planned"]:
        words.append(f"{entry['planned']} would change")
    if entry["unchanged"]:
        words.append(f"{entry['unchanged']} unchanged")
    for outcome in ("proven", "refuted", "not shown"):
        count = sum(claim["outcome"] == outcome for claim in entry["claims"])
        if count:
            words.append(f"{count} {outcome}")
    return " · " + ", ".join(words) if words else ""
