"""Values that must never be printed: registered once, masked where output is made."""

import re

MASK = "••••••"
_known: set[str] = set()
#: Keys whose values are masked wherever parameters or objects are shown.
SECRET_KEY = re.compile(r"(pass(word|wd|phrase)?|secret|token|private.?key|credential|api.?key)s?$", re.IGNORECASE)


def keep_secret(value: str) -> str:
    """Register a value to be masked from now on in this process; hand it back."""
    if value and len(value) >= 4:  # shorter ones would blot out ordinary text
        _known.add(value)
    return value


def mask(text: str) -> str:
    """The text with every registered value blotted out."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
