"""Warm start: a stopped workspace whose images and volumes are there, from `runbook workspace start` to its IDE answering.

    python tests/bench/bench_warm_start.py

Needs KUBECONFIG. Prints one line: median and range of the rounds, beside a bare scale of the StatefulSet, without our waiting.
"""

import os
import statistics
import sys
import time
from contextlib import redirect_stdout

from bench_workspace import SIZES, answers

import runbook
from runbook.operations import workspaces as operations
from runbook.operations.released import remove_all
from runbook.operations.settle import settle
from runbook.plans import apply
from runbook.workspaces import namespace

ROUNDS = int(os.environ.get("ROUNDS", "3"))
OWNER, NAME = "benchwarm", "demo"


def started(site, begin) -> float:
    """Seconds from ``begin`` being called to an IDE that answers; the workspace is stopped before and after."""
    at = time.monotonic()
    begin()
    answers(site, namespace(OWNER), f"{NAME}-0", at + 120)
    took = time.monotonic() - at
    settle(site, NAME, OWNER, 120)
    apply(operations.stop(site, NAME, OWNER), "apply")
    return took


def main() -> int:
    if not os.environ.get("KUBECONFIG"):
        print("bench_warm_start: not measured, it needs KUBECONFIG")
        return 0
    site = runbook.connect("local", name="bench", kubeconfig=os.environ["KUBECONFIG"], mode="apply")
    wanted = runbook.section("workspaces", {"list": [{"name": NAME, "owner": OWNER}], **SIZES})
    by_us, by_scale = [], []
    with redirect_stdout(sys.stderr):
        try:
            apply(operations.ensure_workspaces(site, wanted), "apply")
            apply(operations.stop(site, NAME, OWNER), "apply")
            for _ in range(ROUNDS):
                by_us.append(started(site, lambda: apply(operations.start(site, NAME, OWNER), "apply")))
                by_scale.append(started(site, lambda: site.cluster.scale("StatefulSet", NAME, namespace(OWNER), 1)))
        finally:
            apply(operations.delete(site, NAME, OWNER), "apply")
            remove_all(site, namespace(OWNER))
    said = [f"{statistics.median(found):.1f} s ({min(found):.1f}–{max(found):.1f})" for found in (by_us, by_scale)]
    print(f"bench_warm_start: `workspace start` to IDE {said[0]}; a bare scale to IDE {said[1]}; median of {ROUNDS} rounds "
          f"in turn, images and volumes there, load average {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
