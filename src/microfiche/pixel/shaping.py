"""Text → glyphs and the places of their pens: words, which way they run, and the font of each.

Each cluster is drawn in the first font of strip_fonts.toml that has all of its characters; a word is shaped once and
kept. This module knows nothing of strips.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import InputError
from microfiche.pixel import bidi
from microfiche.pixel.glyphs import Outline, Pictures, Word, hb_font, joined
from microfiche.typesetting.fonts import font_file

_LONGEST_KEPT, _MOST_KEPT = 48, 1 << 16  # characters of a word that is kept, and words
_SCALES = (1, 7 / 8, 6 / 8, 5 / 8)  # of words that are too tall, the first that fits
_VARIATION = "\ufe0f"  # asks for an emoji's picture
_EMOJI = re.compile(  # characters that are pictures by themselves
    "[⌚⌛⏩-⏬⏰⏳◽◾☔☕♈-♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓-❕❗➕-➗➰➿⬛⬜⭐⭕\U0001f000-\U0001faff]"
)
# A word with the space after it, or one Chinese or Japanese sign; no shaping goes beyond their ends.
_CJK = (
    "\u2e80-\u2fff\u3001-\u30ff\u3105-\u312f\u31a0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uffee\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_CJK}][\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]*|[^ {_CJK}]+ ?| ")
_EASTERN = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "IDEOGRAPHIC", "BOPOMOFO", "KANGXI")


def _strip_fonts() -> tuple[tuple[str, str], ...]:
    table = tomllib.loads((files(__package__) / "strip_fonts.toml").read_text("utf-8"))
    return tuple(
        (group["package"], group["files"].replace("*", name))
        for group in table["fonts"]
        for name in group.get("names", [""])
    )


#: The fonts of strip_fonts.toml, as (Debian package, path of the file below a folder of fonts).
STRIP_FONTS = _strip_fonts()


def strip_fonts() -> list[tuple[str, Path]]:
    """The (package, path) of those of STRIP_FONTS that are installed, in the same order."""
    found = ((package, font_file(name, package)) for package, name in STRIP_FONTS)
    return [(package, file) for package, file in found if file is not None]


@dataclass(frozen=True)
class Shaped:
    """A text, shaped: `words`, each with its first character, in the order of the text; px of their left ends in
    `pens`; `advance` is the width of all in px."""

    words: list[tuple[int, Word]]
    pens: list[int]
    advance: int

    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(C,) int64 first character of each grapheme cluster, and (C,) int64 px of the text up to its end."""
        firsts, ends, before = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for start, word in self.words:
            within = before + np.cumsum(word.clusters[:, 2])
            before += word.advance
            within[-1:] = before
            firsts.append(start + word.clusters[:, 0])
            ends.append(within)
        return np.concatenate(firsts), np.concatenate(ends)


class Shaper:
    """Shapes text at `size` px an em and keeps the glyphs in `pictures`, in colour or not as there.

    A word whose ink would reach more than `above` px above the baseline or `below` px below it is moved down or up; one
    that is too tall even so is set smaller.
    """

    def __init__(self, size: float, above: int, below: int, colour: bool = False) -> None:
        self.pictures = Pictures(colour)
        self._sizes, self._above, self._below = [size * scale for scale in _SCALES], above, below
        self._files = [file for _, file in strip_fonts()]
        self._faces: dict[tuple[int, float], Outline] = {}
        self._face_of: dict[str, int | None] = {}
        self._kept: tuple[dict[str, Word], dict[str, Word]] = ({}, {})

    def line(self, text: str, rtl: bool, room: float = float("inf")) -> Shaped:
        """Shapes a line of text; `rtl` says whether the paragraph runs to the left.

        Words that begin more than `room` px after the start of the text are left out. Raises InputError for a character
        that no font has.
        """
        levels: list[int] = []
        words: list[tuple[int, Word]] = []
        advances: list[int] = []
        latin = not rtl and (text.isascii() or not bidi.RIGHTWARD.search(text))
        for start, stop, level in [(0, len(text), 0)] if latin else bidi.runs(text, rtl):
            for at, key in _words(text, start, stop):
                if room < 0:
                    break
                word = self._kept[level % 2].get(key) or self._shape(key, level % 2 == 1)
                words.append((at, word))
                advances.append(word.advance)
                levels.append(level)
                room -= word.advance
        pens = list(accumulate(advances, initial=0))
        pen = pens.pop()
        if not latin:
            pen = 0
            for i in bidi.visual(levels):
                pens[i], pen = pen, pen + advances[i]
        return Shaped(words, pens, pen)

    def _shape(self, text: str, rtl: bool) -> Word:
        """Shapes a word, and keeps it unless it is long."""
        runs: list[tuple[int, int, int]] = []  # face, start, stop
        for start, stop in _clusters(text):
            number = self._choose(text[start:stop])
            # If no font has both a character and its marks, each is drawn by itself.
            parts = (
                [(number, start, stop)]
                if number is not None
                else [(self._choose(text[at]) or 0, at, at + 1) for at in range(start, stop)]
            )
            for part in parts:
                if runs and runs[-1][0] == part[0]:
                    runs[-1] = part[0], runs[-1][1], part[2]
                else:
                    runs.append(part)
        for size in self._sizes:
            words = [(start, self._face(n, size).shape(text[start:stop], rtl)) for n, start, stop in runs]
            word = words[0][1]
            if len(words) > 1:
                pens, pen = [0] * len(words), 0
                for i in reversed(range(len(words))) if rtl else range(len(words)):
                    pens[i], pen = pen, pen + words[i][1].advance
                word = joined(words, pens, pen)
            extents = [(self.pictures.extent[picture], y) for picture, _, y in word.glyphs.tolist()]
            top = min((extent[0] + y for extent, y in extents), default=0)
            bottom = max((extent[1] + y for extent, y in extents), default=0)
            if bottom - top <= self._above + self._below:
                break
        word.glyphs[:, 2] += max(-self._above - top, 0) - max(bottom - self._below, 0)
        kept = self._kept[rtl]
        if len(text) <= _LONGEST_KEPT:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            kept[text] = word
        return word

    def _face(self, number: int, size: float) -> Outline:
        if (number, size) not in self._faces:
            self._faces[number, size] = Outline(self._files[number], size, self.pictures)
        return self._faces[number, size]

    def _choose(self, cluster: str) -> int | None:
        """The number of the first face that has every character of a cluster, or None; InputError if the cluster is a
        single character that no face has."""
        if cluster not in self._face_of:
            order = list(range(len(self._files)))
            if _VARIATION in cluster or _EMOJI.match(cluster):
                order.sort(key=lambda i: "Emoji" not in self._files[i].name)
            wanted = [ord(c) for c in cluster if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= _VARIATION]
            has = (i for i in order if all(map(hb_font(self._files[i]).get_nominal_glyph, wanted)))
            found = next(has, None)
            if found is None and len(cluster) == 1:
                if unicodedata.category(cluster) != "Zs":
                    raise InputError(_missing(cluster))
                found = 0  # a space that no font has
            if len(self._face_of) >= _MOST_KEPT:
                self._face_of.clear()
            self._face_of[cluster] = found
        return self._face_of[cluster]


def _clusters(text: str) -> list[tuple[int, int]]:
    """The (start, stop) of each character with the marks and invisible characters that follow it."""
    starts = [i for i, c in enumerate(text) if i == 0 or unicodedata.category(c) not in ("Mn", "Mc", "Me", "Cf")]
    return list(pairwise([*starts, len(text)]))


def _words(text: str, start: int, stop: int) -> Iterator[tuple[int, str]]:
    """The start and text of every word."""
    return ((match.start(), match[0]) for match in _WORD.finditer(text, start, stop))


def _missing(character: str) -> str:
    """What to tell the user about a character that no font draws."""
    code, category = f"U+{ord(character):04X}", unicodedata.category(character)
    if category in ("Co", "Cn"):
        return f"{code} is {'private to some font' if category == 'Co' else 'no character of Unicode'}: remove it"
    name = unicodedata.name(character, "a character without a name")
    if name.startswith(_EASTERN):
        package = "fonts-wqy-microhei and fonts-arphic-uming"
    else:
        package = "fonts-noto-color-emoji" if _EMOJI.match(character) else "fonts-noto-core"
    if set(package.split(" and ")) <= {package for package, _ in strip_fonts()}:
        return f"no font in Microfiche's list draws {code} ({name}): remove it or write it differently"
    return (
        f"no installed font draws {code} ({name}): apt-get install {package.replace(' and', '')}, "
        "or python tools/fetch_fonts.py for all fonts"
    )
