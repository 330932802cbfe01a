"""The rules in a picture of a page: level and upright thin lines, as a scanner sees them.

Rules may be broken, grey, or up to a degree off the level. Letters are none. It knows nothing of tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import scaled
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

DPI = 150.0  #: of the picture that lengths below are for, if a page is 8.27 inches wide
SHORT = 24  #: px, the least length of a rule
THICK = 9  #: px, from which it is a bar
FAINT = 6.0  #: grey levels that a rule is darker than what is beside it, on average and beyond the noise, at least
GRAIN = 3.5  #: standard deviations of the paper's own grain along a rule, likewise
GRAIN_STEP, GROUND = 3, 7  #: px between those that tell the grain around a place, and how many of them to either side
BREAK = 9  #: px: a break in a rule that is bridged
FULL = 0.75  #: of a rule's length that is inked, at least
WHOLE, STRONG = 0.92, 24.0  #: the same of a rule that letters touch, and how many grey levels darker it is, at least
NEXT = 4  #: px between two rules that letters touch, at least
EVEN = 0.6  #: of its median strength, that a rule has almost everywhere
RUN = 14.0  #: px: the mean length of what is inked without a break, at least; letters are narrower
LONG = 200  #: px: a shorter rule is one only where paper lies on both sides of it
CLEAR = 0.6  #: of a shorter rule's length on either side where paper lies, at least
FOOT = 0.1  #: ems from a rule on which words stand to the lower edge of their box, at least
INK = 50  #: grey levels from paper to ink
ALONE = {True: 150, False: 64}  #: px: a shorter rule, upright or not, is one only where it ends at others
REACH = 9.0  #: px from the end of a rule to another that it meets


def rules_in(picture: Image.Image) -> list[Box]:
    """The rules in a picture, as boxes in its pixels with x0 = x1 or y0 = y1, upright ones first."""
    grey = np.asarray(picture.convert("L"))
    scale = max(1.0, min(grey.shape) / (8.27 * DPI) if min(grey.shape) > 1.5 * 8.27 * DPI else 1.0)
    if scale > 1:
        size = round(grey.shape[1] / scale), round(grey.shape[0] / scale)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    found: list[Box] = []
    for upright in (True, False):
        side = np.ascontiguousarray(grey.T) if upright else grey
        for x0, y, x1 in _level(side):
            box = (y, x0, y, x1) if upright else (x0, y, x1, y)
            found.append(box)
    return [scaled(box, scale, scale) for box in found if _stands(box, found)]


def _stands(box: Box, every: list[Box]) -> bool:
    """Whether a rule is long, or ends at rules that cross it."""
    upright = box[0] == box[2]
    axis = 1 if upright else 0
    if box[axis + 2] - box[axis] >= ALONE[upright]:
        return True
    ends = (box[axis], box[axis + 2])
    crossing = [r for r in every if r[axis] == r[axis + 2] and r[3 - axis] - r[1 - axis] >= SHORT
                and r[1 - axis] - REACH <= box[1 - axis] <= r[3 - axis] + REACH]
    return all(any(abs(r[axis] - end) <= REACH for r in crossing) for end in ends)


def _level(grey: NDArray[np.uint8]) -> list[tuple[float, float, float]]:
    """(x0, y, x1) of the level rules in a grey picture."""
    # Darker than what is a little above and below it: a black top-hat across the rule, so paper may be of any tone.
    closed = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((THICK, 1), np.uint8))
    hat = cv2.subtract(closed, grey)
    noise = float(np.median(hat[::7, ::7]))
    along = cv2.blur(hat, (15, 1)).astype(np.float32)
    grain = 1.48 * float(np.median(np.abs(along[::7, ::7] - noise)))
    # Shaded fields are coarser.
    ground = cv2.medianBlur(np.ascontiguousarray(hat[::GRAIN_STEP, ::GRAIN_STEP]), 2 * GROUND + 1)
    ground = cv2.resize(ground, hat.shape[::-1], interpolation=cv2.INTER_NEAREST)
    coarser = np.maximum(1.0, np.asarray(ground, np.float32) / max(1.0, noise))
    dark = (along >= coarser * (noise + max(FAINT, GRAIN * grain))).astype(np.uint8)
    ink = grey < float(np.median(grey[::7, ::7])) - INK
    # Neighbouring rows count as well, so that a rule that climbs goes on.
    thick = cv2.dilate(dark, np.ones((3, 1), np.uint8))
    bridged = cv2.morphologyEx(thick, cv2.MORPH_CLOSE, np.ones((1, BREAK), np.uint8))
    long = cv2.morphologyEx(bridged, cv2.MORPH_OPEN, np.ones((1, SHORT), np.uint8))
    longer = cv2.morphologyEx(bridged, cv2.MORPH_OPEN, np.ones((1, 2 * SHORT), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(long, connectivity=8)
    near = np.asarray(cv2.blur(hat, (5, 1)), np.uint8)
    out: list[tuple[float, float, float]] = []
    for k in range(1, count):
        x, y, wide, high, area = stats[k].tolist()
        if wide < SHORT:
            continue
        part = labels[y : y + high, x : x + wide] == k
        if high <= THICK + 0.03 * wide and area <= THICK * wide:
            value = near[y : y + high, x : x + wide] * part
            found = _rule(value, x, y, noise, ink if wide < LONG else None)
            out += [found] if found else []
            continue
        for top, left, right in _lines_in(longer[y : y + high, x : x + wide] * part):  # letters touch it
            rows = slice(y + max(0, top - 2), y + top + 3)
            found = _rule(near[rows, x + left : x + right], x + left, rows.start, noise, ink, touched=True)
            out += [found] if found else []
    return out


def _lines_in(dark: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """The row, the first column and the one after the last, of each long stretch of what is dark in a picture (H, W),
    the longest of those that lie close to each other."""
    every = [(b - a, y, a, b) for y in np.flatnonzero(dark.any(1)).tolist() for a, b in _runs(dark[y] > 0)]
    out: list[tuple[int, int, int]] = []
    for _, y, a, b in sorted(every, reverse=True):
        if all(abs(y - row) > NEXT or b <= left or right <= a for row, left, right in out):
            out.append((y, a, b))
    return out


def _rule(
    value: NDArray[np.uint8], x: int, y: int, noise: float, ink: NDArray[np.bool_] | None, touched: bool = False
) -> tuple[float, float, float] | None:
    """(x0, y, x1) of the rule in a strip (H, W) of what is dark, whose left top corner is at `x` and `y`; None where
    there is none, or where it does not lie clear of other `ink`, if that is given. One that letters touch is rather a
    row of these, unless it is strong and whole."""
    strength = value.max(axis=0).astype(np.float32) - noise
    inked = strength >= max(0.4 * float(np.median(strength)), 0.5 * FAINT)
    whole = inked[1:-1] | (inked[:-2] & inked[2:])
    runs = _runs(whole)
    if touched and float(np.median(strength)) < STRONG:
        return None
    if not touched and (inked.mean() < FULL or whole.sum() < RUN * max(1, len(runs))):
        return None
    at = value.argmax(axis=0) + y
    while len(runs) > 1 and runs[0][1] - runs[0][0] < SHORT:  # a letter that the rule meets
        runs = runs[1:]
    while len(runs) > 1 and runs[-1][1] - runs[-1][0] < SHORT:
        runs = runs[:-1]
    if not runs:
        return None
    first, after = runs[0][0], runs[-1][1] + 2
    even = float((strength[first:after] >= EVEN * float(np.median(strength[first:after]))).mean())
    length = after - first
    if (length < ALONE[True] and even < FULL) or (touched and (length < 2 * SHORT or even < WHOLE)):
        return None
    if ink is not None and not (_clear(ink, x + first, at[first:after]) if touched else _clear(ink, x, at)):
        return None
    return float(x + first), float(np.median(at[first:after])), float(x + after)


def _clear(ink: NDArray[np.bool_], x: int, at: NDArray[np.int64]) -> bool:
    """Whether paper lies above and below most of a rule that begins at `x` and whose heights are `at`."""
    along = np.arange(x, x + len(at))
    for side in (-1, 1):
        beside = np.zeros(len(at), np.bool_)
        for step in (4, 5, 6):
            beside |= ink[np.clip(at + side * step, 0, ink.shape[0] - 1), along]
        if 1 - beside.mean() < CLEAR:
            return False
    return True


def _runs(marks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The stretches (first, after) of marks that are set."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))


def beside_words(rules: Sequence[Box], lines: Sequence[TextLine]) -> list[Box]:
    """The rules, without those parts of level ones where words stand on them, as between two blanks of one line."""
    out = []
    for left, y, right, low in rules:
        on = sorted(
            (line.box[0], line.box[2]) for line in lines
            if y == low and line.middle < y < line.box[3] - FOOT * line.size and line.box[0] < right
            and left < line.box[2]
        )
        for start, stop in on:
            if start > left:
                out.append((left, y, min(start, right), low))
            left = max(left, stop)
        if left < right or not on:
            out.append((left, y, right, low))
    return out
