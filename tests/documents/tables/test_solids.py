"""Tables: where they are, and what their cells hold, from rules and from the alignment of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from makers import drawn
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.boxes import union
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.sheet import Sheet
from microfiche.documents.tables.amounts import priced
from microfiche.documents.tables.cells import table
from microfiche.documents.tables.solids import solids
from microfiche.documents.text_layer.layer_lines import lines_of
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

SIZE = 20.0
PAGE = Image.new("RGB", (1200, 1600), "white")
PROSE = (
    "The ferry left the northern pier at six and came back when the last of the workers had",
    "crossed the bridge, which was late in summer and early in the dark months. Nobody kept a",
    "list of those who went over, since everybody knew everybody, and the captain wrote only",
    "the weather and the price of coal into the book that lay beside the wheel of the ship.",
)


def line(text: str, x: float, y: float, right: bool = False, **options: object) -> TextLine:
    """A line whose left edge, or right one, is at x, and whose top is at y; a letter is 10 px wide."""
    left = x - 10 * len(text) if right else x
    return TextLine(text, (left, y, left + 10 * len(text), y + 22), SIZE, **options)  # type: ignore[arg-type]


def prose(x: float, y: float, width: int = 90) -> list[TextLine]:
    words, rows = " ".join(PROSE).split(), [""]
    for word in words:
        if len(rows[-1]) + len(word) >= width:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}".strip()
    return [line(row, x, y + 26 * i) for i, row in enumerate(rows)]


def rows_of(rows: Sequence[Sequence[str]], xs: Sequence[float], y: float, step: float = 36.0) -> list[TextLine]:
    """Cells with the left edge of the first column at xs[0], and the right edges of the others at the other xs."""
    return [
        line(cell, x, y + step * i, right=j > 0)
        for i, row in enumerate(rows)
        for j, (cell, x) in enumerate(zip(row, xs, strict=True))
        if cell
    ]


def boxes(lines: Sequence[TextLine], rules: Sequence[Box] = (), regions: Sequence[Region] = ()) -> list[Box]:
    return [box for kind, box in solids(lines, regions, rules, [], PAGE, SIZE) if kind == "table"]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    out = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([out[0], "|" + " --- |" * len(rows[0]), *out[1:]])


SALES = [["Place", "2021", "2022"], ["Harbour", "1,204", "1,310"], ["Island", "(88)", "97"], ["Sum", "1,116", "1,407"]]


def test_rows_in_line_are_a_table_with_their_labels_and_head_though_no_model_and_no_rule_says_so() -> None:
    lines = [*prose(100, 100), *rows_of(SALES, (100, 500, 700), 300), *prose(100, 520)]
    found = blocks(lines, [], PAGE)
    assert [b.kind for b in found] == ["text", "table", "text"]
    assert found[1].text == markdown(SALES)


def test_a_table_of_a_detector_gets_the_labels_and_the_head_that_stand_beside_its_box() -> None:
    words = [
        ["Place", "Boat", "Master"],
        ["Harbour", "Gull", "Anders"],
        ["Island", "Tern", "Birk"],
        ["Cape", "Auk", "Carl"],
    ]
    lines = [
        *prose(100, 100),
        *[
            line(cell, x, 300 + 36 * i)
            for i, row in enumerate(words)
            for cell, x in zip(row, (100, 400, 700), strict=True)
        ],
    ]
    region = Region("table", (390, 330, 800, 450), 0.9)
    assert [b.text for b in blocks(lines, [region], PAGE) if b.kind == "table"] == [markdown(words)]


def test_heads_that_stand_farther_left_than_the_values_under_them_are_of_the_same_columns() -> None:
    heads = [line(word, x, 300) for word, x in zip(SALES[0], (100, 400, 700), strict=True)]
    values = [
        line(cell, x, 336 + 36 * i, right=k > 0)
        for i, row in enumerate(SALES[1:]) for k, (cell, x) in enumerate(zip(row, (100, 580, 880), strict=True))
    ]
    found = blocks([*prose(100, 100), *heads, *values, *prose(100, 520)], [], PAGE)
    assert [b.text for b in found if b.kind == "table"] == [markdown(SALES)]


def test_an_invoice_is_read_by_rows() -> None:
    heads = [["Number:", "A-17"], ["Date:", "3 May 2024"], ["Customer:", "Birk & Sons"]]
    items = [
        ["Item", "Count", "Sum"],
        ["Rope, 10 m", "2", "28.00"],
        ["Oil lamp", "1", "6.50"],
        ["Nails", "300", "6.00"],
    ]
    lines = [line(c, x, 100 + 30 * i) for i, row in enumerate(heads) for c, x in zip(row, (100, 330), strict=True)]
    lines += rows_of(items, (100, 600, 900), 320)
    lines += rows_of([["Net", "40.50"], ["Tax 19%", "7.70"], ["Total due", "48.20"]], (700, 1000), 520, 30)
    texts = [b.text for b in blocks(lines, [], PAGE)]
    assert texts == [
        markdown(heads),
        markdown(items),
        markdown([["Net", "40.50"], ["Tax 19%", "7.70"], ["Total due", "48.20"]]),
    ]


def test_a_statement_keeps_its_headings_within_the_table_and_loses_its_leaders() -> None:
    rows = [
        ["", "2024", "2023"],
        ["Income:", "", ""],
        ["Fares", "9,310", "8,220"],
        ["Freight", "1,004", "977"],
        ["Total", "10,314", "9,197"],
    ]
    lines = rows_of(rows, (100, 600, 800), 100)
    lines = [line(f"{x.text} {'.' * 20}", x.box[0], x.box[1]) if x.text in ("Fares", "Freight") else x for x in lines]
    (block,) = blocks(lines, [], PAGE)
    assert block.text == markdown(rows)


@pytest.mark.parametrize("columns", [2, 3])
def test_columns_of_running_text_are_no_table_whatever_a_detector_says(columns: int) -> None:
    width = {2: 50, 3: 34}[columns]
    lines = [x for k in range(columns) for x in prose(60 + k * (10 * width + 20), 100, width)]
    region = Region("table", (50, 90, 1190, 400), 0.956)
    assert boxes(lines, regions=[region]) == []
    frame: list[Box] = [(50, y, 1190, y) for y in (90, 420, 700)] + [(x, 90, x, 700) for x in (50, 600, 1190)]
    assert boxes(lines, frame) == []


def test_numbered_lines_an_index_and_formulas_are_no_tables() -> None:
    code = [line(text, x, 100 + 30 * i) for i in range(6) for text, x in ((str(i + 1), 100), (f"let it be {i}", 160))]
    index = [
        line(f"{w} . . . . {p}", x, 100 + 30 * i)
        for i, (w, p) in enumerate(zip("abcdef", (3, 9, 12, 40, 41, 77), strict=True))
        for x in (100, 500)
    ]
    sums = [line(t, x, 100 + 60 * i) for i in range(4) for t, x in ((f"a = b + {i}", 300), (f"({i + 1})", 900))]
    for lines in (code, index, sums):
        assert boxes(lines) == []


def test_addresses_side_by_side_are_read_one_after_the_other() -> None:
    left, right = ["Birk and Sons", "Harbour Road", "Northern Pier"], ["Ada Lund", "Mill Lane", "Eastern Gate"]
    lines = [line(t, x, 100 + 28 * i) for x, part in ((100, left), (600, right)) for i, t in enumerate(part)]
    assert boxes(lines) == []


def grid(xs: Sequence[float], ys: Sequence[float]) -> list[Box]:
    return [(xs[0], y, xs[-1], y) for y in ys] + [(x, ys[0], x, ys[-1]) for x in xs]


def test_a_full_grid_is_trusted_where_one_row_holds_most_lines() -> None:
    lines = [line("Danger", 110, 105), line("What is done", 510, 105), line("Fire", 110, 250), line("Alarm", 510, 250)]
    for i, (a, b) in enumerate(
        (
            ("High water in the", "Sacks of sand lie"),
            ("cellar after the", "in the shed and"),
            ("snow", "pumps are tested"),
        )
    ):
        lines += [line(a, 110, 145 + 26 * i), line(b, 510, 145 + 26 * i)]
    assert table(lines, grid((100, 500, 900), (100, 135, 240, 280)), (100, 100, 900, 280)) == markdown(
        [
            ["Danger", "What is done"],
            ["High water in the cellar after the snow", "Sacks of sand lie in the shed and pumps are tested"],
            ["Fire", "Alarm"],
        ]
    )


def test_cells_of_several_lines_are_put_together_without_rules_too() -> None:
    rows = [
        ["Danger", "What is done"],
        ["High water", "Sacks of sand lie in the shed, and the"],
        ["", "pumps are tested twice a year"],
        ["Fire", "The bell is rung until the last of the"],
        ["", "people have left the building"],
        ["Fog", "The horn sounds"],
        ["Ice", "None"],
    ]
    steps = [0, 44, 24, 44, 24, 44, 44]
    lines, y = [], 100.0
    for row, step in zip(rows, steps, strict=True):
        y += step
        lines += [line(c, x, y) for c, x in zip(row, (100, 400), strict=True) if c]
    assert table(lines, [], (90, 90, 900, 400)).splitlines()[2:] == [
        "| High water | Sacks of sand lie in the shed, and the pumps are tested twice a year |",
        "| Fire | The bell is rung until the last of the people have left the building |",
        "| Fog | The horn sounds |",
        "| Ice | None |",
    ]


def test_three_rules_are_a_table_and_do_not_press_its_rows_into_one() -> None:
    rules: list[Box] = [(90, y, 710, y) for y in (295, 331, 440)]
    lines = [*prose(90, 100), *rows_of(SALES, (100, 500, 700), 300), *prose(90, 500)]
    found = [b.text for b in blocks(lines, [], PAGE, rules) if b.kind == "table"]
    assert found == [markdown(SALES)]


def test_a_head_over_columns_goes_over_those_that_a_short_rule_or_its_place_shows() -> None:
    body = rows_of(
        [["", "2021", "2022", "2021", "2022"], ["Gull", "1", "2", "3", "4"], ["Tern", "5", "6", "7", "8"]],
        (100, 400, 500, 700, 800),
        140,
    )
    heads = [line("Fares", 400, 100), line("Freight", 700, 100)]
    expected = '<tr><td></td><td colspan="2">Fares</td><td colspan="2">Freight</td></tr>'
    assert expected in table([*heads, *body], [], (90, 90, 820, 260))
    rules: list[Box] = [(90, 95, 820, 95), (350, 128, 505, 128), (650, 128, 805, 128), (90, 260, 820, 260)]
    assert expected in table([*heads, *body], rules, (90, 90, 820, 260))


def test_a_grid_of_which_a_scan_lost_rules_is_mended_by_its_values() -> None:
    xs, ys = (100.0, 300.0, 500.0, 700.0), (100.0, 140.0, 180.0, 220.0, 260.0)
    rows = [["Boat", "In", "Out"], ["Gull", "14", "15"], ["Tern", "27", "28"], ["Auk", "31", "32"]]
    lines = [
        line(c, x + 10, y + 8, confidence=0.97)
        for row, y in zip(rows, ys, strict=False)
        for c, x in zip(row, xs, strict=False)
    ]
    rules = [r for r in grid(xs, ys) if r[1] != 180 and r[0] != 500]
    rules.append((500.0, 100.0, 500.0, 140.0))
    assert table(lines, rules, (100, 100, 700, 260)) == markdown(rows)


def test_strokes_of_letters_and_leaders_are_no_rules() -> None:
    lines = rows_of(SALES, (100, 500, 700), 300)
    rules: list[Box] = [(130, 302, 130, 440), (100, 311, 160, 311), (100, 347, 170, 347), (100, 383, 160, 383)]
    strokes = [(130.0, y + 2, 130.0, y + 20) for y in (300.0, 336.0, 372.0)]
    assert table(lines, [*strokes, *rules[1:]], (90, 290, 710, 440)) == markdown(SALES)


def test_a_box_around_words_in_a_drawing_is_no_table() -> None:
    double: list[Box] = [*grid((100, 300), (100, 200)), (304, 104, 304, 204), (104, 204, 304, 204)]
    assert boxes([line("Engine", 150, 120), line("room", 160, 160)], double) == []


def test_cells_are_escaped_once_and_stay_on_their_line() -> None:
    rows = [["a|b", "1"], ["<b>c</b>", "2"], ["d*e*", "3"]]
    found = table(
        [line(c, x, 100 + 40 * i) for i, row in enumerate(rows) for c, x in zip(row, (100, 500), strict=True)],
        [],
        (90, 90, 700, 230),
    )
    assert found.count("\n") == 3 and "a\\|b" in found
    wide = [
        line("over both of the columns here", 100, 60),
        *rows_of([["x<y & z", "1"], ["k", "2"], ["l", "3"]], (100, 390), 100),
    ]
    assert "x&lt;y &amp; z" in table(wide, [], (90, 50, 400, 230))


def _sheet(draw: object) -> Sheet:
    return drawn(draw, (600.0, 800.0))  # type: ignore[arg-type]


def test_a_price_list_in_a_pdf_is_one_table() -> None:
    rows = [
        ("Rope", "per m", "0.80"),
        ("Oil", "per l", "2.45"),
        ("Tar", "per kg", "1.10"),
        ("Nails", "per 100", "3.00"),
    ]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for i, (a, b, c) in enumerate(rows):
            canvas.drawString(60, 700 - 18 * i, a)
            canvas.drawString(220, 700 - 18 * i, b)
            canvas.drawRightString(430, 700 - 18 * i, c)

    sheet = _sheet(draw)
    assert sheet.picture is not None and sheet.text is not None
    (block,) = blocks(lines_of(sheet), [], sheet.picture, sheet.rules)
    assert block.text == markdown([list(row) for row in rows])


def test_even_rows_of_labels_and_values_are_not_joined_though_a_label_ends_in_a_small_word() -> None:
    pairs = [("Bill no.", "2291"), ("Issued", "7 June 2021"), ("Payable by", "7 July 2021"), ("Client", "Perrin & Co")]
    lines = [line(pair[k], (100, 400)[k], 100 + 29 * i) for i, pair in enumerate(pairs) for k in (0, 1)]
    found = table(lines, [], (100, 100, 540, 222))
    assert [row for row in found.splitlines() if "---" not in row] == [f"| {a} | {b} |" for a, b in pairs]


def test_cells_that_were_read_as_one_line_are_parted_by_the_rule_between_them() -> None:
    xs, ys = (100.0, 300.0, 420.0, 800.0), [100.0 + 40 * i for i in range(9)]
    rules = [(x, ys[0], x, ys[-1]) for x in xs] + [(xs[0], y, xs[-1], y) for y in ys]
    lines = [
        x for i, y in enumerate(ys[:-1])
        for x in (line(f"bolt {i}", 105, y + 9), line(f"{100 + i} store B", 385, y + 9, confidence=0.99))
    ]
    assert table(lines, rules, (100, 100, 800, ys[-1])) == markdown([
        [f"bolt {i}", f"{100 + i}", "store B"] for i in range(8)
    ])


def test_a_letter_in_two_languages_side_by_side_is_no_table() -> None:
    columns = [[line("Dear Sir,", x, 100), *prose(x, 150, 40), *prose(x, 450, 40)] for x in (100.0, 640.0)]
    lines = [x for column in columns for x in column]
    assert boxes(lines, regions=[Region("table", (90, 90, 1050, 760), 0.95)]) == []


def text_table(lines: Sequence[TextLine], rules: Sequence[Box] = ()) -> str:
    return table(lines, rules, union([*(x.box for x in lines), *rules]))


def test_the_posts_of_a_cv_with_their_dates_to_the_right_are_no_table() -> None:
    posts = (
        ("Works manager", "2016-2023", "Bâtir SA, Lyon", "In charge of twelve sites of flats and all who worked there"),
        ("Manager of all the roads", "2010-2016", "Pont et Fils, Grenoble", "Time and money of four bridges"),
        ("Technician", "2007-2010", "Town of Vienne", "Upkeep of the houses of the town"),
    )
    lines = []
    for i, (post, dates, place, what) in enumerate(posts):
        y = 100 + 120 * i
        lines += [line(post, 60, y, bold=True), line(dates, 900, y, right=True), line(place, 60, y + 26)]
        lines.append(line(what, 60, y + 52))
    assert boxes(lines) == []


def test_a_wide_space_that_every_row_has_at_one_place_parts_columns() -> None:
    rows = (("Koha", "988", "–"), ("Latikas", "402 kevad", ""), ("Angerjas", "1", ""))
    lines = rows_of([(a, b if " " not in b else "", "") for a, b, _ in rows], (60, 300, 0), 100)
    lines += [line("402  kevad", 270, 136, gaps=((300.0, 320.0),)), line("–", 320, 100)]
    assert text_table(lines) == markdown((("Koha", "988", "–"), ("Latikas", "402", "kevad"), ("Angerjas", "1", "")))


def test_as_many_heads_as_there_are_columns_stand_over_one_each() -> None:
    values = [(f"Method {k}", f"0.{k}11", f"0.{k}22") for k in range(1, 8)]
    lines = [line("Name", 60, 64), line("Loss", 230, 64), line("Score", 500, 64)]
    lines += rows_of(values, (60, 400, 700), 100)
    assert text_table(lines).startswith("| Name | Loss | Score |\n")


@pytest.mark.parametrize("last", [True, False])
def test_rows_of_a_form_below_its_ruled_ones_stay_rows(last: bool) -> None:
    lines = rows_of((("Owner:", ""), ("Town:", ""), ("Kind:", ""), ("Use:", ""), ("Place:", "")), (60, 0), 100, 60)
    said = ("Lena", "Lysekil", "[x] boat", "[ ] trade", "C 12")
    lines += [line(text, 310, 100 + 60 * k) for k, text in enumerate(said)]
    rules = []
    for k in (0, 1, *((4,) if last else ())):
        top, bottom = 92.0 + 60 * k, 130.0 + 60 * k
        rules += [(300.0, y, 700.0, y) for y in (top, bottom)] + [(x, top, x, bottom) for x in (300.0, 700.0)]
    assert text_table(lines, rules).splitlines()[4:] == ["| Use: | [ ] trade |", "| Place: | C 12 |"]


def test_columns_that_a_grid_has_no_rules_between_are_found_by_the_wide_spaces_of_its_lines() -> None:
    rules = [(x, 90.0, x, 210.0) for x in (50.0, 200.0, 500.0, 600.0)]
    rules += [(50.0, y, 600.0, y) for y in (90.0, 130.0, 170.0, 210.0)]
    head = line("A 1 A 2 A 3", 210, 100, gaps=((250.0, 290.0), (340.0, 380.0)))
    lines = [line("Task", 60, 100), replace(head, box=(210, 100, 430, 122)), line("S", 520, 100)]
    lines += rows_of((("Points", "34", "10", "20", "64"),), (60, 250, 340, 430, 550), 140)
    lines += [line("Got", 60, 180)]
    rows = text_table(lines, rules).splitlines()
    assert rows[0] == "| Task | A 1 | A 2 | A 3 | S |" and rows[2] == "| Points | 34 | 10 | 20 | 64 |"


@pytest.mark.parametrize("lines_of_a_cell", [3, 6, 9])
def test_a_statement_of_account_is_one_table_however_long_its_cells_are(lines_of_a_cell: int) -> None:
    found, y = [*rows_of((("Date", "", "Amount"),), (60, 0, 900), 100), line("Details", 250, 100)], 140.0
    for k in range(4):
        found += rows_of(((f"0{k + 1}.12.24", "", f"-{k + 3},50"),), (60, 0, 900), y)
        for i in range(lines_of_a_cell):
            found.append(line(f"Reference {k}{i} of the bank", 250, y + 26 * i))
        y += 26 * lines_of_a_cell + 22
    (box,) = boxes(found)
    assert box[3] > y - 60


def test_the_head_of_a_table_whose_cells_stand_close_is_its_first_row() -> None:
    body = rows_of((("Gull", "124", "8"), ("Tern", "5", "103"), ("Plover", "72", "9")), (190, 362, 434), 200)
    head = line("Common name Seen Young", 190, 150, gaps=((300.0, 322.0), (362.0, 384.0)))
    head = replace(head, box=(190, 150, 434, 172))
    rules = [(180.0, y, 444.0, y) for y in (140.0, 185.0, 320.0)]
    lines = [*prose(90, 20), head, *body]
    found = [b.text for b in blocks(lines, [], PAGE, rules) if b.kind == "table"]
    assert found == [markdown((("Common name", "Seen", "Young"), ("Gull", "124", "8"), ("Tern", "5", "103"),
                               ("Plover", "72", "9")))]


def test_rules_that_lead_from_text_to_notes_in_frames_are_no_table() -> None:
    """As changes that are tracked are printed: lines under words, on to boxes in the margin."""
    lines = [*prose(60, 100, 80), *prose(60, 300, 80)]
    rules: list[Box] = []
    for k, y in enumerate((130, 210, 330, 410)):
        lines += [line("yes, sick", 960, y), line("of it", 960, y + 26)]
        rules += [(950, y - 4, 1110, y - 4), (950, y + 56, 1110, y + 56), (950, y - 4, 950, y + 56),
                  (1110, y - 4, 1110, y + 56), (300 + 60 * k, y + 20, 950, y + 20)]  # fmt: skip
    rules += [(930, 120, 930, 500), (930, 500, 950, 500), (930, 466, 950, 466)]
    assert boxes(lines, rules) == []


def test_rows_with_values_of_their_own_between_two_rules_stay_rows() -> None:
    bands = [[("Town", "1990", "2000")], [("Hull", "12", "14")], [("York", "3", "5")], [("Leeds", "31", "30")],
             [("Ripon", "1", "2"), ("Selby", "4", "4"), ("Thirsk", "2", "1")]]
    lines, rules, y = [], [(90.0, 95.0, 800.0, 95.0)], 100.0
    for band in bands:
        for name, *values in band:
            lines += [line(name, 100, y), line(values[0], 500, y), line(values[1], 700, y)]
            y += 26
        rules.append((90.0, y + 3, 800.0, y + 3))
        y += 10
    assert "| Selby | 4 | 4 |" in table(lines, rules, (90.0, 95.0, 800.0, y))


@pytest.mark.parametrize("step", [27.0, 36.0])
def test_marks_under_yes_and_no_are_a_table_though_each_row_has_but_one(step: float) -> None:
    answers = [("Fire doors close", "✓", ""), ("Exit signs lit", "", "x"), ("Extinguishers in date", "✓", ""),
               ("Floor dry", "✓", ""), ("First aid kit complete", "", "X")]
    lines = [line("Item", 180, 300), line("Yes", 400, 300), line("No", 505, 300)]
    for k, (label, yes, no) in enumerate(answers, start=1):
        lines.append(line(label, 100, 300 + step * k))
        for sign, x in ((yes, 410), (no, 510)):
            if sign:
                lines.append(replace(line(sign, x, 300 + step * k), size=0.7 * SIZE))  # the signs are low
    (block,) = blocks(lines, [], PAGE)
    assert block.kind == "table"
    assert block.text == markdown([["Item", "Yes", "No"], *map(list, answers)])


def test_rows_with_amounts_that_nothing_stands_under_are_no_table_of_wrapped_text() -> None:
    receipt = [("Milk 1 l", "1.15"), ("Bread, brown", "2.40"), ("Coffee", "6.99"), ("Total", "15.45")]
    lines = [x for k, (name, amount) in enumerate(receipt)
             for x in (line(name, 100 + 25 * k, 100 + 30 * k), line(amount, 500, 100 + 30 * k))]  # fmt: skip
    assert priced(lines) == []


def test_rules_in_frames_of_their_own_make_no_table_of_a_form() -> None:
    """A rule across the page, a grid and a frame as wide, and what is filled in between them."""
    asked = [line("Last name", 100, 210), line("Noor", 100, 240), line("First name", 600, 210), line("Ida", 600, 240)]
    cells = [line(text, x, y) for y in (410, 450) for x, text in ((110, "General"), (610, "GC-20418"))]
    foot = [line("Received by the office on", 110, 610), line("Returned", 600, 650)]
    grid = [(x, 400, x, 480) for x in (100, 600, 1100)] + [(100, y, 1100, y) for y in (400, 440, 480)]
    frame = [(x, 600, x, 700) for x in (100, 1100)] + [(100, y, 1100, y) for y in (600, 700)]
    rules: list[Box] = [(100, 150, 1100, 150), *grid, *frame]
    text = [*prose(100, 300)[:1], *asked, *cells, *foot]
    assert solids(text, [], rules, [], PAGE, SIZE) == [("table", (100, 400, 1100, 480))]


def test_prose_under_a_headline_between_two_rules_is_no_table() -> None:
    """As in a newspaper: two columns, the second of which is shorter."""
    headline = TextLine("Floods: farmers count the cost", (100, 320, 560, 356), 34.0)
    left = [line("floods have cost them the winter barley", 100, 380 + 26 * k) for k in range(6)]
    right = [line("that the pumps at the lock had failed", 600, 380 + 26 * k) for k in range(3)]
    rules: list[Box] = [(100, y, 1000, y) for y in (300, 560)]
    assert solids([headline, *left, *right], [], rules, [], PAGE, SIZE) == []


def test_a_bold_row_on_a_rule_heads_a_table_of_its_own() -> None:
    """Facts of a patient stand close above the results, in columns that begin where those of the table do."""
    facts = [("Patient", "Halvorsen, B.", "Accession", "M26-0418"), ("Born", "11/30/1979", "Collected", "03/02/2026")]
    results = [("White", "11.8", "10.5", "G/l"), ("Red", "4.41", "5.10", "T/l"), ("TSH", "2.3", "4.5", "U/l")]
    xs = 100, 380, 620, 800
    head = [line(text, x, 190, bold=True) for text, x in zip(("Test", "Result", "Most", "Unit"), xs, strict=True)]
    rows = [*facts, *results]
    cells = [
        line(text, x, 100 + 30 * (k + 2 * (k > 1)) - 10 * (k > 1)) for k, row in enumerate(rows)
        for text, x in zip(row, xs, strict=True)
    ]
    found = solids([*cells, *head], [], [(90, 218, 1000, 218)], [], PAGE, SIZE)
    assert [(kind, round(box[1]), round(box[3])) for kind, box in sorted(found, key=lambda one: one[1][1])] == [
        ("table", 100, 152), ("table", 190, 292)
    ]


def test_a_calendar_keeps_its_weeks_though_days_hold_appointments_of_their_own() -> None:
    days = [[line(str(1 + day + 7 * week), 110 + 150 * day, 204 + 100 * week) for day in range(7)] for week in range(3)]
    held = [line(text, 115 + 150 * day, 230 + 100 * week + 24 * k) for week, day, k, text in (
        (0, 4, 0, "Labour Day"), (1, 0, 0, "9:00 Audit"), (1, 3, 0, "14:00 Board"), (1, 3, 1, "18:30 Choir"),
        (2, 1, 0, "Ferry"))]
    heads = [line(text, 120 + 150 * k, 164) for k, text in enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])]
    xs, ys = [100 + 150 * k for k in range(8)], [160, 200, 300, 400, 500]
    rules: list[Box] = [*((x, 160, x, 500) for x in xs), *((100, y, 1150, y) for y in ys)]
    text = table([*heads, *(x for week in days for x in week), *held], rules, (100, 160, 1150, 500))
    assert "| 8 9:00 Audit | 9 | 10 | 11 14:00 Board 18:30 Choir | 12 | 13 | 14 |" in text


def test_heads_over_a_grid_that_stand_as_close_as_words_are_one_for_each_column() -> None:
    xs = 100, 400, 527, 603, 800
    rules: list[Box] = [*((x, 200, x, 320) for x in xs), *((100, y, 800, y) for y in (200, 240, 280, 320))]
    rows = [line(text, x + 5, 209 + 40 * k) for k in range(3)
            for text, x in zip((f"Task {k}", "Jonas", f"{k} Nov", "open"), xs, strict=False)]
    heads = [line("Task", 105, 174, bold=True),
             TextLine("Owner Due State", (405, 174, 700, 196), SIZE, bold=True)]
    prose_above = line("The tasks that are open at the end of the month are these, as far as we know.", 100, 120)
    found = blocks([prose_above, *heads, *rows], [], PAGE, rules)
    (text,) = [block.text for block in found if block.kind == "table"]
    assert text.startswith("| Task | Owner | Due | State |")
    assert prose_above.text in [block.text for block in found]


def test_a_line_of_text_close_above_a_grid_is_no_head_of_its_columns() -> None:
    xs = 100, 400, 520, 640, 800
    rules: list[Box] = [*((x, 200, x, 320) for x in xs), *((100, y, 800, y) for y in (200, 240, 280, 320))]
    rows = [line(text, x + 5, 209 + 40 * k) for k in range(3)
            for text, x in zip((f"Task {k}", "Jonas", f"{k} Nov", "open"), xs, strict=False)]
    above = line("Here are the tasks that are open at the end of the month in all", 105, 174)
    found = blocks([above, *rows], [], PAGE, rules)
    assert [block.text for block in found if block.kind != "table"] == [above.text]


def test_the_heading_of_a_column_beside_a_table_in_the_next_one_is_no_cell_of_it() -> None:
    heading = line("Summary", 100, 200, bold=True)
    left = prose(100, 232, 40)
    cells = rows_of((("Cais", "1.2", "23"), ("Sul", "6.0", "118")), (620, 800, 1000), 200, 30)
    right = prose(620, 290, 40)
    found = solids([heading, *left, *cells, *right], [], [], [], PAGE, SIZE)
    assert all(box[0] > 600 for _, box in found)
    said = [block.text for block in blocks([heading, *left, *cells, *right], [], PAGE)]
    assert said[0] == "Summary" and said[1].startswith("The ferry left")
