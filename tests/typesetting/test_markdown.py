"""The small Markdown: what is written is read back, and a block is cut without losing a letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import InputError
from microfiche.typesetting.markdown import Block, Code, Heading, Items, Paragraph, Table, between, cut, parse, written

WORD = st.text(st.sampled_from("abcÄ中*|\\`#-.+1_~>[]()<&"), min_size=1, max_size=8)
TEXT = st.lists(WORD, min_size=1, max_size=6).map(" ".join)
CODE = st.lists(st.text(st.sampled_from("ab `*|#\\-1."), max_size=12), min_size=1, max_size=5).map("\n".join)


@st.composite
def paragraphs(draw: st.DrawFn) -> Paragraph:
    words = draw(st.lists(WORD, min_size=1, max_size=9))
    text = " ".join(words)
    styled = draw(st.lists(st.sampled_from([None, "bold", "italic"]), min_size=len(words), max_size=len(words)))
    spans, at = [], 0
    for word, style in zip(words, styled, strict=True):
        if style:
            spans.append((at, at + len(word), style))
        at += len(word) + 1
    return Paragraph(text, tuple(spans))


BLOCKS = st.lists(
    st.builds(Heading, TEXT, st.integers(1, 3))
    | paragraphs()
    | st.builds(Items, st.lists(TEXT, min_size=1, max_size=4).map(tuple), st.none() | st.integers(0, 99))
    | st.integers(1, 4).flatmap(
        lambda n: st.builds(Table, st.lists(st.tuples(*[TEXT] * n), min_size=2, max_size=4).map(tuple))
    )
    | st.builds(Code, CODE),
    max_size=5,
)


@given(BLOCKS)
def test_blocks_that_are_written_are_read_back(blocks: list[Block]) -> None:
    assert parse(written(blocks)) == blocks


def test_what_people_write() -> None:
    text = "# A *b*\n\ntwo\nlines of **one** text\n- not a list\n\n1. x\n2. y\n   more\n```py\n  z = 1\n\n```\n"
    assert parse(text) == [
        Heading("A b", 1),
        Paragraph("two lines of one text - not a list", ((13, 16, "bold"),)),
        Items(("x", "y more"), 1),
        Code("  z = 1\n"),
    ]
    assert parse("| a | b\\|c |\n|---|:-:|\n| | d |") == [Table((("a", "b|c"), ("", "d")))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a **b", "not closed in 'a \\*\\*b'"),
        ("x\n\n```\ncode", "code block that begins in line 3 is not closed"),
        ("| a | b |\n|---|---|\n| c |", "table in line 1"),
    ],
)
def test_what_is_no_markdown_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


def test_a_block_is_cut_in_two() -> None:
    paragraph = Paragraph("one two three", ((4, 13, "bold"),))
    assert cut(paragraph, 0, 8) == (
        [Paragraph("one two", ((4, 7, "bold"),))],
        [Paragraph("three", ((0, 5, "bold"),), True)],
    )
    items = Items(("one two", "three"), 4)
    assert cut(items, 0, 4) == ([Items(("one",), 4)], [Paragraph("two", continued=True), Items(("three",), 5)])
    assert cut(items, 1, 0) == ([Items(("one two",), 4)], [Items(("three",), 5)])
    assert cut(Code("ab\ncd"), 1, 1) == ([Code("ab\nc")], [Code("d")])
    assert cut(Code("ab\ncd"), 1, 0) == ([Code("ab")], [Code("cd")])
    assert between(paragraph, (0, 4), (0, 8)) == (Paragraph("two", ((0, 3, "bold"),), True),)
