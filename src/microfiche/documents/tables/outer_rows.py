"""The rows of a table that stand outside its grid: a head over the first rule below it, and a total under the last."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from microfiche.documents.boxes import share, union, within
from microfiche.documents.tables.dividing import divided
from microfiche.documents.tables.grid import JOIN, Drawn, borders_of, place
from microfiche.documents.tables.text_grid import by_column, is_value, text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

REACH = 0.9  #: of the height of the row at the edge, to the middle of one outside, at most
LEVEL = 0.4  #: ems by which the middles of a row differ
ALIGNED = 0.6  #: ems between edges that are in line, at most
FEET = 2  #: rows below a grid, at most
OVER = 0.3  #: ems by which a head goes over the border of its column, at most


def with_outer_rows(box: Box, lines: Sequence[TextLine], rules: Sequence[Box]) -> Box:
    """The `box` of a grid, which `rules` draw, with the row of heads above it, one for each column but the first at
    least, and the rows below it that fill its columns, or whose last piece is a value in line with those of the last
    column."""
    columns, rows = borders_of([rule for rule in rules if within(rule, box, 1)])
    inside = [x for x in lines if share(x.box, box) > 0.5]
    if len(columns) < 3 or len(rows) < 3 or not inside:
        return box
    out = box
    head = _apart(_row(lines, rows[0], rows[0] - rows[1], box), columns)
    if head and _heads(head, columns):
        out = union([out, *(x.box for x in head)])
    for _ in range(FEET):
        foot = _apart(_row(lines, out[3], rows[-1] - rows[-2], box), columns)
        if not foot or not (_ends(foot, inside, columns) or _fills(foot, inside, columns)):
            break
        out = union([out, *(x.box for x in foot)])
    return out


def _apart(row: Sequence[TextLine], columns: Sequence[float]) -> list[TextLine]:
    """The pieces of a row outside a grid, those of a bold one of several divided at the borders of its columns; lines
    of text stay whole."""
    heads = len(row) > 1 and all(x.bold for x in row)
    return [part for x in row for part in divided(x, columns[1:-1], always=True)] if heads else list(row)


def parted(drawn: Sequence[Drawn], rules: Sequence[Box], columns: Sequence[float]) -> list[Drawn]:
    """The cells of a grid, with those of the rows outside its rules parted where the text of several columns stands in
    them."""
    level = [rule[1] for rule in rules if rule[1] == rule[3]]
    last = max((cell.row for cell in drawn), default=0)
    out = []
    for cell in drawn:
        _, top, _, bottom = cell.box
        over, under = (any(abs(y - edge) <= JOIN for y in level) for edge in (top, bottom))
        whole = cell.across == len(columns) - 1 and cell.down == 1
        pieces = [] if over and under else _apart(cell.lines, columns)
        if not whole or len(by_column(pieces, columns)) < 2:
            out.append(cell)
            continue
        below = cell.row == last and not under
        for i, row in enumerate(text_rows(pieces) if below else [pieces]):
            held = by_column(row, columns)
            out += [
                Drawn(cell.row + i, k, 1, 1, (columns[k], top, columns[k + 1], bottom), tuple(held.get(k, ())))
                for k in range(len(columns) - 1)
            ]
    return out


def _row(lines: Sequence[TextLine], edge: float, high: float, box: Box) -> list[TextLine]:
    """The pieces of the row that is next outside an edge, below it if `high` is positive, above it if it is negative;
    none if it goes on beyond the table."""
    near = [x for x in lines if 0 < (x.middle - edge) / high < REACH and x.box[0] < box[2] and box[0] < x.box[2]]
    if not near:
        return []
    first = min(near, key=lambda x: abs(x.middle - edge))
    row = [x for x in lines if abs(x.middle - first.middle) < LEVEL * first.size]
    inside = all(box[0] - x.size < x.box[0] and x.box[2] < box[2] + x.size for x in row)
    return sorted(row, key=lambda x: x.box[0]) if inside else []


def _heads(row: Sequence[TextLine], columns: Sequence[float]) -> bool:
    """Whether each piece stands over a column of its own, and all columns but the first have one."""
    said = (len(columns) > 3 or all(x.bold for x in row)) and not all(is_value(x.text) for x in row)
    return said and _one_each(row, columns)


def _fills(row: Sequence[TextLine], inside: Sequence[TextLine], columns: Sequence[float]) -> bool:
    """Whether each piece stands in a column of its own, as the last row of a table does that is open below, in line
    with what is `inside` the grid there, and all columns but one have one."""
    return _one_each(row, columns) and all(
        any(
            _column(x, columns) == _column(y, columns) and abs(x.size - y.size) < 0.1 * y.size and min(
                abs(x.box[0] - y.box[0]), abs(x.box[2] - y.box[2]), abs(x.box[0] + x.box[2] - y.box[0] - y.box[2]) / 2
            ) < ALIGNED * x.size for y in inside
        ) for x in row
    )


def _one_each(row: Sequence[TextLine], columns: Sequence[float]) -> bool:
    """Whether each piece stands in a column of its own, and all columns but one have one."""
    at = {_column(x, columns) for x in row}
    fits = all(
        columns[k] - OVER * x.size < x.box[0] and x.box[2] < columns[k + 1] + OVER * x.size
        for x in row for k in [_column(x, columns)]
    )
    return fits and len(at) == len(row) and len(at) >= max(2, len(columns) - 2)


def _column(line: TextLine, columns: Sequence[float]) -> int:
    return place((line.box[0] + line.box[2]) / 2, columns)


def _ends(row: Sequence[TextLine], inside: Sequence[TextLine], columns: Sequence[float]) -> bool:
    """Whether a row ends with a value in line with those of the last column, and begins where another column does."""
    *labels, last = row
    if not labels or not is_value(last.text) or last.box[0] < columns[-2]:
        return False
    own = [x for x in inside if x.box[0] > columns[-2] - OVER * x.size and is_value(x.text)]
    reach = ALIGNED * last.size
    aligned = any(min(abs(x.box[0] - last.box[0]), abs(x.box[2] - last.box[2])) < reach for x in own)
    begins = any(min(abs(x.box[0] - labels[0].box[0]), abs(x.box[2] - labels[0].box[2])) < reach for x in inside)
    alike = abs(last.size - median(x.size for x in inside)) < 0.2 * last.size
    return aligned and begins and alike
