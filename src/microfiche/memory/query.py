"""A query as pictures: each word on a square of its own, on every line of it at another place.

A page's token shows a word in some line and at some place of its square; the query's token shows it in all of them.
"""

from __future__ import annotations

import re

import numpy as np

from microfiche.memory.paper import UNDRAWN
from microfiche.memory.words import COMMON
from microfiche.page import TOKEN_SIDE, Page, Setting
from microfiche.typesetting.alphabet import NO_GLYPH
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import Density
from microfiche.typesetting.typesetter import expand

MOST = 24  #: words of a query that are looked for


def query_words(query: str) -> list[str]:
    """The words of a query that say something, as they are written, each once."""
    found = [word.strip(".,;:!?\"'()[]{}«»“”‘’") for word in re.findall(r"\S+", query)]
    found = list(dict.fromkeys(word for word in found if word))
    return ([word for word in found if word.lower() not in COMMON] or found)[:MOST]


def word_page(word: str, density: Density) -> Page:
    """The square of a word; of a long one each line shows another part."""
    at = atlas(density)
    ids = at.glyphs(word)
    cells = expand(np.where(ids == NO_GLYPH, at.glyphs(UNDRAWN)[0], ids))
    rows, columns = TOKEN_SIDE // density.height, TOKEN_SIDE // density.width
    grid = np.zeros((rows, columns), np.uint16)
    for row in range(rows):
        share = row / max(1, rows - 1)
        if len(cells) <= columns:
            left = round(share * (columns - len(cells)))
            grid[row, left : left + len(cells)] = cells
        else:
            first = round(share * (len(cells) - columns))
            grid[row] = cells[first : first + columns]
    pictures = np.where(at.cells == 1, np.uint8(0), np.uint8(255))
    return Page(draw(grid, pictures, TOKEN_SIDE, TOKEN_SIDE), Setting(density.name))
