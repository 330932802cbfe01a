"""Boxes to tick that are drawn on a scan stand beside their labels, and nothing else becomes one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, LINES, TABLES, page, table, worn

from microfiche.documents.scans.ink import ink_of
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.ticks import boxes_to_tick

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
