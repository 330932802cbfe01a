"""Metrics are those of the field's own scripts: seqeval as the oracle, known values where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities
from sklearn.metrics import f1_score as macro

from microfiche.pixel.metrics import (
    accuracy,
    attachment,
    entities,
    entity_scores,
    macro_f1,
    normalised,
    squad_scores,
)

LABELS = ["A", "B-C", "D"]


def tags(prefixes: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(["O", *(f"{p}-{label}" for p in prefixes for label in LABELS)]), max_size=12)


@given(tags("BIES"))
def test_entities_are_seqevals(row: list[str]) -> None:
    assert entities(row) == set(get_entities(row))


@given(tags("BI"))
def test_strict_iob2_is_seqevals(row: list[str]) -> None:
    theirs = {(e.tag, e.start, e.end - 1) for e in Entities([row], IOB2).entities[0]}
    assert entities(row, "IOB2") == theirs


@given(tags("BIES"))
def test_strict_iobes_is_seqevals(row: list[str]) -> None:
    theirs = {(e.tag, e.start, e.end - 1) for e in Entities([row], IOBES).entities[0]}
    assert entities(row, "IOBES") == theirs


@given(st.lists(st.tuples(tags("BIES"), tags("BIES")), min_size=1, max_size=4))
def test_f1_is_seqevals(pairs: list[tuple[list[str], list[str]]]) -> None:
    pairs = [(a[: len(b)], b[: len(a)]) for a, b in pairs]
    gold, found = [a for a, _ in pairs], [b for _, b in pairs]
    assert entity_scores(gold, found)[2] == pytest.approx(f1_score(gold, found, zero_division=0))


def test_iob1_is_read_as_conlleval_does() -> None:
    assert entities(["I-A", "I-A", "B-A", "I-D"]) == {("A", 0, 1), ("A", 2, 2), ("D", 3, 3)}
    assert entities(["I-A", "I-A", "B-A", "I-D"], "IOB2") == {("A", 2, 2)}
    assert entities(["U-A", "B-D", "L-D"]) == {("A", 0, 0), ("D", 1, 2)}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1))
def test_macro_f1_is_sklearns(pairs: list[tuple[str, str]]) -> None:
    gold, found = [a for a, _ in pairs], [b for _, b in pairs]
    assert macro_f1(gold, found) == pytest.approx(macro(gold, found, average="macro", zero_division=0))
    assert accuracy(gold, found) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_attachment_counts_heads_and_universal_relations() -> None:
    gold = [([0, 1, 1], ["root", "nsubj:pass", "punct"]), ([0], ["root"])]
    found = [([0, 1, 2], ["root", "nsubj", "punct"]), ([0], ["dep"])]
    assert attachment(gold, found) == (3 / 4, 2 / 4)


def test_squad_is_normalised_as_officially() -> None:
    assert normalised("The  Denver-Broncos, a team!") == "denverbroncos team"
    exact, f1 = squad_scores([["Denver Broncos", "the Broncos"], ["1990s"], [], []], ["Broncos", "in 1990s", "", "x"])
    assert exact == 2 / 4
    assert f1 == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
