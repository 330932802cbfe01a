"""Where a page shows text that nobody has accounted for: in a picture, a scan, or drawn as curves.

Looks at shapes alone: rows of signs of one height, close together. Reads nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import area, clipped, joined, scaled, share, touch, union
from microfiche.documents.sheet import Sheet
from microfiche.page import Box

LEAST = 0.01  #: of the page: what is smaller shows no area of text, and …
SMALLEST = 0.0004  #: … of the page: what is smaller is an icon
STRIPS = 1.0  #: px between pictures that are one, such as the strips of a scan, at most
HEIGHTS = 5, 60  #: px of a sign
APART = 0.9  #: of their height, that letters of one line stand apart, at most
MOST = 300  #: drawings on a page that are taken for letters
LEADING = 16.0  #: px between lines that are read together, at most
LINE = 2.5  #: times its height, that a picture of a line is wide, at least
BROADEST = 2.0  #: times its height that a letter is wide, at most
SIGNS = 5  #: in a row, at least
ROWS = 3  #: of an area of text, at least
LARGE = 4  #: type of signs that are higher is looked for on a picture reduced so much
MANY = 24  #: signs of an area of text, at least
DENSE = 0.1  #: the share of such an area that its rows fill, at least: labels of a figure stand farther apart
LEVELS, AROUND = 12, 31  #: by how many levels ink differs, at least, from a square around it of so many px a side
ALIKE = 0.6  #: the share of signs in a row that are about as high as most of them, at least


def text_in(sheet: Sheet, known: NDArray[np.float32]) -> tuple[list[Box], list[Box]]:
    """The areas within images and drawings of a sheet, which has a picture, that show text, and those that may show a
    line or two, as logos and labels do; the ink in the (n, 4) boxes `known` is accounted for."""
    assert sheet.picture is not None
    size = sheet.picture.size
    whole = size[0] * size[1]
    places = joined((clipped(box, size) for box in [*sheet.image_boxes, *sheet.drawings]), STRIPS)
    places = [box for box in [*places, *_words(sheet)] if area(box) > SMALLEST * whole]
    if not places:
        return [], []
    grey = np.asarray(sheet.picture.convert("L")).copy()
    dense: list[Box] = []
    loose: list[Box] = []
    for place in _apart(places):
        left, top, right, bottom = (int(v) for v in place)
        areas, rows = _areas(grey[top:bottom, left:right], known - np.array([left, top, left, top], np.float32))
        if area(place) > LEAST * whole:
            dense += [_moved(box, left, top) for box in areas]
        free = [row for row in rows if not any(share(_moved(row, left, top), box) > 0.5 for box in dense)]
        if free or (_like_a_line(place) and not _holds(place, known)):
            loose.append(place)
    loose = joined((box for box in loose if not any(share(box, area) > 0.5 for area in dense)), LEADING)
    return dense, loose


def _words(sheet: Sheet) -> list[Box]:
    """Where drawings, and grounds as letters without curves are ("HILT"), stand side by side as letters of words do."""
    assert sheet.picture is not None
    letters = [box for box in sheet.grounds if box[2] - box[0] <= BROADEST * (box[3] - box[1])]
    signs = [box for box in [*sheet.drawings, *letters] if HEIGHTS[0] <= box[3] - box[1] <= LARGE * HEIGHTS[1]]
    if len(signs) > MOST:
        return []
    high = [APART * (box[3] - box[1]) for box in signs]
    wide = joined((
        (box[0] - x, box[1] - x / 2, box[2] + x, box[3] + x / 2) for box, x in zip(signs, high, strict=True)), 0)
    return [clipped(box, sheet.picture.size) for box in wide]


def _like_a_line(box: Box) -> bool:
    """Whether a picture has the shape of a line of text, so that it may be one even where no letters stand apart."""
    high = box[3] - box[1]
    return HEIGHTS[0] < high < LARGE * HEIGHTS[1] and box[2] - box[0] > LINE * high


def _holds(box: Box, known: NDArray[np.float32]) -> bool:
    """Whether some of the text that is `known` stands in a box."""
    x, y = (known[:, 0] + known[:, 2]) / 2, (known[:, 1] + known[:, 3]) / 2
    return bool(((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).any())


def _moved(box: Box, x: float, y: float) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _apart(places: list[Box]) -> list[Box]:
    """The places, without those that lie in another."""
    out: list[Box] = []
    for box in sorted(places, key=area, reverse=True):
        if not any(share(box, other) > 0.9 for other in out):
            out.append(box)
    return out


def _areas(grey: NDArray[np.uint8], known: NDArray[np.float32]) -> tuple[list[Box], list[Box]]:
    """The areas of text in a part of the page, (H, W), in which (n, 4) boxes are accounted for, and its rows."""
    if min(grey.shape) < 2 * HEIGHTS[0]:
        return [], []
    rows = [row for ink in _inks(grey) for row in _rows(_without(ink, known))]
    areas: list[Box] = []
    for group in _groups(rows):
        box = union([row for row, _ in group])
        signs = sum(count for _, count in group)
        if len(group) >= ROWS and signs >= MANY and sum(area(row) for row, _ in group) > DENSE * area(box):
            areas.append(box)
    if min(grey.shape) > LARGE * 2 * HEIGHTS[0]:
        small = np.asarray(Image.fromarray(grey).reduce(LARGE))
        rows += [(scaled(box, LARGE, LARGE), count)
                 for ink in _inks(small) for box, count in _rows(_without(ink, (known / LARGE).astype(np.float32)))]
    return areas, [row for row, _ in rows]


def _inks(grey: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """(H, W) where there is ink, 0 or 1: what is darker than its surroundings, and, if there is much that is dark, what
    is lighter."""
    import cv2

    side = min(AROUND, min(grey.shape) // 2 * 2 - 1)
    kind = cv2.ADAPTIVE_THRESH_MEAN_C
    inks = [cv2.adaptiveThreshold(grey, 1, kind, cv2.THRESH_BINARY_INV, side, LEVELS)]
    if (grey < 110).mean() > 0.3:
        inks.append(cv2.adaptiveThreshold(255 - grey, 1, kind, cv2.THRESH_BINARY_INV, side, LEVELS))
    return [np.asarray(ink, np.uint8) for ink in inks]


def _without(ink: NDArray[np.uint8], known: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width = ink.shape
    for left, top, right, bottom in known.astype(int).tolist():
        if left < width and top < height and right > 0 and bottom > 0:
            ink[max(0, top - 2) : bottom + 3, max(0, left - 2) : right + 3] = 0
    return ink


def _rows(ink: NDArray[np.uint8]) -> list[tuple[Box, int]]:
    """The rows of signs in the ink, with how many signs each has."""
    import cv2

    _, _, stats, centres = cv2.connectedComponentsWithStats(ink, connectivity=8)
    signs = np.asarray(stats)[1:]
    high, wide, filled = signs[:, 3], signs[:, 2], signs[:, 4] / np.maximum(signs[:, 2] * signs[:, 3], 1)
    likely = (high >= HEIGHTS[0]) & (high <= HEIGHTS[1]) & (wide <= 4 * high) & (wide >= 1) & (filled > 0.12)
    likely &= ~((wide > 2 * high) & (filled > 0.8))
    signs, middle = signs[likely], np.asarray(centres)[1:][likely]
    if len(signs) < SIGNS:
        return []
    usual = int(np.clip(np.median(signs[:, 3]), 6, 40))
    only = np.zeros_like(ink)
    for x, y, w, h, _ in signs.tolist():
        only[y : y + h, x : x + w] = 1
    smeared = cv2.morphologyEx(only, cv2.MORPH_CLOSE, np.ones((1, 2 * usual // 2 * 2 + 1), np.uint8))
    count, labels, blobs, _ = cv2.connectedComponentsWithStats(smeared, connectivity=4)
    at = labels[middle[:, 1].astype(int), middle[:, 0].astype(int)]
    out: list[tuple[Box, int]] = []
    for number in range(1, count):
        x, y, w, h, _ = blobs[number].tolist()
        inside = signs[at == number]
        if len(inside) < SIGNS or h > HEIGHTS[1] * 1.5 or w < 3 * h:
            continue
        height = np.median(inside[:, 3])
        alike = np.abs(inside[:, 3] - height) <= 0.45 * height
        bottoms = inside[:, 1] + inside[:, 3]
        level = np.abs(bottoms - np.median(bottoms)) <= 0.4 * height
        if alike.mean() >= ALIKE and level.mean() >= ALIKE and h < 3.5 * height:
            out.append(((float(x), float(y), float(x + w), float(y + h)), len(inside)))
    return out


def _groups(rows: list[tuple[Box, int]]) -> list[list[tuple[Box, int]]]:
    """The rows in groups that stand close together."""
    groups: list[list[tuple[Box, int]]] = []
    for row in sorted(rows):
        reach = 2.5 * (row[0][3] - row[0][1])
        near = [group for group in groups if any(touch(row[0], other, reach) for other, _ in group)]
        groups = [group for group in groups if group not in near]
        groups.append([row, *(member for group in near for member in group)])
    return groups
