"""The way of a request as a picture: one box a hop, the broken one red. Pure: DataFrame in, a Drawing out."""

import textwrap

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from runbook.checks import COLOURS, REFUTED
from runbook.plots.drawing import FACE, GREEN, GREY, Drawing

#: State of a hop → border, fill, sign. The sign tells them apart without colour, too.
LOOKS = {"ok": (GREEN, "#e8f5f0", "✔"), "broken": (COLOURS[REFUTED], "#f8e0e0", "✘"), "not shown": (GREY, "#f2f2f2", "–")}
BOX, GAP, HIGH = 1.62, 0.28, 1.5


def request_path(found: pd.DataFrame, name: str, note: str = "") -> Drawing:
    """Rows of boxes from the name to the container, one row a URL.

    Args:
        found: the hops of one URL or of some: ``url``, ``hop``, ``what``, ``state``, ``observed``, ``otherwise``.
        name: the file's name, without ending.
        note: what is replayed, at the foot.
    """
    ways = list(found.groupby("url", sort=False))
    most = max((len(way) for _, way in ways), default=1)
    with rc_context(FACE):
        figure = Figure(figsize=(most * (BOX + GAP) * 0.78, 0.45 + len(ways) * 1.75), facecolor="white")
        ax = figure.add_axes((0.01, 0.03, 0.98, 0.95))
    ax.set_axis_off()
    for row, (url, way) in enumerate(ways):
        _row(ax, -row * (HIGH + 0.75), str(url), way)
    ax.set(xlim=(-0.1, most * (BOX + GAP)), ylim=(-(len(ways) - 1) * (HIGH + 0.75) - 0.35, HIGH + 0.45))
    if note:
        figure.text(0.01, 0.01, note, fontsize=8, color=GREY)
    return Drawing(name, figure, _alt(ways), found)


def _row(ax, low: float, url: str, way: pd.DataFrame) -> None:
    ax.text(0, low + HIGH + 0.14, url, fontsize=10, fontweight="bold", va="bottom")
    passed = True
    for place, hop in enumerate(way.itertuples()):
        left = place * (BOX + GAP)
        border, fill, sign = LOOKS[hop.state]
        ax.add_patch(FancyBboxPatch((left, low), BOX, HIGH, boxstyle="round,pad=0,rounding_size=0.08", facecolor=fill, edgecolor=border,
                                    linewidth=2.6 if hop.state == "broken" else 1.4))
        ax.text(left + 0.08, low + HIGH - 0.1, f"{sign} {hop.hop}", va="top", fontsize=10, fontweight="bold", color=border)
        ax.text(left + 0.08, low + HIGH - 0.42, _wrapped(hop.what, 3), va="top", fontsize=7.5, color="#222222", linespacing=1.15)
        ax.text(left + 0.08, low + 0.08, _wrapped(hop.observed, 3), va="bottom", fontsize=7.5, color=border, linespacing=1.15)
        if place:
            ax.add_patch(FancyArrowPatch((left - GAP, low + HIGH / 2), (left, low + HIGH / 2), arrowstyle="-|>", mutation_scale=11,
                                         color="#333333" if passed else GREY, linestyle="-" if passed else ":"))
        passed = passed and hop.state != "broken"


def _wrapped(text: str, lines: int, width: int = 19) -> str:
    """Some lines of text; a long name is cut at its dots, hyphens and slashes first."""
    spaced = str(text).replace("/", "/\u200b").replace(".", ".\u200b")
    out: list[str] = []
    for piece in textwrap.wrap(spaced.replace("\u200b", " \u200b"), width, break_long_words=True):
        out.append(piece.replace(" \u200b", ""))
    return "\n".join(out[:lines]) + ("…" if len(out) > lines else "")


def _alt(ways: list) -> str:
    said = []
    for url, way in ways:
        wrong = way[way.state == "broken"]
        said.append(f"{url}: " + (f"broken at {wrong.hop.iloc[0]} ({wrong.observed.iloc[0]})" if len(wrong) else
                                  f"{(way.state == 'ok').sum()} of {len(way)} hops are well, none is broken"))
    return "The way of a request, hop by hop. " + "; ".join(said) + "."
