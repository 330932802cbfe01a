"""Parts of a page on grounds or in frames of their own are read one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

import microfiche
from microfiche.documents.layout.panels import panels
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

CARDS = (
    ("Lubeck", ("Salt was sold here", "Population: 216,000", "Founded: 1143", "Brick churches")),
    ("Danzig", ("Amber and grain", "Population: 470,000", "Founded: 997", "Old crane")),
    ("Tallinn", ("Furs from the east", "Population: 450,000", "Founded: 1248", "City wall")),
)


def cards(path: Path, ground: float, frame: bool, head: bool) -> str:
    """A slide with three cards side by side, whose lines stand level."""
    canvas = Canvas(str(path), pagesize=(720, 400))
    canvas.setFont("Helvetica-Bold", 24)
    canvas.drawString(40, 350, "Three towns by the sea")
    for k, (title, texts) in enumerate(CARDS):
        x = 40 + 220 * k
        canvas.setFillGray(ground)
        canvas.rect(x, 80, 200, 220, stroke=frame, fill=1)
        if head:
            canvas.setFillGray(0.2)
            canvas.rect(x, 268, 200, 32, stroke=0, fill=1)
        canvas.setFillGray(1 if head else 0)
        canvas.setFont("Helvetica-Bold", 15)
        canvas.drawString(x + 10, 278, title)
        canvas.setFillGray(0)
        canvas.setFont("Helvetica", 13)
        for i, text in enumerate(texts):
            canvas.drawString(x + 10, 240 - 22 * i, text)
    canvas.save()
    return microfiche.read(str(path)).markdown()


@pytest.mark.parametrize(("ground", "frame", "head"), [(0.9, False, True), (1, True, False), (0.85, False, False)])
def test_cards_are_read_one_after_the_other(tmp_path: Path, ground: float, frame: bool, head: bool) -> None:
    text = cards(tmp_path / "cards.pdf", ground, frame, head)
    for title, texts in CARDS:
        assert f"# {title}\n\n" + "  \n".join(texts) in text


def picture(*boxes: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", (800, 600), "white")
    for box in boxes:
        image.paste((220, 230, 240), box)
    return image


def lines(left: int, count: int = 4, step: int = 30, top: int = 110, wide: int = 150) -> list[TextLine]:
    return [TextLine("Words on a line", (left, top + step * k, left + wide, top + 20 + step * k), 16)
            for k in range(count)]


LEFT, RIGHT = (100, 100, 300, 260), (400, 100, 600, 260)


def test_two_side_by_side() -> None:
    found = panels(picture(LEFT, RIGHT), [*lines(110), *lines(410)], [])
    assert [[round(v, -1) for v in box] for box in sorted(found)] == [list(LEFT), list(RIGHT)]


@pytest.mark.parametrize(
    ("boxes", "text"),
    [
        ((LEFT,), [*lines(110), *lines(410)]),  # a shaded column of a table: level with what is beside it
        ((LEFT, RIGHT), [*lines(110, 1), *lines(410, 1)]),  # cells of one row
        ((LEFT, (302, 100, 502, 260)), [*lines(110), *lines(312)]),  # cells that touch
        ((LEFT, RIGHT), [*lines(110), *lines(410), *lines(200, 1, top=150, wide=300)]),  # a line leads across
        (((50, 50, 750, 550),), [*lines(110), *lines(410)]),  # the ground of the whole
    ],
)
def test_other_grounds_are_no_panels(boxes: tuple[tuple[int, int, int, int], ...], text: list[TextLine]) -> None:
    assert panels(picture(*boxes), text, []) == []


def test_a_panel_beside_text_of_another_step() -> None:
    assert len(panels(picture(LEFT), [*lines(110, step=37), *lines(410, 5, 26)], [])) == 1


def test_a_ground_that_touches_one_of_another_colour_is_a_panel() -> None:
    image = picture(LEFT)
    image.paste((30, 50, 70), (100, 60, 700, 100))
    (box,) = panels(image, [*lines(110), *lines(410, 6, 24, top=105)], [])
    assert [round(v, -1) for v in box] == list(LEFT)


def test_coloured_cells_of_a_grid_are_no_panels() -> None:
    rules: list[Box] = [(x, 100, x, 420) for x in (100, 300, 500)] + [(100, y, 500, y) for y in (100, 260, 420)]
    assert panels(picture(LEFT), [*lines(110, 3), *lines(310, 3, 37), *lines(110, 3, top=280)], rules) == []
