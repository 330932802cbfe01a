"""What layout begins with: the pieces of text on a page, from a PDF's text layer or recognised, and the regions that a
detector found.

Knows nothing of reading order, columns or blocks; what a text layer gives is `layer_lines`' business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from microfiche.documents.boxes import union
from microfiche.documents.document import Kind
from microfiche.documents.inline import BREAK, FORMULA
from microfiche.documents.sheet import Field
from microfiche.page import Box, Reading

LEADING = 1.2  #: the height of a line's box over that of its type, where a model reads characters with their boxes
WIDE = 0.6  #: ems of a space that is wider than between words, from which on it may lie between two cells
BLANK = "____"  #: what a blank to fill in says
TICKS = ("[x]", "[ ]")  #: what a box to tick says
BOXES = {"☐": "[ ]", "☑": "[x]", "☒": "[x]"}  #: the same of signs of boxes
CELLS = 5.0  #: ems between the cells of a row, at most
LABEL, ABOVE = 3.0, 1.8  #: ems between a field and its label on the left, or above it, at most
NUMBERED = 0.7  #: ems from the number of an item to its text, at most, where it may be that of a formula
SOFT = "\u00ad"
#: Signs that are as wide as they are high.
AROUND = 0.2  #: ems: the empty space at either end of the box that a detector draws around a line
BROAD = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
BULLETS = "•◦▪‣●○■□–—*·∙"
MARKER = re.compile(rf"^([{re.escape(BULLETS)}-]|\(?(\d{{1,3}}|[a-z])[.)])(\s+|$)")


@dataclass(frozen=True)
class TextLine:
    """A piece of text without a wide gap in it.

    `box` and `size` (the height of its type) are in pixels; `confidence` is 1 where the text is known rather than
    recognised. `text` is in logical order, with the marks of `inline` in it. `fixed` says that all its letters are of
    one width, as those of code are; `engine` read it, where that is not the page's engine. `gaps` are the spaces in it
    that are wider than between words, each from left to right in px; `turn` says by how many degrees clockwise it
    stands turned on a page that is upright; `note` is the number of the note in the margin that it belongs to, from 1;
    `begins` says that a paragraph begins with it; `mirrored`, that its box is that on the page's mirror image.
    """

    text: str
    box: Box
    size: float
    bold: bool = False
    confidence: float = 1.0
    fixed: bool = False
    engine: str | None = None
    displayed: bool = False
    gaps: tuple[tuple[float, float], ...] = ()
    turn: int = 0
    note: int = 0
    begins: bool = False
    mirrored: bool = False

    @property
    def middle(self) -> float:
        """Its vertical middle."""
        return (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Region:
    """A part of the page, `box`, in which something of this `kind` stands; `score` says how sure the detector is."""

    kind: Kind
    box: Box
    score: float


def read_by(lines: Sequence[TextLine]) -> str | None:
    """Who read some lines, where that is not the page's engine: "tesseract", or "nano, rapid" for both; or None."""
    return ", ".join(sorted({line.engine for line in lines if line.engine})) or None


def letters(line: TextLine) -> int:
    """How many letters of usual width a line is long."""
    return len(line.text) + len(BROAD.findall(line.text))


def lines_read(reading: Reading) -> list[TextLine]:
    """The lines of a reading that has a box and a confidence for each character.

    The box of a line surrounds those of its characters; the height of its type is that of the box over LEADING, and its
    confidence is the mean of its characters'.
    """
    assert reading.boxes is not None and reading.confidence is not None
    lines: list[TextLine] = []
    start = 0
    for text in reading.text.split("\n"):
        drawn = [start + i for i, character in enumerate(text) if not character.isspace()]
        start += len(text) + 1
        if drawn:
            left, top = reading.boxes[drawn, :2].min(axis=0).tolist()
            right, bottom = reading.boxes[drawn, 2:].max(axis=0).tolist()
            sure = float(reading.confidence[drawn].mean())
            lines.append(
                TextLine(text.strip(), (left, top, right, bottom), (bottom - top) / LEADING, confidence=sure)
            )
    return lines


def with_markers(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, each that is only a list's marker joined with what stands to its right."""
    markers = [m for m in lines if len(m.text) <= 4 and MARKER.fullmatch(m.text)]
    if not markers:
        return list(lines)
    alone = {id(m) for m in markers}
    rest = [line for line in lines if id(line) not in alone]
    left, top, right, bottom, size = np.array([(*x.box, x.size) for x in rest], float).reshape(-1, 5).T
    for marker in markers:
        gap = left - marker.box[2]
        at = np.flatnonzero((top < marker.middle) & (marker.middle < bottom) & (gap >= 0) & (gap < 4 * size))
        dash = marker.text in "-–—*"
        if dash and ((top < marker.middle) & (marker.middle < bottom) & (right < marker.box[0])
                     & (right > marker.box[0] - CELLS * size)).any():
            at = at[:0]  # the sign for none, in a row of cells
        formula = marker.text[1:-1].isdigit() and any(
            FORMULA[0] in rest[k].text
            for k in np.flatnonzero((top < marker.middle) & (marker.middle < bottom) & (right < marker.box[0])).tolist()
        )
        if formula:
            at = at[gap[at] < NUMBERED * marker.size]
        if len(at):
            k = int(at[left[at].argmin()])
            line = rest[k]
            rest[k] = replace(line, text=f"{marker.text} {line.text}", box=union([marker.box, line.box]))
            left[k], top[k], _, bottom[k] = rest[k].box
        else:
            rest.append(marker)
    return rest


def with_fields(lines: Sequence[TextLine], fields: Sequence[Field]) -> list[TextLine]:
    """The lines, with the value of each field beside its label, also where the page itself does not show it, and each
    box to tick, `[x]` or `[ ]`, before its label. A typed note stands for itself."""
    out = list(lines)
    usual = sorted(x.size for x in lines)[len(lines) // 2] if lines else 20.0
    for box, text, typed, above in fields:
        if text in TICKS:
            out.append(TextLine(text, box, min(usual, box[3] - box[1])))
            continue
        own = [x for x in out if box[0] < (x.box[0] + x.box[2]) / 2 < box[2] and box[1] < x.middle < box[3]]
        parts = [" ".join(part.split()) for part in text.splitlines() if part.strip()]
        if typed:
            out.append(TextLine(BREAK.join(parts), box, min(usual, 0.8 * (box[3] - box[1]))))
            continue
        size = own[0].size if own else min(usual, 0.8 * (box[3] - box[1]))
        if own and len(parts) < 2:
            value = own[0] if len(own) == 1 else None
        else:
            value = TextLine(BREAK.join(parts), union([x.box for x in own]) if own else box, size)
            out = [*(x for x in out if x not in own), value]
        if value is not None:
            out = _beside_label(out, value, box, above)
    return labelled(out)


def _beside_label(lines: list[TextLine], value: TextLine, box: Box, above: bool) -> list[TextLine]:
    """The lines, with the `value` of the field in `box` joined with its label, which stands close to its left or, if it
    does so, `above` its beginning."""
    near = [
        x for x in lines
        if x is not value and -1 <= box[0] - x.box[2] < LABEL * x.size and x.text not in TICKS
        and value.box[1] - x.size < x.middle < value.box[3]
    ] if not above else [
        x for x in lines
        if x is not value and abs(x.box[0] - box[0]) < x.size and -x.size < box[1] - x.box[3] < ABOVE * x.size
    ]
    if not near:
        return lines
    label = max(near, key=lambda x: x.box[3] if above else x.box[2])
    whole = replace(label, text=f"{label.text.removesuffix(SOFT)} {value.text}", box=union([label.box, value.box]))
    return [whole if x is label else x for x in lines if x is not value]


def labelled(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, with each box to tick joined with its label: what stands close to its right, or much closer to its
    left."""
    out = [line for line in lines if line.text not in TICKS]
    boxes = [line for line in lines if line.text in TICKS]
    for box in sorted(boxes, key=lambda x: x.box[0], reverse=True):
        level = [x for x in out if x.box[1] < box.middle < x.box[3] and not x.text.startswith(TICKS)]
        right = [(x.box[0] - box.box[2], k) for k, x in enumerate(level)]
        left = [(box.box[0] - x.box[2], k) for k, x in enumerate(level) if not x.text.endswith(TICKS)]
        after, before = (
            min(((gap, k) for gap, k in side if -1 <= gap < LABEL * level[k].size), default=None)
            for side in (right, left)
        )
        if after and (not before or after[0] <= 2 * max(before[0], 0.2 * box.size)):
            label = level[after[1]]
            whole = replace(label, text=f"{box.text} {label.text}", box=union([box.box, label.box]))
        elif before:
            label = level[before[1]]
            whole = replace(label, text=f"{label.text} {box.text}", box=union([box.box, label.box]))
        else:
            out.append(box)
            continue
        out = [whole if x is label else x for x in out]
    return out
