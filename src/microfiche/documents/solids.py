"""Tables, figures and formulas: what is one block on a page, whatever stands in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.document import Kind
from microfiche.documents.lines import Line, part, union
from microfiche.documents.regions import Region
from microfiche.documents.sheet import Box
from microfiche.documents.tables import ruled, width

CAPTION = re.compile(r"^(figure|fig\.|table|plate|图|表)\s*\d+\s*[.:：]", re.IGNORECASE)
RULE = 0.6  #: of a row or a column of pixels, from which it is a rule across the whole
THICK = 6  #: px: what is thicker is no rule
SMALL = 0.9  #: of the type of running text: the labels in a figure are not larger


def solids(
    lines: Sequence[Line],
    regions: Sequence[Region],
    rules: Sequence[Box],
    images: Sequence[Box],
    picture: Image.Image,
    body: float,
) -> list[tuple[Kind, Box]]:
    """The tables, figures and formulas of a page whose running text has the size `body`."""
    page = picture.width * picture.height
    found: list[tuple[Kind, Box]] = [("table", box) for box in ruled(rules)]
    found += [
        ("figure", box) for box in images if 0.01 * page < (box[2] - box[0]) * (box[3] - box[1]) < 0.85 * page
    ]
    for region in regions:
        if region.kind not in ("table", "figure", "formula") or any(part(region.box, box) > 0.5 for _, box in found):
            continue
        kind, box = region.kind, region.box
        within = [line for line in lines if part(line.box, box) > 0.5]
        if kind == "figure" and within and not _drawn(picture, box, lines):
            kind = "table"
        if kind == "table" and width(within, box) == 1:  # its other columns may not have been seen
            others = [r.box for r in regions if r is not region]
            free = [line for line in lines if not any(part(line.box, other) > 0.5 for other in others)]
            rows = [line for line in free if any(abs(line.middle - x.middle) < 0.4 * x.size for x in within)]
            box = union([box, *(line.box for line in rows)])
            if width(rows, box) == 1:
                continue
        inside = [f for f in found if part(f[1], box) > 0.8]
        found = [f for f in found if f not in inside] + [(kind, union([box, *(b for _, b in inside)]))]
    return [(kind, _with_labels(box, lines, body) if kind == "figure" else box) for kind, box in found]


def _with_labels(box: Box, lines: Sequence[Line], body: float) -> Box:
    """A figure's box, grown by the lines of small type that stand between it and its caption."""
    under = [x for x in lines if box[3] < x.middle < box[3] + 4 * body and box[0] < x.box[2] and x.box[0] < box[2]]
    captions = [x.middle for x in under if CAPTION.match(x.text)]
    labels = [x.box for x in under if captions and x.middle < min(captions) and x.size < SMALL * body]
    return union([box, *labels])


def _drawn(picture: Image.Image, box: Box, lines: Sequence[Line]) -> bool:
    """Whether something stands in `box` beside `lines` and the rules between them."""
    left, top, right, bottom = map(round, box)
    grey = np.asarray(picture.convert("L").crop((left, top, right, bottom))) < 200
    whole = int(grey.sum())
    ink = grey & ~_thin(grey.mean(axis=1) > RULE)[:, None] & ~_thin(grey.mean(axis=0) > RULE)[None]
    for line in lines:
        left, top, right, bottom = (round(v - box[k % 2]) for k, v in enumerate(line.box))
        ink[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = False
    return int(ink.sum()) > 0.15 * whole


def _thin(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) the same without runs of more than THICK marks."""
    runs = [list(run) for _, run in groupby(marks.tolist())]
    return np.array([mark and len(run) <= THICK for run in runs for mark in run], np.bool_)


def with_fractions(lines: Sequence[Line], rules: Sequence[Box]) -> list[Line]:
    """A formula's pieces from the left, what stands over and under a bar written as (over)/(under)."""
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
