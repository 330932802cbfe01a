"""Lines of print: finds them in a readout's output for each pixel row, and builds their readings.

A readout says in which pixel rows the middle of a line of type runs, and how large the type is. Rows that continue each
other from column to column form a line (`trace`). The characters that are found along a line (segmentation.py) make its
reading. It knows nothing of models, nor of the order in which lines are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microfiche.nano.readout import SQUARE
from microfiche.page import Reading
from microfiche.typesetting.alphabet import CONTROLS, HALF

FIRST_PRINTED = 3 + len(CONTROLS)  #: the first glyph id, apart from the space, that print contains
MIDDLE = 0.3  #: em from a line's baseline up to its middle
_DRIFT = 2.5  #: the most px that a line rises or falls from one column of squares to the next
_PEAK = (0.98, 0.99, 1.0, 0.99, 0.98)  #: weights of the rows around a peak; the middle counts a little more
_LEAST_SURE = 0.2  #: of the characters of a line
_LEADING, _LIKE = 2.5, 0.85  #: em of a line's largest type that say its size, and how much smaller type is of that size
_SEEN, _FAINT = 0.5, 0.2  #: the least probability of a line's middle where a line begins, and where it continues


@dataclass(frozen=True)
class TracedLine:
    """The middle of a line, which begins at (`left`, `y`) px, falls by `slope` px per px and ends at `right`; and the
    `size` of its type in px per em."""

    left: float
    right: float
    y: float
    slope: float
    size: float

    def at(self, x: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
        """Returns the y of the line's middle at `x`, in px."""
        return (x - self.left) * self.slope + self.y


@dataclass(frozen=True)
class PrintedLine:
    """The reading of one line: its `text`, for each character the probability (T,) float32 and the box (T, 4) int32 of
    left, top, right and bottom in px, and the `line` as it was traced."""

    text: str
    confidence: NDArray[np.float32]
    boxes: NDArray[np.int32]
    line: TracedLine

    @property
    def least_sure(self) -> float:
        """The mean probability of the least sure fifth of its characters, which says best how many of them are right;
        0 where there are none."""
        count = max(1, round(_LEAST_SURE * len(self.confidence)))
        return float(np.sort(self.confidence)[:count].mean()) if len(self.confidence) else 0.0


def trace(chance: NDArray[np.floating[Any]], sizes: NDArray[np.floating[Any]]) -> list[TracedLine]:
    """Finds the lines, from the top down, given the (rows of squares, columns, 8) probabilities that a line's middle
    runs through each pixel row of each square, and the (rows, columns) sizes of type.

    A line is a chain of columns of squares, each with a peak near that of the one before.
    """
    rows, columns, _ = chance.shape
    ridge = np.pad(chance.transpose(1, 0, 2).reshape(columns, -1), ((0, 0), (2, 2)))  # (columns, pixel rows)
    spread = np.stack([w * ridge[:, i : i + rows * SQUARE] for i, w in enumerate(_PEAK)])  # the rows of a peak
    near = spread.sum(0)
    middle = (spread * np.arange(-2, 3)[:, None, None]).sum(0) / np.maximum(near, 1e-9)
    padded = np.pad(near, ((0, 0), (2, 2)), constant_values=-1.0)
    around = np.stack([padded[:, i : i + rows * SQUARE] for i in range(5)])
    peak = (near >= _FAINT) & (around.argmax(0) == 2)  # the highest of the rows within 2 px; of equals, the first
    parts: list[NDArray[np.float64]] = []  # of each column: line, column, y, size
    lines, ys = np.empty(0, np.int64), np.empty(0)  # the lines that are being followed, and their last y
    count = 0
    for column in range(columns):
        row = np.flatnonzero(peak[column])
        y = row + middle[column, row] + 0.5
        line = np.full(len(row), -1)
        if len(row) and len(ys):
            apart = np.abs(y[:, None] - ys)
            nearest, back = apart.argmin(1), apart.argmin(0)
            same = (back[nearest] == np.arange(len(row))) & (apart[np.arange(len(row)), nearest] <= _DRIFT)
            line[same] = lines[nearest[same]]
        new = (line < 0) & (near[column, row] >= _SEEN)
        line[new] = count + np.arange(new.sum())
        count += int(new.sum())
        kept = line >= 0
        lines, ys = line[kept], y[kept]
        parts.append(np.stack([lines, np.full(len(ys), column), ys, sizes[row[kept] // SQUARE, column]]))
    seen = np.concatenate(parts, axis=1)
    seen = seen[:, np.argsort(seen[0], kind="stable")]
    chains = np.split(seen[1:], np.flatnonzero(np.diff(seen[0])) + 1, axis=1) if seen.shape[1] else []
    return sorted((_fitted(*chain) for chain in chains), key=lambda line: line.y)


def _fitted(column: NDArray[np.float64], y: NDArray[np.float64], size: NDArray[np.float64]) -> TracedLine:
    """Fits a straight line to a chain of columns, heights and sizes. A line has the size and the height of its largest
    type, if that is more than an initial: leaders, from a title to its page, look like smaller type that lies lower."""
    largest = np.sort(size)
    large = largest[-min(len(size), max(1, round(_LEADING * largest[-1] / SQUARE)))]
    own = size >= _LIKE * large
    x = (column + 0.5) * SQUARE
    across, down = x.copy(), y.copy()
    for kind in (own, ~own):
        across[kind] -= x[kind].mean() if kind.any() else 0
        down[kind] -= y[kind].mean() if kind.any() else 0
    slope = float((across * down).sum() / (across**2).sum()) if len(x) > 6 else 0.0
    left, right = column[0] * SQUARE, (column[-1] + 1) * SQUARE
    start = float(y[own].mean() + slope * (left - x[own].mean()))
    return TracedLine(left, right, start, slope, float(np.median(size[own])))


def with_boxes(
    line: TracedLine, ids: NDArray[np.int64], sure: NDArray[np.float32], places: NDArray[np.float64]
) -> PrintedLine:
    """Builds the reading of a line from the glyph ids of its characters, how sure they are, and the x of their middles,
    (T,) each. Spaces at its ends are left out, and a box ends halfway to the next character."""
    kept = slice(*_bounds(ids != 0))
    ids, sure, places = ids[kept], sure[kept], places[kept]
    if not len(ids):
        return PrintedLine("", sure, np.empty((0, 4), np.int32), line)
    between = (places[1:] + places[:-1]) / 2
    half = between[:1] - places[:1] if len(between) else np.array([line.size / 4])
    end = places[-1:] - between[-1:] if len(between) else half
    edges = np.concatenate([places[:1] - half, between, places[-1:] + end])
    y = line.at(places)
    boxes = np.stack([edges[:-1], y - 0.6 * line.size, edges[1:], y + 0.6 * line.size], axis=1)
    text = "".join(HALF[i] for i in ids)
    return PrintedLine(text, sure, np.rint(boxes).clip(0).astype(np.int32), line)


def _bounds(kept: NDArray[np.bool_]) -> tuple[int, int]:
    """Returns the index of the first True value, and the one after the last."""
    at = np.flatnonzero(kept)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0)


def reading_of(lines: Sequence[PrintedLine]) -> Reading:
    """Builds the reading of a page from its lines of type, from the top down. A newline with certainty 1 and an empty
    box ends each line. Columns are not separated here; `documents` puts lines in order."""
    ends = [np.concatenate([line.boxes[-1:, 2:], line.boxes[-1:, 2:]], 1) for line in lines]
    boxes = [part for line, end in zip(lines, ends, strict=True) for part in (line.boxes, end)]
    sure = [part for line in lines for part in (line.confidence, np.ones(1, np.float32))]
    return Reading(
        "".join(line.text + "\n" for line in lines),
        np.concatenate([np.empty(0, np.float32), *sure]),
        np.concatenate([np.empty((0, 4), np.int32), *boxes]),
    )
