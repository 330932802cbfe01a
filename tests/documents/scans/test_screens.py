"""Pictures of code are one listing each, with indents, lone braces and blank lines, and without line numbers."""

from __future__ import annotations

import matplotlib
import pytest
from PIL import Image, ImageDraw, ImageFont

from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet

MONO = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSansMono.ttf"
GO = """func total(prices []float64, tax float64) float64 {
    sum := 0.0
    for _, price := range prices {
        if price < 0 {
            panic("negative price")
        }
        sum += price * (1 + tax)
    }
    return sum
}

var rates = map[string]float64{"DE": 0.19}"""


def screen(text: str, dark: bool, numbered: bool) -> Image.Image:
    picture = Image.new("RGB", (900, 420), (30, 30, 46) if dark else "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.truetype(MONO, 18)
    for i, line in enumerate(text.split("\n")):
        if numbered:
            pen.text((20, 20 + 30 * i), f"{i + 1:2}", (128, 128, 128), font)
        pen.text((80, 20 + 30 * i), line, (220, 220, 230) if dark else (20, 20, 60), font)
    return picture


@pytest.mark.parametrize(("dark", "numbered"), [(True, True), (False, False)])
def test_a_picture_of_code_is_one_fence(dark: bool, numbered: bool) -> None:
    (page,) = RapidEngine().read([Sheet(1, screen(GO, dark, numbered))])
    assert page.status == "ok" and [block.kind for block in page.blocks] == ["code"]
    assert page.blocks[0].text == f"```\n{GO}\n```"


def test_a_word_on_a_tiny_picture_is_read_or_said_to_be_unread() -> None:
    for size in (8, 10, 14):
        picture = Image.new("RGB", (40, 16), "white")
        ImageDraw.Draw(picture).text((3, 1), "no", "black", ImageFont.truetype(MONO, size))
        (page,) = RapidEngine().read([Sheet(1, picture)])
        assert "no" in " ".join(block.text for block in page.blocks).lower() or page.status == "partial"
