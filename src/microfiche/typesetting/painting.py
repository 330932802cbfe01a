"""Paints lines of a page that are more than cells of the alphabet, and says where each character of a page stands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from microfiche.page import INK, PAPER
from microfiche.typesetting.rows import Items, Row


def paint(strip: NDArray[np.uint8], items: Items, rows: Sequence[Row]) -> None:
    """Paints lines of one level that follow each other into their (height, width) part of a page, which is blank."""
    repertoire, edges = items.repertoires[rows[0].level], items.edges(rows[0].level)
    h, w = repertoire.height, repertoire.width
    first, last = rows[0].start, rows[-1].end
    counts = [row.end - row.start for row in rows]
    points, inverse = items.points[first:last], items.inverse[first:last]
    line = np.repeat(np.arange(len(rows)), counts)
    cells = edges[first:last] - np.repeat(edges[[row.start for row in rows]], counts)
    widths, places = np.diff(edges[first : last + 1]), repertoire.places[points]
    ink = np.zeros((len(rows), len(strip) // len(rows), strip.shape[1] // w, w), np.uint8)
    whole = ink.view(f"V{w}")[..., 0]  # each line of a cell is copied in one piece
    half, wide = widths == 1, widths == 2
    grid = np.zeros((len(rows), whole.shape[2]), np.int32)  # the first picture is blank
    grid[line[half], cells[half]] = places[half]
    whole[:, :h] = repertoire.half.view(whole.dtype)[..., 0][grid].swapaxes(1, 2)
    for side in (0, 1) if wide.any() else ():
        whole[line[wide], :h, cells[wide] + side] = repertoire.wide.view(whole.dtype)[..., side][places[wide]]
    for letter, marks in _upon(widths):
        picture = repertoire.marked(int(points[letter]), tuple(points[marks].tolist()))
        ink[line[letter], :h, cells[letter] : cells[letter] + widths[letter]] = picture.reshape(h, -1, w)
    ink[line[inverse], :h, cells[inverse]] ^= 1
    ink[line[inverse & wide], :h, cells[inverse & wide] + 1] ^= 1
    flat = ink.reshape(len(strip), -1)
    strip[:, : flat.shape[1]] = np.uint8(PAPER) - flat * np.uint8(PAPER - INK)


def _upon(widths: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """Each item with marks upon it, and these."""
    found: list[tuple[int, list[int]]] = []
    for i in np.flatnonzero(widths == 0).tolist():
        if found and found[-1][1][-1] == i - 1:
            found[-1][1].append(i)
        else:
            found.append((i - 1, [i]))
    return found


def places_of(items: Items, rows: Sequence[Row], characters: int) -> NDArray[np.int32]:
    """(T, 4) int32 the boxes (left, top, right, bottom px) of the characters of a page; those that stand beside it have
    the box of their number."""
    base = items.ladder[0].height
    found = np.zeros((characters, 4), np.int32)
    for level, together in groupby(rows, key=lambda row: row.level):
        some, own = list(together), items.repertoires[level]
        first, last = some[0].start, some[-1].end
        edges = items.edges(level)
        counts = [row.end - row.start for row in some]
        begins = np.repeat(edges[[row.start for row in some]], counts)
        left, right = edges[first:last] - begins, edges[first + 1 : last + 1] - begins
        left = np.where(right == left, np.maximum(left - 1, 0), left)  # a mark stands where its character does
        top = np.repeat([row.top * base for row in some], counts)
        boxes = np.stack([left * own.width, top, right * own.width, top + own.height], 1)
        starts = items.starts[first : last + 1]
        found[starts[0] : starts[-1]] = np.repeat(boxes, np.diff(starts), axis=0)
    for start, end in items.runs:
        if end <= characters:
            numbered = np.searchsorted(items.starts, [start, end], "left"), np.searchsorted(items.starts, end, "right")
            found[start:end, 2] += _width_of_number(items, int(numbered[0][0]), int(numbered[1]) - 1, rows)
    return found


def _width_of_number(items: Items, first: int, behind: int, rows: Sequence[Row]) -> int:
    """The px that a number takes besides its first cell, where it begins with item `first`."""
    row = next(row for row in rows if row.start <= first < row.end)
    last = min(behind, row.end)
    return int(last - first - 1) * items.repertoires[row.level].width
