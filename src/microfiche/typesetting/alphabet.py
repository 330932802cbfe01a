"""The characters that a page of cells can hold, and the number of each.

A page is a grid of half-width cells, and every cell has one *glyph id* (uint16):

    0                      the blank cell, which is the space character
    1, 2                   END (the text ends here) and FILL (the last cell of a line, too narrow for what follows)
    3 … N_HALF-1           half-width characters; line end, tab and other control characters are drawn as marks
    N_HALF + 2k, + 2k + 1  the left and right half of full-width character k

This module knows nothing of fonts or pages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

END, FILL = 1, 2
CONTROLS = "\n\r\t\f"

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_LATIN_1 = "".join(map(chr, range(0xA0, 0x100)))
_TYPOGRAPHIC = "‐‑‒–—―‘’‚‛“”„‟†‡•…‰′″‹›€™ŒœŠšŽžŸƒˆ˜−"


def _gb2312(first_row: int, last_row: int) -> str:
    """The characters of GB 2312 rows `first_row` to `last_row`, in code order."""
    chars = []
    for row in range(first_row, last_row + 1):
        for column in range(1, 95):
            try:
                chars.append(bytes([row + 0xA0, column + 0xA0]).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return "".join(chars)


GREEK_CYRILLIC = _gb2312(6, 7)

#: Half-width characters; `HALF[i]` has glyph id `i`. In the places of END and FILL is U+0000, which no text may have.
HALF = " \0\0" + CONTROLS + _ASCII + _LATIN_1 + _TYPOGRAPHIC + GREEK_CYRILLIC
N_HALF = len(HALF)

#: Full-width characters; `FULL[k]` has glyph ids `N_HALF + 2k` and `N_HALF + 2k + 1`.
FULL = "".join(c for c in _gb2312(1, 9) + "～〜〝〞﹏" + _gb2312(16, 87) if c not in HALF)
FULL = "".join(dict.fromkeys(FULL))
N_FULL = len(FULL)
N_GLYPHS = N_HALF + 2 * N_FULL  #: how many glyph ids the alphabet has


def _glyph_of_code_point() -> NDArray[np.uint16]:
    table = np.full(0x10000, NO_GLYPH, np.uint16)
    for k, char in enumerate(FULL):
        table[ord(char)] = N_HALF + 2 * k
    for i, char in enumerate(HALF):
        if char != "\0":
            table[ord(char)] = i
    return table


def _code_point_of_glyph() -> NDArray[np.uint32]:
    full = np.repeat(np.frombuffer(FULL.encode("utf-32-le"), np.uint32), 2)
    return np.concatenate([np.frombuffer(HALF.encode("utf-32-le"), np.uint32), full])


NO_GLYPH = 0xFFFF
GLYPH_OF_CODE_POINT = _glyph_of_code_point()
CODE_POINT_OF_GLYPH = _code_point_of_glyph()


def code_points(text: str) -> NDArray[np.uint32]:
    """(T,) uint32 code points of `text`; a lone surrogate is kept as it is."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def glyphs(text: str) -> NDArray[np.uint16]:
    """(T,) glyph ids of the characters of `text`: of the left half for a full-width one, NO_GLYPH if there is none."""
    points = code_points(text)
    return np.where(points < 0x10000, GLYPH_OF_CODE_POINT[np.minimum(points, 0xFFFF)], np.uint16(NO_GLYPH))
