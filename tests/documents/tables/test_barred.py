"""Tables between level rules of one length."""

from __future__ import annotations

import pytest

from microfiche.documents.tables.barred import barred
from microfiche.documents.text_lines import TextLine

ROWS = [TextLine("12.5" if y > 120 else "Head", (x, y - 6, x + 40, y + 6), 12.0)
        for y in (115, 145, 180, 210, 240) for x in (110, 250, 400)]  # fmt: skip


@pytest.mark.parametrize("feet", [(260,), (260, 268), (260, 268, 290), (260, 400), (160, 260, 280, 300)])
def test_rules_with_nothing_between_them_end_a_table(feet: tuple[int, ...]) -> None:
    rules = [(100, y, 500, y) for y in (100, 130, *feet)]
    (found,) = barred(ROWS, rules)
    assert found == (100, 100, 500, 260)
