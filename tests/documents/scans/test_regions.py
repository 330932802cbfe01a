"""The layout network: what it sees on a page, where, and nothing on an empty one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from microfiche.documents.scans.regions import STEPS, _boxes, regions

SCAN = Path(__file__).parents[3] / "examples/scan.jpg"


def test_regions_of_the_example_are_those_that_rapidlayout_finds() -> None:
    with Image.open(SCAN) as picture:
        found = [(region.kind, region.score, region.box) for region in regions(picture)]
    kinds, scores, boxes = zip(*found, strict=True)
    assert kinds == ("text", "text") and scores == pytest.approx((0.703, 0.621), abs=0.03)
    np.testing.assert_allclose(boxes, [(173, 284, 1044, 701), (172, 209, 542, 279)], atol=4)


def test_a_figure_and_a_paragraph_of_a_drawn_page_are_found_and_lie_on_it() -> None:
    page = Image.new("L", (900, 1200), 255)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(20)
    for row in range(14):
        pen.text((80, 80 + 30 * row), "It was the best of times, it was the worst of times, it was the age", 0, font)
    page.paste(Image.effect_noise((500, 400), 90), (200, 620))
    found = regions(page)
    assert {region.kind for region in found} >= {"text", "figure"}
    for left, top, right, bottom in (region.box for region in found):
        assert 0 <= left < right <= 900 and 0 <= top < bottom <= 1200


def test_an_empty_page_has_none() -> None:
    assert regions(Image.new("RGB", (300, 400), "white")) == []


def test_a_box_is_as_many_steps_wide_as_is_likely() -> None:
    step, across = STEPS[-1], 10
    sides = np.full((26, 4, 8), -30.0, np.float32)
    for side, steps in enumerate((1, 2, 3, 4)):
        sides[:, side, steps] = 0
    boxes = _boxes(sides.reshape(26, 32), step)
    x, y = 1.5 * step, 0.5 * step
    np.testing.assert_allclose(boxes[1], (x - step, y - 2 * step, x + 3 * step, y + 4 * step), atol=1e-3)
    np.testing.assert_allclose(boxes[across + 1] - boxes[1], (0, step, 0, step), atol=1e-6)
