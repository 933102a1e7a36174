"""Where the project's folders are, from any folder.

The root is the folder whose ``pyproject.toml`` names this project: looked for from the working directory upwards,
then from this file (an editable install). ``RUNBOOK_ROOT`` overrides both.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

from runbook.errors import RunbookError

MARKER = "pyproject.toml"
NAMED = re.compile(r'^name\s*=\s*"runbook"\s*$', re.MULTILINE)


def is_root(folder: Path) -> bool:
    """Whether a folder holds the marker file of this project."""
    try:
        return bool(NAMED.search((folder / MARKER).read_text(encoding="utf-8")))
    except OSError:
        return False


@lru_cache
def _above(start: Path) -> Path | None:
    return next((folder for folder in (start, *start.parents) if is_root(folder)), None)


def root() -> Path:
    """The project's root folder.

    Raises:
        RunbookError: neither the working directory nor this installation lies in the project.
    """
    given = os.environ.get("RUNBOOK_ROOT")
    if given:
        if not is_root(Path(given)):
            raise RunbookError(f"RUNBOOK_ROOT={given}: no {MARKER} of runbook there", do="correct it, or unset it")
        return Path(given).resolve()
    found = _above(Path.cwd()) or _above(Path(__file__).resolve().parent)
    if found is None:
        raise RunbookError("no runbook project here", do="change into the cloned folder, or set RUNBOOK_ROOT to it")
    return found


def notebooks() -> Path:
    """The folder of the stored notebooks."""
    return root() / "notebooks"


def reports() -> Path:
    """The folder of the journal."""
    return root() / "reports"


def params() -> Path:
    """The folder of the parameter files."""
    return root() / "params"


def charts() -> Path:
    """The folder of the Helm charts."""
    return root() / "lib" / "charts"
