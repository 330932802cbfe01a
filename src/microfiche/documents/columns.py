"""Reading order: the columns of a page, each from its top, found from boxes alone.

Recursive XY-cut (Nagy and Seth, 1984); where neither an empty strip down nor one across divides a part of the page,
the partial order of Breuel ("High Performance Document Layout Analysis", 2003, section 4.3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from microfiche.page import Box

FEW_LINES = 3  #: on either side of a gutter that others jut over, at least
NARROW = 0.1  #: of a gutter's usual width, from which a strip is one
USUAL = 0.5  #: ems that the usual gutter is wide
SHEETS = 2.5  #: ems: an empty strip across that is as high parts sheets that stand one below the other
STRIP = 1.6  #: ems: one that parts groups of short lines
MANY = 8  #: boxes on either side of the gutter of a page, at least
JUTTING = 0.1  #: of the boxes may cross a gutter


def columns(boxes: Sequence[Box], gutter: float, heads: Collection[int] = ()) -> list[list[int]]:
    """The indices of `boxes` in reading order, in pieces: each a column, or a part of the page across all columns.

    Columns are read from left to right, each from the top. An empty strip separates two of them, however narrow, as
    what is read across has been joined before; `gutter` px is how wide one usually is. Where nothing but some of the
    boxes numbered in `heads` stands between what is above and what is below, what is above is read first.
    """
    return _Page(_clipped(boxes), gutter, frozenset(heads)).cut(list(range(len(boxes))))


def _clipped(boxes: Sequence[Box]) -> Sequence[Box]:
    """The boxes, with each that juts out to the right of its column, as long addresses do, clipped to it: one that
    stands close between two others which begin where it does and both end at one place further in."""
    if len(boxes) < 3:
        return boxes
    box = np.array(boxes)
    out = list(boxes)
    for i in np.argsort(box[:, 1]):
        left, top, right, bottom = box[i]
        height = bottom - top
        same = np.abs(box[:, 0] - left) < 0.3 * height
        above = box[same & (box[:, 3] < bottom - 0.5 * height) & (top - box[:, 3] < 0.6 * height)]
        below = box[same & (box[:, 1] > top + 0.5 * height) & (box[:, 1] - bottom < 0.6 * height)]
        if len(above) == len(below) == 1:
            end = above[0, 2]
            if abs(end - below[0, 2]) < 0.5 * height and right > end + 0.5 * height:
                out[i] = (left, top, float(end), bottom)
    return out


@dataclass(frozen=True)
class _Page:
    """What is put in order: boxes, the usual width of a gutter between them, and which of them are heads."""

    boxes: Sequence[Box]
    gutter: float
    heads: frozenset[int]

    def cut(self, chosen: list[int]) -> list[list[int]]:
        """`chosen` in reading order, in pieces."""
        if len(chosen) < 2:
            return [chosen] if chosen else []
        sheets = self._sheets(chosen)
        if len(sheets) > 1:
            return [piece for sheet in sheets for piece in self.cut(sheet)]
        pieces: list[list[int]] = []
        run: list[int] = []
        # Bands that one and the same gutter divides make a run; a band across all columns ends it, as do heads.
        widths: list[tuple[float, float]] = []  # from where to where the columns of the run go
        before = False  # whether the last band was one of heads
        gutter = self._gutter(chosen)
        across: bool | None = None  # whether what is in the last band goes across the gutter of the page
        bands = _divided(chosen, self.boxes, axis=1, gap=0)
        for k, band in enumerate(bands):
            its = self._spans(band)
            both = self._united(widths + its)
            heads = self.heads.issuperset(band)
            over = len(its) == 1 and len(self._spans(i for below in bands[k:] for i in below)) > 1
            parts = heads and not before and over
            goes = gutter is not None and all(self.boxes[i][0] < gutter < self.boxes[i][2] for i in band)
            if run and (parts or across is not goes or (len(both) == 1 and max(len(widths), len(its)) > 1)):
                pieces += self._columns(run)
                run, both = [], its
            run, widths, before, across = run + band, both, heads, goes
        return pieces + self._columns(run)

    def _gutter(self, chosen: Sequence[int]) -> float | None:
        """Where the gutter of a page in two columns is, if only few boxes, such as its title, go across."""
        box = np.array([self.boxes[i] for i in chosen])
        best: tuple[int, float] | None = None
        for x in np.unique(box[:, 0]):
            at = x - NARROW * self.gutter
            crossing = int(((box[:, 0] < at) & (box[:, 2] > at)).sum())
            sides = min(int((box[:, 2] <= at).sum()), int((box[:, 0] >= at).sum()))
            if 0 < crossing <= JUTTING * len(chosen) and sides > MANY:
                best = min(best or (crossing, at), (crossing, at))
        return best[1] if best else None

    def _spans(self, chosen: Iterable[int]) -> list[tuple[float, float]]:
        """From where to where the columns go that boxes stand in."""
        return self._united([(self.boxes[i][0], self.boxes[i][2]) for i in chosen])

    def _united(self, spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """The spans from left to right, those joined between which there is no gutter."""
        out: list[tuple[float, float]] = []
        for low, high in sorted(spans):
            if out and low - out[-1][1] <= NARROW * self.gutter:
                out[-1] = (out[-1][0], max(out[-1][1], high))
            else:
                out.append((low, high))
        return out

    def _columns(self, run: list[int]) -> list[list[int]]:
        parts = self._parts(run)
        if len(parts) == len(run):
            return [run]  # one row
        if len(parts) > 1:
            sheets = self._sheets(run)
            return [piece for part in (sheets if len(sheets) > 1 else parts) for piece in self.cut(part)]
        if not _beside(run, self.boxes):
            return [run]
        sides = self._around_jutting(run)
        if sides:
            return [piece for side in sides for piece in self.cut(side)]
        return list(_in_order(run, self.boxes))

    def _parts(self, run: Sequence[int]) -> list[list[int]]:
        """`run` in columns."""
        return _divided(run, self.boxes, axis=0, gap=NARROW * self.gutter)

    def _sheets(self, chosen: list[int]) -> list[list[int]]:
        """`chosen` in groups, one below the other, between which an empty strip across is higher than the gutters in
        them are wide. Where the columns are no running text, lower strips part them too, if one of the columns ends
        there."""
        em = self.gutter / USUAL
        bands = _divided(chosen, self.boxes, axis=1, gap=STRIP * em)
        if len(bands) < 2:
            return [chosen]
        widths = [width for band in bands for width in self._widths(band)]
        if widths:
            sheets = _divided(chosen, self.boxes, axis=1, gap=max(SHEETS * em, 0.8 * min(widths)))
            if len(sheets) > 1:
                return sheets
        parts = self._parts(chosen)
        if len(parts) < 2 or any(self._filled(part) for part in parts):
            return [chosen]
        groups = [bands[0]]
        for band in bands[1:]:
            if any(set(part).isdisjoint(groups[-1]) != set(part).isdisjoint(band) for part in parts):
                groups.append(band)
            else:
                groups[-1] = groups[-1] + band
        return groups

    def _filled(self, part: Sequence[int]) -> bool:
        """Whether most of the boxes are about as wide as their column, as lines of running text are."""
        left, right = min(self.boxes[i][0] for i in part), max(self.boxes[i][2] for i in part)
        full = sum(self.boxes[i][2] > right - 0.15 * (right - left) for i in part)
        return len(part) > 4 and full > 0.55 * len(part)

    def _widths(self, run: Sequence[int]) -> list[float]:
        """How wide the gutters in `run` are."""
        return [
            min(self.boxes[i][0] for i in right) - max(self.boxes[i][2] for i in left)
            for left, right in pairwise(self._parts(run))
        ]

    def _around_jutting(self, run: list[int]) -> list[list[int]] | None:
        """`run` in two columns, though a few lines of the left one jut over the gutter; None where there is none."""
        box = np.array([self.boxes[i] for i in run])
        best: tuple[int, float] | None = None
        for x in np.unique(box[:, 0]):  # a column begins where its lines begin
            at = x - NARROW * self.gutter
            left, right = box[:, 2] <= at, box[:, 0] >= at
            crossing = int((~left & ~right).sum())
            if crossing <= max(1, JUTTING * len(run)) and min(left.sum(), right.sum()) >= max(FEW_LINES, 3 * crossing):
                best = min(best or (crossing, at), (crossing, at))
        if best is None:
            return None
        return [[i for i in run if (self.boxes[i][0] < best[1]) == first] for first in (True, False)]


def _divided(chosen: Sequence[int], boxes: Sequence[Box], axis: int, gap: float) -> list[list[int]]:
    """`chosen` along an axis (0 across, 1 down) in groups, between which an empty strip of more than `gap` px lies."""
    groups: list[list[int]] = []
    end = float("-inf")
    for i in sorted(chosen, key=lambda i: (boxes[i][axis], boxes[i][1 - axis])):
        low, high = boxes[i][axis], boxes[i][axis + 2]
        # Lines set closely overlap a little; an overlap of less than 0.3 of the next one still ends a band.
        if groups and low - end <= (gap if gap or axis == 0 else -0.3 * (high - low)):
            groups[-1].append(i)
        else:
            groups.append([i])
        end = max(end, high)
    return groups


def _beside(run: Sequence[int], boxes: Sequence[Box]) -> bool:
    """Whether any two boxes of `run` stand beside each other."""
    box = np.array([boxes[i] for i in run])
    middle = (box[:, 1] + box[:, 3]) / 2
    level = (box[:, None, 1] < middle) & (middle < box[:, None, 3])  # (n, n): the middle of one within the other
    return bool((level & (box[:, None, 2] <= box[:, 0])).any())


def _in_order(run: Sequence[int], boxes: Sequence[Box]) -> Iterator[list[int]]:
    """`run` in Breuel's order, in pieces whose boxes stand one below the other: a box comes before those below it, and
    before those to its right unless a box that is as wide as both stands between their heights."""
    run = sorted(run, key=lambda i: (boxes[i][1] + boxes[i][3], boxes[i][0]))
    box = np.array([boxes[i] for i in run])
    middle = (box[:, 1] + box[:, 3]) / 2
    width = box[:, 2] - box[:, 0]
    shared = np.minimum(box[:, None, 2], box[:, 2]) - np.maximum(box[:, None, 0], box[:, 0])
    over = shared > 0.1 * np.minimum(width[:, None], width)  # (n, n): one stands above the other
    before = over & (middle[:, None] < middle)
    for a, b in np.argwhere(~over & (box[:, None, 0] < box[None, :, 0])):
        low, high = sorted((middle[a], middle[b]))
        before[a, b] = not (over[a] & over[b] & (low < middle) & (middle < high)).any()
    np.fill_diagonal(before, False)
    left = list(range(len(run)))
    piece: list[int] = []
    while left:
        waiting = before[np.ix_(left, left)].sum(axis=0)
        ready = [k for k, n in zip(left, waiting, strict=True) if n == waiting.min()]
        below = [k for k in ready if piece and over[piece[-1], k] and middle[piece[-1]] < middle[k]]
        k = (below or sorted(ready, key=lambda k: (box[k, 0], middle[k])))[0]
        if piece and not below:
            yield [run[i] for i in piece]
            piece = []
        piece.append(k)
        left.remove(k)
    yield [run[i] for i in piece]
