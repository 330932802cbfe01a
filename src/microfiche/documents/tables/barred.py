"""Where on a page tables are that stand between level rules of one length, without upright ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from microfiche.documents.boxes import share, union
from microfiche.documents.tables.grid import JOIN, merged
from microfiche.documents.tables.text_grid import column_borders, holds_cells, is_head, text_rows
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

LARGER = 1.3  #: times the usual type between two rules: that of a headline is larger
CLOSED = 3  #: rules of a table, from which on the last may be its foot
EMPTY = 4.0  #: ems of paper between the last row of a table and the rule at its foot, at most
FARTHER = 1.3  #: times the usual step from row to row, that to a line below a table, at least
NOTE = 0.5  #: of a rule's length, that a line below a table is long, at least
SAME = 0.012  #: of a rule's length, by which the ends of rules of one table differ at most


def barred(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[Box]:
    """The boxes of tables that stand between level rules of one length, as good print has them: over the head, under
    the head and at the foot. Rules in different frames are none of one table."""
    rules = merged(rules)
    level = [r for r in rules if r[1] == r[3]]
    groups: list[tuple[tuple[float, float], list[Box]]] = []
    for rule in sorted(level, key=lambda r: r[1]):
        reach = max(6.0, SAME * (rule[2] - rule[0]))
        frame = _framed(rule, rules)
        same = [
            g for held_by, g in groups
            if held_by == frame and abs(g[-1][0] - rule[0]) < reach and abs(g[-1][2] - rule[2]) < reach
        ]
        if same:
            same[-1].append(rule)
        else:
            groups.append((frame, [rule]))
    found = []
    for _, group in groups:
        part: list[Box] = []
        for above, below in pairwise(group):
            band = (above[0] - 8, above[1], above[2] + 8, below[3])
            inside = [x for x in lines if share(x.box, band) > 0.5]
            cells = holds_cells(inside, band) or (not part and _spaced(inside))
            ended = not cells or (len(part) >= CLOSED and _follows(inside, above, below))
            if not ended and not _heads_next(inside, below) and not _headline(inside):
                part = [*(part or [above]), below]
            else:
                found.append(part)
                part = []
        found.append(part)
    out = []
    for part in found:
        if len(part) >= 2:
            box = union(part)
            inside = [x for x in lines if share(x.box, (box[0] - 8, box[1], box[2] + 8, box[3])) > 0.5]
            rows = text_rows(inside)
            several = [row for row in rows if len(row) > 1]
            if len(several) >= 2 and len(column_borders(inside, box)) >= 3:
                out.append(union([box, *(x.box for x in inside)]))
    return out


def _follows(lines: Sequence[TextLine], above: Box, below: Box) -> bool:
    """Whether rows that stand between two rules only follow a table that the upper one closes: its last row is far from
    the lower rule, or long lines stand alone in its last rows, farther apart than rows above them."""
    rows = text_rows(lines)
    last = rows[-1]
    if below[1] - max(x.box[3] for x in last) > EMPTY * last[0].size:
        return True
    steps = [b[0].middle - a[0].middle for a, b in pairwise(rows)]
    alone = next((k for k in range(len(rows)) if all(len(row) == 1 for row in rows[k:])), len(rows))
    if not 1 < alone < len(rows):
        return False
    (line,) = rows[alone]
    long = line.box[2] - line.box[0] > NOTE * (above[2] - above[0])
    return long and steps[alone - 1] > FARTHER * median(steps[: alone - 1])


def _framed(rule: Box, rules: Sequence[Box]) -> tuple[float, float]:
    """From where to where the upright rules go that a level one ends at on both sides; (0, 0) if there are none."""
    sides = [
        [r for r in rules if r[0] == r[2] and abs(r[0] - x) <= JOIN and r[1] - JOIN <= rule[1] <= r[3] + JOIN]
        for x in (rule[0], rule[2])
    ]
    return (min(r[1] for r in sides[0]), max(r[3] for r in sides[0])) if all(sides) else (0.0, 0.0)


def _heads_next(lines: Sequence[TextLine], rule: Box) -> bool:
    """Whether the last line above a rule stands alone on it, further from the lines above, as the head of what follows
    in a CV does; or the last row is the head of a table that begins there."""
    rows = text_rows(lines)
    if len(rows) > 2 and is_head(rows[-1], [x for row in rows[:-1] for x in row]):
        return True
    if len(rows) < 2 or len(rows[-1]) > 1:
        return False
    (line,), above = rows[-1], rows[-2]
    near = rule[1] - line.box[3] < 0.8 * line.size
    step = line.middle - median(x.middle for x in above)
    usual = [b[0].middle - a[0].middle for a, b in pairwise(rows[:-1])]
    apart = step > 1.25 * median(usual) if usual else step > 1.6 * line.size
    return near and apart and line.box[2] - line.box[0] < 0.5 * (rule[2] - rule[0])


def _headline(lines: Sequence[TextLine]) -> bool:
    """Whether a line of larger type stands alone above others, as a headline does, and no head of a table."""
    usual = median(x.size for x in lines) if lines else 0.0
    return any(len(row) == 1 and row[0].size > LARGER * usual for row in text_rows(lines)[:-1])


def _spaced(lines: Sequence[TextLine]) -> bool:
    """Whether lines between two rules are one row whose cells stand too close to be pieces of their own."""
    return len(lines) == 1 and bool(lines[0].gaps)
