"""Notes in the margin are read apart from the lines beside which they stand; labels are read with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.document import Block
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_layer.layer_lines import lines_of

PAGE = (595.0, 842.0)
TEXT = (
    "the keeper of the lighthouse wrote down the weather every morning and when the station was closed the books were "
    "sent to the museum in town where a clerk put them on a shelf and nobody asked for them for many years after that "
)
WORDS = TEXT.split()
LEFT, RIGHT, TOP, LEADING = 150.0, 410.0, 700.0, 13.0


def justified(canvas: Canvas, rows: int, top: float = TOP, left: float = LEFT, right: float = RIGHT) -> None:
    """Running text whose lines all go to the right edge."""
    k = 0
    for row in range(rows):
        line = [WORDS[k % len(WORDS)]]
        while canvas.stringWidth(" ".join([*line, WORDS[(k + 1) % len(WORDS)]]), "Times-Roman", 10) < right - left:
            k += 1
            line.append(WORDS[k % len(WORDS)])
        k += 1
        width = sum(canvas.stringWidth(word, "Times-Roman", 10) for word in line)
        space, x = (right - left - width) / (len(line) - 1), left
        for word in line:
            canvas.drawString(x, top - LEADING * row, word)
            x += canvas.stringWidth(word, "Times-Roman", 10) + space


def read(draw: Callable[[Canvas], None]) -> list[Block]:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Times-Roman", 10)
        draw(canvas)

    sheet = drawn(page, PAGE)
    assert sheet.picture is not None
    return blocks(lines_of(sheet), [], sheet.picture)


@pytest.mark.parametrize("apart", [8.0, 12.0, 30.0])
@pytest.mark.parametrize("rows", [("see p. 4",), ("a second", "thought", "of hers")])
@pytest.mark.parametrize("way", ["left", "right"])
def test_a_note_beside_a_paragraph_is_a_block_of_its_own(apart: float, rows: Sequence[str], way: str) -> None:
    def draw(canvas: Canvas) -> None:
        justified(canvas, 10)
        for i, row in enumerate(rows):
            y = TOP - LEADING * (4 + i)
            if way == "right":
                canvas.drawString(RIGHT + apart, y, row)
            else:
                canvas.drawRightString(LEFT - apart, y, row)

    text, note = read(draw)
    assert text.kind == "text" and rows[0] not in text.text
    assert (note.kind, note.text) == ("footnote", " ".join(rows))


def test_a_note_comes_after_the_paragraph_beside_which_it_begins() -> None:
    def draw(canvas: Canvas) -> None:
        for part in range(3):
            justified(canvas, 4, TOP - 80 * part)
        canvas.drawString(RIGHT + 12, TOP - 80 - LEADING, "of ships")

    assert [block.kind for block in read(draw)] == ["text", "text", "footnote", "text"]


def test_a_label_before_each_paragraph_is_no_note() -> None:
    def draw(canvas: Canvas) -> None:
        for part in range(4):
            justified(canvas, 2, TOP - 45 * part)
            canvas.drawString(LEFT - 50, TOP - 45 * part, f"{1990 + part}")

    assert all(block.kind != "footnote" for block in read(draw))


def test_a_column_is_no_note() -> None:
    def draw(canvas: Canvas) -> None:
        justified(canvas, 20, left=50, right=270)
        justified(canvas, 12, left=290, right=510)

    assert [block.kind for block in read(draw)] == ["text", "text"]


@pytest.mark.parametrize("way", ["left", "right"])
def test_a_column_with_headings_and_lists_beside_running_text_is_no_note(way: str) -> None:
    rows = ["Contact", "mail@example.org", "", "Skills", "Writing", "Sailing", "", "Languages", "English", "German"]

    def draw(canvas: Canvas) -> None:
        justified(canvas, 16)
        for i, row in enumerate(rows):
            canvas.setFont("Times-Bold" if row in ("Contact", "Skills", "Languages") else "Times-Roman",
                           13 if row in ("Contact", "Skills", "Languages") else 10)
            x = RIGHT + 20 if way == "right" else 40
            canvas.drawString(x, TOP - 18 * i, row)

    assert not [block for block in read(draw) if block.kind == "footnote"]
