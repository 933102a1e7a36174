"""Graphs that a reader understands without explanation: units, the objective, colours that everybody can tell apart, a sentence for
those who cannot see them. DataFrame in, :class:`Drawing` out; a notebook shows it as the last expression of a cell."""

from runbook.plots.drawing import Drawing
from runbook.plots.loads import before_after, failures, knee_curve, latency, offered_achieved
from runbook.plots.path import request_path
from runbook.plots.scaling import tier_with_load
from runbook.plots.storage import disk, volumes_by_workspace
from runbook.plots.workspaces import memory_by_workspace, time_to_ide

__all__ = ["Drawing", "before_after", "disk", "failures", "knee_curve", "latency", "memory_by_workspace", "offered_achieved",
           "request_path", "tier_with_load", "time_to_ide", "volumes_by_workspace"]
