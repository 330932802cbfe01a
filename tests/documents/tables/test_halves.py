"""A table of which nothing but the rule between its two columns is drawn."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.tables.halves import halves
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

PLANS = [("Plan A", "Plan B"), ("10 users", "50 users"), ("email help", "help by phone"), ("5 GB", "100 GB")]
RULE: Box = (400, 95, 400, 245)


def rows(pairs: list[tuple[str, str]], x: float = 420, step: float = 40) -> list[TextLine]:
    return [TextLine(text, (left, 100 + step * k, left + 10 * len(text), 122 + step * k), 20.0)
            for k, pair in enumerate(pairs) for text, left in zip(pair, (250, x), strict=True) if text]  # fmt: skip


def test_its_rows_are_rows() -> None:
    (block,) = blocks(rows(PLANS), [], Image.new("RGB", (900, 400), "white"), [RULE])
    assert block.kind == "table" and block.text.splitlines()[2] == "| 10 users | 50 users |"


@pytest.mark.parametrize(
    ("pairs", "rules"),
    [
        (PLANS, []),
        (PLANS, [RULE, (250, 245, 600, 245)]),  # it meets another rule
        (PLANS[:2], [RULE]),
        ([("• one", "• two"), ("• three", "• four"), ("• five", "• six"), ("• seven", "• eight")], [RULE]),
        ([("2010", "Engineer in a mill"), ("2012", "Clerk at the office"), ("2014", "Student of letters")], [RULE]),
        ([("Jane Roe", "John Doe"), ("12 Elm Street", "4 High Road"), ("Leeds LS1 4AP", "York YO1 7HH")], [RULE]),
        ([("Plan A", "Plan B"), ("", "50 users"), ("email help", ""), ("5 GB", "100 GB")], [RULE]),
    ],
    ids=["no rule", "a grid", "two rows", "lists", "labels", "addresses", "gaps"],
)
def test_what_is_none(pairs: list[tuple[str, str]], rules: list[Box]) -> None:
    step = 30 if "Jane" in pairs[0][0] else 40
    moved = [(x + 40, a, y + 40, b) if x == y else (x, a, y, b) for x, a, y, b in rules]
    assert halves(rows(pairs, 470, step), moved) == []


def test_a_page_without_lines_has_none() -> None:
    assert halves([], [RULE]) == []
