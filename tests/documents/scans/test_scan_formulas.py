"""A formula on a scan, which nothing here reads, is never passed off as read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scenes import LINES, page, worn

from microfiche.documents.document import PageRead
from microfiche.documents.scans.ink import Ink
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.scan_formulas import formulas_in
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_lines import TextLine

FORMULAS = {
    "a fraction": r"$v = \frac{s_2 - s_1}{t_2 - t_1}$",
    "an integral": r"$F(x) = \int_0^x f(s)\,ds$",
    "a sum": r"$S = \sum_{k=1}^n k^2$",
    "large brackets": r"$y = \left(1 + \frac{x}{n}\right)^n$",
}


def drawn(formula: str) -> Image.Image:
    file = io.BytesIO()
    figure = Figure(figsize=(4, 1))
    figure.text(0.5, 0.5, formula, fontsize=16, ha="center", va="center")
    figure.savefig(file, dpi=130)
    return Image.open(file).convert("RGB")


def read(*parts: Image.Image) -> PageRead:
    picture = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height
    (found,) = RapidEngine().read([Sheet(1, worn(picture))])
    return found


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_page_with_a_formula_is_partial_and_keeps_its_picture(formula: str) -> None:
    found = read(page(LINES), drawn(FORMULAS[formula]), page(LINES))
    assert found.status == "partial" and found.reason == "a formula was not read as more than single signs"
    (kept,) = (block for block in found.blocks if block.kind == "formula")
    words = " ".join(block.text for block in found.blocks if block.kind != "formula").split()
    assert words == " ".join(LINES * 2).split()
    assert kept.box[2] - kept.box[0] > 60 and kept.box[3] - kept.box[1] > 25


def test_rules_and_large_letters_are_no_formulas() -> None:
    picture = page((*LINES, "Total = 24 + 11", "x = 3 and y = 4"))
    draw = ImageDraw.Draw(picture)
    draw.line((44, 52, 300, 52), "black", 2)  # an underlined line
    draw.line((44, 104, 200, 104), "black", 2)
    draw.rectangle((30, 225, 380, 275), outline="black", width=2)  # a frame
    assert read(picture).status == "ok"


def test_strokes_of_chinese_signs_are_no_bars() -> None:
    pieces = [(100 + 40 * i, y, 26, high) for i in range(6) for y, high in ((100, 8), (114, 2), (122, 8))]
    mask = np.zeros((200, 500), np.uint8)
    for x, y, wide, high in pieces:
        mask[y : y + high, x : x + wide] = 1
    ink = Ink(mask, np.full((50, 125), 255, np.uint8), mask)
    said = [TextLine(text, (95, 95, 340, 135), 30, confidence=0.99) for text in ("言言言言言言", "a/b + c/d - e/f")]
    assert [formulas_in(ink, [line], [])[1] for line in said] == [0, 1]


@pytest.mark.parametrize("wall", [True, False])
def test_a_formula_does_not_go_over_to_another_column(wall: bool) -> None:
    """Neither over a rule between columns, nor over a gutter where there is none."""
    mask = np.zeros((400, 1000), np.uint8)
    for y, high in ((182, 14), (200, 2), (206, 14)):
        mask[y : y + high, 200:226] = 1
    ink = Ink(mask, np.full((100, 250), 255, np.uint8), mask)
    own, far = TextLine("x =", (150, 190, 190, 212), 20.0), TextLine("A. 0 B. 1 C. 2", (640, 190, 900, 212), 20.0)
    near = TextLine("if y > 0, z = 1", (260, 190, 460, 212), 20.0)
    lines = [own, near if wall else far, *(TextLine("a line of prose is here", (100, y, 450, y + 22), 20.0)
                                           for y in (40, 70, 100))]  # fmt: skip
    ((left, _, right, _),), count = formulas_in(ink, lines, [], [(240, 20, 240, 380)] if wall else [])
    assert count == 1 and left == 150 and right < 250
