"""Titles and pages of a table of contents without leaders are lines, and tables stay tables."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.contents import with_entries
from microfiche.documents.text_lines import TextLine

TITLES = ("Foreword", "The salt road", "Boats and their owners", "Widows and almshouses", "Index")
PAGES = ("ix", "1", "7", "19", "97")


def line(text: str, x: float, y: float) -> TextLine:
    return TextLine(text, (x, y, x + 10 * len(text), y + 22), 20.0)


def table(titles: tuple[str, ...], pages: tuple[str, ...], head: str = "", left: bool = False) -> list[TextLine]:
    """Titles at the left, and pages at the right in line with their right or `left` edges."""
    out = [line(head, 100, 40)] if head else []
    for k, (title, page) in enumerate(zip(titles, pages, strict=True)):
        out += [line(title, 100, 100 + 26 * k), line(page, 700 if left else 740 - 10 * len(page), 100 + 26 * k)]
    return out


@pytest.mark.parametrize("head", ["Contents", "TABLE OF CONTENTS", "Inhalt", "Sommaire", "目 次"])
@pytest.mark.parametrize("left", [True, False])
def test_titles_and_pages_under_a_head_are_lines(head: str, left: bool) -> None:
    made = blocks(table(TITLES, PAGES, head, left), [], Image.new("RGB", (800, 1000), "white"))
    text = "\n".join(block.text for block in made)
    assert "table" not in {block.kind for block in made}
    assert "  \n".join(f"{title} … {page}" for title, page in zip(TITLES, PAGES, strict=True)) in text


def test_numbered_parts_need_no_head() -> None:
    titles = ("1 Scope", "1.1 Terms", "1.2 Symbols", "2 Method", "2.1 Samples")
    found = with_entries(table(titles, ("3", "3", "4", "6", "12")))
    assert [x.text for x in found][-1] == "2.1 Samples … 12"


def test_dots_that_lead_to_some_pages_stay_as_they_are() -> None:
    titles, pages = ("1 Scope", "1.1 Terms . . . . . . .", "1.2 Symbols . . . . .", "2 Method"), ("3", "3", "4", "6")
    assert [x.text for x in with_entries(table(titles, pages))] == [
        "1 Scope … 3", "1.1 Terms . . . . . . . 3", "1.2 Symbols . . . . . 4", "2 Method … 6",
    ]


def test_other_rows_stay_rows() -> None:
    apples = ("Apples", "Pears", "Plums", "Quinces", "Walnuts")
    for lines in (
        table(apples, ("1", "4", "7", "19", "97")),  # nothing says that these are pages
        table(apples, ("4", "1", "7", "19", "97"), "Contents"),
        table(apples, ("1.5", "4.0", "7.2", "9.1", "97"), "Contents"),
    ):
        assert with_entries(lines) == lines


def test_no_upright_rule_stands_between_a_title_and_its_page() -> None:
    lines = table(TITLES, PAGES, "Contents")
    assert with_entries(lines, [(600, 90, 600, 240)]) == lines
