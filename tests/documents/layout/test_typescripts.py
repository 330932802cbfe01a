"""Pages in fixed-pitch type that are no code are laid out as any other page; their rows of dashes are rules."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine

PAGE = Image.new("RGB", (1200, 900), "white")
WEATHER = """
STATION 0412 ELKO NV                       MONTH: JAN 1974

DAY    MAX   MIN   MEAN    PRECIP   REMARKS
===   ====  ====  =====   =======   ==================
  1     34    12   23.0      0.00   CLEAR
  2     31     9   20.0      0.04   LIGHT SNOW AT DUSK
  3     29     5   17.0      0.11   SNOW

THE GAUGE WAS FOUND FROZEN ON THE THIRD, AND THE FIGURE FOR
THAT DAY IS AN ESTIMATE FROM THE DEPTH OF SNOW.
"""
WAYBILL = """
Shipper:   Linton Mills             Consignee: Ateliers Roux
           4 Weir Lane                         18, rue du Port
           Bury BL9 0QT                        44600 Saint-Nazaire

PCS  DESCRIPTION                 WEIGHT KG    VOL M3    VALUE GBP
---  --------------------------  ---------  --------  -----------
  4  Rolls of felt, grey             188.0      1.20     1,240.00
 12  Cartons, cotton thread           96.5      0.84       611.40
---                              ---------  --------  -----------
 16  TOTAL                           284.5      2.04     1,851.40
"""
CODE = """
for (i = 0; i < n; i++) {
    total[i] = 0;
    for (j = 0; j < m; j++)
        total[i] += a[i][j];
}
"""


COMMENTS = """
% Solution presented:
% I think there should be the usual interline glue above,
% since the same would happen with a table in a center
% environment, and this seems to work as it should here.
% -----------------------------------------------------
"""


def typed(text: str) -> list[TextLine]:
    """The pieces of a text that wide spaces part; a character is 12 px wide."""
    out = []
    for k, row in enumerate(text.strip("\n").split("\n")):
        start = 0
        for piece in row.split("  "):
            bare = piece.strip()
            if bare:
                left = 60 + 12 * (start + len(piece) - len(piece.lstrip()))
                out.append(TextLine(bare, (left, 60 + 24 * k, left + 12 * len(bare), 82 + 24 * k), 20.0, fixed=True))
            start += len(piece) + 2
    return out


@pytest.mark.parametrize(("text", "row"), [
    (WEATHER, "| 2 | 31 | 9 | 20.0 | 0.04 | LIGHT SNOW AT DUSK |"),
    (WEATHER, "| DAY | MAX | MIN | MEAN | PRECIP | REMARKS |"),
    (WAYBILL, "| 12 | Cartons, cotton thread | 96.5 | 0.84 | 611.40 |"),
    (WAYBILL, "| PCS | DESCRIPTION | WEIGHT KG | VOL M3 | VALUE GBP |"),
])
def test_tables_are_read_row_by_row(text: str, row: str) -> None:
    found = blocks(typed(text), [], PAGE)
    tables = [block.text for block in found if block.kind == "table"]
    assert any(row in table for table in tables)
    assert not any("---- " in block.text or "===" in block.text for block in found)


def test_what_stands_around_a_table_stays_outside() -> None:
    found = blocks(typed(WEATHER), [], PAGE)
    assert [block.kind for block in found][-1] == "text" and found[-1].text.startswith("THE GAUGE WAS")


@pytest.mark.parametrize("text", [CODE, COMMENTS.replace("%", "//") + CODE])
def test_code_stays_code_also_where_most_of_it_is_comments(text: str) -> None:
    (block,) = blocks(typed(text), [], PAGE)
    assert block.kind == "code" and set(filter(str.strip, text.split("\n"))) <= set(block.text.split("\n"))
