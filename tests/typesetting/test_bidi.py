"""Levels against python-bidi, which is another implementation; the vote on a paragraph's direction."""

from __future__ import annotations

import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from microfiche.typesetting.bidi import levels, may_turn, runs_left, visual

SIGNS = "abאבגערب1٢٣ +-,.%()[]\u05bc\u0301\u200e\u200f\u2066\u2067\u2068\u2069"


@given(st.text(st.sampled_from(SIGNS), min_size=1, max_size=14), st.sampled_from([0, 1]))
def test_the_order_is_that_of_another_implementation(text: str, base: int) -> None:
    text += "ab"[base:] if base else "אa"  # the other returns text of one direction as it is
    found = levels(text, base)
    assert len(found) == len(text) and all(level >= base for level in found)
    if not any(level % 2 != base for level in found):
        return
    assert "".join(text[i] for i in visual(found)) == get_display(text, base_dir="LR"[base])


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("abc", 0, "000"),
        ("אב 12 ג", 1, "1112211"),
        ("a (א) b", 0, "0001000"),
        ("א(a)ב", 1, "11211"),
        ("ab\u2067אa\u2069c", 0, "0001200"),
        ("a\u202eb\u202cc", 0, "00110"),
    ],
)
def test_levels(text: str, base: int, expected: str) -> None:
    assert "".join(map(str, levels(text, base))) == expected


def test_a_paragraph_runs_as_two_of_three_letters_do() -> None:
    assert runs_left("אבג") and runs_left("1. (אב cd גה!") and not runs_left("abc אבג def") and not runs_left("12 ()")
    assert may_turn("a\u200f") and not may_turn("naïve 中 ж")


def test_items_are_turned_from_the_highest_level_down() -> None:
    assert visual([0, 1, 1, 2, 2, 1, 0]) == [0, 5, 3, 4, 2, 1, 6]
    assert visual([]) == []
