"""Boxes to tick that a page draws, as small squares, circles or signs, and whether they are ticked.

What lies in a square is looked at in the picture: a cross, a check mark or a smaller square, drawn or set as a letter.
A square that holds another letter is the place of that letter; one that touches others is part of a grid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import area, share, share_of_smaller, union
from microfiche.documents.sheet import Field, Sheet, TextLayer
from microfiche.documents.tables.grid import merged
from microfiche.documents.text_layer.glyphs import median
from microfiche.page import Box

SIDE = 0.45, 1.6  #: ems of the side of a box
OFF = 2.0  #: px by which the sides of a square are off, at most
MOST = 3000  #: short rules of a page that has boxes to tick
SAME = 0.12  #: of their side, by which boxes of one page differ, at most
LABEL = 3.0  #: ems to the label on the right of a box, at most
MARGIN, ROUND = 0.2, 0.28  #: of a square, or of a circle, at each edge that is not looked at
CLOSE = 0.8  #: of its side, from one circle of a rating to the next, at most
MARKED, FULL = 0.05, 0.9  #: the share of ink in a box that is ticked, at least, and in one that is filled up
MARKS = frozenset("xX×✓✔✗✘✕✖☓√•●■▪◼✚+*")
EMPTY, TICKED = frozenset("□❏❐❑❒◻▢"), frozenset("☑☒")  #: signs of boxes; those that are empty mark items, too
TICKS = {True: "[x]", False: "[ ]"}


def tick_boxes(sheet: Sheet) -> list[Field]:
    """The boxes to tick that are drawn on a sheet, each with `[x]` or `[ ]`. Circles are such only where one is ticked
    and another is not: others mark the items of a list."""
    layer = sheet.text
    if layer is None or sheet.picture is None or not len(layer.sizes):
        return []
    shown = layer.seen & ~layer.invisible & np.array([not c.isspace() for c in layer.text], bool)
    if not shown.any():
        return []
    em = median(layer.sizes[shown])
    found = [*_drawn(sheet, layer, shown, em), *_signs(layer, shown, em)]
    return [x for x in found if not any(share_of_smaller(x.box, field.box) > 0.3 for field in sheet.fields)]


def _drawn(sheet: Sheet, layer: TextLayer, shown: NDArray[np.bool_], em: float) -> list[Field]:
    assert sheet.picture is not None
    squares = _squares(sheet.rules, em)
    circles = _circles(sheet.rounds, em)
    if not squares and not circles:
        return []
    grey = np.asarray(sheet.picture.convert("L"))
    rows = _rows(circles)
    out = _ratings(grey, rows)
    rated = {box for row in rows for box in row} if out else set()
    groups = [*_alike(squares), *_alike([box for box in circles if box not in rated])]
    middle = (layer.ink[shown, :2] + layer.ink[shown, 2:]) / 2
    texts = [c for c, mine in zip(layer.text, shown, strict=True) if mine]
    for group in groups:
        held = [[texts[i] for i in np.flatnonzero(_inside(middle, box)).tolist()] for box in group]
        if any(set(signs) - MARKS for signs in held):
            continue
        ink = [_ink(grey, box, ROUND if box in circles else MARGIN) for box in group]
        if all(share >= FULL for share in ink):
            continue  # a key to colours
        if group[0] in circles and all(share >= MARKED for share in ink):
            continue  # bullets
        ticked = [share >= MARKED or bool(signs) for share, signs in zip(ink, held, strict=True)]
        right = [bool((_beside(layer.ink[shown], box, em)).any()) for box in group]
        # Others, as those at the end of a proof, are to be ticked by nobody.
        if any(ticked) or (any(right) and group[0] not in circles):
            out += [Field(box, TICKS[on]) for box, on in zip(group, ticked, strict=True)]
    return out


def _squares(rules: Sequence[Box], em: float) -> list[Box]:
    """The squares that rules draw, none of which goes on beyond its corners."""
    least, most = SIDE[0] * em, SIDE[1] * em
    if not len(rules) >= 4 or sum(least <= r[2] - r[0] + r[3] - r[1] <= most for r in rules) > 4 * MOST:
        return []
    short = [r for r in merged(rules) if least <= r[2] - r[0] + r[3] - r[1] <= most]
    level: dict[int, list[Box]] = defaultdict(list)
    upright: dict[int, list[Box]] = defaultdict(list)
    for rule in short:
        kind = level if rule[1] == rule[3] else upright
        kind[round(rule[0] / OFF)].append(rule)
    out = []
    for rule in (r for its in level.values() for r in its):
        left, top, right, _ = rule
        side = right - left
        feet = [
            r for r in _near(level, left)
            if abs(r[2] - right) <= OFF and abs(r[1] - top - side) <= OFF + 0.1 * side
        ]
        if feet and all(
            any(abs(r[1] - top) <= OFF and abs(r[3] - feet[0][1]) <= OFF for r in _near(upright, x))
            for x in (left, right)
        ):
            out.append((left, top, right, feet[0][1]))
    return out


def _circles(rounds: Sequence[Box], em: float) -> list[Box]:
    """The outermost of the circles that are as large as boxes to tick, each once."""
    out: list[Box] = []
    for box in sorted(rounds, key=area, reverse=True)[:MOST]:
        if SIDE[0] * em <= box[2] - box[0] <= SIDE[1] * em and not any(share(box, other) > 0.5 for other in out):
            out.append(box)
    return out


def _rows(circles: Sequence[Box]) -> list[list[Box]]:
    """The circles of one size that stand close beside each other, three at least, from the left."""
    out: list[list[Box]] = []
    for box in sorted(circles, key=lambda b: (round(b[1] / OFF), b[0])):
        side, last = box[2] - box[0], out[-1][-1] if out else (0.0, 0.0, 0.0, 0.0)
        alike = abs(last[1] - box[1]) <= OFF and abs(last[2] - last[0] - side) < SAME * side
        if alike and 0 <= box[0] - last[2] < CLOSE * side:
            out[-1].append(box)
        else:
            out.append([box])
    return [row for row in out if len(row) >= 3]


def _ratings(grey: NDArray[np.uint8], rows: Sequence[Sequence[Box]]) -> list[Field]:
    """What rows of circles say, of which some are filled, as those behind the skills in a CV: ●●●○○; nothing where all
    of them are alike."""
    said = ["".join("●" if on else "○" for on in _filled(grey, row)) for row in rows]
    if len(set("".join(said))) < 2:
        return []
    return [Field(union(row), text) for row, text in zip(rows, said, strict=True)]


def _filled(grey: NDArray[np.uint8], row: Sequence[Box]) -> list[bool]:
    """Which circles of a row stand out from what they stand on about as much as the one that does most."""
    out = []
    for left, top, right, bottom in row:
        x, y = round((left + right) / 2), round((top + bottom) / 2)
        ground = grey[max(0, round(top) - 2), min(grey.shape[1] - 1, max(0, x))]
        out.append(abs(float(grey[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean()) - float(ground)))
    return [apart > 0.6 * max(out) and apart > 30 for apart in out]


def _alike(boxes: Sequence[Box]) -> list[list[Box]]:
    """The boxes in groups of those of one size."""
    groups: list[list[Box]] = []
    for box in boxes:
        side = box[2] - box[0]
        same = next((g for g in groups if abs(g[0][2] - g[0][0] - side) < SAME * side), None)
        if same is None:
            groups.append([box])
        else:
            same.append(box)
    return groups


def _near(rules: dict[int, list[Box]], x: float) -> list[Box]:
    at = round(x / OFF)
    return [r for k in (at - 1, at, at + 1) for r in rules.get(k, ()) if abs(r[0] - x) <= OFF]


def _inside(middle: NDArray[np.floating], box: Box) -> NDArray[np.bool_]:
    x, y = middle.T
    return np.asarray((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3]))


def _beside(ink: NDArray[np.floating], box: Box, em: float) -> NDArray[np.bool_]:
    """(n,) whether a sign stands close to the right of a box."""
    gap = ink[:, 0] - box[2]
    return np.asarray((gap > -1) & (gap < LABEL * em) & (ink[:, 1] < box[3]) & (box[1] < ink[:, 3]))


def _ink(grey: NDArray[np.uint8], box: Box, margin: float) -> float:
    """The share of a box, but for its `margin`, that is darker than its lightest part."""
    inset = margin * (box[2] - box[0])
    left, top, right, bottom = (round(v) for v in (box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset))
    part = grey[max(0, top) : bottom + 1, max(0, left) : right + 1]
    if not part.size:
        return 0.0
    lightest = int(part.max())
    return 1.0 if lightest < 200 else float((part < lightest - 80).mean())


def _signs(layer: TextLayer, shown: NDArray[np.bool_], em: float) -> list[Field]:
    """The signs of empty boxes over which a mark is set, and those like them on a page where any is ticked; none where
    one stands within a line."""
    at = [i for i in np.flatnonzero(shown).tolist() if layer.text[i] in EMPTY]
    if not at:
        return []
    marks = [i for i in np.flatnonzero(shown).tolist() if layer.text[i] in MARKS]
    middle = (layer.ink[marks, :2] + layer.ink[marks, 2:]) / 2 if marks else np.empty((0, 2))
    boxes = [(float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in layer.ink[at].tolist()]
    ticked = [bool(_inside(middle, box).any()) for box in boxes]
    if not any(ticked) and not any(c in TICKED for c in layer.text):
        return []
    others = layer.ink[shown]
    for left, top, _, bottom in boxes:
        gap = left - others[:, 2]
        if ((gap > -0.3 * em) & (gap < em) & (others[:, 1] < bottom) & (top < others[:, 3])).any():
            return []
    return [Field(box, TICKS[on]) for box, on in zip(boxes, ticked, strict=True)]
