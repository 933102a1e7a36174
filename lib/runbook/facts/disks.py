"""The disk below the users' data: what is left of it, and when it runs out at the growth that the journal has seen."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

FIGURE = "storage-disk"  #: name of the figure in whose data the journal keeps the disk
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def below(site, where: str) -> tuple[pd.DataFrame, str]:
    """The disk below a folder of this host, and why it cannot be told (``""`` if it can).

    Columns ``at`` (UTC), ``folder``, ``device``, ``filesystem`` (its identity), ``size``, ``used``, ``free`` (bytes), ``inodes_free`` (share).
    """
    columns = ["at", "folder", "device", "filesystem", "size", "used", "free", "inodes_free"]
    if not where or not site.host.exists(where):
        return pd.DataFrame(columns=columns), site.host.replayed or "the volumes do not lie on this host"
    result = site.host.run(["df", "--block-size=1", "--output=source,size,used,avail,itotal,iavail", where], check=False)
    if not result.ok:
        return pd.DataFrame(columns=columns), result.last_lines(1)
    device, *numbers = result.stdout.splitlines()[-1].split()
    size, busy, free, inodes, left = (int(n) if n.isdigit() else 0 for n in numbers)
    filesystem = site.host.run(["stat", "--file-system", "--format=%i", where]).stdout.strip()
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    return pd.DataFrame([(now, where, device, filesystem, size, busy, free, left / inodes if inodes else 1.0)], columns=columns), result.replayed


def history(reports: Path, name: str, now: pd.DataFrame) -> pd.DataFrame:
    """The disk as earlier runs on this site drew it, and as it is now: the rows of :func:`below`, oldest first; of another disk none."""
    found = [now]
    for record in sorted(reports.glob("[0-9]*/run.json")):
        try:
            run = json.loads(record.read_text(encoding="utf-8"))
            figures = [f for step in run["steps"] for f in step["figures"] if f["name"] == FIGURE and f["csv"]]
            if run["name"] == name and run["target"] != "rehearsal":
                found += [pd.read_csv(record.parent / f["csv"], dtype={"filesystem": str}) for f in figures]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not one of ours, or a run that was cut short
    found = [f for f in found if len(f)]
    if not found:
        return now
    table = pd.concat(found, ignore_index=True).drop_duplicates(["at", "folder"]).sort_values("at", ignore_index=True)
    same = (table[["folder", "filesystem"]] == table[["folder", "filesystem"]].iloc[-1]).all(axis="columns")
    return table[same].reset_index(drop=True)


def forecast(past: pd.DataFrame) -> tuple[float, str]:
    """Days until the disk is full at the growth of the past (infinite: it does not grow), and why that cannot be told (``""`` if it can).

    A straight line through what was used; a day of past at least, since a shorter one tells of the hour, not of the growth.
    """
    if len(past) < 2:
        return math.nan, "needs the disk of an earlier run in the journal, a day ago or more"
    days = (pd.to_datetime(past["at"], utc=True) - pd.to_datetime(past["at"], utc=True).iloc[0]).dt.total_seconds() / 86400
    if days.iloc[-1] < 1:
        return math.nan, f"needs a day of past in the journal; there are {days.iloc[-1] * 24:.1f} hours"
    growth = float(((days - days.mean()) * (past["used"] - past["used"].mean())).sum() / ((days - days.mean()) ** 2).sum())
    return (float(past["free"].iloc[-1]) / growth if growth > 0 else math.inf), ""


def outlook(past: pd.DataFrame, days: float, unknown: str) -> pd.DataFrame:
    """The disk for the eye: what is left of it, and when it runs out, as :func:`forecast` told. Columns ``what``, ``value``."""
    if past.empty:
        return pd.DataFrame(columns=["what", "value"])
    now, first = past.iloc[-1], past.iloc[0]
    full = unknown or ("it does not grow" if math.isinf(days) else f"{days:.0f} days, at {size_text(now.free / days)} a day")
    rows = [("folder", f"{now.folder} on {now.device}"), ("size", size_text(now["size"])), ("used", size_text(now.used)), ("free", size_text(now.free)),
            ("inodes free", f"{now.inodes_free:.0%}"), ("measured", f"{len(past)} times since {first['at'][:16]}"), ("full in", full)]
    return pd.DataFrame(rows, columns=["what", "value"]).set_index("what")


def size_text(size: float) -> str:
    """``1610612736`` → ``"1.5 GiB"``; empty for what was not measured."""
    if math.isnan(size):
        return ""
    unit = next((u for u in ("GiB", "MiB") if size >= UNITS[u]), "KiB")
    return f"{size / UNITS[unit]:.3g} {unit}" if size < 1000 * UNITS[unit] else f"{size / UNITS[unit]:.0f} {unit}"
