"""The recorded run, and what follows from it: every printed figure can be computed again from what is stored."""

import math

import pandas as pd
import pytest

import runbook
from runbook import load
from runbook.load import Objective
from runbook.performance import Measured, Missing, adopted, compare, findings, recorded


@pytest.fixture(scope="module")
def measured():
    names = ("staircase", "wave", "roll-out")
    return {name: Measured(name, objective=Objective(), target=60, **recorded.tier(name)) for name in names}


def test_the_recorded_tier_followed_the_load_and_lost_nothing(measured):
    wave = measured["wave"]
    assert wave.about["seconds"]["failed"].sum() == 0 and measured["roll-out"].about["seconds"]["failed"].sum() == 0
    r = wave.reaction
    assert r.most > r.fewest and r.decided < r.ready and not math.isnan(r.back)


def test_the_stored_seconds_and_stages_agree(measured):
    for name in ("staircase", "wave"):
        seconds, stages = measured[name].about["seconds"], measured[name].about["stages"]
        for row in stages.itertuples():
            inside = seconds[seconds["second"].between(row._2, row.to, inclusive="left")]
            assert inside["offered"].sum() == pytest.approx(row.requests, abs=1)
            assert inside["max"].max() == pytest.approx(row.max, rel=1e-3) or row.requests == 0


def test_every_finding_is_computed_from_the_stored_data(measured):
    found = findings(measured["staircase"], measured["wave"])
    stages, seconds, tier = measured["staircase"].about["stages"], measured["wave"].about["seconds"], measured["wave"].tier
    kept = stages[stages["good"]]["offered"].max()
    assert found.knee.rate == kept and found.each == kept / found.replicas
    begin, end = load.steady(seconds)
    inside = tier[tier["at"].between(begin, end)]
    rate = seconds[seconds["second"].between(begin, end, inclusive="left")]["achieved"].mean()
    assert found.cost_m == pytest.approx((inside["cpu_m"] / inside["measured"] * inside["ready"]).mean() / rate)
    assert found.memory_mib == tier["memory_mib"].max()
    table = found.table().set_index("finding")["value"]
    assert table["capacity of a replica"] == f"{found.each:.1f} requests/s" and "replayed" in table["all of this"]


def test_one_that_is_missing_is_missing_to_the_end(measured):
    gone = Measured("wave", why="plan mode: nothing was changed")
    found = findings(measured["staircase"], gone)
    wanted = runbook.section("load")
    assert isinstance(found, Missing) and "plan mode" in repr(found.table()) and adopted(wanted, found) is wanted
    assert "plan mode" in repr(compare(gone, gone))


def test_a_replayed_tier_is_drawn_with_its_own_load(measured):
    drawing = measured["wave"].tier_with_load()
    assert drawing.data["offered"].max() == measured["wave"].about["seconds"]["offered"].max()
    assert "replayed from a run of" in measured["wave"].replayed
    assert any("replayed" in text.get_text() for text in drawing.figure.texts + [drawing.figure._supxlabel])
    assert isinstance(drawing.data, pd.DataFrame) and len(drawing.data) == len(measured["wave"].tier)
