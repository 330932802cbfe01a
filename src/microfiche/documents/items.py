"""What is put in reading order on a page: rows of text, and tables, figures and formulas with the lines in them.

Knows how items are cut into columns, not what paragraphs they make.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from microfiche.documents.boxes import share, union
from microfiche.documents.columns import USUAL, columns
from microfiche.documents.document import Kind
from microfiche.documents.rows import Row, rows
from microfiche.documents.tables import table, with_fractions
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

FORMULA_NUMBER = re.compile(r"^\(\s*\d+(\.\d+)*\s*[a-z]?\)$")
MARGIN = 0.09  #: of the page's height, in which heads and feet stand
HEAD = 1.2  #: of the size of running text: larger lines are heads of what is below them
LONG = 12.0  #: ems: a rule that is longer may part what is above it from what is below
OVERLAP = 0.25  #: ems by which the boxes of recognised lines may reach into a gutter
APART = 0.9  #: ems between a head or a foot and the text, at least


@dataclass(frozen=True)
class Item:
    """A row, or a table, figure or formula with the lines in it."""

    box: Box
    kind: Kind
    lines: tuple[TextLine, ...]
    row: Row | None = None


@dataclass(frozen=True)
class Column:
    """Items that stand one below the other, from the top; the `left` and the `right` edge of their boxes, and the
    `width` that lines could have here before they met others, px."""

    items: list[Item]
    left: float
    right: float
    width: float


def ordered_items(
    lines: Sequence[TextLine],
    solid: Sequence[tuple[Kind, Box]],
    rules: Sequence[Box],
    picture: Image.Image,
    body: float,
) -> list[Column]:
    """The columns of a page in reading order that looks like `picture` and whose running text has the size `body` (px):
    the free lines in rows, and the `solid` boxes with the lines in them."""
    items = _items(lines, solid, rules, picture)
    return [
        Column(_in_rows(chosen), *_edges(chosen, items))
        for part in _head_text_foot(items, picture.height, body)
        for chosen in _columns(part, rules, body)
    ]


def _items(
    lines: Sequence[TextLine], solid: Sequence[tuple[Kind, Box]], rules: Sequence[Box], picture: Image.Image
) -> list[Item]:
    """What is put in order: rows of free lines, and solids with the lines in them."""
    held: list[list[TextLine]] = [[] for _ in solid]
    free: list[TextLine] = []
    for line in lines:
        into = [k for k, (_, box) in enumerate(solid) if share(line.box, box) > 0.5]
        beside = [
            k for k, (kind, box) in enumerate(solid)
            if kind == "formula" and FORMULA_NUMBER.match(line.text) and box[1] < line.middle < box[3]
        ]
        if into or beside:
            held[(into or beside)[0]].append(line)
        else:
            free.append(line)
    items = [Item(row.line.box, "text", (row.line,), row) for row in rows(free)]
    for (kind, box), inside in zip(solid, held, strict=True):
        whole = union([box, *(line.box for line in inside)])
        kind = "figure" if kind == "table" and not inside else kind
        items.append(_arranged(Item(whole, kind, tuple(inside)), rules, picture))
    return items


def _arranged(item: Item, rules: Sequence[Box], picture: Image.Image) -> Item:
    """The item with its lines in place: those of a table made into one text, those of a formula put in order."""
    match item.kind:
        case "table":
            text = table(item.lines, rules, item.box, picture)
            count = sum(len(line.text) for line in item.lines)
            sure = sum(line.confidence * len(line.text) for line in item.lines) / max(1, count)
            read_by = next((line.engine for line in item.lines if line.engine), None)
            whole = TextLine(text, item.box, item.lines[0].size, confidence=sure, engine=read_by)
            return replace(item, lines=(whole,))
        case "formula":
            return replace(item, lines=tuple(with_fractions(item.lines, rules)))
        case _:
            return item


def _head_text_foot(items: Sequence[Item], height: int, body: float) -> list[list[Item]]:
    """The items in up to three parts: the row in the upper margin, what is between, and the row in the lower margin."""
    ordered = sorted(items, key=lambda item: item.box[1] + item.box[3])
    head, foot = _margin(ordered, height, body, 1), _margin(ordered[::-1], height, body, -1)
    between = [item for item in ordered if item not in head and item not in foot]
    return [part for part in (head, between, foot) if part] if between else [list(items)] if items else []


def _margin(ordered: Sequence[Item], height: int, body: float, way: int) -> list[Item]:
    """The row that stands alone in the margin from which `ordered` begins, downwards (way 1) or upwards (-1)."""
    if not ordered or any(item.row is None for item in ordered[:1]):
        return []
    first = ordered[0]
    edge = first.box[3] if way == 1 else height - first.box[1]
    if edge > MARGIN * height:
        return []
    row = [x for x in ordered if x.row and first.box[1] < (x.box[1] + x.box[3]) / 2 < first.box[3]]
    rest = [x for x in ordered if x not in row]
    if not rest:
        return []
    space = min(x.box[1] for x in rest) - first.box[3] if way == 1 else first.box[1] - max(x.box[3] for x in rest)
    return row if space > APART * body else []


def _columns(items: Sequence[Item], rules: Sequence[Box], body: float) -> list[list[Item]]:
    """The items in reading order, in pieces. Heads part what is above from what is below, as do level rules that cross
    no item."""
    heads = [i for i, item in enumerate(items) if item.row and item.row.line.size > HEAD * body]
    boxes = [_narrowed(item) for item in items]
    boxes += [
        (left, y, right, y + 1) for left, y, right, below in rules
        if y == below and right - left > LONG * body
        and not any(box[1] < y < box[3] and box[0] < right and left < box[2] for box in boxes)
    ]
    found = columns(boxes, USUAL * body, heads)
    pieces = [[items[i] for i in piece if i < len(items)] for piece in found]
    return [piece for piece in pieces if piece]


def _narrowed(item: Item) -> Box:
    """The item's box; somewhat narrower for lines that were recognised, whose boxes may overlap across a gutter."""
    left, top, right, bottom = item.box
    line = item.row.line if item.row else None
    if line is None or line.confidence == 1 or right - left < 2 * line.size:
        return item.box
    return left + OVERLAP * line.size, top, right - OVERLAP * line.size, bottom


def _edges(column: Sequence[Item], items: Sequence[Item]) -> tuple[float, float, float]:
    """The left and the right edge of a column, and the width that its lines could have before they met others."""
    left, top, right, bottom = union([item.box for item in column])
    level = [x.box for x in items if x.box[1] < bottom and top < x.box[3]]
    start = max((box[2] for box in level if box[2] <= left), default=min(x.box[0] for x in items))
    end = min((box[0] for box in level if box[0] >= right), default=max(x.box[2] for x in items))
    return left, right, end - start


def _in_rows(column: Sequence[Item]) -> list[Item]:
    """The items from the top down, and within a row from the left."""
    lines: list[list[Item]] = []
    for item in sorted(column, key=lambda item: item.box[1] + item.box[3]):
        last = lines[-1][-1].box if lines else None
        if last and abs(last[1] + last[3] - item.box[1] - item.box[3]) < 0.6 * (last[3] - last[1]):
            lines[-1].append(item)
        else:
            lines.append([item])
    return [item for row in lines for item in sorted(row, key=lambda item: item.box[0])]
