"""Whatever stands on a page, and wherever: it becomes blocks, and none of its words is lost."""

from __future__ import annotations

import random
import re

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

SAID = [
    "Contents", "Milk 1 l", "1.15", "€ 3.00", "12", "vi", "• one", "A. 3 kg", "B. 4", "TOTAL", "def f(x):", "{a}",
    "= 3;", "Pros", "2010–2012", "Engineer at a mill", "and then they went to the", "VAT 5 %", "7.34", "[x] Yes", "No",
    "1.2",
    "1.2.1 Alpha", "Table 1. Things", "x = y", "\u4e2d\u6587\u5b57\u7b26", "(1)", "bob@x.org", "Tel.: +49 6151",
    "12/05/2023", "Harbour, the", "– 3", "\\foo",
]  # fmt: skip
PAGE = Image.new("RGB", (1000, 1200), "white")
WORDS = re.compile(r"[^\W_]+")


def page(seed: int) -> tuple[list[TextLine], list[Box], list[Region]]:
    """Lines in rows and columns with gaps, rules and regions, by chance."""
    chance = random.Random(seed)
    known, step = chance.choice([1.0, 0.97]), chance.choice([24, 30, 40, 55])
    lefts = [chance.randrange(20, 800) for _ in range(chance.randint(1, 4))]
    lines = []
    for k in range(chance.choice([1, 2, 5, 15, 20])):
        for x in lefts:
            if chance.random() < 0.7:
                text, size = chance.choice(SAID), 20 * chance.choice([1, 1, 1, 1, 0.7, 1.4])
                box = x, 50 + step * k, x + max(4, size * 0.5 * len(text)), 50 + step * k + 1.1 * size
                lines.append(TextLine(text, box, size, chance.random() < 0.1, known, chance.random() < 0.2))
    rules: list[Box] = []
    for _ in range(chance.choice([0, 0, 1, 3, 8])):
        x, y, long = chance.randrange(20, 600), chance.randrange(20, 900), chance.randrange(10, 700)
        rules.append((x, y, x, y + long) if chance.random() < 0.5 else (x, y, x + long, y))
    regions = []
    for _ in range(chance.choice([0, 0, 1, 2])):
        x, y = chance.randrange(500), chance.randrange(700)
        box = x, y, x + chance.randrange(20, 600), y + chance.randrange(20, 600)
        regions.append(Region(chance.choice(["table", "figure", "text", "formula", "title"]), box, chance.random()))
    return lines, rules, regions


@pytest.mark.parametrize("first", range(0, 400, 40))
def test_no_page_is_too_much_and_no_word_is_lost(first: int) -> None:
    for seed in range(first, first + 40):
        lines, rules, regions = page(seed)
        found = " ".join(block.text for block in blocks(lines, regions, PAGE, rules))
        lost = {word for line in lines for word in WORDS.findall(line.text) if word not in found}
        assert not lost, (seed, lost)
