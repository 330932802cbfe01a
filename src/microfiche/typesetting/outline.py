"""Outline fonts → proportional characters on a grey page, with a box for every character.

Glyphs are drawn once for each font and size by FreeType (through Pillow) and kept as lists of their inked pixels; a
page is then one gather and one scatter. As on screens, glyphs may be `hinted` and stand at whole pixels; as in a PDF's
pictures, they may keep their shapes and stand at quarters of a pixel. There is no kerning and no shaping, so scripts
that need them are not set (fonts.SETTABLE). Knows nothing of documents.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.ink import Ink

_QUARTERS = 4
_SMALL = 32  #: px an em of faces whose pixels are within ±127 of the pen
_EM = 1024  #: px an em, at which advances are measured that do not depend on hinting
_CLOSING = "，。、；：？！）》」』】〉〕”’…"  # no line begins with one of these
_FIRST_CJK = 0x2E80


class Face:
    """A font file at `size` px an em, hinted or not; its letters stand `ascent` px above and `descent` below a line."""

    def __init__(self, file: Path, size: int, hinted: bool = False) -> None:
        self.size = size
        self._quarters = 1 if hinted else _QUARTERS  # places of a pen within a pixel; glyphs are drawn as much larger
        self._drawn, self._measured = (file, size * self._quarters), (file, size if hinted else _EM)
        ascent, descent = _font(*self._drawn).getmetrics()
        self.ascent, self.descent = -(-ascent // self._quarters), -(-descent // self._quarters)
        self._advance: dict[int, float] = {}
        self._slot: dict[int, int] = {}  # code point · _QUARTERS + quarter → slot
        self._ink = Ink(small=size <= _SMALL)

    def advances(self, points: NDArray[np.uint32]) -> NDArray[np.float64]:
        """(T,) px from each of `points` to the next one's place."""
        unique, places = np.unique(points, return_inverse=True)
        for point in unique.tolist():
            if point not in self._advance:
                font = _font(*self._measured)
                self._advance[point] = font.getlength(chr(point)) * self.size / font.size
        return np.array([self._advance[point] for point in unique.tolist()])[places]

    def draw(
        self, page: NDArray[np.uint8], points: NDArray[np.uint32], x: NDArray[np.float64], y: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Draws characters on a (H, W) uint8 page, each with its pen at `x` (T,) px and its baseline at `y` (T,) px.

        Gives (T, 4) boxes: as wide as the advance, as high as the face, and larger where the ink is. Ink that would
        fall off the page is cut, and so are boxes.
        """
        whole, quarter = np.divmod(np.rint(x * self._quarters).astype(np.int64), self._quarters)
        slots = self._slots(points * np.int64(_QUARTERS) + quarter)
        self._ink.draw(page, slots, whole, y)
        boxes = self._ink.extent[slots].astype(np.int64)
        boxes[:, 1], boxes[:, 3] = np.minimum(boxes[:, 1], -self.ascent), np.maximum(boxes[:, 3], self.descent)
        boxes[:, 0::2] += whole[:, None]
        boxes[:, 0] = np.minimum(boxes[:, 0], whole)
        boxes[:, 2] = np.maximum(boxes[:, 2], np.ceil(x + self.advances(points)).astype(np.int64))
        boxes[:, 1::2] += y[:, None]
        height, width = page.shape
        return boxes.clip(0, [width, height, width, height]).astype(np.int32)

    def _slots(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        unique, places = np.unique(keys, return_inverse=True)
        new: dict[int, list[int]] = {}
        for point, quarter in (divmod(key, _QUARTERS) for key in unique.tolist() if key not in self._slot):
            new.setdefault(point, []).append(quarter)
        if new:
            # Chinese signs are many, and most stand at whole pixels as their advances are whole.
            self._add({p: found if p >= _FIRST_CJK else list(range(self._quarters)) for p, found in new.items()})
        return np.array([self._slot[key] for key in unique.tolist()], np.int64)[places]

    def _add(self, points: dict[int, list[int]]) -> None:
        """Draws the glyphs of `points`, each once and large, and keeps it at the quarters of a pixel it is given."""
        n, font, drawn, slot = self._quarters, _font(*self._drawn), [], len(self._ink)
        for point, quarters in points.items():
            several = len(quarters)
            left, top, beyond, bottom = map(int, font.getbbox(chr(point), anchor="ls"))
            width, height = max(beyond - left, 1), max(bottom - top, 1)
            large = Image.new("L", (width, height))
            ImageDraw.Draw(large).text((-left, -top), chr(point), 255, font, anchor="ls")
            first, above = left // n, top // n
            rows, columns = -(-bottom // n) - above + 1, -(-beyond // n) - first + 1
            shifted = Image.new("L", (columns * n, several * rows * n))
            for i, quarter in enumerate(quarters):
                shifted.paste(large, (left - first * n + quarter, top - above * n + i * rows * n))
                self._slot[point * _QUARTERS + quarter] = slot + i
            pictures = np.asarray(shifted.reduce(n)).reshape(several, rows, columns)
            drawn.append((pictures, first, above))
            slot += several
        self._ink.add(drawn)


@lru_cache(maxsize=128)
def _font(file: Path, em: int) -> ImageFont.FreeTypeFont:
    """FreeType's font, of which few are kept open: one takes up to some MB."""
    return ImageFont.truetype(str(file), em, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def face(file: Path, size: int, hinted: bool = False) -> Face:
    """The face of a font file at `size` px, with the glyphs it has drawn so far."""
    return Face(file, size, hinted)


def break_lines(text: str, advances: NDArray[np.float64], width: float) -> list[tuple[int, int]]:
    """Where lines of `text` at most `width` px wide begin and end: (start, stop) of each, spaces at its ends left
    out. A word that is wider than a line is broken."""
    if not text:
        return []
    points = code_points(text)
    space, cjk = points == 0x20, points >= _FIRST_CJK
    closing = np.isin(points, code_points(_CLOSING))
    may = np.zeros(len(text) + 1, bool)  # may a line begin at i?
    may[1:-1] = (space[:-1] | cjk[1:] | cjk[:-1] | (points[:-1] == ord("-"))) & ~space[1:] & ~closing[1:]
    breaks = np.flatnonzero(may)
    edges = np.concatenate([[0.0], np.cumsum(advances)])
    lines, start = [], 0
    while start < len(text):
        if space[start]:
            start += 1
            continue
        stop = max(int(np.searchsorted(edges, edges[start] + width + 1e-9, "right")) - 1, start + 1)
        if stop < len(text):
            after = stop
            while after < len(text) and space[after]:
                after += 1
            allowed = int(np.searchsorted(breaks, after, "right"))
            last = int(breaks[allowed - 1]) if allowed else 0
            stop = last if last > start else stop
        end = stop
        while space[end - 1]:
            end -= 1
        lines.append((start, end))
        start = stop
    return lines
