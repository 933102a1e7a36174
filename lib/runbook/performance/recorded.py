"""The load test on the rehearsal: k6 for real against a small server of our own, the tier as it was in a recorded run.

The two are never mixed in one graph: a replayed tier is drawn with the load of its own run.
"""

import json
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pandas as pd

from runbook import load
from runbook.load import Objective, Run, Scenario, loopback

FOLDER = files("runbook") / "recordings" / "load"
#: What the small server takes for a request, in each of its two places: 50 requests a second.
PATHS, PLACES = {"/busy/40": 1}, 2
#: Seconds that a whole load takes at most, about; and each stage.
SECONDS, STAGE_SECONDS = 10, 3
TABLES = ("tier", "seconds", "stages")


def rehearse(stages, objective: Objective) -> Run:
    """Send the stages, each cut short, to a server of our own on the loopback."""
    most = max(1, min(STAGE_SECONDS, SECONDS // len(stages)))
    short = tuple(replace(s, seconds=min(s.seconds, most)) for s in stages)
    with loopback.server(PLACES) as url:
        return load.run(Scenario(url, short, PATHS, objective=objective, timeout=5, new_connections=False))


def tier(name: str, folder: str | Path | None = None) -> dict:
    """What the tier did in the recorded run of that name: ``tier``, ``about``, ``replayed`` of :class:`runbook.performance.Measured`."""
    path = Path(str(folder or FOLDER)) / f"{name}.json"
    if not path.is_file():
        return {"replayed": "rehearsal: no run of this was recorded"}
    record = json.loads(path.read_text())
    tables = {k: pd.DataFrame(record[k]["data"], columns=record[k]["columns"]) for k in TABLES}
    return {"tier": tables["tier"], "about": {k: tables[k] for k in ("seconds", "stages")},
            "replayed": f"rehearsal: replayed from a run of {record['date']} on Kubernetes {record['version']}"}


def save(measured, version: str, folder: str | Path) -> Path:
    """Keep what the tier did, for the rehearsal: ``load/<name>.json`` below ``folder``, with the date and the cluster's version."""
    path = Path(str(folder)) / "load" / f"{measured.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = {"tier": measured.tier, **measured.about}
    record = {"date": time.strftime("%Y-%m-%d", time.gmtime(measured.run.began)), "version": version,
              **{k: json.loads(tables[k].round(4).to_json(orient="split", index=False)) for k in TABLES}}
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    return path
