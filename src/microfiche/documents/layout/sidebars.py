"""A sidebar: a tall strip of another colour at one side of a page, whose text is read by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

STEP = 8  #: px between the samples of a page's colours
APART = 10  #: by how much, of 255, a sidebar's colour differs from the paper's, at least
NEAR = 24  #: by how much its own ground may vary
WIDTH = (0.12, 0.45)  #: of the page
HEIGHT = 0.6  #: of the page, at least
LINES = 3  #: inside and outside, at least
LEVEL = 0.6  #: of its lines: if more stand level with lines outside, it is a column of a table, …
EMPTY = 5.0  #: … unless its ground goes on by so many ems below all text, and it has heads …
LARGER = 1.15  #: … in type so many times as large as its own


def sidebar(picture: Image.Image, lines: Sequence[TextLine], rules: Sequence[Box]) -> Box | None:
    """The box of the page's sidebar; None if there is none, or if lines or level rules lead across its edge."""
    band = _band(sampled(picture, STEP))
    if band is None:
        return None
    first, top, last, bottom = (STEP * side for side in band)
    inner = last if first < picture.width - last else first  # the edge that the rest of the page lies beyond
    box = (first, top, last, bottom)
    inside = [line for line in lines if within(line.box, box)]
    outside = [line for line in lines if not within(line.box, box)]
    crossed = any(line.box[0] < inner - line.size and line.box[2] > inner + line.size for line in lines)
    ruled = any(rule[1] == rule[3] and rule[0] < inner - STEP and rule[2] > inner + STEP for rule in rules)
    if min(len(inside), len(outside)) < LINES or crossed or ruled:
        return None
    rows = np.array([(line.box[1] + line.box[3]) / 2 for line in outside])
    level = sum(bool((np.abs(rows - (one.box[1] + one.box[3]) / 2) < 0.25 * one.size).any()) for one in inside)
    sizes = sorted(line.size for line in inside)
    headed = sizes[-1] > LARGER * sizes[len(sizes) // 2]
    goes_on = bottom - max(line.box[3] for line in lines) > EMPTY * sizes[-1]
    return None if level > LEVEL * len(inside) and not (headed and goes_on) else box


def sampled(picture: Image.Image, step: int) -> NDArray[np.int16]:
    """(H / step, W / step, 3) the colours of a picture (RGB), at every `step`th pixel about."""
    size = -(-picture.width // step), -(-picture.height // step)
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST).convert("RGB")).astype(np.int16)


def within(box: Box, side: Box) -> bool:
    """Whether something stands in a sidebar."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return side[0] <= x <= side[2] and side[1] <= y <= side[3]


def _band(colours: NDArray[np.int16]) -> tuple[int, int, int, int] | None:
    """The left, top, right and bottom, in samples, of a tall strip whose ground has another colour than the rest."""
    ground = np.median(colours, axis=0)
    other = np.abs(ground - np.median(ground, axis=0)).max(1) >= APART
    edges = np.flatnonzero(np.diff(np.pad(other, 1).astype(np.int8))).reshape(-1, 2)
    if not len(edges):
        return None
    first, last = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist()
    height, width = colours.shape[:2]
    if not WIDTH[0] * width <= last - first <= WIDTH[1] * width or (first > 0.1 * width and last < 0.9 * width):
        return None
    own = np.median(ground[first:last], axis=0)
    rows = np.flatnonzero((np.abs(colours[:, first:last] - own).max(2) <= NEAR).mean(1) > 0.5)
    if len(rows) < HEIGHT * height:
        return None
    return first, int(rows[0]), last, int(rows[-1]) + 1
