"""Words as glyphs: HarfBuzz shapes them, FreeType draws each glyph once, and Pillow opens the PNG of coloured ones.

As in Pango, advances are whole pixels, so that a word looks the same wherever it stands. Here a word is in one font;
shaping.py chooses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import freetype
import numpy as np
import uharfbuzz as hb
from numpy.typing import NDArray
from PIL import Image

from microfiche.page import PAPER
from microfiche.typesetting.outline import Inks

_FLAGS = freetype.FT_LOAD_RENDER | freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP  # Cairo's defaults


@dataclass(frozen=True)
class Word:
    """A word, shaped. `glyphs` (G, 3) int64 are the number of the picture, and x and y of the pen in px from the word's
    left end and the baseline. `clusters` (C, 3) int64, in the order of the text, are the first character, left edge and
    advance (px) of each grapheme cluster. `advance` is the word's width in px."""

    glyphs: NDArray[np.int64]
    clusters: NDArray[np.int64]
    advance: int


def joined(words: Sequence[tuple[int, Word]], pens: Sequence[int], advance: int) -> Word:
    """Joins words, each with its first character, into one word; their left ends are at `pens` (px)."""
    if not words:
        return Word(np.empty((0, 3), np.int64), np.empty((0, 3), np.int64), advance)
    glyphs, clusters = [word.glyphs for _, word in words], [word.clusters for _, word in words]
    places = np.array(
        [(start, pen, len(word.glyphs), len(word.clusters)) for (start, word), pen in zip(words, pens, strict=True)]
    )
    all_glyphs, all_clusters = np.concatenate(glyphs), np.concatenate(clusters)
    all_glyphs[:, 1] += places[:, 1].repeat(places[:, 2])
    all_clusters[:, :2] += places[:, :2].repeat(places[:, 3], axis=0)
    return Word(all_glyphs, all_clusters, advance)


class Pictures:
    """The numbered pictures of glyphs of all fonts. With `colour` emoji keep their colours, otherwise they are grey.

    `extent` lists, for each picture, the px from the pen down to its top and to its bottom.
    """

    def __init__(self, colour: bool) -> None:
        self.extent: list[tuple[int, int]] = []
        self._inks, self._colour = Inks(), colour
        self._coloured: dict[int, tuple[NDArray[np.uint8], int, int]] = {}  # (h, w, 3) ink, px down and right

    def draw(self, page: NDArray[np.uint8], glyphs: NDArray[np.int64], baseline: int) -> NDArray[np.uint8]:
        """Draws `glyphs` (G, 3) of a line on a (H, W) uint8 page; returns it or, with `colour`, a (H, W, 3) copy."""
        self._inks.draw(page, glyphs[:, 0], glyphs[:, 1], glyphs[:, 2] + baseline)
        if not self._colour:
            return page
        page = np.repeat(page[:, :, None], 3, axis=2)
        for number, x, y in glyphs[np.isin(glyphs[:, 0], list(self._coloured))].tolist() if self._coloured else []:
            ink, top, left = self._coloured[number]
            top, left = top + y + baseline, left + x
            under = page[max(top, 0) : max(top + len(ink), 0), max(left, 0) : max(left + ink.shape[1], 0)]
            above, before = max(-top, 0), max(-left, 0)
            shown = ink[above : above + len(under), before : before + under.shape[1]]
            np.minimum(under, PAPER - shown, out=under)
        return page

    def keep(self, ink: NDArray[np.uint8], top: int, left: int) -> int:
        """Stores the ink of a picture, (h, w) or in colour (h, w, 3), `top` px below and `left` px right of the pen;
        returns its number."""
        number = len(self._inks)
        self.extent.append((top, top + len(ink)))
        if ink.ndim == 3 and self._colour:
            self._coloured[number] = ink, top, left
            ink = np.zeros((0, 0), np.uint8)
        elif ink.ndim == 3:
            ink = PAPER - np.asarray(Image.fromarray(PAPER - ink).convert("L"))
        down, right = np.nonzero(ink)
        self._inks.add(down + top, right + left, ink[down, right], np.array([len(down)]))
        return number


class Outline:
    """A font file at `size` px an em, which stores its glyphs in `pictures`."""

    def __init__(self, file: Path, size: float, pictures: Pictures) -> None:
        self._pictures = pictures
        self._font = hb.Font(hb_font(file).face)
        self._font.scale = (round(size * 64), round(size * 64))
        self._drawn = freetype.Face(str(file))
        if self._drawn.is_scalable:
            self._drawn.set_char_size(round(size * 64))
        self._slot: dict[int, int] = {}

    def shape(self, text: str, rtl: bool) -> Word:
        """Shapes a text of which the font has all characters; `rtl` if it runs to the left."""
        buffer = hb.Buffer()
        buffer.add_codepoints(list(map(ord, text)))
        buffer.direction, buffer.language = "rtl" if rtl else "ltr", "und"
        buffer.guess_segment_properties()
        hb.shape(self._font, buffer)
        glyphs: list[tuple[int, int, int]] = []
        clusters: list[tuple[int, int, int]] = []
        pen = 0
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            number, first = info.codepoint, info.cluster
            slot = self._glyph(number)
            if slot >= 0:
                glyphs.append((slot, pen + _px(place.x_offset), -_px(place.y_offset)))
            advance = _px(place.x_advance) if number else 0
            if clusters and clusters[-1][0] == first:
                clusters[-1] = first, clusters[-1][1], clusters[-1][2] + advance
            else:
                clusters.append((first, pen, advance))
            pen += advance
        if rtl:
            clusters.reverse()
        return Word(np.array(glyphs, np.int64).reshape(-1, 3), np.array(clusters, np.int64).reshape(-1, 3), pen)

    def _glyph(self, number: int) -> int:
        """The number of a glyph's picture, drawn when it is first needed; -1 if the glyph is empty."""
        if number not in self._slot:
            draw = self._outline if self._drawn.is_scalable else self._picture
            self._slot[number] = draw(number) if number else -1
        return self._slot[number]

    def _outline(self, number: int) -> int:
        self._drawn.load_glyph(number, _FLAGS)
        bitmap, top, left = self._drawn.glyph.bitmap, self._drawn.glyph.bitmap_top, self._drawn.glyph.bitmap_left
        if not bitmap.rows or not bitmap.width:
            return -1
        ink = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
        return self._pictures.keep(ink, -top, left)

    def _picture(self, number: int) -> int:
        """Stores a glyph that is a coloured picture, made small. Pillow opens the PNG, as FreeType's wheel cannot."""
        png, place = self._font.get_glyph_color_png(number).data, self._font.get_glyph_extents(number)
        if not png or place is None:
            return -1
        shape = max(round(place.width / 64), 1), max(round(-place.height / 64), 1)
        with Image.open(BytesIO(png)) as opened:
            large = opened.convert("RGBA")
        white = Image.new("RGBA", large.size, "white")
        small = Image.alpha_composite(white, large).convert("RGB").resize(shape, Image.Resampling.BOX)
        return self._pictures.keep(PAPER - np.asarray(small), -round(place.y_bearing / 64), round(place.x_bearing / 64))


def _px(units: int) -> int:
    return (units + 32) >> 6


@cache
def hb_font(file: Path) -> hb.Font:
    """HarfBuzz's font of a file, which is mapped into memory."""
    return hb.Font(hb.Face(hb.Blob.from_file_path(str(file))))
