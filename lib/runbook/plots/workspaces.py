"""Graphs of how many workspaces a server holds. Pure: DataFrames in, a Drawing out."""

import numpy as np
import pandas as pd

from runbook.load.result import percentile
from runbook.plots.drawing import BLUE, GREY, ORANGE, RED, Drawing, canvas, legend


def time_to_ide(started: pd.DataFrame, name: str, note: str = "") -> Drawing:
    """How long workspaces took until their IDE answered.

    Args:
        started: one row a workspace: ``workspace``, ``wave``, ``seconds`` (NaN for one that did not come).
    """
    figure, (ax,) = canvas(note=note)
    took = np.sort(started["seconds"].dropna().to_numpy())
    share = 100 * np.arange(1, len(took) + 1) / max(1, len(took))
    ax.step(np.append(took[:1], took), np.append(0, share), where="post", color=BLUE, linewidth=1.8, label="workspaces ready")
    for q, colour, style in ((50, GREY, "-"), (95, ORANGE, "--")):
        value = percentile(took, q)
        ax.axvline(value, color=colour, linestyle=style, linewidth=1.5, label=f"p{q}: {value:.1f} s")
    ax.set(xlabel="time from the request to an IDE that answers (s)", ylabel="workspaces (%)", ylim=(0, 104), xlim=(0, None))
    ax.set_title(f"Time to IDE, {len(took)} workspaces", loc="left")
    legend(ax)
    missing = int(started["seconds"].isna().sum())
    alt = (f"Share of workspaces whose IDE answers against time: {len(took)} workspaces, p50 {percentile(took, 50):.1f} s, "
           f"p95 {percentile(took, 95):.1f} s" + (f"; {missing} did not come" if missing else "") + ".")
    return Drawing(name, figure, alt, started)


def memory_by_workspace(used: pd.DataFrame, name: str, note: str = "") -> Drawing:
    """Memory of each workspace, idle and active, beside what it requests.

    Args:
        used: ``workspace``, ``idle_mib``, ``active_mib``, ``request_mib``.
    """
    figure, (ax,) = canvas(note=note)
    places = np.arange(len(used))
    for shift, column, label, colour, hatch in ((-0.2, "idle_mib", "idle", BLUE, ""), (0.2, "active_mib", "active", ORANGE, "///")):
        ax.bar(places + shift, used[column], width=0.38, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
    ax.plot(places, used["request_mib"], color=RED, marker="_", markersize=16, markeredgewidth=2, linestyle="", label="requested")
    ax.set_xticks(places, used["workspace"], rotation=45 if len(used) > 6 else 0, ha="right" if len(used) > 6 else "center")
    ax.set(ylabel="memory (MiB)", ylim=(0, used[["idle_mib", "active_mib", "request_mib"]].max().max() * 1.15))
    ax.grid(False, axis="x")
    ax.set_title("Memory of each workspace", loc="left")
    legend(ax)
    alt = (f"Memory of {len(used)} workspaces: idle {used['idle_mib'].median():.0f} MiB, active {used['active_mib'].median():.0f} MiB (medians), "
           f"{used['request_mib'].median():.0f} MiB requested.")
    return Drawing(name, figure, alt, used)
