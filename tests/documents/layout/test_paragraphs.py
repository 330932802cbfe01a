"""Where a paragraph ends, and which line ends stay."""

from __future__ import annotations

import pytest

from microfiche.documents.inline import BREAK
from microfiche.documents.layout.paragraphs import joined, paragraphs, pitch_of
from microfiche.documents.layout.rows import rows
from microfiche.documents.text_lines import TextLine

SIZE, PITCH, WIDTH = 20.0, 26.0, 600.0
FULL = "a line of running text that fills the whole of its column up to its end,"


def set_lines(*texts: str, x: float = 100, y: float = 100, pitch: float = PITCH, sure: float = 1.0) -> list[TextLine]:
    """Lines one below the other; those of FULL are as wide as the column, a space in front is an indent of 10 px."""
    found = []
    for i, text in enumerate(texts):
        words = text.lstrip(" ")
        left = x + 10 * (len(text) - len(words))
        right = x + WIDTH if len(words) >= 60 else left + 8.3 * len(words)
        found.append(TextLine(words, (left, y + pitch * i, right, y + pitch * i + 22), SIZE, confidence=sure))
    return found


def read(lines: list[TextLine], width: float = WIDTH) -> list[str]:
    """The paragraphs of one column."""
    return [p.text for p in paragraphs(rows(lines), (100, 100 + width, width), pitch_of(lines))]


def test_paragraphs_begin_with_an_indent() -> None:
    assert len(read(set_lines("  " + FULL, FULL, FULL, "  " + FULL, FULL, "  " + FULL, FULL))) == 3


def test_paragraphs_are_set_apart() -> None:
    lines = set_lines(FULL, FULL, FULL) + set_lines(FULL, FULL, y=100 + 3 * PITCH + 14)
    assert [len(text) // len(FULL) for text in read(lines)] == [3, 2]


def test_a_short_last_line_ends_a_paragraph() -> None:
    assert len(read(set_lines(FULL, "and so it ended.", FULL, FULL))) == 2


def test_lines_that_stand_far_apart_throughout_are_one_paragraph() -> None:
    assert len(read(set_lines(FULL, FULL, FULL, FULL, FULL, pitch=2 * PITCH))) == 1


def test_entries_whose_lines_hang_in_are_paragraphs() -> None:
    entry = (FULL, "   " + FULL, "   and its end.")
    assert len(read(set_lines(*entry, *entry, *entry))) == 3


@pytest.mark.parametrize(
    "lines",
    [
        ("Perrin & Sons", "12 Quay Street", "Hull HU1 2AB", "United Kingdom"),
        ("The lamp is lit, the sea is black,", "and no ship sails, none comes", "until the morning.", "So it ends."),
    ],
)
def test_line_ends_of_addresses_and_poems_stay(lines: tuple[str, ...]) -> None:
    assert read(set_lines(*lines)) == [BREAK.join(lines)]


def test_lines_that_end_at_one_right_edge_alone_stay_lines() -> None:
    texts = ("Perrin & Sons", "Quay Street 12", "Hull", "01482 496 000")
    lines = [
        TextLine(text, (700 - 8.3 * len(text), 100 + PITCH * i, 700, 122 + PITCH * i), SIZE)
        for i, text in enumerate(texts)
    ]
    assert read(lines) == [BREAK.join(texts)]


def test_lines_beside_a_picture_are_running_text() -> None:
    beside = "an egg fell from a high wall yes\u00ad", "terday and was smashed to pieces by", "the fall, and the"
    assert BREAK not in read(set_lines(*beside, FULL, FULL))[0]


def test_a_greeting_stands_alone() -> None:
    assert read(set_lines("Dear Ms Jones,", FULL, FULL))[0] == "Dear Ms Jones,"


def test_who_speaks_begins_a_paragraph() -> None:
    lines = set_lines("Q: " + FULL, "is that so?", "A: " + FULL, FULL, "Q: " + FULL, "A: It is.")
    assert [text[:2] for text in read(lines)] == ["Q:", "A:", "Q:", "A:"]


def test_text_from_right_to_left_is_indented_from_the_right() -> None:
    words = "המגדלור עמד על הסלע מעל הים והאיר בכל לילה לאניות שעברו במפרץ הצר והעמוק"
    lefts = [(100, 670), (100, 700), (100, 700), (100, 670), (100, 700)]
    lines = [TextLine(words, (x, 100 + PITCH * i, end, 122 + PITCH * i), SIZE) for i, (x, end) in enumerate(lefts)]
    assert len(read(lines)) == 2


def test_a_hyphen_at_a_line_end_divides_a_word_or_stays() -> None:
    assert joined(["the micro-", "scope"]) == "the micro\u00adscope"
    assert joined(["the micro\u00ad", "scope"]) == "the micro\u00adscope"
    assert joined(["from 1999-", "2004"]) == "from 1999-2004"
    assert joined(["of Jean-", "Paul"]) == "of Jean-Paul"
    assert joined(["微缩胶片把", "文字存成图像"]) == "微缩胶片把文字存成图像"
    assert joined(["one", "two", "three"], [True, False]) == f"one{BREAK}two three"


def test_recognised_lines_stand_less_evenly() -> None:
    lines = set_lines(*[FULL] * 6, sure=0.95)
    uneven = [
        TextLine(x.text, (x.box[0], x.box[1] + d, x.box[2], x.box[3] + d), SIZE * s, confidence=0.95)
        for x, d, s in zip(lines, (0, 3, -2, 2, -1, 3), (1, 1.08, 0.95, 1.1, 1, 0.97), strict=True)
    ]
    assert len(read(uneven)) == 1


def test_a_full_line_far_above_the_next_ends_a_paragraph_though_such_steps_are_many() -> None:
    lines, y = [], 100.0
    for count in (1, 1, 2, 1, 1, 1, 2, 1):
        for k in range(count):
            ends = k == count - 1
            text = (FULL[:-1] + "." if ends else FULL) if k == 0 else "and so it ended."
            lines += set_lines(text.capitalize() if k == 0 else text, y=y)
            y += PITCH if not ends else 1.6 * PITCH
    assert len(read(lines)) == 8


def test_a_line_with_an_index_stands_farther_below_and_parts_no_paragraph() -> None:
    """In a column whose captions are set more tightly than its text."""
    captions = set_lines(FULL, FULL, FULL, FULL, FULL, FULL, pitch=21)
    text = set_lines(FULL, FULL, y=300, pitch=24) + set_lines(FULL, y=350.5) + set_lines("and so it ended.", y=378)
    assert read(captions + text)[-1].endswith("its end, and so it ended.")
