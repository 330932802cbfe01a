"""Nothing is taken from a document's text but what repeats at the edge of its pages, or counts them."""

from __future__ import annotations

import random

import pytest

from microfiche.documents.document import Block, Document, Kind, PageRead
from microfiche.documents.finishing.finish import finish

WORDS = ["lamp", "river", "stone", "winter", "letter", "garden", "market", "window", "silver", "morning", "paper"]


def line(text: str, y: float, kind: Kind = "text", size: float | None = None, sure: float = 1.0, x: int = 100) -> Block:
    """A line of type 20 px high (times `size`) at the height `y`, from 0 to 1400."""
    height = 20 * (size or 1)
    box = (x, round(y), round(x + 0.5 * height * len(text)), round(y + height))
    return Block(kind=kind, box=box, text=text, size=size, confidence=sure)


def body(number: int, top: int = 300) -> list[Block]:
    """Two paragraphs that no other page has."""
    draw = random.Random(number)
    texts = [" ".join(draw.choices(WORDS, k=60)) + f" on leaf {number * 7}." for _ in range(2)]
    return [
        Block(kind="text", box=(100, y, 900, y + 300), text=t) for y, t in zip((top, top + 400), texts, strict=True)
    ]


def pages(*edges: list[Block], first: int = 1) -> list[PageRead]:
    """A page for each list of blocks, those in its upper half before its text and the others after it."""
    return [
        PageRead(
            number=n,
            width=1000,
            height=1400,
            blocks=[*(b for b in its if b.box[1] < 700), *body(n), *(b for b in its if b.box[1] >= 700)],
        )
        for n, its in enumerate(edges, first)
    ]


def left_out(found: list[PageRead]) -> list[list[str]]:
    """Of each page, the text that is furniture."""
    return [[b.text for b in page.blocks if b.kind in ("header", "footer")] for page in finish(found)]


def nothing(found: list[PageRead]) -> bool:
    return not any(left_out(found))


LONG = [line("Words of a page that is full of them, from the top to the foot. " * 15, 600)]


@pytest.mark.parametrize("foot", ["12", "– 3 –", "Page 1 of 1", "xiv", "The History of Lamps 12", "12 Lamps and wicks"])
def test_on_one_full_page_alone_a_page_number_that_stands_by_itself_is_furniture(foot: str) -> None:
    assert left_out(pages([*LONG, line(foot, 1350)])) == [[foot]]


@pytest.mark.parametrize(
    "edges",
    [
        [*LONG, line("Dear Ms Jones,", 20)],
        [*LONG, line("MEMORANDUM OF UNDERSTANDING", 20, "title", 1.3)],
        [*LONG, line("221 Baker Street", 20), line("London", 42)],
        [*LONG, line("Chapter 3", 20)],
        [*LONG, line("14 March", 20)],
        [*LONG, line("2025", 20)],
        [*LONG, line("Of the 400 lamps 12 were lit.", 1350)],
        [*LONG, line("12", 300)],
    ],
)
def test_on_one_page_alone_nothing_else_is_furniture(edges: list[Block]) -> None:
    assert nothing(pages(edges))


def test_of_a_page_that_is_not_full_everything_is_text() -> None:
    one = PageRead(number=1, width=1000, height=1400, blocks=[line("12", 20), line("Page 1 of 1", 1370)])
    assert left_out([one]) == [[]]


def test_what_an_engine_took_for_furniture_is_text_again() -> None:
    one = PageRead(number=1, width=1000, height=1400, blocks=[line("Dear Ms Jones,", 40, "header"), *body(1)])
    assert finish([one])[0].blocks[0].kind == "text"


def test_running_heads_left_and_right_and_page_numbers_are_furniture() -> None:
    edges = [
        [line("The History of Lamps" if n % 2 else "Chapter the First", 50, x=100 + 500 * (n % 2)), line(str(n), 1350)]
        for n in range(11, 19)
    ]
    assert left_out(pages(*edges)) == [[b.text for b in its] for its in edges]


@pytest.mark.parametrize(
    "form",
    [
        "{n}",
        "– {n} –",
        "[{n}]",
        "Page {n}",
        "Page {n} of 12",
        "{n}/12",
        "Seite {n} von 12",
        "p. {n}",
        "第 {n} 页",
        "- {n} -",
        "Annual Report 2023 | {n}",
        "{n}  The History of Lamps",
        "Стр. {n}",
        "3-{n}",
    ],
)
@pytest.mark.parametrize("count", [2, 3, 6])
def test_page_numbers_count_the_pages(form: str, count: int) -> None:
    edges = [[line(form.format(n=n), 1350)] for n in range(4, 4 + count)]
    assert left_out(pages(*edges)) == [[b.text for b in its] for its in edges]


def test_roman_numbers_count_too() -> None:
    edges = [[line(n, 1350)] for n in ("iii", "iv", "v", "vi")]
    assert all(left_out(pages(*edges)))


def test_a_page_number_at_another_edge_is_known_by_the_others() -> None:
    edges = [[line(str(n), 50 if n != 3 else 1350)] for n in range(1, 7)]
    assert all(left_out(pages(*edges)))


@pytest.mark.parametrize(
    "texts",
    [
        ["17", "4", "212"],
        ["2019", "2020", "2021"],
        ["Chapter 1", "Chapter 2", "Chapter 3"],
        ["Lesson 1", "Lesson 2", "Lesson 3", "Lesson 4", "Lesson 5", "Lesson 6"],
        ["Appendix A", "Appendix B", "Appendix C"],
        ["1 Lamps", "2 Rivers", "3 Stones"],
        ["Total 40", "Total 50"],
        ["Dear Ms Jones,", "Yours sincerely,", "Enclosures"],
        ["Kapitel I", "Kapitel II", "Kapitel III"],
    ],
)
@pytest.mark.parametrize("y", [50, 1350])
def test_what_neither_repeats_nor_counts_pages_stays(texts: list[str], y: int) -> None:
    assert nothing(pages(*[[line(text, y)] for text in texts]))


def test_titles_of_chapters_in_large_type_stay() -> None:
    assert nothing(pages(*[[line(f"Chapter {n}", 100, "title", 1.6)] for n in (1, 2, 3, 4, 5)]))
    assert nothing(pages(*[[line(str(n), 100, "text", 2.5)] for n in (1, 2, 3)]))


def test_slides_of_one_title_keep_it() -> None:
    edges = [[line("Results" if 2 <= n <= 4 else f"Part {WORDS[n]}", 120, "title", 1.8)] for n in range(8)]
    assert nothing(pages(*edges))


def test_the_title_of_a_form_stays_on_its_first_page() -> None:
    edges = [[line("APPLICATION FOR A LAMP", 60, "title", 1.5), line(f"Page {n}", 1350)] for n in range(1, 6)]
    done = finish(pages(*edges))
    document = Document(name="x", sha256="", pages=done)
    assert document.markdown().count("APPLICATION FOR A LAMP") == 1 and done[0].blocks[0].kind == "title"
    assert "Page 1" not in document.markdown()


def test_a_running_head_that_is_the_only_title_of_the_document_stays_once() -> None:
    done = finish(pages(*[[line("On Lamps", 50, "title", 1.05)] for _ in range(3)]))
    assert [page.blocks[0].kind for page in done] == ["title", "header", "header"]


def test_copies_of_one_form_keep_their_lines() -> None:
    labels = ["Surname and first name", "Date of birth", "Address in full", "Bank and account", "Signature of both"]
    found = []
    for n in (1, 2, 3):
        rows = [line(f"Form 12 B, part one {label}", 200 + 150 * i) for i, label in enumerate(labels)]
        found.append(
            PageRead(number=n, width=1000, height=1400, blocks=[line("REQUEST", 60), *rows, line("x" * n, 900)])
        )
    assert nothing(found)


def test_a_letterhead_on_the_first_page_stays() -> None:
    head = [line("Lamps and Sons", 40), line("12 River Street", 70), line("info@lamps.example", 100)]
    assert nothing(pages(head, [], []))
    assert left_out(pages(head, [line("Lamps and Sons", 40)], [line("Lamps and Sons", 40)]))[0] == ["Lamps and Sons"]


def test_two_rows_of_a_running_head_go_together_and_text_below_them_stays() -> None:
    edges = [
        [line("Lamps and Sons", 40), line("Report of the year", 70), line("Continued below", 240)] for _ in range(4)
    ]
    assert left_out(pages(*edges)) == [["Lamps and Sons", "Report of the year"]] * 4


def test_a_line_in_another_place_or_far_away_is_no_running_head() -> None:
    assert nothing(pages(*[[line("Exercises", y)] for y in (40, 160, 280)]))
    far = [[line("Exercises", 40)] if n % 6 == 0 else [] for n in range(18)]
    assert nothing(pages(*far))


def test_noise_of_ocr_makes_no_other_running_head() -> None:
    texts = [
        "The History of Lamps",
        "The Historv of Lamps",
        "The History of Lamps",
        "The History of Larnps",
        "The History of Lamps",
    ]
    assert left_out(pages(*[[line(t, 50 + i, sure=0.9)] for i, t in enumerate(texts)])) == [[t] for t in texts]
    assert left_out(pages(*[[line(t, 50)] for t in texts]))[1] == [], "a text layer has no noise"
    letters = ["Appendix A", "Appendix A", "Appendix B", "Appendix A"]
    assert left_out(pages(*[[line(t, 50, sure=0.9)] for t in letters]))[2] == []


def test_tables_and_figures_are_no_furniture() -> None:
    table = "| Day | Lamps |\n| --- | --- |\n| 1 | 2 |"
    edges = [[Block(kind="table", box=(100, 40, 900, 200), text=table)] for _ in range(4)]
    assert nothing(pages(*edges))


def test_a_running_head_with_its_page_number_is_known_by_the_others() -> None:
    edges = [[line(str(n), 1350)] if n % 2 else [line(f"{n} Of {WORDS[n]} and others", 1352)] for n in range(1, 9)]
    assert all(left_out(pages(*edges)))
    labelled = [[line(str(n), 1350)] if n != 4 else [line("Chapter 4", 1350)] for n in range(1, 9)]
    assert left_out(pages(*labelled))[3] == []


def test_running_heads_of_chapter_and_section_are_known_by_the_titles() -> None:
    heads = [
        "CHAPTER 1. ALL LAMPS 1.2. OIL LAMPS",
        "CHAPTER 1. ALL LAMPS 1.4. GAS LAMPS",
        "CHAPTER 2. RIVERS",
        "Other words",
    ]
    found = pages([], *[[line(head, 50)] for head in heads])
    titles = ["All Lamps", "1.2 Oil Lamps", "1.4. Gas Lamps", "Chapter 2 Rivers"]
    found[0].blocks += [line(title, 800 + 40 * i, "title", 1.4) for i, title in enumerate(titles)]
    assert left_out(found) == [[], *[[head] for head in heads[:3]], []]


def test_finishing_twice_and_in_any_order_changes_nothing() -> None:
    edges = [[line("The History of Lamps", 50), line(f"Page {n}", 1350)] for n in range(1, 6)]
    once = finish(pages(*edges))
    assert finish(once) == once == finish(list(reversed(pages(*edges))))
    assert left_out([once[0]]) == [["Page 1"]], "a head that an earlier run left out is text again"


def small(text: str, y: float, height: int = 14) -> Block:
    """A line of small type."""
    return Block(kind="text", box=(100, round(y), 100 + 6 * len(text), round(y) + height), text=text)


PROSE = [Block(kind="text", box=(100, 300, 900, 372), text="The lamp was lit by the river in winter again. " * 5)]


@pytest.mark.parametrize(
    ("head", "foot", "prose"),
    [
        ("Northern Lamps plc", "Annual report 2024 33", PROSE),
        ("D — F", "212", PROSE * 4),
        ("Guide to rivers", "12 Lamps and wicks", PROSE * 2),
        ("Not for publication", "Page 7 of 9", PROSE * 3),
        ("LAMPS AND RIVERS", "– 14 –", PROSE * 3),
    ],
)
def test_a_head_in_small_type_that_mirrors_a_numbered_foot_is_furniture(
    head: str, foot: str, prose: list[Block]
) -> None:
    page = PageRead(number=1, width=1000, height=1400, blocks=[small(head, 60), *prose, small(foot, 1326)])
    assert left_out([page]) == [[head, foot]]


@pytest.mark.parametrize(
    "blocks",
    [
        [small("Northern Lamps plc", 60), *PROSE, small("Registered in Emden", 1326)],  # no page number
        [small("Northern Lamps plc", 60), *PROSE, small("Page 1", 1326)],  # a first page
        [small("Northern Lamps plc", 60), small("The Pier", 78), *PROSE, small("Page 2", 1326)],  # an address
        [small("Tel. 0123 4567", 60), *PROSE, small("Page 2", 1326)],
        [small("Dear Ms Jones,", 60), *PROSE, small("Page 2", 1326)],
        [line("Northern Lamps plc", 60), *PROSE, line("Page 2", 1320)],  # type of usual size
        [small("Northern Lamps plc", 60), *PROSE, small("Page 2", 1250)],  # not as far from the edge
        [small("Northern Lamps plc", 60), small("Page 2", 1326)],  # hardly any text
    ],
)
def test_a_head_without_such_a_foot_stays(blocks: list[Block]) -> None:
    assert nothing([PageRead(number=1, width=1000, height=1400, blocks=blocks)])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("2 Society of Boats", "The keeper's winter 3"),
        ("14 Lamps", "Rivers of the north 15"),
        ("Oil for lamps 8", "Gas for lamps 9"),
        ("Rivers — 102", "103 — Of stones"),
    ],
)
def test_heads_of_left_and_right_pages_that_differ_are_known_by_their_numbers(left: str, right: str) -> None:
    assert left_out(pages([*LONG, line(left, 50)], [*LONG, line(right, 50)], first=2)) == [[left], [right]]


@pytest.mark.parametrize(
    "texts", [["2 Lamps", "3 Rivers"], ["Figure 2", "Figure 3"], ["Lamps in May 2", "Rivers in June 3"]]
)
def test_numbered_titles_on_two_pages_stay(texts: list[str]) -> None:
    assert nothing(pages(*[[*LONG, line(text, 50)] for text in texts], first=2))


@pytest.mark.parametrize(
    ("head", "other"), [("Society for Lamps", "Society for Lamps"), ("The lamps, page 2", "The lamps, page 3")]
)
@pytest.mark.parametrize("between", [" ", "  \n"])
def test_a_running_head_that_stands_close_to_the_text_is_cut_off_it(head: str, other: str, between: str) -> None:
    first, second = pages([line(head, 50)], [], first=2)
    close = Block(kind="text", box=(100, 50, 900, 140), text=f"{other}{between}the next morning they went out again.")
    second = second.model_copy(update={"blocks": [close, *second.blocks]})
    assert left_out([first, second]) == [[head], [other]]
    assert finish([first, second])[1].blocks[1].text == "the next morning they went out again."


def test_a_running_foot_that_stands_close_to_the_text_is_cut_off_it() -> None:
    first, second = pages([line("The Lamp Society", 1350)], [])
    close = Block(kind="text", box=(100, 1200, 900, 1370), text="They went out again at noon. The Lamp Society")
    second = second.model_copy(update={"blocks": [*second.blocks, close]})
    assert left_out([first, second]) == [["The Lamp Society"], ["The Lamp Society"]]


@pytest.mark.parametrize(("words", "y"), [("Society for Lamps", 90), ("The lamps", 50)])
def test_text_that_begins_with_words_of_another_page_is_left_whole(words: str, y: int) -> None:
    first, second = pages([line(words, 50)], [])
    close = Block(kind="text", box=(100, y, 900, y + 90), text=f"{words} were lit every evening at six.")
    second = second.model_copy(update={"blocks": [close, *second.blocks]})
    assert close.text in [block.text for block in finish([first, second])[1].blocks]


def test_how_two_letters_begin_stays() -> None:
    assert nothing(pages([line("Dear Sir,", 50)], [line("Dear Sir,", 50)]))
    assert nothing(pages([line("To whom it may concern:", 50)], [line("To whom it may concern:", 50)]))


def test_a_counted_foot_close_to_the_text_is_furniture_on_two_pages() -> None:
    found = pages(*[[line(f"Page {n} of 2", 1210)] for n in (1, 2)])
    assert left_out(found) == [["Page 1 of 2"], ["Page 2 of 2"]]


@pytest.mark.parametrize(("count", "said"), [(4, [["2024"]] * 4), (3, [[]] * 3)])
def test_one_number_alone_at_the_foot_of_each_page_is_furniture_where_it_is_on_four(
    count: int, said: list[list[str]]
) -> None:
    assert left_out(pages(*([line("2024", 1350)] for _ in range(count)))) == said


def test_an_amount_at_the_foot_of_each_page_is_none() -> None:
    assert nothing(pages(*([line("100.00", 1350)] for _ in range(5))))
