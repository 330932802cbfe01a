"""Where on a page formulas may be: near signs that only mathematics has, and in which column of text.

Most pages have no such sign; then nothing else of this folder runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.formulas.parts import Types
from microfiche.documents.formulas.symbols import BINARY, GREEK, LARGE, RELATIONS, SIGNS, TEXTUAL
from microfiche.documents.text_layer.glyphs import Glyphs
from microfiche.page import Box

ZONE = 2.6  #: ems above and below a sign of mathematics in which its formula stands
BARS_LOOKED_AT = 600  #: level rules of a page, at most
AROUND = 9.0  #: ems above and below a formula in which its column is looked for
SHORT = 4.0  #: ems: a bar of a fraction that may hold nothing but numbers is shorter
RUNNING = 14.0  #: ems: a row that is longer may be one of running text
SEEDS = frozenset({*RELATIONS, *BINARY, *LARGE, *SIGNS, "√"}) - TEXTUAL - frozenset("·…′″°£¥§¶×±÷") | {"="}
DRAWN = frozenset("→⇒−<>|")  #: what a font of mathematics has for formulas rather than for plain text
CALLED = re.compile(r"arc(?:sin|cos|tan)|sinh?|cosh?|tanh?|log|ln|exp|lim|max|min|sup|inf|det")


def seeds(glyphs: Glyphs, types: Types, rules: Sequence[Box]) -> NDArray[np.bool_]:
    """(T,) whether a glyph shows that a formula may be there; `rules` are what is drawn on the page."""
    known: dict[str, int] = {}
    for text in set(glyphs.text):
        accented = len(text) > 1 and unicodedata.combining(text[-1]) > 0
        own = accented or text[0] in SEEDS or "\U0001d400" <= text[0] <= "\U0001d7ff" or (types.apart and text in GREEK)
        known[text] = 2 if own else 0 if text in TEXTUAL and text not in DRAWN else 1
    kinds = np.array([known[text] for text in glyphs.text], np.int8)
    font = glyphs.font
    out = ((kinds == 2) | ((kinds == 1) & types.mathematical[font] & ~types.signs[font])) & ~types.fixed[font]
    if len(out) > 1:  # an index of an italic letter
        size = glyphs.size
        step = np.abs(np.diff(glyphs.y))
        beside = np.abs(glyphs.x[1:] - glyphs.end[:-1]) < 0.35 * size[:-1]
        letters = np.array([text.isalpha() for text in glyphs.text], bool) & types.variables[font]
        digits = np.array([text.isdigit() for text in glyphs.text], bool)
        scripts = (letters[:-1] | (digits[:-1] & letters[1:])) & (size[1:] < 0.88 * size[:-1]) & beside
        scripts &= (step > 0.05 * size[:-1]) & (step < 0.7 * size[:-1])
        out[:-1] |= scripts
        single = "".join(text[0] for text in glyphs.text)
        for found in CALLED.finditer(single):
            around = [i for i in (found.start() - 1, found.end()) if 0 <= i < len(single) and letters[i]]
            out[around] |= not letters[found.start()]
    return out | _over_bars(glyphs, rules)


def near(glyphs: Glyphs, seeds: NDArray[np.bool_]) -> list[int]:
    """The glyphs that stand near seeds, by their heights on the page."""
    heights = np.sort(glyphs.y[seeds])
    place = np.searchsorted(heights, glyphs.y)
    below = heights[np.minimum(place, len(heights) - 1)]
    above = heights[np.maximum(place - 1, 0)]
    level = np.minimum(np.abs(below - glyphs.y), np.abs(above - glyphs.y)) < ZONE * np.maximum(glyphs.size, 8.0)
    return np.flatnonzero(level).tolist()


def _over_bars(glyphs: Glyphs, rules: Sequence[Box]) -> NDArray[np.bool_]:
    """(T,) whether a glyph stands over or under a short level rule that has glyphs on both sides."""
    out = np.zeros(len(glyphs), bool)
    em = float(np.median(glyphs.size)) if len(glyphs) else 0.0
    short = [rule for rule in rules if rule[1] == rule[3] and rule[2] - rule[0] < SHORT * em][:BARS_LOOKED_AT]
    for left, y, right, _ in short:
        reach = 0.2 * em
        own = (glyphs.ink[:, 0] > left - reach) & (glyphs.ink[:, 2] < right + reach)
        over = own & (glyphs.y < y) & (glyphs.y > y - 0.6 * em)
        under = own & (glyphs.y > y) & (glyphs.y < y + 1.2 * em)
        if over.any() and under.any():
            out |= over | under
    return out


def bars(glyphs: Glyphs, seeds: NDArray[np.bool_], rules: Sequence[Box]) -> list[Box]:
    """The level rules near which seeds stand."""
    if not rules:
        return []
    at = np.array(rules, float)
    at = at[at[:, 1] == at[:, 3]][:BARS_LOOKED_AT]
    x, y, em = glyphs.x[seeds], glyphs.y[seeds], 3 * float(np.median(glyphs.size[seeds]))
    near = (
        (x > at[:, 0, None] - 2 * em) & (x < at[:, 2, None] + 2 * em) & (np.abs(y - at[:, 1, None]) < em)
    ).any(axis=1) if len(at) else np.zeros(0, bool)
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in at[near].tolist()]


def column(
    glyphs: Glyphs, own: NDArray[np.bool_], box: Box, size: float
) -> tuple[float, float] | None:
    """The left and the right edge of the running text above and below a box; None where there is none."""
    left, top, right, bottom = box
    window = ~own & (glyphs.y > top - AROUND * size) & (glyphs.y < bottom + AROUND * size)
    window &= (glyphs.y < top + 0.2 * size) | (glyphs.y > bottom)
    at = np.flatnonzero(window)
    if not len(at):
        return None
    row = np.round(glyphs.y[at] / (0.2 * size))
    order = np.lexsort((glyphs.x[at], row))
    at, row = at[order], row[order]
    starts, ends = glyphs.x[at], glyphs.end[at]
    gaps = starts[1:] - ends[:-1]
    cuts = (np.diff(row) != 0) | (gaps > 1.2 * size) | ((gaps > 0.5 * size) & (np.diff(at) != 1))
    first = np.append(0, np.flatnonzero(cuts) + 1)
    last = np.append(first[1:] - 1, len(at) - 1)
    lefts, rights = starts[first], ends[last]
    good = (lefts < right) & (rights > left) & (rights - lefts > RUNNING * size)
    if not good.any():
        return None
    return float(lefts[good].min()), float(rights[good].max())
