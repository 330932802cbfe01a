"""Reading order by recursive XY-cut (Nagy and Seth, 1984): columns left to right, within a column from the top.

Works on boxes alone; what they hold is not its business.
"""

from __future__ import annotations

from collections.abc import Sequence

from microfiche.documents.sheet import Box


def reading_order(boxes: Sequence[Box], gutter: float) -> list[int]:
    """The indices of `boxes` in reading order; an empty strip at least `gutter` px wide parts two columns."""
    return [i for column in columns(boxes, gutter) for i in column]


def columns(boxes: Sequence[Box], gutter: float) -> list[list[int]]:
    """The same, in pieces: each a column, or a part of the page that lies across columns."""
    return _cut(list(range(len(boxes))), boxes, gutter)


def _cut(chosen: list[int], boxes: Sequence[Box], gutter: float) -> list[list[int]]:
    if len(chosen) < 2:
        return [chosen] if chosen else []
    pieces: list[list[int]] = []
    run: list[int] = []
    # Bands that can be parted by one and the same gutter make a run; a band across all columns ends it.
    for band in _parted(chosen, boxes, axis=1, gap=0):
        if run and not _gutters(run + band, boxes, gutter):
            if _gutters(run, boxes, gutter):
                pieces += _columns(run, boxes, gutter)
                run = []
            elif _gutters(band, boxes, gutter):
                pieces.append(run)
                run = []
        run = run + band
    return pieces + _columns(run, boxes, gutter)


def _columns(run: list[int], boxes: Sequence[Box], gutter: float) -> list[list[int]]:
    parts = _parted(run, boxes, axis=0, gap=gutter)
    if len(parts) == 1 or len(parts) == len(run):
        return [run]  # one column, or one row
    return [piece for part in parts for piece in _cut(part, boxes, gutter)]


def _gutters(run: list[int], boxes: Sequence[Box], gutter: float) -> bool:
    return len(_parted(run, boxes, axis=0, gap=gutter)) > 1


def _parted(chosen: list[int], boxes: Sequence[Box], axis: int, gap: float) -> list[list[int]]:
    """`chosen` along an axis (0 across, 1 down) in groups that an empty strip of more than `gap` px parts."""
    groups: list[list[int]] = []
    end = float("-inf")
    for i in sorted(chosen, key=lambda i: (boxes[i][axis], boxes[i][1 - axis])):
        low, high = boxes[i][axis], boxes[i][axis + 2]
        # Lines of close-set type overlap a little; half of the smaller is what makes them one band.
        if groups and low - end <= (gap if axis == 0 else -0.3 * (high - low)):
            groups[-1].append(i)
        else:
            groups.append([i])
        end = max(end, high)
    return groups
