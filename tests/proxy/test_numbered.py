"""The numbers that a tool puts before lines are left off, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.proxy.numbered import Bare

CODE = ["def total(orders):", "    return sum(", "        order.amount for order in orders", "    )", ""]


@pytest.mark.parametrize(("mark", "told"), [("\t", "'\\t'"), ("→", "'→'"), (":", "':'"), ("|", "'|'"), (": ", "': '")])
def test_numbers_with_one_mark_are_left_off_and_indents_stay(mark: str, told: str) -> None:
    bare = Bare("\n".join(f"{n:4d}{mark}{line}" for n, line in enumerate(CODE, 7)))
    assert bare.text.split("\n") == CODE and bare.note == f", numbered from 7 on by {told}"


def test_lines_whose_marks_differ_stay_as_they_are() -> None:
    text = "1:one\n2|two\n3:three"
    assert Bare(text).text == text and Bare(text).note == ""


@given(st.lists(st.text(st.characters(blacklist_characters="\n"), max_size=12), min_size=3, max_size=9))
def test_what_is_left_off_can_be_put_back(lines: list[str]) -> None:
    text = "\n".join(f"{n}:{line}" for n, line in enumerate(lines, 1))
    bare = Bare(text)
    mark = ": " if "': '" in bare.note else ":"
    said = "\n".join(f"{n}{mark}{line}" for n, line in enumerate(bare.text.split("\n"), 1))
    assert said == text or all(line in ("", " ") or line[0] == " " for line in lines)
