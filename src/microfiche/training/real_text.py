"""The truth of a real PDF page: which characters stand where, in lines, and where there is ink that they do not
explain.

All coordinates are points from the upper left corner of the page as it is shown. PDFium must be used in a process that
may die; see real_store.py. A page whose text layer cannot be trusted is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.training.real_glyphs import FEWEST, Glyphs, Refused, check, glyphs_of

GRID = 80  #: cells along a page's longer side in the grid in which unknown ink is found
_CELL = 12  #: px of a cell in the picture that characters are checked against
_CJK = 0x2E80  #: the first code point of the scripts without spaces


@dataclass(frozen=True)
class PageTruth:
    """What is on a page of `size` (width, height). `points` (T,) int32 are the characters, line after line, `boxes`
    (T, 4) float32 their (left, top, right, bottom), and `bad` (T,) bool says which are not to be learned. For each
    line, `spans` (L, 2) int32 is the range of its characters, `baselines` (L, 4) float32 its (x0, y0, x1, y1), and
    `sizes` (L,) float32 its size of type in points per em. `unknown` (U, 4) float32 are boxes around ink that no
    character explains. `fonts` are the names in the file."""

    size: tuple[float, float]
    points: NDArray[np.int32]
    boxes: NDArray[np.float32]
    bad: NDArray[np.bool_]
    spans: NDArray[np.int32]
    baselines: NDArray[np.float32]
    sizes: NDArray[np.float32]
    unknown: NDArray[np.float32]
    fonts: frozenset[str]


def page_truth(page: Any) -> PageTruth:
    """Returns the truth of an open PDFium page. Raises Refused if it cannot be trusted or there is too little of it."""
    width, height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
    if not (20 < width < 20_000 and 20 < height < 20_000):
        raise Refused("page size")
    glyphs, fonts = glyphs_of(page, width, height)
    scale = GRID * _CELL / max(width, height)
    picture = draw_grey(page, max(1, round(width * scale)), max(1, round(height * scale)))
    check(glyphs, picture, scale)
    return _in_lines(glyphs, picture, scale, (width, height), fonts)


def draw_grey(page: Any, width: int, height: int, window: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
    """Draws an open page at `width` × `height` px in grey, or a window (left, top, right, bottom) px of it, which may
    extend beyond the page and is white there."""
    left, top, right, bottom = window or (0, 0, width, height)
    picture = np.full((bottom - top, right - left), 255, np.uint8)
    rows, columns = picture.shape
    bitmap = pdfium.FPDFBitmap_CreateEx(columns, rows, pdfium.FPDFBitmap_Gray, picture.ctypes.data, columns)
    pdfium.FPDF_RenderPageBitmap(bitmap, page, -left, -top, width, height, 0, pdfium.FPDF_GRAYSCALE)
    pdfium.FPDFBitmap_Destroy(bitmap)
    return picture


def _in_lines(
    glyphs: Glyphs, picture: NDArray[np.uint8], scale: float, size: tuple[float, float], fonts: frozenset[str]
) -> PageTruth:
    of = _line_of(glyphs)
    points, boxes, bad, spans, baselines, sizes = [], [], [], [], [], []
    explained = []
    at = 0
    order = np.lexsort((glyphs.boxes[:, 0] + glyphs.boxes[:, 2], of))
    for line in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
        if glyphs.bad[line].mean() > 0.5:
            continue
        one = glyphs.take(line)
        explained.append(one.boxes)
        em = _commonest(one.size)
        _mark_stacked(one, em)
        codes, box, wrong = _with_spaces(one, np.diff(line) == 1, em)
        base = np.abs(one.size - em) < 0.1 * em
        slope, x0, x1 = float(np.median(one.slope)), float(one.boxes[:, 0].min()), float(one.boxes[:, 2].max())
        y = float(np.median(one.origin[base, 1] - slope * (one.origin[base, 0] - x0)))
        points.append(codes)
        boxes.append(box)
        bad.append(wrong)
        spans.append((at, at + len(codes)))
        baselines.append((x0, y, x1, y + slope * (x1 - x0)))
        sizes.append(em)
        at += len(codes)
    if at < FEWEST:
        raise Refused("few characters")
    text = np.concatenate(points)
    _check_words(text, spans)
    unknown = _unknown(picture, np.concatenate(explained) * scale) / scale
    return PageTruth(
        size, text.astype(np.int32), np.concatenate(boxes).astype(np.float32), np.concatenate(bad),
        np.array(spans, np.int32), np.array(baselines, np.float32), np.array(sizes, np.float32),
        unknown.astype(np.float32), fonts,
    )  # fmt: skip


def _line_of(glyphs: Glyphs) -> NDArray[np.int64]:
    """Returns (T,) the number of each glyph's line. Runs that the file writes in one go are joined to those beside
    them."""
    size, y, left, right = glyphs.size, glyphs.origin[:, 1], glyphs.boxes[:, 0], glyphs.boxes[:, 2]
    em = np.maximum(size[1:], size[:-1])
    parts = np.abs(np.diff(y)) > 0.45 * em
    parts |= (np.minimum(size[1:], size[:-1]) < 0.45 * em) | (left[1:] - right[:-1] > 2 * em)
    parts |= left[1:] < left[:-1] - 0.3 * em
    run = np.cumsum(np.append(False, parts))
    first = np.flatnonzero(np.append(True, parts))
    # The baseline and size of a run are those of its largest glyph.
    order = np.lexsort((-size, run))
    head = order[first]
    size, y = size[head], y[head]
    x0, x1 = np.minimum.reduceat(left, first), np.maximum.reduceat(right, first)
    em = np.maximum(size[:, None], size)
    ratio = np.minimum(size[:, None], size) / em
    apart = np.abs(y[:, None] - y) / em
    beside = (np.maximum(x0[:, None], x0) - np.minimum(x1[:, None], x1)) < 0.8 * em
    together = beside & (ratio > 0.45) & ((apart < 0.12) | (apart < 0.45) & (ratio < 0.85))
    return _components(together)[run]


def _components(joined: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, N) bool, which are joined → (N,) the least index in each one's connected component."""
    label = np.arange(len(joined))
    a, b = np.nonzero(np.triu(joined, 1))
    while True:
        new = label.copy()
        np.minimum.at(new, a, label[b])
        np.minimum.at(new, b, label[a])
        new = new[new]
        if (new == label).all():
            return label
        label = new


def _commonest(sizes: NDArray[np.float64]) -> float:
    rounded, counts = np.unique(np.round(sizes, 1), return_counts=True)
    return float(rounded[counts.argmax()])


def _mark_stacked(line: Glyphs, em: float) -> None:
    """Marks as bad the glyphs that stand over one another, as in a fraction: nobody can say in which order to read
    them."""
    centre = (line.boxes[:, 0] + line.boxes[:, 2]) / 2
    wide = np.minimum(line.boxes[1:, 2] - line.boxes[1:, 0], line.boxes[:-1, 2] - line.boxes[:-1, 0])
    near = np.diff(centre) < np.minimum(0.15 * em, 0.5 * wide)
    line.bad[1:] |= near
    line.bad[:-1] |= near


def _with_spaces(
    line: Glyphs, follows: NDArray[np.bool_], em: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Returns code points, boxes and badness of a line with its spaces. Each is as wide as the gap that it stands for,
    and bad beside a Chinese character. `follows` (T - 1,) says of each glyph but the first whether it also comes next
    in the file."""
    gap = line.boxes[1:, 0] - line.boxes[:-1, 2]
    after = np.flatnonzero(gap > em * np.where(follows, np.where(line.space[:-1], 0.08, 0.8), 0.2))
    middle = (line.boxes[after, 2] + line.boxes[after + 1, 0]) / 2
    half = gap[after] / 2
    top = np.minimum(line.boxes[after, 1], line.boxes[after + 1, 1])
    bottom = np.maximum(line.boxes[after, 3], line.boxes[after + 1, 3])
    spaces = np.stack([middle - half, top, middle + half, bottom], 1)
    return (
        np.insert(line.points, after + 1, 0x20),
        np.insert(line.boxes, after + 1, spaces, axis=0),
        np.insert(line.bad, after + 1, (line.points[after] >= _CJK) | (line.points[after + 1] >= _CJK)),
    )


def _check_words(text: NDArray[np.int64], spans: list[tuple[int, int]]) -> None:
    """Raises Refused if most words are single letters, as in tables of fonts, charts and formulas."""
    words = [w for start, stop in spans for w in "".join(map(chr, text[start:stop].tolist())).split()]
    single = sum(len(word) == 1 and word.isalpha() and ord(word) < _CJK for word in words)
    if len(words) >= 10 and single > 0.5 * len(words):
        raise Refused("loose letters")


def _unknown(picture: NDArray[np.uint8], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (U, 4) boxes in px around edges that are in none of the `known` (K, 4) boxes and belong to no rule."""
    rows, columns = picture.shape
    grey = picture.astype(np.int16)
    edges = np.zeros(picture.shape, bool)
    across, down = np.abs(np.diff(grey, axis=1)) > 24, np.abs(np.diff(grey, axis=0)) > 24
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    low = (np.floor(known[:, :2]).astype(np.int64) - 2).clip(0)
    high = np.ceil(known[:, 2:]).astype(np.int64) + 2
    for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True):
        edges[y0:y1, x0:x1] = False
    if not edges.any():
        return np.empty((0, 4))
    wide, tall = _run_lengths(edges), _run_lengths(edges.T).T
    for along, over in ((wide, tall), (tall, wide)):  # rules
        edges &= ~((along >= 14) & (along >= 4 * over) & (over <= 10))
    cells = np.zeros((-(-rows // _CELL) * _CELL, -(-columns // _CELL) * _CELL), bool)
    cells[:rows, :columns] = edges
    full = cells.reshape(cells.shape[0] // _CELL, _CELL, -1, _CELL).sum((1, 3)) >= 3
    gaps = full.copy()  # fill single empty cells between two full ones
    gaps[:, 1:-1] |= full[:, :-2] & full[:, 2:]
    gaps[1:-1] |= full[:-2] & full[2:]
    return _boxes_of(gaps) * np.float64(_CELL)


def _run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Returns, for each True in an (H, W) mask, the length of its run in its row; 0 elsewhere."""
    rows, columns = mask.shape
    flat = np.zeros((rows, columns + 1), bool)
    flat[:, :-1] = mask
    line = flat.ravel()
    change = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
    starts, stops = change[::2], change[1::2]
    found = np.zeros(len(line), np.int32)
    found[line] = np.repeat(stops - starts, stops - starts)
    return found.reshape(rows, columns + 1)[:, :-1]


def _boxes_of(cells: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns (U, 4) boxes that together cover the True cells: runs in rows, joined if they lie under one another."""
    open_: dict[tuple[int, int], int] = {}
    found = []
    for y in range(len(cells) + 1):
        row = cells[y] if y < len(cells) else np.zeros(cells.shape[1], bool)
        change = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8))).tolist()
        runs = set(zip(change[::2], change[1::2], strict=True))
        found += [(left, top, right, y) for (left, right), top in open_.items() if (left, right) not in runs]
        open_ = {run: open_.get(run, y) for run in sorted(runs)}
    return np.array(found, np.int64).reshape(-1, 4)
