"""Pages of very many words: the work grows with their number, however they stand, and nothing on them is lost."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest
from PIL import Image

from microfiche.documents.boxes import joined, touch
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.columns import columns
from microfiche.documents.layout.crowds import CROWD
from microfiche.documents.tables.cells import table
from microfiche.documents.text_lines import TextLine, with_markers
from microfiche.page import Box

WORDS = ["harbour", "stone", "river", "glass", "cold", "winter", "apple", "seven", "paper", "A", "•", "2."]


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls: how long it takes, on any machine."""
    count = 0

    def each(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(each)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def scattered(count: int) -> list[TextLine]:
    """Words anywhere on a page that is as densely filled, however many there are."""
    chance, side = random.Random(7), 60 * count**0.5
    return [
        TextLine(word, (x, y, x + 9 * len(word), y + 12), 10)
        for word in (chance.choice(WORDS) for _ in range(count))
        for x, y in [(chance.random() * side, chance.random() * side)]
    ]


def aside(count: int) -> list[TextLine]:
    """Two narrow columns of many lines."""
    places = [(x, 12.0 * k) for k in range(count // 2) for x in (0, 200)]
    return [TextLine("river stone", (x, y, x + 90, y + 11), 10) for x, y in places]


def stairs(count: int) -> list[TextLine]:
    """Words that go down from one corner to the other, and overlap."""
    return [TextLine("glass", (3.0 * k, 4.0 * k, 3.0 * k + 40, 4.0 * k + 12), 10) for k in range(count)]


@pytest.mark.parametrize("made", [scattered, aside, stairs])
def test_the_work_grows_with_the_number_of_lines(made: Callable[[int], list[TextLine]]) -> None:
    picture = Image.new("RGB", (3000, 3000), "white")
    few, many = made(2000), made(4000)
    first = calls(lambda: blocks(few, [], picture))
    assert calls(lambda: blocks(many, [], picture)) < 2.7 * first


def test_no_word_of_a_crowded_page_is_lost() -> None:
    lines = scattered(3000)
    found = " ".join(block.text for block in blocks(lines, [], Image.new("RGB", (3400, 3400), "white")))
    assert sum(found.count(word) for word in WORDS[:9]) == sum(line.text in WORDS[:9] for line in lines)


def test_the_work_of_a_table_grows_with_its_cells() -> None:
    def made(count: int) -> tuple[list[TextLine], list[Box], Box]:
        wide, high = 10, count
        lines = [
            TextLine(f"{i}.{j}", (60.0 * j + 5, 20.0 * i + 4, 60.0 * j + 40, 20.0 * i + 16), 12)
            for i in range(high) for j in range(wide)
        ]
        rules: list[Box] = [(60.0 * j, 0, 60.0 * j, 20.0 * high) for j in range(wide + 1)]
        rules += [(0, 20.0 * i, 60.0 * wide, 20.0 * i) for i in range(high + 1)]
        return lines, rules, (0, 0, 60.0 * wide, 20.0 * high)

    few, many = made(40), made(80)
    assert calls(lambda: table(*many)) < 2.7 * calls(lambda: table(*few))
    assert table(*many).splitlines()[-1] == "| " + " | ".join(f"79.{j}" for j in range(10)) + " |"


def test_marks_alone_cost_no_more_the_more_lines_there_are() -> None:
    few, many = scattered(2000), scattered(4000)
    assert calls(lambda: with_markers(many)) < 2.7 * calls(lambda: with_markers(few))


def test_boxes_within_boxes_do_not_go_too_deep() -> None:
    """A tall box beside what is cut again: 600 times, one within the other."""
    boxes: list[Box] = []
    for k in range(600):
        boxes += [(4.0 * k, 4.0 * k, 4.0 * k + 2, 5000), (4.0 * k + 4, 4.0 * k, 5000, 4.0 * k + 2)]
    found = columns(boxes, 1.0)
    assert sorted(i for piece in found for i in piece) == list(range(len(boxes)))


@pytest.mark.parametrize(("count", "wide"), [(50, 30), (300, 10), (300, 60)])
def test_boxes_that_touch_are_joined_until_none_do(count: int, wide: int) -> None:
    chance = random.Random(count)
    boxes = [
        (x, y, x + chance.random() * wide, y + chance.random() * wide)
        for x, y in [(chance.random() * 600, chance.random() * 800) for _ in range(count)]
    ]
    found = joined(boxes, 2)
    assert not any(touch(a, b, 2) for i, a in enumerate(found) for b in found[:i])
    assert all(any(o[0] <= x[0] and o[1] <= x[1] and x[2] <= o[2] and x[3] <= o[3] for o in found) for x in boxes)


def test_many_boxes_are_joined_in_few_steps() -> None:
    def made(count: int) -> list[Box]:
        chance, side = random.Random(2), 40 * count**0.5
        places = [(chance.random() * side, chance.random() * side) for _ in range(count)]
        return [(x, y, x + 20, y + 10) for x, y in places]

    few, many = made(1000), made(2000)
    assert calls(lambda: joined(many, 2)) < 3.2 * calls(lambda: joined(few, 2))


def test_a_crowd_is_read_row_by_row() -> None:
    across, down = 60, CROWD // 60 + 1
    cells = [
        TextLine(f"c{i}r{k}", (30.0 * i, 14.0 * k, 30.0 * i + 26, 14.0 * k + 11), 10)
        for i in range(across) for k in range(down)
    ]
    found = blocks(cells, [], Image.new("RGB", (1800, 2400), "white"))
    rows = [line.split() for block in found for line in block.text.split("\n")]
    assert rows == [[f"c{i}r{k}" for i in range(across)] for k in range(down)]
    assert calls(lambda: blocks(cells, [], Image.new("RGB", (1800, 2400), "white"))) < 60 * len(cells)
