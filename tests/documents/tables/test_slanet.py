"""The network's tags become cells within what there is, and its own file runs."""

from __future__ import annotations

import hashlib

from PIL import Image, ImageDraw, ImageFont

from microfiche.documents.tables.slanet import Seen, _placed, filled, seen_cells
from microfiche.documents.text_lines import TextLine
from microfiche.weights import TAKEN, taken

BOX = (0.0, 0.0, 10.0, 10.0)


def placed(*names: str) -> list[tuple[int, int, int, int]]:
    return [(c.row, c.column, c.down, c.across) for c in _placed(names, [BOX] * len(names))]


def test_spans_end_where_the_table_does() -> None:
    assert placed(
        "sos", "<tr>", "<td", ' rowspan="20"', ">", "</td>", "<td></td>", "</tr>", "<tr>", "<td></td>", "</tr>", "eos"
    ) == [(0, 0, 2, 1), (0, 1, 1, 1), (1, 1, 1, 1)]


def test_tags_out_of_place_make_no_cells() -> None:
    assert placed("<td></td>", ' colspan="3"', "</tr>", "eos", "<tr>", "<td></td>") == []
    assert placed("<tr>", "", "<td></td>", "<tr>", "<tr>") == [(0, 0, 1, 1)]


def test_a_cell_over_columns_does_not_cover_one_from_above() -> None:
    names = ("<tr>", "<td></td>", "<td", ' rowspan="2"', ">", "</td>", "<tr>", "<td", ' colspan="4"', ">", "</td>")
    assert placed(*names) == [(0, 0, 1, 1), (0, 1, 2, 1), (1, 0, 1, 1)]


def test_lines_are_put_into_the_cells_that_they_stand_in() -> None:
    cells = [Seen(0, k, 1, 1, (100.0 * k, 0.0, 100.0 * k + 90, 30.0)) for k in range(2)]
    lines = [TextLine("a", (10, 5, 40, 25), 18.0), TextLine("b", (110, 5, 150, 25), 18.0)]
    found, agreement = filled(cells, lines)
    assert [c.text for c in found] == ["a", "b"] and agreement == 1.0
    assert filled(cells[:1], lines)[1] < 0.85
    assert filled([], lines) == ([], 0.0)


def test_the_network_sees_the_rows_and_columns_of_a_picture() -> None:
    picture = Image.new("RGB", (900, 400), "white")
    draw = ImageDraw.Draw(picture)
    for i in range(4):
        for j in range(3):
            draw.text(
                (60 + 280 * j, 60 + 70 * i),
                f"{(i + 2) * (j + 3)}.{i}{j}",
                fill="black",
                font=ImageFont.load_default(30),
            )
    for y in (45, 115, 330):
        draw.line((40, y, 800, y), fill="black", width=2)
    cells = seen_cells(picture, (40, 40, 800, 335))
    assert {c.row for c in cells} == set(range(4)) and {c.column for c in cells} == set(range(3))
    assert seen_cells(picture, (40, 40, 45, 42)) == []


def test_weights_of_others_are_what_their_makers_published_and_have_their_licence_beside_them() -> None:
    for name, origin in TAKEN.items():
        assert hashlib.sha256(taken(name).read_bytes()).hexdigest() == origin.sha256
        licence = taken(name).with_name(f"{name}.licence.txt").read_text()
        assert origin.sha256 in licence and "Apache License" in licence
