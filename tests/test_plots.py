"""Graphs: every one has units, a sentence, a picture and its data; what is drawn is what was given."""

import struct

import numpy as np
import pandas as pd
import pytest

from runbook import plots
from runbook.load import Knee, Objective
from runbook.plots import Drawing
from runbook.show import RECORD

OBJECTIVE = Objective(95, 200, 0.01)
SECONDS = pd.DataFrame({
    "second": range(6), "stage": ["quiet", "quiet", "ramp", "ramp", "plateau", "plateau"], "planned": [2.0, 2, 5, 9, 12, 12],
    "offered": [2.0, 2, 5, 9, 12, 12], "achieved": [2, 2, 5, 8, 11, 12], "failed": [0, 0, 0, 1, 1, 0], "dropped": 0,
    "p50": [10.0, 11, 20, 40, 90, 30], "p95": [20.0, 25, 60, 150, 450, 90], "p99": [22.0, 27, 70, 180, 460, 99], "max": [30.0, 31, 72, 190, 470, 120],
})
ERRORS = pd.DataFrame({"second": [3, 4], "kind": ["timeout", "status 503"], "requests": [1, 1]})
STAGES = pd.DataFrame({"stage": ["10/s", "20/s", "40/s"], "planned": [10.0, 20, 40], "offered": [10.0, 20, 40], "p50": [10.0, 12, 300],
                       "p95": [20.0, 30, 900], "p99": [25.0, 40, 990], "good": [True, True, False]})
TIER = pd.DataFrame({"at": [-0.2, 1.0, 3.0, 5.0], "wanted": [1, 1, 3, 3], "ready": [1, 1, 1, 3], "pending": [0, 0, 2, 0], "cpu_m": [20.0, 30, 150, 200],
                     "request_m": [100.0, 100, 100, 300], "node_share": [0.2, 0.2, 0.6, 0.7]})
STARTED = pd.DataFrame({"workspace": ["a/1", "a/2", "b/1"], "wave": [1, 1, 2], "seconds": [6.0, 8.0, np.nan]})
USED = pd.DataFrame({"workspace": ["a/1", "a/2"], "idle_mib": [200.0, 210], "active_mib": [300.0, 290], "request_mib": [400.0, 400]})

DRAWINGS = {
    "offered": (lambda: plots.offered_achieved(SECONDS, "n", "note"), ["requests per second"], "42 offered in all, 2 failed"),
    "latency": (lambda: plots.latency(SECONDS, OBJECTIVE, "n"), ["latency (ms, logarithmic)"], "over the objective of 200 ms in 1 s"),
    "failures": (lambda: plots.failures(ERRORS, SECONDS, "n"), ["failed requests per second"], "2 of 42 requests failed: 1 status 503, 1 timeout"),
    "no failures": (lambda: plots.failures(ERRORS.iloc[:0], SECONDS, "n"), ["failed requests per second"], "None of 42 requests failed"),
    "knee": (lambda: plots.knee_curve(STAGES, OBJECTIVE, Knee(20, "20/s", "40/s", "p95 900 ms"), "n"), ["latency (ms, logarithmic)"], "knee: 20 requests/s"),
    "no knee": (lambda: plots.knee_curve(STAGES, OBJECTIVE, Knee(0, "", "10/s", "p95 900 ms"), "n"), ["latency (ms, logarithmic)"], "not even 10/s"),
    "before and after": (lambda: plots.before_after(STAGES, STAGES.assign(p95=[10.0, 15, 450]), OBJECTIVE, "n"), ["p95 latency (ms, logarithmic)"],
                         "40/s: 900 ms before, 450 ms after"),
    "tier": (lambda: plots.tier_with_load(SECONDS, TIER, OBJECTIVE, 60, "n", "replayed"), ["requests/s", "ms (log.)", "replicas", "percent"],
             "ready replicas 1 at first, 3 at most, 3 at last, 2 Pending at most; CPU up to 150 % of the request, target 60 %"),
    "time to IDE": (lambda: plots.time_to_ide(STARTED, "n"), ["workspaces (%)"], "p50 6.0 s, p95 8.0 s; 1 did not come"),
    "memory": (lambda: plots.memory_by_workspace(USED, "n"), ["memory (MiB)"], "idle 205 MiB, active 295 MiB (medians), 400 MiB requested"),
}


@pytest.fixture(params=DRAWINGS, ids=str)
def case(request):
    return DRAWINGS[request.param]


def test_a_drawing_is_whole(case):
    make, units, says = case
    drawing = make()
    assert isinstance(drawing, Drawing) and says in drawing.alt and drawing.alt.endswith(".")
    assert [ax.get_ylabel() for ax in drawing.figure.axes] == units
    assert drawing.figure.axes[-1].get_xlabel() or drawing.figure.axes[-1].get_xticklabels()
    data, about = drawing._repr_mimebundle_()
    record = data[RECORD.format("figure")]
    assert set(record) == {"name", "alt", "csv"} and record["name"] == "n" and data["image/png"] and about["image/png"]["alt"] == drawing.alt
    assert record["csv"].splitlines()[0] == ",".join(drawing.data.columns)
    width, height = struct.unpack(">II", drawing.png()[16:24])
    assert width > 800 and height > 400


def test_what_is_drawn_is_what_was_given():
    lines = {line.get_label(): line for line in plots.latency(SECONDS, OBJECTIVE, "n").figure.axes[0].lines}
    assert list(lines["p95"].get_ydata()) == list(SECONDS["p95"]) and list(lines["p95"].get_xdata()) == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert set(lines["objective 200 ms"].get_ydata()) == {200}


def test_colours_are_not_the_only_difference():
    axes = plots.tier_with_load(SECONDS, TIER, OBJECTIVE, 60, "n").figure.axes
    for ax in axes:
        faces = [(line.get_linestyle(), line.get_linewidth()) for line in ax.lines if not line.get_label().startswith("_")]
        assert len(faces) == len(set(faces))


def test_the_data_given_are_not_changed():
    before = SECONDS.copy(), TIER.copy()
    plots.tier_with_load(SECONDS, TIER, OBJECTIVE, 60, "n")
    pd.testing.assert_frame_equal(SECONDS, before[0])
    pd.testing.assert_frame_equal(TIER, before[1])


def test_a_tier_that_was_not_measured_can_be_drawn():
    bare = TIER.assign(cpu_m=0.0, request_m=0.0, node_share=np.nan)
    assert plots.tier_with_load(SECONDS, bare, OBJECTIVE, 60, "n").png()
