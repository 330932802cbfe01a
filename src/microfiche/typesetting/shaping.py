"""Text → glyphs and where their pens stand: fonts by coverage, HarfBuzz for shapes, FreeType for pictures.

A word is shaped once and kept, and so is the picture of every glyph. As in Pango, advances are whole pixels, so that a
word looks the same wherever it stands. Knows nothing of strips.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import freetype
import numpy as np
import uharfbuzz as hb
from numpy.typing import NDArray
from PIL import Image

from microfiche.errors import InputError
from microfiche.page import PAPER
from microfiche.typesetting import bidi
from microfiche.typesetting.fonts import strip_fonts
from microfiche.typesetting.inks import Inks

_LONGEST_KEPT, _MOST_KEPT = 48, 1 << 15  # characters of a word that is kept, and words
_FLAGS = freetype.FT_LOAD_RENDER | freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP  # Cairo's defaults
_VARIATION = "\ufe0f"  # asks for an emoji's picture
_EMOJI = re.compile(  # characters that are pictures by themselves
    "[⌚⌛⏩-⏬⏰⏳◽◾☔☕♈-♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓-❕❗➕-➗➰➿⬛⬜⭐⭕\U0001f000-\U0001faff]"
)
# A word with the space after it, or one Chinese or Japanese sign: nothing is shaped across their ends.
_CJK = (
    "\u2e80-\u2fff\u3001-\u30ff\u3105-\u312f\u31a0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uffee\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_CJK}][\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]*|[^ {_CJK}]+ ?| ")
_PACKAGES = (("CJK", "fonts-wqy-microhei fonts-arphic-uming"), ("HANGUL", "fonts-wqy-microhei"),
             ("HIRAGANA", "fonts-wqy-microhei"), ("KATAKANA", "fonts-wqy-microhei"))  # fmt: skip


@dataclass(frozen=True)
class Word:
    """`glyphs` (G, 3) int64: picture, x and y of the pen, px from the word's left end and the baseline. `clusters`
    (C, 3) int64, in the order of the text: first character, left edge and advance in px of each grapheme cluster."""

    glyphs: NDArray[np.int64]
    clusters: NDArray[np.int64]
    advance: int


class Shaper:
    """The glyphs of a `size` in px an em, drawn so far into `inks`; coloured ones into `coloured` if `colour`.

    `coloured` has, by number of glyph, (h, w, 3) uint8 ink, and px down and right of the pen.
    """

    def __init__(self, size: float, colour: bool = False) -> None:
        self.size, self.colour = size, colour
        self.inks = Inks()
        self.coloured: dict[int, tuple[NDArray[np.uint8], int, int]] = {}
        self._files = strip_fonts()
        self._faces: dict[int, _Face] = {}
        self._face_of: dict[str, int] = {}
        self._kept: tuple[dict[str, Word], dict[str, Word]] = ({}, {})

    def line(self, text: str, rtl: bool, room: float = float("inf"), cell: int = 0) -> Word:
        """A line of text as if it were one word; `rtl` is the paragraph's direction.

        Words that begin more than `room` px after the start of the text are left out. With a `cell` the text is cut
        into pairs of characters, each shaped by itself and beginning at a multiple of so many px.
        """
        if not rtl and not bidi.RIGHTWARD.search(text):
            parts = self._parts(text, 0, len(text), 0, room, cell)
            order: Sequence[int] = range(len(parts))
        else:
            parts = []
            for start, stop, level in bidi.runs(text, rtl):
                parts += self._parts(text, start, stop, level, room - sum(advance for *_, advance in parts), cell)
            order = bidi.visual([level for _, _, level, _ in parts])
        pens, pen = [0] * len(parts), 0
        for i in order:
            pens[i], pen = pen, pen + parts[i][3]
        line = _joined([part[:2] for part in parts], pens, pen)
        if cell:
            ends = np.cumsum([len(word.clusters) for _, word, _, _ in parts]) - 1
            line.clusters[ends, 2] += [advance - word.advance for _, word, _, advance in parts]
        return line

    def _parts(
        self, text: str, start: int, stop: int, level: int, room: float, cell: int
    ) -> list[tuple[int, Word, int, int]]:
        """First character, word, level and advance of the words, or pairs, of a run."""
        kept, parts = self._kept[level % 2], []
        for at, key in (
            _pairs(text, start, stop) if cell else ((m.start(), m[0]) for m in _WORD.finditer(text, start, stop))
        ):
            if room < 0:
                break
            word = kept.get(key)
            if word is None:
                word = self._shape(key, level % 2 == 1)
                if len(key) <= _LONGEST_KEPT:
                    if len(kept) >= _MOST_KEPT:
                        kept.clear()
                    kept[key] = word
            advance = max(-(-word.advance // cell), 1) * cell if cell else word.advance
            parts.append((at, word, level, advance))
            room -= advance
        return parts

    def _shape(self, text: str, rtl: bool) -> Word:
        runs: list[tuple[int, int, int]] = []  # face, start, stop
        for start, stop in _clusters(text):
            number = self._choose(text[start:stop])
            if runs and runs[-1][0] == number:
                start = runs.pop()[1]
            runs.append((number, start, stop))
        words = [(start, self._face(n).shape(text[start:stop], rtl)) for n, start, stop in runs]
        pens, pen = [0] * len(words), 0
        for i in reversed(range(len(words))) if rtl else range(len(words)):
            pens[i], pen = pen, pen + words[i][1].advance
        return _joined(words, pens, pen)

    def _face(self, number: int) -> _Face:
        if number not in self._faces:
            self._faces[number] = _Face(self._files[number], self.size, self.inks, self.coloured, self.colour)
        return self._faces[number]

    def _choose(self, cluster: str) -> int:
        """The number of the first face that has every character of a cluster, or else its first character."""
        if cluster not in self._face_of:
            order = list(range(len(self._files)))
            if _VARIATION in cluster or _EMOJI.match(cluster):
                order.sort(key=lambda i: "Emoji" not in self._files[i].name)
            wanted = [ord(c) for c in cluster if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= _VARIATION]
            fonts = [_hb_font(self._files[i]) for i in order]
            found = next((i for i, f in zip(order, fonts, strict=True) if all(map(f.get_nominal_glyph, wanted))), None)
            if found is None:
                has = (i for i, f in zip(order, fonts, strict=True) if f.get_nominal_glyph(wanted[0]))
                found = next(has, None)
            if found is None and unicodedata.category(cluster[0]) != "Zs":
                raise InputError(_missing(cluster[0]))
            self._face_of[cluster] = found or 0
        return self._face_of[cluster]


class _Face:
    """A font file at a size."""

    def __init__(
        self,
        file: Path,
        size: float,
        inks: Inks,
        coloured: dict[int, tuple[NDArray[np.uint8], int, int]],
        colour: bool,
    ) -> None:
        self._inks, self._coloured, self._colour, self._size = inks, coloured, colour, size
        self._font = hb.Font(_hb_font(file).face)
        self._font.scale = (round(size * 64), round(size * 64))
        self._drawn = freetype.Face(str(file))
        if self._drawn.is_scalable:
            self._drawn.set_char_size(round(size * 64))
        self._slot: dict[int, int] = {}

    def shape(self, text: str, rtl: bool) -> Word:
        buffer = hb.Buffer()
        buffer.add_codepoints([ord(c) for c in text])
        buffer.direction, buffer.language = "rtl" if rtl else "ltr", "und"
        buffer.guess_segment_properties()
        hb.shape(self._font, buffer)
        glyphs: list[tuple[int, int, int]] = []
        clusters: dict[int, tuple[int, int]] = {}
        pen = 0
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            slot = self._glyph(info.codepoint)
            if slot >= 0:
                glyphs.append((slot, pen + _px(place.x_offset), -_px(place.y_offset)))
            advance = _px(place.x_advance) if info.codepoint else 0
            left, wide = clusters.get(info.cluster, (pen, 0))
            clusters[info.cluster] = (left, wide + advance)
            pen += advance
        ordered = sorted((first, left, wide) for first, (left, wide) in clusters.items())
        return Word(np.array(glyphs, np.int64).reshape(-1, 3), np.array(ordered, np.int64).reshape(-1, 3), pen)

    def _glyph(self, number: int) -> int:
        """The picture of a glyph, drawn when it is first asked for; -1 where nothing is to be seen."""
        if number not in self._slot:
            self._slot[number] = self._draw(number) if number else -1
        return self._slot[number]

    def _draw(self, number: int) -> int:
        if self._drawn.is_scalable:
            return self._outline(number)
        return self._picture(number)

    def _outline(self, number: int) -> int:
        self._drawn.load_glyph(number, _FLAGS)
        bitmap, top, left = self._drawn.glyph.bitmap, self._drawn.glyph.bitmap_top, self._drawn.glyph.bitmap_left
        if not bitmap.rows or not bitmap.width:
            return -1
        ink = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
        return self._keep(ink, -top, left)

    def _picture(self, number: int) -> int:
        """A glyph that is a coloured picture, made small: FreeType's wheel does not open PNG, Pillow does."""
        blob, place = self._font.get_glyph_color_png(number), self._font.get_glyph_extents(number)
        if not blob.data or place is None:
            return -1
        shape = max(round(place.width / 64), 1), max(round(-place.height / 64), 1)
        with Image.open(BytesIO(blob.data)) as opened:
            large = opened.convert("RGBA")
        white = Image.new("RGBA", large.size, "white")
        small = Image.alpha_composite(white, large).convert("RGB").resize(shape, Image.Resampling.BOX)
        top, left = -round(place.y_bearing / 64), round(place.x_bearing / 64)
        if self._colour:
            self._coloured[len(self._inks)] = PAPER - np.asarray(small), top, left
            return self._keep(np.zeros((1, 1), np.uint8), 0, 0)
        return self._keep(PAPER - np.asarray(small.convert("L")), top, left)

    def _keep(self, ink: NDArray[np.uint8], top: int, left: int) -> int:
        down, right = np.nonzero(ink)
        self._inks.add(down + top, right + left, ink[down, right], np.array([len(down)]))
        return len(self._inks) - 1


def _px(units: int) -> int:
    return (units + 32) >> 6


@cache
def _hb_font(file: Path) -> hb.Font:
    return hb.Font(hb.Face(hb.Blob.from_file_path(str(file))))


def _clusters(text: str) -> list[tuple[int, int]]:
    """(start, stop) of each character with the marks and invisible signs that follow it."""
    starts = [i for i, c in enumerate(text) if i == 0 or unicodedata.category(c) not in ("Mn", "Mc", "Me", "Cf")]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _pairs(text: str, start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Start and text of every two characters, each with its marks."""
    ends = [end for _, end in _clusters(text[start:stop])]
    for first, last in pairwise([0, *ends[1::2], *ends[-1:][: len(ends) % 2]]):
        yield start + first, text[start + first : start + last]


def _joined(words: list[tuple[int, Word]], pens: list[int], advance: int) -> Word:
    """Words that begin at characters and pens, as one."""
    if not words:
        return Word(np.empty((0, 3), np.int64), np.empty((0, 3), np.int64), 0)
    glyphs, clusters = [word.glyphs for _, word in words], [word.clusters for _, word in words]
    pens_ = np.array(pens)
    all_glyphs, all_clusters = np.concatenate(glyphs), np.concatenate(clusters)
    all_glyphs[:, 1] += np.repeat(pens_, [len(g) for g in glyphs])
    counts = [len(c) for c in clusters]
    all_clusters[:, 0] += np.repeat(np.array([start for start, _ in words]), counts)
    all_clusters[:, 1] += np.repeat(pens_, counts)
    return Word(all_glyphs, all_clusters, advance)


def _missing(character: str) -> str:
    name = unicodedata.name(character, "a character that Unicode has not named")
    package = "fonts-noto-color-emoji" if _EMOJI.match(character) else "fonts-noto-core"
    package = next((package for start, package in _PACKAGES if name.startswith(start)), package)
    return (
        f"no font that is installed draws U+{ord(character):04X} ({name}): apt-get install {package}, "
        "or python tools/fetch_fonts.py for all fonts"
    )
