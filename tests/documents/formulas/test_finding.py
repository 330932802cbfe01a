"""Formulas of a text layer become LaTeX at their place; ordinary text never does."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import pytest
from makers import drawn, sheets
from matplotlib.figure import Figure
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

import microfiche
from microfiche.documents.inline import FORMULA, unmarked
from microfiche.documents.text_layer.layer_lines import lines_of

PROSE = "The growth of the region depends on many small decisions that nobody wrote down at the time."
FOLDER = matplotlib.get_data_path() + "/fonts/ttf"
for name, file in (("Letters", "STIXGeneralItalic"), ("Upright", "STIXGeneral"), ("Signs", "DejaVuSans")):
    pdfmetrics.registerFont(TTFont(name, f"{FOLDER}/{file}.ttf"))


def pdf(lines: Sequence[tuple[float, str]], fonts: str = "stix") -> bytes:
    """Lines of text with formulas between dollars, each at its distance from the left edge, in inches."""
    settings = {"mathtext.fontset": fonts, "pdf.fonttype": 42, "font.family": "DejaVu Serif", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(8.5, 0.6 * len(lines) + 1))
        for k, (left, line) in enumerate(lines):
            figure.text(left / 8.5, 1 - (0.6 * k + 0.6) / (0.6 * len(lines) + 1), line, fontsize=10)
        file = io.BytesIO()
        figure.savefig(file, format="pdf")
    return file.getvalue()


def markdown(lines: Sequence[tuple[float, str]], fonts: str = "stix") -> str:
    return microfiche.read(pdf(lines, fonts), engine="text").markdown()


DISPLAYED = (
    (r"E = mc^2", r"E = mc^2"),
    (r"\frac{a+b}{2} \geq \sqrt{ab}", r"\frac{a + b}{2} \geq \sqrt{ab}"),
    (r"\sum_{k=1}^{n} k = \frac{n(n+1)}{2}", r"\sum_{k=1}^nk = \frac{n(n + 1)}{2}"),
    (r"f(x) = \frac{1}{1+e^{-x}}", r"f(x) = \frac{1}{1 + e^{-x}}"),
    (r"\lim_{x \to 0} \frac{\sin x}{x} = 1", r"\lim_{x\to0}\frac{\sin x}{x} = 1"),
    (r"\sqrt[3]{x^3 + y^3} = z_{n-1}^2", r"\sqrt[3]{x^3 + y^3} = z_{n-1}^2"),
    (r"\int_0^\infty e^{-x^2} dx \neq 0", r"\int_0^{\infty}e^{-x^2}dx \neq 0"),
    (r"\frac{1}{1 + \frac{a}{b}} < c", r"\frac{1}{1 + \frac{a}{b}} < c"),
    (r"\nabla \times \mathbf{B} = 0", r"\nabla \times \mathbf{B} = 0"),
    (r"x \in \mathbb{R}^n \subset X", r"x \in \mathbb{R}^n \subset X"),
)


@pytest.mark.parametrize("fonts", ["cm", "stix", "dejavuserif"])
def test_displayed_formulas_are_latex(fonts: str) -> None:
    lines = [line for shown, _ in DISPLAYED for line in ((0.5, PROSE), (3.5, f"${shown}$"))]
    document = microfiche.read(pdf([*lines, (0.5, PROSE)], fonts), engine="text")
    (page,) = document.pages
    assert page.status == "ok"
    shown = [block.text for block in page.blocks if block.kind == "formula"]
    assert shown == [f"${latex}$" for _, latex in DISPLAYED]
    blocks = document.markdown().strip().split("\n\n")
    assert blocks == [text for _, latex in DISPLAYED for text in (PROSE, f"$${latex}$$")] + [PROSE]
    assert r"\frac{a + b}{2}" in document.plain()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (r"Let $x_i^2$ be less than $\alpha + 1$, as before.", r"Let $x_i^2$ be less than $\alpha + 1$, as before."),
        (r"Here $f(x) = \frac{1}{2}$ (see there).", r"Here $f(x) = \frac{1}{2}$ (see there)."),
        (r"The set $A \subset B$, closed, and $2^n > n$; so", r"The set $A \subset B$, closed, and $2^n > n$; so"),
        (r"For $x \geq 0$: the root $\sqrt{2}$ is", r"For $x \geq 0$: the root $\sqrt{2}$ is"),
        (r"where $\sin x \leq 1$ for all of them", r"where $\sin x \leq 1$ for all of them"),
    ],
)
def test_formulas_within_a_line_stand_at_their_place(line: str, said: str) -> None:
    assert said in markdown([(0.5, PROSE), (0.5, line), (0.5, PROSE)])


def test_a_formula_has_its_number_and_words() -> None:
    text = markdown([(0.5, PROSE), (3.0, "$a + b = c$"), (0.5, PROSE)])
    assert "$$a + b = c$$" in text

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Upright", 12)
        canvas.drawString(20, 170, "Running text that is as wide as its column and ends at its very edge.")
        canvas.drawString(20, 50, "Running text that is as wide as its column and ends at its very edge.")
        x = 150.0
        words = ("Letters", "x"), ("Upright", " = 2 if "), ("Letters", "y"), ("Signs", " ≤ "), ("Upright", "3")
        for face, word in words:
            canvas.setFont(face, 12)
            canvas.drawString(x, 110, word)
            x += canvas.stringWidth(word, face, 12)
        canvas.drawString(350, 110, "(4.1)")

    (formula,) = [line for line in lines_of(drawn(draw, (400, 200))) if line.displayed]
    assert unmarked(formula.text) == r"x = 2\text{ if }y \leq 3 \tag{4.1}"


def tall(canvas: Canvas, pieces: str, x: float, top: float, high: float) -> None:
    """A large bracket of two or three pieces."""
    canvas.setFont("Signs", 12)
    places = [top - high * k / (len(pieces) - 1) for k in range(len(pieces))]
    for piece, y in zip(pieces, places, strict=True):
        canvas.drawString(x, y, piece)


def test_matrices_and_cases() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Letters", 12)
        canvas.drawString(60, 100, "A")
        canvas.setFont("Upright", 12)
        canvas.drawString(75, 100, "=")
        tall(canvas, "⎛⎝", 90, 107, 14)
        tall(canvas, "⎞⎠", 140, 107, 14)
        for k, row in enumerate(("ab", "cd")):
            canvas.setFont("Letters", 12)
            canvas.drawString(102, 108 - 17 * k, row[0])
            canvas.drawString(127, 108 - 17 * k, row[1])
        canvas.drawString(230, 100, "f")
        canvas.setFont("Upright", 12)
        canvas.drawString(240, 100, "=")
        tall(canvas, "⎧⎨⎩", 252, 113, 26)
        canvas.drawString(266, 110, "1")
        canvas.drawString(290, 110, "if")
        canvas.drawString(266, 88, "0")
        canvas.drawString(290, 88, "otherwise")
        canvas.setFont("Letters", 12)
        canvas.drawString(304, 110, "x")
        canvas.setFont("Upright", 12)
        canvas.drawString(313, 110, "> 2")

    said = " ".join(unmarked(line.text) for line in lines_of(drawn(draw, (400, 200))))
    assert r"A = \begin{pmatrix} a & b \\ c & d \end{pmatrix}" in said
    assert r"f = \begin{cases} 1 & \text{if }x > 2 \\ 0 & \text{otherwise} \end{cases}" in said


def test_two_columns_keep_their_formulas() -> None:
    def draw(canvas: Canvas) -> None:
        for k, left in enumerate((20, 215)):
            for line in range(4):
                canvas.setFont("Upright", 9)
                canvas.drawString(left, 180 - 11 * line, "Running text of a narrow column without end, and")
            canvas.setFont("Letters", 9)
            canvas.drawString(left + 60, 120, "uv"[k])
            canvas.setFont("Upright", 9)
            canvas.drawString(left + 70, 120, "= 1")
            for line in range(4):
                canvas.drawString(left, 95 - 11 * line, "Running text of a narrow column without end, and")

    shown = [unmarked(line.text) for line in lines_of(drawn(draw, (410, 200))) if line.displayed]
    assert shown == ["u = 1", "v = 1"]


@pytest.mark.parametrize(
    "pieces",
    [
        [("Upright", "3.2 x 10", 12, 0), ("Upright", "6", 8, 4), ("Upright", " cells", 12, 0)],
        [("Upright", "in 5 m", 12, 0), ("Upright", "2", 8, 4), ("Upright", " of H", 12, 0), ("Upright", "2", 8, -2)],
        [("Upright", "as he said", 12, 0), ("Upright", "12", 8, 4), ("Upright", " 2", 12, 0), ("Upright", "nd", 8, 4)],
        [("Upright", "between 2010 and 2012 = 3 years, 5 + 2 of 7 (p < 0.05)", 12, 0)],
        [("Letters", "a word of emphasis, and/or i.e. two", 12, 0), ("Upright", " A/B x-axis - I/O", 12, 0)],
        [("Upright", "• an item − of a list → with arrows ≥ and 10 °C, 20 %", 12, 0)],
        [("Upright", "Ἐν ἀρχῇ ἦν ὁ λόγος, α or β in Greek", 12, 0)],
        [("Upright", "C++ costs $5 or €6 & more: <tag> {x} [y] f(x) #1_2^3", 12, 0)],
    ],
)
def test_ordinary_text_is_no_formula(pieces: Sequence[tuple[str, str, float, float]]) -> None:
    def draw(canvas: Canvas) -> None:
        x = 20.0
        for face, text, size, rise in pieces:
            canvas.setFont(face, size)
            canvas.drawString(x, 60 + rise, text)
            x += canvas.stringWidth(text, face, size)

    lines = lines_of(drawn(draw, (500, 120)))
    assert lines and not any(FORMULA[0] in line.text or line.displayed for line in lines)


def test_a_table_between_rules_has_no_fractions() -> None:
    def draw(canvas: Canvas) -> None:
        for k, row in enumerate((("Name", "Age"), ("Anna", "31"), ("Ben", "42"))):
            canvas.setFont("Upright", 12)
            canvas.drawString(60, 150 - 20 * k, row[0])
            canvas.drawString(160, 150 - 20 * k, row[1])
            canvas.line(50, 145 - 20 * k, 200, 145 - 20 * k)

    assert not any(FORMULA[0] in line.text for line in lines_of(drawn(draw, (300, 200))))


def test_a_sign_that_nobody_can_name_leaves_the_text_as_it_is() -> None:
    (sheet,) = sheets(pdf([(0.5, PROSE), (3.5, r"$\mathcal{Q} = a + b$"), (0.5, PROSE)]))
    lines = lines_of(sheet)
    assert not any(line.displayed for line in lines) and any("\ufffd" in line.text for line in lines)


def test_a_hostile_page_costs_little_and_keeps_its_text() -> None:
    def tower(canvas: Canvas) -> None:
        x, y, size = 20.0, 20.0, 40.0
        for _ in range(200):
            canvas.setFont("Letters", size)
            canvas.drawString(x, y, "x")
            x, y, size = x + 0.45 * size, y + 0.4 * size, 0.9 * size
        canvas.setFont("Upright", 10)
        canvas.drawString(20, 180, "a = b")

    def rows(canvas: Canvas) -> None:
        canvas.setFont("Letters", 2)
        for line in range(40):
            canvas.drawString(20, 20 + 3 * line, " = ".join("abcdefghij" * 8))
            canvas.line(20, 22 + 3 * line, 380, 22 + 3 * line)

    for draw in (tower, rows):
        lines = lines_of(drawn(draw, (400, 200)))
        assert lines and any("a" in line.text for line in lines)
