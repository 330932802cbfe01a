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

from microfiche.page import PAPER
from microfiche.typesetting.alphabet import code_points

_QUARTERS = 4
_EM = 1024  #: px an em, at which advances are measured that do not depend on hinting
_CLOSING = "，。、；：？！）》」』】〉〕”’…"  # no line begins with one of these
_FIRST_CJK = 0x2E80


class Face:
    """A font file at `size` px an em, hinted or not; its letters stand `ascent` px above and `descent` below a line."""

    def __init__(self, file: Path, size: int, hinted: bool = False) -> None:
        self.size = size
        self._quarters = 1 if hinted else _QUARTERS  # places of a pen within a pixel; glyphs are drawn as much larger
        self._font, self._measured = (
            ImageFont.truetype(str(file), em, layout_engine=ImageFont.Layout.BASIC)
            for em in (size * self._quarters, size if hinted else _EM)
        )
        ascent, descent = self._font.getmetrics()
        self.ascent, self.descent = -(-ascent // self._quarters), -(-descent // self._quarters)
        self._advance: dict[int, float] = {}
        self._slot: dict[int, int] = {}  # code point · _QUARTERS + quarter → slot
        self._first = np.zeros(1, np.int64)  # pixels of slot s are first[s] … first[s + 1]
        self._down, self._right = np.empty(0, np.int16), np.empty(0, np.int16)
        self._ink = np.empty(0, np.uint8)
        self._extent = np.empty((0, 4), np.int32)  # of the ink, from the whole pixel left of the pen

    def advances(self, points: NDArray[np.uint32]) -> NDArray[np.float64]:
        """(T,) px from each of `points` to the next one's place."""
        unique, places = np.unique(points, return_inverse=True)
        for point in unique.tolist():
            if point not in self._advance:
                self._advance[point] = self._measured.getlength(chr(point)) * self.size / self._measured.size
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
        counts = self._first[slots + 1] - self._first[slots]
        pixel = np.arange(counts.sum()) + np.repeat(self._first[slots] - np.cumsum(counts) + counts, counts)
        down, right = self._down[pixel] + np.repeat(y, counts), self._right[pixel] + np.repeat(whole, counts)
        height, width = page.shape
        inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
        if not inside.all():
            down, right, pixel = down[inside], right[inside], pixel[inside]
        np.minimum.at(page.reshape(-1), down * width + right, PAPER - self._ink[pixel])
        boxes = self._extent[slots].astype(np.int64)
        boxes[:, 0::2] += whole[:, None]
        boxes[:, 0] = np.minimum(boxes[:, 0], whole)
        boxes[:, 2] = np.maximum(boxes[:, 2], np.ceil(x + self.advances(points)).astype(np.int64))
        boxes[:, 1::2] += y[:, None]
        return boxes.clip(0, [width, height, width, height]).astype(np.int32)

    def _slots(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        unique, places = np.unique(keys, return_inverse=True)
        new = [key for key in unique.tolist() if key not in self._slot]
        if new:
            self._add(new)
        return np.array([self._slot[key] for key in unique.tolist()], np.int64)[places]

    def _add(self, keys: list[int]) -> None:
        down, right, ink, counts = [self._down], [self._right], [self._ink], []
        extents = np.empty((len(keys), 4), np.int32)
        margin, scale = 2 * self.size, self._quarters
        canvas = Image.new("L", (6 * self.size * scale, 5 * self.size * scale))
        pen = ImageDraw.Draw(canvas)
        for i, key in enumerate(keys):
            canvas.paste(0, (0, 0, *canvas.size))
            point, quarter = divmod(key, _QUARTERS)
            pen.text((margin * scale + quarter, margin * scale), chr(point), 255, self._font, anchor="ls")
            glyph = canvas.reduce(scale)
            picture = np.asarray(glyph)
            y, x = np.nonzero(picture)
            down.append((y - margin).astype(np.int16))
            right.append((x - margin).astype(np.int16))
            ink.append(picture[y, x])
            counts.append(len(y))
            left, top, beyond, bottom = glyph.getbbox() or (margin,) * 4
            extents[i] = left, min(top, margin - self.ascent), beyond, max(bottom, margin + self.descent)
        first = len(self._slot)
        self._slot.update({key: first + i for i, key in enumerate(keys)})
        self._down, self._right, self._ink = np.concatenate(down), np.concatenate(right), np.concatenate(ink)
        self._extent = np.concatenate([self._extent, extents - margin])
        self._first = np.append(self._first, self._first[-1] + np.cumsum(counts))


@lru_cache(maxsize=512)
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
