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

_LONGEST_KEPT, _MOST_KEPT = 48, 1 << 16  # characters of a word that is kept, and words
_FLAGS = freetype.FT_LOAD_RENDER | freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP  # Cairo's defaults
_SCALES = (1, 7 / 8, 6 / 8, 5 / 8)  # of words that are too tall, the first that fits
_VARIATION = "\ufe0f"  # asks for an emoji's picture
_EMOJI = re.compile(  # characters that are pictures by themselves
    "[⌚⌛⏩-⏬⏰⏳◽◾☔☕♈-♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓-❕❗➕-➗➰➿⬛⬜⭐⭕\U0001f000-\U0001faff]"
)
# A word with the space after it, or one Chinese or Japanese sign: nothing is shaped across their ends.
_CJK = (
    "\u2e80-\u2fff\u3001-\u30ff\u3105-\u312f\u31a0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uffee\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_CJK}][\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]*|[^ {_CJK}]+ ?| ")
_EASTERN = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "IDEOGRAPHIC", "BOPOMOFO", "KANGXI")


@dataclass(frozen=True)
class Word:
    """`glyphs` (G, 3) int64: picture, x and y of the pen, px from the word's left end and the baseline. `clusters`
    (C, 3) int64, in the order of the text: first character, left edge and advance in px of each grapheme cluster."""

    glyphs: NDArray[np.int64]
    clusters: NDArray[np.int64]
    advance: int


class Shaper:
    """Shapes words of a `size` in px an em and draws their glyphs; with `colour` emoji have their colours.

    A word whose ink would reach more than `above` px over the baseline or `below` under it is moved up or down, and
    where it is too tall for both, set smaller.
    """

    def __init__(self, size: float, above: int, below: int, colour: bool = False) -> None:
        self._inks = Inks()
        self._coloured: dict[int, tuple[NDArray[np.uint8], int, int]] = {}  # (h, w, 3) ink, px down and right
        self._sizes, self._above, self._below, self._colour = [size * s for s in _SCALES], above, below, colour
        self._extent: list[tuple[int, int]] = []  # px of each picture's top and bottom below its pen
        self._files = [file for _, file in strip_fonts()]
        self._faces: dict[tuple[int, float], _Face] = {}
        self._face_of: dict[str, int] = {}
        self._kept: tuple[dict[str, Word], dict[str, Word]] = ({}, {})

    def line(self, text: str, rtl: bool, room: float = float("inf"), cell: int = 0) -> Word:
        """A line of text as if it were one word; `rtl` is the paragraph's direction.

        Words that begin more than `room` px after the start of the text are left out. With a `cell` the text is cut
        into pairs of characters, each shaped by itself and beginning at a multiple of so many px.
        """
        if not rtl and (text.isascii() or not bidi.RIGHTWARD.search(text)):
            parts = self._parts(text, 0, len(text), 0, room, cell)
            order: Sequence[int] = range(len(parts))
        else:
            parts, left = [], room
            for start, stop, level in bidi.runs(text, rtl):
                run = self._parts(text, start, stop, level, left, cell)
                parts += run
                left -= sum(advance for *_, advance in run)
            order = bidi.visual([level for _, _, level, _ in parts])
        if len(parts) == 1 and not cell:
            return parts[0][1]
        pens, pen = [0] * len(parts), 0
        for i in order:
            pens[i], pen = pen, pen + parts[i][3]
        line = joined([part[:2] for part in parts], pens, pen)
        if cell and parts:
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
        for size in self._sizes:
            words = [(start, self._face(n, size).shape(text[start:stop], rtl)) for n, start, stop in runs]
            word = words[0][1]
            if len(words) > 1:
                pens, pen = [0] * len(words), 0
                for i in reversed(range(len(words))) if rtl else range(len(words)):
                    pens[i], pen = pen, pen + words[i][1].advance
                word = joined(words, pens, pen)
            extents = [(self._extent[picture], y) for picture, _, y in word.glyphs.tolist()]
            top = min((extent[0] + y for extent, y in extents), default=0)
            bottom = max((extent[1] + y for extent, y in extents), default=0)
            if bottom - top <= self._above + self._below:
                break
        word.glyphs[:, 2] += max(-self._above - top, 0) - max(bottom - self._below, 0)
        return word

    def _face(self, number: int, size: float) -> _Face:
        if (number, size) not in self._faces:
            self._faces[number, size] = _Face(self._files[number], size, self)
        return self._faces[number, size]

    def draw(self, page: NDArray[np.uint8], glyphs: NDArray[np.int64], baseline: int) -> NDArray[np.uint8]:
        """Draws the `glyphs` of a line on a (H, W) uint8 page; gives the page, or with `colour` a (H, W, 3) one."""
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
        """The number that a (h, w) picture, or the ink of a coloured one, has from now on."""
        number = len(self._inks)
        self._extent.append((top, top + len(ink)))
        if ink.ndim == 3 and self._colour:
            self._coloured[number] = ink, top, left
            ink = np.zeros((0, 0), np.uint8)
        elif ink.ndim == 3:
            ink = PAPER - np.asarray(Image.fromarray(PAPER - ink).convert("L"))
        down, right = np.nonzero(ink)
        self._inks.add(down + top, right + left, ink[down, right], np.array([len(down)]))
        return number

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

    def __init__(self, file: Path, size: float, shaper: Shaper) -> None:
        self._shaper = shaper
        self._font = hb.Font(_hb_font(file).face)
        self._font.scale = (round(size * 64), round(size * 64))
        self._drawn = freetype.Face(str(file))
        if self._drawn.is_scalable:
            self._drawn.set_char_size(round(size * 64))
        self._slot: dict[int, int] = {}

    def shape(self, text: str, rtl: bool) -> Word:
        buffer = hb.Buffer()
        buffer.add_codepoints(list(map(ord, text)))
        buffer.direction, buffer.language = "rtl" if rtl else "ltr", "und"
        buffer.guess_segment_properties()
        hb.shape(self._font, buffer)
        glyphs: list[tuple[int, int, int]] = []
        clusters: list[tuple[int, int, int]] = []
        pen, slots = 0, self._slot
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            number, first = info.codepoint, info.cluster
            slot = slots[number] if number in slots else self._glyph(number)
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
        return self._shaper.keep(ink, -top, left)

    def _picture(self, number: int) -> int:
        """A glyph that is a coloured picture, made small: FreeType's wheel does not open PNG, Pillow does."""
        png, place = self._font.get_glyph_color_png(number).data, self._font.get_glyph_extents(number)
        if not png or place is None:
            return -1
        shape = max(round(place.width / 64), 1), max(round(-place.height / 64), 1)
        with Image.open(BytesIO(png)) as opened:
            large = opened.convert("RGBA")
        white = Image.new("RGBA", large.size, "white")
        small = Image.alpha_composite(white, large).convert("RGB").resize(shape, Image.Resampling.BOX)
        return self._shaper.keep(PAPER - np.asarray(small), -round(place.y_bearing / 64), round(place.x_bearing / 64))


def _px(units: int) -> int:
    return (units + 32) >> 6


@cache
def _hb_font(file: Path) -> hb.Font:
    return hb.Font(hb.Face(hb.Blob.from_file_path(str(file))))


def _clusters(text: str) -> list[tuple[int, int]]:
    """(start, stop) of each character with the marks and invisible signs that follow it."""
    starts = [i for i, c in enumerate(text) if i == 0 or unicodedata.category(c) not in ("Mn", "Mc", "Me", "Cf")]
    return list(pairwise([*starts, len(text)]))


def _pairs(text: str, start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Start and text of every two characters, each with its marks."""
    ends = [end for _, end in _clusters(text[start:stop])]
    for first, last in pairwise([0, *ends[1::2], *ends[-1:][: len(ends) % 2]]):
        yield start + first, text[start + first : start + last]


def joined(words: Sequence[tuple[int, Word]], pens: Sequence[int], advance: int) -> Word:
    """Words, with the character each begins at, whose left ends stand at `pens`, as one word."""
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


def _missing(character: str) -> str:
    """What to do about a character that no font draws."""
    code, category = f"U+{ord(character):04X}", unicodedata.category(character)
    if category in ("Co", "Cn"):
        return f"{code} is {'private to some font' if category == 'Co' else 'no character of Unicode'}: take it out"
    name = unicodedata.name(character)
    if name.startswith(_EASTERN):
        package = "fonts-wqy-microhei and fonts-arphic-uming"
    else:
        package = "fonts-noto-color-emoji" if _EMOJI.match(character) else "fonts-noto-core"
    if set(package.split(" and ")) <= {package for package, _ in strip_fonts()}:
        return f"no font of Microfiche's list draws {code} ({name}): take it out or write it otherwise"
    return (
        f"no font that is installed draws {code} ({name}): apt-get install {package.replace(' and', '')}, "
        "or python tools/fetch_fonts.py for all fonts"
    )
