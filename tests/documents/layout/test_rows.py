"""Pieces of one row are joined where they are read across, and stay apart where they are columns."""

from __future__ import annotations

import pytest

from microfiche.documents.layout.initials import with_capitals
from microfiche.documents.layout.rows import rows
from microfiche.documents.text_lines import Region, TextLine

SIZE, PITCH = 20.0, 25.0


def line(text: str, x: float, y: float, width: float | None = None, **options: object) -> TextLine:
    """A line whose letters are 10 px wide, if no `width` says otherwise."""
    return TextLine(text, (x, y, x + (10 * len(text) if width is None else width), y + 22), SIZE, **options)  # type: ignore[arg-type]


def table(pairs: list[tuple[str, str]], right: float, pitch: float = PITCH, y: float = 100) -> list[TextLine]:
    """Labels and what stands beside them."""
    lines = []
    for i, (label, value) in enumerate(pairs):
        lines += [line(label, 100, y + pitch * i), line(value, right, y + pitch * i)]
    return lines


def read(lines: list[TextLine]) -> list[str]:
    """The rows as they are read."""
    return [row.line.text for row in rows(lines)]


@pytest.mark.parametrize(
    ("pairs", "right"),
    [
        ([("Order:", "Blue paint"), ("Sent to:", "Perrin"), ("By:", "rail")], 260),
        ([("Order", "4711"), ("Sent", "3 May 2021"), ("Weight", "12.5 kg")], 500),
        ([("Monday 4", "Room 12"), ("Tuesday 5", "Room 3"), ("Friday 8", "Room 14")], 600),
        ([("2015–2019", "Head of stores"), ("2011–2015", "Clerk"), ("1999–2008", "School in Emden")], 300),
        ([("Languages", "Dutch, some Greek"), ("Tools", "lathe and plane"), ("Sports", "rowing")], 230),
    ],
)
def test_labels_are_read_with_their_values(pairs: list[tuple[str, str]], right: float) -> None:
    assert read(table(pairs, right)) == [f"{label} {value}" for label, value in pairs]


def test_two_addresses_beside_each_other_stay_apart() -> None:
    pairs = [("Bill to:", "Ship to:"), ("Perrin & Sons", "Harbour Office"), ("Quay Street", "West"), ("Hull", "York")]
    assert len(read(table(pairs, 600))) == 8


def test_addresses_with_postcodes_and_numbers_stay_apart() -> None:
    pairs = [("Quai Nord 12", "Monsieur"), ("44000 Nantes (FR)", "Atelier Kerbrat"), ("SIRET 412908775", "Rue Haute 3")]
    assert len(read([*table(pairs, 600), line("29200 Brest", 600, 100 + 3 * PITCH)])) == 7


@pytest.mark.parametrize("pairs", [
    [("Hans Muster", "Rosa Keller"), ("Bergweg 4", "Seestrasse 19"), ("8001 Bern", "3005 Thun")],
    [("Via Dante 14", "Spett.le"), ("37121 Verona", "Cantina Alta"), ("P.IVA 03917740", "Viale Roma 3")],
])  # fmt: skip
def test_addresses_with_numbers_stay_apart_however_far(pairs: list[tuple[str, str]]) -> None:
    for right in (400, 900):
        assert len(read(table(pairs, right))) == 6


def test_columns_of_running_text_stay_apart_though_their_lines_are_level() -> None:
    words = "and so the tale went on for many a year"
    lines = [line(words, x, 100 + PITCH * i, 380) for i in range(9) for x in (100, 490)]
    assert all(len(row.pieces) == 1 for row in rows(lines))


def test_a_year_is_read_with_the_first_of_the_lines_beside_it() -> None:
    lines = []
    for k in range(3):
        lines.append(line(f"20{k}2 – 20{k}4", 100, 100 + 80 * k))
        lines.append(line("Led the works at the yard and wrote the", 300, 100 + 80 * k))
        lines.append(line("Engineer's book of pumps and valves.", 300, 125 + 80 * k))
    assert [text[:4] for text in read(lines)] == ["2002", "Engi", "2012", "Engi", "2022", "Engi"]


def test_wide_spaces_in_a_justified_line_are_spaces() -> None:
    full = [line("a line that is as wide as the column is", 100, 100 + PITCH * i, 390) for i in (0, 2)]
    torn = [line("wide", 100, 125), line("spaces", 250, 125), line("here", 450, 125)]
    assert read([*full, *torn])[1] == "wide spaces here"


def test_heads_of_two_columns_are_not_one_head() -> None:
    heads = [TextLine(text, (x, 100, x + 200, 132), 30.0) for text, x in (("The mill", 100), ("The pier", 500))]
    body = [line("and so the tale went on for many", x, 150 + PITCH * i, 330) for i in range(6) for x in (100, 500)]
    assert read([*heads, *body])[:2] == ["The mill", "The pier"]


@pytest.mark.parametrize(
    ("cap", "first", "joined"),
    [
        ("O", "nce upon a time", "Once upon a time"),
        ("A", "small boat", "A small boat"),
        ("A", "fter the war", "After the war"),
        ("I", "was born there", "I was born there"),
        ("I", "n those days", "In those days"),
        ("“T", "he end", "“The end"),
    ],
)
def test_a_large_first_letter_begins_the_word_that_it_begins(cap: str, first: str, joined: str) -> None:
    letter = TextLine(cap, (100, 100, 150, 165), 60.0)
    lines = [letter, line(first, 155, 100), line("there was a miller", 155, 125), line("who had three sons", 100, 175)]
    assert next(x.text for x in with_capitals(lines)) == joined


def test_a_line_that_was_recognised_across_a_gutter_is_divided() -> None:
    from microfiche.documents.layout.gutters import divided

    whole = line("the end of one the middle of another", 100, 100)
    regions = [Region("text", (90, 50, 240, 300), 0.9), Region("text", (255, 50, 480, 300), 0.9)]
    assert [x.text for x in divided([whole], regions)] == ["the end of one", "the middle of another"]


def test_contents_in_two_columns_are_no_rows() -> None:
    entries = [f"{i} Of lamps {'. ' * 8}{10 * i}" for i in range(1, 5)]
    lines = [line(text, x, 100 + PITCH * i, 300) for i, text in enumerate(entries) for x in (100, 440)]
    assert read(lines) == [text for text in entries for _ in range(2)]


def test_dates_beside_an_abstract_are_read_by_themselves() -> None:
    said = [
        "The weather of small islands was measured with", "instruments that are read by eye for forty years,",
        "and what was seen there is told here in order,", "with the words of those who kept the instruments.",
    ]
    dates = ["Received in March", "Revised in June", "Accepted in July", "Online in August"]
    lines = [line(date, 100, 100 + PITCH * i) for i, date in enumerate(dates)]
    lines += [line(text, 320, 100 + PITCH * i, 490) for i, text in enumerate(said)]
    assert sorted(read(lines)) == sorted([*said, *dates])


def test_a_list_that_is_numbered_on_to_the_right_stands_in_two_columns() -> None:
    pairs = [("1. Lind, Lakes of the west", "3. Ek and Dahl, Water"), ("2. The mill at Kvarnfors", "4. SMHI, Normals")]
    assert len(read(table(pairs, 400))) == 4
    pairs = [("1. Oak", "2. Ash"), ("3. Elm", "4. Fir")]
    assert read(table(pairs, 200)) != ["1. Oak", "3. Elm", "2. Ash", "4. Fir"]


def test_places_far_beside_a_few_short_lines_are_read_with_them() -> None:
    """As in a programme, where what is said of a talk stands between two of them."""
    texts = ("Workshop: trimming of", 100), ("Bring your own lamp.", 125), ("Lunch at your own cost", 165)
    talks = [line(text, 226, y) for text, y in texts]
    places = [line("Room 2", 900, 100), line("Anchor Inn", 900, 165)]
    assert read([*talks, *places]) == [
        "Workshop: trimming of Room 2", "Bring your own lamp.", "Lunch at your own cost Anchor Inn"
    ]


def test_signs_of_boxes_before_the_further_answers_of_a_row_are_boxes_to_tick() -> None:
    answers = line("Result: [ ] passed", 100, 100), line("☒ passed with remarks", 300, 100), line("☐ failed", 530, 100)
    (said,) = read(list(answers))
    assert said == "Result: [ ] passed [x] passed with remarks [ ] failed"
