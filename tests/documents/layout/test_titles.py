"""What is a title on a page, and what is not, whether its type is known or recognised."""

from __future__ import annotations

import random

import pytest
from PIL import Image, ImageDraw

from microfiche.documents.layout.blocks import blocks, needs_regions
from microfiche.documents.layout.panels import figures
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

SIZE, PITCH = 20.0, 25.0
PAGE = Image.new("RGB", (1000, 1400), "white")
PROSE = "The keeper wrote down the weather every morning and every evening after the lamp"


def line(text: str, y: float, size: float = SIZE, x: float = 100, **options: object) -> TextLine:
    """A line of type whose letters are half as wide as it is high."""
    width = 800 if text == PROSE else 0.5 * size * len(text)
    return TextLine(text, (x, y, x + width, y + 1.1 * size), size, **options)  # type: ignore[arg-type]


def prose(y: float, count: int = 4, **options: object) -> list[TextLine]:
    """A paragraph."""
    return [line(PROSE, y + PITCH * i, **options) for i in range(count)] + [  # type: ignore[arg-type]
        line("was lit, and went to bed.", y + PITCH * count, **options)  # type: ignore[arg-type]
    ]


def titles(lines: list[TextLine], regions: list[Region] | None = None) -> list[str]:
    """The titles that are found."""
    return [block.text for block in blocks(lines, regions or [], PAGE) if block.kind == "title"]


@pytest.mark.parametrize(
    "head",
    [
        line("The weather", 250, 30.0),
        line("The weather", 250, 24.0),
        line("The weather", 250, bold=True),
        line("THE WEATHER OF THE COAST", 250),
        line("2.1 The weather", 250),
        line("Chapter 3", 250),
        line("The weather", 250),
        line("Who was it?", 250, bold=True),
        line("第三章 天气", 250, 26.0),
        line("Invoice FT 2023/00418", 240, 46.0, bold=True),
        line("Bassani & Sons S.n.c.", 240, 34.0, bold=True),
    ],
)
def test_what_stands_off_from_the_text_is_a_title(head: TextLine) -> None:
    lines = [*prose(60), head, *prose(290), *prose(450)]
    assert titles(lines) == [head.text]


@pytest.mark.parametrize(
    "other",
    [
        line("A sentence in larger type.", 250, 26.0),
        line("Yours sincerely,", 250),
        line("Figure 3: The weather", 250, bold=True),
        line("14 March 2021", 250),
        line("4711", 250, 30.0),
        line("448.35 EUR", 250, 30.0),
        line("keeper@example.org", 250, bold=True),
        line("E = mc2", 250),
        line("Serves 4 · 30 minutes", 250),
        line("Serves 4 | 30 minutes", 250),
        line("and so on", 250, 22.0),
        line("1. not a list? ok", 250),
        line("The weather of the coast ........ 12", 250, bold=True),
    ],
)
def test_sentences_captions_dates_and_numbers_are_no_titles(other: TextLine) -> None:
    assert titles([*prose(60), other, *prose(290), *prose(450)]) == []


def test_what_leads_into_an_article_is_none() -> None:
    words = "A lead in larger type tells what the article is about and who wrote"
    lead = [line(f"{words} {k}", 120 + 32 * k, 25.0) for k in range(3)]
    head = line("The article", 60, 44.0)
    assert titles([head, *lead, *prose(260), *prose(420)]) == ["The article"]


def test_labels_with_their_values_are_none() -> None:
    rows = [x for k in range(4) for x in (line("Name:", 100 + 40 * k, bold=True), line("Okafor", 100 + 40 * k, x=300))]
    assert titles([*rows, *prose(400)]) == []


def test_bold_text_throughout_is_none() -> None:
    middle = line("the weather of the coast", 250, bold=True)
    assert titles([*prose(60, bold=True), middle, *prose(290, bold=True)]) == []


def test_a_title_over_two_lines_is_one() -> None:
    head = [line("The weather of the coast in the", 240, 36.0), line("years of the old lamp", 282, 36.0)]
    assert titles([*prose(60), *head, *prose(350)]) == ["The weather of the coast in the years of the old lamp"]


def test_who_wrote_it_stands_below_the_title_and_is_none() -> None:
    author = line("Ada Petersen", 130, 24.0, x=430)
    assert titles([line("The weather", 60, 36.0, x=400), author, *prose(220)]) == ["The weather"]


@pytest.mark.parametrize("seed", range(5))
def test_sizes_of_recognised_lines_are_taken_with_tolerance(seed: int) -> None:
    chance = random.Random(seed)
    lines = [line("The weather", 60, 31.0), *prose(110), *prose(270), line("The lamp", 430, 27.0), *prose(480)]
    seen = [
        TextLine(x.text, x.box, x.size * chance.uniform(0.93, 1.07), confidence=0.95) for x in lines
    ]
    assert titles(seen) == ["The weather", "The lamp"]


def test_a_box_that_was_drawn_too_high_makes_no_title() -> None:
    seen = [TextLine(x.text, x.box, x.size, confidence=0.95) for x in [*prose(60), *prose(210)]]
    left, top, right, bottom = seen[7].box
    seen[7] = TextLine(seen[7].text, (left, top - 8, right, bottom + 8), 34.0, confidence=0.95)
    assert titles(seen) == []


def test_the_detector_counts_but_not_alone() -> None:
    head = line("The weather", 196)
    plain = [*prose(60), head, *prose(232)]
    region = Region("title", (95, 192, 300, 222), 0.9)
    assert titles(plain) == []
    assert titles(plain, [region]) == ["The weather"]
    sentence = line("It was lit at six.", 196)
    assert titles([*prose(60), sentence, *prose(232)], [region]) == []


def test_nothing_leaves_by_a_hint() -> None:
    lines = [line("Dear Ms Jones,", 40), *prose(110), line("4", 1350, x=480)]
    regions = [Region("header", (90, 30, 400, 70), 0.95), Region("footer", (400, 1340, 600, 1380), 0.95)]
    found = blocks(lines, regions, PAGE)
    assert [block.text for block in found][::2] == ["Dear Ms Jones,", "4"]
    assert {block.kind for block in found} == {"text"}


def test_footnotes_are_small_and_stand_at_the_foot() -> None:
    note = [line("1 See the second book, page 12, and what is", 1250, 15.0), line("written there.", 1270, 15.0)]
    found = blocks([*prose(60), *prose(220), *note], [], PAGE)
    assert [block.kind for block in found] == ["text", "text", "footnote"]
    higher = [line(x.text, x.box[1] - 300, x.size) for x in note]
    assert "footnote" not in {block.kind for block in blocks([*prose(60), *higher, *prose(1020)], [], PAGE)}


def test_a_caption_stands_beside_its_figure() -> None:
    picture = PAGE.copy()
    box: Box = (100, 300, 500, 600)
    ImageDraw.Draw(picture).ellipse(box, fill="black")
    caption = line("Figure 2 The lamp", 610)
    mention = line("Figure 2 shows the lamp.", 900)
    found = blocks([*prose(60), caption, *prose(700), mention, *prose(960)], [], picture, images=[box])
    assert [b.text for b in found if b.kind == "caption"] == ["Figure 2 The lamp"]


def test_the_detector_is_asked_for_formulas_alone() -> None:
    assert not needs_regions(prose(60), [], [], [])
    assert not needs_regions([*prose(60), line("a = b", 300, fixed=True, x=200)], [], [], [])
    assert needs_regions([*prose(60), line("α + x = ∑ y", 300, x=300)], [], [], [])
    assert not needs_regions([line("The set of all x = 1 stands here", 300, x=300), *prose(60)], [], [], [])


def test_drawings_are_figures_unless_text_stands_on_them() -> None:
    chart, sign, ground = (100.0, 600.0, 500.0, 900.0), (100.0, 100.0, 120.0, 120.0), (90.0, 50.0, 910.0, 400.0)
    lines = [*prose(60), *prose(220), line("1960", 880, x=200)]
    assert figures([chart, sign, ground], lines, (1000, 1400)) == [chart]
