"""Underscores are as many as the ink shows, with spaces beside them only where there is paper."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES

from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet

CODE = """class _Window:
    def __init__(self, max_calls=MAX_CALLS):
        self._clock = _now
        self.max_calls = max_calls

if __debug__ and __name__:
    for _ in range(limit_of_all):
        print(my_project.read_chunk(at_end))"""
PROSE = (
    "Please look at max_retry_count and my_project.", "The flag enable_fast_path was set in base_url.",
    "No line of this text has any in it, typically.",
)  # fmt: skip


@pytest.mark.parametrize(("size", "dark"), [(14, False), (18, False), (18, True)])
def test_identifiers_in_code(size: int, dark: bool) -> None:
    picture = Image.new("RGB", (44 * size, 16 * size), (30, 30, 46) if dark else "white")
    font = ImageFont.truetype(str(FACES / "DejaVuSansMono.ttf"), size)
    for k, line in enumerate(CODE.split("\n")):
        ImageDraw.Draw(picture).text((20, 20 + 1.5 * size * k), line, (130, 170, 255) if dark else "black", font)
    (page,) = RapidEngine().read([Sheet(1, picture)])
    assert page.blocks[0].text == f"```\n{CODE}\n```"


@pytest.mark.parametrize("face", ["DejaVuSans", "DejaVuSerif"])
def test_names_in_running_text_and_no_others(face: str) -> None:
    picture = Image.new("RGB", (900, 260), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.truetype(str(FACES / f"{face}.ttf"), 22)
    for k, line in enumerate(PROSE):
        draw.text((40, 30 + 50 * k), line, "black", font)
    draw.text((40, 180), "Underlined words", "black", font)
    draw.line((40, 208, 40 + draw.textlength("Underlined words", font), 208), "black", 2)
    assert [line.text for line in RapidEngine().lines(picture)] == [*PROSE, "Underlined words"]
