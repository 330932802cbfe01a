"""Boxes to tick that are drawn stand beside their labels, ticked or not; other small squares are none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.text_engine import TextEngine
from microfiche.documents.text_layer.layer_lines import lines_of
from microfiche.documents.text_layer.tick_boxes import tick_boxes

TOPICS = [("Fire insurance", True), ("Water damage", False), ("Theft", True), ("Glass", False)]


def cross(canvas: Canvas, x: float, y: float) -> None:
    canvas.line(x, y, x + 10, y + 10)
    canvas.line(x, y + 10, x + 10, y)


def check(canvas: Canvas, x: float, y: float) -> None:
    path = canvas.beginPath()
    path.moveTo(x + 2, y + 5)
    path.lineTo(x + 4, y + 2)
    path.lineTo(x + 8, y + 8)
    canvas.setLineWidth(1.5)
    canvas.drawPath(path)
    canvas.setLineWidth(1)


def square(canvas: Canvas, x: float, y: float) -> None:
    canvas.rect(x + 2.5, y + 2.5, 5, 5, fill=1)


def letter(canvas: Canvas, x: float, y: float) -> None:
    canvas.drawString(x + 1.5, y + 1, "X")


def sign(canvas: Canvas, x: float, y: float) -> None:
    canvas.setFont("ZapfDingbats", 10)
    canvas.drawString(x + 1, y + 1, "\u2714")
    canvas.setFont("Helvetica", 11)


def read(draw: Callable[[Canvas], None]) -> str:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        canvas.drawString(30, 270, "What applies to you:")
        draw(canvas)

    (found,) = TextEngine().read([drawn(page, (400, 300))])
    return "\n".join(block.text for block in found.blocks)


@pytest.mark.parametrize("mark", [cross, check, square, letter, sign])
@pytest.mark.parametrize("frame", ["rectangle", "lines", "bars"])
def test_drawn_boxes_stand_before_their_labels(mark: Callable[[Canvas, float, float], None], frame: str) -> None:
    def draw(canvas: Canvas) -> None:
        for i, (topic, on) in enumerate(TOPICS):
            x, y = 30, 230 - 20 * i
            if frame == "rectangle":
                canvas.rect(x, y, 10, 10)
            elif frame == "lines":
                right, top = x + 10, y + 10
                canvas.lines([(x, y, right, y), (x, top, right, top), (x, y, x, top), (right, y, right, top)])
            else:
                for left, foot, wide, high in ((0, 0, 10, 0.7), (0, 9.3, 10, 0.7), (0, 0, 0.7, 10), (9.3, 0, 0.7, 10)):
                    canvas.rect(x + left, y + foot, wide, high, stroke=0, fill=1)
            if on:
                mark(canvas, x, y)
            canvas.drawString(x + 18, y + 1, topic)

    text = read(draw)
    for topic, on in TOPICS:
        assert f"{'[x]' if on else '[ ]'} {topic}" in text.splitlines()[1 :][TOPICS.index((topic, on))]


def test_a_question_stays_with_its_answers() -> None:
    def draw(canvas: Canvas) -> None:
        for i, question in enumerate(["Do you smoke?", "Do you own a car?", "Do you sail?"]):
            canvas.drawString(30, 230 - 20 * i, question)
            for k, answer in enumerate(["Yes", "No"]):
                canvas.rect(200 + 60 * k, 229 - 20 * i, 10, 10)
                canvas.drawString(215 + 60 * k, 230 - 20 * i, answer)
                if k == i % 2:
                    cross(canvas, 200 + 60 * k, 229 - 20 * i)

    text = read(draw)
    assert "Do you smoke? [x] Yes [ ] No" in text and "Do you own a car? [ ] Yes [x] No" in text


def test_boxes_in_a_table_are_its_cells() -> None:
    def draw(canvas: Canvas) -> None:
        for i in range(4):
            canvas.line(30, 240 - 24 * i, 300, 240 - 24 * i)
        for x in (30, 180, 240, 300):
            canvas.line(x, 240, x, 168)
        for i, row in enumerate([("Topic", "Good", "Bad"), ("Heating",), ("Water",)]):
            for x, cell in zip((36, 186, 246), row, strict=False):
                canvas.drawString(x, 225 - 24 * i, cell)
            for k in range(2 if i else 0):
                canvas.rect(205 + 60 * k, 223 - 24 * i, 10, 10)
                if k + 1 == i:
                    cross(canvas, 205 + 60 * k, 223 - 24 * i)

    text = read(draw)
    assert "| Heating | [x] | [ ] |" in text and "| Water | [ ] | [x] |" in text


def test_signs_of_boxes_are_boxes_within_a_line_and_where_one_is_ticked() -> None:
    def draw(canvas: Canvas) -> None:
        for i, (topic, on) in enumerate(TOPICS):
            canvas.setFont("ZapfDingbats", 11)
            canvas.drawString(30, 230 - 20 * i, "\u2752")
            if on:
                canvas.drawString(31, 231 - 20 * i, "\u2714")
            canvas.setFont("Helvetica", 11)
            canvas.drawString(50, 230 - 20 * i, topic)

    text = read(draw)
    assert "[x] Fire insurance" in text and "[ ] Water damage" in text and "✔" not in text


@pytest.mark.parametrize("kind", ["key", "grid", "proof", "code"])
def test_other_squares_are_no_boxes_to_tick(kind: str) -> None:
    def draw(canvas: Canvas) -> None:
        for i, (topic, _) in enumerate(TOPICS):
            y = 230 - 20 * i
            if kind == "key":  # to colours
                canvas.setFillColorRGB(0.2 * i, 0.6, 0.1)
                canvas.rect(30, y, 10, 10, fill=1)
                canvas.setFillColorRGB(0, 0, 0)
                canvas.drawString(48, y, topic)
            elif kind == "grid":  # of places for letters
                for k in range(5):
                    canvas.rect(30 + 10 * k, y, 10, 10)
                canvas.drawString(90, y, topic)
            elif kind == "proof":  # its end
                canvas.drawString(30, y, f"{topic} is what was to be shown.")
                canvas.rect(350, y, 8, 8)
            else:  # places for letters, filled in
                for k, figure in enumerate("407"):
                    canvas.rect(30 + 14 * k, y, 11, 11)
                    canvas.drawString(32 + 14 * k, y + 2, figure)
                canvas.drawString(90, y, topic)

    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        draw(canvas)

    assert tick_boxes(drawn(page, (400, 300))) == []
    assert "[" not in read(draw)


def circles(canvas: Canvas, ticked: set[int]) -> None:
    for k, label in enumerate(("Friends", "School", "Newspaper")):
        y = 150 - 22 * k
        canvas.setFont("Helvetica", 11)
        canvas.circle(30, y + 4, 5)
        if k in ticked:
            canvas.circle(30, y + 4, 2.6, stroke=0, fill=1)
        canvas.drawString(42, y, label)


def test_circles_of_which_one_is_ticked() -> None:
    found = lines_of(drawn(lambda canvas: circles(canvas, {1}), (300.0, 200.0)))
    assert [line.text for line in found] == ["[ ] Friends", "[x] School", "[ ] Newspaper"]


@pytest.mark.parametrize("ticked", [set(), {0, 1, 2}])
def test_circles_that_are_alike_are_bullets(ticked: set[int]) -> None:
    found = lines_of(drawn(lambda canvas: circles(canvas, ticked), (300.0, 200.0)))
    assert [line.text for line in found] == ["Friends", "School", "Newspaper"]


def test_boxes_with_round_corners() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for k, label in enumerate(("Adult", "Child", "Family")):
            canvas.setFillColorRGB(*((0, 0.4, 1) if k == 0 else (1, 1, 1)))
            canvas.roundRect(30, 150 - 22 * k, 10, 10, 1.5, fill=1)
            if k == 0:
                canvas.setStrokeColorRGB(1, 1, 1)
                canvas.setLineWidth(1.5)
                canvas.lines([(32, 155, 34, 152), (34, 152, 38, 158)])
                canvas.setStrokeColorRGB(0, 0, 0)
                canvas.setLineWidth(0.8)
            canvas.setFillColorRGB(0, 0, 0)
            canvas.drawString(46, 151 - 22 * k, label)

    found = lines_of(drawn(draw, (300.0, 200.0)))
    assert [line.text for line in found] == ["[x] Adult", "[ ] Child", "[ ] Family"]


@pytest.mark.parametrize(("ground", "full", "void"), [((1, 1, 1), (0.1, 0.1, 0.3), (0.85, 0.85, 0.85)),
                                                     ((0.15, 0.2, 0.3), (1, 1, 1), (0.35, 0.4, 0.45))])  # fmt: skip
def test_rows_of_dots_say_how_many_are_filled(
    ground: tuple[float, ...], full: tuple[float, ...], void: tuple[float, ...]
) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFillColorRGB(*ground)
        canvas.rect(0, 100, 400, 150, stroke=0, fill=1)
        for i, (skill, level) in enumerate([("English", 5), ("French", 4), ("Igbo", 1)]):
            canvas.setFillColorRGB(*full)
            canvas.drawString(30, 220 - 22 * i, skill)
            for k in range(5):
                canvas.setFillColorRGB(*(full if k < level else void))
                canvas.circle(95 + 11 * k, 224 - 22 * i, 4, stroke=0, fill=1)

    text = read(draw)
    rows = [line.split() for line in text.split("\n")[1:]]
    assert rows == [["English", "●●●●●"], ["French", "●●●●○"], ["Igbo", "●○○○○"]]
