"""Signs that stand alone in their row, as "3", "x" or "–" in cells of tables do, and that a detector of text often
passes over, and hooks beside text: where they are, and what they say.

A sign is looked for only where other text stands at its height, and believed only where it is surely read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.scans.ink import REDUCED, Ink
from microfiche.documents.scans.recognition import Found, Pixels, Recognised
from microfiche.documents.scans.screen_ticks import is_hook, largest
from microfiche.page import Box

MOST = 3  #: characters of such a sign
SURE = 0.7  #: mean probability of its characters
CLEAR = 0.9, 0.4  #: heights of letters like x without ink beside it, and above and below it
HIGH, WIDE = (0.75, 2.4), 2.6  #: heights of letters like x that a sign is high, and that it is wide at most
FLAT, LONG = 0.4, (0.5, 3.2)  #: the same for a dash: how high it is at most, and how wide
LEVEL = 0.3  #: of a line's height, that the middle of a sign is off that of the line, and that a line rises, at most
MANY = 2000  #: signs of a page, from which on it is a pattern
PALE, SAMPLE = 0.6, 200  #: of the strength of other ink, below which a sign shines through; pieces that tell it
HAIR, THIN = 2, 0.25  #: px that a hairline is high, which a scanner sees as grey, and the same share for it
DASHES = "-–—一－_"


def lone_signs(pixels: Pixels, ink: Ink, boxes: Sequence[Found], rules: Sequence[Box]) -> list[Found]:
    """The boxes, with a score of 0, of signs on a picture that no box holds and that belong to none of its `rules`,
    each as high as the line that it is level with."""
    ink = ink.without(rules) if rules else ink
    level = [box for box in boxes if abs(math.radians(box.angle)) * box.width < LEVEL * box.height]
    if not ink.type or not level:
        return []
    size = ink.type
    x, y, w, h, area = ink.pieces.T
    sign = (h > HIGH[0] * size) & (h < HIGH[1] * size) & (w < WIDE * size) & (area > 0.08 * w * h)
    dash = (h < FLAT * size) & (w > LONG[0] * size) & (w < LONG[1] * size) & (area > 0.55 * w * np.maximum(1, h - 1))
    cx, cy = x + w / 2, y + h / 2
    free = np.flatnonzero(sign | dash)
    for box in boxes:
        free = free[(abs(cx[free] - box.x) > box.width / 2) | (abs(cy[free] - box.y) > box.height / 2)]
    if not len(free) or len(free) > MANY:
        return []
    strong = _strengths(pixels, ink, ink.letters[:: max(1, len(ink.letters) // SAMPLE)])
    least = np.where(h[free] <= HAIR, THIN, PALE)
    pale = _strengths(pixels, ink, ink.pieces[free]) < least * np.median(strong)
    free = free[~pale]
    other = (np.maximum(w, h) > 0.3 * size) & (np.maximum(w, h) < 12 * size)
    out = []
    for k in free.tolist():
        near = other & (x < x[k] + w[k] + CLEAR[0] * size) & (x + w > x[k] - CLEAR[0] * size)
        near &= (y < y[k] + h[k] + CLEAR[1] * size) & (y + h > y[k] - CLEAR[1] * size)
        hook = is_hook(ink.mask[y[k] : y[k] + h[k], x[k] : x[k] + w[k]])
        rows = [box for box in level if abs(box.y - cy[k]) < LEVEL * box.height and box.height < 6 * size]
        apart = [hook or abs(box.x - cx[k]) > box.width / 2 + CLEAR[0] * size for box in rows]
        rows = [box for box, far in zip(rows, apart, strict=True) if far or _walled(rules, box, cx[k])]
        beside = len(rows) + int((abs(cy[free] - cy[k]) < 0.3 * size).sum()) - 1
        if (hook or near.sum() <= 1) and rows and beside >= (2 if dash[k] else 1):
            row = min(rows, key=lambda box: abs(box.x - cx[k]) - box.width / 2)
            out.append(Found(float(cx[k]), row.y, float(w[k] + (0.4 if hook else 1.2) * size), row.height, 0.0, 0.0))
    return out


def words_on_grounds(ink: Ink, boxes: Sequence[Found]) -> list[Found]:
    """The boxes, with a score of 0, of the one row of signs on each of the grounds of their own, such as buttons, that
    none of the boxes is on."""
    x, y, w, h, _ = ink.letters.T
    out = []
    for left, top, right, bottom in ink.grounds:
        if any(left < box.x < right and top < box.y < bottom for box in boxes):
            continue
        its = ink.letters[(x >= left) & (x + w <= right) & (y >= top) & (y + h <= bottom)]
        if not len(its) or its[:, 1].max() >= (its[:, 1] + its[:, 3]).min():
            continue
        start, stop = float(its[:, 0].min()), float((its[:, 0] + its[:, 2]).max())
        first, last = float(its[:, 1].min()), float((its[:, 1] + its[:, 3]).max())
        high = 1.6 * (last - first)
        out.append(Found((start + stop) / 2, (first + last) / 2, stop - start + 0.5 * high, high, 0.0, 0.0))
    return out


def _walled(rules: Sequence[Box], box: Found, x: float) -> bool:
    """Whether an upright rule stands between a box and a sign at `x`."""
    first, last = sorted((x, box.x + math.copysign((box.width - box.height) / 2, x - box.x)))
    return any(r[0] == r[2] and first < r[0] < last and r[1] <= box.y <= r[3] for r in rules)


def _strengths(pixels: Pixels, ink: Ink, pieces: NDArray[np.int32]) -> NDArray[np.float32]:
    """By how many grey levels each of the pieces of ink, (K, 5), differs from the paper, where it does so most."""
    out = []
    for x, y, w, h, _ in pieces.tolist():
        paper = int(ink.paper[min(y // REDUCED, len(ink.paper) - 1), min(x // REDUCED, ink.paper.shape[1] - 1)])
        grey = pixels[y : y + h, x : x + w].mean(2)
        out.append(np.quantile(abs(grey - paper), 0.9))
    return np.array(out, np.float32)


def said(line: Recognised, mask: NDArray[np.uint8]) -> Recognised | None:
    """What a lone sign says, from what was recognised in its box and from the ink of that; None where that is
    unsure."""
    if is_hook(largest(mask)):
        return replace(line, text="✓", sure=np.array([SURE], np.float32), places=np.array([0.5], np.float32))
    if is_dash(mask):
        return replace(line, text="–", sure=np.array([SURE], np.float32), places=np.array([0.5], np.float32))
    return line if line.confidence >= SURE and 0 < len(line.text) <= MOST else None


def is_dash(mask: NDArray[np.uint8]) -> bool:
    """Whether the ink (H, W) in a box of one sign is a single flat stroke, neither at its top nor at its foot."""
    rows, columns = np.flatnonzero(mask.max(1, initial=0)), np.flatnonzero(mask.max(0, initial=0))
    if not len(rows) or columns[-1] - columns[0] + 1 < 2.2 * (rows[-1] - rows[0] + 1):
        return False
    stroke = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    full = stroke.sum() > 0.55 * stroke.shape[1] * max(1, len(stroke) - 1)  # its edge may be ragged
    return bool(full and 0.25 * len(mask) < rows[0] and rows[-1] < 0.8 * len(mask))
