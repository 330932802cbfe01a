"""Large letters that begin a chapter on a scan, which a detector of text passes over, or takes together with the line
that they begin; each gets a box of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.scans.ink import Ink
from microfiche.documents.scans.recognition import Found, cut

STEEP = 8.0  #: degrees that a large letter tilts the box around it and its line, at most
RISES = 0.6  #: of the height of capitals, by which a large letter rises above them, at least
LARGE = 1.8  #: times the height of capitals, that it is high, at least
WIDE = 1.5  #: times its height, that it is wide, at most
TALL, ONE_LINE = 3.2, 2.0  #: heights of letters like x, that such a box is high at least; and without what lies below
BEGINNING = 0.3  #: of a line, that it takes up, at most
HIGH = 2.6, 12.0  #: heights of letters like x, that one that stands over several lines is high
NEAR = 2.0  #: heights of letters like x from it to its lines, at most
SEVERAL = 2  #: lines that it stands over, at least
EM = 0.72, 0.7  #: the height of type over that of its box; that of capitals over that of type


def initial_apart(box: Found, page: Ink) -> list[Found]:
    """The box, or where the line in it begins with a letter that rises above all others, the boxes of that letter and
    of the rest; `page` is the ink of the page."""
    if box.width < 3 * box.height or box.height < TALL * page.type or abs(box.angle) > STEEP:
        return [box]
    slope = math.sin(math.radians(abs(box.angle))) * box.width
    box_level = replace(box, angle=0.0, height=box.height + slope)
    ink = _whole(cut(page.mask, box_level))
    inked = np.flatnonzero(ink.any(0))
    if len(inked) < 20:
        return [box]
    heads = ink[:, inked].argmax(0)[inked > inked[0] + BEGINNING * (inked[-1] - inked[0])]
    ink[round(float(np.quantile(heads, 0.05)) + ONE_LINE * page.type) :] = 0  # the line below
    inked = np.flatnonzero(ink.any(0))
    tops, feet = ink[:, inked].argmax(0), len(ink) - ink[::-1, inked].argmax(0)
    right = inked > inked[0] + BEGINNING * (inked[-1] - inked[0])
    if right.sum() < 20:
        return [box]
    head, baseline = float(np.quantile(tops[right], 0.05)), float(np.median(feet[right]))
    capital = baseline - head
    above = tops < head - RISES * capital
    if capital < 4 or not above.any() or above[right].any():
        return [box]
    first, last = int(inked[above][0]), int(inked[above][-1])
    top = int(tops[above].min())
    its = slice(max(0, first - int(0.4 * capital)), last + 1)
    foot = int(np.flatnonzero(ink[:, its].any(1))[-1]) + 1
    high = foot - top
    end = _end(ink, last, high)
    before = inked < first - 0.4 * capital
    if high < LARGE * capital or end - first > WIDE * high or before.any() or foot < baseline - 0.3 * capital:
        return [box]
    rest = inked > end
    if not rest.any() or (feet[rest] > baseline + 0.6 * capital).mean() > 0.1:
        return [box]  # more than a line
    x, y = box_level.x - ink.shape[1] / 2, box_level.y - ink.shape[0] / 2
    begin = int(inked[rest][0])
    deep = capital / EM[1] / EM[0]
    start, stop = x + begin - 0.15 * deep, x + ink.shape[1]
    return [
        Found(x + (first + end) / 2, y + (top + foot) / 2, max(1.25 * (end - first), 0.8 * high), 1.3 * high, 0.0,
              box.score),
        Found((start + stop) / 2, y + (head + baseline) / 2 + 0.07 * deep, stop - start, deep, 0.0, box.score),
    ]


def _whole(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The ink (H, W) in a box without what goes on above or below it, as the lines there do."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    cut_off = (stats[:, 1] == 0) | (stats[:, 1] + stats[:, 3] == len(ink))
    cut_off[0] = True
    return np.asarray(~cut_off[labels], np.uint8)


def _end(ink: NDArray[np.uint8], last: int, high: int) -> int:
    """Where a large letter ends that rises above the others as far as column `last`: at the column with least ink
    there or soon behind it, as a leg or a serif may go on."""
    behind = ink[:, last + 1 : last + 1 + max(2, round(0.45 * high))].sum(0)
    return last + 1 + int(behind.argmin()) if len(behind) else last


def over_lines(ink: Ink, boxes: Sequence[Found]) -> list[Found]:
    """The boxes, with a score of 0, of large letters that no box holds, each of which stands over several lines."""
    if not ink.type:
        return []
    size = ink.type
    level = [box for box in boxes if abs(box.angle) < STEEP and box.width > 3 * box.height]
    wide, high, area = ink.pieces[:, 2:].T
    fits = (high > HIGH[0] * size) & (high < HIGH[1] * size) & (wide < WIDE * high) & (wide > 0.12 * high)
    fits &= (area > 0.08 * wide * high) & (area < 0.8 * wide * high)
    out = []
    for x, y, w, h, _ in ink.pieces[fits].tolist():
        cx, cy = x + w / 2, y + h / 2
        held = [box for box in boxes if abs(cx - box.x) < box.width / 2]
        if any(abs(cy - box.y) < box.height / 2 or y < box.y < y + h for box in held):
            continue
        beside = [
            box for box in level
            if y - 0.3 * size < box.y < y + h + 0.3 * size and h > LARGE * EM[0] * EM[1] * box.height
            and -size < box.x - box.width / 2 - (x + w) < NEAR * size
        ]
        if len(beside) >= SEVERAL and not _ink_left_of(ink, (x, y, w, h)):
            out.append(Found(cx, cy, max(1.25 * w, 0.8 * h), 1.3 * h, 0.0, 0.0))
    return out


def _ink_left_of(ink: Ink, place: tuple[int, int, int, int]) -> bool:
    """Whether ink stands close to the left of a piece, as beside a sign in a drawing or a bracket."""
    x, y, w, h = place
    return bool(ink.mask[y : y + h, max(0, x - max(4, w // 3)) : x].any())
