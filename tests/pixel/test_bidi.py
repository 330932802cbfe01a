"""Which way text runs, against python-bidi's own display order."""

from __future__ import annotations

import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from microfiche.pixel.bidi import right_to_left, runs, visual

MIXED = st.text(st.sampled_from("abc אבג דذر 12٣-,./%$!\u0301()[]«»"), max_size=40)


@given(MIXED, st.booleans())
def test_the_order_is_that_of_python_bidis_compiled_algorithm(text: str, rtl: bool) -> None:
    found = runs(text, rtl)
    assert [at for start, stop, _ in found for at in range(start, stop)] == list(range(len(text)))
    levels = [level for start, stop, level in found for _ in range(start, stop)]
    assert "".join(text[at] for at in visual(levels)) == get_display(text, base_dir="R" if rtl else "L")


def test_brackets_go_the_same_way_as_their_partner() -> None:
    for opening, closing in ("()", "[]", "「」", "⦍⦐", "⦏⦎", "\u2329\u3009"):
        text = f"abc {opening}def{closing} אב"
        levels = [level for start, stop, level in runs(text, True) for _ in range(start, stop)]
        assert "".join(text[at] for at in visual(levels)) == f"בא abc {opening}def{closing}"


def test_seventy_open_brackets_are_no_harm() -> None:
    text = "א" + "(" * 70 + "b" + ")" * 70
    assert sum(stop - start for start, stop, _ in runs(text, True)) == len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("123, …", False),
        ("שלום", True),
        ("12 (שלום) 34", True),
        ("שלום hello", False),  # the first letter alone runs to the left
        ("hello שלום עולם", True),
        ("مرحبا", True),
        ("abc של", False),
    ],
)
def test_three_letters_vote_on_a_paragraphs_direction(text: str, expected: bool) -> None:
    assert right_to_left(text) == expected


def test_marks_without_width_and_isolates_keep_their_place() -> None:
    text = "אב\u200dג \u2067abc\u2069 \u202bדה\u202c"
    assert [at for start, stop, _ in runs(text, True) for at in range(start, stop)] == list(range(len(text)))
