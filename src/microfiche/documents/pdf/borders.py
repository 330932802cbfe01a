"""Borders between the cells of a table that nobody drew as such, but that the cells show which were drawn one by one: a
rule below each cell of a row, or a ground behind it, ends where the next one begins, in one place in several rows.

Knows no text but where its ink is, which no border crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from microfiche.page import Box

SAME = 1.5  #: px by which places that are one differ, at most
LOW, NARROW = 8.0, 6.0  #: points: lower grounds and narrower cells are none of text
HIGH = 150.0  #: points from a rule or a ground to the next one of the same table, at most
CLOSE = 1.3  #: points between two letters of a word, at most
SPACED = 3.0  #: points between the frames of two cells, at most
CROWDED = 4000  #: rules of a page that stay as they are
LARGE = 1.2  #: times the usual type, that of a heading, at least
MOST = 200  #: rows, and borders, of a page with such tables


def closed_up(rules: Sequence[Box], scale: float) -> list[Box]:
    """The rules, with those of cells framed one by one, a little apart, moved to the middle between the frames."""
    moved: list[dict[float, float]] = []  # for x and y, where rules go that lie close beside each other
    for axis in (0, 1):
        across = sorted(r for r in rules if r[axis] == r[axis + 2]) if len(rules) <= CROWDED else []
        by_ends: dict[tuple[int, int], list[float]] = {}
        for rule in sorted(across, key=lambda r: r[axis]):
            by_ends.setdefault((round(rule[1 - axis] / SAME), round(rule[3 - axis] / SAME)), []).append(rule[axis])
        moved.append({
            x: (a + b) / 2 for at in by_ends.values() for a, b in pairwise(at) if SAME < b - a <= SPACED * scale
            for x in (a, b)
        })
    if not all(moved):
        return list(rules)
    return [(moved[0].get(a, a), moved[1].get(b, b), moved[0].get(c, c), moved[1].get(d, d)) for a, b, c, d in rules]


def implied(
    rules: Sequence[Box], grounds: Sequence[Box], ink: NDArray[np.floating], sizes: NDArray[np.floating], scale: float
) -> list[Box]:
    """The rules between and around cells that `rules` and `grounds` imply where no upright rule is drawn, at `scale` px
    a point; (n, 4) `ink` is where the characters of the page are, (n,) `sizes` how large they are, px."""
    level = [rule for rule in rules if rule[1] == rule[3]]
    upright = np.array([rule for rule in rules if rule[0] == rule[2]] or [(-1.0, -1.0, -1.0, -1.0)])
    cells = [box for box in grounds if box[3] - box[1] >= LOW * scale]
    rows = sorted([*_rows(level, NARROW * scale), *_rows(cells, NARROW * scale)], key=lambda row: row[0][1])
    if len(rows) > MOST:
        return []
    out: set[Box] = set()
    tables: list[list[list[Box]]] = []
    for row in rows:
        table = next((
            t for t in tables
            if abs(t[-1][0][0] - row[0][0]) <= SAME and abs(t[-1][-1][2] - row[-1][2]) <= SAME
            and row[0][1] - t[-1][0][3] <= HIGH * scale
        ), None)
        if table is None:
            tables.insert(0, [row])
        else:
            table.append(row)
    for table in tables:
        for above, below in pairwise(table):
            shared = [x for x in _inner(above) if any(abs(x - other) <= SAME for other in _inner(below))]
            left, top, bottom, right = above[0][0], above[0][1], below[0][3], above[-1][2]
            drawn = (upright[:, 1] < bottom - SAME) & (upright[:, 3] > top + SAME)
            parted = any((drawn & (np.abs(upright[:, 0] - x) <= SAME)).any() for x in shared)
            parted |= any(_closed(x, above[0][3], below[0][1], upright) for x in shared)
            if shared and not parted and not _headed((left, top, right, bottom), ink, sizes) and not any(
                _crossed(x, top, bottom, ink, CLOSE * scale) for x in shared
            ):
                out.update((x, top, x, bottom) for x in (left, *shared, right))
                out.update((left, y, right, y) for row in (above, below) for y in {row[0][1], row[0][3]})
    return sorted(out) if len(out) <= MOST else []


def _rows(boxes: Sequence[Box], narrow: float) -> list[list[Box]]:
    """Those of the boxes, rules or grounds, that stand side by side in rows and touch, from the left."""
    out: list[list[Box]] = []
    for box in sorted(boxes, key=lambda b: (round(b[1] / SAME), round(b[3] / SAME), b[0])):
        last = out[-1][-1] if out else None
        level = last is not None and abs(last[1] - box[1]) <= SAME and abs(last[3] - box[3]) <= SAME
        if last and level and abs(last[2] - box[0]) <= SAME:
            out[-1].append(box)
        elif not (last and level and abs(last[0] - box[0]) <= SAME and abs(last[2] - box[2]) <= SAME):  # drawn twice
            out.append([box])
    return [row for row in out if len(row) > 1 and all(box[2] - box[0] >= narrow for box in row)]


def _inner(row: Sequence[Box]) -> list[float]:
    return [box[0] for box in row[1:]]


def _closed(x: float, top: float, bottom: float, upright: NDArray[np.floating]) -> bool:
    """Whether upright rules at `x` end at the `top` of a space and go on at its `bottom`: those of rows in frames of
    their own."""
    here = upright[np.abs(upright[:, 0] - x) <= SAME]
    return bool((np.abs(here[:, 3] - top) <= SAME).any() and (np.abs(here[:, 1] - bottom) <= SAME).any())


def _headed(box: Box, ink: NDArray[np.floating], sizes: NDArray[np.floating]) -> bool:
    """Whether a heading stands in a box: type that is larger than most, in one piece."""
    inside = (ink[:, 0] > box[0]) & (ink[:, 2] < box[2]) & (ink[:, 1] > box[1]) & (ink[:, 3] < box[3])
    inside &= sizes > LARGE * np.median(sizes)
    large = ink[inside][np.argsort(ink[inside, 0])]
    gaps = large[1:, 0] - np.maximum.accumulate(large[:, 2])[:-1]
    return len(large) > 0 and bool((gaps < sizes[inside].max()).all())


def _crossed(x: float, top: float, bottom: float, ink: NDArray[np.floating], close: float) -> bool:
    """Whether a character stands across a border, or two of one row on either side of it, `close` together."""
    level = (ink[:, 3] > top + SAME) & (ink[:, 1] < bottom - SAME)
    row = ink[level & (ink[:, 2] > x - close) & (ink[:, 0] < x + close)]
    if ((row[:, 0] < x - SAME) & (row[:, 2] > x + SAME)).any():
        return True
    before, after = row[row[:, 2] <= x + SAME], row[row[:, 0] >= x - SAME]
    gap = after[None, :, 0] - before[:, None, 2]
    beside = np.minimum(before[:, None, 3], after[None, :, 3]) > np.maximum(before[:, None, 1], after[None, :, 1])
    return bool((beside & (gap < close)).any())
