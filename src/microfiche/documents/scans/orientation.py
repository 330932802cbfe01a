"""Which way up a page is, and how far it is tilted: every reading of a picture begins here.

The detector's boxes tell whether lines run down the page instead of across. Whether they stand on their heads is told
by the recogniser, which is much surer of upright lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from microfiche.documents.boxes import WholeBox, turned_back
from microfiche.documents.scans.ink import Ink, ink_of
from microfiche.documents.scans.recognition import Found, Recognised, Recogniser, cut, recognise
from microfiche.documents.scans.scan_rules import rules_in
from microfiche.documents.scans.tiles import found
from microfiche.page import Box

STEEPEST = 15.0  #: degrees of tilt that are looked for
FEWEST = 20  #: letters that tell a tilt
ASKED = 8  #: lines that say which way up a page is
TALL = 1.5  #: times its width, that a box is high which may hold a line that runs down
SURE = 0.9  #: mean probability of the characters of upright lines, about
READ, GUESSED = 0.8, 0.7  #: mean probability of lines that were turned the right way, and that may have been
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Seen:
    """A page set upright and straight: its `picture` (RGB), how many `degrees` it was turned counter-clockwise for
    that, its `ink`, the `boxes` of its text, its `rules`, and by the boxes' numbers what is `known` already to stand in
    them."""

    picture: Image.Image
    degrees: float
    ink: Ink
    boxes: list[Found]
    rules: list[Box] = field(default_factory=list)
    known: dict[int, Recognised] = field(default_factory=dict)

    def turned(self, degrees: int) -> Seen:
        """The page turned counter-clockwise by 90, 180 or 270 degrees more."""
        seen = straight(self.picture.transpose(TURNS[degrees]))
        return replace(seen, degrees=(self.degrees + degrees) % 360)

    def on_page(self, box: WholeBox) -> WholeBox:
        """Where something in `box` stands on the page as it was before it was turned."""
        tilted = (self.degrees + 45) % 90 - 45
        width, height = self.picture.size
        left, top, right, bottom = turned_back(box, tilted, (width, height))
        for _ in range(round((self.degrees - tilted) / 90) % 4):
            left, top, right, bottom = height - bottom, left, height - top, right
            width, height = height, width
        return left, top, right, bottom


def upright(picture: Image.Image) -> tuple[Image.Image, float]:
    """An RGB picture turned so that its lines are level and upright, and by how many degrees counter-clockwise: a
    tilt of up to 15° and, where lines run down the page or stand on their heads, 90, 180 or 270 more."""
    seen = look(picture)
    return seen.picture, seen.degrees


def look(picture: Image.Image, recogniser: Recogniser = recognise) -> Seen:
    """The page that `picture` (RGB) shows, upright and straight; `recogniser` reads a few lines of it."""
    seen = _levelled(picture)
    if _run_down(seen.boxes):
        # Turned by a quarter about the corner, then levelled anew: the tilt was looked for along the wrong side.
        seen = _levelled(picture.transpose(TURNS[90]))
        seen = replace(seen, degrees=seen.degrees + 90)
    pixels, boxes = np.asarray(seen.picture), seen.boxes
    level_ones = [i for i, box in enumerate(boxes) if box.height < TALL * box.width]
    asked = sorted(level_ones, key=lambda i: -boxes[i].width)[:ASKED]
    parts = [cut(pixels, boxes[i]) for i in asked]
    lines = recogniser(parts)
    seen = replace(seen, known=dict(zip(asked, lines, strict=True)))
    if not lines or _mean(lines) > SURE:
        return seen
    heads = recogniser([np.rot90(part, 2) for part in parts])
    better = _weight(heads) > (1 if _mean(heads) > READ else 2) * max(0.0, _weight(lines))
    return seen.turned(180) if better and _mean(heads) > GUESSED else seen


def straight(picture: Image.Image) -> Seen:
    """An RGB picture that is upright and straight already."""
    return _seen(picture, 0.0, ink_of(picture))


def _seen(picture: Image.Image, degrees: float, ink: Ink) -> Seen:
    rules = rules_in(picture)
    return Seen(picture, degrees, ink, found(np.asarray(picture), ink, rules), rules)


def _levelled(picture: Image.Image) -> Seen:
    ink = ink_of(picture)
    angle, level = _tilt(ink), picture
    if angle:
        level = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=_paper(picture))
        ink = ink_of(level)
    return _seen(level, angle, ink)


def _paper(picture: Image.Image) -> tuple[int, ...]:
    """The most usual colour at the edge of a picture, roughly."""
    small = np.asarray(picture.resize((32, 32), Image.Resampling.BOX))
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    return tuple(int(v) for v in np.median(edge, axis=0))


def _run_down(boxes: Sequence[Found]) -> bool:
    """Whether most lines run down the page: long boxes count by their length, such as hold a character or two not."""
    across = sum(b.width for b in boxes if b.width > 2 * b.height)
    down = sum(b.height for b in boxes if b.height > 2 * b.width)
    return down > 1.5 * across


def _mean(lines: Sequence[Recognised]) -> float:
    """The mean probability of all characters."""
    return sum(float(line.sure.sum()) for line in lines) / max(1, sum(len(line.sure) for line in lines))


def _weight(lines: Sequence[Recognised]) -> float:
    """How much speaks for lines: the characters that are more likely right than wrong, by how much they are."""
    return sum(float((line.sure - 0.5).sum()) for line in lines)


def tilt(picture: Image.Image) -> float:
    """The degrees by which to turn a page counter-clockwise so that its lines are level: those at which the tops and
    bottoms of letters gather best in rows; 0 where that gains little."""
    return _tilt(ink_of(picture))


def _tilt(ink: Ink) -> float:
    x, y, width, height, _ = ink.letters.T
    if len(x) < FEWEST:
        return 0.0
    across = np.tile(x + width / 2, 2)
    down = np.concatenate([y, y + height])
    finest = max(1.0, 0.15 * ink.type)

    def sharpness(degrees: float) -> float:
        rows = np.rint((down - across * math.tan(math.radians(degrees))) / finest).astype(np.int64)
        return float((np.diff(np.bincount(rows - rows.min()).astype(np.float64)) ** 2).sum())

    coarse = max(np.arange(-STEEPEST, STEEPEST + 0.1, 0.25), key=sharpness)
    best = max(coarse + np.arange(-0.3, 0.31, 0.1), key=sharpness)
    worth = abs(best) >= 0.25 and sharpness(best) > 1.05 * sharpness(0.0)
    return float(best) if worth else 0.0
