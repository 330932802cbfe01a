"""Upright rules between the columns of a page part them, whatever stands level on both sides."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.walls import sides, walls
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

SIZE = 20.0
WALL: Box = (600, 180, 600, 900)
OVER: Box = (100, 140, 1100, 140)
UNDER: Box = (100, 940, 1100, 940)


def line(text: str, x: float, y: float, width: float) -> TextLine:
    return TextLine(text, (x, y, x + width, y + 22), SIZE)


def exam(pitch: float = 47, right: float = 400) -> list[TextLine]:
    """Questions in two columns, with answers in rows of their own; the second column has another pitch."""
    left = [row for k in range(7) for row in (
        line(f"{k + 1}. How much is {k} + {k}?", 110, 200 + 94 * k, 400),
        *(line(f"{letter}. {k * n}", 110 + 110 * n, 240 + 94 * k, 60) for n, letter in enumerate("ABCD")),
    )]  # fmt: skip
    return left + [line(f"{k + 8}. Why is that so, and for whom?", 640, 190 + pitch * k, right) for k in range(14)]


def test_columns_are_read_one_after_the_other() -> None:
    lines = exam()
    found = blocks(lines, [], Image.new("RGB", (1200, 1000), "white"), [WALL, OVER, UNDER])
    said = " ".join(block.text for block in found)
    assert all(block.kind != "table" for block in found)
    assert said.index("7. How much") < said.index("8. Why") and said.index("D. 18") < said.index("8. Why")


def test_a_wall_stands_free_between_lines_that_are_not_level() -> None:
    assert walls(exam(), [OVER, WALL, UNDER]) == [WALL]
    assert [len(side) for side in sides(exam(), [WALL])] == [35, 14]
    assert not walls(exam(), [OVER, (600, 140, 600, 900), UNDER]), "it touches another rule"
    assert not walls(exam(), [OVER, (600, 180, 600, 300), UNDER]), "it is short"
    assert not walls(exam(right=100), [OVER, WALL, UNDER]), "beside it is a narrow column, as of notes"
    assert not walls([*exam(), line("over both", 500, 420, 250)], [OVER, WALL, UNDER])
    level = [line(f"{side} {k}", x, 200 + 40 * k, 300) for k in range(16) for side, x in (("a", 110), ("b", 640))]
    assert not walls(level, [WALL]), "its sides are rows"
    assert walls([], [WALL]) == []


@pytest.mark.parametrize("count", [2, 3])
def test_several_walls_part_several_columns(count: int) -> None:
    wide = 1000 // (count + 1)
    rules = [(100 + wide * k, 150, 100 + wide * k, 950) for k in range(1, count + 1)]
    lines = [line(f"{column}-{k}", 120 + wide * column, 160 + (31 + 5 * column) * k, wide - 40)
             for column in range(count + 1) for k in range(18)]  # fmt: skip
    assert walls(lines, rules) == rules
    found = blocks(lines, [], Image.new("RGB", (1200, 1000), "white"), rules)
    words = " ".join(block.text for block in found).split()
    assert words == [x.text for x in lines]
