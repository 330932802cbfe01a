"""Tables, figures and formulas: what is one block on a page, whatever stands in it.

Rules show where a table is and what its cells are; where there are none, the alignment of its text does. Regions of a
detector are believed where what stands in them reads in rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from microfiche.documents.boxes import area, share, share_of_smaller, union, within
from microfiche.documents.document import Kind
from microfiche.documents.layout.walls import astride, sides, walls
from microfiche.documents.tables.aligned import aligned, underlined
from microfiche.documents.tables.amounts import priced
from microfiche.documents.tables.barred import barred
from microfiche.documents.tables.grid import MOST, borders_of, merged, place, ruled, without_letters
from microfiche.documents.tables.halves import halves
from microfiche.documents.tables.outer_rows import with_outer_rows
from microfiche.documents.tables.text_grid import (
    by_column,
    column_borders,
    continued_rows,
    reads_down,
    running_text,
    text_rows,
)
from microfiche.documents.text_lines import BLANK, TICKS, Region, TextLine
from microfiche.page import Box

CAPTION = re.compile(r"^(figure|fig\.|table|plate|图|表)\s*\d+\s*[.:：]", re.IGNORECASE)
RULE = 0.6  #: of a row or a column of pixels, from which it is a rule across the whole
WORDS = 5  #: of the usual line of a column of prose, at least
THICK = 6  #: px: what is thicker is no rule
BANDS, CELL = 3, 6  #: rows of two cells or more of a grid that is a table, at least, and lines of such a cell, at most
SURER = 0.2  #: by which a detector is surer of columns of running text than of a table that lies over them
CROWDED = 1500  #: lines of a page on which only grids are tables: no page that is read has as many
OUT = 0.2  #: of the lines in a grid, that go on beyond it, at most
ROWS = 0.7  #: of the rows of a table that is taken for a figure, that have two pieces, at least
SURE, LIKELY = 0.75, 0.5  #: the score of a table from which its rows are not looked at; else, such a share of them
FORM = 0.5  #: of the rows of a form, that hold blanks or answers
PAGE = 5  #: lines of a page that a detector takes for a figure, at least
LABEL = 12  #: characters of a label beside a figure, at most
SMALL = 0.9  #: of the type of running text: the labels in a figure are not larger


def solids(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    rules: Sequence[Box],
    images: Sequence[Box],
    picture: Image.Image,
    body: float,
) -> list[tuple[Kind, Box]]:
    """The tables, figures and formulas of a page whose running text has the size `body`."""
    page = picture.width * picture.height
    figures = [box for box in images if 0.01 * page < area(box) < 0.85 * page]
    shown = [
        r.box for r in regions
        if r.kind == "figure" and not _most(lines, r.box) and _drawn(picture, r.box, lines, rules)
    ]
    sure = [r.box for r in regions if r.kind == "formula" and r.score >= 1]
    tables = _tables(lines, regions, rules, [*figures, *shown, *sure], picture)
    found: list[tuple[Kind, Box]] = [("table", box) for box in tables] + [("figure", box) for box in figures]
    for region in regions:
        if region.kind not in ("figure", "formula") or any(share(region.box, box) > 0.5 for _, box in found):
            continue
        if region.kind == "figure" and region.box not in shown:
            continue  # what it holds is text alone
        inside = [f for f in found if share(f[1], region.box) > 0.8]
        box = union([region.box, *(b for _, b in inside)])
        found = [f for f in found if f not in inside] + [(region.kind, box)]
    return [(kind, _with_labels(box, lines, body) if kind == "figure" else box) for kind, box in found]


def _tables(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    rules: Sequence[Box],
    figures: Sequence[Box],
    picture: Image.Image,
) -> list[Box]:
    """The boxes of a page's tables: grids, then what stands between level rules, then what is in line, then regions."""
    rules = without_letters(merged(rules), lines) if len(rules) <= 4 * MOST else []
    grids = [
        box for box in ruled(rules)
        if _holds_a_table(_within(lines, box), box, rules) and not _sticks_out(_within(lines, box), box)
    ]
    found = [with_outer_rows(box, lines, rules) for box in grids]
    if len(lines) > CROWDED:
        return found
    free = [x for x in lines if not any(share(x.box, box) > 0.5 for box in [*found, *figures])]
    for box in halves(free, rules):
        _add(found, box)
    between = walls(free, rules)
    for box in barred(free, [rule for rule in rules if not any(within(rule, grid, 1) for grid in grids)]):
        if not any(box[0] < x < box[2] and low < box[3] and box[1] < high for x, low, _, high in between):
            _add(found, box)
    level = [rule for rule in rules if rule[1] == rule[3]]
    for box in (box for side in sides(free, between) for box in (*aligned(side, rules, grids), *priced(side))):
        over = [x for x in found if share_of_smaller(box, x) > 0.3]
        if not _side_by_side(over) and not _drawn(picture, box, _within(lines, box), rules, solid=True):
            _add(found, box)
    for region in regions:
        if region.kind not in ("table", "figure") or (region.kind == "figure" and region.box in figures):
            continue
        inside = [box for box in found if share(box, region.box) > 0.5]
        held = [x for x in _within(lines, region.box) if not any(share(x.box, f) > 0.5 for f in figures)]
        known = sum(any(share(x.box, box) > 0.5 for box in inside) for x in held)
        if not held or known > 0.6 * len(held) or any(share(region.box, box) > 0.5 for box in found):
            continue
        if any(astride(held, wall) for wall in between):
            continue
        needed = ROWS if region.kind == "figure" else LIKELY if region.score < SURE else 0.0
        if _is_form(held) or not _in_rows(held, needed):
            continue
        heads = sum(underlined(row[0], level) for row in text_rows(held) if len(row) == 1)
        if heads > 1 or _surely_text(region, regions, held):
            continue
        box = _with_rows(region.box, held, lines, regions)
        if _holds_a_table(_within(lines, box), box, ()) and not _all_prose(_within(lines, box), box):
            _add(found, box)
    return found


def _surely_text(region: Region, regions: Sequence[Region], held: Sequence[TextLine]) -> bool:
    """Whether most of the lines that a region holds stand in regions of text of which the detector is surer."""
    surer = [r.box for r in regions if r.kind == "text" and r.score > region.score + SURER]
    its = [x for x in held if any(share(x.box, box) > 0.5 for box in surer)]
    return sum(len(x.text) for x in its) > 0.6 * sum(len(x.text) for x in held)


def _in_rows(lines: Sequence[TextLine], least: float) -> bool:
    """Whether at least such a share of the rows of lines have several pieces, as those of a table have."""
    rows = text_rows(lines)
    return sum(len(row) > 1 for row in rows) >= least * len(rows)


def _is_form(lines: Sequence[TextLine]) -> bool:
    """Whether most rows of lines hold blanks to fill in or answers to tick, each behind its label."""
    rows = text_rows(lines)
    asked = sum(any(BLANK in x.text or x.text.startswith(tuple(f"{tick} " for tick in TICKS)) for x in row)
                for row in rows)
    return asked > FORM * len(rows)


def _all_prose(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether each column in a box that no rules part holds long lines and a paragraph, as a letter in two languages
    does: such columns are no table though their paragraphs begin side by side."""
    columns = by_column(lines, column_borders(lines, box))
    running = {id(x) for stack in running_text(lines) if len(stack) > 2 for x in stack}
    return all(
        any(id(x) in running for x in held) and median(len(x.text.split()) for x in held) >= WORDS
        for held in columns.values()
    )


def _most(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether most of a page's text stands in `box`, in several lines, so that it is no figure."""
    inside = _within(lines, box)
    return len(inside) >= PAGE and 2 * sum(len(x.text) for x in inside) > sum(len(x.text) for x in lines)


def _within(lines: Sequence[TextLine], box: Box) -> list[TextLine]:
    return [x for x in lines if share(x.box, box) > 0.5]


def _side_by_side(boxes: Sequence[Box]) -> bool:
    """Whether any two of some boxes stand beside each other, as tables in columns do."""
    return any(
        (a[2] <= b[0] or b[2] <= a[0]) and min(a[3], b[3]) - max(a[1], b[1]) > 0.5 * min(a[3] - a[1], b[3] - b[1])
        for i, a in enumerate(boxes) for b in boxes[:i]
    )


def _add(found: list[Box], box: Box) -> None:
    """Puts a box among those found, as one with those that it lies over."""
    same = [other for other in found if share_of_smaller(box, other) > 0.3]
    found[:] = [other for other in found if other not in same] + [union([box, *same])]


def _holds_a_table(lines: Sequence[TextLine], box: Box, rules: Sequence[Box]) -> bool:
    """Whether the lines in a box, which `rules` may part, are cells in two rows and two columns at least rather than
    running text, or words in a drawing."""
    columns, rows = borders_of([r for r in rules if within(r, box, 8)])
    if len(columns) >= 3 and len(rows) >= 3:
        cells = Counter((place(x.middle, rows), place((x.box[0] + x.box[2]) / 2, columns)) for x in lines)
        across, down = {column for _, column in cells}, {row for row, _ in cells}
        several = sum(n > 1 for n in Counter(row for row, _ in cells).values())
        if several >= BANDS and median(cells.values()) <= CELL:
            return True  # whatever the cells hold
    else:
        across, down = set(range(len(column_borders(lines, box)) - 1)), set(range(len(text_rows(lines))))
    return len(across) > 1 and len(down) > 1 and not reads_down(lines, box)


def _sticks_out(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether many of the lines in a box go on beyond a side of it, as those do between rules that lead to notes."""
    out = [x for x in lines if x.box[0] < box[0] - x.size or box[2] + x.size < x.box[2]]
    return len(out) > OUT * len(lines)


def _labels(box: Box, held: Sequence[TextLine], free: Sequence[TextLine]) -> list[TextLine]:
    """The pieces beside a box that stand where its rows begin, if most rows have one."""
    rows = continued_rows(text_rows(held), column_borders(held, box))
    size = median(x.size for x in held)
    beside = [
        x for x in free
        if (box[0] - 18 * size < x.box[0] and x.box[2] < box[0] + size) and box[1] - size < x.middle < box[3] + size
    ]
    labelled = sum(any(abs(x.middle - y.middle) < 0.4 * size for x in beside for y in row) for row in rows)
    return beside if labelled >= max(3, 0.6 * len(rows)) else []


def _with_rows(
    box: Box, held: Sequence[TextLine], lines: Sequence[TextLine], regions: Sequence[Region]
) -> Box:
    """A region's box, with the pieces that stand in its rows beside it where it has one column, and the row over it
    where that heads its columns."""
    others = [r.box for r in regions if r.box != box and r.kind != "text"]
    free = [x for x in lines if not any(share(x.box, other) > 0.5 for other in others)]
    prose = {id(x) for stack in running_text(lines) for x in stack}
    if len(column_borders(held, box)) < 3:
        rows = [x for x in free if any(abs(x.middle - y.middle) < 0.4 * x.size for y in held) and id(x) not in prose]
        box = union([box, *(x.box for x in rows)])
    else:
        box = union([box, *(x.box for x in _labels(box, held, [x for x in free if id(x) not in prose]))])
    size = median(x.size for x in held)
    above = [
        x for x in free
        if id(x) not in prose and x not in held and 0 < box[1] - x.middle < 1.8 * size
        and x.box[0] > box[0] - size and x.box[2] < box[2] + size
    ]
    return union([box, *(x.box for x in above)]) if len(above) >= 2 else box


def _with_labels(box: Box, lines: Sequence[TextLine], body: float) -> Box:
    """A figure's box, extended to the lines of small type that stand between it and its caption, and to the short ones
    close beside it."""
    under = [x for x in lines if box[3] < x.middle < box[3] + 4 * body and box[0] < x.box[2] and x.box[0] < box[2]]
    captions = [x.middle for x in under if CAPTION.match(x.text)]
    labels = [x.box for x in under if captions and x.middle < min(captions) and x.size < SMALL * body]
    beside = [
        x.box for x in lines
        if x.size < SMALL * body and len(x.text) <= LABEL and box[1] - body < x.middle < box[3] + body
        and box[0] - 1.5 * body < x.box[2] and x.box[0] < box[2] + 1.5 * body
    ]
    return union([box, *labels, *beside])


def _drawn(
    picture: Image.Image, box: Box, lines: Sequence[TextLine], rules: Sequence[Box], solid: bool = False
) -> bool:
    """Whether anything but `lines` and the `rules` between them is drawn in `box`; `solid` bands do not count then."""
    left, top, right, bottom = map(round, box)
    grey = np.asarray(picture.convert("L").crop((left, top, right, bottom))) < 200
    whole = int(grey.sum())
    ink = grey & ~_thin(grey.mean(axis=1) > RULE)[:, None] & ~_thin(grey.mean(axis=0) > RULE)[None]
    for around in (*(line.box for line in lines), *(rule for rule in rules if within(rule, box, 8))):
        left, top, right, bottom = (round(v - box[k % 2]) for k, v in enumerate(around))
        ink[max(0, top - 2) : bottom + 3, max(0, left - 2) : right + 3] = False
    if solid:
        ink = ink & ~np.asarray(Image.fromarray(ink).filter(ImageFilter.MinFilter(5)).filter(ImageFilter.MaxFilter(7)))
    return int(ink.sum()) > (0.3 if solid else 0.15) * whole


def _thin(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) `marks` without runs of more than THICK of them."""
    runs = [list(run) for _, run in groupby(marks.tolist())]
    return np.array([mark and len(run) <= THICK for run in runs for mark in run], np.bool_)


def with_fractions(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[TextLine]:
    """A formula's pieces from the left; what stands over and under a bar becomes (over)/(under)."""
    lines = list(lines)
    for left, y, right, below in rules:
        along = [x for x in lines if left - x.size < x.box[0] and x.box[2] < right + x.size]
        over, under = ([x for x in along if (x.middle < y) == above and abs(x.middle - y) < 1.5 * x.size]
                       for above in (True, False))
        if y == below and over and under:
            text = "/".join(_bracketed(" ".join(x.text for x in several)) for several in (over, under))
            held = [*over, *under]
            lines = [x for x in lines if x not in held]
            lines.append(replace(held[0], text=text, box=union([x.box for x in held])))
    return sorted(lines, key=lambda x: x.box[0])


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text
