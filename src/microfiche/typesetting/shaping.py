"""Words → glyphs in their places: fonts by coverage, shaping by HarfBuzz, glyphs drawn by FreeType.

As Pango does by default, every glyph stands at a whole pixel, so that a word always looks the same, and is hinted
lightly (in height alone). What is between spaces is shaped by itself and kept. Knows nothing of lines or strips.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import freetype as ft
import numpy as np
import uharfbuzz as hb
from numpy.typing import NDArray
from PIL import Image

from microfiche.page import PAPER
from microfiche.typesetting.coverage import Coverage, Source, clusters
from microfiche.typesetting.ink import Ink

_KEPT, _LONGEST = 1 << 16, 64  # words that are kept, and characters of one
_UNIT = 64  # of FreeType's and HarfBuzz' lengths in a px


@dataclass(frozen=True)
class Word:
    """A piece of text in one direction: G glyphs from left to right, C clusters in the order of the text.

    `slots` (G,) in the shaper's ink, `x` and `y` (G,) px from its own left end and baseline; `starts` (C,) the first
    character and `left` (C,) the px where each cluster begins; `width` px; `above` and `below`: px of ink there.
    `coloured` (G,) is 1 for glyphs whose red, green and blue are the next three slots, else 0.
    """

    slots: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    starts: NDArray[np.int64]
    left: NDArray[np.int64]
    width: int
    above: int
    below: int
    coloured: NDArray[np.int64]

    def fitting(self, width: int, rightward: bool) -> int:
        """How many clusters from the beginning of the text stand within `width` px."""
        ends = np.append(self.left[1:], self.width) if rightward else self.width - self.left
        return int(np.searchsorted(np.maximum.accumulate(ends), width, "right"))


class Shaper:
    """Shapes words at `size` px an em, and keeps words and glyphs; `ink` holds the pictures."""

    def __init__(self, size: float, leading: str = "DejaVu Sans") -> None:
        self.ink = Ink(small=False)
        self._size = size
        self._coverage = Coverage(leading)
        self._words: dict[tuple[str, bool], Word] = {}
        self._fonts: dict[int, _Font] = {}

    def word(self, text: str, leftward: bool = False) -> Word:
        """Shapes a piece of text, not empty, that runs in one direction and was cleaned of controls."""
        key = (text, leftward)
        if (word := self._words.get(key)) is None:
            word = self._shape(text, leftward)
            if len(text) <= _LONGEST:
                if len(self._words) >= _KEPT:
                    self._words.clear()
                self._words[key] = word
        return word

    def _shape(self, text: str, leftward: bool) -> Word:
        pen = 0
        slots: list[int] = []
        x: list[int] = []
        y: list[int] = []
        coloured: list[int] = []
        where: dict[int, int] = {}  # cluster → the px where it begins
        runs = self._runs(text)
        for start, stop, chosen in reversed(runs) if leftward else runs:
            font = self._fonts.get(chosen) or self._fonts.setdefault(
                chosen, _Font(self._coverage.sources[chosen], self._size, self.ink)
            )
            for glyph, cluster, advance, right, up in font.shape(text[start:stop], leftward):
                where[start + cluster] = min(pen, where.get(start + cluster, pen))
                slots.append(font.slot(glyph))
                x.append(pen + right)
                y.append(-up)
                coloured.append(int(font.coloured))
                pen += advance
        starts = sorted(where) or [0]
        left = np.array([where.get(start, 0) for start in starts], np.int64)
        starts[0] = 0
        extent = self.ink.extent[slots] if slots else np.zeros((1, 4), np.int32)
        tops, bottoms = extent[:, 1] + y, extent[:, 3] + y
        return Word(
            np.array(slots, np.int64), np.array(x, np.int64), np.array(y, np.int64), np.array(starts, np.int64), left,
            max(pen, 0), max(-int(tops.min()), 0), max(int(bottoms.max()), 0), np.array(coloured, np.int64),
        )  # fmt: skip

    def _runs(self, text: str) -> list[tuple[int, int, int]]:
        """Pieces of one font: (start, stop, font). What is not drawn goes with what is before it, and so does a space
        unless that is an emoji."""
        if text.isascii():
            return [(0, len(text), 0)]
        starts = clusters(text)
        runs: list[tuple[int, int, int]] = []
        for start, stop in zip(starts, [*starts[1:], len(text)], strict=True):
            cluster = text[start:stop]
            chosen = self._coverage.choose(cluster)
            if cluster == " " and runs and runs[-1][2] != self._coverage.emoji:
                chosen = -1
            if runs and chosen in (-1, runs[-1][2]):
                runs[-1] = (runs[-1][0], stop, runs[-1][2])
            else:
                runs.append((start, stop, max(chosen, 0)))
        return runs


class _Font:
    """One font at one size: HarfBuzz' for places, FreeType's for pictures."""

    def __init__(self, source: Source, size: float, ink: Ink) -> None:
        self._shaped = hb.Font(source.face)
        units = round(size * source.scale * _UNIT)
        self._shaped.scale = (units, units)
        self.coloured = bool(source.face.has_color_png)
        if not self.coloured:
            self._drawn = ft.Face(str(source.file))
            self._drawn.set_char_size(units)
        self._ink = ink
        self._slot: dict[int, int] = {}

    def shape(self, text: str, leftward: bool) -> list[tuple[int, int, int, int, int]]:
        """Glyphs from left to right: (glyph, cluster, advance, px to the right, px up), all whole px."""
        buffer = hb.Buffer()
        buffer.add_codepoints([ord(char) for char in text])
        buffer.language = "und"
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if leftward else "ltr"
        hb.shape(self._shaped, buffer)
        return [
            (info.codepoint, info.cluster, _whole(place.x_advance), _whole(place.x_offset), _whole(place.y_offset))
            for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
        ]

    def slot(self, glyph: int) -> int:
        """Where the picture of a glyph is in the ink; it is drawn when it is first asked for."""
        if (slot := self._slot.get(glyph)) is None:
            slot = self._slot[glyph] = len(self._ink)
            self._ink.add([self._in_colour(glyph) if self.coloured else self._in_black(glyph)])
        return slot

    def _in_black(self, glyph: int) -> tuple[NDArray[np.uint8], int, int]:
        self._drawn.load_glyph(glyph, ft.FT_LOAD_RENDER | ft.FT_LOAD_TARGET_LIGHT)
        bitmap = self._drawn.glyph.bitmap
        rows = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
        return rows[None], self._drawn.glyph.bitmap_left, -self._drawn.glyph.bitmap_top

    def _in_colour(self, glyph: int) -> tuple[NDArray[np.uint8], int, int]:
        """Four pictures: grey as of luminance, and what red, green and blue each take from white paper."""
        blob, extents = self._shaped.get_glyph_color_png(glyph), self._shaped.get_glyph_extents(glyph)
        if not len(blob.data) or extents is None:
            return np.zeros((4, 1, 1), np.uint8), 0, 0
        size = max(_whole(extents.width), 1), max(_whole(-extents.height), 1)
        paper = Image.new("RGBA", (picture := Image.open(BytesIO(blob.data))).size, (PAPER, PAPER, PAPER, PAPER))
        paper.alpha_composite(picture.convert("RGBA"))
        small = np.asarray(paper.convert("RGB").resize(size, Image.Resampling.BOX))
        grey = np.rint(small @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
        pictures = PAPER - np.stack([grey, *np.moveaxis(small, 2, 0)])
        return pictures, _whole(extents.x_bearing), -_whole(extents.y_bearing)


def _whole(length: int) -> int:
    return (length + _UNIT // 2) // _UNIT
