"""The images of an executed notebook, and the data behind them, as files."""

import base64
import binascii
import re
import shutil
from pathlib import Path

from runbook.journal import atomic
from runbook.show import RECORD

FOLDER = "figures"


def extract(notebook, folder: Path, number: str) -> list[dict]:
    """Write each PNG of a notebook to ``figures/<number>-<k>.png``, and its CSV beside it.

    A ``figure`` record tells the data: ``csv`` is the text of a CSV file, or the path of one. It belongs to the
    image of its own output, else to one of its cell that has no record.

    Returns:
        ``[{"name", "png", "csv", "anchor"}]``, paths relative to ``folder``; ``csv`` empty if none was named.
    """
    found = []
    for cell in notebook.cells:
        for record, image in _pairs([o.get("data", {}) for o in cell.get("outputs", ())]):
            data = _decode(image or record.get("png", ""))
            stem = f"{FOLDER}/{number}-{len(found) + 1}"
            csv = _csv(record.get("csv") or "", folder / f"{stem}.csv")
            if data:
                _put(folder / f"{stem}.png", data)
            if data or csv:
                found.append({"name": record.get("name", ""), "png": f"{stem}.png" if data else "",
                              "csv": f"{stem}.csv" if csv else "", "anchor": cell.get("id", "")})
    return found


def _pairs(outputs: list[dict]) -> list[tuple[dict, str]]:
    """Record and image of each figure of a cell; ``{}`` or ``""`` where there is none."""
    key = RECORD.format("figure")
    alone = [o["image/png"] for o in outputs if "image/png" in o and key not in o]
    named = [(o[key], o.get("image/png") or (alone.pop(0) if alone else "")) for o in outputs if key in o]
    return named + [({}, image) for image in alone]


def _decode(text) -> bytes:
    """The bytes of a base64 PNG; nothing for what is none."""
    try:
        data = base64.b64decode(re.sub(r"\s", "", "".join(text)), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if data.startswith(b"\x89PNG") else b""


def _csv(value: str, path: Path) -> bool:
    if "\n" in value:
        _put(path, value.encode("utf-8"))
    elif value and Path(value).is_file():
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(value, path)
    else:
        return False
    return True


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    atomic.write_bytes(path, data)
