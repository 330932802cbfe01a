"""Outline fonts → proportional characters on a grey page, with a box for every character.

FreeType (through Pillow) draws each glyph once for a font and size; it is kept as a list of its inked pixels, so that
drawing a page is one gather and one scatter. Glyphs are either `hinted` and stand at whole pixels, as on screens, or
keep their shapes and stand at quarters of a pixel, as in pictures of PDF pages. There is no kerning and no shaping:
scripts that need them cannot be set (fonts.SETTABLE). This module knows nothing of documents.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from microfiche.page import PAPER
from microfiche.typesetting.alphabet import code_points

_QUARTERS = 4
_SMALL = 32  #: px an em of faces whose pixels are within ±127 of the pen
_EM = 1024  #: px an em, at which advances are measured that do not depend on hinting
_CLOSING = "，。、；：？！）》」』】〉〕”’…"  # no line begins with one of these
_FIRST_CJK = 0x2E80
T = TypeVar("T", bound=np.generic)


class Inks:
    """Pictures of glyphs, numbered from 0 in slots: of every inked pixel how far it is down and right of the pen, and
    how dark it is.

    `places` is the integer type in which those distances are stored.
    """

    def __init__(self, places: DTypeLike = np.int16) -> None:
        self._first, self._slots = np.zeros(256, np.int64), 0  # pixels of slot s are first[s] … first[s + 1]
        self._down, self._right = np.empty(4096, places), np.empty(4096, places)
        self._ink = np.empty(4096, np.uint8)

    def __len__(self) -> int:
        return self._slots

    def add(
        self, down: NDArray[np.integer], right: NDArray[np.integer], ink: NDArray[np.uint8], counts: NDArray[np.int64]
    ) -> None:
        """Appends pictures, whose pixels come one after another; `counts` says how many pixels each picture has."""
        start, stop = int(self._first[self._slots]), int(self._first[self._slots]) + len(ink)
        if stop > len(self._ink):
            self._down, self._right = _longer(self._down, stop), _longer(self._right, stop)
            self._ink = _longer(self._ink, stop)
        if self._slots + len(counts) >= len(self._first):
            self._first = _longer(self._first, self._slots + len(counts) + 1)
        self._down[start:stop], self._right[start:stop], self._ink[start:stop] = down, right, ink
        self._first[self._slots + 1 : self._slots + len(counts) + 1] = start + np.cumsum(counts)
        self._slots += len(counts)

    def draw(
        self, page: NDArray[np.uint8], slots: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64]
    ) -> None:
        """Draws the pictures of `slots` (G,) on a (H, W) uint8 page with their pens at `x` and `y` (G,) px. Where two
        overlap the darker pixel stays; what lies off the page is cut."""
        first = self._first[slots]
        counts = self._first[slots + 1] - first
        pixel = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        down, right = self._down[pixel] + np.repeat(y, counts), self._right[pixel] + np.repeat(x, counts)
        height, width = page.shape
        inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
        if not inside.all():
            down, right, pixel = down[inside], right[inside], pixel[inside]
        np.minimum.at(page.reshape(-1), down * width + right, PAPER - self._ink[pixel])


def _longer(array: NDArray[T], size: int) -> NDArray[T]:
    """A copy with room for `size` values, at least twice as long as `array`, so that few copies are needed."""
    return np.concatenate([array, np.empty(max(size - len(array), len(array)), array.dtype)])


class Face:
    """A font file at `size` px an em, hinted or not; `ascent` and `descent` are px above and below the baseline."""

    def __init__(self, file: Path, size: int, hinted: bool = False) -> None:
        self.size = size
        self._quarters = 1 if hinted else _QUARTERS  # places of a pen within a pixel; glyphs are drawn that much larger
        self._drawn, self._measured = (file, size * self._quarters), (file, size if hinted else _EM)
        ascent, descent = _font(*self._drawn).getmetrics()
        self.ascent, self.descent = -(-ascent // self._quarters), -(-descent // self._quarters)
        self._advance: dict[int, float] = {}
        self._slot: dict[int, int] = {}  # code point · _QUARTERS + quarter → slot
        self._inks = Inks(np.int8 if size <= _SMALL else np.int16)
        self._extent = np.empty((0, 4), np.int32)  # of the ink, from the whole pixel left of the pen

    def advances(self, points: NDArray[np.uint32]) -> NDArray[np.float64]:
        """(T,) float64 px from the pen of each code point to the pen of the next."""
        unique, places = np.unique(points, return_inverse=True)
        for point in unique.tolist():
            if point not in self._advance:
                font = _font(*self._measured)
                self._advance[point] = font.getlength(chr(point)) * self.size / font.size
        return np.array([self._advance[point] for point in unique.tolist()])[places]

    def draw(
        self, page: NDArray[np.uint8], points: NDArray[np.uint32], x: NDArray[np.float64], y: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Draws code points (T,) on a (H, W) uint8 page, with their pens at `x` (T,) px and baselines at `y` (T,) px.

        Returns (T, 4) int32 boxes, as wide as the advance and as high as the face, or larger where the ink is. Ink and
        boxes are cut at the edges of the page.
        """
        whole, quarter = np.divmod(np.rint(x * self._quarters).astype(np.int64), self._quarters)
        slots = self._slots(points * np.int64(_QUARTERS) + quarter)
        self._inks.draw(page, slots, whole, y)
        height, width = page.shape
        boxes = self._extent[slots].astype(np.int64)
        boxes[:, 0::2] += whole[:, None]
        boxes[:, 0] = np.minimum(boxes[:, 0], whole)
        boxes[:, 2] = np.maximum(boxes[:, 2], np.ceil(x + self.advances(points)).astype(np.int64))
        boxes[:, 1::2] += y[:, None]
        return boxes.clip(0, [width, height, width, height]).astype(np.int32)

    def _slots(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        unique, places = np.unique(keys, return_inverse=True)
        new: dict[int, list[int]] = {}
        for point, quarter in (divmod(key, _QUARTERS) for key in unique.tolist() if key not in self._slot):
            new.setdefault(point, []).append(quarter)
        if new:
            # There are many Chinese signs, and most stand at whole pixels because their advances are whole.
            self._add({p: found if p >= _FIRST_CJK else list(range(self._quarters)) for p, found in new.items()})
        return np.array([self._slot[key] for key in unique.tolist()], np.int64)[places]

    def _add(self, points: dict[int, list[int]]) -> None:
        """Draws the glyph of each code point once and large, and keeps it at the quarters of a pixel that `points`
        lists."""
        n, font = self._quarters, _font(*self._drawn)
        down, right, ink, counts = [], [], [], []
        slot = first_slot = len(self._extent)
        extents = np.zeros((sum(map(len, points.values())), 4), np.int32)
        extents[:, 1], extents[:, 3] = -self.ascent, self.descent
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
            place, y, x = np.nonzero(pictures)
            down.append(y + above)
            right.append(x + first)
            ink.append(pictures[place, y, x])
            counts.append(np.bincount(place, minlength=several))
            if len(place):
                across, along = pictures.max(1) > 0, pictures.max(2) > 0
                box = extents[slot - first_slot : slot - first_slot + several]
                box[:, 0], box[:, 2] = first + across.argmax(1), first + columns - across[:, ::-1].argmax(1)
                box[:, 1] = np.minimum(box[:, 1], above + along.argmax(1))
                box[:, 3] = np.maximum(box[:, 3], above + rows - along[:, ::-1].argmax(1))
            slot += several
        self._inks.add(*map(np.concatenate, (down, right, ink, counts)))
        self._extent = np.concatenate([self._extent, extents])


@lru_cache(maxsize=128)
def _font(file: Path, em: int) -> ImageFont.FreeTypeFont:
    """FreeType's font; few are kept open, because one takes up to some MB."""
    return ImageFont.truetype(str(file), em, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def face(file: Path, size: int, hinted: bool = False) -> Face:
    """The one face of a font file at `size` px, which keeps the glyphs that it has drawn."""
    return Face(file, size, hinted)


def break_lines(text: str, advances: NDArray[np.float64], width: float) -> list[tuple[int, int]]:
    """Breaks `text`, of (T,) px `advances`, into lines of at most `width` px: the (start, stop) of each, without the
    spaces at its ends. A word that is wider than a line is broken."""
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
