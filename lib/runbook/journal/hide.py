"""What must not be written into a report: secrets, and where on this machine things lie.

Values are masked where output is made (:mod:`runbook.secrets`); this is the second net, for what a cell prints itself.
"""

import os
import re
import sys
from pathlib import Path

from runbook.secrets import MASK

#: Names whose values are masked.
LOOKS_SECRET = re.compile(r"passw|passphrase|secret|token|credential|(^|[_.-])((api|private|access|encryption)[_-]?)?key$", re.IGNORECASE)
#: Texts shorter than this are not looked for: they would blot out ordinary words.
SHORTEST = 6


def masked(parameters):
    """Parameters with the value of every key that looks like a secret masked; anything else is handed back."""
    if isinstance(parameters, dict):
        return {key: MASK if LOOKS_SECRET.search(str(key)) and isinstance(value, str | int) and value not in ("", True, False)
                else masked(value) for key, value in parameters.items()}
    if isinstance(parameters, list):
        return [masked(value) for value in parameters]
    return parameters


def secret_values(parameters) -> set[str]:
    """The values that :func:`masked` masks."""
    if isinstance(parameters, list):
        return set().union(*(secret_values(value) for value in parameters))
    if not isinstance(parameters, dict):
        return set()
    found = set()
    for key, value in parameters.items():
        if masked({key: value})[key] == MASK:
            found.add(str(value))
        else:
            found |= secret_values(value)
    return found


def _compiled(pairs: list[tuple[str, str]]) -> list[tuple[re.Pattern, str]]:
    """Longest first, so that a folder inside another is told as itself."""
    return [(re.compile(what), by) for what, by in sorted(pairs, key=lambda pair: -len(pair[0]))]


class Hide:
    """Replaces secrets of the environment and the parameters by a mask, and this machine's folders by what they are.

    Args:
        parameters: of the run.
        root: the project's root, shown as ``.``.
        environment: defaults to this process's.
    """

    def __init__(self, parameters: dict | None = None, root: Path | None = None, environment: dict | None = None):
        environment = dict(os.environ) if environment is None else environment
        secrets = secret_values(parameters or {}) | {v for k, v in environment.items() if LOOKS_SECRET.search(k)}
        places = {path: "site-packages" for path in sys.path if path.endswith("site-packages")}
        places |= {sys.prefix: "(python)", os.path.expanduser("~"): "~"} | ({str(root): "."} if root else {})
        hidden = [(re.escape(value), MASK) for value in secrets if len(value) >= SHORTEST]
        told = [(re.escape(path) + r"(?![\w-])", by) for path, by in places.items() if len(path) > 1 and path not in ("/usr", "~")]
        self._secrets, self._places = _compiled(hidden), _compiled(told)

    def text(self, value: str, *, places: bool = True) -> str:
        """The text without them; ``places`` also without this machine's folders."""
        for what, by in self._secrets + (self._places if places else []):
            value = what.sub(by, value)
        return value

    def value(self, value, *, places: bool = True):
        """The same through lists and dictionaries. Images are left as they are; code loses its secrets only."""
        if isinstance(value, str):
            return self.text(value, places=places)
        if isinstance(value, list):
            return [self.value(item, places=places) for item in value]
        if isinstance(value, dict):
            return type(value)({key: item if str(key).startswith("image/") else self.value(item, places=places and key != "source")
                                for key, item in value.items()})
        return value

    def notebook(self, notebook):
        """A copy of a notebook without them, in outputs, sources and metadata."""
        return self.value(notebook)
