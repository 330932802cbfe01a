"""Cells of a single sign on scans are read, and specks are no signs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, LINES, TABLES, page, table, worn

from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.scan_rules import rules_in
from microfiche.documents.sheet import Sheet


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("scanned", [False, True])
def test_cells_of_a_single_sign_are_read(name: str, scanned: bool) -> None:
    image = table(TABLES[name], "DejaVuSans")
    (done,) = RapidEngine().read([Sheet(1, worn(image) if scanned else image)])
    (found,) = (block.text for block in done.blocks if block.kind == "table")
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in found.split("\n")]
    rows = [tuple("–" if cell == "-" else cell for cell in row) for row in rows]  # a blurred dash may be a hyphen
    assert done.status == "ok" and [rows[0], *rows[2:]] == list(TABLES[name])


SOLD = (("Article", "May", "June"), ("Cloth", "—", "14"), ("Thread", "22", "—"), ("Buttons", "—", "7"))


def close(rows: tuple[tuple[str, ...], ...], grey: int, size: int = 24) -> Image.Image:
    """A table whose cells end close to the rule on their right."""
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), size)
    image = Image.new("RGB", (900, 400), "white")
    draw = ImageDraw.Draw(image)
    for i, row in enumerate(rows):
        for j, text in enumerate(row):
            right = 240 + 110 * j
            draw.text((right - 5 - font.getlength(text), 88 + 40 * i), text, fill="black", font=font)
    for i in range(len(rows) + 1):
        draw.line((100, 80 + 40 * i, 240 + 110 * (len(rows[0]) - 1), 80 + 40 * i), fill=(grey, grey, grey), width=2)
    for x in (100, *(240 + 110 * j for j in range(len(rows[0])))):
        draw.line((x, 80, x, 80 + 40 * len(rows)), fill=(grey, grey, grey), width=2)
    draw.text((100, 300), "The dashes stand for nothing sold.", fill="black", font=font)
    return image


@pytest.mark.parametrize("grey", [0, 120])
@pytest.mark.parametrize("scanned", [False, True])
def test_dashes_close_to_rules_are_read(grey: int, scanned: bool) -> None:
    image = close(SOLD, grey)
    (done,) = RapidEngine().read([Sheet(1, worn(image) if scanned else image)])
    (found,) = (block.text for block in done.blocks if block.kind == "table")
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in found.split("\n")]
    assert done.status == "ok" and [rows[0], *rows[2:]] == list(SOLD)


def test_a_scanners_grain_makes_no_rules() -> None:
    rules = rules_in(worn(table(TABLES["crosses"], "DejaVuSans")))
    assert len(rules) == 5 + 5
    assert rules_in(worn(table(TABLES["crosses"], "DejaVuSans", ruled=False))) == []


def test_specks_beside_lines_are_no_signs() -> None:
    image = page(LINES, size=26)
    wide = Image.new("RGB", (image.width + 600, image.height), "white")
    wide.paste(image)
    draw, rng = ImageDraw.Draw(wide), np.random.default_rng(3)
    for x, y in rng.uniform((image.width, 0), (wide.width, wide.height), (60, 2)):
        side = rng.integers(2, 7)
        draw.ellipse((x, y, x + side, y + side), fill="#555555")
    said = [line.text for line in RapidEngine().lines(wide)]
    assert said == [line.text for line in RapidEngine().lines(image)]
