"""Cells that were drawn one by one show where the borders between them are, though no rule parts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.document import Block
from microfiche.documents.text_engine import TextEngine

PAGE = (595.0, 842.0)
COLUMNS = 50.0, 80.0, 300.0, 350.0, 430.0, 540.0
HEADS = "#", "Description", "Qty", "Unit price", "Amount"
ROWS = (
    ("1", "Oak desk, 160 × 80 cm", "2", "349.00", "698.00"),
    ("2", "Desk lamp", "4", "39.50", "158.00"),
    ("3", "Delivery to the third floor", "", "", "45.00"),
    ("4", "Chair", "6", "80.00", "480.00"),
)
HIGH, TOP = 24.0, 700.0


def put(canvas: Canvas, cells: tuple[str, ...], y: float) -> None:
    for k, text in enumerate(cells):
        if k < 2:
            canvas.drawString(COLUMNS[k] + 5, y, text)
        else:
            canvas.drawRightString(COLUMNS[k + 1] - 5, y, text)


def invoice(canvas: Canvas, style: str, foot: bool = False) -> None:
    """A head and ROWS; by `style` with a rule below each cell, over each, or with grounds behind every other row."""
    canvas.setFont("Helvetica", 11)
    canvas.drawString(50, 760, "This is what was ordered in the first week of May, with the prices of last year.")
    for k, cells in enumerate((HEADS, *ROWS)):
        foot_of_row = TOP - HIGH * k
        for left, right in pairwise(COLUMNS):
            if style == "grounds" and k % 2 == 0:
                canvas.setFillGray(0.9)
                canvas.rect(left, foot_of_row, right - left, HIGH, stroke=0, fill=1)
                canvas.setFillGray(0)
            elif style != "grounds" and (k or style != "over"):
                y = foot_of_row if style == "below" else foot_of_row + HIGH
                canvas.rect(left, y, right - left, 0.75, stroke=0, fill=1)
        put(canvas, cells, foot_of_row + 8)
    if foot:
        put(canvas, ("", "Total", "", "", "1381.00"), TOP - HIGH * 5 + 8)
    canvas.drawString(50, 500, "Please pay within thirty days. Thank you for your order, and for your patience.")


def read(style: str, foot: bool = False) -> list[Block]:
    (page,) = TextEngine().read([drawn(lambda canvas: invoice(canvas, style, foot), PAGE)])
    assert page.status == "ok"
    return page.blocks


def pipes(rows: tuple[tuple[str, ...], ...]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


@pytest.mark.parametrize("style", ["below", "over", "grounds"])
def test_cells_drawn_one_by_one_are_a_table_with_its_head(style: str) -> None:
    found = read(style)
    assert [block.kind for block in found] == ["text", "table", "text"]
    assert found[1].text == pipes((HEADS, *ROWS))


def test_a_total_below_the_last_rule_belongs_to_the_table() -> None:
    found = read("over", foot=True)
    assert [block.kind for block in found] == ["text", "table", "text"]
    assert found[1].text == pipes((HEADS, *ROWS, ("", "Total", "", "", "1381.00")))


@pytest.mark.parametrize("x", [50, 245])
def test_a_heading_between_two_tables_of_the_same_columns_parts_them(x: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for part in range(2):
            for k, cells in enumerate(ROWS):
                y = TOP - HIGH * k - 180 * part
                for left, right in pairwise(COLUMNS):
                    canvas.rect(left, y, right - left, 0.75, stroke=0, fill=1)
                    canvas.rect(left, y + HIGH, right - left, 0.75, stroke=0, fill=1)
                put(canvas, cells, y + 8)
        canvas.setFont("Helvetica-Bold", 14)
        canvas.drawString(x, TOP - 120, "Furniture and more")

    (page,) = TextEngine().read([drawn(draw, PAGE)])
    assert [block.kind for block in page.blocks] == ["table", "title", "table"]


@pytest.mark.parametrize("apart", [0.8, 2.2])
def test_cells_framed_one_by_one_a_little_apart_are_a_grid(apart: float) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for k, cells in enumerate((HEADS, *ROWS)):
            y = TOP - HIGH * k
            for left, right in pairwise(COLUMNS):
                canvas.rect(left, y, right - left - apart, HIGH - apart)
            put(canvas, cells, y + 8)

    (page,) = TextEngine().read([drawn(draw, PAGE)])
    assert [(block.kind, block.text) for block in page.blocks] == [("table", pipes((HEADS, *ROWS)))]


@pytest.mark.parametrize("size", [11, 14])
def test_the_last_row_of_a_table_without_a_rule_below_it_belongs_to_it(size: int) -> None:
    """As browsers print it where rows have a border below them but for the last; whatever the size of its type."""
    words = "A few lines of running text stand over it, in type of eleven points, and are more than it holds."

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for k in range(8):
            canvas.drawString(50, 820 - 14 * k, words)
        canvas.setFont("Helvetica", size)
        for k, cells in enumerate(rows):
            put(canvas, cells, TOP - HIGH * k + 8)
            for left, right in pairwise(COLUMNS) if k < len(rows) - 1 else ():
                canvas.rect(left, TOP - HIGH * k, right - left, 0.75, stroke=0, fill=1)

    heads = "#", "Task", "No.", "Owner", "State"
    rows = heads, ("1", "Renew the contract", "27", "Jonas", "open"), ("2", "Audit", "3", "Mireille", "late"), (
        "3", "Price list for spring", "11", "Tomasz", "done")  # fmt: skip
    (page,) = TextEngine().read([drawn(draw, PAGE)])
    assert page.blocks[-1].text == pipes(rows)
