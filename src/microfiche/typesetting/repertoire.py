"""What a density can draw: every character with its width in cells and its picture.

The alphabet that the models know comes from the density's atlas; other characters come from more-CELL.npz. A mark is
drawn upon the character before it and has no width. This module knows nothing of lines or pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from unicodedata import combining

import numpy as np
from numpy.typing import NDArray

from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, GLYPH_OF_CODE_POINT, N_HALF, NO_GLYPH, code_points
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, Density

NONE = 255  #: the width of a character that cannot be drawn
#: The opening bracket of a label, such as who speaks, which is drawn white on black. No text has it: Unicode keeps it
#: for use inside of programs.
LABEL = "\ufdd0"
#: A mark that has no character to stand upon has the code point APART + its place among ALL_MARKS, in an area that is
#: for private use, and takes a cell of its own.
APART, _MARKS = 0xE000, 1024
_POINTS = 0x10000  #: code points that can be drawn at all, but for the last, which is no character
UPON_ANOTHER, BESIDE = 1, 2  #: kinds of characters, 0 being all others


@dataclass(frozen=True, eq=False)
class Repertoire:
    """What cells of `height` × `width` px can hold.

    `widths` (65536,) uint8 are the cells that each code point takes, 0 for a mark, or NONE; `known` (65536,) bool says
    which of them models know at this density. `places` (65536,) are the places of the code points in `half` (n, H, W),
    `wide` (m, H, 2·W) or `marks` (k, H, W), whose pictures are uint8 with ink 1.
    """

    height: int
    width: int
    widths: NDArray[np.uint8]
    known: NDArray[np.bool_]
    places: NDArray[np.int32]
    half: NDArray[np.uint8]
    wide: NDArray[np.uint8]
    marks: NDArray[np.uint8]

    def widths_of(self, points: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """(T,) the cells that each of (T,) code points takes, NONE for those that cannot be drawn."""
        return self.widths.take(points, mode="clip")

    def draws(self, points: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """(T,) whether each of (T,) code points of a text can be drawn."""
        drawn: NDArray[np.bool_] = (self.widths_of(points) != NONE) & ~((points >= APART) & (points < APART + _MARKS))
        return drawn

    def known_of(self, points: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """(T,) whether models know each of (T,) code points at this density."""
        return self.known.take(points, mode="clip")

    @lru_cache(4096)  # noqa: B019 -- there are eight repertoires, and each lives as long as the process
    def marked(self, letter: int, marks: tuple[int, ...]) -> NDArray[np.uint8]:
        """(H, W) or (H, 2·W) the picture of a letter with marks upon it, each moved off the letter's ink where the
        cell has room for that."""
        whole = (self.wide if self.widths[letter] == 2 else self.half)[self.places[letter]].copy()
        left = (whole.shape[1] - self.width) // 2
        for mark in marks:
            own = self.marks[self.places[mark]]
            above = combining(chr(mark)) in (214, 216, 228, 230, 232, 234)
            part = whole[:, left : left + self.width]
            moves = [m for m in (0, -1, -2, -3, -4) if above] or [0, 1, 2]
            rows = np.flatnonzero(own.any(1))
            inside = [m for m in moves if len(rows) and rows[0] + m >= 0 and rows[-1] + m < self.height] or [0]
            best = min(inside, key=lambda m: int((np.roll(own, m, 0) & part).sum()))
            part |= np.roll(own, best, 0)
        return whole


@cache
def repertoire(density: Density) -> Repertoire:
    """The repertoire of a density, from the atlases in the package."""
    alphabet = atlas(density)
    widths = np.full(_POINTS, NONE, np.uint8)
    known = np.zeros(_POINTS, bool)
    places = np.zeros(_POINTS, np.int32)
    h, w = density.height, density.width
    glyphs = GLYPH_OF_CODE_POINT.astype(np.int32)
    own = (glyphs != NO_GLYPH) & np.append(alphabet.drawn, False)[np.minimum(glyphs, len(alphabet.drawn))]
    with (files(__package__) / "atlases" / f"more-{w}x{h}.npz").open("rb") as file, np.load(file) as stored:
        more = {name: stored[name] for name in stored.files}
    half, marks = _unpacked(more["half_bits"], h, w), _unpacked(more["marks_bits"], h, w)
    half = np.concatenate([alphabet.cells[:N_HALF], half, marks])
    wide_points, wide = _wide(density, more)
    # The last that is entered counts: at 16x16 and 12x12 all of the alphabet, elsewhere its half-width characters.
    whole = density.wide and not density.read_as
    alone = APART + np.searchsorted(all_marks(), more["marks"])
    for points, width, first in (
        (wide_points, 2, 0), (more["marks"], 0, 0), (more["half"], 1, N_HALF), (alone, 1, len(half) - len(marks)),
    ):  # fmt: skip
        widths[points], places[points] = width, first + np.arange(len(points))
    narrow = np.flatnonzero(own & (glyphs < N_HALF))
    widths[narrow], places[narrow] = 1, glyphs[narrow]
    known[narrow] = True
    if density.wide:
        full = np.flatnonzero(own & (glyphs >= N_HALF))
        full = full if whole else full[widths[full] == 2]
        widths[full], places[full] = 2, (glyphs[full] - N_HALF) // 2
        known[full] = True
    return Repertoire(h, w, widths, known, places, half, wide, marks)


def drawn_at(density: Density, letters: str) -> NDArray[np.bool_]:
    """(T,) which of some letters a density draws in a half-width cell."""
    drawn: NDArray[np.bool_] = repertoire(density).widths_of(code_points(letters)) == 1
    return drawn


@cache
def all_marks() -> NDArray[np.uint16]:
    """(n,) the code points of all marks that can be drawn at some density, in their order."""
    with (files(__package__) / "atlases" / "more-8x16.npz").open("rb") as file, np.load(file) as stored:
        marks: NDArray[np.uint16] = stored["marks"]
    return marks


def _wide(density: Density, more: dict[str, NDArray[np.uint8]]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """The code points of wide characters and their (m, H, 2·W) pictures, those of the alphabet first."""
    h, w = density.height, density.width
    if h < 12:
        return np.empty(0, np.uint16), np.empty((0, h, 2 * w), np.uint8)
    if (w, h) == (7, 13):  # the pictures of 12×12 px, in the middle
        smaller = DENSITIES["6x12"]
        with (files(__package__) / "atlases" / "more-6x12.npz").open("rb") as file, np.load(file) as stored:
            points, pictures = _wide(smaller, {name: stored[name] for name in ("wide", "wide_bits")})
        return points, np.pad(pictures, ((0, 0), (1, 0), (1, 1)))
    alphabet = atlas(DENSITIES["16x16" if h == 16 else "12x12"])
    ids = np.arange(N_HALF, len(alphabet.cells), 2)
    first = np.concatenate([alphabet.cells[ids], alphabet.cells[ids + 1]], axis=2)
    rest = _unpacked(more["wide_bits"], h, 2 * w)
    drawn = np.where(alphabet.drawn[ids], CODE_POINT_OF_GLYPH[ids], 0).astype(np.uint16)
    return np.concatenate([drawn, more["wide"]]), np.concatenate([first, rest])


def _unpacked(bits: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.unpackbits(bits, axis=1)[:, : height * width].reshape(-1, height, width)


@dataclass(frozen=True, eq=False)
class Tables:
    """What is looked up for each character that is set at a density; each table is (65536,), by code point.

    `kinds` uint8 tells marks, which stand UPON_ANOTHER character, and what stands BESIDE the page, because no density
    of the ladder draws it. `levels` uint8 are the first density on the ladder that draws a character, and `widths`
    uint8 its cells at each density of it, where those of the last stand for what a density cannot draw; NONE where
    none can. `known` bool says which characters models know at the density itself, and `simple` bool which of these
    take one cell there.
    """

    kinds: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    widths: tuple[NDArray[np.uint8], ...]
    known: NDArray[np.bool_]
    simple: NDArray[np.bool_]


@cache
def tables(density: Density) -> Tables:
    """The tables of a density and the larger ones on its ladder."""
    every = [repertoire(one) for one in ladder(density)]
    levels = np.full(_POINTS, NONE, np.uint8)
    for level, one in reversed(list(enumerate(every))):
        levels[one.widths != NONE] = level
    kinds = np.where(every[-1].widths == 0, np.uint8(UPON_ANOTHER), np.uint8(0))
    kinds[levels == NONE] = kinds[APART : APART + _MARKS] = BESIDE
    widths = tuple(np.where(one.widths == NONE, every[-1].widths, one.widths) for one in every)
    return Tables(kinds, levels, widths, every[0].known, every[0].known & (widths[0] == 1) & (levels == 0))


@cache
def ladder(density: Density) -> tuple[Density, ...]:
    """The density and, behind it, the larger ones that a line takes if the density cannot draw all of it."""
    larger = [d for d in (DENSITIES["6x12"], DENSITIES["8x16"]) if d.height > density.height or d.width > density.width]
    return density, *(d for d in larger if d.height >= density.height)
