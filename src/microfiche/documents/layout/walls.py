"""What stands between the columns of a page and parts them, as upright rules do in newspapers and exam papers.

The rules of tables touch others, and what stands beside them is level row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from microfiche.documents.boxes import touch, union
from microfiche.documents.layout.priced_columns import between_prices
from microfiche.documents.tables.grid import MOST, merged
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

HIGH = 0.3  #: of the height of a page's text, that of a rule between columns, at least
TOUCH = 0.3  #: ems between rules that do not meet, at least
FEW = 4  #: lines on either side, at least
NARROW = 0.6  #: of the width of what stands on one side, that of the other, at least
LEVEL, ROWS = 0.25, 0.8  #: ems between the middles of lines in one row, and the share of lines that makes rows of them


def standing_free(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[Box]:
    """The upright ones of a page's `rules` that meet no other, as those of grids do, each whole."""
    if not lines or len(rules) > MOST:
        return []
    reach = TOUCH * median(line.size for line in lines)
    level = [rule for rule in rules if rule[0] != rule[2]]
    uprights = (rule for rule in merged(rules) if rule[0] == rule[2])
    return [rule for rule in uprights if not any(touch(rule, other, reach) for other in level)]


def walls(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[Box]:
    """What parts columns of `lines`, from the left: upright ones of a page's `rules`, and the space between entries
    that end in amounts."""
    return sorted([*_ruled(lines, standing_free(lines, rules)), *between_prices(lines)])


def _ruled(lines: Sequence[TextLine], free: Sequence[Box]) -> list[Box]:
    """The rules that part columns, of those that stand `free`."""
    if not free:
        return []
    _, top, _, bottom = union(line.box for line in lines)
    alone = [rule for rule in free if rule[3] - rule[1] > HIGH * (bottom - top)]
    edges = sorted(rule[0] for rule in alone)
    return [rule for rule in alone if _parts(rule, lines, edges)]


def sides(lines: Sequence[TextLine], between: Sequence[Box]) -> list[list[TextLine]]:
    """The lines as the walls `between` columns part them; those above or below a wall are not parted by it."""
    found: dict[tuple[bool | None, ...], list[TextLine]] = {}
    for line in lines:
        key = tuple(_middle(line) < x if low < line.middle < high else None for x, low, _, high in between)
        found.setdefault(key, []).append(line)
    return list(found.values())


def astride(lines: Sequence[TextLine], wall: Box) -> bool:
    """Whether lines stand on both sides of a wall."""
    x, low, _, high = wall
    return len({_middle(line) < x for line in lines if low < line.middle < high}) > 1


def _parts(rule: Box, lines: Sequence[TextLine], edges: Sequence[float]) -> bool:
    """Whether columns stand on both sides of a rule, up to the next ones at `edges`: no line goes through it, neither
    side is much narrower than the other, and their lines are not level."""
    x, low, _, high = rule
    before, after = max((e for e in edges if e < x), default=-np.inf), min((e for e in edges if e > x), default=np.inf)
    level = [line for line in lines if low < line.middle < high and before < _middle(line) < after]
    left, right = ([line for line in level if (_middle(line) < x) is side] for side in (True, False))
    if min(len(left), len(right)) < FEW or any(line.box[0] + line.size < x < line.box[2] - line.size for line in level):
        return False
    widths = sorted(box[2] - box[0] for box in (union(line.box for line in side) for side in (left, right)))
    fewer, more = sorted((left, right), key=len)
    middles = np.array([line.middle for line in more])
    rows = sum(float(np.abs(middles - line.middle).min()) < LEVEL * line.size for line in fewer)
    return widths[0] >= NARROW * widths[1] and rows < ROWS * len(fewer)


def _middle(line: TextLine) -> float:
    return (line.box[0] + line.box[2]) / 2
