"""Boxes on a page: their geometry. Coordinates are pixels from the page's top left corner."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from microfiche.page import Box

WholeBox = tuple[int, int, int, int]  #: a Box whose coordinates are whole pixels


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of `boxes`, of which there is at least one."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def around(points: Iterable[tuple[float, float]]) -> Box:
    """The smallest box around `points` (x, y), of which there is at least one."""
    x, y = zip(*points, strict=True)
    return min(x), min(y), max(x), max(y)


def area(box: Box) -> float:
    """The area of a box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def share(a: Box, b: Box) -> float:
    """The share of box `a`, from 0 to 1, that lies in box `b`."""
    return _common(a, b) / max(1.0, area(a))


def share_of_smaller(a: Box, b: Box) -> float:
    """The share, from 0 to 1, of the smaller of two boxes that lies in the other."""
    return _common(a, b) / max(1.0, min(area(a), area(b)))


def _common(a: Box, b: Box) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, across) * max(0.0, down)


def within(a: Box, b: Box, reach: float) -> bool:
    """Whether box `a` lies in box `b` when `b` grows by `reach` on every side."""
    return b[0] - reach <= a[0] and a[2] <= b[2] + reach and b[1] - reach <= a[1] and a[3] <= b[3] + reach


def touch(a: Box, b: Box, reach: float) -> bool:
    """Whether two boxes lie no more than `reach` apart, both across and down."""
    return all(a[k] - reach <= b[k + 2] and b[k] - reach <= a[k + 2] for k in (0, 1))


def clipped(box: Box, size: tuple[float, float]) -> Box:
    """The part of a box that lies on a page of this width and height."""
    width, height = size
    return (
        min(max(box[0], 0.0), width),
        min(max(box[1], 0.0), height),
        min(max(box[2], 0.0), width),
        min(max(box[3], 0.0), height),
    )


def scaled(box: Box, x: float, y: float) -> Box:
    """The box with its horizontal coordinates multiplied by `x` and its vertical ones by `y`."""
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def rounded(box: Box) -> WholeBox:
    """The box in whole pixels."""
    return round(box[0]), round(box[1]), round(box[2]), round(box[3])


def turned_back(box: WholeBox, degrees: float, size: tuple[int, int]) -> WholeBox:
    """The box on a page of this width and height that surrounds what `box` shows after the page was turned
    counter-clockwise about its centre by `degrees`."""
    if not degrees:
        return box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x0, y0 = size[0] / 2, size[1] / 2
    corners = [(x - x0, y - y0) for x in (box[0], box[2]) for y in (box[1], box[3])]
    left, top, right, bottom = rounded(around((cos * x - sin * y + x0, sin * x + cos * y + y0) for x, y in corners))
    return max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)


def joined(boxes: Iterable[Box], reach: float) -> list[Box]:
    """The boxes around groups of `boxes` that lie no more than `reach` apart."""
    out = list(boxes)
    while len(out) > 1:
        groups = _touching(out, reach)
        if len(groups) == len(out):
            break
        out = [union([out[i] for i in group]) for group in groups]
    return out


def _touching(boxes: list[Box], reach: float) -> list[list[int]]:
    """The numbers of the boxes in groups, each box of which touches another of its group."""
    box = np.array(boxes, float)
    axis = int(np.ptp(box[:, 1]) > np.ptp(box[:, 0]))  # the one along which fewer boxes overlap, probably
    order = np.argsort(box[:, axis], kind="stable")
    low, high = box[order, axis], box[order, axis + 2]
    near, far = box[order, 1 - axis], box[order, 3 - axis]
    ends = np.searchsorted(low, high + reach, "right")
    parent = np.arange(len(boxes))  # the number of the group of each, in the order above
    for k, end in enumerate(ends.tolist()):
        after = np.arange(k + 1, end)
        after = after[(near[k + 1 : end] <= far[k] + reach) & (near[k] - reach <= far[k + 1 : end])]
        mine = _root(parent, k)
        for other in {_root(parent, i) for i in after[parent[after] != mine].tolist()}:
            parent[max(mine, other)] = min(mine, other)
            mine = min(mine, other)
    groups: dict[int, list[int]] = {}
    for k, i in enumerate(order.tolist()):
        groups.setdefault(_root(parent, k), []).append(i)
    return sorted(sorted(group) for group in groups.values())


def _root(parent: NDArray[np.int64], k: int) -> int:
    """The number of the group that box `k` belongs to; the way there is shorter the next time."""
    root = k
    while parent[root] != root:
        root = int(parent[root])
    while parent[k] != root:
        parent[k], k = root, int(parent[k])
    return root
