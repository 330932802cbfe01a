"""Words on small grounds of their own colour, as on buttons and bubbles, are ink as words on the page are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES

from microfiche.documents.scans.ink import ink_of
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet

BUTTONS = (("Save", "#1a73e8", "white"), ("OK", "#188038", "white"), ("No", "#ffe45c", "black"),
           ("Cancel", "#e9e9eb", "black"), ("off", "#6c757d", "white"), ("Delete all", "#d93025", "white"))


def buttons(paper: str, ink: str, high: int = 30, size: int = 16, quality: int = 0) -> Image.Image:
    """A sentence, and below it buttons in columns that nearly touch; as a JPEG of some `quality`."""
    font = ImageFont.truetype(str(FACES / "DejaVuSans.ttf"), size)
    picture = Image.new("RGB", (460, 220), paper)
    draw = ImageDraw.Draw(picture)
    draw.text((20, 16), "Changes in these files were not saved", fill=ink, font=font)
    for k, (word, ground, colour) in enumerate(BUTTONS):
        x, y = 20 + 150 * (k % 2), 60 + (high + 12) * (k // 2)
        draw.rounded_rectangle((x, y, x + 130, y + high), 6, ground)
        draw.text((x + 16, y + (high - size) // 2 - 2), word, fill=colour, font=font)
    if quality:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")
    return picture


@pytest.mark.parametrize(("paper", "ink", "quality"), [("white", "black", 0), ("white", "black", 40),
                                                       ("#121212", "#eeeeee", 0)])
def test_only_the_letters_on_a_ground_are_ink(paper: str, ink: str, quality: int) -> None:
    found = ink_of(buttons(paper, ink, quality=quality))
    assert quality or len(found.grounds) == len(BUTTONS)
    assert max(found.pieces[:, 2]) < 40  # no ground, and no page between two of them
    assert found.mask.mean() < 0.07


def test_every_word_on_a_button_is_read() -> None:
    for paper, ink in (("white", "black"), ("#121212", "#eeeeee")):
        (page,) = RapidEngine().read([Sheet(number=1, picture=buttons(paper, ink))])
        said = " ".join(block.text for block in page.blocks)
        assert page.status == "ok"
        assert all(word in said for word, _, _ in BUTTONS), said


def test_letters_of_a_headline_and_bars_are_no_grounds() -> None:
    font = ImageFont.truetype(str(FACES / "DejaVuSans-Bold.ttf"), 90)
    picture = Image.new("RGB", (700, 300), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((20, 10), "BOOK 8g%&", fill="black", font=font)
    for k in range(6):
        draw.rectangle((40 + 60 * k, 280 - 20 * k, 80 + 60 * k, 290), fill="#4472c4")
    found = ink_of(picture)
    assert not found.grounds
    dark = np.asarray(picture.convert("L")) < 128
    assert (found.mask[dark] == 1).mean() > 0.95
