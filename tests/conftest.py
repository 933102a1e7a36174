"""Tiers: what a machine cannot run is left out by name, not skipped; one line says so."""

import os
import shutil
import signal

import pytest

import runbook
from runbook import secrets

# A shell that starts the tests in the background has Ctrl-C ignored, and children inherit that; tests of Ctrl-C need it as people have it.
signal.signal(signal.SIGINT, signal.default_int_handler)

NEEDS = {
    "root": lambda: os.geteuid() == 0 and all(map(shutil.which, ("ip", "nft"))),
    "cluster": lambda: bool(os.environ.get("KUBECONFIG")),
    "browser": lambda: bool(shutil.which("chromium")),
    "haproxy": lambda: bool(shutil.which("haproxy") and os.environ.get("HAPROXY_INGRESS")),
    "node": lambda: bool(shutil.which("node")),
    "long": lambda: os.environ.get("RUNBOOK_LONG") == "1",
}
left_out: dict[str, int] = {}


def pytest_collection_modifyitems(config, items):
    able = {tier: need() for tier, need in NEEDS.items()}
    keep, drop = [], []
    for item in items:
        lacking = [tier for tier in NEEDS if item.get_closest_marker(tier) and not able[tier]]
        if lacking:
            left_out[lacking[0]] = left_out.get(lacking[0], 0) + 1
        (drop if lacking else keep).append(item)
    if drop:
        config.hook.pytest_deselected(items=drop)
        items[:] = keep


def pytest_terminal_summary(terminalreporter):
    for tier, count in left_out.items():
        why = "they take minutes: RUNBOOK_LONG=1 asks for them" if tier == "long" else "this machine lacks what they need"
        terminalreporter.write_line(f"tier {tier}: {count} tests not run, {why}")


@pytest.fixture(autouse=True)
def _quiet_plots(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A rehearsal of the test's own. Tests on a cluster have a site of theirs."""
    monkeypatch.setenv("RUNBOOK_REHEARSAL", str(tmp_path))
    return runbook.connect("rehearsal", name="rehearsal", mode="apply")
