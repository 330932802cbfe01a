"""Tables, figures and formulas: what is one block on a page, whatever stands in it; and the cells of tables.

Rules decide where a table's cells are; where there are none, the empty strips between columns do.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, takewhile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import area, share, touch, union, within
from microfiche.documents.document import Kind
from microfiche.documents.text_lines import Region, TextLine
from microfiche.page import Box

CAPTION = re.compile(r"^(figure|fig\.|table|plate|图|表)\s*\d+\s*[.:：]", re.IGNORECASE)
RULE = 0.6  #: of a row or a column of pixels, from which it is a rule across the whole
THICK = 6  #: px: what is thicker is no rule
SMALL = 0.9  #: of the type of running text: the labels in a figure are not larger
MOST = 400  #: rules of a page's tables
JOIN = 3.0  #: px: rules nearer than this are one


def solids(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    rules: Sequence[Box],
    images: Sequence[Box],
    picture: Image.Image,
    body: float,
) -> list[tuple[Kind, Box]]:
    """The tables, figures and formulas of a page whose running text has the size `body`."""
    page = picture.width * picture.height
    found: list[tuple[Kind, Box]] = [("table", box) for box in ruled(rules)]
    found += [("figure", box) for box in images if 0.01 * page < area(box) < 0.85 * page]
    for region in regions:
        if region.kind not in ("table", "figure", "formula") or any(share(region.box, box) > 0.5 for _, box in found):
            continue
        kind, box = region.kind, region.box
        held = [line for line in lines if share(line.box, box) > 0.5]
        if kind == "figure" and held and not _drawn(picture, box, lines):
            kind = "table"
        if kind == "table" and column_count(held, box) == 1:  # its other columns may not have been seen
            others = [r.box for r in regions if r is not region]
            free = [line for line in lines if not any(share(line.box, other) > 0.5 for other in others)]
            rows = [line for line in free if any(abs(line.middle - x.middle) < 0.4 * x.size for x in held)]
            box = union([box, *(line.box for line in rows)])
            if column_count(rows, box) == 1:
                continue
        inside = [f for f in found if share(f[1], box) > 0.8]
        found = [f for f in found if f not in inside] + [(kind, union([box, *(b for _, b in inside)]))]
    return [(kind, _with_labels(box, lines, body) if kind == "figure" else box) for kind, box in found]


def _with_labels(box: Box, lines: Sequence[TextLine], body: float) -> Box:
    """A figure's box, extended to the lines of small type that stand between it and its caption."""
    under = [x for x in lines if box[3] < x.middle < box[3] + 4 * body and box[0] < x.box[2] and x.box[0] < box[2]]
    captions = [x.middle for x in under if CAPTION.match(x.text)]
    labels = [x.box for x in under if captions and x.middle < min(captions) and x.size < SMALL * body]
    return union([box, *labels])


def _drawn(picture: Image.Image, box: Box, lines: Sequence[TextLine]) -> bool:
    """Whether anything but `lines` and the rules between them is drawn in `box`."""
    left, top, right, bottom = map(round, box)
    grey = np.asarray(picture.convert("L").crop((left, top, right, bottom))) < 200
    whole = int(grey.sum())
    ink = grey & ~_thin(grey.mean(axis=1) > RULE)[:, None] & ~_thin(grey.mean(axis=0) > RULE)[None]
    for line in lines:
        left, top, right, bottom = (round(v - box[k % 2]) for k, v in enumerate(line.box))
        ink[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = False
    return int(ink.sum()) > 0.15 * whole


def _thin(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) `marks` without runs of more than THICK of them."""
    runs = [list(run) for _, run in groupby(marks.tolist())]
    return np.array([mark and len(run) <= THICK for run in runs for mark in run], np.bool_)


def with_fractions(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[TextLine]:
    """A formula's pieces from the left; what stands over and under a bar becomes (over)/(under)."""
    lines = list(lines)
    for left, y, right, below in rules:
        along = [x for x in lines if left - x.size < x.box[0] and x.box[2] < right + x.size]
        over, under = ([x for x in along if (x.middle < y) == above and abs(x.middle - y) < 1.5 * x.size]
                       for above in (True, False))
        if y == below and over and under:
            text = "/".join(_bracketed(" ".join(x.text for x in several)) for several in (over, under))
            held = [*over, *under]
            lines = [x for x in lines if x not in held]
            lines.append(replace(held[0], text=text, box=union([x.box for x in held])))
    return sorted(lines, key=lambda x: x.box[0])


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


@dataclass(frozen=True)
class Cell:
    """A cell that begins in `row` and `column`, both from 0, and goes over `across` columns and `down` rows."""

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


def ruled(rules: Sequence[Box]) -> list[Box]:
    """The boxes of the grids that rules draw, of two rows and two columns at least; none on a page of more than MOST
    rules, which is a drawing."""
    rules = merged(rules)
    if len(rules) > MOST:
        return []
    groups: list[list[Box]] = []
    for rule in rules:
        near = [g for g in groups if any(touch(rule, other, JOIN) for other in g)]
        groups = [g for g in groups if g not in near] + [[rule, *(r for g in near for r in g)]]
    found = []
    for group in groups:
        across, down = _positions(group, 0), _positions(group, 1)
        if len(across) >= 3 and len(down) >= 3:
            found.append(union(group))
    return found


def table(lines: Sequence[TextLine], rules: Sequence[Box], box: Box) -> str:
    """The table in `box` that `lines` make up, as Markdown; as HTML if a cell spans columns or rows."""
    inside = merged([r for r in rules if within(r, box, 8)])
    columns = _positions(inside, 0)
    rows = _positions(inside, 1)
    if len(columns) >= 3 and len(rows) >= 3 and len(inside) <= MOST and not _crowded(lines, rows):
        return table_text(_ruled_cells(lines, inside, columns, rows), len(columns) - 1)
    if len(columns) < 3:
        columns = _gaps(lines, box)
    if len(rows) < 3 or _crowded(lines, rows):
        rows = _bands(lines, box)
    cells: dict[tuple[int, int, int], list[TextLine]] = {}
    for line in lines:
        first, last = _at(line.box[0] + 0.3 * line.size, columns), _at(line.box[2] - 0.3 * line.size, columns)
        cells.setdefault((_at(line.middle, rows), first, max(1, last - first + 1)), []).append(line)
    return table_text([Cell(*key, text=_text(held)) for key, held in sorted(cells.items())], len(columns) - 1)


def _ruled_cells(
    lines: Sequence[TextLine], rules: Sequence[Box], columns: Sequence[float], rows: Sequence[float]
) -> list[Cell]:
    """The cells of a grid of rules; two with no rule between them are one."""

    def parted(row: int, column: int, axis: int) -> bool:
        """Whether a rule lies between a place and the next one to its right (axis 0) or below it (axis 1)."""
        border = columns[column + 1] if axis == 0 else rows[row + 1]
        middle = (rows[row] + rows[row + 1]) / 2 if axis == 0 else (columns[column] + columns[column + 1]) / 2
        return any(
            abs(r[axis] - border) <= JOIN and abs(r[axis + 2] - border) <= JOIN
            and r[1 - axis] <= middle <= r[3 - axis]
            for r in rules
        )

    held: dict[tuple[int, int], list[TextLine]] = {}
    for line in lines:
        held.setdefault((_at(line.middle, rows), _at((line.box[0] + line.box[2]) / 2, columns)), []).append(line)
    cells: list[Cell] = []
    taken: set[tuple[int, int]] = set()
    for row in range(len(rows) - 1):
        for column in range(len(columns) - 1):
            if (row, column) in taken:
                continue
            right, below = column + 1, row + 1
            while right < len(columns) - 1 and not parted(row, right - 1, 0) and (row, right) not in taken:
                right += 1
            while below < len(rows) - 1 and not parted(below - 1, column, 1):
                below += 1
            places = [(i, j) for i in range(row, below) for j in range(column, right)]
            taken.update(places)
            text = _text([line for place in places for line in held.get(place, [])])
            cells.append(Cell(row, column, right - column, text, below - row))
    return cells


def column_count(lines: Sequence[TextLine], box: Box) -> int:
    """How many columns the gaps between `lines` make in `box`."""
    return len(_gaps(lines, box)) - 1


def table_text(cells: Sequence[Cell], columns: int) -> str:
    """Cells as a Markdown table, or as HTML where one spans columns or rows."""
    numbers = sorted({cell.row for cell in cells})
    if any(cell.across > 1 or cell.down > 1 for cell in cells):
        out = ["<table>"]
        taken: set[tuple[int, int]] = set()
        for number in numbers:
            out.append("<tr>")
            begin = {cell.column: cell for cell in cells if cell.row == number}
            for column in range(columns):
                if cell := begin.get(column):
                    spans = "".join(
                        f' {name}="{n}"' for name, n in (("colspan", cell.across), ("rowspan", cell.down)) if n > 1
                    )
                    out.append(f"<td{spans}>{html.escape(cell.text, quote=False)}</td>")
                    taken |= {(number + i, column + j) for i in range(cell.down) for j in range(cell.across)}
                elif (number, column) not in taken:
                    out.append("<td></td>")
            out.append("</tr>")
        return "".join([*out, "</table>"])
    rows = []
    for number in numbers:
        row = [""] * columns
        for cell in cells:
            if cell.row == number:
                row[cell.column] = f"{row[cell.column]} {cell.text}".strip().replace("|", "\\|")
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join([*rows[:1], "|" + " --- |" * columns, *rows[1:]])


def _text(lines: Sequence[TextLine]) -> str:
    return " ".join(line.text.replace("\u00ad", "") for line in sorted(lines, key=lambda x: (x.middle, x.box[0])))


def _positions(rules: Sequence[Box], axis: int) -> list[float]:
    """The places of the rules across an axis (0: upright ones, by x; 1: level ones, by y), in rising order."""
    at = sorted((r[axis] + r[axis + 2]) / 2 for r in rules if r[axis + 2] - r[axis] <= JOIN)
    return [x for i, x in enumerate(at) if i == 0 or x - at[i - 1] > JOIN]


def _gaps(lines: Sequence[TextLine], box: Box) -> list[float]:
    """Borders between columns: strips that no line crosses, or only few do (a heading over several columns)."""
    allowed = (len(_bands(lines, box)) - 1) // 4
    edges = sorted([(line.box[0], 1) for line in lines] + [(line.box[2], -1) for line in lines])
    borders, strips, depth = [], [], 0  # strips: (lines crossing, -width, middle), of one gap
    for (x, step), (after, _) in pairwise(edges):
        depth += step
        if depth <= allowed:
            if after - x > 2:
                strips.append((depth, x - after, (x + after) / 2))
        elif strips:
            borders.append(min(strips)[2])
            strips = []
    first = min((line.box[2] for line in lines), default=box[0])
    return [box[0], *(b for b in borders if b > first), box[2]]


def _bands(lines: Sequence[TextLine], box: Box) -> list[float]:
    """Borders between rows: midway between lines that do not overlap in height."""
    borders, end = [], float("-inf")
    for line in sorted(lines, key=lambda x: x.middle):
        if line.middle > end:
            if end > float("-inf"):
                borders.append((end + line.middle) / 2)
            end = line.middle
        end = max(end, line.middle + 0.35 * (line.box[3] - line.box[1]))
    return [box[1], *borders, box[3]]


def _crowded(lines: Sequence[TextLine], rows: Sequence[float]) -> bool:
    """Whether rules separate so few rows (only head and foot, say) that most of the table would fall into one."""
    held = [0] * len(rows)
    for line in lines:
        held[_at(line.middle, rows)] += 1
    return len(lines) > 6 and max(held) > 0.5 * len(lines)


def _at(x: float, borders: Sequence[float]) -> int:
    return max(0, min(len(borders) - 2, sum(x >= b for b in borders) - 1))
