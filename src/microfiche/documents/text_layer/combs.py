"""Fields of forms that have a box for each letter: what stands in the boxes of one field is one value.

A row of closed cells of one width, no higher than a line and with nothing but a letter in each, is such a field where
words label it, on its left or above it, on a page where one such row is long, has room left at its end, or has parts
as dates do. Others, as arrays in textbooks, stay as they are drawn; rows of cells below each other are a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import union
from microfiche.documents.boxes import within as around
from microfiche.documents.sheet import COLUMNS, Field, Sheet, TextLayer
from microfiche.documents.tables.grid import merged
from microfiche.documents.text_layer.glyphs import median
from microfiche.page import Box

HIGH = 0.25, 3.0  #: ems of the strokes between letters
CELL = 0.7, 2.8  #: ems from one such stroke to the next
DOUBLE = 0.5  #: ems between the frames of two letters, at most
SAME = 0.2  #: of its width by which a cell differs from the others, at most
OFF = 2.5  #: px by which the strokes and edges of one row are off, at most
CELLS, FILLED = 3, 2  #: of a field, at least
LONG = 10  #: cells of a row that is long
MOST = 4000  #: upright rules of a page that is looked at
APART = 2.5  #: cells between two parts of one field, as between day and month, at most
PARTS = "./-–:, "  #: what stands between them
LABEL = 16.0, 1.8  #: ems from a field to its label on the left, and above it, at most
WORD = 3  #: letters of a label, at least


@dataclass
class _Row:
    """Cells beside each other: the box around all of them, and what stands in each."""

    box: Box
    cells: list[str]
    inside: list[int]
    parts: int = 1


def with_combs(sheet: Sheet) -> Sheet:
    """The sheet, upright, with what stands in boxes letter by letter as values of fields instead of as letters, and
    without the rules of these boxes."""
    layer = sheet.text
    if layer is None or sum(rule[0] == rule[2] for rule in sheet.rules) not in range(CELLS + 1, MOST):
        return sheet
    spaces = np.array([c.isspace() for c in layer.text], bool)
    shown = np.flatnonzero(layer.seen & ~layer.invisible & ~spaces)
    if not len(shown):
        return sheet
    found = _fields(_rows(sheet, layer, shown), layer, shown)
    if not found:
        return sheet
    middle = (layer.boxes[:, :2] + layer.boxes[:, 2:]) / 2
    keep = np.ones(len(layer.text), bool)
    for row, _ in found:
        keep &= ~(spaces & _in(middle, row.box))
        keep[row.inside] = False
    columns: dict[str, Any] = {name: getattr(layer, name)[keep] for name in COLUMNS}
    text = "".join(c for c, kept in zip(layer.text, keep.tolist(), strict=True) if kept)
    values = [Field(row.box, " ".join("".join(row.cells).split()), above=above) for row, above in found]
    rules = [rule for rule in sheet.rules if not any(around(rule, row.box, OFF) for row, _ in found)]
    return replace(sheet, text=replace(layer, text=text, **columns), rules=rules, fields=[*sheet.fields, *values])


def _in(points: NDArray[np.floating], box: Box) -> NDArray[np.bool_]:
    x, y = points.T
    return np.asarray((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3]))


def _rows(sheet: Sheet, layer: TextLayer, shown: NDArray[np.int64]) -> list[_Row]:
    """The rows of closed cells of one width that hold a letter each, or none."""
    em = median(layer.sizes[shown])
    whole = merged(sheet.rules)
    level = [rule for rule in whole if rule[1] == rule[3]]
    strokes = sorted(
        (rule for rule in whole if rule[0] == rule[2] and HIGH[0] * em < rule[3] - rule[1] < HIGH[1] * em),
        key=lambda rule: rule[3],
    )
    middle = (layer.ink[shown, :2] + layer.ink[shown, 2:]) / 2
    out: list[_Row] = []
    while strokes:
        foot = strokes[0][3]
        band = [rule for rule in strokes if rule[3] - foot <= OFF]
        strokes = strokes[len(band) :]
        top = min(*(rule[1] for rule in band), foot - 1.2 * em)
        edges = [rule for rule in level if abs(rule[1] - foot) <= 2 * OFF]
        for cells in _alike(_cells(sorted(band), edges, em)):
            box = cells[0][0], top, cells[-1][1], foot
            inside = np.flatnonzero(_in(middle, box))
            cell = np.searchsorted([right for _, right in cells], middle[inside, 0])
            left, right = layer.ink[shown[inside]][:, [0, 2]].T
            ends = np.array(cells)[cell] if len(inside) else np.empty((0, 2))
            held = (left > ends[:, 0] - 1).all() and (right < ends[:, 1] + 1).all()
            if held and len(set(cell.tolist())) == len(inside):
                said = [" "] * len(cells)
                for k, i in zip(cell.tolist(), shown[inside].tolist(), strict=True):
                    said[k] = layer.text[i]
                out.append(_Row(box, said, shown[inside].tolist()))
    return out


def _cells(strokes: Sequence[Box], edges: Sequence[Box], em: float) -> list[tuple[float, float]]:
    """The cells between strokes, from the left, that a level rule closes, each with its ends."""
    dividers: list[tuple[float, float]] = []
    for x, *_ in strokes:
        if dividers and x - dividers[-1][1] <= DOUBLE * em:
            dividers[-1] = dividers[-1][0], x
        else:
            dividers.append((x, x))
    return [
        (a, b) for (_, a), (b, _) in pairwise(dividers)
        if CELL[0] * em < b - a < CELL[1] * em
        and any(edge[0] < a + 2 * OFF and b - 2 * OFF < edge[2] for edge in edges)
    ]


def _alike(cells: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The cells in runs of those that touch, but for runs whose cells are of different widths."""
    out: list[list[tuple[float, float]]] = []
    for left, right in cells:
        last = out[-1][-1] if out else (0.0, 0.0)
        if out and left - last[1] < 0.5 * (last[1] - last[0]):
            out[-1].append((left, right))
        else:
            out.append([(left, right)])
    widths = [[right - left for left, right in run] for run in out]
    return [run for run, wide in zip(out, widths, strict=True) if max(wide) - min(wide) <= SAME * max(wide)]


def _fields(rows: Sequence[_Row], layer: TextLayer, shown: NDArray[np.int64]) -> list[tuple[_Row, bool]]:
    """The rows that are fields, those joined that are the parts of one, each with whether its label stands above it."""
    ink, out = layer.ink[shown], list[_Row]()
    middle = (ink[:, :2] + ink[:, 2:]) / 2
    for _, level in groupby(rows, lambda row: row.box[3]):
        own: list[_Row] = []
        for row in level:
            last = own[-1] if own else None
            if last is not None:
                wide = (row.box[2] - row.box[0]) / len(row.cells)
                between = np.flatnonzero(_in(middle, (last.box[2], row.box[1], row.box[0], row.box[3])))
                said = "".join(layer.text[i] for i in shown[between].tolist())
                if row.box[0] - last.box[2] < APART * wide and len(said) < 3 and all(c in PARTS for c in said):
                    cells = [*last.cells, *(said or " "), *row.cells]
                    inside = [*last.inside, *shown[between].tolist(), *row.inside]
                    own[-1] = _Row(union([last.box, row.box]), cells, inside, last.parts + 1)
                    continue
            own.append(row)
        out += own
    whole = [row for row in out if len(row.cells) >= CELLS and len(row.inside) >= FILLED]
    labels = [_label(row, layer, shown, middle) for row in whole]
    found = [(row, above) for row, above in zip(whole, labels, strict=True) if above is not None]
    form = any(len(row.cells) >= LONG or row.cells[-1] == " " or row.parts > 1 for row, _ in found)
    return found if form else []


def _label(row: _Row, layer: TextLayer, shown: NDArray[np.int64], middle: NDArray[np.floating]) -> bool | None:
    """Whether a word stands above the beginning of a row of cells, and none to its left; None if there is neither."""
    left, top, right, bottom = row.box
    em = median(layer.sizes[row.inside])
    before = left - LABEL[0] * em, top, left, bottom
    above = left - em, top - LABEL[1] * em, right, top
    letters = np.array([layer.text[i].isalpha() for i in shown.tolist()], bool)
    words = [np.count_nonzero(letters & _in(middle, box)) >= WORD for box in (before, above)]
    return bool(words[1] and not words[0]) if any(words) else None
