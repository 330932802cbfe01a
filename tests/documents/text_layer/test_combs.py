"""What stands in a box for each letter is one value beside its label; tables and other rows of cells are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.text_engine import TextEngine

CELL = 16  #: points from one box to the next


def framed(canvas: Canvas, x: float, y: float, cells: int) -> None:
    """A frame for each letter."""
    for k in range(cells):
        canvas.rect(x + CELL * k, y, CELL, 18)


def apart(canvas: Canvas, x: float, y: float, cells: int) -> None:
    """Frames that do not touch."""
    for k in range(cells):
        canvas.rect(x + CELL * k, y, CELL - 3, 18)


def ticked(canvas: Canvas, x: float, y: float, cells: int) -> None:
    """One frame, with short strokes between the letters."""
    canvas.rect(x, y, CELL * cells, 18)
    for k in range(1, cells):
        canvas.line(x + CELL * k, y, x + CELL * k, y + 6)


def open_above(canvas: Canvas, x: float, y: float, cells: int) -> None:
    """A line to write on, with short strokes between the letters."""
    canvas.line(x, y, x + CELL * cells, y)
    for k in range(cells + 1):
        canvas.line(x + CELL * k, y, x + CELL * k, y + 6)


def letters(canvas: Canvas, x: float, y: float, text: str) -> None:
    for k, sign in enumerate(text):
        canvas.drawCentredString(x + CELL * k + 6.5, y + 5, sign)


def read(draw: Callable[[Canvas], None]) -> str:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        canvas.drawString(30, 370, "Please fill in this form in capital letters and send it back.")
        draw(canvas)
        canvas.drawString(30, 30, "Thank you for your answers, which nobody else is going to see.")

    (found,) = TextEngine().read([drawn(page, (500, 400))])
    return "\n".join(block.text for block in found.blocks)


Draw = Callable[[Canvas, float, float, int], None]


@pytest.mark.parametrize("cells", [framed, apart, ticked, open_above])
@pytest.mark.parametrize("x", [90, 150])
def test_the_letters_of_a_field_are_one_value_beside_its_label(cells: Draw, x: float) -> None:
    def draw(canvas: Canvas) -> None:
        for k, (label, value) in enumerate((("Surname", "MUELLER"), ("Given", "ANNA LENA"), ("IBAN", "DE89370400"))):
            canvas.drawString(30, 305 - 60 * k, label)
            cells(canvas, x, 300 - 60 * k, 12)
            letters(canvas, x, 300 - 60 * k, value)

    said = read(draw)
    plain = " ".join(said.replace("</td><td>", " ").replace("|", " ").split())
    for pair in ("Surname MUELLER", "Given ANNA LENA", "IBAN DE89370400"):
        assert pair in plain, said


def test_a_label_above_its_boxes_stands_before_their_value() -> None:
    def draw(canvas: Canvas) -> None:
        for k, (label, value) in enumerate((("Name of the sender", "J SMITH"), ("Telephone", "0301234"))):
            canvas.drawString(30, 322 - 70 * k, label)
            ticked(canvas, 30, 300 - 70 * k, 10)
            letters(canvas, 30, 300 - 70 * k, value)

    said = read(draw)
    assert "Name of the sender J SMITH" in said and "Telephone 0301234" in said


@pytest.mark.parametrize("between", [".", "/", ""])
def test_the_parts_of_a_date_are_one_value(between: str) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(30, 305, "Date of birth")
        for x, part in ((110, "12"), (158, "03"), (206, "1974")):
            framed(canvas, x, 300, len(part))
            letters(canvas, x, 300, part)
        for x in (148, 196):
            canvas.drawString(x, 305, between)

    assert f"Date of birth {(between or ' ').join(('12', '03', '1974'))}" in read(draw)


@pytest.mark.parametrize("rows", [["ABC", "DEF", "GHI"], ["10110", "01101"]])
def test_rows_of_cells_below_each_other_are_a_table(rows: Sequence[str]) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(30, 330, "Square")
        for k, row in enumerate(rows):
            framed(canvas, 30, 300 - 18 * k, len(row))
            letters(canvas, 30, 300 - 18 * k, row)

    said = read(draw)
    assert not any(row in said for row in rows)


def test_a_row_of_cells_of_different_widths_is_no_field() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(30, 305, "Passport")
        for k, sign in enumerate("C01X00T471"):
            canvas.rect(90 + 18 * k, 300, 18 if k % 2 else 12, 18)
            canvas.drawString(92 + 18 * k, 305, sign)

    assert "C01X00T471" not in read(draw)


def test_short_rows_that_are_full_are_no_fields_by_themselves() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(30, 305, "array")
        framed(canvas, 90, 300, 5)
        letters(canvas, 90, 300, "31415")

    assert "31415" not in read(draw)


def test_cells_without_a_label_or_with_words_are_no_field() -> None:
    def draw(canvas: Canvas) -> None:
        framed(canvas, 200, 300, 10)
        letters(canvas, 200, 300, "31415926")
        canvas.drawString(30, 205, "Sizes")
        framed(canvas, 90, 200, 10)
        for k, size in enumerate(("XS", "S", "M", "XL")):
            canvas.drawCentredString(98 + CELL * k, 205, size)

    said = read(draw)
    assert "31415926" not in said and "XSSMXL" not in said
