"""What is put in reading order on a page: rows of text, and tables, figures and formulas with the lines in them.

Knows how items are cut into columns, not what paragraphs they make.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import share, union
from microfiche.documents.document import Kind
from microfiche.documents.layout.columns import USUAL, columns
from microfiche.documents.layout.rows import Row, rows
from microfiche.documents.layout.stacks import StackRow
from microfiche.documents.layout.walls import sides, walls
from microfiche.documents.tables.cells import table
from microfiche.documents.tables.grid import MOST, merged
from microfiche.documents.tables.solids import with_fractions
from microfiche.documents.text_lines import TextLine, read_by
from microfiche.page import Box

FORMULA_NUMBER = re.compile(r"^\(\s*\d+(\.\d+)*\s*[a-z]?\)$")
MARGIN = 0.09  #: of the page's height, in which heads and feet stand
HEAD = 1.2  #: of the size of running text: larger lines are heads of what is below them
LONG = 12.0  #: ems: a rule that is longer may part what is above it from what is below
OVERLAP = 0.25  #: ems by which the boxes of recognised lines may reach into a gutter
BASE, FILLED_IN = 0.4, 3.0  #: ems from a line's foot and its end to a rule that leaves room to write, at most
FIRST = 2.5  #: ems from the head of a column to what follows, at most
TITLED = 0.8  #: ems from the title of a table to the table, at most
APART = 0.9  #: ems between a head or a foot and the text, at least


@dataclass(frozen=True)
class Item:
    """A row; or a table, figure or formula with the lines in it; or stacks beside each other, each as one line."""

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
    stacked: Sequence[StackRow] = (),
) -> list[Column]:
    """The columns of a page in reading order that looks like `picture` and whose running text has the size `body` (px):
    the free lines in rows, the rows that are `stacked`, and the `solid` boxes with the lines in them."""
    between = walls(lines, rules)
    items = _items(lines, solid, rules, picture, between)
    items += [Item(row.box, "text", row.wholes) for row in stacked]
    boxes = np.array([item.box for item in items], float).reshape(-1, 4)
    return [
        Column(_in_rows(chosen), *_edges(chosen, boxes))
        for part in _head_text_foot(items, picture.height, body)
        for side in _walled(part, between)
        for chosen in _columns(side, rules, body)
    ]


def _items(
    lines: Sequence[TextLine], solid: Sequence[tuple[Kind, Box]], rules: Sequence[Box], picture: Image.Image,
    between: Sequence[Box],
) -> list[Item]:
    """What is put in order: rows of free lines on either side of the walls `between` columns, and solids with the lines
    in them."""
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
    uprights = [rule for rule in merged(rules) if rule[0] == rule[2]] if len(rules) <= 4 * MOST else []
    found = [row for side in sides(free, between) for row in rows(side, [box for _, box in solid], uprights[:MOST])]
    items = [Item(row.line.box, "text", (row.line,), row) for row in found]
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
            whole = TextLine(text, item.box, item.lines[0].size, confidence=sure, engine=read_by(item.lines))
            return replace(item, lines=(whole,))
        case "formula":
            return replace(item, lines=tuple(with_fractions(item.lines, rules)))
        case _:
            return item


def _head_text_foot(items: Sequence[Item], height: int, body: float) -> list[list[Item]]:
    """The items in up to three parts: the row in the upper margin, what is between, and the row in the lower margin."""
    ordered = sorted(items, key=lambda item: item.box[1] + item.box[3])
    head, foot = _margin(ordered, height, body, 1), _margin(ordered[::-1], height, body, -1)
    edges = {id(item) for item in (*head, *foot)}
    between = [item for item in ordered if id(item) not in edges]
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
    own = {id(x) for x in row}
    rest = [x for x in ordered if id(x) not in own]
    if not rest or (way == 1 and len(row) > 1 and all(_heads_column(x, rest) for x in row)):
        return []
    space = min(x.box[1] for x in rest) - first.box[3] if way == 1 else first.box[1] - max(x.box[3] for x in rest)
    return row if space > APART * body else []


def _heads_column(item: Item, rest: Sequence[Item]) -> bool:
    """Whether a line in the upper margin begins where the line below it begins, as the first of a column does: there
    are columns with heads, or several pages on one sheet."""
    assert item.row is not None
    line = item.row.line
    under = [x for x in rest if x.row and x.box[0] < item.box[2] and item.box[0] < x.box[2]]
    nearest = min(under, key=lambda x: x.box[1], default=None)
    return (
        nearest is not None and any(map(str.isalpha, line.text))
        and abs(nearest.box[0] - item.box[0]) < 0.3 * line.size and nearest.box[1] - item.box[3] < FIRST * line.size
    )


def _walled(items: Sequence[Item], between: Sequence[Box]) -> list[Sequence[Item]]:
    """The items in parts as the rules `between` columns divide them: what is above one, to the left of it, to the
    right, below. One that goes through an item divides nothing."""
    for k, (x, low, _, high) in enumerate(between):
        above = [i for i in items if i.box[1] + i.box[3] < 2 * low]
        below = [i for i in items if i.box[1] + i.box[3] > 2 * high]
        level = [i for i in items if 2 * low <= i.box[1] + i.box[3] <= 2 * high]
        left, right = [i for i in level if i.box[2] <= x], [i for i in level if i.box[0] >= x]
        if left and right and len(left) + len(right) == len(level):
            others = between[k + 1 :]
            return [part for side in (above, left, right, below) if side for part in _walled(side, others)]
    return [items]


def _columns(items: Sequence[Item], rules: Sequence[Box], body: float) -> list[list[Item]]:
    """The items in reading order, in pieces. Heads part what is above from what is below, as do level rules that cross
    no item."""
    above = _titled(items)  # the number of the title of each table that has one
    boxes = [union([_narrowed(item), items[above[i]].box]) if i in above else _narrowed(item)
             for i, item in enumerate(items)]
    kept = [i for i in range(len(items)) if i not in set(above.values())]
    boxes = [boxes[i] for i in kept]
    heads = [k for k, i in enumerate(kept) if (row := items[i].row) and row.line.size > HEAD * body]
    bold = [k for k, i in enumerate(kept) if (row := items[i].row) and all(x.bold for x in row.pieces)]
    x0, y0, x1, y1 = np.array(boxes, float).reshape(-1, 4).T
    boxes += [
        (left, y, right, y + 1) for left, y, right, below in rules
        if y == below and right - left > LONG * body
        and not ((y0 < y) & (y < y1) & (x0 < right) & (left < x1)).any()
        and not ((abs(y - y1) < BASE * body) & (x1 <= left) & (left - x1 < FILLED_IN * body)).any()
    ]
    found = [[kept[k] for k in piece if k < len(kept)] for piece in columns(boxes, USUAL * body, heads, bold)]
    return [[items[j] for i in piece for j in ([above[i]] if i in above else []) + [i]] for piece in found if piece]


def _titled(items: Sequence[Item]) -> dict[int, int]:
    """For each table, by its number, with a line close above it and no wider than it, the number of that line."""
    rows = [i for i, item in enumerate(items) if item.row and len(item.row.pieces) == 1]
    found: dict[int, int] = {}
    for k, item in enumerate(items):
        if item.kind != "table":
            continue
        for i in rows:
            box, em = items[i].box, items[i].lines[0].size
            near = -0.5 * em < item.box[1] - box[3] < TITLED * em
            if near and item.box[0] - em < box[0] and box[2] < item.box[2] + em and i not in found.values():
                found[k] = i
    return found


def _narrowed(item: Item) -> Box:
    """The item's box; somewhat narrower for lines that were recognised, whose boxes may overlap across a gutter."""
    left, top, right, bottom = item.box
    line = item.row.line if item.row else None
    if line is None or line.confidence == 1 or right - left < 2 * line.size:
        return item.box
    return left + OVERLAP * line.size, top, right - OVERLAP * line.size, bottom


def _edges(column: Sequence[Item], boxes: NDArray[np.floating]) -> tuple[float, float, float]:
    """The left and the right edge of a column, and the width that its lines could have before they met others, whose
    (n, 4) `boxes` are those of the page."""
    left, top, right, bottom = union([item.box for item in column])
    level = boxes[(boxes[:, 1] < bottom) & (top < boxes[:, 3])]
    before, after = level[level[:, 2] <= left, 2], level[level[:, 0] >= right, 0]
    start = before.max() if len(before) else boxes[:, 0].min()
    end = after.min() if len(after) else boxes[:, 2].max()
    return left, right, float(end - start)


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
