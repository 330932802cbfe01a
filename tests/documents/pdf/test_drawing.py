"""Where a page has drawings, grounds and clipped text, so that figures and shaded cells can be found."""

from __future__ import annotations

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.boxes import share
from microfiche.documents.sheet import Sheet

POINT = 2  #: px


def page(draw: object) -> Sheet:
    return drawn(draw, (300, 200))  # type: ignore[arg-type]


def chart(canvas: Canvas) -> None:
    canvas.circle(100, 120, 40)
    canvas.line(60, 80, 140, 160)
    path = canvas.beginPath()
    path.moveTo(60, 90)
    path.curveTo(80, 150, 100, 90, 138, 150)
    canvas.drawPath(path)


def test_curves_and_slanted_strokes_close_together_are_one_drawing() -> None:
    (box,) = page(chart).drawings
    assert box == pytest.approx((60 * POINT, 40 * POINT, 140 * POINT, 120 * POINT), abs=4)


def test_two_drawings_far_apart_are_two() -> None:
    def draw(canvas: Canvas) -> None:
        chart(canvas)
        canvas.circle(240, 60, 30)

    assert len(page(draw).drawings) == 2


def test_frames_grids_bullets_and_backgrounds_are_no_drawings() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.roundRect(20, 20, 120, 80, 6)
        canvas.grid([160, 200, 240], [20, 40, 60])
        canvas.circle(25, 150, 2, fill=1)
        canvas.setFillGray(0.95)
        canvas.ellipse(-200, -200, 500, 400, stroke=0, fill=1)
        canvas.line(20, 120, 280, 120)

    assert page(draw).drawings == []


def test_filled_cells_are_grounds() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFillGray(0.8)
        canvas.rect(20, 100, 200, 20, stroke=0, fill=1)
        canvas.setFillGray(0)
        canvas.rect(20, 60, 200, 0.8, stroke=0, fill=1)

    found = page(draw)
    (ground,) = found.grounds
    assert ground == pytest.approx((40, 160, 440, 200), abs=1.5) and len(found.rules) == 1


def test_what_a_form_draws_is_found_where_it_stands() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.beginForm("chart")
        chart(canvas)
        canvas.endForm()
        canvas.saveState()
        canvas.translate(100, -20)
        canvas.scale(0.5, 0.5)
        canvas.doForm("chart")
        canvas.restoreState()

    (box,) = page(draw).drawings
    assert share(box, (256, 276, 344, 364)) > 0.99


def test_the_sides_of_a_frame_that_are_cut_askew_at_its_corners_are_rules() -> None:
    def draw(canvas: Canvas) -> None:
        left, low, right, high, thick = 20, 40, 120, 70, 1
        outer = [(left, low), (right, low), (right, high), (left, high)]
        inner = [(left + thick, low + thick), (right - thick, low + thick), (right - thick, high - thick),
                 (left + thick, high - thick)]
        for k in range(4):
            path = canvas.beginPath()
            path.moveTo(*outer[k])
            for corner in (outer[(k + 1) % 4], inner[(k + 1) % 4], inner[k]):
                path.lineTo(*corner)
            path.close()
            canvas.drawPath(path, stroke=0, fill=1)

    rules = page(draw).rules
    assert sum(rule[0] == rule[2] for rule in rules) == sum(rule[1] == rule[3] for rule in rules) == 2


def test_slanted_bars_are_no_rules() -> None:
    def draw(canvas: Canvas) -> None:
        path = canvas.beginPath()
        path.moveTo(20, 40)
        for corner in ((120, 46), (120, 47), (20, 41)):
            path.lineTo(*corner)
        path.close()
        canvas.drawPath(path, stroke=0, fill=1)

    assert page(draw).rules == []
