"""Columns of entries that end in amounts are read one after the other; the rows of one table are not parted."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.priced_columns import between_prices
from microfiche.documents.text_lines import TextLine

SIZE = 20.0


def line(text: str, x: float, y: float, width: float | None = None) -> TextLine:
    return TextLine(text, (x, y, x + (width or 10.0 * len(text)), y + 20), SIZE)


def ending(text: str, x: float, y: float) -> TextLine:
    return line(text, x - 10 * len(text), y)


def card(x: float, y: float, sections: list[tuple[str, list[tuple[str, str]]]], pitch: float = 30) -> list[TextLine]:
    """A column of a price list, from its left edge: heads, and entries with their amounts 330 px further on."""
    found = []
    for head, entries in sections:
        found.append(line(head, x, y))
        for k, (label, amount) in enumerate(entries, 1):
            found += [line(label, x, y + k * pitch), ending(amount, x + 330, y + k * pitch)]
        y += (len(entries) + 2) * pitch
    return found


SOUPS = ("Soups", [("Pea soup", "4.50"), ("Lentil soup", "4.90"), ("Goulash", "6.20")])
MAINS = ("Mains", [("Trout, whole", "17.50"), ("Beef stew", "15.80"), ("Dumplings", "12.90"), ("Pancakes", "9.40")])
SWEETS = ("Sweets", [("Plum cake", "4.20"), ("Strudel", "5.10")])
DRINKS = ("Drinks", [("Apple juice", "3.20"), ("Elderflower", "2.90"), ("Coffee", "3.10")])


def read(lines: list[TextLine]) -> str:
    return "\n".join(block.text for block in blocks(lines, [], Image.new("RGB", (1300, 1000), "white")))


@pytest.mark.parametrize("shift", [0, 11, 30])  # their rows are level, in part, or not
def test_columns_with_amounts_are_read_one_after_the_other(shift: int) -> None:
    left, right = card(100, 200, [SOUPS, MAINS]), card(520, 200 + shift, [SWEETS, DRINKS])
    said = read([line("Our kitchen", 100, 100), *left, *right])
    order = [said.index(text) for text in
             ("Soups", "Pea soup", "Goulash", "Mains", "9.40", "Sweets", "Plum", "Drinks", "Coffee", "3.10")]
    assert order == sorted(order)
    assert len(between_prices([*left, *right])) == 1


def test_three_columns_are_parted_twice() -> None:
    lines = [
        line for k, part in enumerate(([SOUPS, SWEETS], [MAINS], [DRINKS, ("Beer", [("Lager", "3.90")])]))
        for line in card(60 + 420 * k, 200 + 13 * k, part)
    ]
    assert len(between_prices(lines)) == 2


def test_rows_of_one_table_are_not_parted() -> None:
    names = ("Cement in bags", "Washed sand", "Steel mesh", "Spacers", "Crane")
    places = ("North depot", "Quarry", "North depot", "South depot", "Harbour")
    rows = [
        piece for k, (name, place) in enumerate(zip(names, places, strict=True)) for piece in (
            line(name, 100, 200 + 60 * k), line("on pallets", 100, 222 + 60 * k),
            ending(f"{k + 6}.40", 430, 200 + 60 * k), line(place, 520, 200 + 60 * k),
            ending(f"{k}10.00", 850, 200 + 60 * k),
        )
    ]  # fmt: skip
    assert not between_prices(rows), "labels go over two lines, but each row has both amounts"
    units = [
        piece for k in range(6) for piece in (
            line(f"Item {'abcdef'[k]}", 100, 200 + 30 * k), ending("12.40", 430, 200 + 30 * k),
            *([line("pcs", 520, 200 + 30 * k)] if k % 2 else []), ending("24.80", 850, 215 + 30 * k),
        )
    ]  # fmt: skip
    assert not between_prices(units), "a unit is no label"
    assert not between_prices([])


def test_a_line_across_ends_the_columns() -> None:
    left, right = card(100, 200, [SOUPS, MAINS]), card(520, 213, [SWEETS, DRINKS])
    across = line("All prices with service", 300, 330, 400)
    assert not between_prices([*left, across, *right])
