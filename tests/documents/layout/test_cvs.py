"""CVs: heads over rules, and places and dates at the right edge, which belong to what stands to their left."""

from __future__ import annotations

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.rows import rows
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box


@pytest.mark.parametrize("detected", [False, True])
@pytest.mark.parametrize("sure", [1.0, 0.97])
def test_a_cv_whose_parts_have_heads_over_rules_is_read_row_by_row(sure: float, detected: bool) -> None:
    def line(text: str, y: float, right: float | None = None, size: float = 20) -> TextLine:
        width = 0.45 * size * len(text)
        left = 100.0 if right is None else right - width
        return TextLine(text, (left, y, left + width, y + 1.05 * size), size, confidence=sure)

    posts = {
        "EDUCATION": [("University of Leeds", "Leeds, UK"), ("MSc Civil Engineering", "2016 – June 2018"),
                      ("Uppsala University", "Uppsala, Sweden"), ("BSc Physics", "2013 – 2016")],
        "EXPERIENCE": [("Harbour Works Ltd.", "Hull, UK"), ("Senior engineer", "July 2020 – Present")],
        "AWARDS": [("Young Engineer of the Year", "2021"), ("Prize for the best thesis", "2018")],
    }  # fmt: skip
    lines, y = [line("Anna Berg", 60, size=34)], 150.0
    rules: list[Box] = []
    expected: list[str] = []
    for head, rows_ in posts.items():
        lines.append(line(head, y))
        rules.append((100.0, y + 26, 1000.0, y + 26))
        for k, (text, place) in enumerate(rows_):
            lines += [line(text, y + 40 + 27 * k), line(place, y + 40 + 27 * k, 1000.0)]
        expected += [head, *(f"{a} {b}" for a, b in rows_)]
        y += 80 + 27 * len(rows_)
    regions = [Region("table", (90.0, 140.0, 1010.0, y), 0.9)] if detected else []
    found = blocks(lines, regions, Image.new("RGB", (1100, 1400), "white"), rules)
    assert [block.text for block in found if block.kind == "title"] == ["Anna Berg", *posts]
    assert " ".join(block.plain() for block in found[1:]).split() == " ".join(expected).split()


def test_labels_before_an_upright_rule_are_read_with_what_is_said_of_them() -> None:
    said = (("Period", "2001–2007"), ("Employer", "Harbour of Vienne, Town/Country"), ("Kind of work", "Ferryman"),
            ("Main responsibilities", "The ship and all who went over"), ("Grade", "Captain"))  # fmt: skip
    lines = [TextLine("JOBS", (180, 100, 250, 124), 23.0)]
    for k, (label, text) in enumerate(said):
        y = 150 + 27.0 * k
        lines += [TextLine(label, (180, y, 180 + 10 * len(label), y + 21), 21.0),
                  TextLine(text, (500, y, 500 + 10 * len(text), y + 21), 21.0)]
    for rules in ([(485.0, 90.0 + 50 * k, 485.0, 140.0 + 50 * k) for k in range(5)], [(485.0, 90.0, 485.0, 340.0)]):
        shown = "\n".join(block.text for block in blocks(lines, [], Image.new("RGB", (1200, 1600), "white"), rules))
        assert all(f"{label} {text}" in shown for label, text in said)


def test_dates_and_places_far_to_the_right_are_read_with_their_entries() -> None:
    entries = (("School of Bridges", "Vienne"), ("Degree in stone", "in May"), ("With all honours", ""),
               ("Degree in iron", "in June"), ("Works of Lyon", "Lyon"), ("Twelve sites of flats", ""),
               ("Manager", "Nice"), ("Of time and money", "since May"))  # fmt: skip
    lines = [
        TextLine(text, (x, 100 + 27.0 * k, x + 10 * len(text), 121 + 27.0 * k), 21.0)
        for k, entry in enumerate(entries) for text, x in zip(entry, (160.0, 960.0), strict=True) if text
    ]
    assert [row.line.text for row in rows(lines)] == [" ".join(entry).strip() for entry in entries]
