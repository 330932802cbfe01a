"""Large letters that begin a chapter stand before the first word of their line, whatever a detector makes of them."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, worn

from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet

WORDS = ("he keeper of the lighthouse wrote", "down the weather every morning", "before breakfast and each evening",
         "after the lamp was lit. His notes", "were short and plain, all of them")


def chapter(rows: int) -> Image.Image:
    """A paragraph that begins with a large letter over so many of its lines, or above the first of them."""
    size, lead = 26, 38
    font = ImageFont.truetype(str(FACES / "DejaVuSerif.ttf"), size)
    high = size * 2.2 if rows == 1 else size + lead * (rows - 1) / 0.73
    large = ImageFont.truetype(str(FACES / "DejaVuSerif.ttf"), round(high))
    image = Image.new("RGB", (700, 420), "white")
    draw = ImageDraw.Draw(image)
    foot = 160 + lead * (rows - 1)
    draw.text((60, foot), "T", fill="black", font=large, anchor="ls")
    for k, words in enumerate(WORDS):
        x = 62 + large.getlength("T") if k < rows else 60
        draw.text((x, 160 + lead * k), words, fill="black", font=font, anchor="ls")
    return image


@pytest.mark.parametrize("rows", [1, 3])
def test_a_large_letter_is_read_with_its_line(rows: int) -> None:
    (done,) = RapidEngine().read([Sheet(1, worn(chapter(rows)))])
    assert done.status == "ok" and {block.kind for block in done.blocks} == {"text"}
    assert " ".join(" ".join(block.text for block in done.blocks).split()) == "T" + " ".join(WORDS)
