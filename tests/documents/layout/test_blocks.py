"""Lines become blocks in the order that a person reads them."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.finishing.finish import finish
from microfiche.documents.inline import FORMULA, marked
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.tables.cells import table
from microfiche.documents.tables.grid import Cell, merged, ruled, table_text
from microfiche.documents.text_lines import Region, TextLine, with_markers

PAGE = Image.new("RGB", (1000, 1400), "white")
SIZE, PITCH = 20.0, 25.0


def paragraph(text: str, x: float, y: float, width: float = 380, **options: object) -> list[TextLine]:
    """Lines of full width but the last, from the top left corner x, y."""
    words, rows = text.split(), [""]
    for word in words:
        if len(rows[-1]) + len(word) > width / 10:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}".strip()
    return [
        TextLine(row, (x, y + PITCH * i, x + (width if i < len(rows) - 1 else 10 * len(row)), y + PITCH * i + 22), SIZE,
             **options)  # type: ignore[arg-type]
        for i, row in enumerate(rows)
    ]


FIRST = "The first column tells of the beginning and goes on for some lines until it comes to its end."
SECOND = "The second column takes up where the first has ended and so brings the tale to its close."


def texts(found: list[Block]) -> list[str]:
    return [block.text for block in found]


def test_columns_are_read_one_after_the_other() -> None:
    left, right = paragraph(FIRST, 100, 300), paragraph(SECOND, 520, 300)
    mixed = [line for pair in zip(right, left, strict=False) for line in pair]
    assert texts(blocks(mixed, [], PAGE)) == [FIRST, SECOND]


def test_what_lies_across_the_columns_parts_them() -> None:
    above, below = paragraph(FIRST, 100, 200), paragraph(SECOND, 520, 200)
    words = "A long line that lies across both of the columns and ends the upper part of the page."
    across = paragraph(words, 100, 500, 800)
    again = paragraph(FIRST, 100, 700) + paragraph(SECOND, 520, 700)
    found = texts(blocks([*again, *across, *below, *above], [], PAGE))
    assert found == [FIRST, SECOND, words, FIRST, SECOND]


@given(st.permutations(range(8)))
def test_the_order_of_lines_in_the_file_does_not_matter(order: list[int]) -> None:
    lines = (paragraph(FIRST, 100, 300) + paragraph(SECOND, 520, 300))[:8]
    assert texts(blocks([lines[i] for i in order if i < len(lines)], [], PAGE)) == texts(blocks(lines, [], PAGE))


def test_paragraphs_end_at_gaps_indents_and_short_lines() -> None:
    a = paragraph(FIRST, 100, 100)
    b = paragraph(SECOND, 100, 100 + PITCH * len(a) + 20)
    assert texts(blocks(a + b, [], PAGE)) == [FIRST, SECOND]
    close = paragraph(SECOND, 100, 100 + PITCH * len(a))
    assert texts(blocks(a + close, [], PAGE)) == [FIRST, SECOND]


def test_words_divided_at_line_ends_are_put_together() -> None:
    lines = ["the micro-", "scope and the micro\u00ad", "fiche of well-", "Known makers"]
    rows = [TextLine(t, (100, 100 + PITCH * i, 300, 122 + PITCH * i), SIZE) for i, t in enumerate(lines)]
    assert texts(blocks(rows, [], PAGE)) == ["the micro\u00adscope and the micro\u00adfiche of well-Known makers"]


def test_chinese_lines_are_joined_without_spaces() -> None:
    lines = ["微缩胶片把", "文字存成图像"]
    rows = [TextLine(t, (100, 100 + PITCH * i, 300, 122 + PITCH * i), SIZE) for i, t in enumerate(lines)]
    assert texts(blocks(rows, [], PAGE)) == ["微缩胶片把文字存成图像"]


def test_headings_are_known_by_size_and_levelled_over_the_document() -> None:
    pages = []
    for number, (size, words) in enumerate([(40.0, "The Whole"), (28.0, "2 A Part"), (28.0, "2.1 A Smaller Part")], 1):
        head = TextLine(words, (100, 100, 400, 140), size)
        pages.append(PageRead(number=number, height=1400, blocks=blocks([head, *paragraph(FIRST, 100, 300)], [], PAGE)))
    titles = [page.blocks[0] for page in finish(pages)]
    assert [(t.kind, t.level) for t in titles] == [("title", 1), ("title", 2), ("title", 3)]
    assert titles[2].markdown() == "### 2.1 A Smaller Part"


def test_lists_keep_their_items() -> None:
    marks = [TextLine(m, (100, y, 108, y + 20), SIZE) for m, y in (("•", 100), ("•", 150))]
    items = [
        TextLine("the first item, which goes on", (130, 100, 480, 122), SIZE),
        TextLine("over two lines", (130, 125, 300, 147), SIZE),
        TextLine("the second", (130, 150, 260, 172), SIZE),
    ]
    (block,) = blocks(with_markers(marks + items), [], PAGE)
    assert block.kind == "list"
    assert block.text == "- the first item, which goes on over two lines\n- the second"


def test_page_numbers_and_running_heads_stay_out_of_the_markdown() -> None:
    pages = []
    for number in (1, 2, 3):
        lines = [TextLine(f"A Running Head {number}", (100, 100, 400, 120), SIZE), *paragraph(FIRST, 100, 300)]
        lines.append(TextLine(f"- {number} -", (480, 1340, 520, 1360), SIZE))
        pages.append(PageRead(number=number, width=1000, height=1400, blocks=blocks(lines, [], PAGE)))
    done = finish(pages)
    assert [b.kind for b in done[0].blocks] == ["header", "text", "footer"]
    document = Document(name="x", sha256="0" * 64, pages=done)
    assert document.markdown() == "\n\n".join([FIRST] * 3) + "\n"


def test_a_paragraph_goes_on_over_a_figure_and_a_page() -> None:
    part = Block(kind="text", box=(0, 0, 1, 1), text="It broke off in the mid\u00ad")
    figure = Block(kind="figure", box=(0, 0, 1, 1), figure="x.png")
    rest = Block(kind="text", box=(0, 0, 1, 1), text="dle of a word.")
    pages = [PageRead(number=1, blocks=[part, figure]), PageRead(number=2, blocks=[rest])]
    text = Document(name="x", sha256="0" * 64, pages=pages).markdown()
    assert text == "It broke off in the middle of a word.\n\n![](x.png)\n"


def grid(rows: list[list[str]], x: float = 100, y: float = 100) -> list[TextLine]:
    return [
        TextLine(cell, (x + 200 * j, y + 40 * i, x + 200 * j + 10 * len(cell), y + 40 * i + 22), SIZE)
        for i, row in enumerate(rows) for j, cell in enumerate(row) if cell
    ]


CELLS = [["Format", "Year", "Pages"], ["Roll", "1928", "800"], ["Card", "", "60"], ["Fiche", "1961", "98"]]
MARKDOWN = """| Format | Year | Pages |
| --- | --- | --- |
| Roll | 1928 | 800 |
| Card |  | 60 |
| Fiche | 1961 | 98 |"""


def test_a_table_without_rules_is_parted_by_its_gaps() -> None:
    assert table(grid(CELLS), [], (90, 90, 700, 260)) == MARKDOWN


def test_rules_make_a_table_of_text_on_several_lines() -> None:
    across = [(90.0, y, 690.0, y) for y in (90.0, 130.0, 200.0)]
    down = [(x, 90.0, x, 200.0) for x in (90.0, 290.0, 690.0)]
    assert ruled(across + down) == [(90, 90, 690, 200)]
    lines = grid([["a", "b"], ["c", "d"]]) + grid([["more"]], 300, 165)
    (block,) = blocks(lines + paragraph(FIRST, 100, 400), [], PAGE, rules=across + down)[:1]
    assert block.kind == "table"
    assert block.text == "| a | b |\n| --- | --- |\n| c | d more |"


def test_a_cell_over_several_columns_makes_the_table_html() -> None:
    wide = TextLine("over both columns of it", (310, 60, 640, 82), SIZE)
    found = table([wide, *grid(CELLS)], [], (90, 50, 700, 260))
    assert '<td colspan="2">over both columns of it</td>' in found
    assert found.startswith("<table><tr><td></td>") and found.count("<tr>") == 5


def test_missing_rules_make_cells_over_columns_and_rows() -> None:
    x, y = [90.0, 290.0, 490.0, 690.0], [90.0, 130.0, 170.0, 210.0]
    level = [(x[0], v, x[3], v) for v in (y[0], y[1], y[3])] + [(x[1], y[2], x[3], y[2])]
    upright = [(v, y[0], v, y[3]) for v in (x[0], x[1], x[3])] + [(x[2], y[1], x[2], y[3])]
    rows = grid([["", "b", "c"], ["", "d", "e"]], y=140)
    both, every = TextLine("Both", (460, 100, 500, 122), SIZE), TextLine("all", (100, 160, 130, 182), SIZE)
    lines = [*grid([["Kind"]]), both, every, *rows]
    assert table(lines, level + upright, (90, 90, 690, 210)) == (
        '<table><tr><td>Kind</td><td colspan="2">Both</td></tr>'
        '<tr><td rowspan="2">all</td><td>b</td><td>c</td></tr><tr><td>d</td><td>e</td></tr></table>'
    )


def test_a_grid_is_known_when_each_cell_has_borders_of_its_own() -> None:
    rules = []
    for x, y in [(90.0 + 200 * j, 90.0 + 40 * i) for i in range(4) for j in range(3)]:
        right, below = x + 199, y + 39
        rules += [(x, y, right, y), (x, below, right, below), (x, y, x, below), (right, y, right, below)]
    assert len(merged(rules)) == 9
    assert ruled(rules) == [(90, 90, 689, 249)]
    assert table(grid(CELLS), rules, (90, 90, 690, 250)) == MARKDOWN


def test_a_drawing_of_thousands_of_lines_is_no_table_and_costs_no_time() -> None:
    level = [(0.0, 4.0 * i, 9000.0, 4.0 * i) for i in range(4000)]
    upright = [(4.0 * i, 0.0, 4.0 * i, 9000.0) for i in range(4000)]
    called = 0

    def count(*_: object) -> None:
        nonlocal called
        called += 1

    sys.setprofile(count)
    try:
        assert ruled(level + upright) == []
    finally:
        sys.setprofile(None)
    assert called < 100 * len(level + upright), "no rule is compared with every other"


def test_bars_in_cells_are_escaped() -> None:
    assert table_text([Cell(0, 0, 1, "a|b"), Cell(0, 1, 1, "c")], 2).splitlines()[0] == "| a\\|b | c |"


def test_a_figure_region_that_holds_text_alone_is_no_figure() -> None:
    lines = grid([["-a", "does this"], ["-b", "does that"]])
    region = Region("figure", (90, 90, 500, 180), 0.9)
    picture = PAGE.copy()
    draw = ImageDraw.Draw(picture)
    for line in lines:
        draw.rectangle(line.box, fill="black")
    assert [b.kind for b in blocks(lines, [region], picture)] == ["table"]
    for y in (92, 135, 178):  # the rules of a table are no drawing
        draw.line((90, y, 500, y), fill="black", width=3)
    assert [b.kind for b in blocks(lines, [region], picture)] == ["table"]
    draw.ellipse((300, 100, 480, 170), fill="black")
    assert [b.kind for b in blocks(lines, [region], picture)] == ["figure"]


def test_a_figure_region_around_lines_one_below_the_other_is_no_table() -> None:
    items = [TextLine(f"• item {k} of the plan", (100, 300 + 40 * k, 400, 322 + 40 * k), SIZE) for k in range(6)]
    foot = [TextLine("May", (100, 560, 140, 580), SIZE), TextLine("2 of 9", (700, 560, 760, 580), SIZE)]
    found = blocks([*items, *foot], [Region("figure", (90, 290, 800, 600), 0.9)], PAGE)
    assert "table" not in {block.kind for block in found}


def test_small_words_between_a_figure_and_its_caption_are_the_figures() -> None:
    region = Region("figure", (100, 100, 500, 300), 0.9)
    label = TextLine("generation", (250, 305, 350, 320), 14.0)
    caption = TextLine("Figure 1. How letters fade.", (100, 330, 420, 350), SIZE)
    picture = PAGE.copy()
    ImageDraw.Draw(picture).ellipse((120, 120, 480, 280), fill="black")
    text = paragraph(FIRST, 100, 500)
    found = blocks([label, caption, *text], [region], picture)
    assert [(b.kind, b.text) for b in found[:2]] == [("figure", "generation"), ("caption", caption.text)]
    assert [b.kind for b in blocks([label, *text], [region], picture)][:2] == ["figure", "text"]


def test_a_fraction_is_written_on_one_line() -> None:
    pieces = {"m": (100, 120), "=": (140, 120), "r h": (180, 105), "q": (195, 140), "(1)": (400, 120)}
    lines = [TextLine(text, (x, y, x + 12 * len(text), y + 22), SIZE) for text, (x, y) in pieces.items()]
    region = Region("formula", (90, 95, 440, 170), 0.9)
    (formula,) = blocks(lines, [region], PAGE, rules=[(175, 133, 225, 133)])
    assert (formula.kind, formula.text) == ("formula", "m = (r h)/q (1)")
    (flat,) = blocks(lines, [region], PAGE)
    assert "/" not in flat.text


def test_two_lines_far_apart_are_two_paragraphs_though_no_third_tells_the_pitch() -> None:
    author = TextLine("The author of it all", (300, 100, 500, 120), SIZE)
    lines = [author, TextLine("What it is", (350, 138, 450, 158), SIZE)]
    assert len(blocks(lines, [], PAGE)) == 2


def test_a_figure_that_was_not_cut_out_keeps_its_words_and_looks_like_a_picture() -> None:
    figure = Block(kind="figure", box=(0, 0, 1, 1), text="12 point [read]")
    assert figure.markdown() == "![12 point read]()"
    assert figure.model_copy(update={"figure": "a/b.png"}).markdown() == "![12 point read](a/b.png)"


def test_a_rule_at_the_end_of_a_line_leaves_room_to_write_and_parts_nothing() -> None:
    lines = [
        TextLine("1. When does the ferry to the island leave in winter?", (100, 100, 630, 122), SIZE),
        TextLine("2. The captain keeps his book beside the", (100, 140, 500, 162), SIZE),
        TextLine("and nobody but him and the first mate may read it in the", (128, 165, 700, 187), SIZE),
        TextLine("last days of the year, because", (128, 190, 420, 212), SIZE),
        TextLine("3. What is it called?", (100, 230, 310, 252), SIZE),
    ]
    rules = [(430.0, 208.0, 880.0, 208.0), (320.0, 248.0, 880.0, 248.0)]
    found = blocks(lines, [], PAGE, rules)
    assert [block.kind for block in found] == ["list"]
    assert found[0].text.splitlines()[1].endswith("last days of the year, because")


def test_a_section_beside_a_figure_of_code_does_not_part_the_columns() -> None:
    column = " ".join([FIRST] * 3)
    left = paragraph(column, 100, 100)
    head = TextLine("2.2 Of bridges", (100, 302, 240, 330), 26.0, bold=True)
    left += [head, *paragraph(column, 100, 345)]
    right = paragraph(SECOND + " " + SECOND, 520, 108) + paragraph(column, 520, 327)
    read = " ".join(texts(blocks(left + right, [], PAGE)))
    assert read.index("Of bridges") < read.index("The second column")


def test_the_number_of_a_formula_is_no_mark_of_what_stands_in_the_next_column() -> None:
    formula = TextLine(marked("a = b", FORMULA), (150, 100, 250, 122), SIZE)
    number, right = TextLine("(1)", (350, 100, 380, 122), SIZE), TextLine("paper. North", (400, 101, 520, 123), SIZE)
    assert [line.text for line in with_markers([formula, number, right])][1:] == ["paper. North", "(1)"]
    item = TextLine("first", (388, 101, 440, 123), SIZE)
    assert [line.text for line in with_markers([formula, number, item])][1:] == ["(1) first"]
