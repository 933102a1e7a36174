"""Files that are whole or not there: written beside their name, then renamed."""

import json
import os
from pathlib import Path

from runbook.errors import RunbookError


class NotWritten(RunbookError):
    """A file of the journal could not be written; what was there before is untouched."""


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file whole, or leave what was there; ``durable`` also survives a power cut, and is slower.

    Raises:
        NotWritten: the disk is full, or the folder is not writable; no half file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise NotWritten(f"{path.name} could not be written: {error.strerror}", do=f"make room at {path.parent}") from error


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """:func:`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_json(path: Path, value: dict) -> None:
    """:func:`write_bytes` of indented JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
