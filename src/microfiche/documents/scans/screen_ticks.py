"""Boxes to tick as screens draw them, and small ones on scans: hollow squares and rings of a few px whose thin lines
are no ink beside black letters, and squares and discs full of colour with a hook or a dot in them.

Looks at what is faint ink as well; knows no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import share_of_smaller
from microfiche.documents.scans.ink import Ink
from microfiche.page import Box

SIDE = 9, 4.0  #: px of a box at least, and heights of letters like x at most
SQUARE = 0.86  #: of its longer side, that the shorter has, at least
CORNER = 0.02  #: of its area, that each corner of a square lacks, at most, and …
CUT = 1.5  #: … px more
ROUND = 0.045, 0.55  #: of its radius, by which that of a ring varies at most, and … px more
THICK = 0.22  #: of its side, that the edge of a box is thick, at most
STRAIGHT = 0.6  #: of a side of a square, that is ink in its outermost row, at least
BLURRED = 0.3  #: of its side, below which a row at the edge of a box is no ink but what is blurred beside it
EMPTY = 0.1  #: of what is within the edges, that is ink in a box that is not ticked, at most
MARK = 0.2, 0.35  #: of its side, that a mark in a box is wide and long, at least
HOOK = 0.36, 0.28  #: of its side, that a hook in a full box is wide and high, at least
COARSE = 9  #: px, below which a hook is too low to show that it goes down first
PLAIN = 0.6  #: of a full box, that has its colour, at least
STANDS_OUT = 0.3, 24  #: of the strongest difference from that colour, and grey levels, of a mark on it, at least
DOT = 0.25, 0.75  #: of its side, that the dot of a ring is wide
CLEAR = 0.3  #: of its side, without ink to the left of a box; half of that to the right of a square
LABEL = 2.0  #: sides from a box to its label, at most
TALLER, FAR = 1.15, 0.6  #: heights of its label's letters that a lone ring is high at least, or away from it
INITIAL = 0.3  #: sides from a first letter to the next one, at most
LEVEL = 0.35  #: of their side, by which boxes of one row or column are off it, at most
SAME = 1.5  #: px by which their sides differ, at most


@dataclass(frozen=True)
class Drawn:
    """A box to tick: its left, top, width and height in px, whether it is `round` and whether it is `ticked`; a `sure`
    one is told from other signs by its hook or dot."""

    place: tuple[int, int, int, int]
    round: bool
    ticked: bool
    sure: bool

    @property
    def box(self) -> Box:
        """Where it stands, px."""
        left, top, wide, high = map(float, self.place)
        return left, top, left + wide, top + high

    def like(self, other: Box) -> bool:
        """Whether another box is as large and stands in the same row or column."""
        left, top, right, _ = self.box
        side, its = right - left, other[2] - other[0]
        return abs(side - its) <= SAME and min(abs(left - other[0]), abs(top - other[1])) < LEVEL * side


def drawn_boxes(pixels: NDArray[np.uint8], ink: Ink, known: Sequence[Box] = ()) -> list[Drawn]:
    """The boxes to tick on a picture (H, W, 3) with this ink, but for those that are `known`."""
    if not ink.type:
        return []
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink.faint, connectivity=8, ltype=cv2.CV_32S)
    longer, shorter = stats[1:, 2:4].max(1), stats[1:, 2:4].min(1)
    fits = (shorter >= np.maximum(SIDE[0], SQUARE * longer)) & (longer < SIDE[1] * max(ink.type, 6))
    found = []
    for left, top, wide, high, _ in stats[1:][fits].tolist():
        box = float(left), float(top), float(left + wide), float(top + high)
        if any(share_of_smaller(box, other) > 0.3 for other in known):
            continue
        one = _drawn(pixels, ink, (left, top, wide, high))
        if one and _clear(ink, one) and not _is_letter(ink, one):
            found.append(one)
    return [one for one in found if _counts(one, found, known, ink)]


def _drawn(pixels: NDArray[np.uint8], ink: Ink, place: tuple[int, int, int, int]) -> Drawn | None:
    """The box that a piece of faint ink is; None where it is none."""
    left, top, wide, high = place
    whole = ink.faint[top : top + high, left : left + wide]
    rows, columns = (np.flatnonzero(whole.mean(axis) > BLURRED) for axis in (1, 0))
    if not len(rows) or not len(columns) or min(np.ptp(rows), np.ptp(columns)) + 1 < SIDE[0]:
        return None
    here = np.s_[top + rows[0] : top + rows[-1] + 1, left + columns[0] : left + columns[-1] + 1]
    mask = ink.faint[here]
    outside = _outside(mask)
    circle = _is_round(outside)
    if not circle and not _is_square(mask, outside):
        return None
    side = min(mask.shape)
    edge = _edge(mask)
    if edge <= max(2, THICK * side):
        inner = mask[edge + side // 16 : -edge - side // 16, edge + side // 16 : -edge - side // 16]
        if circle:
            down, across = np.mgrid[: len(inner), : inner.shape[1]]
            middle = (np.array(inner.shape) - 1) / 2
            inner = inner * (np.hypot(down - middle[0], across - middle[1]) < min(inner.shape) / 2 - 0.5)
        part = largest(inner)
        if min(part.shape) < MARK[0] * side or max(part.shape) < MARK[1] * side:
            return Drawn(place, circle, False, False) if inner.mean() <= EMPTY else None
        return None if circle and not _is_dot(part, len(inner)) else Drawn(place, circle, True, circle)
    colours = pixels[here].astype(np.int32)
    full = np.asarray(~outside, np.uint8)
    off = abs(colours - np.median(colours[full > 0], axis=0)).max(2) * cv2.erode(full, np.ones((3, 3), np.uint8))
    stands_out = off > max(STANDS_OUT[0] * float(off.max()), STANDS_OUT[1])
    mark = largest(stands_out.astype(np.uint8))
    if not mark.size or stands_out.sum() > (1 - PLAIN) * full.sum():
        return None
    hook = is_hook(mark) and mark.shape[1] >= HOOK[0] * side and mark.shape[0] >= HOOK[1] * side
    dot = circle and _is_dot(mark, side)
    return Drawn(place, circle, True, dot or not circle) if hook or dot else None


def _outside(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What of a piece's frame (H, W) lies outside of it."""
    framed = np.pad(mask, 1)
    cv2.floodFill(framed, None, (0, 0), 2)
    return np.asarray(framed[1:-1, 1:-1] == 2, bool)


def _is_square(mask: NDArray[np.uint8], outside: NDArray[np.bool_]) -> bool:
    """Whether a piece fills its frame but for corners that are a little round, and has straight sides."""
    high, wide = mask.shape
    half, most = min(high, wide) // 2, CORNER * high * wide + CUT
    corners = [outside[:half, :half], outside[:half, -half:], outside[-half:, :half], outside[-half:, -half:]]
    sides = [mask[0], mask[-1], mask[:, 0], mask[:, -1]]
    near = [mask[:2].max(0), mask[-2:].max(0), mask[:, :2].max(1), mask[:, -2:].max(1)]
    straight = all(row.mean() >= STRAIGHT or (both.mean() > 0.85 and row.mean() > 0.3)
                   for row, both in zip(sides, near, strict=True))
    return straight and all(corner.sum() <= most for corner in corners)


def _is_round(outside: NDArray[np.bool_]) -> bool:
    inside = (~outside).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(contours) != 1:
        return False
    outer = np.asarray(contours[0], float).reshape(-1, 2)
    high, wide = inside.shape
    far = np.hypot(*(outer - np.array((wide - 1, high - 1)) / 2).T)
    radius = (high + wide) / 4 - 0.5
    return bool(far.std() < ROUND[0] * radius + 0.15 and abs(far - radius).max() < ROUND[1] + 0.12 * radius)


def _edge(mask: NDArray[np.uint8]) -> int:
    """How thick the edge of a piece is, px, as seen from the middles of its four sides."""
    runs = []
    for turned in (mask, mask[::-1], mask.T, mask.T[::-1]):
        middle = turned[:, turned.shape[1] // 3 : -(turned.shape[1] // 3)]
        ink = np.logical_and.accumulate(middle | (np.arange(len(middle))[:, None] == 0), axis=0)
        runs.append(float(np.median(ink.sum(0))))
    return round(float(np.median(runs)))


def largest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest piece of a mask, cut out; (0, 0) where there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask), connectivity=8)
    if count < 2:
        return np.zeros((0, 0), np.uint8)
    k = 1 + int(stats[1:, 4].argmax())
    left, top, wide, high, _ = stats[k].tolist()
    return np.asarray(labels[top : top + high, left : left + wide] == k, np.uint8)


def _is_dot(part: NDArray[np.uint8], side: int) -> bool:
    """Whether a piece is a dot within a ring."""
    high, wide = part.shape
    if not part.size or min(high, wide) < 0.75 * max(high, wide) or part.mean() < 0.62:
        return False
    even = min((part == part[::-1]).mean(), (part == part[:, ::-1]).mean()) > 0.75
    return bool(even and DOT[0] * side <= wide <= max(DOT[1], 1 - 2 / max(side, 1)) * side)


def is_hook(part: NDArray[np.uint8]) -> bool:
    """Whether a piece of ink (H, W) goes down to its foot in its left half and rises from there to its right end, as a
    hook does; of one of few px the way down need not be seen."""
    part = part[part.any(1)][:, part.any(0)]
    high, wide = part.shape
    if not part.size or not 0.5 * high < wide < 2.2 * high:
        return False
    middles = (part * np.arange(high)[:, None]).sum(0) / np.maximum(1, part.sum(0))  # of each column, from the top
    foot = int(middles.argmax())
    rises = np.diff(middles[foot:]) <= 0.5
    thin = (high - part.argmax(0) - part[::-1].argmax(0)).max() < (0.75 if high > COARSE + 3 else 0.85) * high
    down = high < COARSE or middles[foot] - middles[0] > 0.03 * high
    return bool(thin and down and foot <= 0.6 * wide and rises.mean() > 0.85 and middles[0] > 0.3 * high > middles[-1])


def _clear(ink: Ink, one: Drawn) -> bool:
    """Whether there is paper to the left and the right of a box."""
    left, top, wide, high = one.place
    before = ink.faint[top : top + high, max(0, left - round(CLEAR * wide)) : left]
    room = CLEAR if one.round else CLEAR / 2  # letters o stand close together
    after = ink.faint[top : top + high, left + wide : left + wide + round(room * wide)]
    return before.sum() <= 0.02 * before.size and after.sum() <= 0.02 * after.size


def _is_letter(ink: Ink, one: Drawn) -> bool:
    """Whether what is like a square with a mark in it is the first letter of a word, such as B: the next one stands
    close to it and on the same line."""
    left, top, wide, high = one.place
    x, y, _, h, _ = ink.letters.T
    right, foot = left + wide, top + high
    close = (x >= right) & (x < right + INITIAL * wide) & (y < foot) & (y + h > top)
    return one.ticked and not one.sure and not one.round and bool((abs(y + h - foot)[close] <= 1).any())


def _counts(one: Drawn, found: Sequence[Drawn], known: Sequence[Box], ink: Ink) -> bool:
    """Whether a box is one to tick: it has a hook or a dot, or others like it stand in its row or column and one of
    them is known or ticked, or it has a label before which no sign of a text would stand like it."""
    alike = [other for other in found if other is not one and other.round == one.round and one.like(other.box)]
    if one.sure or any(map(one.like, known)):
        return True
    if one.round and one.ticked:  # a hook in a disc, as in any sign
        return any(not other.ticked for other in alike)
    if alike and any(other.ticked for other in (one, *alike)):
        return True
    left, top, wide, high = one.place
    x, y, _, h, _ = ink.letters.T
    middle = top + high / 2
    level = (x >= left + wide) & (x < left + (1 + LABEL + 4) * wide) & (y < middle) & (y + h > middle) & (h < 2 * high)
    if not level.any():
        return False
    gap, tallest = float(x[level].min() - left - wide), float(h[level].max())
    if one.round and ink.faint[top : top + high, max(0, left - wide) : left].any():
        return False
    return gap < LABEL * wide and (high > TALLER * tallest or gap > FAR * tallest)
