"""Text goes into ids and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.nano.vocabulary import BEGIN, END, MARKS, SIZE, decode, encode
from microfiche.typesetting.alphabet import FULL, HALF

CHARACTERS = [c for c in HALF + FULL if c != "\0"]


@given(st.lists(st.sampled_from(CHARACTERS) | st.sampled_from(MARKS)).map("".join))
def test_text_comes_back(text: str) -> None:
    ids = encode(text)
    assert decode(ids.tolist()) == text
    assert all(0 <= i < SIZE and i not in (BEGIN, END) for i in ids.tolist())


def test_marks_are_one_token_and_positions_digits() -> None:
    assert len(encode("<|det|>[[1, 999]]<|/det|>")) == 2 + len("[[1, 999]]")
    assert len({int(encode(mark)[0]) for mark in MARKS}) == len(MARKS)


def test_every_character_has_its_own_id() -> None:
    assert len(set(encode("".join(CHARACTERS)).tolist())) == len(set(CHARACTERS))


@pytest.mark.parametrize("text", ["a\N{SNOWMAN}", "\0", "\N{GRINNING FACE}"])
def test_what_is_unknown_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"U\\+{ord(text[-1]):04X} is not in nano's alphabet"):
        encode(text)
