"""Rules are found in pictures, and letters are none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from microfiche.documents.scans.scan_rules import beside_words, rules_in
from microfiche.documents.text_lines import TextLine

WORDS = "minimum illumination killed the little hill billet"


def page(ink: int = 0, width: int = 2) -> Image.Image:
    """A grid of 3 × 2 cells with its corner at 100, 400, and lines of text over it."""
    picture = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(22)
    for k in range(8):
        draw.text((100, 100 + 30 * k), WORDS * 2, fill=0, font=font)
    for y in (400, 450, 500, 550):
        draw.line((100, y, 900, y), fill=ink, width=width)
    for x in (100, 400, 900):
        draw.line((x, 400, x, 550), fill=ink, width=width)
        draw.text((x + 20, 412), "billet", fill=0, font=font)
    return picture


def found(picture: Image.Image) -> tuple[list[int], list[int]]:
    """Where upright and level rules of 100 px or more are, to the nearest 10 px."""
    rules = [r for r in rules_in(picture) if r[2] - r[0] + r[3] - r[1] >= 100]
    return (
        sorted({round(r[0], -1) for r in rules if r[0] == r[2]}),
        sorted({round(r[1], -1) for r in rules if r[1] == r[3]}),
    )


GRID = ([100, 400, 900], [400, 450, 500, 550])


@pytest.mark.parametrize("ink", [0, 120, 190])
def test_rules_are_found_and_letters_are_not(ink: int) -> None:
    assert found(page(ink)) == GRID


def test_rules_are_found_in_a_poor_scan() -> None:
    blurred = np.asarray(page(90).filter(ImageFilter.GaussianBlur(0.8)), np.float32)
    noisy = (blurred * 0.9 + 10 + np.random.default_rng(3).normal(0, 6, blurred.shape)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=50)
    assert found(Image.open(file)) == GRID


def test_broken_and_tilted_rules_are_found() -> None:
    picture = page()
    draw = ImageDraw.Draw(picture)
    for x in range(150, 900, 90):
        draw.rectangle((x, 380, x + 4, 560), fill=255)
    assert found(picture)[1] == GRID[1]
    tilted = page().rotate(0.4, Image.Resampling.BICUBIC, fillcolor=255)
    level = [r for r in rules_in(tilted) if r[1] == r[3] and r[2] - r[0] > 500]
    assert len(level) == 4


def test_rules_that_letters_touch_are_found_and_shaded_fields_hold_none() -> None:
    picture = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(picture)
    for k, y in enumerate(range(300, 480, 30)):
        draw.line((100, y, 500, y), fill=90)
        for x, text in ((103, "axle"), (303, "some")) if k < 5 else ():
            draw.text((x, y + 2), text, fill=0, font=ImageFont.load_default(22))
    for x in (100, 300, 500):
        draw.line((x, 300, x, 450), fill=90)
    for y in (700, 780):
        draw.rectangle((100, y, 900, y + 45), fill=205, outline=60)
    grain = np.random.default_rng(2).normal(0, 7, (1754, 1240)) * (np.asarray(picture) < 230) + 4
    noisy = (np.asarray(picture, np.float32) + grain).clip(0, 255).astype(np.uint8)
    rules = rules_in(Image.fromarray(noisy))
    assert {round(r[0], -1) for r in rules if r[0] == r[2] and r[3] < 500} == {100, 300, 500}
    frames = [r for r in rules if r[1] > 600]
    assert 3 <= len([r for r in frames if r[1] == r[3]]) <= 4 and len(frames) <= 8


def test_a_page_of_text_or_of_nothing_has_no_rules() -> None:
    assert rules_in(Image.new("RGB", (300, 200), "white")) == []
    picture = Image.new("L", (1240, 1754), 240)
    draw = ImageDraw.Draw(picture)
    for k in range(40):
        draw.text((100, 100 + 30 * k), WORDS * 2, fill=20, font=ImageFont.load_default(22))
    assert rules_in(picture) == []


def test_rules_of_a_large_scan_are_in_its_own_pixels() -> None:
    large = page().resize((2480, 3508))
    up, level = found(large)
    assert up == [200, 800, 1800] and level == [800, 900, 1000, 1100]


def test_words_on_a_rule_part_it_and_words_above_it_do_not() -> None:
    line = TextLine("between", (200, 80, 300, 110), 24.0, confidence=0.9)
    assert beside_words([(100, 104, 400, 104)], [line]) == [(100, 104, 200, 104), (300, 104, 400, 104)]
    assert beside_words([(200, 104, 300, 104)], [line]) == []
    for rule in ((100, 112, 400, 112), (100, 60, 400, 60), (150, 20, 150, 200)):
        assert beside_words([rule], [line]) == [rule]
