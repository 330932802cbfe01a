"""The cells of a table: as rules draw them, and as Markdown or HTML.

It knows nothing of where on a page a table is, nor of how cells are found where no rules are. Boxes are in pixels.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

import numpy as np

from microfiche.documents import inline
from microfiche.documents.boxes import touch, union
from microfiche.documents.inline import continued, markdown
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

MOST = 400  #: rules of a page's tables
JOIN = 3.0  #: px: rules nearer than this are one
OPEN = 12.0  #: px by which rules stick out over the outermost one across them, at least, where that side is open
TALL = 4.0  #: heights of a line: no stroke of a letter is so high
THIN = 0.55  #: of the size of type: what lies between two rules that are nearer holds no text


@dataclass(frozen=True)
class Cell:
    """A cell that begins in `row` and `column`, both from 0, and goes over `across` columns and `down` rows.

    `text` is plain, with the marks of `inline`.
    """

    row: int
    column: int
    across: int
    text: str
    down: int = 1


def merged(rules: Sequence[Box]) -> list[Box]:
    """The rules, with those joined that lie in one line and touch, as borders of cells drawn one by one do."""
    out: list[Box] = []
    for axis in (0, 1):  # upright ones, by x; level ones, by y
        along = sorted((r for r in rules if r[axis] == r[axis + 2]), key=lambda r: r[axis])
        while along:
            at = along[0][axis]
            line = [r for r in takewhile(lambda r: r[axis] - at <= JOIN, along)]  # noqa: B023
            along = along[len(line) :]
            ends = sorted((r[1 - axis], r[3 - axis]) for r in line)
            low, high = ends[0]
            for start, end in [*ends[1:], (float("inf"), 0.0)]:
                if start > high + JOIN:
                    out.append((at, low, at, high) if axis == 0 else (low, at, high, at))
                    low, high = start, end
                high = max(high, end)
    return out


def without_letters(rules: Sequence[Box], lines: Sequence[TextLine]) -> list[Box]:
    """The rules without those that are for the most part in lines of text: strokes of letters, or leaders. An upright
    one much higher than a line is neither: it parts cells that were recognised as one line."""
    left, top, right, bottom, size = np.array([(*x.box, x.size) for x in lines], float).reshape(-1, 5).T
    out = []
    for rule in rules:
        upright = rule[0] == rule[2]
        if upright:
            inside = (left + 0.2 * size < rule[0]) & (rule[0] < right - 0.2 * size)
            over = np.minimum(rule[3], bottom) - np.maximum(rule[1], top)
        else:
            high = bottom - top
            inside = (top + 0.15 * high < rule[1]) & (rule[1] < top + 0.85 * high)
            over = np.minimum(rule[2], right) - np.maximum(rule[0], left)
        tall = upright and inside.any() and rule[3] - rule[1] > TALL * float(np.median((bottom - top)[inside]))
        if tall or over[inside].clip(0).sum() <= 0.5 * (rule[2] - rule[0] + rule[3] - rule[1]):
            out.append(rule)
    return out


def ruled(rules: Sequence[Box]) -> list[Box]:
    """The boxes of the grids that rules draw, of two rows and two columns at least, though open at the sides; none
    on a page of more than MOST rules, which is a drawing."""
    rules = merged(rules)
    if len(rules) > MOST:
        return []
    groups: list[list[Box]] = []
    for rule in rules:
        near = [g for g in groups if any(touch(rule, other, JOIN) for other in g)]
        groups = [g for g in groups if g not in near] + [[rule, *(r for g in near for r in g)]]
    found = []
    for group in groups:
        across, down = borders_of(group)
        if len(across) >= 3 and len(down) >= 3:
            found.append(union(group))
    return found


def borders_of(rules: Sequence[Box]) -> tuple[list[float], list[float]]:
    """The borders of columns and of rows that rules draw; a side that is open is where the rules across it end, if more
    than one of several end there."""
    out = []
    for axis in (0, 1):
        at = positions(rules, axis)
        along = [r for r in rules if r[3 - axis] - r[1 - axis] <= JOIN]
        for k, edge in ((0, min), (-1, max)):
            ends = [r[axis if k == 0 else axis + 2] for r in along]
            end = edge(ends, default=0.0)
            same = sum(abs(x - end) <= JOIN for x in ends)
            out_by = (at[0] - end if k == 0 else end - at[-1]) if at else 0.0
            if out_by > OPEN and len(rules) > 2 and same >= min(2, len(ends)):
                at = [end, *at] if k == 0 else [*at, end]
        out.append(at)
    return out[0], out[1]


def positions(rules: Sequence[Box], axis: int) -> list[float]:
    """The places of the rules across an axis (0: upright ones, by x; 1: level ones, by y), in rising order."""
    at = sorted((r[axis] + r[axis + 2]) / 2 for r in rules if r[axis + 2] - r[axis] <= JOIN)
    return [x for i, x in enumerate(at) if i == 0 or x - at[i - 1] > JOIN]


def place(x: float, borders: Sequence[float]) -> int:
    """Which of the strips between `borders` (rising, two at least) holds `x`; the outer ones hold what is outside."""
    return max(0, min(len(borders) - 2, bisect_right(borders, x) - 1))


def spread(borders: Sequence[float], least: float) -> list[float]:
    """The borders without those that lie less than `least` after another."""
    out: list[float] = []
    for x in borders:
        if not out or x - out[-1] >= least:
            out.append(x)
    return out


@dataclass(frozen=True)
class Drawn:
    """A cell as rules draw it: its place in the grid, its box, and the lines in it."""

    row: int
    column: int
    down: int
    across: int
    box: Box
    lines: tuple[TextLine, ...]


def drawn_cells(
    lines: Sequence[TextLine], rules: Sequence[Box], columns: Sequence[float], rows: Sequence[float]
) -> list[Drawn]:
    """The cells of the grid whose borders stand at `columns` and `rows`; two with no rule between them are one."""
    wide, high = len(columns) - 1, len(rows) - 1
    drawn = np.array(rules, float).reshape(-1, 4)
    along = [drawn[drawn[:, axis + 2] - drawn[:, axis] <= JOIN] for axis in (0, 1)]
    reach = max(JOIN, 0.4 * min(b - a for at in (columns, rows) for a, b in pairwise(at)))
    near = [
        [its[np.abs((its[:, axis] + its[:, axis + 2]) / 2 - border) <= reach] for border in borders]
        for axis, its, borders in ((0, along[0], columns), (1, along[1], rows))
    ]

    def parted(row: int, column: int, axis: int) -> bool:
        """Whether a rule lies between a place and the next one to its right (axis 0) or below it (axis 1)."""
        its = near[axis][(column, row)[axis] + 1]
        low, end = (rows[row], rows[row + 1]) if axis == 0 else (columns[column], columns[column + 1])
        over = np.minimum(end, its[:, 3 - axis]) - np.maximum(low, its[:, 1 - axis])
        return bool((over > 0.5 * (end - low)).any())

    group = {(i, j): [(i, j)] for i in range(high) for j in range(wide)}
    for i, j in list(group):
        for axis, other in ((0, (i, j + 1)), (1, (i + 1, j))):
            if other in group and group[other] is not group[i, j] and not parted(i, j, axis):
                into, gone = sorted((group[i, j], group[other]), key=len, reverse=True)
                into += gone
                group |= dict.fromkeys(gone, into)
    spans: list[tuple[int, int, int, int]] = []  # row, column, row after, column after
    for held in {id(its): its for its in group.values()}.values():
        top, left = min(i for i, _ in held), min(j for _, j in held)
        below, right = max(i for i, _ in held) + 1, max(j for _, j in held) + 1
        if len(held) == (below - top) * (right - left):
            spans.append((top, left, below, right))
        else:  # no rectangle: a border is missing by mistake
            spans += [(i, j, i + 1, j + 1) for i, j in held]
    inside: dict[tuple[int, int], list[TextLine]] = {}
    for line in lines:
        inside.setdefault((place(line.middle, rows), place((line.box[0] + line.box[2]) / 2, columns)), []).append(line)
    return [
        Drawn(top, left, below - top, right - left, (columns[left], rows[top], columns[right], rows[below]),
              tuple(x for i in range(top, below) for j in range(left, right) for x in inside.get((i, j), ())))
        for top, left, below, right in sorted(spans)
    ]


def cell_text(lines: Sequence[TextLine]) -> str:
    """The lines of one cell, from the top and within a row from the left, as one plain text.

    U+00AD at the end of a line stays, with no space after it.
    """
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda x: x.middle):
        if rows and abs(line.middle - rows[-1][0].middle) < 0.4 * max(line.size, rows[-1][0].size):
            rows[-1].append(line)
        else:
            rows.append([line])
    text = ""
    for line in (line for row in rows for line in sorted(row, key=lambda x: x.box[0])):
        whole = continued(text, line.text)
        text = whole or text + (line.text if not text or text.endswith("\u00ad") else f" {line.text}")
    return text


def table_text(cells: Sequence[Cell], columns: int) -> str:
    """Cells as a Markdown table, or as HTML where one spans columns or rows.

    Rows and columns without any text at the edges of the table are left out, and spans end where the table does.
    """
    cells, columns = _trimmed(_apart(cells), columns)
    if not cells:
        return ""
    numbers = list(range(max(cell.row for cell in cells) + 1))
    if any(cell.across > 1 or cell.down > 1 for cell in cells):
        begin = {(cell.row, cell.column): cell for cell in cells}
        out = ["<table>"]
        taken: set[tuple[int, int]] = set()
        for number in numbers:
            out.append("<tr>")
            for column in range(columns):
                if (number, column) in taken:
                    continue
                if cell := begin.get((number, column)):
                    spans = "".join(
                        f' {name}="{n}"' for name, n in (("colspan", cell.across), ("rowspan", cell.down)) if n > 1
                    )
                    out.append(f"<td{spans}>{inline.html(cell.text)}</td>")
                    taken |= {(number + i, column + j) for i in range(cell.down) for j in range(cell.across)}
                else:
                    out.append("<td></td>")
            out.append("</tr>")
        return "".join([*out, "</table>"])
    rows = []
    texts = {(cell.row, cell.column): _pipe_cell(cell.text) for cell in cells}
    for number in numbers:
        row = [texts.get((number, column), "") for column in range(columns)]
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join([*rows[:1], "|" + " --- |" * columns, *rows[1:]])


def _apart(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, those that begin in one place put together, and none over a place where another begins."""
    found: dict[tuple[int, int], Cell] = {}
    for cell in cells:
        place = cell.row, cell.column
        other = found.get(place)
        found[place] = replace(other, text=f"{other.text} {cell.text}".strip(), down=1) if other else cell
    out = []
    for (row, column), cell in found.items():
        across = next((j for j in range(1, cell.across) if (row, column + j) in found), cell.across)
        under = range(column, column + across)
        down = next((i for i in range(1, cell.down) if any((row + i, k) in found for k in under)), cell.down)
        out.append(replace(cell, across=across, down=down))
    return out


def _trimmed(cells: Sequence[Cell], columns: int) -> tuple[list[Cell], int]:
    """The cells, with rows and columns taken out in which no text begins and none goes over, and their columns."""
    filled = [cell for cell in cells if cell.text.strip()]
    if not filled:
        return [], 0
    keep_rows = sorted({cell.row for cell in filled})
    keep_columns = sorted({cell.column for cell in filled})
    first, last = keep_rows[0], keep_rows[-1]
    row_at = {i: sum(kept < i for kept in keep_rows) for i in range(max(c.row + c.down for c in cells) + 1)}
    column_at = {j: sum(kept < j for kept in keep_columns) for j in range(max(c.column + c.across for c in cells) + 1)}
    out = []
    for cell in cells:
        if first <= cell.row <= last and cell.row in keep_rows and cell.column in keep_columns:
            row, column = row_at[cell.row], column_at[cell.column]
            across = column_at[min(cell.column + cell.across, columns)] - column
            down = row_at[cell.row + cell.down] - row
            out.append(Cell(row, column, max(1, across), cell.text, max(1, down)))
    return out, len(keep_columns)


def _pipe_cell(text: str) -> str:
    """Plain text as a cell of a Markdown table: one line, with its bars escaped."""
    shown = re.sub(r" *\n", "<br>", markdown(" ".join(text.split()))).strip()
    return re.sub(r"(\\*)\|", lambda m: m[0] if len(m[1]) % 2 else f"{m[1]}\\|", shown)
