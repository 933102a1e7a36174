"""Load tests: a scenario as data → k6 → tidy DataFrames → findings.

    run = load.run(load.Scenario("http://127.0.0.1:30080", load.staircase([10, 20, 40], 5)))
    load.by_second(run); load.totals(run); load.knee(load.by_stage(run))

Load is sent to the loopback only, and a result that the generator itself limited is refused.
"""

from runbook.load.analysis import Knee, Reaction, cpu_per_request, knee, reaction, recommend, replicas_at, steady, window
from runbook.load.generator import run
from runbook.load.measure import by_second, by_stage, errors, totals
from runbook.load.result import Run, limit, read
from runbook.load.scenario import Objective, Scenario, Stage, arrivals, staircase

__all__ = ["Knee", "Objective", "Reaction", "Run", "Scenario", "Stage", "arrivals", "by_second", "by_stage", "cpu_per_request", "errors",
           "knee", "limit", "reaction", "read", "recommend", "replicas_at", "run", "staircase", "steady", "totals", "window"]
