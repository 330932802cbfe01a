"""Columns of entries that end in amounts, as those of menus and price lists: what divides them, though nothing is drawn
there.

The rows of one table are level from its first column to its last; entries in columns follow one another in each, with
heads of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from microfiche.documents.boxes import union
from microfiche.documents.inline import unmarked
from microfiche.documents.tables.amounts import AMOUNT
from microfiche.documents.tables.text_grid import is_value
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

ALIGNED = 0.8  #: ems between the ends of the amounts of one column, at most
FEW = 4  #: amounts of a column, at least
GUTTER = 1.0  #: ems from the amounts of one column to what stands in the next, at least
LEVEL = 0.25  #: ems between the middles of what stands in one row
LABEL = 3.0  #: ems of the width of usual labels, at least
LABELLED = 0.6  #: of the amounts of a column, that have labels which begin at its edge, at least
ALONE = 0.15  #: of the amounts of two columns, that have none beside them in the other, at least
ROW = 0.8  #: ems between the middles of an amount and of its label, which may go over two lines
LONGEST = 16  #: characters of an amount


def between_prices(lines: Sequence[TextLine]) -> list[Box]:
    """What divides columns of entries that end in amounts: an upright line (x, top, x, bottom) between any two, as high
    as both are."""
    ends = sorted(filter(_is_amount, lines), key=lambda line: line.box[2])
    columns: list[list[TextLine]] = []
    for line in ends:
        if columns and line.box[2] - columns[-1][-1].box[2] < ALIGNED * line.size:
            columns[-1].append(line)
        else:
            columns.append([line])
    columns = [column for column in columns if len(column) >= FEW]
    found = [_between(left, right, lines) for left, right in pairwise(columns)]
    return [wall for wall in found if wall is not None]


def _between(left: Sequence[TextLine], right: Sequence[TextLine], lines: Sequence[TextLine]) -> Box | None:
    """What divides the columns whose entries end in the amounts `left` and `right`; None where these are of one
    table."""
    size = median(line.size for line in (*left, *right))
    start, end = max(line.box[2] for line in left), max(line.box[2] for line in right)
    over = [line for line in lines if line.box[0] < start - size and line.box[2] > start + size]
    first, last = (sorted(line.middle for line in side) for side in (left, right))
    near, far = max(first[0], last[0]), min(first[-1], last[-1])
    if near >= far or any(near < line.middle < far for line in over):
        return None
    top = max((line.box[3] for line in over if line.middle <= near), default=-np.inf)
    bottom = min((line.box[1] for line in over if line.middle >= far), default=np.inf)
    zone = [line for line in lines if top < line.middle < bottom]
    behind = [line for line in zone if start < (line.box[0] + line.box[2]) / 2 and line.box[2] < end + ALIGNED * size]
    before = [line for line in zone if (line.box[0] + line.box[2]) / 2 < start]
    if not (_labelled(before, left, size) and _labelled(behind, right, size)):
        return None
    edge = min(line.box[0] for line in behind)
    alone = [
        amount for own, others in ((left, right), (right, left)) for amount in own
        if all(abs(amount.middle - other.middle) > LEVEL * size for other in others)
    ]
    if edge - start < GUTTER * size or len(alone) < ALONE * (len(left) + len(right)):
        return None
    box = union(line.box for line in (*before, *behind))
    return (start + edge) / 2, box[1] - size, (start + edge) / 2, box[3] + size


def _is_amount(line: TextLine) -> bool:
    text = unmarked(line.text).strip()
    return len(text) <= LONGEST and AMOUNT.search(text) is not None and is_value(text)


def _labelled(side: Sequence[TextLine], amounts: Sequence[TextLine], size: float) -> bool:
    """Whether most `amounts` of a column have labels of words before them that begin at one edge."""
    firsts = []
    for amount in amounts:
        row = [line for line in side if abs(line.middle - amount.middle) < ROW * size and line.box[2] <= amount.box[0]]
        firsts += [min(row, key=lambda line: line.box[0])] if row else []
    if not firsts:
        return False
    edge = median(line.box[0] for line in firsts)
    level = [line for line in firsts if abs(line.box[0] - edge) < ALIGNED * size]
    words = [line for line in level if sum(map(str.isalpha, line.text)) >= 3]
    wide = median(line.box[2] - line.box[0] for line in level) if level else 0.0
    return len(words) >= LABELLED * len(amounts) and wide >= LABEL * size
