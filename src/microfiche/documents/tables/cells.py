"""What a table says: its cells as rules draw them, or else as the alignment of its text makes them, or as a model sees
them where neither is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from PIL import Image

from microfiche.documents.boxes import union, within
from microfiche.documents.tables.dividing import divided
from microfiche.documents.tables.grid import (
    JOIN,
    MOST,
    THIN,
    Cell,
    Drawn,
    cell_text,
    drawn_cells,
    merged,
    positions,
    spread,
    table_text,
    without_letters,
)
from microfiche.documents.tables.lost_rules import mended
from microfiche.documents.tables.outer_rows import parted
from microfiche.documents.tables.slanet import doubtful, filled, seen_cells
from microfiche.documents.tables.text_cells import form_cells, text_cells
from microfiche.documents.tables.text_grid import column_borders, continued_rows, text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

AGREED = 0.85  #: how well the cells that a model sees agree with the lines, from which they are believed


def table(
    lines: Sequence[TextLine], rules: Sequence[Box], box: Box, picture: Image.Image | None = None
) -> str:
    """The table in `box` that `lines` make up, as Markdown; as HTML if a cell spans columns or rows.

    `picture` is the page's: a model looks at it where the lines were recognised and what rules and alignment make of
    them is doubtful.
    """
    if not lines:
        return ""
    cells, count = _cells(lines, rules, box)
    if picture is not None and any(x.confidence < 1 for x in lines) and doubtful(cells, count):
        seen, agreement = filled(seen_cells(picture, box), lines)
        wide = max((c.column + c.across for c in seen), default=0)
        if agreement >= AGREED and not doubtful(seen, wide):
            cells, count = seen, wide
    return table_text(cells, count)


def _cells(lines: Sequence[TextLine], rules: Sequence[Box], box: Box) -> tuple[list[Cell], int]:
    """The cells of a table as rules draw them, or else as its text makes them, and how many columns it has."""
    size = median(line.size for line in lines)
    inside = [
        r for r in merged([r for r in rules if within(r, box, 8)])
        if (r[3] - r[1] >= 0.9 * size if r[0] == r[2] else r[2] - r[0] >= 1.5 * size)
    ]
    inside = without_letters(inside, lines) if len(inside) <= MOST else []
    columns, rows = _drawn_borders(lines, inside, box, size)
    if len(columns) >= 3 and len(rows) >= 3:
        uprights = [r for r in inside if r[0] == r[2]]
        parts = [part for line in lines for part in divided(line, _over(line, uprights), always=True)]
        parts, columns, rows, inside = mended(parts, inside, columns, rows)
        drawn = parted(drawn_cells(parts, inside, columns, rows), inside, columns)
        if form := form_cells(drawn):
            return form, 2
        if _closed(drawn):
            cells = [Cell(c.row, c.column, c.across, cell_text(c.lines), c.down) for c in drawn]
            return cells, len(columns) - 1
    return text_cells(lines, inside, columns, box)


def _over(line: TextLine, uprights: Sequence[Box]) -> list[float]:
    return sorted(r[0] for r in uprights if r[1] < line.middle < r[3])


def _drawn_borders(
    lines: Sequence[TextLine], rules: Sequence[Box], box: Box, size: float
) -> tuple[list[float], list[float]]:
    """The borders of columns and of rows that rules draw; a side that is open is closed where its rules or its text
    end."""
    uprights, levels = ([r for r in rules if r[axis] == r[axis + 2]] for axis in (0, 1))
    tall = [sum(r[3] - r[1] for r in uprights if abs(r[0] - x) <= JOIN) for x in positions(uprights, 0)]
    if max(tall, default=0.0) < 0.5 * (box[3] - box[1]):
        uprights = []
    around = union(line.box for line in lines)
    out = []
    for axis, across, along in ((0, uprights, levels), (1, levels, uprights)):
        at = spread(positions(across, axis), THIN * size)
        if at:
            low = min([around[axis], *(r[axis] for r in along)])
            high = max([around[axis + 2], *(r[axis + 2] for r in along)])
            if around[axis] < at[0] - 0.3 * size:
                at = [low, *at]
            if around[axis + 2] > at[-1] + 0.3 * size:
                at = [*at, high]
        out.append(at)
    return out[0], out[1]


def _closed(cells: Sequence[Drawn]) -> bool:
    """Whether rules part the cells of a grid, rather than only its head from what would be many rows of its body."""
    crowded = every = 0
    for row in sorted({cell.row for cell in cells}):
        band = [cell for cell in cells if cell.row == row and cell.lines]
        lines = [line for cell in band for line in cell.lines]
        every += len(lines)
        if any(_several(cell.lines, cell.box) for cell in band):
            crowded += len(lines)
            continue
        flat = [cell for cell in band if cell.down == 1]
        borders = [cell.box[0] for cell in flat] + [cell.box[2] for cell in flat[-1:]]
        own = [line for cell in flat for line in cell.lines]
        if len(flat) >= 2 and len(continued_rows(text_rows(own), borders)) >= 3:
            crowded += len(lines)
    bands = {cell.row for cell in cells if cell.lines}
    return crowded <= 0.5 * every or (len(bands) >= 5 and crowded <= 0.8 * every)


def _several(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether the lines of one drawn cell are rows of several cells."""
    rows = text_rows(lines)
    several = [row for row in rows if len(row) > 1]
    return len(several) >= 3 and len(several) >= 0.6 * len(rows) and len(column_borders(lines, box)) >= 3
