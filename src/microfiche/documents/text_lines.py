"""What layout begins with: the pieces of text on a page, from a PDF's text layer or recognised, and the regions that a
detector found.

Knows nothing of reading order, columns or blocks; what a text layer gives is `layer_lines`' business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from microfiche.documents.boxes import union
from microfiche.documents.document import Kind
from microfiche.documents.inline import BREAK
from microfiche.documents.sheet import Field
from microfiche.page import Box, Reading

LEADING = 1.2  #: the height of a line's box over that of its type, where a model reads characters with their boxes
TICKS = ("[x]", "[ ]")  #: what a box to tick says
LABEL = 3.0  #: ems between a field and its label, at most
SOFT = "\u00ad"
BULLETS = "•◦▪‣●○■□–—*·∙"
MARKER = re.compile(rf"^([{re.escape(BULLETS)}-]|\(?(\d{{1,3}}|[a-z])[.)])(\s+|$)")


@dataclass(frozen=True)
class TextLine:
    """A piece of text without a wide gap in it.

    `box` and `size` (the height of its type) are in pixels; `confidence` is 1 where the text is known rather than
    recognised. `text` is in logical order, with the marks of `inline` in it. `fixed` says that all its letters are of
    one width, as those of code are; `engine` read it, where that is not the page's engine.
    """

    text: str
    box: Box
    size: float
    bold: bool = False
    confidence: float = 1.0
    fixed: bool = False
    engine: str | None = None

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
    markers = [m for m in lines if MARKER.fullmatch(m.text) and len(m.text) <= 4]
    rest = [line for line in lines if line not in markers]
    for marker in markers:
        at = [
            k for k, line in enumerate(rest)
            if line.box[1] < marker.middle < line.box[3] and 0 <= line.box[0] - marker.box[2] < 4 * line.size
        ]
        if at:
            k = min(at, key=lambda k: rest[k].box[0])
            line = rest[k]
            rest[k] = replace(line, text=f"{marker.text} {line.text}", box=union([marker.box, line.box]))
        else:
            rest.append(marker)
    return rest


def with_fields(lines: Sequence[TextLine], fields: Sequence[Field]) -> list[TextLine]:
    """The lines, with the value of each field beside its label, also where the page itself does not show it, and each
    box to tick, `[x]` or `[ ]`, before its label."""
    out = list(lines)
    usual = sorted(x.size for x in lines)[len(lines) // 2] if lines else 20.0
    for box, text in fields:
        if text in TICKS:
            out.append(TextLine(text, box, min(usual, box[3] - box[1])))
            continue
        own = [x for x in out if box[0] < (x.box[0] + x.box[2]) / 2 < box[2] and box[1] < x.middle < box[3]]
        parts = [" ".join(part.split()) for part in text.splitlines() if part.strip()]
        size = own[0].size if own else min(usual, 0.8 * (box[3] - box[1]))
        if own and len(parts) < 2:
            value = own[0] if len(own) == 1 else None
        else:
            value = TextLine(BREAK.join(parts), union([x.box for x in own]) if own else box, size)
            out = [*(x for x in out if x not in own), value]
        if value is not None:
            out = _beside_label(out, value, box)
    return _labelled(out)


def _beside_label(lines: list[TextLine], value: TextLine, box: Box) -> list[TextLine]:
    """The lines, with the `value` of the field in `box` joined with its label, which stands close to its left."""
    near = [
        x for x in lines
        if x is not value and -1 <= box[0] - x.box[2] < LABEL * x.size and x.text not in TICKS
        and value.box[1] - x.size < x.middle < value.box[3]
    ]
    if not near:
        return lines
    label = max(near, key=lambda x: x.box[2])
    whole = replace(label, text=f"{label.text.removesuffix(SOFT)} {value.text}", box=union([label.box, value.box]))
    return [whole if x is label else x for x in lines if x is not value]


def _labelled(lines: list[TextLine]) -> list[TextLine]:
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
