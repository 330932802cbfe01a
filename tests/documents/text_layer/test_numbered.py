"""The numbers of a listing's lines are no part of its code, however close they stand, and whatever stands between."""

from __future__ import annotations

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.text_engine import TextEngine

CODE = (
    ["def mean(values):", "    total = 0.0", "    for value in values:", "        total += value", "",
     "    return total / len(values)"],
    ["class Harbour:", "    def __init__(self):", "        self.ships = []", "}"],
)  # fmt: skip
PROSE = "Between the two stands a sentence that begins as far to the left as the numbers do."


def read(font: str, first: tuple[int, int], gap: float) -> list[tuple[str, str]]:
    def draw(canvas: Canvas) -> None:
        y = 780.0
        for start, code in zip(first, CODE, strict=True):
            canvas.setFont("Helvetica", 10)
            canvas.drawString(50, y, PROSE)
            y -= 18
            for k, line in enumerate(code):
                canvas.setFont(font, 6)
                canvas.drawRightString(60, y, str(start + k))
                canvas.setFont("Courier", 9)
                canvas.drawString(60 + gap, y, line)
                y -= 11
            y -= 8
        canvas.setFont("Helvetica", 10)
        canvas.drawString(50, y, PROSE)

    (page,) = TextEngine().read([drawn(draw, (595.0, 842.0))])
    return [(block.kind, block.text) for block in page.blocks if block.kind != "number"]


@pytest.mark.parametrize("font", ["Helvetica", "Courier"])
@pytest.mark.parametrize("first", [(1, 7), (114, 120), (1, 1)])
@pytest.mark.parametrize("gap", [3.0, 6.0, 20.0])
def test_listings_are_read_without_the_numbers_of_their_lines(font: str, first: tuple[int, int], gap: float) -> None:
    fences = [("code", "\n".join(["```", *code, "```"])) for code in CODE]
    prose = ("text", PROSE)
    assert read(font, first, gap) == [prose, fences[0], prose, fences[1], prose]


def test_a_number_that_begins_a_line_in_its_own_type_stays() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for k, what in enumerate(("ships were at sea on that day", "more came in at night", "of them were empty")):
            canvas.drawString(50, 700 - 14 * k, f"{12 + k} {what}")

    (page,) = TextEngine().read([drawn(draw, (595.0, 842.0))])
    text = " ".join(block.text for block in page.blocks if block.kind != "number")
    assert all(str(number) in text for number in (12, 13, 14))


def test_a_line_before_code_is_no_title() -> None:
    def draw(canvas: Canvas) -> None:
        y = 780.0
        for text in ("For example, the string", "can be read with"):
            canvas.setFont("Helvetica", 10.5)
            canvas.drawString(50, y, text)
            canvas.setFont("Courier", 9)
            for k, line in enumerate(CODE[0]):
                canvas.drawString(70, y - 16 - 11 * k, line)
            y -= 110
        canvas.setFont("Helvetica", 10.5)
        for k in range(2):
            canvas.drawString(50, y - 13 * k, PROSE)

    (page,) = TextEngine().read([drawn(draw, (595.0, 842.0))])
    assert [block.kind for block in page.blocks] == ["text", "code", "text", "code", "text"]
