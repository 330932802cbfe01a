"""Pictures of code and of terminals: all of the text in one fixed-pitch type, set in rows of one height.

Such a picture is one listing: what stands where is known from the grid of its characters, and signs that the detector
of text passed over, such as a brace alone in its row, are looked for in the rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from microfiche.documents.boxes import rounded, union
from microfiche.documents.document import Block
from microfiche.documents.inline import unmarked
from microfiche.documents.layout.listings import MOST_BLANK, SYNTAX
from microfiche.documents.scans.orientation import Seen
from microfiche.documents.scans.recognition import Found, cut, recognise
from microfiche.documents.text_lines import TextLine

LONG = 12  #: characters of a line of which one can tell whether its type has a fixed pitch
FIXED = 0.6  #: of the characters of such lines, that are in it
ALIKE, OFF = 0.8, 0.08  #: of the characters of all lines, that have one pitch, and by how much it may differ
SIGNS = 0.03  #: of the characters of code on light ground are its own signs, at least
DARK = 110  #: grey level of the paper, below which a picture is one of a screen
ROWS = 3  #: of a listing, at least
NUMBER = re.compile(r"(\d+)(?:\s+|$)")
SURE = 0.5  #: mean probability of the characters of what was passed over at first


@dataclass(frozen=True)
class Listing:
    """A picture that is one listing: its `lines`, with those found later; its `block`; and why some of it is
    `missing`, "" if nothing is."""

    lines: list[TextLine]
    block: Block
    missing: str


def listing_on(lines: Sequence[TextLine], seen: Seen) -> Listing | None:
    """The listing that a picture shows and nothing else; None where it shows other things."""
    pitch = _pitch(lines, seen)
    if not pitch:
        return None
    added, unread = _passed_over(lines, seen, pitch)
    every = [*lines, *added]
    rows = _rows(every)
    if len(rows) < ROWS:
        return None
    text = _text(_without_numbers(rows, pitch), pitch)
    fence = "`" * max(3, max((len(run) + 1 for run in re.findall("`+", text)), default=0))
    count = sum(len(line.text) for line in every)
    sure = sum(line.confidence * len(line.text) for line in every) / count
    block = Block(kind="code", box=rounded(union(line.box for line in every)), text=f"{fence}\n{text}\n{fence}",
                  confidence=round(sure, 4))
    return Listing(every, block, f"{unread} signs in a listing could not be read" if unread else "")


def _pitch(lines: Sequence[TextLine], seen: Seen) -> float:
    """The px from one character to the next, where all of a picture is in one type of a fixed pitch and is code; 0
    otherwise."""
    long = [line for line in lines if len(line.text) >= LONG]
    fixed = [line for line in long if line.fixed]
    if len(fixed) < 2 or sum(len(x.text) for x in fixed) < FIXED * sum(len(x.text) for x in long):
        return 0.0
    pitch = median((x.box[2] - x.box[0]) / (len(x.text) - 0.15) for x in fixed)
    fits = sum(len(x.text) for x in long if abs((x.box[2] - x.box[0]) / (len(x.text) - 0.15) / pitch - 1) < OFF)
    text = "".join(line.text for line in lines).replace(" ", "")
    code = len(SYNTAX.findall(text)) > SIGNS * len(text) or float(np.median(seen.ink.paper)) < DARK
    return pitch if code and fits > ALIKE * sum(len(x.text) for x in long) else 0.0


def _passed_over(lines: Sequence[TextLine], seen: Seen, pitch: float) -> tuple[list[TextLine], int]:
    """What stands in the rows of a listing and no line holds, and how many groups of signs there cannot be read."""
    left, top, right, bottom = union(line.box for line in lines)
    size = 2 * pitch
    groups: list[list[tuple[int, int, int, int]]] = []
    for x, y, w, h, _ in sorted(seen.ink.pieces.tolist()):
        middle, centre = y + h / 2, x + w / 2
        near = left - 3 * pitch < x and x + w < right + 6 * pitch and top - size < middle < bottom + size
        if not near or max(w, h) < 0.2 * pitch or h > 1.5 * size or w > 20 * pitch:
            continue
        if any(x0 - 0.3 * pitch < centre < x1 + 0.3 * pitch and y0 < middle < y1 for x0, y0, x1, y1 in
               (line.box for line in lines)):
            continue
        same = [g for g in groups if x - max(b[2] for b in g) < 1.3 * pitch
                and abs(middle - median((b[1] + b[3]) / 2 for b in g)) < 0.5 * size]
        if same:
            same[-1].append((x, y, x + w, y + h))
        else:
            groups.append([(x, y, x + w, y + h)])
    if not groups:
        return [], 0
    high = median(line.box[3] - line.box[1] for line in lines)
    found, strokes = [], []
    for group in groups:
        x0, y0, x1, y1 = union([(float(a), float(b), float(c), float(d)) for a, b, c, d in group])
        for left, top, right, bottom in (line.box for line in lines):  # a stroke of which a line holds some
            if top < (y0 + y1) / 2 < bottom and left < x1 and x0 < right:
                x0, x1 = (x0, left) if left > x0 else (right, x1)
        if x1 - x0 < 0.3 * pitch:
            continue
        level = [x.middle for x in lines if abs(x.middle - (y0 + y1) / 2) < 0.5 * size]
        y = min(level, key=lambda v: abs(v - (y0 + y1) / 2)) if level else (y0 + y1) / 2
        rows = {round((b[1] + b[3]) / 2 / max(1, 0.2 * pitch)) for b in group}
        sign = "=" if len(rows) == 2 else "_" if (y0 + y1) / 2 > y + 0.2 * size else "-"
        level_ones = len(rows) < 3 and all(b[3] - b[1] <= max(2, 0.36 * pitch) < b[2] - b[0] for b in group)
        strokes.append(sign * max(1, round((x1 - x0) / pitch)) if level_ones else "")
        found.append(Found((x0 + x1) / 2, y, x1 - x0 + pitch, high, 0.0, 1.0))
    pixels = np.asarray(seen.picture)
    out, unread = [], 0
    for box, stroke, said in zip(found, strokes, recognise([cut(pixels, box) for box in found]), strict=True):
        text = stroke or said.text.strip()
        if not text or (not stroke and said.confidence < SURE):
            unread += 1
            continue
        wide = (box.width - pitch) / 2
        place = box.x - wide, box.y - high / 2, box.x + wide, box.y + high / 2
        out.append(TextLine(text, place, size, confidence=1.0 if stroke else said.confidence, fixed=True))
    return out, unread


def _rows(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """The lines in rows from the top, each from the left."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda x: x.middle):
        if rows and abs(line.middle - rows[-1][0].middle) < 0.45 * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda x: x.box[0]) for row in rows]


def _without_numbers(rows: list[list[TextLine]], pitch: float) -> list[list[TextLine]]:
    """The rows without the numbers of their lines, which are no part of the code."""
    found = {k: its for k, row in enumerate(rows) if (its := NUMBER.match(row[0].text))}
    values = [int(its[1]) for its in found.values()]
    rising = sum(a < b for a, b in pairwise(values))
    if len(found) < max(ROWS, 0.4 * len(rows)) or rising < 0.9 * (len(values) - 1):
        return rows
    edge = max(rows[k][0].box[0] + pitch * len(its[1]) for k, its in found.items()) + 0.5 * pitch
    between = [row for k, row in enumerate(rows) if min(found) < k < max(found)]
    if any(x.box[2] > edge and x.box[0] < edge - pitch and not NUMBER.match(x.text) for row in between for x in row):
        return rows
    out = []
    for k, row in enumerate(rows):
        if k not in found:  # such as a title above the code
            out.append([replace(x, box=(max(x.box[0], edge), *x.box[1:])) for x in row])
            continue
        line, said = row[0], row[0].text[found[k].end() :]
        left = max(edge, line.box[2] - pitch * len(unmarked(said)))
        out.append([*([replace(line, text=said, box=(left, *line.box[1:]))] if said else []), *row[1:]])
    return out


def _text(rows: Sequence[Sequence[TextLine]], pitch: float) -> str:
    """The rows as lines of code, with their indents and the blank lines between them."""
    left = min(line.box[0] for row in rows for line in row)
    middles = [row[0].middle for row in rows if row]
    steps = sorted(b - a for a, b in pairwise(middles))
    step = steps[len(steps) // 4] if steps else pitch
    out: list[str] = []
    before = None
    for row in rows:
        if not row:  # a line that is empty but for its number
            out.append("")
            before = None
            continue
        if before is not None:
            out += [""] * min(MOST_BLANK, round((row[0].middle - before) / step) - 1)
        before = row[0].middle
        text = ""
        for line in row:
            said = unmarked(line.text)
            while "( )" in said and len(said) > round((line.box[2] - line.box[0]) / pitch):
                said = said.replace("( )", "()", 1)
            at = round((line.box[0] - left) / pitch)
            at = len(text) + 1 if text and at - len(text) == 2 else at
            text += " " * max(at - len(text), 1 if text else 0) + said
        out.append(text)
    return "\n".join(out).strip("\n")
