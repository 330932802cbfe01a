"""Pictures of text for tests: whose words are known, in the faces that matplotlib brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

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
