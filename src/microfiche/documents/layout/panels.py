"""Panels: parts of a page that stand beside each other on grounds or in frames of their own, as the blocks of slides
and cards do. What stands in one is read by itself. And which drawings are figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import area, rounded, share, touch, union
from microfiche.documents.layout.sidebars import APART, sampled, within
from microfiche.documents.tables.grid import JOIN, MOST, merged, positions, ruled
from microfiche.documents.text_lines import Region, TextLine, letters
from microfiche.page import Box

STEP = 4  #: px between the samples of a page's colours
WIDTH = 0.1, 0.55  #: of the page that a panel is wide
FILLED = 0.7  #: of a panel's box that has not the paper's colour, at least
TONES = 4  #: colours of areas that touch, at most
ROWS = 2  #: of text in a panel, at least
SAME = 4.0  #: px by which the sides of a panel and of its head differ, at most
HEAD = 0.6  #: ems between a panel and its head on a ground of another colour, at most
GUTTER = 0.3  #: ems of paper between two panels side by side, at least
LEVEL = 0.6  #: of its lines: if more stand level with lines beside it that are in no panel, it belongs to a table
FIGURE = (0.006, 0.7)  #: of the page: the area of a figure
LABEL = 40  #: letters: a line in a figure that is longer is no label
CROWDED = 1500  #: lines of a page on which nothing is a panel


def panels(picture: Image.Image, lines: Sequence[TextLine], rules: Sequence[Box]) -> list[Box]:
    """The panels on a page (RGB): areas of another colour than the paper, or frames, that hold two rows of text at
    least, whose edges no line crosses, and that have others or text beside them."""
    if not ROWS * 2 <= len(lines) <= CROWDED:
        return []
    em = float(np.median([line.size for line in lines]))
    grids = ruled(rules)
    found = [box for box in grounds(picture, em) if not any(share(box, grid) > 0.9 for grid in grids)] + _frames(rules)
    found = [box for box in found if WIDTH[0] * picture.width < box[2] - box[0] < WIDTH[1] * picture.width]
    found = [box for box in found if _holds_rows(box, lines, em)]
    outer = [box for k, box in enumerate(found)
             if not any(share(box, other) > 0.9 and (j < k or share(other, box) < 0.9)
                        for j, other in enumerate(found) if j != k)]
    return [box for box in outer if _beside_others(box, outer, lines, em)]


def headed(box: Box, lines: Sequence[TextLine], picture: Image.Image) -> list[Region]:
    """The region of a panel's title: its first line, if that stands alone and on a ground of another colour than the
    next one."""
    inside = sorted((line for line in lines if within(line.box, box)), key=lambda line: line.middle)
    first, *rest = inside
    if any(line.middle < first.box[3] for line in rest):
        return []
    colours = [
        np.median(np.asarray(picture.crop(rounded(line.box)).convert("RGB")).reshape(-1, 3), axis=0)
        for line in (first, rest[0])
    ]
    return [Region("title", first.box, 1.0)] if np.abs(colours[0] - colours[1]).max() >= APART else []


def grounds(picture: Image.Image, em: float, least: float = WIDTH[0]) -> list[Box]:
    """The boxes of areas of another colour than the paper, which is the commonest on the page; each is wider than
    `least` of that, and higher than an em."""
    colours = sampled(picture, STEP)
    coarse = colours >> 3
    packed = (coarse[..., 0] << 10) | (coarse[..., 1] << 5) | coarse[..., 2]
    commonest = int(np.bincount(packed.ravel()).argmax())
    paper = np.median(colours[packed == commonest][::7], axis=0).astype(np.int16)
    mask = np.abs(colours - paper).max(2) >= APART
    found: list[Box] = []
    for (x, y, right, bottom), filled in _areas(mask, least * mask.shape[1], em / STEP):
        if not filled:  # areas of several colours that touch
            inside = slice(y, bottom), slice(x, right)
            own, tones = mask[inside], packed[inside]
            known, counts = np.unique(tones[own], return_counts=True)
            for tone in known[np.argsort(counts)[: -TONES - 1 : -1]].tolist():
                colour = np.median(colours[inside][own & (tones == tone)], axis=0)
                like = own & (np.abs(colours[inside] - colour).max(2) < APART)
                parts = _areas(like, least * mask.shape[1], em / STEP)
                found += [(a + x, b + y, c + x, d + y) for (a, b, c, d), filled in parts if filled]
        else:
            found.append((x, y, right, bottom))
    return _with_heads([(STEP * a, STEP * b, STEP * c, STEP * d) for a, b, c, d in found], em)


def _areas(mask: NDArray[np.bool_], width: float, height: float) -> list[tuple[tuple[int, int, int, int], bool]]:
    """The boxes of the connected areas of a mask that are wider and higher than this, each with whether the area fills
    its box."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    large = stats[1:][(stats[1:, 2] > width) & (stats[1:, 3] > height)]
    return [((x, y, x + wide, y + high), n > FILLED * wide * high) for x, y, wide, high, n in large.tolist()]


def _with_heads(boxes: Sequence[Box], em: float) -> list[Box]:
    """The boxes, with those joined that are as wide as the one close above them."""
    out: list[Box] = []
    for box in sorted(boxes, key=lambda one: one[1]):
        above = next((
            k for k, other in enumerate(out)
            if abs(other[0] - box[0]) <= SAME and abs(other[2] - box[2]) <= SAME
            and -SAME < box[1] - other[3] < HEAD * em
        ), None)
        if above is None:
            out.append(box)
        else:
            out[above] = union([out[above], box])
    return out


def _frames(rules: Sequence[Box]) -> list[Box]:
    """The boxes that rules draw around something, without an upright rule within."""
    rules = merged(rules) if len(rules) <= 4 * MOST else []
    groups: list[list[Box]] = []
    for rule in rules if len(rules) <= MOST else []:
        near = [g for g in groups if any(touch(rule, other, JOIN) for other in g)]
        groups = [g for g in groups if g not in near] + [[rule, *(r for g in near for r in g)]]
    out = []
    for group in groups:
        box = union(group)
        sides, levels = positions(group, 0), positions(group, 1)
        closed = len(levels) >= 2 and levels[0] - box[1] <= JOIN and box[3] - levels[-1] <= JOIN
        if closed and len(sides) == 2 and sides[1] - sides[0] > 0.95 * (box[2] - box[0]):
            out.append(box)
    return out


def _holds_rows(box: Box, lines: Sequence[TextLine], em: float) -> bool:
    """Whether several rows of text stand in a box, and no line crosses its edges."""
    inside = [line for line in lines if within(line.box, box)]
    if any(0.1 < share(line.box, box) < 0.9 for line in lines if line.box[1] < box[3] and box[1] < line.box[3]):
        return False
    middles = np.sort([line.middle for line in inside])
    return len(inside) < len(lines) and len(middles) > 0 and 1 + int((np.diff(middles) > 0.5 * em).sum()) >= ROWS


def _beside_others(box: Box, others: Sequence[Box], lines: Sequence[TextLine], em: float) -> bool:
    """Whether a panel stands beside another, with nothing but paper between, or beside text that does not go with it
    row by row."""
    inside = [line for line in lines if within(line.box, box)]
    outside = [line for line in lines if not any(within(line.box, other) for other in others)]
    beside = np.array([line.middle for line in outside if box[1] < line.middle < box[3]])
    if len(beside):
        level = sum(bool((np.abs(beside - line.middle) < 0.25 * line.size).any()) for line in inside)
        return level <= LEVEL * len(inside)
    return any(
        min(box[3], other[3]) - max(box[1], other[1]) > 0.5 * min(box[3] - box[1], other[3] - other[1])
        and max(other[0] - box[2], box[0] - other[2]) > GUTTER * em
        for other in others
    )


def figures(drawings: Sequence[Box], lines: Sequence[TextLine], size: tuple[int, int]) -> list[Box]:
    """Those of a page's `drawings` that are figures: neither signs nor what lies behind or around running text, on a
    page of `size` px."""
    page = size[0] * size[1]
    found = []
    for box in drawings:
        inside = [line for line in lines if share(line.box, box) > 0.5]
        text = sum(area(line.box) for line in inside)
        prose = sum(letters(line) > LABEL for line in inside)
        if FIGURE[0] * page < area(box) < FIGURE[1] * page and prose < 3 and text < 0.4 * area(box):
            found.append(box)
    return found
