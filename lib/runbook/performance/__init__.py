"""A load test of a site's tier: sent, watched, judged and drawn. What notebook 06 shows.

In plan mode nothing is sent. On the rehearsal k6 runs for real, shortened, against a small server of our own on the loopback;
what the tier did (replicas, CPU) is replayed from a recorded run and labelled.
"""

from runbook.performance.findings import Findings, adopted, compare, findings, recommend
from runbook.performance.measured import Measured, Missing, again, measure
from runbook.performance.workspaces import Filled, fill, predict

__all__ = ["Filled", "Findings", "Measured", "Missing", "adopted", "again", "compare", "fill", "findings", "measure", "predict", "recommend"]
