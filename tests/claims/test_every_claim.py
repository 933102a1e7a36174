"""No claim is without its table: a sentence that no fault refutes proves nothing when it holds."""

import importlib

import pytest

from .kit import BOOKS, sentences


@pytest.mark.parametrize("number", [number for number in BOOKS if sentences(number)])
def test_every_claim_has_a_way_to_be_refuted(number):
    table = importlib.import_module(f"{__package__}.test_claims_{number}").TABLE
    assert table.number == number
    assert list(table.refuted) == list(sentences(number))


@pytest.mark.parametrize("number", BOOKS)
def test_no_sentence_is_said_twice(number):
    assert len(set(sentences(number))) == len(sentences(number))


def test_the_sentences_are_read_out_of_the_notebooks():
    assert "every node is Ready" in sentences("01")
    assert "the nodes have room for {…} replicas of {…} and {…}" in sentences("06")
