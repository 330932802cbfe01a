"""Tables on invoices end where the text below them begins, and are none with those beside and below them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from PIL import Image

from microfiche.documents.layout.blocks import blocks
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

PAGE = Image.new("RGB", (1200, 1600), "white")
ITEMS = (("Fuse box, three rows", "1", "289.00", "289.00"), ("Circuit breaker", "12", "7.85", "94.20"),
         ("Cable in a tube", "86", "3.10", "266.60"), ("Hour of work", "14", "62.00", "868.00"))
TERMS = "Please pay within 14 days; 2 % less until 19 March (38.31)."


def line(text: str, x: float, y: float, right: bool = False, sure: float = 0.99) -> TextLine:
    """A line of type of 20 px whose left edge, or right one, is at x, and whose top is at y; a letter is 10 px wide."""
    left = x - 10 * len(text) if right else x
    return TextLine(text, (left, y, left + 10 * len(text), y + 22), 20.0, confidence=sure)


def rows_of(rows: Sequence[Sequence[str]], xs: Sequence[float], y: float, step: float = 34.0) -> list[TextLine]:
    return [line(cell, x, y + step * i, right=j > 0) for i, row in enumerate(rows)
            for j, (cell, x) in enumerate(zip(row, xs, strict=True)) if cell]


def read(lines: Sequence[TextLine], rules: Sequence[Box] = ()) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in blocks(lines, [], PAGE, rules)]


@pytest.mark.parametrize("foot", [650, 1400])
@pytest.mark.parametrize("totals", [(), ("Sum", "VAT 19 %", "To pay")])
def test_terms_between_a_table_and_the_rule_of_the_foot_are_no_rows(foot: float, totals: Sequence[str]) -> None:
    head = [line(text, x, 104, k > 0) for k, (text, x) in enumerate(
        zip(("Article", "Number", "Price", "Sum"), (100, 650, 850, 1050), strict=True))]
    sums = [one for k, said in enumerate(totals)
            for one in (line(said, 700, 310 + 34 * k), line(f"1{k}51.80", 1050, 310 + 34 * k, True))]
    below = [line(TERMS, 100, 460), line("The sum holds 868.00 of wages, which the law asks us to say.", 100, 500),
             line("With kind regards", 100, 560)]
    foots = [line("Director: U. Haber", 100, foot + 6), line("Bank of Harrow", 600, foot + 6)]
    rules: list[Box] = [(95, y, 1055, y) for y in (98, 134, 278, foot)]
    cells = rows_of(ITEMS, (100, 650, 850, 1050), 140)
    found = read([*head, *cells, *sums, *below, *foots], rules)
    tables = [text for kind, text in found if kind == "table"]
    assert "Hour of work" in tables[0]
    assert not any(one.text in table for table in tables for one in (*below, *foots))
    words = " ".join(text for _, text in found)
    assert all(one.text in words for one in (*cells, *sums, *below, *foots))


def test_a_small_grid_below_a_table_and_the_totals_beside_it_stand_for_themselves() -> None:
    cells = rows_of((("Article", "Number", "Price", "Sum"), *ITEMS), (100, 650, 850, 1050), 100)
    taxes = rows_of((("Rate", "Net", "Tax"), ("5 %", "365.80", "20.12"), ("10 %", "239.72", "23.97")),
                    (100, 260, 390), 325)
    totals = rows_of((("Net sum", "605.52"), ("Taxes", "44.09"), ("To pay", "649.61")), (760, 1050), 325)
    xs, ys = (95, 180, 280, 400), (320, 354, 388, 422)
    rules: list[Box] = [*((x, ys[0], x, ys[-1]) for x in xs), *((xs[0], y, xs[-1], y) for y in ys)]
    found = read([*cells, *taxes, *totals], rules)
    tables = [text for kind, text in found if kind == "table"]
    assert tables[0].startswith("| Article | Number | Price | Sum |") and "Hour of work" in tables[0]
    assert tables[1].startswith("| Rate | Net | Tax |") and "10 %" in tables[1]
    assert not any("605.52" in text and ("Rate" in text or "Article" in text) for text in tables)


def test_totals_that_go_over_two_columns_do_not_join_them() -> None:
    units = ("pc.", "pc.", "m", "h")
    head = [line(text, x, 100, k > 1) for k, (text, x) in enumerate(
        zip(("Article", "Unit", "Price", "Sum"), (100, 600, 800, 1050), strict=True))]
    cells = [one for k, (row, unit) in enumerate(zip(ITEMS, units, strict=True)) for one in (
        line(row[0], 100, 134 + 34 * k), line(unit, 600, 134 + 34 * k), line(row[2], 800, 134 + 34 * k, True),
        line(row[3], 1050, 134 + 34 * k, True))]
    sums = [one for k, said in enumerate(("Sum without tax", "and 19 % of tax", "Sum to be paid"))
            for one in (line(said, 640, 280 + 34 * k), line(f"1{k}51.80", 1050, 280 + 34 * k, True))]
    rules: list[Box] = [(95, y, 1055, y) for y in (94, 130, 270)]
    (text,) = [text for kind, text in read([*head, *cells, *sums], rules) if kind == "table"]
    assert "<td>pc.</td><td>7.85</td>" in text or "| pc. | 7.85 |" in text


def test_a_value_and_the_words_after_it_are_two_cells_though_they_stand_close() -> None:
    places = ("Warehouse North", "Quarry Hebden", "Warehouse South", "Depot Leeds") * 2
    cells = [line(text, x, 100, right) for text, x, right in (
        ("Article", 100, False), ("Price", 660, True), ("Sent from", 680, False), ("Sum", 1050, True))]
    for k, (row, place) in enumerate(zip(ITEMS * 2, places, strict=True)):
        y = 134 + 34 * k
        price = line(row[2], 660, y, True)
        start, stop = price.box[2], price.box[2] + 20
        both = TextLine(f"{row[2]} {place}", (price.box[0], y, stop + 10 * len(place), y + 22), 20.0, confidence=0.99,
                        gaps=((start, stop),) if k else ())
        cells += [line(row[0], 100, y), both, line(row[3], 1050, y, True)]
    (text,) = [text for kind, text in read(cells) if kind == "table"]
    assert all(f"| {row[2]} | {place} |" in text for row, place in zip(ITEMS * 2, places, strict=True))
    assert all(a.count("|") == b.count("|") for a, b in pairwise(text.splitlines()))


def test_a_bold_heading_under_one_column_goes_with_the_table_below_both() -> None:
    """As on a statement: an account and a message side by side, then the head of what was booked."""
    said = ("Old balance", "812.33"), ("Paid in", "240.17"), ("Paid out", "95.00"), ("New balance", "957.50")
    account = rows_of(said, (100, 450), 100)
    message = [line(text, 600, 100 + 26 * k) for k, text in enumerate((
        "From April on, the fee for statements on", "paper will be three dollars a month, as",
        "the price of stamps has risen. Please ask", "at any branch how to go without them."))]
    head = TextLine("Bookings", (100, 252, 180, 274), 20.0, bold=True, confidence=0.99)
    cells = rows_of((("Date", "Words", "Out", "Balance"), *ITEMS), (100, 650, 850, 1050), 302)
    found = [text for _, text in read([*account, *message, head, *cells])]
    where = [next(k for k, text in enumerate(found) if word in text) for word in ("stamps", "Bookings", "Circuit")]
    assert where == sorted(where)
