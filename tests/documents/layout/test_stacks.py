"""Authors beside each other, each with where they work below them, and those who sign, are read one by one."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.document import Block
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.stacks import stack_rows
from microfiche.documents.text_lines import TextLine

AUTHORS = (
    ("Jane A. Roe", "University of Leeds", "Leeds, UK", "roe@leeds.ac.uk"),
    ("Karl Moor", "Institute for Tides and Walls", "k.moor@tides.de"),
    ("Li Wei", "Tsinghua University", "Beijing, China", "liwei@tsinghua.edu.cn"),
)
SECOND = (("Anna Berg", "Stone Laboratory", "Uppsala"), ("Otto Lund", "Lund and Sons Ltd", "Oslo, Norway"))


def centred(text: str, x: float, y: float, size: float = 20, bold: bool = False, sure: float = 1.0) -> TextLine:
    half = 0.23 * size * len(text)
    return TextLine(text, (x - half, y, x + half, y + 1.1 * size), size, bold, sure)


def row(stacks: tuple[tuple[str, ...], ...], y: float, larger: float = 1, sure: float = 1.0) -> list[TextLine]:
    step = 1000 / len(stacks)
    return [
        centred(text, step * (k + 0.5), y + 26 * i, 20 * larger if i == 0 else 20, sure=sure)
        for k, stack in enumerate(stacks) for i, text in enumerate(stack)
    ]


def read(lines: list[TextLine]) -> list[Block]:
    return blocks(lines, [], Image.new("RGB", (1000, 1400), "white"))


@pytest.mark.parametrize("sure", [1.0, 0.97])
@pytest.mark.parametrize("larger", [1, 1.2])
def test_each_author_keeps_what_stands_below(larger: float, sure: float) -> None:
    head = centred("On the Walls of Harbours", 500, 100, 40, True, sure)
    prose = [
        TextLine(f"A single storm might cost more than {k} years of masonry, as others have answered, and", (
            100, 500 + 26 * k, 900, 522 + 26 * k), 20, confidence=sure) for k in range(6)
    ]
    found = read([head, *row(AUTHORS, 190, larger, sure), *row(SECOND, 340, larger, sure), *prose])
    assert [block.text for block in found[1:6]] == ["  \n".join(stack) for stack in (*AUTHORS, *SECOND)]
    assert [block.kind for block in found] == ["title", *["text"] * 6]


def test_those_who_sign_beside_each_other_are_read_one_by_one() -> None:
    signed = (("Jane Roe", "Managing Director", "Roe Works"), ("Karl Moor", "Head of Purchasing", "Hafen, Hamburg"))
    rules = [(150.0, 195.0, 350.0, 195.0), (650.0, 195.0, 850.0, 195.0)]
    found = blocks(row(signed, 200), [], Image.new("RGB", (1000, 1400), "white"), rules)
    assert [block.text for block in found] == ["  \n".join(stack) for stack in signed]


@pytest.mark.parametrize("cells", [
    (("Year", "2021", "2022", "2023"), ("Fees", "4.50", "5.10", "6.00"), ("Boats", "310", "12", "2,940")),
    (("Walls", "Stone", "Old"), ("Lamps", "Glass and iron", "New"), ("Boats", "Wood", "Of any age")),
])  # fmt: skip
def test_centred_cells_are_no_stacks(cells: tuple[tuple[str, ...], ...]) -> None:
    assert stack_rows(row(cells, 200), []) == []


def test_stacks_that_rules_part_are_none() -> None:
    assert stack_rows(row(AUTHORS, 200), [(50, 224, 950, 224)]) == []


def test_columns_of_prose_are_no_stacks() -> None:
    lines = [
        TextLine(f"the walls at {k} Leeds University", (left, 100 + 26 * k, left + 300, 122 + 26 * k), 20)
        for left in (100, 500) for k in range(7)
    ]
    assert stack_rows(lines, []) == []
