"""Tables that are written already: put together over pages where they are one, and harmless whoever wrote them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.finishing.finish import finish
from microfiche.documents.table_markup import from_html, put_together, safe, stands, words

HEAD = ["Item", "Price", "Number"]
ROWS = [[f"Lamp {n}", f"{n}.50", str(7 * n)] for n in range(1, 8)]


def markdown(*rows: list[str]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def html(*rows: list[str]) -> str:
    return "<table>" + "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows) + "</table>"


def over_pages(*pages: list[tuple[str, str]], left: int = 100) -> str:
    reads = [
        PageRead(
            number=n,
            width=1000,
            height=1400,
            blocks=[
                Block(kind=kind, box=(left, 100 + 200 * i, 900, 250 + 200 * i), text=text)  # type: ignore[arg-type]
                for i, (kind, text) in enumerate(blocks)
            ],
        )
        for n, blocks in enumerate(pages, 1)
    ]
    return Document(name="x", sha256="", pages=finish(reads)).markdown()


@pytest.mark.parametrize("form", [markdown, html])
def test_a_table_over_three_pages_is_one_with_one_head(form: object) -> None:
    parts = [form(HEAD, *ROWS[:3]), form(HEAD, *ROWS[3:5]), form(HEAD, *ROWS[5:])]  # type: ignore[operator]
    text = over_pages(
        [("text", "Before it."), ("table", parts[0])], [("table", parts[1])], [("table", parts[2]), ("text", "a")]
    )
    assert form(HEAD, *ROWS) in text and text.count("Item") == 1  # type: ignore[operator]


def test_a_table_goes_on_without_its_head_and_over_furniture_and_notes() -> None:
    first, second = markdown(HEAD, *ROWS[:3]), markdown(*ROWS[3:])
    text = over_pages([("text", "Before."), ("table", first), ("footnote", "1 A note.")], [("table", second)])
    assert markdown(HEAD, *ROWS) in text and "1 A note." in text
    numbers = [
        [("text", "p. 1"), ("table", first), ("text", "x")],
        [("text", "p. 2"), ("table", second), ("text", "y")],
    ]
    assert markdown(HEAD, *ROWS) not in over_pages(*numbers), "text stands between them"
    text = over_pages([("table", first), ("text", "Continued on the next page")], [("table", second)])
    assert markdown(HEAD, *ROWS) in text and "Continued on the next page" in text


def test_the_head_of_several_rows_is_left_out_once_repeated() -> None:
    units = ["", "€", "pieces"]
    assert put_together(markdown(HEAD, units, *ROWS[:2]), markdown(HEAD, units, *ROWS[2:]), True) == (
        markdown(HEAD, units, *ROWS)
    )
    again = ["Item (continued)", "Price", "Number"]
    assert put_together(markdown(HEAD, *ROWS[:2]), markdown(again, *ROWS[2:]), False) == markdown(HEAD, *ROWS)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (markdown(HEAD, *ROWS), markdown(["Town", "River", "People"], ["Ulm", "Donau", "120000"])),
        (markdown(HEAD, *ROWS), markdown(["Town", "River", "Mayor"], ["Ulm", "Donau", "Smith"])),
        (markdown(HEAD, *ROWS), markdown(["Item", "Price"], ["Lamp", "3"])),
        (markdown(["Name", "Role"], ["Ann", "Cook"]), markdown(["Year", "Sum"], ["1999", "12"], ["2000", "14"])),
    ],
)
def test_another_table_stays_another(first: str, second: str) -> None:
    assert put_together(first, second, True) is None
    assert over_pages([("table", first)], [("table", second)]) == f"{first}\n\n{second}\n"


def test_two_tables_on_one_page_or_with_a_title_between_stay_two() -> None:
    first, second = markdown(HEAD, *ROWS[:3]), markdown(HEAD, *ROWS[3:])
    for pages in (
        [[("table", first), ("table", second)]],
        [[("table", first)], [("title", "Next"), ("table", second)]],
        [[("table", first)], [("caption", "Table 2. More lamps"), ("table", second)]],
        [[("table", first)], [("text", "A page between.")], [("table", second)]],
    ):
        assert second in over_pages(*pages)


def test_markdown_goes_on_in_html() -> None:
    first = markdown(["Item", "a < b"], ["*x*".replace("*", "\\*"), "1 \\| 2"])
    second = '<table><tr><td>Item</td><td>a &lt; b</td></tr><tr><td rowspan="2">y</td>'
    second += "<td>3</td></tr><tr><td>4</td></tr></table>"
    assert put_together(first, second, False) == (
        "<table><tr><td>Item</td><td>a &lt; b</td></tr><tr><td>*x*</td><td>1 | 2</td></tr>"
        '<tr><td rowspan="2">y</td><td>3</td></tr><tr><td>4</td></tr></table>'
    )


def test_the_words_of_tables() -> None:
    assert words(markdown(["a\\*", "b<sup>2</sup>"], ["c \\| d", ""])) == [["a*", "b2"], ["c | d", ""]]
    assert words('<table><tr><th colspan="2">a<br>b</th></tr><tr><td>&lt;c&gt;</td><td>d</td></tr></table>') == [
        ["a b", ""],
        ["<c>", "d"],
    ]
    table = Block(kind="table", box=(0, 0, 1, 1), text=markdown(["a", "b"], ["c", "d"]))
    assert table.plain() == "a\tb\nc\td"


PIECES = [
    "<table>",
    "</table>",
    "<tr>",
    "<td>",
    "</td>",
    '<td rowspan="91" colspan=99999>',
    "<script>",
    "x",
    "&lt;",
    "<b>",
    "<sup>",
    "</sup>",
    "<br>",
    "<td onclick='a'>",
    "<!--",
    "\n\n",
    "<a href='javascript:b'>",
    "<img src=x>",
    '"',
    ">",
    "|",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_whatever_a_model_calls_a_table_is_harmless(text: str) -> None:
    found = safe(f"<table>{text}")
    assert found == "" or stands(found)
    allowed = r'</?(table|tr|th|td|sup|sub|del|br)>|<t[dh]( (col|row)span="\d{1,3}")+>'
    assert all(re.fullmatch(allowed, tag) for tag in re.findall(r"<[^<>]*>", found)) and "\n" not in found
    assert safe(found) == found
    block = Block(kind="table", box=(0, 0, 1, 1), text=f"<table>{text}")
    assert block.markdown() == found


def test_spans_end_with_the_table() -> None:
    rows = from_html('<table><tr><td rowspan="91" colspan="5000">a</td></tr><tr><td rowspan="0">b</td></tr></table>')
    assert [(c.across, c.down) for row in rows for c in row] == [(200, 2), (1, 1)]
