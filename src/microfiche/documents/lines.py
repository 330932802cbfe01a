"""Lines: the pieces of text on a page, each with its box, from a PDF's text layer or from OCR alike.

Knows nothing of reading order, columns or blocks.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

import numpy as np

from microfiche.documents.sheet import Box, TextLayer

BOLD_WEIGHT = 600
FORCED_BOLD = 1 << 18
GAP = 1.2  #: ems of empty space that part two pieces of one line
LIGATURES = {ord(c): unicodedata.normalize("NFKC", c) for c in "ﬀﬁﬂﬃﬄﬅﬆ"}
BULLETS = "•◦▪‣●○■□–—*·∙"
MARKER = re.compile(rf"^([{re.escape(BULLETS)}-]|\(?(\d{{1,3}}|[a-z])[.)])(\s+|$)")


@dataclass(frozen=True)
class Line:
    """A piece of text without a wide gap in it. `box` and `size` (the height of its type) are in pixels;
    `confidence` is 1 where the text is known and not recognised."""

    text: str
    box: Box
    size: float
    bold: bool = False
    confidence: float = 1.0

    @property
    def middle(self) -> float:
        """Its vertical middle."""
        return (self.box[1] + self.box[3]) / 2


def union(boxes: list[Box]) -> Box:
    """The smallest box around all of them."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def part(a: Box, b: Box) -> float:
    """The share of box `a` that lies in box `b`."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, across) * max(0.0, down) / max(1.0, (a[2] - a[0]) * (a[3] - a[1]))


def lines_of(layer: TextLayer, width: int, height: int) -> list[Line]:
    """The upright lines of a text layer that can be seen on a page of `width` × `height` px.

    Hyphens that only divide a word stay as U+00AD; ligatures are taken apart.
    """
    boxes = layer.boxes
    seen = (
        ~layer.invisible
        & (np.abs(((layer.angles + 180) % 360) - 180) < 20)
        & (boxes[:, 2] > 0) & (boxes[:, 0] < width) & (boxes[:, 3] > 0) & (boxes[:, 1] < height)
    )
    bold = np.array([f.weight >= BOLD_WEIGHT or bool(f.flags & FORCED_BOLD) or "bold" in f.name.lower()
                     for f in layer.fonts] + [False])
    lines: list[Line] = []
    piece: list[int] = []

    def close() -> None:
        text = "".join(layer.text[i] for i in piece).translate(LIGATURES).strip()
        drawn = [i for i in piece if not layer.text[i].isspace()]
        if text and drawn:
            around = union([tuple(boxes[i].tolist()) for i in drawn])
            size = float(np.median(layer.sizes[drawn]))
            lines.append(Line(text, around, size, bool(bold[layer.font[drawn]].mean() > 0.5)))
        piece.clear()

    last = -1  # the last character of the piece that is no space
    for i, char in enumerate(layer.text):
        if char == "\n":
            close()
            last = -1
        elif char.isspace():
            if piece:
                piece.append(i)
        elif seen[i]:
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


def with_markers(lines: list[Line]) -> list[Line]:
    """The lines, those that are a list's marker alone joined with what stands to their right."""
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
