"""Graphs of a load test: offered and achieved, latency, failures, the knee, before and after. Pure: DataFrames in, a Drawing out."""

import numpy as np
import pandas as pd

from runbook.load import Knee, Objective
from runbook.plots.drawing import (BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, Drawing, canvas, legend, milliseconds, objective_line,
                                   stage_marks, time_axis)

KIND_FACES = [(RED, ""), (ORANGE, "///"), (PURPLE, "..."), (BLUE, "xxx"), (GREY, "---"), (SKY, "\\\\\\")]


def offered_achieved(seconds: pd.DataFrame, name: str, note: str = "") -> Drawing:
    """What was offered and what was answered well, second by second.

    Args:
        seconds: :func:`runbook.load.by_second`.
        name: of the files.
        note: at the foot.
    """
    figure, (ax,) = canvas(note=note)
    at = seconds["second"] + 0.5
    ax.plot(at, seconds["offered"], color=BLACK, linewidth=1.8, label="offered")
    ax.plot(at, seconds["achieved"], color=GREEN, linewidth=1.4, linestyle="--", label="answered well")
    lost = seconds["failed"].sum()
    if lost:
        ax.bar(at, seconds["failed"], width=0.9, color=RED, alpha=0.8, label="failed")
    ax.set(ylabel="requests per second", ylim=(0, None))
    time_axis(ax, seconds)
    ax.set_title("Load: what was offered, what was answered", loc="left", pad=16)
    stage_marks(ax, seconds)
    legend(ax)
    alt = (f"Requests per second over {len(seconds)} s: offered up to {seconds['offered'].max():.0f}/s, answered well up to "
           f"{seconds['achieved'].max():.0f}/s; {seconds['offered'].sum():.0f} offered in all, {lost:.0f} failed.")
    return Drawing(name, figure, alt, seconds[["second", "stage", "planned", "offered", "achieved", "failed"]])


def latency(seconds: pd.DataFrame, objective: Objective, name: str, note: str = "") -> Drawing:
    """Latency percentiles of each second, with the objective."""
    figure, (ax,) = canvas(note=note)
    at = seconds["second"] + 0.5
    for column, colour, style, width in (("p50", BLUE, "-", 1.8), ("p95", ORANGE, "--", 1.6), ("p99", PURPLE, "-.", 1.3)):
        ax.plot(at, seconds[column], color=colour, linestyle=style, linewidth=width, label=column)
    ax.plot(at, seconds["max"], color=GREY, linestyle="", marker=".", markersize=3, label="slowest")
    ax.set_ylabel("latency (ms, logarithmic)")
    time_axis(ax, seconds)
    milliseconds(ax, min(seconds["p50"].min(), objective.under_ms), max(seconds["max"].max(), objective.under_ms))
    objective_line(ax, objective.under_ms)
    ax.set_title("Latency of the requests that arrived in each second", loc="left", pad=16)
    stage_marks(ax, seconds)
    legend(ax)
    over = int((seconds["p95"] > objective.under_ms).sum())
    alt = (f"Latency over {len(seconds)} s: median of the seconds' p50 {seconds['p50'].median():.0f} ms, highest p95 {seconds['p95'].max():.0f} ms, "
           f"slowest request {seconds['max'].max():.0f} ms; p95 was over the objective of {objective.under_ms:g} ms in {over} s.")
    return Drawing(name, figure, alt, seconds[["second", "stage", "p50", "p95", "p99", "max"]])


def failures(errors: pd.DataFrame, seconds: pd.DataFrame, name: str, note: str = "") -> Drawing:
    """Failed requests of each second, by kind (:func:`runbook.load.errors`). None failed: the axes say so."""
    figure, (ax,) = canvas(note=note)
    ax.set_ylabel("failed requests per second")
    time_axis(ax, seconds)
    ax.set_title("Failed requests, by kind", loc="left", pad=16)
    stage_marks(ax, seconds)
    offered, total = int(seconds["offered"].sum()), int(errors["requests"].sum())
    if errors.empty:
        ax.set(ylim=(0, 1), yticks=[0])
        ax.text(0.5, 0.5, f"none of {offered} requests failed", transform=ax.transAxes, ha="center", va="center", fontsize=13, color=GREEN)
        return Drawing(name, figure, f"None of {offered} requests failed.", errors)
    table = errors.pivot_table(index="second", columns="kind", values="requests", aggfunc="sum", fill_value=0)
    foot = np.zeros(len(table))
    for (kind, counts), (colour, hatch) in zip(table.items(), KIND_FACES * len(table.columns)):
        ax.bar(table.index + 0.5, counts, bottom=foot, width=0.9, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=kind)
        foot = foot + counts.to_numpy()
    legend(ax)
    kinds = ", ".join(f"{n} {kind}" for kind, n in errors.groupby("kind")["requests"].sum().items())
    return Drawing(name, figure, f"{total} of {offered} requests failed: {kinds}.", errors)


def knee_curve(stages: pd.DataFrame, objective: Objective, knee: Knee, name: str, note: str = "") -> Drawing:
    """Latency against the offered rate; the knee is the highest rate that keeps the objective."""
    figure, (ax,) = canvas(note=note)
    for column, colour, style, marker in (("p50", BLUE, "-", "o"), ("p95", ORANGE, "--", "s"), ("p99", PURPLE, "-.", "^")):
        ax.plot(stages["offered"], stages[column], color=colour, linestyle=style, marker=marker, label=column)
    bad = stages[~stages["good"]]
    ax.plot(bad["offered"], bad["p95"], linestyle="", marker="x", color=RED, markersize=11, markeredgewidth=2, label="too much")
    ax.set(xlabel="offered requests per second", ylabel="latency (ms, logarithmic)", xlim=(0, stages["offered"].max() * 1.06))
    milliseconds(ax, min(stages["p50"].min(), objective.under_ms), max(stages["p99"].max(), objective.under_ms))
    objective_line(ax, objective.under_ms)
    if knee.stage:
        ax.axvline(knee.rate, color=GREEN, linewidth=1.6)
        right = knee.rate > stages["offered"].max() * 0.6
        ax.annotate(f"knee: {knee.rate:.0f}/s" + ("" if knee.beyond else " or more"), (knee.rate, 0.96), xycoords=("data", "axes fraction"),
                    xytext=(-5 if right else 5, 0), textcoords="offset points", ha="right" if right else "left", va="top", color=GREEN)
    if knee.beyond:  # a queue that grows is too much before the latency is
        ax.text(0, 1.02, f"{knee.beyond} is too much: {knee.why}", transform=ax.transAxes, fontsize=8, color=RED, va="bottom")
    ax.set_title("How latency grows with the load", loc="left", pad=16)
    legend(ax)
    alt = (f"Latency against offered rate from {stages['offered'].min():.0f} to {stages['offered'].max():.0f} requests/s; "
           f"objective {objective}; knee: {knee}.")
    return Drawing(name, figure, alt, stages)


def before_after(before: pd.DataFrame, after: pd.DataFrame, objective: Objective, name: str, note: str = "") -> Drawing:
    """The same staircase before and after a change: p95 by offered rate, side by side."""
    figure, (ax,) = canvas(note=note)
    both = before.merge(after, on="stage", suffixes=("_before", "_after"))
    places = np.arange(len(both))
    ax.vlines(places, both["p95_before"], both["p95_after"], color=GREY, linewidth=1)
    for when, colour, marker, side in (("before", ORANGE, "s", -1), ("after", BLUE, "o", 1)):
        values = both[f"p95_{when}"]
        ax.plot(places, values, color=colour, marker=marker, markersize=8, linestyle="", label=f"p95 {when}")
        for place, value in zip(places, values):
            ax.annotate(f"{value:.0f}", (place, value), xytext=(7 * side, 0), textcoords="offset points", fontsize=9, va="center",
                        ha="left" if side > 0 else "right")
    p95 = both[["p95_before", "p95_after"]]
    milliseconds(ax, min(p95.min().min(), objective.under_ms), max(p95.max().max(), objective.under_ms))
    ax.set(ylabel="p95 latency (ms, logarithmic)", xlabel="offered requests per second", xlim=(-0.6, len(both) - 0.4))
    ax.set_xticks(places, [f"{rate:.0f}" for rate in both["planned_before"]])
    objective_line(ax, objective.under_ms)
    ax.set_title("p95 latency before and after the recommendation", loc="left")
    legend(ax)
    parts = "; ".join(f"{r.stage}: {r.p95_before:.0f} ms before, {r.p95_after:.0f} ms after" for r in both.itertuples())
    return Drawing(name, figure, f"p95 latency by offered rate, before and after the change. {parts}. Objective {objective}.", both)
