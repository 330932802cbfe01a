"""Glyphs to lines of cells and back: where each character stands, and what a grid of cells says.

Dense layout flows on after a line end's mark; the `lines` layout starts a new line there. In both, a
full-width character never straddles two lines (FILL takes the cell left over), and END closes the text, so
that trailing spaces survive. Knows nothing of pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microfiche.page import Layout
from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, FILL, N_HALF
from microfiche.typesetting.density import Density

_LINE_END = 3  # the glyph id of "\n"


def expand(ids: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(C,) half-width cells of (T,) glyph ids: a full-width character takes two."""
    wide = ids >= N_HALF
    if not wide.any():
        return ids
    cells = np.repeat(ids, 1 + wide)
    right = np.cumsum(1 + wide)[wide] - 1
    cells[right] += 1
    return cells


def break_lines(
    cells: NDArray[np.uint16], columns: int, layout: Layout
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """(L, columns) cells in lines, blank where a line is shorter, and (L + 1,) bounds: line i holds
    cells[bounds[i] : bounds[i + 1]]."""
    if layout == "dense" and not (cells >= N_HALF).any():
        count = -(-len(cells) // columns)
        bounds = np.minimum(np.arange(count + 1) * columns, len(cells))
        return np.pad(cells, (0, count * columns - len(cells))).reshape(count, columns), bounds
    # is cells[i] the left half of a full-width character?
    left = (cells >= N_HALF) & ((cells - N_HALF) % 2 == 0)
    breaks = np.flatnonzero(cells == _LINE_END) + 1 if layout == "lines" else np.empty(0, np.int64)
    ends, start, next_break = [0], 0, 0
    while start < len(cells):
        end = min(start + columns, len(cells))
        while next_break < len(breaks) and breaks[next_break] <= start:
            next_break += 1
        if next_break < len(breaks) and breaks[next_break] <= end:
            end = int(breaks[next_break])
        elif left[end - 1]:
            end -= 1
        ends.append(end)
        start = end
    bounds = np.array(ends, np.int64)
    starts, lengths = bounds[:-1], np.diff(bounds)
    offset = np.arange(columns)
    inside = offset < lengths[:, None]
    lines = np.where(inside, cells[np.minimum(starts[:, None] + offset, len(cells) - 1)], np.uint16(0))
    straddled = np.zeros(len(starts), bool)
    straddled[:-1] = left[starts[1:]] & (lengths[:-1] == columns - 1)
    if layout == "lines":
        straddled &= lines[:, -2] != _LINE_END
    lines[straddled, -1] = FILL
    return lines, bounds


def cells_to_ids(cells: NDArray[np.uint16], layout: Layout) -> NDArray[np.uint16]:
    """(T,) glyph ids of a page's (rows, columns) cells: without END and what follows, FILL, right halves."""
    return cells.reshape(-1)[text_cells(cells, layout)]


def text_cells(cells: NDArray[np.uint16], layout: Layout) -> NDArray[np.int64]:
    """(T,) flat indices of the cells where the characters of a page begin, in reading order."""
    keep = (cells != FILL) & ((cells < N_HALF) | ((cells - N_HALF) % 2 == 0))
    if layout == "lines":
        ended = np.cumsum(cells == _LINE_END, axis=1) - (cells == _LINE_END)
        keep &= ended == 0
    flat = cells.reshape(-1)
    end = np.flatnonzero(flat == END)
    keep = keep.reshape(-1)
    if len(end):
        keep[end[0] :] = False
    return np.flatnonzero(keep)


def boxes(
    where: NDArray[np.int64], ids: NDArray[np.uint16], columns: int, density: Density
) -> NDArray[np.int32]:
    """(T, 4) boxes of left, top, right, bottom pixels of the characters `ids` in flat cells `where`."""
    left, top = where % columns * density.width, where // columns * density.height
    right = left + np.where(ids >= N_HALF, 2 * density.width, density.width)
    return np.stack([left, top, right, top + density.height], axis=1).astype(np.int32)


def ids_to_text(ids: NDArray[np.uint16]) -> str:
    """The characters of (T,) glyph ids."""
    return CODE_POINT_OF_GLYPH[ids].astype("<u4").tobytes().decode("utf-32-le")
