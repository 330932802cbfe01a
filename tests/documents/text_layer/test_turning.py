"""Text that is drawn on its side or on its head is read upright, and what stands at other angles is not lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from makers import drawn
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents import text_engine
from microfiche.documents.engines import engines
from microfiche.documents.sheet import Font, Sheet, TextLayer
from microfiche.documents.text_engine import TextEngine
from microfiche.documents.text_layer.layer_lines import lines_of, sideways, turned_lines
from microfiche.documents.text_layer.soundness import Doubts, doubts
from microfiche.documents.text_layer.turning import Turn, box_on_page, box_upright, turn_of, upright

LINES = ["The first line of a page", "and the second line of it", "and one more, the last."]


def sheet_at(degrees: float, size: tuple[float, float] = (300, 200)) -> Sheet:
    """A page whose lines run at so many degrees counter-clockwise."""

    def draw(canvas: Canvas) -> None:
        canvas.translate(size[0] / 2, size[1] / 2)
        canvas.rotate(degrees)
        canvas.setFont("Helvetica", 12)
        for i, line in enumerate(LINES):
            canvas.drawString(-70, 20 - 20 * i, line)

    return drawn(draw, size)


@pytest.mark.parametrize(("degrees", "turn"), [(0, 0), (90, 270), (180, 180), (270, 90)])
def test_a_page_drawn_on_its_side_is_turned_upright(degrees: int, turn: Turn) -> None:
    sheet = sheet_at(degrees)
    assert sheet.text and sheet.picture and turn_of(sheet.text) == turn
    turned = upright(sheet, turn)
    size = sheet.picture.size
    assert turned.picture and turned.picture.size == (size if turn % 180 == 0 else size[::-1])
    lines = sorted(lines_of(turned), key=lambda line: line.middle)
    assert [line.text for line in lines] == LINES
    assert all(a.box[3] < b.middle for a, b in pairwise(lines))
    for line in lines:  # over their ink, on the turned page and on the page as it is
        for picture, box in ((turned.picture, line.box), (sheet.picture, box_on_page(line.box, turn, size))):
            ink = np.asarray(picture.convert("L").crop(tuple(round(v) for v in box)))
            assert (ink < 128).mean() > 0.05
    assert turn_of(turned.text or sheet.text) == 0


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_box_is_turned_there_and_back(turn: Turn) -> None:
    box, size = (10.0, 20.0, 50.0, 35.0), (300, 200)
    there = box_upright(box, turn, size)
    assert box_on_page(there, turn, size) == box
    assert (there[2] - there[0], there[3] - there[1]) == ((40, 15) if turn % 180 == 0 else (15, 40))


def test_a_font_of_negative_size_stands_upright_where_its_matrix_does() -> None:
    def draw(canvas: Canvas) -> None:
        text = canvas.beginText()
        text.setTextTransform(-1, 0, 0, -1, 20, 60)
        text.setFont("Helvetica", -12)
        text.textLine(LINES[0])
        canvas.drawText(text)

    sheet = drawn(draw)
    assert sheet.text and turn_of(sheet.text) == 0
    assert [line.text for line in lines_of(sheet)] == [LINES[0]]


def test_columns_of_upright_characters_are_lines_of_their_own_from_the_right() -> None:
    columns = ["縦書きの文です", "その次の行です"]
    n = sum(map(len, columns))
    corners = [(350 - 40 * x, 40 + 26 * y) for x, text in enumerate(columns) for y in range(len(text))]
    boxes = np.array([(x, y, x + 24, y + 24) for x, y in corners], np.float32)
    layer = TextLayer(
        "".join(columns), boxes, np.full(n, 24, np.float32), np.zeros(n, np.float32), [Font("Ryumin-Light", 400, 4)],
        np.zeros(n, np.int16), np.ones(n, bool), np.zeros(n, bool), np.zeros(n, bool),
    )  # fmt: skip
    sheet = Sheet(1, Image.new("RGB", (400, 400), "white"), layer)
    assert [line.text for line in turned_lines(sheet)] == columns and lines_of(sheet) == []
    assert turned_lines(sheet)[0].box == (350, 40, 374, 40 + 26 * 6 + 24)


@pytest.mark.parametrize("degrees", [30, -45, 12])
def test_lines_at_other_angles_are_whole_and_apart(degrees: float) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        for i in range(8):
            canvas.drawString(20, 280 - 15 * i, f"Upright line {i} of a page")
        canvas.translate(200, 90)
        canvas.rotate(degrees)
        canvas.drawString(-60, 0, "VOID - cancelled, 3 May")

    sheet = drawn(draw, (400, 300))
    assert sheet.text and turn_of(sheet.text) == 0
    assert [line.text for line in lines_of(sheet)] == [f"Upright line {i} of a page" for i in range(8)]
    (line,) = turned_lines(sheet)
    assert line.text == "VOID - cancelled, 3 May" and line.size == pytest.approx(24, rel=0.02)


NOTE = ["Alpha is the first line of a note that stands", "beside the text, on its side or its head,", "and ends here."]


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("backward", [False, True])
def test_a_note_turned_by_a_quarter_is_read_as_a_whole_in_its_own_order(degrees: int, backward: bool) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        for i in range(12):
            canvas.drawString(20, 280 - 15 * i, f"Upright line {i} of a page, with more words")
        canvas.setFont("Times-Roman", 10)
        canvas.translate(*{90: (350, 20), 180: (380, 20), 270: (320, 250)}[degrees])
        canvas.rotate(degrees)
        for i, line in sorted(enumerate(NOTE), reverse=backward):
            canvas.drawString(0, -12 * i, line)

    sheet = drawn(draw, (400, 300))
    assert sideways(sheet) == [(360 - degrees) % 360]
    assert turned_lines(sheet) == []
    (page,) = TextEngine().read([sheet])
    assert page.status == "ok" and page.blocks[-1].text == " ".join(NOTE)
    left, top, right, bottom = page.blocks[-1].box
    assert (right - left > bottom - top) == (degrees == 180) and right <= 800 and bottom <= 600


def test_columns_of_a_note_on_its_side_are_read_one_after_the_other() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        for i in range(12):
            canvas.drawString(20, 280 - 15 * i, f"Upright line {i} of a page, with more words")
        canvas.setFont("Times-Roman", 8)
        canvas.translate(330, 290)
        canvas.rotate(270)
        for i in range(4):
            for column in (1, 0):
                canvas.drawString(140 * column, -9 * i, f"Column {column} line {i} has these words")

    (page,) = TextEngine().read([drawn(draw, (400, 300))])
    found = [block.text for block in page.blocks[-2:]]
    assert found == [" ".join(f"Column {k} line {i} has these words" for i in range(4)) for k in (0, 1)]


def test_what_speaks_against_a_text_layer_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When an engine is chosen for a sheet and when it reads it, whether or not its text stands upright."""
    count = 0

    def counted(sheet: Sheet) -> Doubts:
        nonlocal count
        count += 1
        return doubts(sheet)

    monkeypatch.setattr(text_engine, "doubts", counted)
    for degrees in (0, 90):
        def draw(canvas: Canvas, degrees: int = degrees) -> None:
            canvas.setFont("Helvetica", 12)
            canvas.translate(*((200, 20) if degrees else (20, 200)))
            canvas.rotate(degrees)
            for i, text in enumerate(LINES):
                canvas.drawString(0, -15 * i, text)

        count = 0
        sheet = drawn(draw, (400, 400))
        engine, _ = engines("text").choose(sheet)
        (page,) = engine.read([sheet])
        assert count == 1 and page.status == "ok" and all(line in page.blocks[0].text for line in LINES)
