"""Runbooks for a self-hosted codespace: what a notebook imports."""

from runbook.checks import check, done
from runbook.params import section
from runbook.plans import Plan, apply, plan_of
from runbook.site import Site, connect

__all__ = ["Plan", "Site", "apply", "check", "connect", "done", "plan_of", "section"]
