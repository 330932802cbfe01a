"""A strip of another colour at one side of a page is read by itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

import microfiche
from microfiche.documents.layout.sidebars import sidebar
from microfiche.documents.text_lines import TextLine

SKILLS = ("Skills", "Welding and cutting", "Drawing by hand", "Reading of plans")
JOBS = (("Foreman, Aceros", "2019 - 2024"), ("Welder, Talleres", "2012 - 2019"), ("Apprentice, Puerto", "2009 - 2012"))


def vitae(path: Path, left: bool, shade: float) -> str:
    """A CV with a coloured sidebar, whose rows stand between those of the body."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(420, 600))
    canvas.setFillGray(shade)
    canvas.rect(0 if left else 290, 0, 130, 600, stroke=0, fill=1)
    canvas.setFillGray(1 if shade < 0.5 else 0)
    canvas.setFont("Helvetica", 9)
    for i, text in enumerate(SKILLS):
        canvas.drawString(12 if left else 300, 540 - 21 * i, text)
    canvas.setFillGray(0)
    for i, (what, when) in enumerate(JOBS):
        canvas.drawString(150 if left else 20, 545 - 26 * i, what)
        canvas.drawRightString(405 if left else 275, 545 - 26 * i, when)
    canvas.drawString(150 if left else 20, 440, "He speaks Spanish and some English, and plays the lute.")
    canvas.save()
    path.write_bytes(file.getvalue())
    return str(path)


@pytest.mark.parametrize("shade", [0.2, 0.85])
@pytest.mark.parametrize("left", [True, False])
def test_a_sidebar_is_read_by_itself(tmp_path: Path, left: bool, shade: float) -> None:
    text = microfiche.read(vitae(tmp_path / "cv.pdf", left, shade)).plain()
    order = [text.index(part) for part in (*SKILLS, *(word for job in JOBS for word in job))]
    skills, jobs = order[: len(SKILLS)], order[len(SKILLS) :]
    assert skills == sorted(skills) and jobs == sorted(jobs)
    assert max(skills) < min(jobs) if left else max(jobs) < min(skills)


def page(first: int, last: int, shade: int = 200) -> Image.Image:
    picture = np.full((1200, 800, 3), 255, np.uint8)
    picture[:, first:last] = shade
    return Image.fromarray(picture)


def lines(left: float, right: float, step: float, count: int = 6) -> list[TextLine]:
    return [TextLine("words on a line", (left, 100 + step * i, right, 114 + step * i), 14) for i in range(count)]


def test_a_shaded_column_of_a_table_is_no_sidebar() -> None:
    assert sidebar(page(0, 240), [*lines(20, 200, 40), *lines(280, 700, 40)], []) is None
    assert sidebar(page(0, 240), [*lines(20, 200, 40), *lines(280, 700, 27)], []) == (0, 0, 240, 1200)


def test_a_strip_with_heads_whose_ground_goes_on_below_is_a_sidebar_though_its_lines_are_level() -> None:
    head = TextLine("Contact", (20, 60, 120, 80), 20)
    beside = [head, *lines(20, 200, 40), *lines(280, 700, 40)]
    assert sidebar(page(0, 240), beside, []) == (0, 0, 240, 1200)
    full = [*beside, *(TextLine("words", (x, 1160, x + 80, 1174), 14) for x in (20, 280))]
    assert sidebar(page(0, 240), full, []) is None


def test_what_leads_across_its_edge_says_that_it_is_none() -> None:
    apart = [*lines(20, 200, 40), *lines(280, 700, 27)]
    assert sidebar(page(0, 240), [*apart, *lines(20, 700, 90)], []) is None
    assert sidebar(page(0, 240), apart, [(10, 300, 700, 300)]) is None
    assert sidebar(page(0, 240), apart, [(10, 300, 200, 300)]) is not None


@pytest.mark.parametrize(("first", "last"), [(0, 40), (0, 700), (300, 500), (0, 0)])
def test_strips_that_are_narrow_wide_or_in_the_middle_are_none(first: int, last: int) -> None:
    assert sidebar(page(first, last), [*lines(20, 200, 40), *lines(280, 700, 27)], []) is None


@pytest.mark.parametrize("own", [
    ["12 Rose Lane", "York YO1 7HB", "England"],
    ["anna@example.org", "07700 900 123", "example.org/anna"],
    ["Dutch – native", "English – fluent", "Latin – a little"],
    ["Length: 23 miles", "Stations: 7"],
])  # fmt: skip
def test_short_lines_of_a_sidebar_stand_as_lines(tmp_path: Path, own: list[str]) -> None:
    canvas = Canvas(str(tmp_path / "cv.pdf"), pagesize=(420, 600))
    canvas.setFillGray(0.85)
    canvas.rect(0, 0, 130, 600, stroke=0, fill=1)
    canvas.setFillGray(0)
    for size, x, texts in ((9, 12, own), (9, 150, ["He speaks Spanish and some English, and plays the lute,"] * 9)):
        canvas.setFont("Helvetica", size)
        for i, text in enumerate(texts):
            canvas.drawString(x, 540 - 11 * i, text)
    for i, text in enumerate(["I like to work with people", "who say what they think,", "and who laugh."]):
        canvas.drawString(12, 440 - 11 * i, text)
    canvas.save()
    text = microfiche.read(str(tmp_path / "cv.pdf")).markdown()
    assert "  \n".join(own) in text
    assert "I like to work with people who say what they think, and who laugh." in text
