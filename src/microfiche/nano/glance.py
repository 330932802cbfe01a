"""The glance at a page: its lines of type, whatever their size, and on whatever ground they stand.

A page is looked at from several distances, each half as near as the one before, because a reader of print knows type of
some sizes only. Where two distances show the same line, the one from which it is read more surely counts. Before that,
dark paper becomes white and what is light on it dark (`on_white`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from microfiche.nano.print import PrintModel
from microfiche.nano.tracing import TracedLine
from microfiche.page import PAPER, Page
from microfiche.typesetting.shrink import shrink_picture

Picture = NDArray[np.uint8]
NEAREST = 1280 * 905  #: pixels of the nearest view of a page
_FARTHEST = 96  #: px of the longer side of the last view
_VIEWS = 4  #: at most
_SIZES = 6.0, 15.0  #: px an em of type that is read from one distance
_SMALL = 7.5  #: px an em; where so much type is smaller, a page is looked at from nearer
_WORTH = 0.7  #: how sure a character must be to speak for its line
_LEAST = 0.55  #: how sure a line is of its characters, at the least; ink that is no text is less sure
_DARK = 128  #: paper that is darker than this counts as dark
_STEP, _AROUND = 8, 9  #: px between the samples of a page's paper, and how many of them are looked at on each side


def on_white(picture: Picture) -> Picture:
    """(H, W) uint8 → the same with dark paper made white, and what is light on it dark."""
    height, width = picture.shape
    samples = Image.fromarray(picture[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP])
    if not all(samples.size):
        return picture
    paper = samples.filter(ImageFilter.MedianFilter(_AROUND))
    if np.asarray(paper).min() >= _DARK:
        return picture
    whole = np.asarray(paper.resize((width, height), Image.Resampling.BILINEAR), np.int16)
    light = PAPER - np.abs(whole - picture)
    return np.where(whole < _DARK, light, picture).astype(np.uint8)


@dataclass(frozen=True)
class Glanced:
    """A line of type as it is seen at a glance: where it is on the page, and the x of the `spaces` (n,) between its
    words there, in px."""

    line: TracedLine
    spaces: NDArray[np.floating[Any]]


def lines_of(model: PrintModel, picture: Picture) -> list[Glanced]:
    """The lines of type on a page, (H, W) uint8 with dark type, from the top down."""
    height, width = picture.shape
    scale = min(1.0, (NEAREST / (height * width)) ** 0.5)
    found: list[tuple[float, Glanced]] = []
    if scale < 1 and (first := _seen_at(model, picture, scale)) and _is_small(first, scale):
        scale = min(1.0, 2 * scale)
        found += first
    for _ in range(_VIEWS):
        if max(height, width) * scale < _FARTHEST:
            break
        found += _seen_at(model, picture, scale)
        scale /= 2
    return sorted(_apart(found), key=lambda one: (one.line.y, one.line.left))


def _seen_at(model: PrintModel, picture: Picture, scale: float) -> list[tuple[float, Glanced]]:
    """The lines that are seen at one scale, each with what speaks for it."""
    height, width = (max(1, round(side * scale)) for side in picture.shape)
    small = picture if scale == 1 else shrink_picture(picture, height, width)
    found = []
    for one in model.printed(Page(small)):
        sure = float(one.confidence.mean())
        if _SIZES[0] <= one.line.size <= _SIZES[1] and sure >= _LEAST:
            worth = float((one.confidence - _WORTH).sum())
            left, right = float(one.boxes[0, 0]), float(one.boxes[-1, 2])
            y = one.line.y + one.line.slope * (left - one.line.left)
            size = one.line.size / scale
            line = TracedLine(left / scale, right / scale, y / scale, one.line.slope, size)
            at = [i for i, character in enumerate(one.text) if character == " "]
            found.append((worth, Glanced(line, one.boxes[at, 0::2].mean(1) / scale)))
    return found


def _is_small(found: Sequence[tuple[float, Glanced]], scale: float) -> bool:
    """Whether so much of the type is smaller than can be read well."""
    widths = np.array([one.line.right - one.line.left for _, one in found])
    small = np.array([one.line.size * scale < _SMALL for _, one in found])
    return bool(widths[small].sum() > 0.3 * widths.sum())


def _apart(found: Sequence[tuple[float, Glanced]]) -> list[Glanced]:
    """Of lines that are the same type on the page, or one of them a part of another, the one for which most speaks."""
    kept: list[Glanced] = []
    left, right, y, slope, size = np.empty((5, len(found)))
    for _, glanced in sorted(found, key=lambda pair: -pair[0]):
        one, n = glanced.line, len(kept)
        shared = np.minimum(right[:n], one.right) - np.maximum(left[:n], one.left)
        beside = shared <= 0.2 * np.minimum(right[:n] - left[:n], one.right - one.left)
        x = (np.maximum(left[:n], one.left) + np.minimum(right[:n], one.right)) / 2
        apart = np.abs(y[:n] + slope[:n] * (x - left[:n]) - one.at(x))
        if (beside | (apart >= 0.6 * np.maximum(size[:n], one.size))).all():
            left[n], right[n], y[n], slope[n], size[n] = one.left, one.right, one.y, one.slope, one.size
            kept.append(glanced)
    return kept
