"""Bullets that are drawn rather than written: small pieces of ink of one kind to the left of lines, which the picture
of a page shows and no text layer or recogniser has; and the numbers that stand in drawn discs and squares.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import clipped, rounded, union
from microfiche.documents.layout.lists import MARK
from microfiche.documents.text_lines import TICKS, TextLine
from microfiche.page import Box

MOST = 1500  #: lines of a page, from which on it is no page with lists
REACH = 3.0  #: ems to the left of a line, in which its bullet stands
NEAR = 0.12  #: ems between a bullet and its line, at least
ALONE = 0.25  #: ems without ink to the left of a bullet
SIDE = 0.14, 0.95  #: ems that a bullet is wide and high
LONG = 2.2  #: times its shorter side that the longer is, at most
FILLED = 0.25  #: of its box, at least
LEVEL = 0.35  #: ems between the middles of a bullet and its line, at most
INKED = 45  #: of 255, by which a bullet differs from the ground around it
GROUND = 12  #: of 255, by which the ground of a number in a disc differs from that beside it
DIGIT = 0.52  #: ems that a digit is wide
ALIKE = 0.25  #: of their sides, by which bullets of one kind differ, at most
COLOUR = 60  #: of 255, by which their colours do
INWARD, STEP = (0.8, 4.0), 2.4  #: ems that an item of an item stands further in, and below it
PLACE = 0.35  #: ems by which the gaps to their lines do
NUMBER = re.compile(r"(\d{1,2})(?:\s+(?=\S)|$)")


@dataclass(frozen=True)
class _Bullet:
    """A piece of ink that may be the bullet of the line numbered `line`: its box, its colour, the share of its box that
    is inked, and the gap to the line in ems."""

    line: int
    box: Box
    colour: tuple[float, ...]
    filled: float
    gap: float

    def like(self, other: _Bullet) -> bool:
        """Whether two are bullets of one kind."""
        return (
            self.as_large(other)
            and max(abs(a - b) for a, b in zip(self.colour, other.colour, strict=True)) <= COLOUR
            and abs(self.filled - other.filled) < 0.2
        )

    def as_large(self, other: _Bullet) -> bool:
        """Whether two are of one size, and as far from their lines."""
        wide, high = self.box[2] - self.box[0], self.box[3] - self.box[1]
        near = max(1.5, ALIKE * max(wide, high))
        return (
            abs(other.box[2] - other.box[0] - wide) <= near and abs(other.box[3] - other.box[1] - high) <= near
            and abs(self.gap - other.gap) < PLACE
        )


def with_bullets(lines: Sequence[TextLine], picture: Image.Image) -> list[TextLine]:
    """The lines, each beside which the picture (RGB) shows a bullet with "•" before its text, and each beside which a
    number stands in a disc or a square of its own with that number as its mark. One bullet makes no list: there are two
    of a kind at least, or one as large further in below an item."""
    free = [
        k for k, line in enumerate(lines)
        if not (line.displayed or MARK.match(line.text) or line.text.startswith(TICKS))
        and (line.confidence == 1 or not line.fixed)  # before recognised code stand numbers
    ]
    if not 1 < len(lines) <= MOST or len(free) < 2:
        return list(lines)
    boxes = np.array([line.box for line in lines], float)
    out: dict[int, TextLine] = dict(enumerate(lines))
    numbers = {k for k in free if (said := NUMBER.match(lines[k].text)) and _in_disc(lines[k], said[1], picture)}
    found: list[_Bullet] = []
    for k in free:
        line = lines[k]
        if k in numbers:
            if not NUMBER.fullmatch(line.text):
                out[k] = replace(line, text=NUMBER.sub(r"\1. ", line.text, count=1))
            continue
        left = line.box[0]
        level = (boxes[:, 1] < line.middle) & (line.middle < boxes[:, 3]) & (boxes[:, 0] < left)
        before = [i for i in np.flatnonzero(level).tolist() if boxes[i, 2] > left - REACH * line.size]
        if len(before) == 1 and before[0] in numbers and NUMBER.fullmatch(lines[before[0]].text) and before[0] in out:
            number = out.pop(before[0])
            out[k] = replace(line, text=f"{number.text}. {line.text}", box=union([number.box, line.box]))
            continue
        start = max([left - REACH * line.size, *(boxes[i, 2] + NEAR * line.size for i in before)])
        if (bullet := _bullet(k, line, start, picture)) is not None:
            found.append(bullet)
    sure = [one for one in found if any(other is not one and one.like(other) for other in found)]
    for bullet in found:
        if bullet in sure or any(_under(lines[bullet.line], lines[x.line]) and bullet.as_large(x) for x in sure):
            line = lines[bullet.line]
            out[bullet.line] = replace(line, text=f"• {line.text}", box=union([bullet.box, line.box]))
    return list(out.values())


def _under(line: TextLine, item: TextLine) -> bool:
    """Whether a line stands close below an item of a list, and further in."""
    inward, step = line.box[0] - item.box[0], line.middle - item.middle
    return INWARD[0] < inward / line.size < INWARD[1] and 0.7 < step / line.size < STEP


def _window(box: Box, picture: Image.Image) -> NDArray[np.int16]:
    left, top, right, bottom = rounded(clipped(box, picture.size))
    if left >= right or top >= bottom:
        return np.empty((0, 0, 3), np.int16)
    return np.asarray(picture.crop((left, top, right, bottom)).convert("RGB")).astype(np.int16)


def _bullet(number: int, line: TextLine, start: float, picture: Image.Image) -> _Bullet | None:
    """What may be the bullet of a line, the nearest ink to its left from `start` on; None if that is no bullet."""
    size = line.size
    box = max(0.0, start), line.box[1], line.box[0] - NEAR * size, line.box[3]
    part = _window(box, picture)
    if part.shape[0] < 5 or part.shape[1] < 0.4 * size:
        return None
    ground = np.median(part.reshape(-1, 3), axis=0)
    ink = np.abs(part - ground).max(2) > INKED
    columns = np.flatnonzero(ink.any(0))
    if not len(columns):
        return None
    apart = np.flatnonzero(np.diff(columns) > ALONE * size)
    its = columns[apart[-1] + 1 if len(apart) else 0 :]
    own = ink[:, its[0] : its[-1] + 1]
    rows = np.flatnonzero(own.any(1))
    wide, high = int(its[-1] - its[0]) + 1, int(rows[-1] - rows[0]) + 1
    if its[0] == 0 or its[-1] == ink.shape[1] - 1 or rows[0] == 0 or rows[-1] == len(ink) - 1:
        return None
    left, top = round(box[0]) + int(its[0]), round(box[1]) + int(rows[0])
    filled = float(own.sum()) / (wide * high)
    if (
        not all(SIDE[0] * size <= side <= SIDE[1] * size for side in (wide, high))
        or max(wide, high) > LONG * min(wide, high) or filled < FILLED
        or abs(top + high / 2 - line.middle) > LEVEL * size
    ):
        return None
    colour = np.median(part[:, its[0] : its[-1] + 1][own], axis=0)
    found = float(left), float(top), float(left + wide), float(top + high)
    return _Bullet(number, found, tuple(colour.tolist()), filled, (line.box[0] - left - wide) / size)


def _in_disc(line: TextLine, number: str, picture: Image.Image) -> bool:
    """Whether the number that a line begins with, or is, stands on a ground of its own, which is not much larger."""
    left, size = line.box[0], line.size
    right = line.box[2] if line.text == number else left + DIGIT * len(number) * size
    top, bottom = line.middle - 0.25 * size, line.middle + 0.25 * size
    after = (right, right + 0.15 * size) if line.text == number else (right - 0.07 * size, right + 0.05 * size)
    around = (left - 1.4 * size, left - 1.1 * size), (left - 0.15 * size, left), after
    beside, *edges = (_window((x0, top, x1, bottom), picture) for x0, x1 in around)
    if not all(part.size for part in (beside, *edges)):
        return False
    ground = np.median(beside.reshape(-1, 3), axis=0)
    if np.abs(beside - ground).max() >= GROUND:
        return False  # the edge of a cell
    start = right + (0.9 if line.text == number else 0.5) * size
    rest = _window((start, line.box[1], right + 2.5 * size, line.box[3]), picture)
    if not rest.size or np.abs(np.median(rest.reshape(-1, 3), axis=0) - ground).max() >= GROUND:
        return False  # the ground of the whole line
    return all(bool((np.abs(edge - ground).max(2) >= GROUND).mean() > 0.75) for edge in edges)
