"""A figure with what belongs to it: its name, a sentence for those who cannot see it, and its data.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color: told apart with any colour vision); what differs by colour also differs by
line or marker, so that a black and white print reads as well.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from runbook.show import RECORD

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#767676"
FACE = {"font.size": 10, "axes.titlesize": 11, "legend.fontsize": 9}
DPI, WIDTH, HEIGHT = 130, 7.2, 3.4


@dataclass(frozen=True)
class Drawing:
    """A figure that a notebook shows as PNG and that the journal gathers (record ``figure``: ``name``, ``alt``, ``csv``)."""

    name: str
    figure: Figure
    alt: str
    data: pd.DataFrame

    def png(self) -> bytes:
        """The picture."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Description": self.alt, "Software": None})
        return buffer.getvalue()

    def csv(self) -> str:
        """The data that was drawn."""
        return self.data.to_csv(index=False)

    def record(self) -> dict:
        """For the journal."""
        return {"name": self.name, "alt": self.alt, "csv": self.csv()}

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = base64.b64encode(self.png()).decode()
        return {RECORD.format("figure"): self.record(), "image/png": png, "text/plain": f"[figure {self.name}: {self.alt}]"}, {
            "image/png": {"alt": self.alt}}

    def __repr__(self) -> str:
        return f"[figure {self.name}: {self.alt}]"


def canvas(heights: tuple[float, ...] = (1,), note: str = "", share: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure of axes one below the other, and a note at its foot (what is replayed, what stands in)."""
    with rc_context(FACE):
        figure = Figure(figsize=(WIDTH, max(HEIGHT, 1.75 * sum(heights) + 0.5)), layout="constrained", facecolor="white")
        axes = list(figure.subplots(len(heights), 1, sharex=share, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0])
    for ax in axes:
        ax.grid(True, color="#dddddd", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    if note:
        figure.supxlabel(note, fontsize=8, color=GREY, x=0.01, ha="left")
    return figure, axes


def objective_line(ax: Axes, under_ms: float) -> None:
    """The latency objective as a line; named in the legend, where it hides nothing."""
    ax.axhline(under_ms, color=RED, linestyle=(0, (6, 2)), linewidth=1.4, label=f"objective {under_ms:g} ms")


def milliseconds(ax: Axes, low: float, high: float) -> None:
    """A logarithmic axis of latencies, because a queue spans decades; plain numbers at 1, 2, 5, 10…"""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    if np.isfinite([low, high]).all() and low > 0:
        ax.set_ylim(low / 1.6, high * 1.8)


def time_axis(ax: Axes, seconds: pd.DataFrame) -> None:
    """Seconds since the beginning, whole numbers."""
    ax.set(xlim=(0, seconds["second"].max() + 1), xlabel="time (s)")
    ax.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 3, 5, 10]))


def stage_marks(ax: Axes, seconds: pd.DataFrame, names: bool = True) -> None:
    """A thin line where each stage of the load begins, and its name above the axes."""
    starts = seconds.drop_duplicates("stage")
    free, character = 0.0, 0.0115 * (seconds["second"].max() + 1)
    for row in starts.itertuples():
        if row.second:
            ax.axvline(row.second, color=GREY, linewidth=0.8, linestyle=":")
        # a name that would run into the one before is left to the line and the table
        if names and row.second >= free:
            ax.annotate(row.stage, (row.second, 1), xycoords=("data", "axes fraction"), ha="left", va="bottom", fontsize=8, color=GREY,
                        xytext=(1, 1), textcoords="offset points")
            free = row.second + character * (len(row.stage) + 0.5)


def legend(ax: Axes, handles=None, **more) -> None:
    """A legend that does not hide lines: beside the axes."""
    given = {} if handles is None else {"handles": handles}
    ax.legend(**given, loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0, frameon=False, fontsize=9, **more)
