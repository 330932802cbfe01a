"""Bullets and numbers that are drawn, which no text layer and no recogniser gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

import microfiche
from microfiche.documents.layout.bullets import with_bullets
from microfiche.documents.opening import open_document
from microfiche.documents.text_lines import TextLine

Draw = Callable[[Canvas, float, float], object]
ITEMS = ("Measure the depth of the harbour", "Ask the fishermen", "Compare with older charts", "Write it all down")


def triangle(canvas: Canvas, x: float, y: float) -> None:
    path = canvas.beginPath()
    path.moveTo(x, y)
    path.lineTo(x + 6, y + 3)
    path.lineTo(x, y + 6)
    canvas.drawPath(path, stroke=0, fill=1)


SHAPES: dict[str, Draw] = {
    "discs": lambda canvas, x, y: canvas.circle(x + 3, y + 4, 2.2, stroke=0, fill=1),
    "rings": lambda canvas, x, y: canvas.circle(x + 3, y + 4, 2.5, stroke=1, fill=0),
    "squares": lambda canvas, x, y: canvas.rect(x, y + 2, 5, 5, stroke=0, fill=1),
    "triangles": triangle,
}


def slide(path: Path, draw: Draw, indents: tuple[int, ...] = (0, 0, 0, 0)) -> str:
    canvas = Canvas(str(path), pagesize=(480, 300))
    canvas.setFont("Helvetica-Bold", 20)
    canvas.drawString(40, 250, "What is to be done")
    canvas.setFont("Helvetica", 12)
    for i, (text, indent) in enumerate(zip(ITEMS, indents, strict=True)):
        canvas.setFillColorRGB(0.2, 0.3, 0.7)
        draw(canvas, 50 + 20 * indent, 200 - 24 * i)
        canvas.setFillGray(0)
        canvas.drawString(66 + 20 * indent, 200 - 24 * i, text)
    canvas.save()
    return microfiche.read(str(path)).markdown()


@pytest.mark.parametrize("shape", SHAPES)
def test_drawn_bullets_begin_items(tmp_path: Path, shape: str) -> None:
    text = slide(tmp_path / "s.pdf", SHAPES[shape])
    assert "\n".join(f"- {item}" for item in ITEMS) in text


def test_items_of_items(tmp_path: Path) -> None:
    text = slide(tmp_path / "s.pdf", SHAPES["discs"], (0, 1, 1, 0))
    assert f"- {ITEMS[0]}\n  - {ITEMS[1]}\n  - {ITEMS[2]}\n- {ITEMS[3]}" in text


def test_an_item_of_an_item_may_be_alone_with_a_bullet_of_another_kind(tmp_path: Path) -> None:
    def disc(canvas: Canvas, x: float, y: float) -> None:
        canvas.circle(x + 3, y + 4, 2.5, stroke=x > 60, fill=x < 60)

    text = slide(tmp_path / "s.pdf", disc, (0, 1, 0, 0))
    assert f"- {ITEMS[0]}\n  - {ITEMS[1]}\n- {ITEMS[2]}\n- {ITEMS[3]}" in text


@pytest.mark.parametrize("shape", ["disc", "square"])
def test_numbers_in_discs_and_squares(tmp_path: Path, shape: str) -> None:
    number = iter("1234")

    def draw(canvas: Canvas, x: float, y: float) -> None:
        if shape == "disc":
            canvas.circle(x + 3, y + 4, 6, stroke=0, fill=1)
        else:
            canvas.rect(x - 2, y - 2, 11, 12, stroke=0, fill=1)
        canvas.setFillGray(1)
        canvas.drawString(x, y, next(number))

    text = slide(tmp_path / "s.pdf", draw)
    assert "\n".join(f"{i}. {item}" for i, item in enumerate(ITEMS, 1)) in text


def test_a_scan_shows_them_too(tmp_path: Path) -> None:
    slide(tmp_path / "s.pdf", SHAPES["discs"])
    with open_document(tmp_path / "s.pdf", "s.pdf") as file:
        (sheet,) = file.sheets()
    assert sheet.picture is not None
    sheet.picture.save(tmp_path / "s.png")
    text = microfiche.read(str(tmp_path / "s.png")).markdown()
    assert "\n".join(f"- {item}" for item in ITEMS) in text


def drawn(marks: list[tuple[int, int, int, int]]) -> Image.Image:
    pixels = np.full((200, 400, 3), 255, np.uint8)
    for x, y, side, shade in marks:
        pixels[y : y + side, x : x + side] = shade
    return Image.fromarray(pixels)


def lines(*lefts: int) -> list[TextLine]:
    return [TextLine(ITEMS[k], (left, 20 + 30 * k, 380, 40 + 30 * k), 16) for k, left in enumerate(lefts)]


@pytest.mark.parametrize(
    "marks",
    [
        [(40, 27, 6, 0)],  # one alone
        [(40, 27, 6, 0), (40, 57, 6, 180)],  # a key to colours
        [(40, 27, 6, 0), (44, 54, 13, 0)],  # two sizes
        [(40, 20, 20, 0), (40, 50, 20, 0)],  # as high as the line
        [(54, 27, 6, 0), (54, 57, 6, 0)],  # part of the line
        [(5, 27, 6, 0), (5, 57, 6, 0)],  # far away
    ],
)
def test_other_ink_beside_lines_is_no_bullet(marks: list[tuple[int, int, int, int]]) -> None:
    before = lines(60, 60, 60)
    assert with_bullets(before, drawn(marks)) == before


def test_numbers_in_the_cells_of_a_shaded_column_are_no_marks() -> None:
    pixels = np.full((200, 400, 3), 255, np.uint8)
    pixels[:, 20:58] = 220
    cells = [TextLine(str(k + 1), (44, 20 + 30 * k, 52, 40 + 30 * k), 16) for k in range(3)]
    before = [*cells, *lines(66, 66, 66)]
    assert with_bullets(before, Image.fromarray(pixels)) == before


def test_numbers_close_to_the_edges_of_cells_are_no_marks() -> None:
    pixels = np.full((200, 400, 3), 255, np.uint8)
    pixels[:, 30:32] = 0
    cells = [TextLine(f"{k + 1}2 000", (33, 20 + 30 * k, 90, 40 + 30 * k), 16) for k in range(3)]
    assert with_bullets(cells, Image.fromarray(pixels)) == cells


def test_lists_side_by_side_stay_apart(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "s.pdf"), pagesize=(560, 300))
    columns = ("Goals", ("Grow in the north", "Hire two people", "Keep prices")), ("Sales", ITEMS[1:])
    for k, (head, items) in enumerate(columns):
        canvas.setFont("Helvetica-Bold", 15)
        canvas.drawString(40 + 270 * k, 240, head)
        canvas.setFont("Helvetica", 11)
        for i, text in enumerate(items):
            canvas.circle(46 + 270 * k, 204 - 20 * i, 2, stroke=0, fill=1)
            canvas.drawString(56 + 270 * k, 200 - 20 * i, text)
    canvas.save()
    text = microfiche.read(str(tmp_path / "s.pdf")).markdown()
    for head, items in columns:
        assert f"# {head}\n\n" + "\n".join(f"- {item}" for item in items) in text


def test_a_number_that_begins_a_field_on_a_ground_of_its_own_is_no_mark() -> None:
    pixels = np.full((200, 400, 3), 255, np.uint8)
    pixels[15:140, 56:390] = 220
    values = [TextLine(f"1{k} Elm Road, Leeds", (60, 20 + 30 * k, 200, 40 + 30 * k), 16) for k in range(3)]
    assert with_bullets(values, Image.fromarray(pixels)) == values
