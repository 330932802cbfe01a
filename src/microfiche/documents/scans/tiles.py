"""Where text stands on a picture of any size: the detector sees it in tiles, at a scale at which its type is legible,
and looks again where ink of the size of letters is left over.

Tiles end where no ink is, if there is such a place; otherwise they overlap, and each box belongs to one of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.scans.first_letters import over_lines
from microfiche.documents.scans.ink import Ink, empty_runs
from microfiche.documents.scans.lone_signs import lone_signs, words_on_grounds
from microfiche.documents.scans.recognition import Found, Pixels, cut, detect
from microfiche.page import Box

SEEN = 6.5  #: px of the median letter, at which the detector sees it
SIDE = 1600  #: px of a tile's longer side, as the detector sees it
LARGEST, SMALLEST = 3.0, 0.15  #: scales
WEE = 200  #: px of a picture's longer side, below which it is looked at enlarged where nothing is found at first
OVERLAP = 8  #: letters high, that tiles overlap by where ink crosses the cut
TWO_ROWS = 3.8  #: heights of letters like x, that a box is high at least which may hold two rows
ALIKE = 0.4, 0.8  #: of the higher of two rows, and heights of letters like x, that the lower is high at least
MARGIN = 0.4  #: heights of the ink of a row, that its box has above and below it
LEFT_OVER = 4  #: letters in one row that no box holds, at least, before the detector looks again


def found(pixels: Pixels, ink: Ink, rules: Sequence[Box] = ()) -> list[Found]:
    """The boxes of text on a picture (H, W, 3) whose ink and rules are known, none of them within another."""
    boxes = _tiled(pixels, ink, _scale(ink, max(pixels.shape[:2])))
    if not boxes and len(ink.letters) and max(pixels.shape[:2]) < WEE:
        boxes = detect(pixels, LARGEST)
    over = left_over(ink, boxes)
    rest = _without(pixels, boxes) if over else pixels
    for left, top, right, bottom in over:
        part = rest[top:bottom, left:right]
        inside = [(x, y, h) for x, y, w, h, _ in ink.letters.tolist() if left <= x < right and top <= y < bottom]
        type_ = float(np.median([h for _, _, h in inside])) if inside else SEEN
        scale = min(LARGEST, 1.3 * SEEN / type_, SIDE / max(part.shape[:2]))
        boxes += [replace(box, x=box.x + left, y=box.y + top) for box in detect(part, scale)]
    boxes = [row for box in _apart(boxes) for row in _rows(box, ink)]
    boxes += words_on_grounds(ink, boxes)
    return [*boxes, *lone_signs(pixels, ink, boxes, rules), *over_lines(ink, boxes)]


def _without(pixels: Pixels, boxes: Sequence[Found]) -> Pixels:
    """A picture with these boxes painted over, each with the colour that is most of it."""
    out = pixels.copy()
    for box in boxes:
        ground = np.median(cut(pixels, box).reshape(-1, 3)[::3], axis=0)
        corners = cv2.boxPoints(((box.x, box.y), (box.width, box.height), box.angle))
        cv2.fillPoly(out, [np.asarray(np.round(corners), np.int32)], ground.tolist())
    return out


def _rows(box: Found, ink: Ink) -> list[Found]:
    """The box, or where it holds rows of letters with paper between them, as amounts below each other, one for each of
    these."""
    if not ink.type or box.height < TWO_ROWS * ink.type or box.height > 3 * box.width:
        return [box]
    empty = cut(ink.mask, box).max(1) == 0
    rows = [(start, stop) for start, stop in empty_runs(empty).tolist()
            if stop - start > 0.25 * ink.type and start > 0 and stop < len(empty)]  # no dots, no parts of others
    highest = max((stop - start for start, stop in rows), default=0)
    if len(rows) < 2 or min(stop - start for start, stop in rows) < max(ALIKE[0] * highest, ALIKE[1] * ink.type):
        return [box]
    turn = math.radians(box.angle)
    out = []
    for top, foot in rows:
        high = MARGIN * (foot - top)
        start, stop = max(0.0, top - high), min(float(len(empty)), foot + high)
        off = (start + stop) / 2 - len(empty) / 2
        out.append(replace(box, x=box.x - off * math.sin(turn), y=box.y + off * math.cos(turn), height=stop - start))
    return out


def left_over(ink: Ink, boxes: Sequence[Found]) -> list[tuple[int, int, int, int]]:
    """Parts of the picture (left, top, right, bottom) with rows of letters that no box holds."""
    if not ink.type:
        return []
    height, width = ink.mask.shape
    held = np.zeros((height // 4 + 1, width // 4 + 1), np.uint8)
    for box in boxes:
        corners = cv2.boxPoints(((box.x / 4, box.y / 4), (box.width / 4, box.height / 4), box.angle))
        cv2.fillPoly(held, [np.asarray(np.round(corners), np.int32)], 1)
    x, y, w, h, _ = ink.letters.T
    free = held[(y + h // 2) // 4, (x + w // 2) // 4] == 0
    letters = ink.letters[free & (h > 0.4 * ink.type) & (h < 6 * ink.type)]
    if len(letters) < LEFT_OVER:
        return []
    rows = np.zeros_like(held)  # letters grown until those of one row touch
    for x, y, w, h, _ in letters.tolist():
        rows[y // 4 : (y + h) // 4 + 1, max(0, x - h) // 4 : (x + w + h) // 4 + 1] = 1
    count, labels = cv2.connectedComponents(rows)
    owner = labels[(letters[:, 1] + letters[:, 3] // 2) // 4, (letters[:, 0] + letters[:, 2] // 2) // 4]
    out = []
    for label in range(1, count):
        mine = letters[owner == label]
        if len(mine) < LEFT_OVER or not _level(mine):
            continue
        margin = int(4 * np.median(mine[:, 3]))
        left, top = mine[:, 0].min() - margin, mine[:, 1].min() - margin
        right, bottom = (mine[:, 0] + mine[:, 2]).max() + margin, (mine[:, 1] + mine[:, 3]).max() + margin
        out.append((max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))))
    return out


def _level(letters: NDArray[np.int32]) -> bool:
    """Whether pieces of ink are like the letters of a line or more: much alike in height, and none within another."""
    high = letters[:, 3]
    return bool(np.quantile(high, 0.8) < 2.2 * np.quantile(high, 0.2))


def _scale(ink: Ink, side: int) -> float:
    if ink.type:
        return float(np.clip(SEEN / ink.type, SMALLEST, LARGEST))
    return min(1.0, SIDE / side)


@dataclass(frozen=True)
class _Tile:
    """What is cut out, from `begin` to `end`, and the part of it whose boxes count, from `first` to `last`."""

    begin: int
    end: int
    first: int
    last: int


def _tiled(pixels: Pixels, ink: Ink, scale: float) -> list[Found]:
    overlap = round(OVERLAP * max(ink.type, 8))
    boxes: list[tuple[Found, _Tile]] = []
    for down in _cuts(ink.mask.max(1) > 0, round(SIDE / scale), overlap):
        strip = ink.mask[down.begin : down.end]
        for across in _cuts(strip.max(0) > 0, round(SIDE / scale), 4 * overlap):
            part = pixels[down.begin : down.end, across.begin : across.end]
            for box in detect(part, scale):
                moved = replace(box, x=box.x + across.begin, y=box.y + down.begin)
                if down.first <= moved.y < down.last:
                    boxes.append((moved, across))
    return _rejoined(boxes)


def _cuts(inked: NDArray[np.bool_], longest: int, overlap: int) -> list[_Tile]:
    """Tiles along one side, whose pixels with ink are given, none longer than `longest` with its overlaps."""
    length, tiles, first = len(inked), [], 0
    while length - first > longest:
        latest = first + longest - overlap
        empty = np.flatnonzero(~inked[first + longest // 2 : latest])
        if len(empty):
            cut = _middle_of_last(empty) + first + longest // 2
            tiles.append(_Tile(first, cut, first, cut))
            first = cut
        else:
            tiles.append(_Tile(first, latest + overlap, first, latest))
            first = latest
    tiles.append(_Tile(first, length, first, length))
    whole = []
    for before, tile in zip([None, *tiles], tiles, strict=False):
        reaches = before is not None and before.end > tile.first
        whole.append(replace(tile, begin=max(0, tile.first - overlap)) if reaches else tile)
    return whole


def _middle_of_last(empty: NDArray[np.intp]) -> int:
    """The middle of the widest run of whole numbers, the last of them where several are as wide."""
    runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)
    widest = max(reversed(runs), key=len)
    return int(widest[len(widest) // 2])


def _rejoined(boxes: Sequence[tuple[Found, _Tile]]) -> list[Found]:
    """The boxes, each once: a line that was cut across is whole again."""
    out: list[tuple[Found, _Tile]] = []
    for box, tile in sorted(boxes, key=lambda one: one[0].x):
        for k, (other, before) in enumerate(out):
            same = abs(box.y - other.y) < 0.4 * min(box.height, other.height)
            if before.last < tile.last and same and _left(box) < other.x + other.width / 2 and before.end > tile.begin:
                left = min(_left(other), _left(box))
                right = max(other.x + other.width / 2, box.x + box.width / 2)
                whole = replace(other, x=(left + right) / 2, width=right - left, height=max(box.height, other.height))
                out[k] = (whole, tile)
                break
        else:
            out.append((box, tile))
    return [box for box, _ in out]


def _left(box: Found) -> float:
    return box.x - box.width / 2


def _apart(boxes: Sequence[Found]) -> list[Found]:
    """The boxes without those that lie within a larger one."""
    kept: list[Found] = []
    for box in sorted(boxes, key=lambda one: -one.width * one.height):
        if not any(_within(box, other) for other in kept):
            kept.append(box)
    return kept


def _within(box: Found, other: Found) -> bool:
    across = min(box.x + box.width / 2, other.x + other.width / 2) - max(_left(box), _left(other))
    down = min(box.y + box.height / 2, other.y + other.height / 2) - max(
        box.y - box.height / 2, other.y - other.height / 2)
    return across > 0 and down > 0 and across * down > 0.7 * box.width * box.height
