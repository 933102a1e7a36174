"""Small helpers on JSON values."""

import hashlib
import json
import marshal
import re


def clone(value):
    """A copy that shares nothing. JSON values only."""
    return marshal.loads(marshal.dumps(value))


def digest(value, n: int = 10) -> str:
    """A short name for a value, in the letters of generated names."""
    safe = "bcdfghjklmnpqrstvwxz2456789"
    number = int(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest(), 16)
    out = ""
    while len(out) < n:
        number, rest = divmod(number, len(safe))
        out += safe[rest]
    return out


def at(value, *path, default=None):
    """``at(pod, "status", "phase")``: a value deep inside, or ``default``."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return default
    return default if value is None else value


def merge_patch(target, patch):
    """RFC 7396: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_TERM = re.compile(rf"\s*(?:(?P<set>{_NAME})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)|(?P<eq>{_NAME})\s*(?P<sign>==|=|!=)\s*(?P<value>{_NAME}|)"
                   rf"|(?P<no>!?)\s*(?P<has>{_NAME}))\s*(?:,|$)")


def label_selector(text: str):
    """A function that says whether labels match ``"app=demo,tier in (web,db),!old"``. Raises ValueError for what is none."""
    tests, end = [], 0
    while end < len(text):
        found = _TERM.match(text, end)
        if not found:
            raise ValueError(text[end:])
        end = found.end()
        if found["set"]:
            values, wanted = {v.strip() for v in found["values"].split(",")}, found["op"] == "in"
            tests.append(lambda labels, k=found["set"], v=values, w=wanted: (labels.get(k) in v) == w)
        elif found["eq"]:
            tests.append(lambda labels, k=found["eq"], v=found["value"], s=found["sign"]: (labels.get(k) == v) == (s != "!="))
        else:
            tests.append(lambda labels, k=found["has"], absent=bool(found["no"]): (k in labels) != absent)
    return lambda labels: all(test(labels or {}) for test in tests)


def matches(selector: dict | None, labels: dict | None) -> bool:
    """Whether labels match a ``{matchLabels, matchExpressions}``; an absent selector matches nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    ops = {"In": lambda k, v: labels.get(k) in v, "NotIn": lambda k, v: labels.get(k) not in v,
           "Exists": lambda k, v: k in labels, "DoesNotExist": lambda k, v: k not in labels}
    return all(ops[e["operator"]](e["key"], e.get("values") or []) for e in selector.get("matchExpressions") or [])
