"""Reading order: the columns of a page, each from its top, found from boxes alone.

Recursive XY-cut (Nagy and Seth, 1984); where neither an empty strip down nor one across divides a part of the page,
the partial order of Breuel ("High Performance Document Layout Analysis", 2003, section 4.3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import union
from microfiche.page import Box

FEW_LINES = 3  #: on either side of a gutter that others jut over, at least
NARROW = 0.1  #: of a gutter's usual width, from which a strip is one
USUAL = 0.5  #: ems that the usual gutter is wide
SHEETS = 2.5  #: ems: an empty strip across that is as high parts sheets that stand one below the other
STRIP = 1.6  #: ems: one that parts groups of short lines
LEVEL = 0.5  #: ems by which columns below one head begin at different heights, at most
MANY = 8  #: boxes on either side of the gutter of a page, at least
DEEPEST = 40  #: cuts one within the other
TANGLED = 600  #: boxes that are put in order pair by pair
TITLE = 4  #: boxes of a title with authors that go across the gutter of a page, however few others there are
JUTTING = 0.1  #: of the boxes may cross a gutter
FULL = 0.15  #: of its column's width that a line of running text ends before the column does, at most
LIKE = 0.75  #: times the strip below a bold line, the one above it that parts it from its column, at least
WIDER = 1.5  #: times the strip below some lines, the one above them that parts them from their column, …
AWAY = 0.75  #: … and ems that it is high, at least


def columns(
    boxes: Sequence[Box], gutter: float, heads: Collection[int] = (), bold: Collection[int] = ()
) -> list[list[int]]:
    """The indices of `boxes` in reading order, in pieces: each a column, or a part of the page across all columns.

    Columns are read from left to right, each from the top. An empty strip separates two of them, however narrow, as
    what is read across has been joined before; `gutter` px is how wide one usually is. Where nothing but some of the
    boxes numbered in `heads` stands between what is above and what is below, what is above is read first. Those
    in `bold` head what follows them where they stand apart.
    """
    return _Page(_clipped(boxes), gutter, frozenset(heads), frozenset(bold)).cut(list(range(len(boxes))))


def _clipped(boxes: Sequence[Box]) -> Sequence[Box]:
    """The boxes, with each that juts out to the right of its column, as long addresses do, clipped to it: one that
    stands close between two others which begin where it does and both end at one place further in."""
    if len(boxes) < 3:
        return boxes
    box = np.array(boxes)
    out = list(boxes)
    order = np.argsort(box[:, 0], kind="stable")
    reach = 0.3 * (box[:, 3] - box[:, 1])
    low = np.searchsorted(box[order, 0], box[:, 0] - reach, "right")
    high = np.searchsorted(box[order, 0], box[:, 0] + reach, "left")
    for i in np.flatnonzero(high - low > 2).tolist():
        left, top, right, bottom = boxes[i]
        height = bottom - top
        same = box[order[low[i] : high[i]]]
        above = same[(same[:, 3] < bottom - 0.5 * height) & (top - same[:, 3] < 0.6 * height)]
        below = same[(same[:, 1] > top + 0.5 * height) & (same[:, 1] - bottom < 0.6 * height)]
        if len(above) == len(below) == 1:
            end = above[0, 2]
            if abs(end - below[0, 2]) < 0.5 * height and right > end + 0.5 * height:
                out[i] = (left, top, float(end), bottom)
    return out


@dataclass(frozen=True)
class _Page:
    """What is put in order: boxes, the usual width of a gutter between them, and which of them are heads or bold."""

    boxes: Sequence[Box]
    gutter: float
    heads: frozenset[int]
    bold: frozenset[int]

    def cut(self, chosen: list[int], depth: int = 0) -> list[list[int]]:
        """`chosen`, which were cut out of the page in `depth` steps, in reading order, in pieces."""
        if len(chosen) < 2:
            return [chosen] if chosen else []
        if depth > DEEPEST:
            return list(_in_order(chosen, self.boxes))
        sheets = self._sheets(chosen)
        if len(sheets) > 1:
            return [piece for sheet in sheets for piece in self.cut(sheet, depth + 1)]
        pieces: list[list[int]] = []
        run: list[list[int]] = []
        # Bands that one and the same gutter divides make a run; a band across all columns ends it, as do heads.
        widths: list[tuple[float, float]] = []  # from where to where the columns of the run go
        before = False  # whether the last band was one of heads
        gutter = self._gutter(chosen)
        across: bool | None = None  # whether what is in the last band goes across the gutter of the page
        bands = _divided(chosen, self.boxes, axis=1, gap=0)
        spans = [self._spans(band) for band in bands]
        below = list(accumulate(spans[::-1], lambda all_, its: self._united(all_ + its)))[::-1]  # of it and all below
        for k, (band, its, rest) in enumerate(zip(bands, spans, below, strict=True)):
            both = self._united(widths + its)
            heads = self.heads.issuperset(band)
            parts = heads and not before and len(its) == 1 and len(rest) > 1 and self._over_all(k, bands, rest)
            goes = gutter is not None and all(self.boxes[i][0] < gutter < self.boxes[i][2] for i in band)
            ends = len(both) == 1 and max(len(widths), len(its)) > 1
            # From here on there are no columns.
            if len(its) == len(rest) == 1 and len(both) < len(widths) and len(run) >= FEW_LINES:
                ends |= _beside(_together(run), self.boxes)
            if run and (parts or across is not goes or ends):
                last = self._last(run, band) if ends or goes else len(run)
                pieces += self._columns(_together(run[:last]), depth)
                run = run[last:]
                both = self._united([span for one in run for span in self._spans(one)] + its)
            run, widths, before, across = [*run, band], both, heads, goes
        return pieces + self._columns(_together(run), depth)

    def _last(self, run: Sequence[Sequence[int]], band: Sequence[int]) -> int:
        """How many bands of a run come before a `band` that goes across its columns: not those at its end that stand
        alone in one column, do not fill it, and are nearer to the band than to what is above them, or begin with a
        head."""
        first = len(run)
        while first and len(self._spans(run[first - 1])) == 1:
            first -= 1
        if not 0 < first < len(run):
            return len(run)
        alone = _together(run[first:])
        column = next(part for part in self._parts(_together(run)) if alone[0] in part)
        begin, _, end, _ = union(self.boxes[i] for i in column)
        full = sum(i not in self.heads and self.boxes[i][2] > end - FULL * (end - begin) for i in alone)
        if full > 0.5 * len(alone):
            return len(run)
        strips = [self._strip(run[k - 1], run[k]) for k in range(first, len(run))]
        widest = max(range(len(strips)), key=strips.__getitem__)
        under = self._strip(run[-1], band)
        headed = self.heads.issuperset(run[first + widest])
        wider = LIKE if self.bold.issuperset(run[first + widest]) else WIDER
        apart = strips[widest] > max(wider * under, AWAY * self.gutter / USUAL)
        return first + widest if headed or apart else len(run)

    def _strip(self, above: Sequence[int], below: Sequence[int]) -> float:
        """How high the empty strip between two bands is, px; negative where they overlap."""
        return min(self.boxes[i][1] for i in below) - max(self.boxes[i][3] for i in above)

    def _over_all(self, k: int, bands: Sequence[Sequence[int]], spans: Sequence[tuple[float, float]]) -> bool:
        """Whether the heads in band `k` stand over all columns that begin below, which have these `spans`, rather than
        within one of them: they reach over a gutter; or nothing stands beside them, and the columns begin at one
        height."""
        left, top, right, bottom = union(self.boxes[i] for i in bands[k])
        em = self.gutter / USUAL
        own = [span for span in spans if span[0] < right and left < span[1]]
        if len(own) != 1:
            return True
        if k and max(self.boxes[i][3] for i in bands[k - 1]) > top:
            return False
        following = [i for band in bands[k + 1 :] for i in band if i not in self.heads]
        tops = [min((self.boxes[i][1] for i in following if low <= self.boxes[i][0] < high), default=None)
                for low, high in spans]
        begins = next(y for y, span in zip(tops, spans, strict=True) if span == own[0])
        return begins is None or any(
            y is not None and y >= bottom and abs(y - begins) < LEVEL * em
            for y, span in zip(tops, spans, strict=True) if span != own[0]
        )

    def _gutter(self, chosen: Sequence[int]) -> float | None:
        """Where the gutter of a page in two columns is, if only few boxes, such as its title, go across."""
        starts, crossing, before, behind = self._cuts(chosen)
        few = max(TITLE, JUTTING * len(chosen))
        fits = (crossing > 0) & (crossing <= few) & (np.minimum(before, behind) > MANY)
        return float(starts[fits][crossing[fits].argmin()]) if fits.any() else None

    def _cuts(self, chosen: Sequence[int]) -> tuple[NDArray[Any], ...]:
        """Just before where boxes begin: (n,) where, how many boxes go over that place, and how many stand before it
        and behind it."""
        left, right = np.sort(np.array([(self.boxes[i][0], self.boxes[i][2]) for i in chosen], float), axis=0).T
        at = np.unique(left) - NARROW * self.gutter
        before = np.searchsorted(right, at, "right")
        behind = len(chosen) - np.searchsorted(left, at, "left")
        return at, len(chosen) - before - behind, before, behind

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

    def _columns(self, run: list[int], depth: int) -> list[list[int]]:
        parts = self._parts(run)
        if len(parts) == len(run):
            return [run]  # one row
        if len(parts) > 1:
            if not _beside(run, self.boxes) and self._turns(run, parts) <= len(run) // 2:
                return [run]
            sheets = self._sheets(run)
            return [piece for part in (sheets if len(sheets) > 1 else parts) for piece in self.cut(part, depth + 1)]
        if not _beside(run, self.boxes):
            return [run]
        sides = self._around_jutting(run)
        if sides:
            return [piece for side in sides for piece in self.cut(side, depth + 1)]
        return list(_in_order(run, self.boxes))

    def _parts(self, run: Sequence[int]) -> list[list[int]]:
        """`run` in columns."""
        return _divided(run, self.boxes, axis=0, gap=NARROW * self.gutter)

    def _turns(self, run: Sequence[int], parts: Sequence[Sequence[int]]) -> int:
        """How often what stands next below is in another of the `parts`."""
        part_of = {i: k for k, part in enumerate(parts) for i in part}
        down = sorted(run, key=lambda i: self.boxes[i][1] + self.boxes[i][3])
        return sum(part_of[a] != part_of[b] for a, b in pairwise(down))

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
            if len(sheets) > 1 and not self._longer_column(sheets):
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

    def _longer_column(self, sheets: Sequence[Sequence[int]]) -> bool:
        """Whether what stands on the second and all further sheets is the end of one column of running text on the
        first, beside which the others have ended before."""
        first, *rest = sheets
        low = [i for sheet in rest for i in sheet]
        left, top, right, _ = union(self.boxes[i] for i in low)
        ends = max(self.boxes[i][3] for i in first)
        slack = NARROW * self.gutter
        parts = self._parts(first)
        for part in parts:
            begin, end = min(self.boxes[i][0] for i in part), max(self.boxes[i][2] for i in part)
            if begin - slack <= left and right <= end + slack:
                others = [i for other in parts if other is not part for i in other]
                short = not others or max(self.boxes[i][3] for i in others) < ends - (top - ends)
                return bool(others) and short and self._filled(part) and self._filled(low)
        return False

    def _filled(self, part: Sequence[int]) -> bool:
        """Whether most of the boxes are about as wide as their column, as lines of running text are."""
        left, right = min(self.boxes[i][0] for i in part), max(self.boxes[i][2] for i in part)
        full = sum(self.boxes[i][2] > right - FULL * (right - left) for i in part)
        return len(part) > 4 and full > 0.55 * len(part)

    def _widths(self, run: Sequence[int]) -> list[float]:
        """How wide the gutters in `run` are."""
        return [
            min(self.boxes[i][0] for i in right) - max(self.boxes[i][2] for i in left)
            for left, right in pairwise(self._parts(run))
        ]

    def _around_jutting(self, run: list[int]) -> list[list[int]] | None:
        """`run` in two columns, though a few lines of the left one jut over the gutter; None where there is none."""
        at, crossing, before, behind = self._cuts(run)
        sides = np.minimum(before, behind)
        fits = (crossing <= max(1, JUTTING * len(run))) & (sides >= np.maximum(FEW_LINES, 3 * crossing))
        if not fits.any():
            return None
        edge = at[fits][crossing[fits].argmin()]
        return [[i for i in run if (self.boxes[i][0] < edge) == first] for first in (True, False)]


def _together(bands: Sequence[Sequence[int]]) -> list[int]:
    return [i for band in bands for i in band]


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
    # Whether the middle of any box stands in the heights of another, and to the left or the right of it.
    order = np.argsort(middle)
    low, high = np.searchsorted(middle[order], box[:, 1], "right"), np.searchsorted(middle[order], box[:, 3], "left")
    left, right = box[order, 0], box[order, 2]
    return any(
        b > a and bool(((left[a:b] >= end) | (right[a:b] <= start)).any())
        for a, b, start, end in zip(low.tolist(), high.tolist(), box[:, 0].tolist(), box[:, 2].tolist(), strict=True)
    )


def _in_order(run: Sequence[int], boxes: Sequence[Box]) -> Iterator[list[int]]:
    """`run` in Breuel's order, in pieces whose boxes stand one below the other: a box comes before those below it, and
    before those to its right unless a box that is as wide as both stands between their heights.

    Of more than TANGLED boxes, each is a piece, from the top.
    """
    run = sorted(run, key=lambda i: (boxes[i][1] + boxes[i][3], boxes[i][0]))
    if len(run) > TANGLED:
        yield from ([i] for i in run)
        return
    box = np.array([boxes[i] for i in run])
    middle = (box[:, 1] + box[:, 3]) / 2
    width = box[:, 2] - box[:, 0]
    shared = np.minimum(box[:, None, 2], box[:, 2]) - np.maximum(box[:, None, 0], box[:, 0])
    over = shared > 0.1 * np.minimum(width[:, None], width)  # (n, n): one stands above the other
    before = ~over & (box[:, None, 0] < box[None, :, 0])
    for k, height in enumerate(middle):
        above, below = np.flatnonzero(over[k] & (middle < height)), np.flatnonzero(over[k] & (middle > height))
        before[np.ix_(above, below)] = before[np.ix_(below, above)] = False
    before |= over & (middle[:, None] < middle)
    np.fill_diagonal(before, False)
    waiting = before.sum(axis=0)
    left = np.ones(len(run), bool)
    piece: list[int] = []
    while left.any():
        ready = np.flatnonzero(left & (waiting == waiting[left].min())).tolist()
        under = [k for k in ready if piece and over[piece[-1], k] and middle[piece[-1]] < middle[k]]
        k = (under or sorted(ready, key=lambda k: (box[k, 0], middle[k])))[0]
        if piece and not under:
            yield [run[i] for i in piece]
            piece = []
        piece.append(k)
        left[k] = False
        waiting = waiting - before[k]
    yield [run[i] for i in piece]
