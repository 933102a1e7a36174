"""Graphs of the tier under load: replicas and CPU on one time axis with the load. Pure: DataFrames in, a Drawing out."""

import numpy as np
import pandas as pd

from runbook.load import Objective
from runbook.plots.drawing import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Drawing, canvas, legend, milliseconds, objective_line, stage_marks, time_axis


def tier_with_load(seconds: pd.DataFrame, tier: pd.DataFrame, objective: Objective, target: float, name: str, note: str = "",
                   title: str = "The tier follows the load") -> Drawing:
    """Load, latency, replicas and CPU, one below the other on one time axis.

    Args:
        seconds: :func:`runbook.load.by_second`.
        tier: samples, columns ``at`` (s since the run began), ``wanted``, ``ready``, ``pending`` (pods), ``cpu_m`` (millicores of all
            pods), ``request_m`` (what they request), ``node_share`` (0–1, of the nodes' CPU).
        objective: its latency is drawn.
        target: of the autoscaler, percent of the request.
        name, note, title: of the files; at the foot; on top.
    """
    figure, (load, late, pods, cpu) = canvas((1, 1, 1, 1.1), note)
    at = seconds["second"] + 0.5
    load.plot(at, seconds["offered"], color=BLACK, linewidth=1.8, label="offered")
    load.plot(at, seconds["achieved"], color=GREEN, linewidth=1.3, linestyle="--", label="answered well")
    load.plot(at, seconds["failed"], color=RED, linewidth=1.3, linestyle=":", label="failed")
    load.set(ylabel="requests/s", ylim=(0, None))
    load.set_title(title, loc="left", pad=16)
    late.plot(at, seconds["p95"], color=ORANGE, linestyle="-", label="p95 latency")
    late.set_ylabel("ms (log.)")
    milliseconds(late, min(seconds["p95"].min(), objective.under_ms), max(seconds["p95"].max(), objective.under_ms))
    objective_line(late, objective.under_ms)
    pods.step(tier["at"], tier["wanted"], where="post", color=BLACK, linewidth=1.2, linestyle="--", label="wanted")
    pods.step(tier["at"], tier["ready"], where="post", color=BLUE, linewidth=2, label="ready")
    pods.fill_between(tier["at"], tier["pending"], step="post", color=RED, alpha=0.35, hatch="///", linewidth=0, label="Pending")
    pods.set(ylabel="replicas", ylim=(0, max(tier["wanted"].max(), tier["ready"].max(), 1) + 0.6))
    pods.yaxis.get_major_locator().set_params(integer=True)
    share = 100 * tier["cpu_m"] / tier["request_m"].where(tier["request_m"] > 0)
    cpu.plot(tier["at"], share, color=PURPLE, linewidth=1.8, label="CPU, % of request")
    cpu.plot(tier["at"], 100 * tier["node_share"], color=GREY, linewidth=1.3, linestyle=":", label="node, % of its CPU")
    cpu.axhline(target, color=RED, linestyle=(0, (6, 2)), linewidth=1.3, label=f"target {target:g} %")
    cpu.set(ylabel="percent", ylim=(0, np.nanmax([share.max(), target, 100 * tier["node_share"].max()]) * 1.2))
    time_axis(cpu, seconds)
    for ax in (load, late, pods, cpu):
        stage_marks(ax, seconds, names=ax is load)
        legend(ax)
    alt = (f"Four graphs on one time axis of {len(seconds)} s. Load up to {seconds['offered'].max():.0f} requests/s, {seconds['failed'].sum():.0f} failed; "
           f"p95 up to {seconds['p95'].max():.0f} ms against {objective.under_ms:g}; ready replicas {tier['ready'].iloc[0]:.0f} at first, "
           f"{tier['ready'].max():.0f} at most, {tier['ready'].iloc[-1]:.0f} at last, {tier['pending'].max():.0f} Pending at most; "
           + (f"CPU up to {share.max():.0f} % of the request" if share.notna().any() else "CPU was not measured") + f", target {target:g} %.")
    joined = tier.assign(second=tier["at"].astype(int)).merge(
        seconds[["second", "stage", "offered", "achieved", "failed", "p95"]], on="second", how="left")
    return Drawing(name, figure, alt, joined)
