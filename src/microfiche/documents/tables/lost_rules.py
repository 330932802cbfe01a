"""The rules that a scanner lost within a grid, as its text shows them to be missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from microfiche.documents.tables.dividing import divided
from microfiche.documents.tables.grid import JOIN, Drawn, drawn_cells
from microfiche.documents.tables.text_grid import CLOSE, column_borders, continued_rows, is_value, text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

FAR = 1.9  #: ems from one line to the next, from which they are not of one cell if a border passes
ROWS = 0.5  #: of the cells between two rules, that hold rows with values of their own where a rule was lost, at least
CLOSED = 0.8  #: of a table's width, from which a level rule closes a row


def mended(
    lines: Sequence[TextLine], rules: Sequence[Box], columns: Sequence[float], rows: Sequence[float]
) -> tuple[list[TextLine], list[float], list[float], list[Box]]:
    """The lines of a grid, the borders of its columns and rows, and its rules, with those that its text shows to be
    missing, as rules are that a scanner lost: where values stand side by side or over one another in what would be one
    cell. The lines are divided where such a border goes through a wide space in them."""
    rules, columns, rows = list(rules), list(columns), list(rows)
    recognised = any(x.confidence < 1 for x in lines)  # the rules of a text layer are known
    known = list(columns)
    for left, right in pairwise(list(columns)):
        inside = [x for x in lines if left <= (x.box[0] + x.box[2]) / 2 < right]
        several = [row for row in text_rows(inside) if sum(1 + len(line.gaps) for line in row) > 1]
        if len(several) >= 2 and len(several) >= 0.5 * len(text_rows(inside)):
            columns += column_borders(inside, (left, rows[0], right, rows[-1]))[1:-1]
    columns = sorted(columns)
    added = [border for border in columns if border not in known]
    lines = [part for line in lines for part in divided(line, added)]
    cells = drawn_cells(lines, rules, known, rows)
    for border in columns[1:-1] if recognised else added:
        for cell in cells:
            sides = {x.box[0] < border for x in cell.lines}
            crossed = any(x.box[0] + 0.3 * x.size < border < x.box[2] - 0.3 * x.size for x in cell.lines)
            empty = not cell.lines and border in added and cell.box[0] < border < cell.box[2]
            if empty or (len(sides) == 2 and not crossed):
                rules.append((border, cell.box[1], border, cell.box[3]))
    cells = drawn_cells(lines, rules, columns, rows)
    for number in range(len(rows) - 1):
        band = [cell for cell in cells if cell.row == number and cell.down == 1 and cell.lines]
        apart = continued_rows(text_rows([x for cell in band for x in cell.lines]), columns)
        for above, below in pairwise(apart):
            low, high = max(x.middle for x in above), min(x.middle for x in below)
            border = (low + high) / 2
            stacked = [cell for cell in band if _on_both_sides(cell, border)]
            far = high - low > CLOSE * below[0].size
            values = [cell for cell in stacked if any(is_value(x.text) for x in cell.lines)]
            known_apart = recognised or len(apart) > 2
            free = len(stacked) > 1 and high - low > FAR * below[0].size and not _closed(rules, columns, band[0])
            own = sum(far or not _wraps(cell, border) for cell in values)
            if free or (known_apart and own >= max(2, ROWS * len(band))):
                rows.append(border)
                rules += [(cell.box[0], border, cell.box[2], border) for cell in stacked]
    rows = sorted(rows)
    for cell in drawn_cells(lines, rules, columns, rows):
        within = rows[cell.row + 1 : cell.row + cell.down]
        for upper, lower in pairwise(sorted(cell.lines, key=lambda x: x.middle)):
            between = [y for y in within if upper.middle < y < lower.middle]
            far = lower.middle - upper.middle > FAR * lower.size or (is_value(upper.text) and is_value(lower.text))
            if between and far:
                middle = (upper.middle + lower.middle) / 2
                border = min(between, key=lambda y: abs(y - middle))
                rules.append((cell.box[0], border, cell.box[2], border))
    return lines, columns, rows, rules


def _closed(rules: Sequence[Box], columns: Sequence[float], cell: Drawn) -> bool:
    """Whether rules go over the whole table above and below the row of a cell."""
    least = CLOSED * (columns[-1] - columns[0])
    return all(
        sum(r[2] - r[0] for r in rules if r[1] == r[3] and abs(r[1] - y) <= JOIN) > least
        for y in (cell.box[1], cell.box[3])
    )


def _wraps(cell: Drawn, border: float) -> bool:
    """Whether the line above `border` fills its cell, so that what is below it may be its rest."""
    line = max((x for x in cell.lines if x.middle < border), key=lambda x: x.middle)
    return line.box[2] - line.box[0] > 0.75 * (cell.box[2] - cell.box[0])


def _on_both_sides(cell: Drawn, border: float) -> bool:
    return {x.middle < border for x in cell.lines} == {True, False}
