"""Blanks to fill in that a page draws are read within their lines; rules of other kinds are no blanks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.text_layer.layer_lines import lines_of

SIZE = (500.0, 200.0)


def texts(draw: Callable[[Canvas], None]) -> list[str]:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        draw(canvas)

    return [line.text for line in sorted(lines_of(drawn(page, SIZE)), key=lambda line: (line.box[1], line.box[0]))]


def sentence(canvas: Canvas) -> None:
    canvas.drawString(20, 100, "The capital of France is")
    canvas.line(145, 98, 220, 98)
    canvas.drawString(221, 100, ".")


def dotted(canvas: Canvas) -> None:
    canvas.drawString(20, 100, "Name")
    canvas.setDash(1, 2)
    canvas.line(60, 98, 200, 98)
    canvas.drawString(210, 100, "Class")
    canvas.line(245, 98, 300, 98)


def form(canvas: Canvas) -> None:
    for i, label in enumerate(["Name:", "Town:"]):
        canvas.drawString(20, 150 - 25 * i, label)
        canvas.line(120, 148 - 25 * i, 300, 148 - 25 * i)


def frame(canvas: Canvas) -> None:
    canvas.drawString(20, 100, "Postcode")
    canvas.rect(90, 94, 80, 18)


def to_sign(canvas: Canvas) -> None:
    canvas.drawString(20, 180, "I agree to all of this, and have been told what it means for me and mine.")
    canvas.line(20, 80, 150, 80)
    canvas.drawString(20, 68, "Place, date")


def to_write(canvas: Canvas) -> None:
    canvas.drawString(20, 180, "Say why, in two lines.")
    for y in (150, 128):
        canvas.line(20, y, 400, y)


@pytest.mark.parametrize(("draw", "said"), [
    (sentence, ["The capital of France is ____."]),
    (dotted, ["Name ____ Class ____"]),
    (form, ["Name: ____", "Town: ____"]),
    (frame, ["Postcode ____"]),
    (to_sign, ["I agree to all of this, and have been told what it means for me and mine.", "____", "Place, date"]),
    (to_write, ["Say why, in two lines.", "____", "____"]),
])  # fmt: skip
def test_a_blank_is_read(draw: Callable[[Canvas], None], said: list[str]) -> None:
    assert texts(draw) == said


def underlined(canvas: Canvas) -> None:
    canvas.drawString(20, 100, "underlined words")
    canvas.line(20, 98, 110, 98)


def heading(canvas: Canvas) -> None:
    canvas.setFont("Helvetica-Bold", 11)
    canvas.drawString(20, 180, "Education")
    canvas.line(80, 178, 480, 178)
    canvas.setFont("Helvetica", 11)
    canvas.drawString(20, 150, "School in the town of Emden, and then a time at sea, until the war had come.")


def foot(canvas: Canvas) -> None:
    canvas.drawString(20, 180, "The last words of a page that is otherwise empty, but for its number at the foot.")
    canvas.line(20, 50, 480, 50)
    canvas.drawCentredString(250, 38, "9")


def grid(canvas: Canvas) -> None:
    canvas.grid([20, 120, 220], [80, 100, 120])
    canvas.drawString(24, 105, "Paper")


def beside_a_column(canvas: Canvas) -> None:
    for i in range(8):
        canvas.drawString(20, 180 - 14 * i, "the line of a column that goes on without")


def table(canvas: Canvas) -> None:
    beside_a_column(canvas)
    for y in (176, 148, 120):
        canvas.line(250, y, 450, y)
    for y, cells in ((164, ("Method", "Loss", "Score")), (136, ("Ours", "0.12", "0.93"))):
        for i, cell in enumerate(cells):
            canvas.drawString(255 + 70 * i, y, cell)


def footnote(canvas: Canvas) -> None:
    beside_a_column(canvas)
    for i in range(3):
        canvas.drawString(250, 180 - 14 * i, "another line of the column beside it")
    canvas.line(250, 108, 330, 108)
    canvas.setFont("Helvetica", 8)
    canvas.drawString(250, 98, "1 A note at the foot of this column.")


def framed_word(canvas: Canvas) -> None:
    canvas.line(20, 150, 60, 150)
    canvas.drawString(22, 140, "langue")


@pytest.mark.parametrize("draw", [underlined, heading, foot, grid, table, footnote, framed_word])
def test_other_rules_are_no_blanks(draw: Callable[[Canvas], None]) -> None:
    assert not any("__" in text for text in texts(draw))


def labels_above(canvas: Canvas) -> None:
    for x, label, value in ((20, "First name", "MARIA"), (180, "Last name", "OLIVEIRA"), (340, "Born", "")):
        canvas.setFont("Helvetica", 9)
        canvas.drawString(x, 122, label)
        canvas.setFont("Helvetica", 11)
        canvas.rect(x, 96, 140, 22)
        canvas.drawString(x + 4, 103, value)


def test_what_stands_in_frames_goes_with_the_labels_above_them() -> None:
    assert texts(labels_above) == ["First name MARIA", "Last name OLIVEIRA", "Born ____"]


def test_empty_cells_framed_one_by_one_are_no_blanks() -> None:
    def draw(canvas: Canvas) -> None:
        for row, cells in enumerate((("Pears", "0.80", ""), ("Apples", "1.20", "14.40"))):
            for k, text in enumerate(cells):
                canvas.rect(20 + 102 * k, 150 - 22 * row, 100, 20)
                canvas.drawString(24 + 102 * k, 156 - 22 * row, text)

    assert texts(draw) == ["Pears", "0.80", "Apples", "1.20", "14.40"]


def test_the_edge_of_a_frame_before_a_word_is_no_blank() -> None:
    def draw(canvas: Canvas) -> None:
        for y in (98, 128):
            canvas.line(20, y, 120, y)
        canvas.drawString(126, 100, "Coucou")
        canvas.drawString(30, 112, "in the frame")

    assert texts(draw) == ["in the frame", "Coucou"]


def test_a_blank_in_a_frame_with_round_corners() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(20, 100, "Phone:")
        canvas.roundRect(64, 94, 120, 20, 3)

    assert texts(draw) == ["Phone: ____"]
