"""Graphs of storage. Pure: DataFrames in, a Drawing out."""

import math

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from runbook.plots.drawing import BLUE, GREY, ORANGE, RED, Drawing, canvas, legend

GIB = 2**30


def volumes_by_workspace(volumes: pd.DataFrame, name: str, note: str = "") -> Drawing:
    """What each workspace's volumes asked for and use.

    Args:
        volumes: of :func:`runbook.facts.storage.volumes`; ``used`` may be NaN.
    """
    mine = volumes[volumes["workspace"] != ""].assign(title=lambda v: v["owner"] + "/" + v["workspace"])
    sums = mine.groupby("title")[["asked", "used"]].sum(min_count=1).sort_index() / GIB
    figure, (ax,) = canvas(note=note)
    places = np.arange(len(sums))
    ax.bar(places - 0.2, sums["asked"], width=0.38, color=GREY, hatch="///", edgecolor="white", linewidth=0, label="asked for")
    ax.bar(places + 0.2, sums["used"].fillna(0), width=0.38, color=BLUE, label="used")
    many = len(sums) > 6
    ax.set_xticks(places, sums.index, rotation=45 if many else 0, ha="right" if many else "center")
    ax.set(ylabel="size (GiB)", ylim=(0, None))
    ax.grid(False, axis="x")
    ax.set_title("Volumes of each workspace", loc="left")
    legend(ax)
    told = "not measured" if sums["used"].isna().all() else f"{sums['used'].sum():.2f} GiB used"
    alt = f"Volumes of {len(sums)} workspaces: {sums['asked'].sum():.1f} GiB asked for, {told}."
    return Drawing(name, figure, alt, sums.reset_index())


def disk(past: pd.DataFrame, days: float, name: str, note: str = "") -> Drawing:
    """The disk below the volumes over time, and where its growth leads.

    Args:
        past: of :func:`runbook.facts.disks.history`.
        days: until it is full; NaN if not known, infinite if it does not grow.
    """
    figure, (ax,) = canvas(note=note)
    when = pd.to_datetime(past["at"], utc=True)
    ax.plot(when, past["used"] / GIB, color=BLUE, marker="o", label="used")
    if len(past):
        top = (past["used"].iloc[-1] + past["free"].iloc[-1]) / GIB  # what is reserved for root is none of ours
        ax.axhline(top, color=RED, linestyle="--", label=f"room {top:.0f} GiB")
        left, right = when.iloc[0], when.iloc[-1]
        if right - left < pd.Timedelta(hours=1):
            ax.set_xlim(left - pd.Timedelta(hours=1), right + pd.Timedelta(hours=1))
        if math.isfinite(days):
            full = right + pd.Timedelta(days=min(days, 3650))
            ax.plot([when.iloc[-1], full], [past["used"].iloc[-1] / GIB, top], color=ORANGE, linestyle=":", label=f"full in {days:.0f} days")
    locator = AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.set(ylabel="disk (GiB)", xlabel="time (UTC)", ylim=(0, None))
    ax.set_title("The disk below the volumes", loc="left")
    legend(ax)
    end = "not known when it is full" if math.isnan(days) else "it does not grow" if math.isinf(days) else f"full in {days:.0f} days at this growth"
    free = f"{past['free'].iloc[-1] / GIB:.1f} GiB free of {(past['used'].iloc[-1] + past['free'].iloc[-1]) / GIB:.1f}" if len(past) else "not measured"
    return Drawing(name, figure, f"Disk in use over {len(past)} measurements: {free}; {end}.", past)
