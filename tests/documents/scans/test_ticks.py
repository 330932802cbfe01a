"""Boxes to tick that are drawn on a scan stand beside their labels, and nothing else becomes one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, LINES, TABLES, page, table, worn

from microfiche.documents.scans.ink import ink_of
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.ticks import boxes_to_tick
from microfiche.documents.sheet import Sheet

LABELS = ("Yes, I want the newsletter", "No, thank you", "I have read the terms", "Call me back on Monday")
TICKED = (True, False, True, False)


def form(mark: str, face: str = "DejaVuSans", size: int = 26) -> Image.Image:
    """Labels, each with a box to its left; a `mark` is a sign of the typeface, or how a pen crosses a drawn box."""
    font = ImageFont.truetype(str(FACES / f"{face}.ttf"), size)
    signs = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), size)
    image = Image.new("RGB", (900, 240 + 60 * len(LABELS)), "white")
    draw = ImageDraw.Draw(image)
    draw.text((60, 60), "Please tick what applies to you", fill="black", font=font)
    side = round(0.9 * size)
    for k, (label, ticked) in enumerate(zip(LABELS, TICKED, strict=True)):
        x, y = 60, 140 + 60 * k
        if len(mark) == 1:
            draw.text((x, y), mark if ticked else "☐", fill="black", font=signs)
        else:
            draw.rectangle((x, y, x + side, y + side), outline="black", width=2)
            over = 6 if "beyond" in mark else -4
            if ticked and "cross" in mark:
                draw.line((x - over, y - over, x + side + over, y + side + over), fill="black", width=3)
                draw.line((x - over, y + side + over, x + side + over, y - over), fill="black", width=3)
            elif ticked:
                draw.line((x + 4, y + side / 2, x + side / 2, y + side - 4), fill="black", width=3)
                draw.line((x + side / 2, y + side - 4, x + side + over, y - over), fill="black", width=3)
        draw.text((x + 1.8 * size, y), label, fill="black", font=font)
    return image


@pytest.mark.parametrize("mark", ["☒", "☑", "cross", "hook", "cross beyond", "hook beyond"])
@pytest.mark.parametrize("scanned", [False, True])
def test_boxes_stand_before_their_labels(mark: str, scanned: bool) -> None:
    image = form(mark, "DejaVuSerif" if mark == "cross" else "DejaVuSans")
    said = [line.text for line in RapidEngine().lines(worn(image) if scanned else image)]
    wanted = [f"[{'x' if ticked else ' '}] {label}" for label, ticked in zip(LABELS, TICKED, strict=True)]
    assert sorted(said) == sorted(["Please tick what applies to you", *wanted])


@pytest.mark.parametrize(("side", "wide", "thick"), [(20, 9, 3), (21, 9, 4), (24, 10, 4), (30, 13, 5), (38, 16, 6)])
def test_a_typed_cross_that_is_narrow_ticks_its_box(side: int, wide: int, thick: int) -> None:
    image = Image.new("RGB", (700, 400), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), 26)
    for k, label in enumerate(LABELS):
        x, y = 60, 60 + 70 * k
        draw.rectangle((x, y, x + side, y + side), outline="black", width=2)
        draw.text((x + 2 * side, y), label, fill="black", font=font)
        if TICKED[k]:
            left, top, right, bottom = x + (side - wide) // 2, y + 3, x + (side + wide) // 2, y + round(0.75 * side)
            draw.line((left, top, right, bottom), fill="black", width=thick)
            draw.line((left, bottom, right, top), fill="black", width=thick)
    for seen in (image, worn(image)):
        pixels = np.asarray(seen)
        found = sorted(boxes_to_tick(pixels, ink_of(seen)), key=lambda tick: tick.box[1])
        assert tuple(tick.ticked for tick in found) == TICKED


def rings(mark: str, size: int = 26) -> Image.Image:
    """Labels, each with a ring to its left; a `mark` is how the chosen one looks."""
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), size)
    image = Image.new("RGB", (900, 240 + 60 * len(LABELS)), "white")
    draw = ImageDraw.Draw(image)
    draw.text((60, 60), "Please choose what applies to you", fill="black", font=font)
    for k, (label, chosen) in enumerate(zip(LABELS, TICKED, strict=True)):
        x, y, side = 60, 142 + 60 * k, round(0.9 * size)
        filled = "black" if chosen and mark == "full" else None
        draw.ellipse((x, y, x + side, y + side), outline="black", width=2, fill=filled)
        if chosen and mark == "dot":
            draw.ellipse((x + 7, y + 7, x + side - 7, y + side - 7), fill="black")
        if chosen and mark == "cross":
            draw.line((x + 4, y + 4, x + side - 4, y + side - 4), fill="black", width=3)
            draw.line((x + 4, y + side - 4, x + side - 4, y + 4), fill="black", width=3)
        draw.text((x + 1.8 * size, y - 2), label, fill="black", font=font)
    return image


@pytest.mark.parametrize("mark", ["dot", "full", "cross"])
@pytest.mark.parametrize("scanned", [False, True])
def test_rings_stand_before_their_labels(mark: str, scanned: bool) -> None:
    image = rings(mark)
    said = [line.text for line in RapidEngine().lines(worn(image) if scanned else image)]
    wanted = [f"[{'x' if chosen else ' '}] {label}" for label, chosen in zip(LABELS, TICKED, strict=True)]
    assert sorted(said) == sorted(["Please choose what applies to you", *wanted])


def test_letters_o_and_bullets_are_no_rings() -> None:
    said = ("O conselho aprovou as contas", "O tesoureiro leu o relatório", "O João não estava presente", "• O O 0 o •")
    groups = table((("Group", "Donor"), ("O", "O"), ("A", "O"), ("B", "O")), "DejaVuSans")
    bullets = page(("◦ first of them", "◦ second of them", "● third", "● fourth"))
    for image in (page(said), worn(page(said)), bullets, groups):
        assert boxes_to_tick(np.asarray(image), ink_of(image)) == []


def test_grids_letters_and_boxes_for_single_letters_are_none() -> None:
    comb = page(LINES)
    for k in range(8):
        ImageDraw.Draw(comb).rectangle((44 + 24 * k, 240, 68 + 24 * k, 264), outline="black", width=2)
    letters = page(("DO OR 0 B 80 OCDB", "□ ■ QUOD BODO", "BOX 8808"))
    for image in (comb, letters, table(TABLES["crosses"], "DejaVuSans"), worn(table(TABLES["grades"], "DejaVuSerif"))):
        found = boxes_to_tick(np.asarray(image), ink_of(image))
        assert len(found) == (1 if image is letters else 0)  # the sign □ is one


def test_an_empty_box_with_a_ragged_edge_is_one() -> None:
    image = form("cross")
    draw = ImageDraw.Draw(image)
    for y in range(200, 220, 4):  # beside the edges of the box of the second label
        draw.point([(59, y), (58, y + 1)], "black")
    found = boxes_to_tick(np.asarray(image), ink_of(image))
    assert [tick.ticked for tick in sorted(found, key=lambda one: one.box[1])] == list(TICKED)


def blanks() -> Image.Image:
    """A form with blanks behind and between words, and rows of questions that nobody numbered."""
    font = ImageFont.truetype(str(FACES / "DejaVuSerif.ttf"), 26)
    image = Image.new("RGB", (1200, 520), "white")
    draw = ImageDraw.Draw(image)
    for k, (first, second) in enumerate((("Flat no.:", "Seen on:"), ("Keys:", "Signed by:"))):
        y = 60 + 70 * k
        for x, text in ((60, first), (520, second)):
            draw.text((x, y), text, "black", font)
            start = x + draw.textlength(text, font) + 12
            draw.line((start, y + 25, start + 270, y + 25), "black", 2)
    for k, question in enumerate(("Are all windows closed?", "Is the heating turned down?", "Was the cellar seen?")):
        y = 240 + 60 * k
        draw.text((60, y), question, "black", font)
        for x, answer, ticked in ((800, "yes", k != 1), (960, "no", k == 1)):
            draw.rectangle((x, y + 4, x + 22, y + 26), outline="black", width=2)
            if ticked:
                draw.line((x + 4, y + 8, x + 18, y + 22), "black", 3)
                draw.line((x + 4, y + 22, x + 18, y + 8), "black", 3)
            draw.text((x + 40, y), answer, "black", font)
    return image


@pytest.mark.parametrize("scanned", [False, True])
def test_blanks_and_answers_stay_with_their_labels(scanned: bool) -> None:
    image = blanks()
    (read,) = RapidEngine().read([Sheet(number=1, picture=worn(image) if scanned else image)])
    text = " ".join(block.text for block in read.blocks).replace("\\_", "_").replace("  \n", " ").replace("\n", " ")
    for row in (
        "Flat no.: ____", "Seen on: ____", "Keys: ____", "Signed by: ____", "Are all windows closed? [x] yes [ ] no",
        "Is the heating turned down? [ ] yes [x] no", "Was the cellar seen? [x] yes [ ] no",
    ):
        assert row in text


#: Strokes of signs of Chinese that are square, in 32nds of a sign: 且, 曲, 直 and 田 as they are printed.
SQUARE = {
    "qie": [(7, 3, 7, 29), (25, 3, 25, 29), (7, 3, 25, 3), (7, 11, 25, 11), (7, 19, 25, 19), (2, 29, 30, 29)],
    "qu": [(4, 9, 4, 30), (28, 9, 28, 30), (4, 9, 28, 9), (4, 30, 28, 30), (4, 19, 28, 19), (12, 2, 12, 30),
           (20, 2, 20, 30)],
    "zhi": [(9, 9, 9, 29), (23, 9, 23, 29), (9, 9, 23, 9), (9, 14, 23, 14), (9, 19, 23, 19), (9, 24, 23, 24),
            (2, 29, 30, 29), (3, 5, 29, 5), (16, 1, 16, 9)],
    "tian": [(4, 4, 4, 28), (28, 4, 28, 28), (4, 4, 28, 4), (4, 28, 28, 28), (4, 16, 28, 16), (16, 4, 16, 28)],
}  # fmt: skip


@pytest.mark.parametrize("sign", SQUARE)
@pytest.mark.parametrize("em", [40, 64])
def test_signs_of_chinese_and_letters_are_no_boxes_that_are_ticked(sign: str, em: int) -> None:
    font = ImageFont.truetype(str(FACES / "DejaVuSerif.ttf"), em // 2)
    image = Image.new("RGB", (26 * em, 14 * em), "white")
    draw = ImageDraw.Draw(image)
    for row in range(10):
        x, y = em, em + round(1.2 * em * row)
        draw.text((x, y), "B. where and how", fill="black", font=font)
        for k in range(6):
            for stroke in SQUARE[sign]:
                x0, y0, x1, y1 = (round(v * em / 32) for v in stroke)
                left = 12 * em + round(1.1 * em * k)
                draw.line((left + x0, y + y0, left + x1, y + y1), fill="black", width=max(2, em // 20))
    pixels = np.asarray(image)
    assert [tick for tick in boxes_to_tick(pixels, ink_of(image)) if tick.ticked] == []


@pytest.mark.parametrize("shape", ["ring", "square"])
def test_hollow_bullets_of_a_list_are_no_boxes_to_tick(shape: str) -> None:
    size = 34
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), size)
    image = Image.new("RGB", (700, 320), "white")
    draw = ImageDraw.Draw(image)
    for k, text in enumerate(("Budget for the next year", "Who leads the team", "Offices in the north")):
        y = 40 + 80 * k
        draw.text((90, y), text, "black", font)
        place = (50, y + 14, 67, y + 31)
        (draw.ellipse if shape == "ring" else draw.rectangle)(place, outline="black", width=2)
    assert boxes_to_tick(np.asarray(image), ink_of(image)) == []
    (page_,) = RapidEngine().read([Sheet(number=1, picture=image)])
    assert [block.kind for block in page_.blocks] == ["list"]
    assert page_.blocks[0].text.count("- ") == 3
