"""Pictures of text for tests: whose words are known, in the faces that matplotlib brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Colour = str | tuple[int, ...]
FACES = Path(matplotlib.get_data_path()) / "fonts/ttf"
LINES = (
    "The quick brown fox jumps over",
    "the lazy dog (and the cat) in 2024",
    "Invoice number 4711, paid at noon",
    "Total amount: 1,234.56 euros",
)
RUSSIAN = (
    "Съешь ещё этих мягких французских",
    "булок, да выпей же чаю, друг мой",
    "Всего к оплате 1234 рубля (с НДС)",
    "Договор заключён в Москве",
)

TABLES = {
    "numbers and dashes": (("Dept", "Jan", "Feb", "Mar"), ("Sales", "1", "3", "0"), ("Stores", "2", "–", "4"),
                           ("Office", "x", "5", "–"), ("Harbour", "6", "–", "2")),
    "crosses": (("Feature", "Basic", "Plus", "Pro"), ("Export", "x", "x", "x"), ("Search", "–", "x", "x"),
                ("Mirror", "–", "–", "x")),
    "grades": (("Name", "Art", "Law", "Math"), ("Anna", "A", "B", "C"), ("Bert", "B", "A", "D"),
               ("Dora", "A", "A", "B")),
}  # fmt: skip


def page(
    lines: Sequence[str] = LINES,
    paper: Colour = "white",
    ink: Colour = "black",
    mode: str = "RGB",
    size: int = 22,
    face: str = "DejaVuSans",
) -> Image.Image:
    """Lines below one another, 2.5 ems apart."""
    font = ImageFont.truetype(str(FACES / f"{face}.ttf"), size)
    width = max(int(font.getlength(line)) for line in lines) + 4 * size
    image = Image.new(mode, (width, int(2.5 * size * (len(lines) + 1))), paper)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        draw.text((2 * size, size + 2.5 * size * i), line, fill=ink, font=font)
    return image


def table(rows: tuple[tuple[str, ...], ...], face: str, ruled: bool = True, size: int = 26) -> Image.Image:
    """A table with centred cells between two lines of text."""
    font = ImageFont.truetype(str(FACES / f"{face}.ttf"), size)
    high, wide = 2 * size, 6 * size
    image = Image.new("RGB", (wide * len(rows[0]) + 200, high * len(rows) + 400), "white")
    draw = ImageDraw.Draw(image)
    draw.text((100, 60), "What was counted in each of the four houses", fill="black", font=font)
    for i, row in enumerate(rows):
        for j, text in enumerate(row):
            at = 100 + j * wide + (wide - font.getlength(text)) / 2, 180 + i * high + 0.4 * size
            draw.text(at, text, fill="black", font=font)
    if ruled:
        for i in range(len(rows) + 1):
            draw.line((100, 180 + i * high, 100 + wide * len(rows[0]), 180 + i * high), fill="black", width=2)
        for j in range(len(rows[0]) + 1):
            draw.line((100 + j * wide, 180, 100 + j * wide, 180 + high * len(rows)), fill="black", width=2)
    draw.text((100, 230 + high * len(rows)), "All figures are preliminary and may change", fill="black", font=font)
    return image


def worn(image: Image.Image) -> Image.Image:
    """As a scanner sees it."""
    grey = np.asarray(image.rotate(0.4, fillcolor="white").filter(ImageFilter.GaussianBlur(0.8)).convert("L"), float)
    noise = np.random.default_rng(1).normal(0, 9, grey.shape)
    return Image.fromarray((235 - 0.8 * (255 - grey) + noise).clip(0, 255).astype(np.uint8)).convert("RGB")
