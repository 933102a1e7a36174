"""The folders of the journal: their names, who is at work in them, and what a killed runner left."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import psutil

from runbook.errors import RunbookError
from runbook.journal import atomic

STEM = re.compile(r"^(?P<time>\d{8}T\d{6}Z)-(?P<name>.+)$")
LOCK = ".lock"


def now() -> datetime:
    """The time, UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def slug(name: str, target: str) -> str:
    """The site's name as part of a folder's; every rehearsal's says so, as git keeps none of them."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.") or "site"
    return f"{name}-rehearsal" if target == "rehearsal" and name != "rehearsal" else name


def begin(reports: Path, name: str, at: datetime) -> Path:
    """A new folder ``.<time>-<name>-running`` with our lock in it, shared with nobody.

    Raises:
        RunbookError: the folder of reports cannot be written.
    """
    stem = stem_now = f"{at:%Y%m%dT%H%M%SZ}-{name}"
    for count in range(2, 1000):
        folder = reports / f".{stem_now}-running"
        try:
            reports.mkdir(parents=True, exist_ok=True)
            if not any(reports.glob(f"{stem_now}-*")):
                folder.mkdir()
                lock(folder)
                return folder
        except FileExistsError:
            pass
        except OSError as error:
            raise RunbookError(f"{reports} cannot be written: {error.strerror}", do="choose another with --reports") from error
        stem_now = f"{stem}-{count}"
    raise RunbookError(f"{reports}: a thousand runs in one second", do="run it again")


def lock(folder: Path) -> None:
    """Note that this process is at work in a folder."""
    atomic.write_json(folder / LOCK, {"pid": os.getpid(), "started": psutil.Process().create_time()})


def stem(folder: Path) -> str:
    """``<time>-<name>`` of a folder at work."""
    return folder.name.removeprefix(".").removesuffix("-running")


def finish(folder: Path, result: str) -> Path:
    """Give a folder its last name; it is a run of the journal from now on."""
    (folder / LOCK).unlink(missing_ok=True)
    final = folder.with_name(f"{stem(folder).removesuffix('-draft')}-{result}")
    os.rename(folder, final)
    return final


def alive(folder: Path) -> bool:
    """Whether the process that works in a folder still does; a process number used again is not it."""
    try:
        held = json.loads((folder / LOCK).read_text(encoding="utf-8"))
        return abs(psutil.Process(held["pid"]).create_time() - held["started"]) < 1
    except (OSError, ValueError, KeyError, psutil.Error):
        return False


def stale(reports: Path) -> list[Path]:
    """The folders whose runner was killed."""
    return [folder for folder in sorted(reports.glob(".*-running")) if folder.is_dir() and not alive(folder)]


def runs(reports: Path) -> list[Path]:
    """The folders of finished runs, newest first; drafts are none."""
    return sorted((path.parent for path in reports.glob("[0-9]*/run.json") if STEM.match(path.parent.name) and not path.parent.name.endswith("-draft")),
                  key=lambda folder: folder.name, reverse=True)
