"""What several readings of one line agree on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.nano.agreement import agreed
from microfiche.nano.tracing import PrintedLine, TracedLine

LETTERS = "abcdefgh "


def reading(text: str, sure: float | list[float] = 0.9, size: float = 10.0) -> PrintedLine:
    left = np.arange(len(text)) * 5
    boxes = np.stack([left, np.zeros_like(left), left + 5, np.full_like(left, 12)], 1).astype(np.int32)
    confidence = np.broadcast_to(np.array(sure, np.float32), len(text)).copy()
    return PrintedLine(text, confidence, boxes, TracedLine(0.0, 5.0 * len(text), 6.0, 0.0, size))


@given(st.text(LETTERS, max_size=30), st.integers(1, 4))
@settings(deadline=None)
def test_readings_that_say_the_same_agree_on_it(text: str, count: int) -> None:
    line = agreed([reading(text, 0.5 + i / 10) for i in range(count)])
    assert line.text == text
    assert line.confidence == pytest.approx(np.full(len(text), 0.5 + (count - 1) / 20), abs=1e-5)


@given(st.permutations("abcdefghijkl"), st.data())
@settings(deadline=None)
def test_an_error_that_only_one_makes_does_not_count(letters: list[str], data: st.DataObject) -> None:
    text = "".join(letters)
    said = []
    for i in range(3):  # each has an error in another third
        at = data.draw(st.integers(4 * i, 4 * i + 3))
        wrong = data.draw(st.sampled_from(["", "X", text[at] + "X"]))
        said.append(text[:at] + wrong + text[at + 1 :])
    assert agreed([reading(one) for one in said]).text == text


def test_substitutions_insertions_and_losses_are_outvoted() -> None:
    said = ["the oId house", "the old houuse", "the old hose"]
    assert agreed([reading(one) for one in said]).text == "the old house"
    assert agreed([reading("1799"), reading("179"), reading("179")]).text == "179"
    assert agreed([reading("ab"), reading("acb"), reading("acb")]).text == "acb"


def test_of_two_the_surer_counts() -> None:
    unsure = [0.9, 0.9, 0.3]
    line = agreed([reading("cat"), reading("car", unsure)])
    assert line.text == "cat"
    assert line.confidence == pytest.approx([0.9, 0.9, 0.45], abs=1e-5)


@given(st.lists(st.text(LETTERS, max_size=12), min_size=1, max_size=5))
@settings(deadline=None)
def test_whatever_was_read_has_chances_and_boxes(texts: list[str]) -> None:
    line = agreed([reading(text) for text in texts])
    assert ((line.confidence >= 0) & (line.confidence <= 1)).all()
    assert line.boxes.shape == (len(line.text), 4)


def test_a_reading_of_nothing_says_nothing() -> None:
    assert agreed([reading("")]).text == ""
    assert agreed([reading("word"), reading("")]).text == "word"
