"""Rows of an invoice without rules are rows, though what is said of each goes over several lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.tables.amounts import priced
from microfiche.documents.text_lines import TextLine

ITEMS = (
    ("3 May", ("Redesign of the web pages, with three", "rounds of changes and a style guide, as", "said"), "2,400.00"),
    ("7 May", ("Hosting for twelve months from the first", "of June, billed once a year"), "180.00"),
    ("15 May", ("Translation into Dutch, proof-read by a", "second translator before it is printed"), "504.00"),
    ("2 June", ("Travel",), "210.50"),
)


def invoice(columns: Sequence[int], gap: float, currency: str = "") -> list[TextLine]:
    """The items in three columns, of which those numbered are shown, `gap` px apart."""
    lines, y = [], 100.0
    for date, said, amount in ITEMS:
        for k, text in enumerate(said):
            pieces = {0: (100, date), 1: (220, text), 2: (900 - 10 * len(currency + amount), currency + amount)}
            for number in columns if k == 0 else (1,):
                x, words = pieces[number]
                lines.append(TextLine(words, (x, y, x + 10 * len(words), y + 22), 20.0))
            y += 24
        y += gap
    return lines


@pytest.mark.parametrize("columns", [(1, 2), (0, 1, 2)])
@pytest.mark.parametrize("gap", [6.0, 12.0, 24.0])
@pytest.mark.parametrize("currency", ["", "€ "])
def test_rows_are_read_with_their_amounts(columns: Sequence[int], gap: float, currency: str) -> None:
    made = blocks(invoice(columns, gap, currency), [], Image.new("RGB", (1000, 600), "white"))
    assert [block.kind for block in made] == ["table"]
    rows = [row for row in made[0].text.splitlines() if "---" not in row]
    expected = [
        "| " + " | ".join(([date] if 0 in columns else []) + [" ".join(said), currency + amount]) + " |"
        for date, said, amount in ITEMS
    ]
    assert rows == expected


def test_running_text_beside_numbers_is_no_table() -> None:
    words = ["the keeper wrote down the weather", "morning, and when the station was closed", "his books were sold"]
    lines = [TextLine(words[k % 3], (100, 100 + 24 * k, 480, 122 + 24 * k), 20.0) for k in range(12)]
    numbers = [TextLine(f"{k}.{k}0", (700, 100 + 24 * k, 740, 122 + 24 * k), 20.0) for k in range(1, 12, 2)]
    assert priced([*lines, *numbers]) == []


@pytest.mark.parametrize("pitch", [1.0, 1.5])
def test_further_words_beside_values_carry_on_their_row(pitch: float) -> None:
    lines, y = [], 100.0
    for name, more, values in (
        ("Hosting", "For one year", ("12", "15.00")), ("Translation", "Proof-read by two", ("42", "0.12")),
        ("Travel", "Bristol - Utrecht", ("1", "210.50")), ("Total", "", ("", "225.62")),
    ):
        for x, text in ((100, name), (500, values[0]), (700, values[1])):
            if text:
                lines.append(TextLine(text, (x, y, x + 10 * len(text), y + 22), 20.0))
        if more:
            lines.append(TextLine(more, (100, y + 24, 100 + 10 * len(more), y + 46), 20.0))
        y += 48 + 12 * pitch
    (made,) = blocks(lines, [], Image.new("RGB", (1000, 600), "white"))
    assert "| Translation Proof-read by two | 42 | 0.12 |" in made.text
