"""Text that is struck out is marked as such, and neither underlined text nor dashes are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, worn

from microfiche.documents.inline import markdown
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.struck import struck as struck_out


def struck(said: str, gone: str, face: str, size: int, at: float = 0.3) -> Image.Image:
    """A line of text, `gone` in it crossed by a stroke `at` ems above its foot."""
    image = Image.new("RGB", (34 * size, 3 * size), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(str(FACES / f"{face}.ttf"), size)
    draw.text((size, size), said, "black", font)
    left = size + draw.textlength(said[: said.index(gone)], font)
    foot = size + font.getmetrics()[0]
    y = foot - at * size
    draw.line((left, y, left + draw.textlength(gone, font), y), "black", max(2, size // 14))
    return image


@pytest.mark.parametrize(("face", "size"), [("DejaVuSans", 26), ("DejaVuSerif", 36)])
@pytest.mark.parametrize("scanned", [False, True])
@pytest.mark.parametrize(("said", "gone"), [
    ("Valid until Friday evening Saturday", "Friday evening"), ("at 9.00 8.30 from the harbour", "9.00"),
    ("The tour leaves on Saturday Sunday", "Saturday"),
])
def test_struck_words(face: str, size: int, scanned: bool, said: str, gone: str) -> None:
    image = struck(said, gone, face, size)
    (line,) = RapidEngine().lines(worn(image) if scanned else image)
    assert f"~~{gone}~~" in markdown(line.text)


@pytest.mark.parametrize("at", [-0.1, -0.2, 0.9])
def test_rules_below_and_above_words_strike_nothing(at: float) -> None:
    image = struck("Terms — see the appendix — apply from A–B.", "see the appendix", "DejaVuSans", 26, at)
    assert "~~" not in " ".join(markdown(line.text) for line in RapidEngine().lines(image))


def test_ground_taken_for_ink_strikes_nothing() -> None:
    mask = np.ones((30, 200), np.uint8)
    mask[22:, :] = 0
    mask[8:15, ::7] = 0
    assert not struck_out(np.array([50.0, 100.0]), mask, 20.0).any()
