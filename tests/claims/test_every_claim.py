"""No claim is without its table: a sentence that no fault refutes proves nothing when it holds."""

import importlib
import re
from dataclasses import replace

import pytest

from runbook import paths
from runbook.rehearsal.host import K3S
from runbook.rehearsal.recordings import key

from .books import BOOKS, SETTLERS, is_said, sentences
from .kit import Way, run


@pytest.mark.parametrize("number", [number for number in BOOKS if sentences(number)])
def test_every_claim_has_a_way_to_be_refuted(number):
    table = importlib.import_module(f"{__package__}.test_claims_{number}").TABLE
    assert table.number == number
    assert list(table.refuted) == list(sentences(number))


def test_nothing_else_settles_claims():
    """``check`` is called by notebooks, and in the library by ``attempts.settle`` alone, whose sentences are read, too."""
    callers = {path.relative_to(paths.root() / "lib" / "runbook").as_posix() for path in (paths.root() / "lib" / "runbook").rglob("*.py")
               if re.search(r"^from runbook(\.checks)? import .*\bcheck\b|checks\.check\b|^def check\(ok", path.read_text(encoding="utf-8"), re.M)}
    assert callers == {"checks.py", "attempts/__init__.py"}
    assert set(SETTLERS) == {"check", "settle"}


@pytest.mark.parametrize("number", BOOKS)
def test_no_sentence_is_said_twice(number):
    assert len(set(sentences(number))) == len(sentences(number))


def test_the_sentences_are_read_out_of_the_notebooks():
    assert "every node is Ready" in sentences("01")
    assert "the nodes have room for {…} replicas of {…} and {…}" in sentences("06")


def bare(world):
    """A server on which step 01 has not been applied: no cluster."""
    with world.state.change() as data:
        del data["files"][K3S]
    world.command(["getent", "hosts", "get.k3s.io"], stdout="203.0.113.1 get.k3s.io\n")
    world.answer(key("sockets"), {"sockets": []})


@pytest.mark.parametrize("way", [Way(bare), Way(), Way(after=("02",))], ids=["bare", "cluster", "02"])
@pytest.mark.parametrize("number", BOOKS)
def test_plan_mode_refutes_nothing(stage, tmp_path, number, way):
    """What is not there yet is no failure of a plan: such a claim is not shown, and the notebook ends well."""
    settled = run(stage, tmp_path, number, replace(way, mode="plan", trust=False))
    assert not [c["claim"] for c in settled if c["outcome"] == "refuted"]
    assert not [s for s in sentences(number) if not any(is_said(s, c["claim"]) for c in settled)]
