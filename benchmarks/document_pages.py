"""Pages of many kinds written with held-out text: papers, newspapers, magazines, reports, forms, exams, slides."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from document_sheets import Block, Cell, Part, Sheet

from microfiche.training.corpus import documents, held_out

SIGNS = re.compile(r"[\w\s.,;:!?'\"()‘’“”–—%&/-]+")
FORMULAS = (
    r"E = mc^2", r"\frac{a+b}{2} \geq \sqrt{ab}", r"\sum_{k=1}^{n} k = \frac{n(n+1)}{2}", r"x^2 + y^2 = r^2",
    r"\alpha = \beta + \gamma_i^2", r"\int_0^1 x^2 dx = \frac{1}{3}", r"a_n = 2 a_{n-1} + 3",
    r"f(x) = \frac{1}{1+e^{-x}}", r"\sigma^2 = \frac{1}{n} \sum_{i=1}^{n} (x_i - \mu)^2",
    r"F = G \frac{m_1 m_2}{r^2}", r"P(A|B) = \frac{P(B|A) P(A)}{P(B)}",
)  # fmt: skip
CODE = (
    'def area(radius):\n    if radius < 0:\n        raise ValueError("negative")\n    return 3.14 * radius ** 2',
    "for name in sorted(names):\n    total += sizes[name]\n    if total > limit:\n        break\nprint(total)",
)


class Words:
    """Held-out text in pieces: paragraphs, sentences, headings and names, each given once."""

    def __init__(self, folder: Path, seed: int, name: str = "en-wiki") -> None:
        (file,) = folder.glob(f"{name}.txt*")
        texts = [text for text in documents(file) if held_out(text)]
        random.Random(seed).shuffle(texts)
        parts = (" ".join(p.split()) for text in texts for p in text.split("\n"))
        self._parts = iter(
            [
                p
                for p in parts
                if SIGNS.fullmatch(p)
                and len(p) > 120
                and "()" not in p
                and " ," not in p
                and max(p) < "\u2050"
                and not any("\u0250" < c < "\u2000" for c in p)
            ]
        )
        self.rng = random.Random(seed + 1)

    def text(self, low: int, high: int) -> str:
        """Whole sentences of about `low` to `high` characters."""
        for part in self._parts:
            found = ""
            for sentence in re.split(r"(?<=[a-z]{2}[.!?]) (?=[A-Z])", part):
                if found and len(found) + len(sentence) > high:
                    break
                found += (" " if found else "") + sentence
            if low <= len(found) <= high:
                return found
        raise SystemExit("the corpus is too small for this set")

    def lines(self, count: int, high: int = 110) -> list[str]:
        return [
            re.split(r"(?<=[a-z]{2}[.!?]) (?=[A-Z])", self.text(30, 400))[0][:high].rsplit(" ", 1)[0].rstrip(",;:")
            for _ in range(count)
        ]

    def heading(self, words: int = 4) -> str:
        found = [w for w in re.findall(r"[A-Za-z]{3,11}", self.text(60, 500)) if w.lower() not in ("the", "and", "was")]
        return " ".join(found[:words]).capitalize()

    def name(self) -> str:
        return " ".join(w.capitalize() for w in re.findall(r"[A-Za-z]{4,9}", self.text(60, 500))[1:3])


def title(text: str, level: int = 1) -> Block:
    return Block("title", text, level=level)


def table(words: Words, kind: str, style: str) -> list[Block]:
    """A table with its caption."""
    rng = words.rng
    number = lambda low=10, high=9999: f"{rng.randrange(low, high):,}"  # noqa: E731
    names = [words.heading(2) for _ in range(rng.randrange(4, 7))]
    if kind == "years":
        heads = ("Region", "2022", "2023", "2024")
        rows = [
            heads,
            *((n, number(), number(), rng.choice((number(), f"({number(10, 99)})", "—"))) for n in names),
            ("Total", number(10000, 99999), number(10000, 99999), number(10000, 99999)),
        ]
        cells = [tuple(map(Cell, row)) for row in rows]
    elif kind == "groups":
        first = (Cell("Account", rowspan=2), Cell("First half", colspan=2), Cell("Second half", colspan=2))
        cells = [
            first,
            tuple(map(Cell, ("Planned", "Actual", "Planned", "Actual"))),
            *(tuple(map(Cell, (n, number(), number(), number(), number()))) for n in names),
        ]
    elif kind == "heads":
        first = (Cell(""), Cell("Train", colspan=2), Cell("Test", colspan=2))
        cells = [
            first,
            tuple(map(Cell, ("Method", "Loss", "Score", "Loss", "Score"))),
            *(tuple(map(Cell, (n, *(f"{rng.random():.3f}" for _ in range(4))))) for n in names),
        ]
    elif kind == "down":
        cells = [tuple(map(Cell, ("Group", "Member", "Since")))]
        for k in range(2):
            cells.append((Cell(words.heading(1), rowspan=2), Cell(names[2 * k]), Cell(str(rng.randrange(1950, 2020)))))
            cells.append((Cell(names[2 * k + 1]), Cell(str(rng.randrange(1950, 2020)))))
    elif kind == "prose":
        cells = [tuple(map(Cell, ("Risk", "Measure", "Owner")))]
        cells += [tuple(map(Cell, (*words.lines(2, 90), words.name()))) for _ in range(3)]
    else:
        cells = [tuple(map(Cell, ("Name", "Count", "Share")))]
        cells += [tuple(map(Cell, (n, number(), f"{rng.random() * 100:.1f}%"))) for n in names]
    caption = f"Table {rng.randrange(1, 9)}: {words.heading(5)}"
    return [Block("table_caption", caption), Block("table", rows=tuple(cells), style=style)]


def formula(words: Words) -> Block:
    return Block("equation_isolated", latex=words.rng.choice(FORMULAS))


def listed(words: Words, count: int, style: str = "bullet", high: int = 110) -> Block:
    return Block("text_block", "\n".join(words.lines(count, high)), style=style)


def texts(words: Words, count: int, low: int = 200, high: int = 600) -> list[Block]:
    return [Block("text_block", words.text(low, high)) for _ in range(count)]


def noted(words: Words) -> Block:
    return Block("text_block", words.text(150, 400), note=words.lines(1)[0] + ".")


def paper(words: Words, name: str, columns: int, font: str = "") -> Sheet:
    first = Part(
        (
            title(words.heading(7)),
            Block("text_block", f"{words.name()}, {words.name()}", style="centre"),
            *([] if columns == 2 else [title("Abstract", 3)]),
            *texts(words, 1, 300, 700),
        )
    )
    body = [
        title(f"1 {words.heading(3)}", 2),
        *texts(words, 2),
        formula(words),
        *texts(words, 1),
        noted(words),
        title(f"2 {words.heading(3)}", 2),
        *texts(words, 1),
        *table(words, "heads", "three"),
        *texts(words, 1),
        title(f"2.1 {words.heading(3)}", 3),
        *texts(words, 2),
        formula(words),
        *texts(words, 4),
        title(f"3 {words.heading(3)}", 2),
        *texts(words, 8),
    ]
    options = "[10pt,twocolumn]{article}" if columns == 2 else "[11pt]{article}"
    return Sheet(
        name,
        "academic_literature",
        (first, Part(tuple(body), columns)),
        head=f"Journal of {words.heading(2)}",
        number=words.rng.randrange(2, 400),
        font=font,
        tex=options,
        margin=18 if columns == 2 else 25,
    )


def textbook(words: Words, name: str, font: str = "") -> Sheet:
    blocks = [
        title(f"4.2 {words.heading(3)}", 2),
        *texts(words, 1),
        formula(words),
        *texts(words, 1, 100, 300),
        formula(words),
        *texts(words, 1),
        title("Exercises", 2),
        listed(words, 4, "number"),
        *texts(words, 1),
        Block("code_txt", words.rng.choice(CODE)),
        *texts(words, 3),
        formula(words),
        *texts(words, 5),
    ]
    return Sheet(
        name,
        "colorful_textbook",
        (Part(tuple(blocks)),),
        head=f"Chapter 4. {words.heading(3)}",
        number=words.rng.randrange(20, 500),
        font=font,
        tex="[11pt]{article}",
        margin=28,
    )


def exam(words: Words, name: str) -> Sheet:
    blocks = [
        title(f"Examination in {words.heading(2)}"),
        Block("text_block", "Name: ____________________  Class: ________"),
    ]
    for k in range(1, 8):
        question = f"{k}. {words.lines(1)[0]}? ({words.rng.randrange(2, 9)} points)"
        blocks += [Block("text_block", question), listed(words, 4, "number", 60) if k % 2 else formula(words)]
    return Sheet(name, "exam_paper", (Part(tuple(blocks)),), number=1, tex="[11pt]{article}", margin=25)


def slides(words: Words, name: str, tex: bool) -> Sheet:
    blocks = [title(words.heading(4)), *texts(words, 1, 60, 120), listed(words, 4, "bullet", 60)]
    blocks += [formula(words)] if tex else table(words, "plain", "none")[1:]
    return Sheet(
        name,
        "PPT2PDF",
        (Part(tuple(blocks)),),
        foot=words.heading(3),
        number=words.rng.randrange(2, 40),
        font="Carlito",
        size=14,
        paper=(254, 143),
        margin=12,
        tex="{beamer}\\usetheme{default}" if tex else "",
    )


def magazine(words: Words, name: str, columns: int, font: str, heading: str) -> Sheet:
    first = Part((title(words.heading(5)), Block("text_block", words.text(100, 220), style="big")))
    body = [
        Block("text_block", words.text(250, 600), style="drop"),
        *texts(words, 3),
        title(words.heading(3), 2),
        *texts(words, 4),
        title(words.heading(4), 2),
        *texts(words, 12),
    ]
    return Sheet(
        name,
        "magazine",
        (first, Part(tuple(body), columns)),
        foot=f"{words.heading(2)} monthly",
        number=words.rng.randrange(4, 120),
        font=font,
        heading=heading,
        size=9.5,
        margin=16,
        gutter=5,
    )


def newspaper(words: Words, name: str, columns: tuple[int, ...], font: str, gutter: float) -> Sheet:
    parts = []
    for k, count in enumerate(columns):
        size = max(2, 5 - 2 * k)
        parts.append(Part((title(words.heading(6 - 2 * (k > 0)), 1 + (k > 0)),)))
        parts.append(Part((Block("text_block", f"By {words.name()}"), *texts(words, 2 * size, 300, 700)), count))
    return Sheet(
        name,
        "newspaper",
        tuple(parts),
        head=f"The {words.heading(1)} Herald, Monday 4 May 1998",
        number=3,
        font=font,
        heading="Liberation Sans" if "Serif" in font else font,
        size=8,
        margin=12,
        gutter=gutter,
    )


def notes(words: Words, name: str, font: str) -> Sheet:
    blocks = [
        title(words.heading(3)),
        listed(words, 4, "bullet", 70),
        *texts(words, 1, 100, 250),
        title(words.heading(2), 2),
        listed(words, 3, "number", 70),
        *texts(words, 2, 100, 300),
        title(words.heading(2), 2),
        listed(words, 3, "bullet", 60),
        *texts(words, 2, 100, 300),
    ]
    return Sheet(name, "note", (Part(tuple(blocks)),), font=font, size=13, justified=False)


def report(words: Words, name: str, kinds: tuple[tuple[str, str], ...], font: str) -> Sheet:
    blocks = [title(f"{words.heading(3)}", 2), *texts(words, 1)]
    for kind, style in kinds:
        blocks += [*table(words, kind, style), *texts(words, 1), title(words.heading(3), 3), *texts(words, 1, 150, 300)]
    return Sheet(
        name,
        "research_report",
        (Part(tuple(blocks)),),
        head=f"{words.name()} plc",
        foot="Annual report 2024",
        number=words.rng.randrange(5, 200),
        font=font,
        justified=words.rng.random() < 0.5,
    )


def form(words: Words, name: str, kind: str, font: str) -> Sheet:
    rng = words.rng
    if kind == "invoice":
        pairs = [
            ("Invoice number", f"INV-{rng.randrange(100, 9999):04d}"),
            ("Invoice date", "3 March 2024"),
            ("Due date", "2 April 2024"),
            ("Customer", f"{words.name()} Ltd"),
        ]
        rows = [("Description", "Qty", "Unit", "Amount")]
        for _ in range(5):
            count, unit = rng.randrange(1, 9), rng.randrange(100, 9000)
            rows.append((words.heading(3), str(count), f"{unit / 100:.2f}", f"{count * unit / 100:,.2f}"))
        blocks = [
            title("Invoice"),
            *(Block("text_block", f"{k}:\t{v}", style="form") for k, v in pairs),
            Block("table", rows=tuple(tuple(map(Cell, row)) for row in rows), style=rng.choice(("none", "lines"))),
            Block("text_block", "Please pay without deduction within thirty days."),
        ]
    elif kind == "cv":
        blocks = [
            title(words.name()),
            Block("text_block", "14 Harbour Street, 2300 Leiden, name@example.org", style="centre"),
        ]
        for section in ("Experience", "Education", "Skills"):
            blocks.append(title(section, 2))
            blocks += [
                Block("text_block", f"{(y := rng.randrange(1985, 2015))}–{y + 4}\t{words.heading(5)}", style="form")
                for _ in range(3)
            ]
            blocks.append(listed(words, 2, "bullet", 80))
    else:
        fields = ("Family name", "Given names", "Date of birth", "Nationality", "Address", "Telephone", "Occupation")
        rows = [(field, words.name() if rng.random() < 0.7 else "") for field in fields]
        blocks = [
            title("Application for a permit"),
            *texts(words, 1, 100, 250),
            Block("table", rows=tuple(tuple(map(Cell, row)) for row in rows), style="grid"),
            Block("text_block", "☐ First application   ☒ Renewal"),
            *texts(words, 1, 100, 300),
        ]
    return Sheet(name, "form", (Part(tuple(blocks)),), number=1 if kind == "form" else 0, font=font, justified=False)


def sheets(words: Words, latex: bool) -> list[Sheet]:
    """The pages of one set."""
    made: list[Callable[[str], Sheet]] = [
        *(
            (lambda n, f=f: newspaper(words, n, *f))
            for f in (
                ((4, 4), "Liberation Serif", 4),
                ((5, 5, 5), "Liberation Serif", 3),
                ((6, 3), "Caladea", 3.5),
                ((3, 4), "Liberation Sans", 5),
            )
        ),
        *(
            (lambda n, f=f: magazine(words, n, *f))
            for f in (
                (3, "Liberation Serif", "Liberation Sans"),
                (2, "Carlito", "Carlito"),
                (3, "TeX Gyre Pagella", "TeX Gyre Adventor"),
            )
        ),
        *((lambda n, f=f: notes(words, n, f)) for f in ("Dancing Script", "Carlito")),
        *(
            (lambda n, f=f: report(words, n, *f))
            for f in (
                ((("years", "none"), ("groups", "grid")), "Liberation Sans"),
                ((("years", "shaded"), ("prose", "grid")), "Carlito"),
                ((("down", "grid"), ("plain", "lines")), "Liberation Serif"),
                ((("groups", "three"), ("years", "three")), "Caladea"),
            )
        ),
        *(
            (lambda n, f=f: form(words, n, *f))
            for f in (("invoice", "Liberation Sans"), ("cv", "Carlito"), ("form", "Liberation Serif"))
        ),
        lambda n: slides(words, n, False),
    ]
    if latex:
        made += [
            lambda n: paper(words, n, 2),
            lambda n: paper(words, n, 2, "Times"),
            lambda n: paper(words, n, 1, "Palatino"),
            lambda n: textbook(words, n),
            lambda n: textbook(words, n, "Palatino"),
            lambda n: exam(words, n),
            lambda n: slides(words, n, True),
        ]
    return [make(f"page{k:02d}") for k, make in enumerate(made)]
