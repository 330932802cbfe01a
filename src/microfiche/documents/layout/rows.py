"""Pieces of text that stand in one row: which of them are read together, and which belong to columns of their own.

Between two pieces beside each other lies a gap, which goes up and down as far as no line crosses it. Where both of its
sides are running text, they are columns. Where what stands on both sides goes together row by row (a label and its
value, a year and what happened then), the pieces are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from microfiche.documents.boxes import union
from microfiche.documents.layout.gaps import (
    BLANK,
    LEVEL,
    NEAR,
    Gap,
    contents_edges,
    goes_across,
    heads_apart,
    is_river,
    numbered_on,
)
from microfiche.documents.text_lines import BOXES, TextLine
from microfiche.page import Box

CROWDED = 1500  #: lines of a page of which rows are found in one go
AHEAD = 256  #: lines that are looked at in one go
FARTHER = 1.6  #: times that, within which what stands below two heads is looked for


@dataclass(frozen=True)
class Row:
    """What is read as one line: `line`, and the `pieces` from the left that it was joined from."""

    line: TextLine
    pieces: tuple[TextLine, ...]

    @property
    def tail(self) -> Box:
        """The box of the last piece, below which the row may go on."""
        return self.pieces[-1].box


def rows(lines: Sequence[TextLine], solid: Sequence[Box] = (), uprights: Sequence[Box] = ()) -> list[Row]:
    """The lines from the top, with those joined that are read across; `solid` are the tables and figures between
    them, `uprights` the upright rules, each whole."""
    placed = sorted(lines, key=lambda line: (line.middle, line.box[0]))
    edges = contents_edges(lines)

    def parts(gap: Gap) -> bool:
        a, b = gap.pairs[0] if gap.pairs else (gap.left[0], gap.right[0])
        return any(a.box[2] < edge + 0.5 * a.size and edge < b.box[0] for edge in edges) or numbered_on(gap)

    while True:
        joined = [_joined(pieces) for pieces in _chains(placed, lambda gap: not parts(gap) and is_river(gap))]
        done = len(joined) == len(placed) or len(placed) > CROWDED
        placed = sorted(joined, key=lambda line: (line.middle, line.box[0]))
        if done:  # otherwise, what was joined may frame what lies above and below it
            break
    chains = _chains(
        placed, lambda gap: not parts(gap) and goes_across(gap, uprights) and not heads_apart(gap, solid)
    )
    return [Row(_joined(pieces), tuple(pieces)) for pieces in chains]


class _Placed:
    """Lines from the top, with their places as columns: `middle`, `size`, `left` and `right` are (n,) px."""

    def __init__(self, lines: Sequence[TextLine]) -> None:
        self.lines = lines
        self.middle, self.size, self.left, self.right = np.array(
            [(x.middle, x.size, x.box[0], x.box[2]) for x in lines], float
        ).reshape(-1, 4).T

    def neighbours(self) -> dict[int, int]:
        """For each line, by its number, that has others to its right in the same row, the next of them."""
        middle, size, left = self.middle, self.size, self.left
        most = LEVEL * size.max(initial=0.0)
        low, high = np.searchsorted(middle, middle - most), np.searchsorted(middle, middle + most, "right")
        found = {}
        for k, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            if last - first < 2:
                continue
            near = slice(first, last)
            reach = LEVEL * size[k]
            level = (left[near] >= self.right[k] - reach) & (left[near] > left[k])
            level &= np.abs(middle[near] - middle[k]) <= np.maximum(reach, LEVEL * size[near])
            if level.any():
                found[k] = first + int(np.where(level, left[near], np.inf).argmin())
        return found

    def row_of(self, k: int) -> list[TextLine]:
        """The line numbered `k`, and those level with it."""
        reach = LEVEL * self.size[k]
        first, last = np.searchsorted(self.middle, (self.middle[k] - reach, self.middle[k] + reach)).tolist()
        return [self.lines[k], *(self.lines[i] for i in range(first, last) if i != k)]

    def beyond(
        self, start: int, step: int, low: float, high: float
    ) -> Iterator[tuple[int, float, float, float, float]]:
        """The lines after the one numbered `start` (`step` 1) or before it (-1), those nearest first, that stand wholly
        or in part between `low` and `high` px across: the number of each, and its middle, size, left and right."""
        at = start + step
        while 0 <= at < len(self.lines):
            part = slice(at, at + AHEAD) if step == 1 else slice(max(0, at + 1 - AHEAD), at + 1)
            inside = (np.flatnonzero((self.right[part] > low) & (self.left[part] < high)) + part.start)[::step]
            columns = (self.middle, self.size, self.left, self.right)
            yield from zip(inside.tolist(), *(column[inside].tolist() for column in columns), strict=True)
            at += step * AHEAD


def _chains(lines: Sequence[TextLine], test: Callable[[Gap], bool]) -> list[list[TextLine]]:
    """The lines, from the top, in groups of those between which, in one row, the gap passes `test`."""
    after: dict[int, TextLine] = {}
    known: set[int] = set()
    taken: set[int] = set()
    placed = _Placed(lines)
    beside = placed.neighbours()
    for k, line in enumerate(lines):
        if k in beside and id(line) not in known:
            gap = _gap(k, placed, beside)
            together = test(gap)
            for x, y in gap.pairs:
                if id(x) not in known:
                    known.add(id(x))
                    if together and id(y) not in taken:
                        taken.add(id(y))
                        after[id(x)] = y
    found = []
    for line in lines:
        if id(line) not in taken:
            found.append([line])
            while id(found[-1][-1]) in after:
                found[-1].append(after[id(found[-1][-1])])
    return found


def _joined(pieces: Sequence[TextLine]) -> TextLine:
    if len(pieces) == 1:
        return pieces[0]
    count = sum(len(piece.text) for piece in pieces)
    return replace(
        pieces[0],
        text=" ".join([pieces[0].text, *(BOXES.get(x.text[:1], x.text[:1]) + x.text[1:] for x in pieces[1:])]),
        box=union([piece.box for piece in pieces]),
        size=median(piece.size for piece in pieces),
        bold=all(piece.bold for piece in pieces),
        fixed=all(piece.fixed for piece in pieces),
        confidence=sum(piece.confidence * len(piece.text) for piece in pieces) / max(1, count),
    )


def _gap(start: int, placed: _Placed, beside: Mapping[int, int]) -> Gap:
    """The gap between the line numbered `start` and the one beside it, as far up and down as no line crosses it."""
    a, other = placed.lines[start], beside[start]
    b = placed.lines[other]
    gap = Gap([a], [b])
    sides = [start], [other]  # the numbers of the lines on either side
    widths = [[a.box[0], a.box[2]], [b.box[0], b.box[2]]]  # of what stands on either side
    reach = NEAR * a.size
    for step in (1, -1):
        low, high = a.box[2], b.box[0]
        end = a.middle
        zone = a.box[0] - reach, max(b.box[2], b.box[0] + reach)
        for i, level, size, left, right in placed.beyond(start, step, *zone):
            if i == other:
                continue
            line = placed.lines[i]
            if abs(level - end) > BLANK * max(size, a.size):
                if step == 1 and len(sides[1]) == 1 and size < 0.8 * a.size and level - end < FARTHER * BLANK * a.size:
                    gap.others[0 if right <= (low + high) / 2 else 1].append(line)
                    continue
                break
            middle, slack = (low + high) / 2, (0.35 if line.confidence < 1 else 0.0) * size
            before = right <= max(high - 0.1 * size, middle + slack)
            behind = left >= min(low + 0.1 * size, middle - slack)
            if not before and not behind:
                if abs(size - a.size) < 0.2 * a.size:
                    gap.ends.append(placed.row_of(i))
                break
            if abs(size - a.size) > 0.2 * a.size:
                if step == 1 and size < a.size:
                    gap.others[0 if before else 1].append(line)
                continue
            side = 0 if before and (not behind or left - low < high - right) else 1
            first = (a, b)[side].box
            if (right <= first[0] or left >= first[2]) and (
                right <= widths[side][0] or left >= widths[side][1] or abs(left - first[0]) > reach
            ):
                continue  # in another column
            widths[side] = [min(widths[side][0], left), max(widths[side][1], right)]
            if side == 0 and right < high:
                low = max(low, right)
            elif side == 1 and left > low:
                high = min(high, left)
            sides[side].append(i)
            end = level
    gap.left, gap.right = ([placed.lines[i] for i in sorted(its)] for its in sides)
    behind_it = set(sides[1])
    gap.pairs = [
        (placed.lines[i], placed.lines[beside[i]]) for i in sorted(sides[0]) if beside.get(i) in behind_it
    ]
    return gap
