"""A table's cells from the pieces of text that stand in it and the rules drawn around them.

Rules decide where there are any, the empty strips between columns where there are none.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from microfiche.documents.lines import Line, union
from microfiche.documents.sheet import Box

JOIN = 3.0  #: px: rules nearer than this are one


@dataclass(frozen=True)
class Cell:
    """A cell from `row` and `column`, both from 0, over so many columns to the right."""

    row: int
    column: int
    across: int
    text: str


def ruled(rules: Sequence[Box]) -> list[Box]:
    """The boxes of the grids that rules draw: two rows and two columns at least."""
    groups: list[list[Box]] = []
    for rule in rules:
        near = [g for g in groups if any(_touch(rule, other) for other in g)]
        groups = [g for g in groups if g not in near] + [[rule, *(r for g in near for r in g)]]
    found = []
    for group in groups:
        across, down = _positions(group, 0), _positions(group, 1)
        if len(across) >= 3 and len(down) >= 3:
            found.append(union(group))
    return found


def table(lines: Sequence[Line], rules: Sequence[Box], box: Box) -> str:
    """The table in `box` that `lines` make up, as Markdown; as HTML if a cell spans columns."""
    inside = [r for r in rules if _inside(r, box)]
    columns = _positions(inside, 0)
    rows = _positions(inside, 1)
    if len(columns) < 3:
        columns = _gaps(lines, box)
    if len(rows) < 3 or _crowded(lines, rows):
        rows = _bands(lines, box)
    cells: dict[tuple[int, int, int], list[Line]] = {}
    for line in lines:
        first, last = _at(line.box[0] + 0.3 * line.size, columns), _at(line.box[2] - 0.3 * line.size, columns)
        cells.setdefault((_at(line.middle, rows), first, max(1, last - first + 1)), []).append(line)
    return written([Cell(*key, text=_text(held)) for key, held in sorted(cells.items())], len(columns) - 1)


def width(lines: Sequence[Line], box: Box) -> int:
    """How many columns the gaps between `lines` make in `box`."""
    return len(_gaps(lines, box)) - 1


def written(cells: Sequence[Cell], columns: int) -> str:
    """Cells as a Markdown table, or as HTML where one spans columns."""
    numbers = sorted({cell.row for cell in cells})
    if any(cell.across > 1 for cell in cells):
        out = ["<table>"]
        for number in numbers:
            out.append("<tr>")
            at = 0
            for cell in (c for c in cells if c.row == number):
                out += ["<td></td>"] * (cell.column - at)
                span = f' colspan="{cell.across}"' if cell.across > 1 else ""
                out.append(f"<td{span}>{html.escape(cell.text, quote=False)}</td>")
                at = cell.column + cell.across
            out += ["<td></td>"] * (columns - at) + ["</tr>"]
        return "".join([*out, "</table>"])
    rows = []
    for number in numbers:
        row = [""] * columns
        for cell in cells:
            if cell.row == number:
                row[cell.column] = f"{row[cell.column]} {cell.text}".strip().replace("|", "\\|")
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join([*rows[:1], "|" + " --- |" * columns, *rows[1:]])


def _text(lines: Sequence[Line]) -> str:
    return " ".join(line.text.replace("\u00ad", "") for line in sorted(lines, key=lambda x: (x.middle, x.box[0])))


def _positions(rules: Sequence[Box], axis: int) -> list[float]:
    """Where rules across the axis (0: upright ones, by x; 1: level ones, by y) stand, rising."""
    at = sorted((r[axis] + r[axis + 2]) / 2 for r in rules if r[axis + 2] - r[axis] <= JOIN)
    return [x for i, x in enumerate(at) if i == 0 or x - at[i - 1] > JOIN]


def _gaps(lines: Sequence[Line], box: Box) -> list[float]:
    """Borders between columns: strips that no line crosses, or few (a heading over several columns)."""
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


def _bands(lines: Sequence[Line], box: Box) -> list[float]:
    """Borders between rows: midway between lines that do not overlap in height."""
    borders, end = [], float("-inf")
    for line in sorted(lines, key=lambda x: x.middle):
        if line.middle > end:
            if end > float("-inf"):
                borders.append((end + line.middle) / 2)
            end = line.middle
        end = max(end, line.middle + 0.35 * (line.box[3] - line.box[1]))
    return [box[1], *borders, box[3]]


def _crowded(lines: Sequence[Line], rows: Sequence[float]) -> bool:
    """Whether rules part so few rows (only head and foot, say) that most of the table would fall into one."""
    held = [0] * len(rows)
    for line in lines:
        held[_at(line.middle, rows)] += 1
    return len(lines) > 6 and max(held) > 0.5 * len(lines)


def _at(x: float, borders: Sequence[float]) -> int:
    return max(0, min(len(borders) - 2, sum(x >= b for b in borders) - 1))


def _touch(a: Box, b: Box) -> bool:
    return all(a[k] - JOIN <= b[k + 2] and b[k] - JOIN <= a[k + 2] for k in (0, 1))


def _inside(rule: Box, box: Box) -> bool:
    return (
        box[0] - 8 <= rule[0] and rule[2] <= box[2] + 8 and box[1] - 8 <= rule[1] and rule[3] <= box[3] + 8
    )
