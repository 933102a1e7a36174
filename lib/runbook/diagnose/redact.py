"""Takes secrets out of text that is given away: by what surrounds them, beside the values that are known."""

import re

from runbook.secrets import MASK, mask

#: A key that names a secret, and what follows it; k3s's tokens; tokens; keys; passwords inside of URLs.
PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]*-----.*?(-----END [A-Z ]*-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"\bK10[0-9a-f]{16,}(::\S+)?"), MASK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"(://[^/\s:@]+:)[^@\s/]+@"), rf"\1{MASK}@"),
    (re.compile(r"((?:authorization|proxy-authorization)\W{1,4}(?:bearer|basic)\s+)\S+", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(
            r"([\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key|private[_-]?key)[\w.-]*"
            r"[\"']?\s*[:=]\s*[\"']?)"
            r"(?!\s|not\b|is\b|of\b)[^\s\"',;]{3,}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(--?(?:password|token|p)[= ])[^\s\"']+"), rf"\1{MASK}"),
)


def redact(text: str) -> str:
    """The text without what looks like a secret, and without the values that this process knows to be one."""
    text = mask(text)
    for pattern, by in PATTERNS:
        text = pattern.sub(by, text)
    return text


def redact_all(value):
    """The same through lists and dictionaries."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_all(v) for v in value]
    return {k: redact_all(v) for k, v in value.items()} if isinstance(value, dict) else value
