"""Boxes to tick on a scan: hollow squares and rings of about the size of type that stand apart from other ink, and
whether there is a mark in them.

Squares in a row that touch, as for one letter each, signs of Chinese that are square, and letters O are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import union
from microfiche.documents.scans.ink import Ink
from microfiche.documents.scans.screen_ticks import drawn_boxes
from microfiche.page import Box

SIZE = 1.0, 4.5  #: heights of letters like x that a box has
SQUARE = 0.8  #: of its longer side, that the shorter has, at least
STROKE = 0.9  #: heights of letters like x that an edge is long, at least
EDGE, SIDE = 0.16, 0.85  #: of a box: how deep its edges are looked for, and the share of each that is inked, at least
STRAIGHT, LEAST = 0.8, 14  #: of an edge, that is inked in two rows of pixels, at least; px of a side, at least
CORNER = 0.1  #: of a side, that a corner is large, most of which is inked
WORN = 1  #: corners that may not be inked
THICK = 0.19  #: of its side, that an edge is thick, at most
MARK = 0.07  #: of what is within the edges, that is inked in a box that is ticked, at least
EMPTY = 0.02  #: the same of one that is not, at most
APART = 0.2  #: of its side, without ink to the left and the right of a box
FRINGE = 2  #: px to either side that a worn edge may reach
SPECK = 0.3  #: of its side, that a piece of ink within the edges of a box is long, at least
ROUND, RAGGED = 0.86, 0.08  #: of a ring's longer side that the shorter has, and by how much of it its radius varies
SMALLEST, LEAST_RING = 1.15, 11  #: heights of letters like x, and px, that a ring has at least
BAND, WITHIN = (0.72, 1.05), 0.62  #: of its radius: where the line of a ring lies, and what is within it
DOT = 0.12  #: of what is within a ring, that the dot of a chosen one fills, at least
SAME = 0.16  #: by which the sides of rings of one kind differ, at most
TALLER = 1.15  #: heights of its label's tallest letter, from which a ring is too large for a letter O …
FAR = 0.65  #: … or away from its label
WALL, BLACKENED = 0.22, 0.7  #: of a box: its edge and what is blurred; the share of ink from which it is filled out
BAR = 0.8  #: of a box, that a bar is long which goes from edge to edge
FINE = 6  #: px within the edges, from which bars are told from other marks
BESIDES = 0.3  #: of what is in a letter or a sign of Chinese, that is no bar from edge to edge, at most
CLOSE, HIGHER = 0.5, 1.15  #: of the side of a box, away from which signs of its line begin, and that they are high
LOW = 0.85  #: heights of its label's tallest letter, below which an empty box is the bullet of a list
LABEL = 4.0  #: sides of a ring from it to its label, at most


@dataclass(frozen=True)
class Tick:
    """A box to tick: its `box`, the `whole` of it with a mark that goes beyond, and whether it is `ticked`."""

    box: Box
    whole: Box
    ticked: bool


def boxes_to_tick(pixels: NDArray[np.uint8], ink: Ink) -> list[Tick]:
    """The boxes to tick on a picture (H, W, 3) with this ink; those that may be ticked or not are left out."""
    return boxes_and_bullets(pixels, ink)[0]


def boxes_and_bullets(pixels: NDArray[np.uint8], ink: Ink) -> tuple[list[Tick], list[Tick]]:
    """The boxes to tick, as `boxes_to_tick` gives them, and what is like them but a hollow bullet of a list."""
    squares, rings = (_squares(ink), _rings(ink)) if ink.type else ([], [])
    for one in drawn_boxes(pixels, ink, [tick.box for tick in (*squares, *rings)]):
        (rings if one.round or one.sure else squares).append(Tick(one.box, one.box, one.ticked))
    found = [*rings, *(one for one in squares if not (one.ticked and _is_sign(one, ink)))]
    bullets = [tick for tick in found if _is_bullet(tick, found, ink)]
    return [tick for tick in found if tick not in bullets], bullets


def _is_bullet(tick: Tick, ticks: Sequence[Tick], ink: Ink) -> bool:
    """Whether an empty box is rather the hollow bullet of a list: lower than the letters after it, where no box as
    large is ticked."""
    _, top, right, foot = tick.box
    side = foot - top
    if any(other.ticked and abs(other.box[3] - other.box[1] - side) < SAME * side + 1 for other in ticks):
        return False
    x, y, _, h, _ = ink.letters.T
    middle = (top + foot) / 2
    level = (x >= right) & (x < right + (LABEL + 4) * side) & (y < middle) & (y + h > middle) & (h < 2.5 * side)
    return bool(level.any()) and side < LOW * float(h[level].max())


def _is_sign(one: Tick, ink: Ink) -> bool:
    """Whether a box with something in it is a letter such as B, or a sign of Chinese: what is in it are bars from edge
    to edge, or it stands close between others that are higher."""
    left, top, right, bottom = map(round, one.box)
    side = min(right - left, bottom - top)
    margin = round(WALL * side)
    whole = ink.mask[top:bottom, left:right]
    within = slice(margin, -margin), slice(margin, -margin)
    inner = whole[within]
    if min(inner.shape) >= FINE and 0 < inner.mean() < BLACKENED:
        high, wide = (round(BAR * n) for n in whole.shape)
        level, upright = (
            cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones(kernel, np.uint8))[within]
            for kernel in ((1, wide), (high, 1))
        )
        bars = cv2.dilate(cv2.max(level, upright), np.ones((3, 3), np.uint8))
        if inner[np.asarray(bars) == 0].sum() < BESIDES * inner.sum():
            return True
    left, _, right, _ = map(round, one.whole)
    rows = slice(max(0, top - side // 2), bottom + side // 2)
    beside = ink.mask[rows, max(0, left - side) : max(0, left - FRINGE)], ink.mask[rows, right + FRINGE : right + side]
    return all(_is_higher(one, side) for one in (beside[0][:, ::-1], beside[1]))


def _is_higher(beside: NDArray[np.uint8], side: int) -> bool:
    """Whether the ink beside a box begins close to it, which is at the left, and is higher than its side."""
    columns, rows = np.flatnonzero(beside.any(0)), np.flatnonzero(beside.any(1))
    return bool(len(columns) and columns[0] < CLOSE * side and np.ptp(rows) + 1 > HIGHER * side)


def _squares(ink: Ink) -> list[Tick]:
    run = max(9, round(STROKE * ink.type))
    level, upright = (
        cv2.morphologyEx(ink.mask, cv2.MORPH_OPEN, np.ones(kernel, np.uint8)) for kernel in ((1, run), (run, 1))
    )
    level, upright = np.asarray(level, np.uint8), np.asarray(upright, np.uint8)
    edges = np.maximum(level, upright)
    _, _, stats, _ = cv2.connectedComponentsWithStats(edges, connectivity=8, ltype=cv2.CV_32S)
    sides = stats[1:, 2:4]
    likely = (sides.max(1) < SIZE[1] * ink.type) & (sides.min(1) > max(LEAST, SIZE[0] * ink.type))
    out: list[Tick] = []
    for x, y, w, h in stats[1:][likely, :4].tolist():
        columns = np.flatnonzero(upright[y : y + h, x : x + w].any(0))  # a mark may lengthen an edge
        rows = np.flatnonzero(level[y : y + h, x : x + w].any(1))
        if not len(columns) or not len(rows):
            continue
        left, top = x + int(columns[0]), y + int(rows[0])
        wide, high = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        if min(wide, high) < max(LEAST, SQUARE * max(wide, high)):
            continue
        edge = _edge(edges[top : top + high, left : left + wide])
        if not edge:
            continue
        inner = ink.mask[top + edge : top + high - edge, left + edge : left + wide - edge]
        filled = float(_without_specks(inner, SPECK * max(wide, high)).mean()) if inner.size else 1.0
        margin = round(APART * max(wide, high))
        beside = ink.mask[top : top + high, max(0, left - margin) : left + wide + margin].sum()
        beside -= ink.mask[top : top + high, max(0, left - FRINGE) : left + wide + FRINGE].sum()
        if beside > (0.7 * filled * wide * high if filled > MARK else 0) or EMPTY <= filled <= MARK:
            continue
        box = float(left), float(top), float(left + wide), float(top + high)
        out.append(Tick(box, _whole(ink, box), filled > MARK))
    return out


def _whole(ink: Ink, box: Box) -> Box:
    """A box with the pieces of ink that reach into it from without, but for those that are much larger."""
    x, y, w, h, _ = ink.pieces.T
    side = box[2] - box[0]
    over = (x < box[2]) & (x + w > box[0]) & (y < box[3]) & (y + h > box[1]) & (np.maximum(w, h) < 2.5 * side)
    its = ink.pieces[over, :4].astype(float).tolist()
    return union([box, *((left, top, left + wide, top + high) for left, top, wide, high in its)])


def _edge(square: NDArray[np.uint8]) -> int:
    """How thick the edges of a hollow square (H, W) are, px, with what is blurred; 0 where it is none."""
    side = min(square.shape)
    deep = max(2, round(EDGE * side))
    corner = max(2, round(CORNER * side))
    for turned in (square, square[::-1], square.T, square.T[::-1]):
        straight = np.maximum(turned[: deep - 1], turned[1:deep]).mean(1).max()  # an edge may rise or fall by a px
        if turned[:deep].max(0).mean() < SIDE or straight < STRAIGHT:
            return 0
    ends = slice(None, corner), slice(-corner, None)
    if sum(square[y, x].mean() < 0.5 for y in ends for x in ends) > WORN:  # those of a letter are round
        return 0
    middle = square[side // 3 : -(side // 3)]
    runs = [int(np.argmin(row)) for row in middle if row[: deep + 1].any() and not row.all()]
    thick = float(np.median(runs)) if runs else side
    return max(deep, round(thick) + 1) if thick <= THICK * side else 0


def _without_specks(mask: NDArray[np.uint8], least: float) -> NDArray[np.uint8]:
    """A mask (H, W) without the pieces that are shorter than `least`, px."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    large = np.zeros(count, np.uint8)
    large[1:] = stats[1:, 2:4].max(1) >= least
    return np.asarray(large[labels], np.uint8)


@dataclass(frozen=True)
class _Ring:
    """A ring or a disc: its left, top, width and height, px; whether it has a `dot` or a `mark` in it, or is `full`."""

    place: tuple[int, int, int, int]
    dot: bool
    mark: bool
    full: bool

    @property
    def box(self) -> Box:
        left, top, wide, high = map(float, self.place)
        return left, top, left + wide, top + high

    def like(self, other: _Ring) -> bool:
        """Whether two may be of one kind, by their sizes."""
        a, b = max(self.place[2:]), max(other.place[2:])
        return self is not other and abs(a - b) <= max(2.0, SAME * max(a, b))


def _rings(ink: Ink) -> list[Tick]:
    """Rings, of which the chosen one has a dot, as those before answers of which one can be given; a full disc among
    rings is chosen as well."""
    longer, shorter = ink.pieces[:, 2:4].max(1), ink.pieces[:, 2:4].min(1)
    size = (longer < SIZE[1] * ink.type) & (shorter >= max(LEAST_RING, SMALLEST * ink.type))
    size &= shorter > ROUND * longer
    found = [ring for k in np.flatnonzero(size).tolist() if (ring := _ring(ink, ink.pieces[k, :4].tolist()))]
    open_ones = [ring for ring in found if not ring.full]
    chosen = [ring for ring in open_ones if ring.dot]
    out = []
    for ring in found:
        alike = [other for other in open_ones if ring.like(other)]
        if not alike or not _stands_apart(ring, ink, bool(ring.dot or any(ring.like(other) for other in chosen))):
            continue
        if ring.full and not any(_level(ring, other) for other in alike):
            continue
        out.append(Tick(ring.box, ring.box, ring.dot or ring.mark or ring.full))
    return out


def _level(ring: _Ring, other: _Ring) -> bool:
    """Whether two rings stand in one row or in one column."""
    (a, b, side, _), (c, d, _, _) = ring.place, other.place
    return min(abs(a - c), abs(b - d)) < 0.35 * side


def _ring(ink: Ink, place: Sequence[int]) -> _Ring | None:
    """The ring that a piece of ink is; None where it is none."""
    left, top, wide, high = place
    mask = ink.mask[top : top + high, left : left + wide]
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outer = max((np.asarray(contour, float).reshape(-1, 2) for contour in contours), key=len)
    middle, radius = np.array((wide - 1, high - 1)) / 2, (wide + high) / 4
    far = np.hypot(*(outer - middle).T)
    if far.std() > RAGGED * far.mean() or np.ptp(outer[:, 0]) < wide - 1:
        return None
    rows, columns = np.mgrid[:high, :wide]
    away = np.hypot(columns - middle[0], rows - middle[1]) / radius
    angles = np.floor((np.arctan2(rows - middle[1], columns - middle[0]) / np.pi + 1) * 11.99).astype(int)  # of 24
    band = (away > BAND[0]) & (away < BAND[1])
    if len(np.unique(angles[band & (mask > 0)])) < 23:
        return None
    within = _without_specks(np.where(away < WITHIN, mask, 0).astype(np.uint8), SPECK * WITHIN * radius)
    filled = float(within.sum() / (away < WITHIN).sum())
    found = left, top, wide, high
    if filled < EMPTY:
        return _Ring(found, False, False, False)
    annuli = [float(mask[(away >= r) & (away < r + 0.12)].mean()) for r in np.arange(0.36, 0.8, 0.06)]
    if filled > 0.9 and min(annuli) > 0.85:
        return _Ring(found, False, False, True)
    its = np.argwhere(within)
    down, across = np.ptp(its, axis=0) + 1
    centred = np.abs(its.mean(0) - middle[::-1]).max() < 0.2 * radius
    compact = min(down, across) > 0.7 * max(down, across) and len(its) > 0.62 * down * across
    if filled > DOT and centred and compact and min(annuli) < 0.5:
        return _Ring(found, True, False, False)
    pieces, _ = cv2.connectedComponents(mask, connectivity=8)
    crossed = pieces == 2 and MARK < filled < 0.6 and max(down, across) > 0.8 * WITHIN * 2 * radius
    return _Ring(found, False, True, False) if crossed else None


def _stands_apart(ring: _Ring, ink: Ink, sure: bool) -> bool:
    """Whether there is paper around a ring, and a label to its right that a letter O would not stand so before; a ring
    that is `sure` to be none needs the paper alone."""
    left, top, wide, high = ring.place
    side = max(wide, high)
    before = ink.mask[top : top + high, max(0, left - (side // 2 if sure else side)) : left]
    after = ink.mask[top : top + high, left + wide : left + wide + side // 8]
    if before.sum() > 0.01 * side * side or after.any():
        return False
    if sure:
        return True
    x, y, _, h, _ = ink.letters.T
    middle = top + high / 2
    level = (x >= left + wide) & (x < left + (LABEL + 4) * side) & (y < middle) & (y + h > middle) & (h < 2.5 * side)
    if not level.any():
        return False
    gap, tallest = float(x[level].min() - left - wide), float(h[level].max())
    return gap < LABEL * side and (side > TALLER * tallest or gap > FAR * tallest)


def without(picture: NDArray[np.uint8], ticks: Sequence[Tick]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with the boxes painted over with the paper around them."""
    out = picture.copy()
    for left, top, right, bottom in (tick.whole for tick in ticks):
        x0, y0, x1, y1 = max(0, int(left) - 2), max(0, int(top) - 2), int(right) + 2, int(bottom) + 2
        ring = np.concatenate([out[y0:y1, x0], out[y0:y1, min(x1, out.shape[1]) - 1]])
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), [int(v) for v in np.median(ring, axis=0)], -1)
    return out
