"""Runbooks for a self-hosted codespace: what a notebook imports.

The names below are imported when they are first used, so that ``runbook --help`` and the journal do not wait for them.
"""

import importlib
import sys

# jsonschema, used by the Kubernetes schemas, builds a grammar for IRIs when this optional package of JupyterLab's is there:
# 1 to 3 seconds in every kernel, for a format that no Kubernetes schema has.
sys.modules.setdefault("rfc3987_syntax", None)

_WHERE = {
    "check": "checks", "done": "checks", "section": "params", "Plan": "plans", "apply": "plans", "plan_of": "plans",
    "Site": "site", "connect": "site",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'runbook' has no attribute {name!r}")
    return getattr(importlib.import_module(f"runbook.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_WHERE]
