"""The cells of a table that rules do not draw, or draw only in part: from the rows and columns of its text.

Rules that are there still count: upright ones part columns, level ones part rows, and a short one under a heading shows
over which columns it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import union
from microfiche.documents.tables.amounts import of_values
from microfiche.documents.tables.dividing import divided
from microfiche.documents.tables.grid import Cell, Drawn, cell_text, place, positions, spread
from microfiche.documents.tables.lost_rules import FAR
from microfiche.documents.tables.text_grid import (
    HEADS,
    by_column,
    cell_columns,
    column_borders,
    continued_rows,
    is_value,
    text_rows,
    without_leaders,
)
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

LONG = 0.6  #: of a table's width, from which a level rule parts rows


def text_cells(
    lines: Sequence[TextLine], rules: Sequence[Box], drawn: Sequence[float], box: Box
) -> tuple[list[Cell], int]:
    """The cells of the table in `box`, and how many columns it has; `drawn` are borders of columns at upright rules."""
    columns = _columns(lines, drawn, box)
    size = median(x.size for x in lines)
    parts = _parted(lines, columns)
    levels = [r for r in rules if r[1] == r[3]]
    cuts = spread(positions([r for r in levels if r[2] - r[0] > LONG * (box[2] - box[0])], 1), 0.5 * size)
    between = _between(text_rows(parts), columns)
    rows = _rows([x for x in parts if x not in between], columns, cuts)
    columns = _under_heads(columns, rows, drawn)
    cells: list[Cell] = []
    for i, row in enumerate(rows):
        for (first, last), held in _spans(row, columns):
            cells.append(Cell(i, first, last - first + 1, without_leaders(cell_text(held))))
    for line in between:
        above = max(i for i, row in enumerate(rows) if row[0].middle < line.middle)
        cells.append(Cell(above, cell_columns(line, columns)[0], 1, without_leaders(line.text), 2))
    cells = _headed(sorted(cells, key=lambda c: (c.row, c.column)), rows, columns, levels, box)
    return cells, len(columns) - 1


def _parted(lines: Sequence[TextLine], columns: Sequence[float]) -> list[TextLine]:
    """The lines in pieces, divided at the borders of columns; behind a value at that of a column of values, also where
    its space is no wider than between words."""
    parts = [part for line in lines for part in divided(line, columns[1:-1])]
    held = by_column([x for x in parts if len(set(cell_columns(x, columns))) == 1], columns)
    values = [k for k, its in held.items() if len(its) > 2 and sum(is_value(x.text) for x in its) > 0.6 * len(its)]
    out = []
    for part in parts:
        first, last = cell_columns(part, columns)
        halves = divided(part, [columns[first + 1]], always=True) if first < last and first in values else [part]
        out += halves if is_value(halves[0].text) else [part]
    return out


def _under_heads(
    columns: Sequence[float], rows: Sequence[Sequence[TextLine]], drawn: Sequence[float]
) -> list[float]:
    """The borders of columns, without those between a head and the values under it that stand farther to one side; none
    of those that are `drawn` is left out."""
    columns = list(columns)
    k = 1
    while k < len(columns) - 1:
        filled: list[set[int]] = [set() for _ in columns[1:]]
        for i, row in enumerate(rows):
            for line in row:
                first, last = cell_columns(line, columns)
                for column in range(first, last + 1):
                    filled[column].add(i)
        head, body = sorted((filled[k - 1], filled[k]), key=lambda its: min(its, default=len(rows)))
        alone = head and len(body) > 1 and max(head) < min(min(body), HEADS)
        if alone and columns[k] not in drawn:
            del columns[k]
        else:
            k += 1
    return columns


def _between(rows: Sequence[Sequence[TextLine]], columns: Sequence[float]) -> list[TextLine]:
    """The pieces that stand midway between two rows which both have nothing in their column: cells two rows high."""
    found = []
    for above, row, below in zip(rows, rows[1:], rows[2:], strict=False):
        if len(row) > 1:
            continue
        (line,) = row
        first, last = cell_columns(line, columns)
        up, down = line.middle - above[0].middle, below[0].middle - line.middle
        most = max(up, down)
        near = 0.68 * line.size < min(up, down) and most < 1.4 * line.size and abs(up - down) < 0.35 * most
        others = {k for x in (*above, *below) for k in cell_columns(x, columns)}
        if near and first == last and first not in others and len(below) > 1:
            found.append(line)
    return found


def form_cells(drawn: Sequence[Drawn]) -> list[Cell]:
    """A form's labels and what stands under each in its cell, a row for each; nothing if the cells are no form's.

    A form has cells of uneven widths in which a label of small type stands over what was filled in.
    """
    held = [(cell, text_rows(cell.lines)) for cell in drawn if cell.lines]
    labelled = [
        (cell, rows) for cell, rows in held
        if len(rows) > 1 and max(x.size for x in rows[0]) < 0.87 * max(x.size for row in rows[1:] for x in row)
    ]
    if len(held) < 4 or len(labelled) < 0.5 * len(held) or sum(c.across > 1 for c, _ in held) < 0.3 * len(held):
        return []
    small = max(x.size for _, rows in labelled for x in rows[0])
    out: list[Cell] = []
    for row, (_, rows) in enumerate(held):
        is_label = max(x.size for x in rows[0]) <= 1.05 * small
        label = rows[0] if is_label else []
        value = [x for part in (rows[1:] if is_label else rows) for x in part]
        out += [Cell(row, 0, 1, cell_text(label)), Cell(row, 1, 1, cell_text(value))]
    return out


def _columns(lines: Sequence[TextLine], drawn: Sequence[float], box: Box) -> list[float]:
    """The borders of columns at rules, and within what they part those that gaps in the text make."""
    if len(drawn) < 3:
        return column_borders(lines, box)
    out = [drawn[0]]
    for left, right in pairwise(drawn):
        inside = [x for x in lines if left <= (x.box[0] + x.box[2]) / 2 < right]
        rows = text_rows(inside)
        if len(rows) >= 3 and sum(len(row) > 1 for row in rows) >= 0.6 * len(rows):
            out += column_borders(inside, (left, box[1], right, box[3]))[1:-1]
        out.append(right)
    return out


def _rows(lines: Sequence[TextLine], columns: Sequence[float], cuts: Sequence[float]) -> list[list[TextLine]]:
    """The rows of a table: those between level rules where each pair of them holds one, but for lines that stand far
    apart and rows with values of their own, otherwise those of the text."""
    apart = text_rows(lines)
    rows = continued_rows(apart, columns, cuts)
    edges = [float("-inf"), *cuts, float("inf")]
    bands = [[x for x in lines if low <= x.middle < high] for low, high in pairwise(edges)]
    bands = [band for band in bands if band]
    number = {id(line): k for k, band in enumerate(bands) for line in band}
    own: list[list[list[TextLine]]] = [[] for _ in bands]
    for row in rows:
        for k in {number[id(line)] for line in row}:
            own[k].append(row)
    if len(bands) < 4 or sum(len(its) == 1 for its in own) < 0.7 * len(own):
        return rows
    out: list[list[TextLine]] = []
    for band, its in zip(bands, own, strict=True):
        if of_values(its, columns):
            out += its
            continue
        out.append([])
        for line in sorted(band, key=lambda x: x.middle):
            if out[-1] and line.middle - out[-1][-1].middle > FAR * line.size:
                out.append([])
            out[-1].append(line)
    return out


def _spans(row: Sequence[TextLine], columns: Sequence[float]) -> list[tuple[tuple[int, int], list[TextLine]]]:
    """The lines of a row by the first and the last column over which they go."""
    over = [(*cell_columns(line, columns), line) for line in row]
    groups: list[tuple[int, int, list[TextLine]]] = []
    for first, last, line in sorted(over, key=lambda x: x[:2]):
        touching = [g for g in groups if g[0] <= last and first <= g[1]]
        beside = any(
            abs(other.middle - line.middle) < 0.45 * line.size for g in touching for other in g[2]
        )
        if touching and first < last and beside:  # two pieces side by side are not one cell
            middle = place((line.box[0] + line.box[2]) / 2, columns)
            first = last = middle
            touching = [g for g in groups if g[0] <= middle <= g[1]]
        held = [line, *(x for g in touching for x in g[2])]
        low, high = min([first, *(g[0] for g in touching)]), max([last, *(g[1] for g in touching)])
        groups = [g for g in groups if g not in touching] + [(low, high, held)]
    return [((low, high), held) for low, high, held in sorted(groups, key=lambda g: g[:2])]


def _headed(
    cells: Sequence[Cell], rows: Sequence[Sequence[TextLine]], columns: Sequence[float], levels: Sequence[Box], box: Box
) -> list[Cell]:
    """The cells, with those of the head over as many columns as they stand over."""
    out = list(cells)
    extents = _extents(rows, columns)
    head = next((k for k in range(1, min(HEADS + 1, len(rows))) if _filled_with_values(cells, k)), 1)
    for number in range(min(head, len(rows) - 1)):
        own = [c for c in out if c.row == number]
        next_row = {k for c in out if c.row == number + 1 for k in range(c.column, c.column + c.across)}
        if next_row <= {k for c in own for k in range(c.column, c.column + c.across)}:
            continue
        foot = max(x.box[3] for x in rows[number])
        short = [
            r for r in levels
            if -0.4 < (r[1] - foot) / max(1.0, rows[number][0].size) < 1.0 and r[2] - r[0] < LONG * (box[2] - box[0])
        ]
        taken = {k for c in own for k in range(c.column, c.column + c.across)}
        if number + 1 < head:
            below = sorted(next_row)
            equal = _equal_parts(own, below, extents, rows[number], columns) or _equal_parts(
                own, below[1:], extents, rows[number], columns)
            if equal:
                out = [c for c in out if c.row != number] + equal
                continue
        for cell in own:
            here = set(range(cell.column, cell.column + cell.across))
            held = [x for x in rows[number] if place((x.box[0] + x.box[2]) / 2, columns) in here]
            if not held:
                continue
            text = union(x.box for x in held)
            span = _under(text, short, extents) or _centred(text, cell, extents, taken, next_row, held[0].size)
            if span and not set(range(span[0], span[1] + 1)) & (taken - here):
                out[out.index(cell)] = Cell(number, span[0], span[1] - span[0] + 1, cell.text)
                taken |= set(range(span[0], span[1] + 1))
    return _deep(out, head)


def _equal_parts(
    own: Sequence[Cell],
    below: Sequence[int],
    extents: Sequence[tuple[float, float] | None],
    row: Sequence[TextLine],
    columns: Sequence[float],
) -> list[Cell]:
    """The headings of a row with the columns below them shared out evenly, where each then stands over its own; nothing
    where that is not so."""
    over = [c for c in own if c.column in below]
    if not over or any(c.across > 1 for c in over) or len(below) % len(over) or below[-1] - below[0] + 1 != len(below):
        return []
    each = len(below) // len(over)
    out = [c for c in own if c not in over]
    for k, cell in enumerate(over):
        first, last = below[k * each], below[(k + 1) * each - 1]
        left, right = extents[first], extents[last]
        held = [x for x in row if place((x.box[0] + x.box[2]) / 2, columns) in range(first, last + 1)]
        over_others = any(c.column in range(first, last + 1) for c in out)
        if not left or not right or not held or over_others or not first <= cell.column <= last:
            return []
        text = union(x.box for x in held)
        if not left[0] - 1 <= (text[0] + text[2]) / 2 <= right[1] + 1:
            return []
        out.append(Cell(cell.row, first, each, cell.text))
    return out


def _extents(rows: Sequence[Sequence[TextLine]], columns: Sequence[float]) -> list[tuple[float, float] | None]:
    """From where to where the text of each column stands, leaving out what goes over several."""
    found: list[list[TextLine]] = [[] for _ in columns[1:]]
    for row in rows:
        for line in row:
            first, last = cell_columns(line, columns)
            if first == last:
                found[first].append(line)
    return [(min(x.box[0] for x in held), max(x.box[2] for x in held)) if held else None for held in found]


def _filled_with_values(cells: Sequence[Cell], number: int) -> bool:
    texts = [c.text for c in cells if c.row == number and c.column > 0]
    return sum(is_value(t) and not _year(t) for t in texts) > 0.5 * len(texts) if texts else False


def _year(text: str) -> bool:
    return len(text) == 4 and text.isdigit() and text[:2] in ("18", "19", "20")


def _under(
    text: Box, rules: Sequence[Box], extents: Sequence[tuple[float, float] | None]
) -> tuple[int, int] | None:
    """The columns over which a short rule under the heading goes."""
    middle = (text[0] + text[2]) / 2
    for rule in rules:
        if rule[0] < middle < rule[2]:
            over = [k for k, e in enumerate(extents)
                    if e and min(e[1], rule[2]) - max(e[0], rule[0]) > 0.5 * (e[1] - e[0])]
            if len(over) >= 2:
                return over[0], over[-1]
    return None


def _centred(
    text: Box,
    cell: Cell,
    extents: Sequence[tuple[float, float] | None],
    taken: set[int],
    wanted: set[int],
    size: float,
) -> tuple[int, int] | None:
    """The columns, free but for the cell's own, over whose middle the heading stands."""
    middle = (text[0] + text[2]) / 2
    own = set(range(cell.column, cell.column + cell.across))
    alone = extents[cell.column] if cell.across == 1 else None
    if alone:
        aside = abs((alone[0] + alone[1]) / 2 - middle), abs(alone[0] - text[0]), abs(alone[1] - text[2])
        if min(aside) < 0.5 * size:
            return None
    best: tuple[float, tuple[int, int]] | None = None
    for first in range(len(extents)):
        for last in range(first + 1, len(extents)):
            over = set(range(first, last + 1))
            left, right = extents[first], extents[last]
            if not left or not right or not own & over or (over - own) & taken or not over <= wanted:
                continue
            before = extents[first - 1] if first else None
            after = extents[last + 1] if last + 1 < len(extents) else None
            middles = [(left[0] + right[1]) / 2]
            middles += [(before[1] + right[1]) / 2] if before and first > 1 else []
            middles += [(left[0] + after[0]) / 2] if after else []
            off = min(abs(x - middle) for x in middles)
            if off < 1.0 * size and (best is None or off < best[0]):
                best = off, (first, last)
    return best[1] if best else None


def _deep(cells: Sequence[Cell], head: int) -> list[Cell]:
    """The cells, with a heading beside one over several columns going down to the row below, where that is empty."""
    out = list(cells)
    wide = [c for c in out if c.row < head and c.across > 1]
    if not wide or wide[0].row + 1 > head:
        return out
    row = wide[0].row
    filled = {(c.row + i, c.column + j) for c in out for i in range(c.down) for j in range(c.across)}
    if row + 1 >= max(c.row for c in out):
        return out
    for cell in [c for c in out if c.row == row and c.across == 1]:
        if (row + 1, cell.column) not in filled:
            out[out.index(cell)] = replace(cell, down=2)
    return out
