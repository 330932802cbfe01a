"""Printed pages: the truth stands where the ink is, nothing is lost from page to page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.errors import UsageError
from microfiche.page import PAPER
from microfiche.typesetting.fonts import BUNDLED, TYPEFACES
from microfiche.typesetting.galleys import Look
from microfiche.typesetting.markdown import Block, Code, Heading, Items, Paragraph, Table, parse, written
from microfiche.typesetting.print import Print, drawable, printed, settable_text

FACES = [t for t in TYPEFACES.values() if t.package == BUNDLED]
SERIF, MONO = TYPEFACES["DejaVu Serif"], TYPEFACES["DejaVu Sans Mono"]
EXAMPLE = """# Of printed pages

A paragraph with **bold words** and *slanted ones*, which is long enough for three lines or more of a narrow column.

## Lists

- first
- second, which goes on over the end of its line and hangs there below its own first word
- third

9. nine
10. ten

| fruit | number | remark |
| --- | --- | --- |
| apples | 12 | red and green ones that were picked in autumn and kept over winter |
| pears | 7 | yellow |

```
def f(x):
    return x + 1
```

The end."""

WORDS = st.lists(st.text(st.sampled_from("abcfgjWQÄß019.,-—"), min_size=1, max_size=14), min_size=1, max_size=40)
TEXT = WORDS.map(" ".join)
BLOCKS = st.lists(
    st.builds(Heading, TEXT, st.integers(1, 3))
    | st.builds(Paragraph, TEXT)
    | st.builds(Items, st.lists(TEXT, min_size=1, max_size=4).map(tuple), st.none() | st.integers(0, 99))
    | st.builds(Code, st.lists(TEXT, min_size=1, max_size=4).map("\n  ".join)),
    min_size=1,
    max_size=6,
)
LOOKS = st.builds(
    Look,
    st.sampled_from(FACES),
    st.integers(8, 16),
    hinted=st.booleans(),
    columns=st.integers(1, 2),
    margins=st.tuples(*[st.integers(6, 20)] * 4),
    gutter=st.integers(6, 20),
    leading=st.floats(1.1, 1.6),
    justified=st.booleans(),
    indent=st.floats(0, 2),
    gap=st.floats(0, 1),
    centred=st.booleans(),
    shade=st.sampled_from([0, 30]),
    head=st.sampled_from(["", "A running head"]),
    foot=st.sampled_from(["", "A foot of many words, more than a narrow page can hold"]),
    number=st.sampled_from(["", "17"]),
)


def kinds(print_: Print) -> list[str]:
    return [block.kind for block in print_.blocks]


def letters(text: str) -> str:
    return "".join(text.replace("•", "").split())


@given(BLOCKS, LOOKS, st.sampled_from([192, 320]), st.sampled_from([192, 256]))
@settings(deadline=None, max_examples=60)
def test_lines_hold_all_that_stands_and_boxes_hold_all_ink(
    blocks: list[Block], look: Look, height: int, width: int
) -> None:
    print_ = printed(blocks, look, height, width)
    text, boxes = print_.page.text, print_.page.boxes
    assert text is not None and boxes is not None and boxes.shape == (len(text), 4) and boxes.dtype == np.int32
    at = 0
    for line in print_.lines:
        assert at <= line.start <= line.stop and text[at : line.start].strip() == ""
        x0, y0, x1, y1 = line.baseline
        assert y0 == y1 and x0 <= x1 and "\n" not in text[line.start : line.stop]
        here = boxes[line.start : line.stop]
        assert (here[:, 0] < here[:, 2]).all() and (here[:, 1] < y0).all() and (here[:, 3] >= y0).all()
        at = line.stop
    assert at == len(text)
    covered = np.zeros(len(text), bool)
    for line in print_.lines:
        covered[line.start : line.stop] = True
    assert (boxes[~covered, 0] == boxes[~covered, 2]).all()
    if not look.shade:
        outside = print_.page.image.copy()
        for left, top, right, bottom in boxes:
            outside[top:bottom, left:right] = PAPER
        assert (outside == PAPER).all()
    for block in print_.blocks:
        inside = boxes[block.start : block.stop]
        assert (inside[:, :2] >= block.box[:2]).all() and (inside[:, 2:] <= block.box[2:]).all()


@given(BLOCKS, LOOKS, st.sampled_from([128, 192]))
@settings(deadline=None, max_examples=40)
def test_a_document_goes_on_from_page_to_page(blocks: list[Block], look: Look, height: int) -> None:
    look = replace(look, head="", foot="", number="")
    rest, read = tuple(blocks), ""
    for _ in range(200):
        print_ = printed(rest, look, height, 192)
        assert print_.page.text is not None
        assert letters(print_.page.text) == letters(_words(print_.content))
        assert "".join(letters(_words(b.content)) for b in print_.blocks) == letters(print_.page.text)
        assert parse(print_.markdown) == parse(written(print_.content))
        read += letters(print_.page.text)
        rest = print_.rest
        if not rest:
            break
    assert not rest and read == letters(_words(tuple(blocks)))


def _words(blocks: tuple[Block, ...]) -> str:
    parts = []
    for block in blocks:
        if isinstance(block, Items):
            first = block.first
            parts += [f"{'' if first is None else f'{first + i}.'} {item}" for i, item in enumerate(block.items)]
        elif isinstance(block, Table):
            parts += [" ".join(row) for row in block.rows]
        else:
            parts.append(block.text)
    return " ".join(parts)


def test_a_page_reads_in_order_and_knows_its_markdown() -> None:
    look = Look(SERIF, 11, columns=2, code=MONO, head="The head", number="17")
    print_ = printed(EXAMPLE, look, 320, 640)
    assert print_.rest == () and print_.markdown == EXAMPLE
    text = print_.page.text
    assert text is not None and text.startswith("The head\nOf printed pages\nA paragraph with bold words and slanted")
    assert "\n• third\n9. nine\n10. ten\nfruit number remark\napples 12 red and green ones that" in text
    assert text.endswith("def f(x):\n    return x + 1\nThe end.\n17")
    order = ["header", "title", "text", "heading", "list", "list", "table", "code", "text", "page number"]
    assert [kind for i, kind in enumerate(kinds(print_)) if kind != kinds(print_)[i - 1] or kind == "list"] == order
    title, first = print_.blocks[1], print_.blocks[2]
    assert title.box[2] - title.box[0] > 150 and title.box[3] <= first.box[1] + 3
    assert print_.lines[1].size == 18 and print_.lines[2].size == 11
    columns = [b.box[0] for b in print_.blocks if b.kind == "text"]
    assert columns[0] < 320 < columns[-1]


def test_justified_lines_end_at_the_margin_and_last_ones_where_they_end() -> None:
    paragraph = Paragraph("many words of several lengths stand in these lines, again and again " * 5)
    look = Look(SERIF, 10, margins=(20, 10, 30, 10))
    lines = printed([paragraph], look, 256, 320).lines
    assert len(lines) > 4
    assert all(abs(line.baseline[2] - 290) < 0.01 for line in lines[:-1]) and lines[-1].baseline[2] < 285
    ragged = printed([paragraph], replace(look, justified=False), 256, 320).lines
    assert len({round(line.baseline[2]) for line in ragged}) > 3 and all(line.baseline[2] <= 290 for line in ragged)


def test_bold_words_are_darker_and_rules_and_grounds_are_drawn() -> None:
    look = Look(SERIF, 14)
    plain, bold = (printed(t, look, 64 * 2, 256).page.image for t in ("word", "**word**"))
    assert (PAPER - bold).sum() > 1.1 * (PAPER - plain).sum()
    table = "| a | b |\n| --- | --- |\n| c | d |"
    none, rows, grid = ((printed(table, replace(look, rules=r), 128, 256).page.image < 128).sum()
                        for r in ("none", "rows", "grid"))  # fmt: skip
    assert none < rows < grid
    assert (printed("```\na\n```", replace(look, shade=20), 128, 256).page.image == PAPER - 20).sum() > 1000


def test_the_same_page_whatever_was_set_before() -> None:
    one = printed(EXAMPLE, Look(SERIF, 9), 640, 640)
    printed("# Other things: 0123456789", Look(SERIF, 9), 128, 128)
    other = printed(EXAMPLE, Look(SERIF, 9), 640, 640)
    assert one.page.text == other.page.text and one.lines == other.lines and one.blocks == other.blocks
    np.testing.assert_array_equal(one.page.image, other.page.image)


@pytest.mark.parametrize(
    ("change", "side", "message"),
    [
        ({}, 100, "multiples of 64 up to 1280"),
        ({}, 1344, "multiples of 64 up to 1280"),
        ({"size": 4}, 128, "type of 4 px: sizes are 5 to 16"),
        ({"columns": 3}, 128, "3 columns"),
        ({"margins": (60, 8, 60, 8)}, 128, "columns of 8 px"),
        ({"margins": (8, 60, 8, 60)}, 128, "no room for its first line"),
    ],
)
def test_impossible_pages_are_refused(change: dict[str, object], side: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        printed("words", replace(Look(SERIF, 12), **change), side, side)  # type: ignore[arg-type]


def test_empty_cells_rows_and_lines_of_code_stand_for_nothing() -> None:
    print_ = printed("| a | b |\n| --- | --- |\n| | |\n| | d |\n\n```\n\nx\n\n```", Look(SERIF), 256, 192)
    assert [print_.page.text[line.start : line.stop] for line in print_.lines] == list("abdx")  # type: ignore[index]
    assert kinds(print_) == ["table", "code"] and print_.rest == ()
    assert printed("```\n\n```", Look(SERIF), 128, 128).lines == ()


def test_an_empty_page() -> None:
    print_ = printed("", Look(SERIF), 128, 128)
    assert print_.page.text == "" and print_.lines == () and (print_.page.image == PAPER).all()


def test_text_is_made_of_what_the_typeface_draws() -> None:
    table = drawable(SERIF)
    assert settable_text("naïve — “so”\n", table) == "naïve — “so”\n"
    assert settable_text("a中b\tc\u202fd🂡e", table) == "ab c de"
    without = table.copy()
    without[[ord(c) for c in "—“”…"]] = False
    assert settable_text("a — “so”…", without) == 'a - "so"...'
