"""Boxes to tick as screens draw them, small and full of colour, stand before their labels; signs in colour are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, page, worn

from microfiche.documents.scans.ink import ink_of
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.screen_ticks import drawn_boxes, is_hook
from microfiche.documents.scans.ticks import boxes_to_tick

LABELS = ("Product updates", "Weekly digest", "Security notices", "Partner offers")
TICKED = (True, False, True, False)
FINE = 8  #: times as large as they are shown, that pictures are drawn


def screen(kind: str, side: int = 13, dark: bool = False, colour: str = "#1a73e8") -> Image.Image:
    """Settings on a screen, each with a box of `kind` (square, hollow, ring, disc) and `side` px to its left."""
    ground, ink, edge = ("#202124", "#e8eaed", "#9aa0a6") if dark else ("white", "black", "#767676")
    image = Image.new("RGB", (420 * FINE, 180 * FINE), ground)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), 15 * FINE)
    for k, (label, ticked) in enumerate(zip(LABELS, TICKED, strict=True)):
        x, y, its, line = 24 * FINE, (20 + 38 * k) * FINE, side * FINE, FINE * max(1, side // 9)
        box = (x, y, x + its, y + its)
        hook = [(x + its * a, y + its * b) for a, b in ((0.22, 0.52), (0.42, 0.72), (0.8, 0.28))]
        if kind in ("square", "hollow"):
            fill = colour if ticked and kind == "square" else None
            draw.rounded_rectangle(box, 2 * FINE, fill, colour if fill else edge, line)
            if ticked:
                draw.line(hook, ground if fill else ink, round(0.12 * its))
        else:
            full = ticked and kind == "disc"
            draw.ellipse(box, colour if full else None, colour if ticked else edge, line)
            if ticked:
                off = round((0.34 if full else 0.27) * its)
                draw.ellipse((x + off, y + off, x + its - off, y + its - off), ground if full else colour)
        draw.text((x + its + 9 * FINE, y + its // 2), label, ink, font, anchor="lm")
    return image.resize((420, 180), Image.Resampling.BOX)


@pytest.mark.parametrize("kind", ["square", "hollow", "ring", "disc"])
@pytest.mark.parametrize(("side", "dark"), [(13, False), (16, True), (20, False)])
def test_boxes_on_screens_stand_before_their_labels(kind: str, side: int, dark: bool) -> None:
    said = [line.text for line in RapidEngine().lines(screen(kind, side, dark))]
    assert said == [f"[{'x' if ticked else ' '}] {label}" for label, ticked in zip(LABELS, TICKED, strict=True)]


@pytest.mark.parametrize("colour", ["#6200ee", "#0d6efd", "#c2185b"])
def test_colours_that_are_as_light_as_their_ground_are_seen(colour: str) -> None:
    image = screen("ring", 20, True, colour)
    assert [x.ticked for x in drawn_boxes(np.asarray(image), ink_of(image))] == list(TICKED)


def test_signs_in_squares_and_discs_are_none() -> None:
    image = Image.new("RGB", (420, 140), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FACES / "DejaVuSans-Bold.ttf"), 12)
    for k, sign in enumerate("Pif4–×"):
        draw.rounded_rectangle((20 + 60 * k, 20, 36 + 60 * k, 36), 2, "#1a73e8")
        draw.text((28 + 60 * k, 28), sign, "white", font, anchor="mm")
        draw.ellipse((20 + 60 * k, 60, 36 + 60 * k, 76), "#188038")
        draw.text((28 + 60 * k, 68), sign, "white", font, anchor="mm")
    draw.text((20, 100), "OFFICE Door 808 B0D0 QUAD", "black", font)
    assert drawn_boxes(np.asarray(image), ink_of(image)) == []


@pytest.mark.parametrize("size", [14, 22, 40])
def test_hooks_are_told_from_letters(size: int) -> None:
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), size)
    found = ""
    for sign in "✓✔/vVyYLJrtz27<>«":
        image = Image.new("L", (2 * size, 2 * size), 0)
        ImageDraw.Draw(image).text((size, size), sign, 255, font, anchor="mm")
        if is_hook((np.asarray(image.crop(image.getbbox())) > 110).astype(np.uint8)):
            found += sign
    assert found == "✓✔"


def test_hooks_in_cells_and_beside_words_are_read() -> None:
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), 20)
    image = Image.new("RGB", (640, 260), "white")
    draw = ImageDraw.Draw(image)
    rows = (("Feature", "Free", "Pro"), ("Export", "", "✓"), ("Archive", "✓", "✓"), ("Mirror", "", "✓"))
    for y, row in enumerate(rows):
        for x, said in zip((40, 260, 440), row, strict=True):
            draw.text((x, 30 + 50 * y), said, "black", font)
    assert [line.text for line in RapidEngine().lines(image)].count("✓") == 4


@pytest.mark.parametrize("size", [18, 22, 26, 30])
@pytest.mark.parametrize("face", ["DejaVuSerif", "DejaVuSans"])
def test_the_first_letter_of_a_word_is_no_box(face: str, size: int) -> None:
    lines = "The Free City of Bremen", "Born in Bonn, buried in Berne", "Day and Date of the Event"
    image = page(lines, face=face, size=size)
    for seen in (image, worn(image)):
        assert boxes_to_tick(np.asarray(seen), ink_of(seen)) == []


def test_boxes_between_words_that_were_found_as_one_line_stand_before_their_own() -> None:
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), 26)
    image = Image.new("RGB", (900, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 60, 700, 130), outline="black", width=2)
    draw.text((60, 75), "Sex", "black", font)
    for x, label, ticked in ((125, "M", True), (195, "F", False)):
        draw.rectangle((x, 80, x + 22, 102), outline="black", width=2)
        draw.text((x + 32, 75), label, "black", font)
        if ticked:
            draw.line((x + 5, 85, x + 17, 97), "black", 3)
            draw.line((x + 5, 97, x + 17, 85), "black", 3)
    draw.text((60, 180), "Please print clearly and use black ink", "black", font)
    said = " ".join(line.text for line in RapidEngine().lines(image))
    assert "Sex [x] M [ ] F" in said
