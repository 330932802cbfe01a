"""What layout begins with: the pieces of text on a page, from a PDF's text layer or recognised, and the regions that a
detector found.

Knows nothing of reading order, columns or blocks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from microfiche.documents.boxes import union
from microfiche.documents.document import Kind
from microfiche.documents.sheet import TextLayer
from microfiche.page import Box, Reading

BOLD_WEIGHT = 600
FORCED_BOLD = 1 << 18
GAP = 1.2  #: ems of empty space that divide a line into two pieces
LEADING = 1.2  #: the height of a line's box over that of its type, where a model reads characters with their boxes
LIGATURES = {ord(c): unicodedata.normalize("NFKC", c) for c in "ﬀﬁﬂﬃﬄﬅﬆ"}
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


def lines_of(layer: TextLayer, width: int, height: int) -> list[TextLine]:
    """The upright lines of a text layer that are visible on a page of `width` × `height` px.

    Hyphens that only divide a word stay as U+00AD; ligatures become single letters.
    """
    boxes = layer.boxes
    visible = (
        ~layer.invisible
        & (np.abs(((layer.angles + 180) % 360) - 180) < 20)
        & (boxes[:, 2] > 0) & (boxes[:, 0] < width) & (boxes[:, 3] > 0) & (boxes[:, 1] < height)
    )
    bold = np.array([f.weight >= BOLD_WEIGHT or bool(f.flags & FORCED_BOLD) or "bold" in f.name.lower()
                     for f in layer.fonts] + [False])
    lines: list[TextLine] = []
    piece: list[int] = []

    def close() -> None:
        text = "".join(layer.text[i] for i in piece).translate(LIGATURES).strip()
        drawn = [i for i in piece if not layer.text[i].isspace()]
        if text and drawn:
            box = union(tuple(boxes[i].tolist()) for i in drawn)
            size = float(np.median(layer.sizes[drawn]))
            lines.append(TextLine(text, box, size, bool(bold[layer.font[drawn]].mean() > 0.5)))
        piece.clear()

    last = -1  # the last character of the piece that is no space
    for i, char in enumerate(layer.text):
        if char == "\n":
            close()
            last = -1
        elif char.isspace():
            if piece:
                piece.append(i)
        elif visible[i]:
            if last >= 0 and _apart(boxes[last], boxes[i], float(max(layer.sizes[last], layer.sizes[i]))):
                close()
            piece.append(i)
            last = i
    close()
    return with_markers(lines)


def _apart(a: np.ndarray, b: np.ndarray, size: float) -> bool:
    """Whether characters with the boxes `a` and, after it, `b` belong to different pieces."""
    shared = min(a[3], b[3]) - max(a[1], b[1])
    if shared < 0.3 * min(a[3] - a[1], b[3] - b[1]):
        return True
    return bool(b[0] - a[2] > GAP * size or b[0] < a[0] - GAP * size)


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
