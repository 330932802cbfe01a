"""Pages whose text runs from right to left: columns, rows, lists and tables begin at the right."""

from __future__ import annotations

from PIL import Image

from microfiche.documents.document import Block
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.layout.mirrored import mirrored, runs_backward
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

SIZE, PITCH = 20.0, 26.0
PAGE = Image.new("RGB", (1200, 800), "white")
WORDS = "המעבורת החדשה הגיעה לנמל ביום שלישי בבוקר"


def line(text: str, right: float, y: float, width: float | None = None) -> TextLine:
    """A line that ends at `right`, whose letters are 10 px wide if no `width` says otherwise."""
    wide = 10 * len(text) if width is None else width
    return TextLine(text, (right - wide, y, right, y + 22), SIZE)


def read(lines: list[TextLine], rules: list[Box] | None = None) -> list[Block]:
    return blocks(lines, [], PAGE, rules or [])


def test_most_letters_say_which_way_a_page_runs() -> None:
    assert runs_backward([line("מחיר 120 (USB)", 500, 0), line("תאריך", 500, 30)])
    assert not runs_backward([line("The price in Hebrew is מחיר", 500, 0)])
    assert not runs_backward([line("12.05.2026", 500, 0)]) and not runs_backward([])


def test_a_page_mirrored_twice_is_as_it_was() -> None:
    lines = [TextLine(WORDS, (700, 10, 1100, 32), SIZE, gaps=((800, 820), (900, 930)))]
    page = lines, [Region("text", (10, 20, 30, 40), 0.5)], PAGE, [(1, 2, 3, 2)], [(5, 6, 7, 8)]
    back = mirrored(mirrored(page))
    assert (back[0][0].box, back[0][0].gaps, back[1:2], back[3:]) == (lines[0].box, lines[0].gaps, page[1:2], page[3:])


def test_the_right_column_is_read_first() -> None:
    right = [line(f"{WORDS} {k}", 1100, 100 + PITCH * k, 480) for k in range(8)]
    left = [line(f"{WORDS} {k}", 580, 107 + PITCH * k, 480) for k in range(8, 16)]
    texts = " ".join(block.text for block in read([*left, *right]))
    assert [int(word) for word in texts.split() if word.isdigit()] == list(range(16))


def test_a_paragraph_whose_last_line_is_short_is_one_and_stands_where_it_is_drawn() -> None:
    lines = [line(WORDS, 1100, 100 + PITCH * k, 900) for k in range(3)] + [line("וחזר לתה שלו.", 1100, 100 + 3 * PITCH)]
    (block,) = read(lines)
    assert block.box == (200, 100, 1100, 200)
    english = [TextLine("nobody had seen it", (200, 400 + PITCH * k, 1100, 422 + PITCH * k), SIZE) for k in range(3)]
    (block,) = read([*english, line("before Friday.", 330, 400 + 3 * PITCH, 130)])
    assert block.text.endswith("seen it before Friday.")


def test_labels_items_and_cells_begin_at_the_right() -> None:
    texts = ("שם:", "נועה"), ("עיר:", "יפו")
    cells = [line(row[k], 1100 - 100 * k, 100 + 26 * i) for i, row in enumerate(texts) for k in (0, 1)]
    (block,) = read(cells)
    assert block.text == "| שם: | נועה |\n| --- | --- |\n| עיר: | יפו |"
    (items,) = read([line("1. ראשון", 1100, 100), line("2. שני", 1100, 126)])
    assert (items.kind, items.text) == ("list", "1. ראשון\n2. שני")
    rules: list[Box] = [(x, 100, x, 180) for x in (700, 900, 1100)] + [(700, y, 1100, y) for y in (100, 140, 180)]
    cells = [line("אוניה", 1090, 108), line("משקל", 890, 108), line("כליו", 1090, 148), line("312", 890, 148)]
    assert read(cells, rules)[0].text == "| אוניה | משקל |\n| --- | --- |\n| כליו | 312 |"


def test_what_reaches_to_the_edge_of_a_page_stands_on_it() -> None:
    """A recognised line whose box is drawn somewhat wider than it is."""
    lines = [TextLine(WORDS, (2, 100 + PITCH * k, 1199, 122 + PITCH * k), SIZE, confidence=0.9) for k in range(3)]
    assert all(block.where[0] >= 0 for block in read(lines))
