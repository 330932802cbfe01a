"""Text that a page shows as a picture or as curves is read, and pictures without text are not taken for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from makers import drawn, encoded
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.document import PageRead
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.text_engine import TextEngine

FACES = Path(matplotlib.get_data_path()) / "fonts/ttf"
TYPED = "The clerk put the books on a shelf in the museum and forgot them there."


def curves(canvas: Canvas, text: str, x: float, y: float, size: float, face: str = "DejaVuSans") -> None:
    """Draws a text letter by letter as outlines, as programs do that convert text to paths."""
    properties = FontProperties(fname=str(FACES / f"{face}.ttf"))
    font = ImageFont.truetype(str(FACES / f"{face}.ttf"), 200)
    for k, sign in enumerate(text):
        if sign == " ":
            continue
        path, at = canvas.beginPath(), (0.0, 0.0)
        left = x + font.getlength(text[:k]) / 200 * size
        for vertices, code in TextPath((0, 0), sign, size=size, prop=properties).iter_segments():
            points = [(left + a, y + b) for a, b in np.asarray(vertices).reshape(-1, 2)]
            if code == TextPath.MOVETO:
                path.moveTo(*points[0])
            elif code == TextPath.LINETO:
                path.lineTo(*points[0])
            elif code == TextPath.CURVE3:
                (a, b), (c, d) = points
                first = at[0] + 2 / 3 * (a - at[0]), at[1] + 2 / 3 * (b - at[1])
                path.curveTo(*first, c + 2 / 3 * (a - c), d + 2 / 3 * (b - d), c, d)
            else:
                path.close()
            at = points[-1]
        canvas.drawPath(path, stroke=0, fill=1)


def picture(text: str, paper: str = "white", ink: str = "black", face: str = "DejaVuSans") -> ImageReader:
    font = ImageFont.truetype(str(FACES / f"{face}.ttf"), 40)
    image = Image.new("RGB", (int(font.getlength(text)) + 20, 60), paper)
    ImageDraw.Draw(image).text((10, 6), text, fill=ink, font=font)
    return ImageReader(image)


def read(draw: Callable[[Canvas], None], engine: TextEngine | None = None) -> PageRead:
    def whole(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        canvas.drawString(60, 780, TYPED)
        draw(canvas)

    (page,) = (engine or TextEngine(RapidEngine())).read([drawn(whole, (595.0, 842.0))])
    return page


@pytest.mark.parametrize(
    ("text", "size", "face"),
    [
        ("Words of one line that nobody typed", 12, "DejaVuSerif"),
        ("Annual Report", 48, "DejaVuSans"),
        ("LITTLE HILL FILE", 18, "DejaVuSans"),
        ("set in small type, still read", 8, "DejaVuSans"),
    ],
)
def test_a_line_drawn_as_curves_is_read(text: str, size: float, face: str) -> None:
    page = read(lambda canvas: curves(canvas, text, 60, 600, size, face))
    assert page.status == "ok" and [b.text for b in page.blocks if b.kind != "figure"][1:] == [text]


def test_a_paragraph_drawn_as_curves_is_text_and_no_figure() -> None:
    lines = "Some devices are designed to deny", "users access to install or run", "other versions of what is in them."

    def draw(canvas: Canvas) -> None:
        for k, line in enumerate(lines):
            curves(canvas, line, 60, 600 - 14 * k, 10)

    page = read(draw)
    said = " ".join(" ".join(block.text for block in page.blocks).split())
    assert page.status == "ok" and " ".join(lines) in said and "figure" not in {b.kind for b in page.blocks}


@pytest.mark.parametrize(
    ("text", "width", "look"),
    [
        ("info@lighthouse-museum.org", 180, {}),
        ("Total due: 1,284.50 EUR", 110, {"face": "DejaVuSerif"}),
        ("ACME Tools", 140, {"paper": "#b00000", "ink": "white"}),
    ],
)
def test_a_picture_of_one_line_is_read(text: str, width: float, look: dict[str, str]) -> None:
    page = read(lambda canvas: canvas.drawImage(picture(text, **look), 60, 500, width, width / 6))
    assert page.status == "ok" and text in {block.text for block in page.blocks}


def test_where_nothing_reads_pictures_one_of_a_line_makes_the_page_partial() -> None:
    page = read(lambda canvas: canvas.drawImage(picture("Total due: 1,284.50"), 60, 500, 150, 25), TextEngine())
    assert page.status == "partial" and "picture" in page.reason


def test_pictures_and_drawings_without_text_change_nothing() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (150, 200), np.uint8))
    hopper = Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"

    def draw(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(io.BytesIO(encoded(noise, "PNG"))), 60, 560, 200, 150)
        canvas.drawImage(ImageReader(str(hopper)), 300, 450, 200, 240)
        for k in range(40):
            canvas.circle(80 + 11 * k, 200 + 7 * (k % 5), 4)
            canvas.bezier(60 + 9 * k, 300, 90 + 9 * k, 320 + k, 40 + 9 * k, 340, 80 + 8 * k, 380)

    page = read(draw)
    assert page.status == "ok" and [b.text for b in page.blocks if b.text] == [TYPED]


def test_bars_beside_each_other_are_no_letters() -> None:
    def draw(canvas: Canvas) -> None:
        for k, share in enumerate((0.9, 0.8, 0.4)):
            for shade, wide in ((0.6, 150.0), (0.3, 150.0 * share)):
                canvas.setFillGray(shade)
                canvas.rect(60, 600 - 30 * k, wide, 5, stroke=0, fill=1)

    assert read(draw, TextEngine()).status == "ok"
