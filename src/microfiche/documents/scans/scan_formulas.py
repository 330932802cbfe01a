"""Formulas on a scan, which no network at hand reads: where they stand, told by what no line of text has. Bars with
something over and under them, and signs that are much higher than letters, such as integrals, sums and large brackets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import joined, share, touch, union
from microfiche.documents.inline import unmarked
from microfiche.documents.scans.ink import Ink
from microfiche.documents.text_lines import BROAD, TextLine
from microfiche.page import Box

THIN, LONG = 0.16, (0.35, 14.0)  #: ems that the bar of a fraction is high at most, and wide
NEAR = 0.5  #: ems between a bar and what is over and under it, at most
ASIDE = 0.45  #: ems by which their middles are aside of the bar's, at most
LARGE = (1.25, 9.0)  #: ems that a large sign is high
SLIM = 3.0  #: ems that it is wide, at most
BORDER, FAR = 6.0, 4.0  #: ems that a rule between columns is high, at least; between parts of a formula, at most
SHORT, LIMIT = 10, 0.4  #: characters of a limit above or below a sign, at most, and ems that it stands away
AROUND = 0.2  #: of the height of a line's box, that is empty at its top and its foot
WORDS = re.compile(r"[^\W\d_]{3,}")
PROSE = 4  #: words of a line of running text
SIGNS = re.compile(r"[=≠<>≤≥≈∼≡+±×÷∑∏∫√∂∇∞∈→Α-Ωα-ω−]|\b(?:sin|cos|tan|log|ln|exp|lim|max|min|det)\b")


def formulas_in(
    ink: Ink, lines: Sequence[TextLine], taken: Sequence[Box], rules: Sequence[Box] = ()
) -> tuple[list[Box], int]:
    """The boxes of formulas on rows of their own, on a picture with this ink, that `lines` do not say, and how many
    there are with those in running text; those in boxes that are `taken`, such as figures and tables, are left out, and
    none goes over an upright one of the `rules`, or a gutter."""
    if not lines or not len(ink.pieces):
        return [], 0
    em = float(np.median([line.size for line in lines]))
    # Strokes of Chinese signs, and of letters that stand turned, look like bars.
    taken = [*taken, *(line.box for line in lines if line.turn or 2 * len(BROAD.findall(line.text)) > len(line.text))]
    seeds = [
        box for box in [*_fractions(ink.pieces, em), *_large(ink.pieces, lines, em)]
        if not any(share(box, other) > 0.4 for other in taken)
    ]
    parts = joined(seeds, 0.3 * em)
    borders = [rule for rule in rules if rule[0] == rule[2] and rule[3] - rule[1] > BORDER * em]
    found = joined([zone for seed in parts if (zone := _whole(seed, lines, em, borders))], 0.0)
    return found, len(found) + sum(not any(share(seed, box) > 0.5 for box in found) for seed in parts)


def _fractions(pieces: NDArray[np.int32], em: float) -> list[Box]:
    """The boxes of bars with what stands over and under them."""
    x, y, wide, high, area = pieces.T
    middle = x + wide / 2
    bars = np.flatnonzero((high <= max(3.0, THIN * em)) & (wide > LONG[0] * em) & (wide < LONG[1] * em)
                          & (area > 0.7 * wide * high))
    sign = (high > 0.25 * em) & (high < 4 * em) & (wide < 4 * em)
    out = []
    for k in bars.tolist():
        along = sign & (middle > x[k] - 0.2 * em) & (middle < x[k] + wide[k] + 0.2 * em)
        over = np.flatnonzero(along & (y + high <= y[k] + 2) & (y[k] - y - high < NEAR * em))
        under = np.flatnonzero(along & (y >= y[k] + high[k] - 2) & (y - y[k] - high[k] < NEAR * em))
        if not len(over) or not len(under):
            continue
        spans = [(x[its].min(), (x + wide)[its].max()) for its in (over, under)]
        centred = all(abs(a + b - 2 * middle[k]) / 2 < ASIDE * em for a, b in spans)
        if centred and max(b - a for a, b in spans) > wide[k] - 1.2 * em:
            its = np.concatenate([over, under, [k]])
            out.append((float(x[its].min()), float(y[its].min()), float((x + wide)[its].max()),
                        float((y + high)[its].max())))
    return out


def _large(pieces: NDArray[np.int32], lines: Sequence[TextLine], em: float) -> list[Box]:
    """The boxes of signs much higher than the letters around them, beside which signs of mathematics stand."""
    _, _, wide, high, area = pieces.T
    fits = (high > LARGE[0] * em) & (high < LARGE[1] * em) & (wide < SLIM * em) & (wide < 1.2 * high)
    fits &= area > 0.03 * wide * high
    out = []
    for left, top, w, h in pieces[fits, :4].tolist():
        box = float(left), float(top), float(left + w), float(top + h)
        own = [line for line in lines if share(box, line.box) > 0.6]
        if any(len(line.text) <= 2 and line.size > 0.6 * h for line in own):
            continue  # a large letter that begins a chapter
        beside = [
            line for line in lines if box[1] < line.middle < box[3] and line.box[0] - 6 * em < box[2]
            and box[0] < line.box[2] + 6 * em
        ]
        if any(SIGNS.search(unmarked(line.text)) for line in beside):
            out.append(box)
    return out


def _whole(seed: Box, lines: Sequence[TextLine], em: float, borders: Sequence[Box]) -> Box | None:
    """A formula from a part of it, with the lines that stand beside that, on its own rows and on its side of `borders`;
    None where it stands in running text."""
    middle = (seed[0] + seed[2]) / 2
    across = [rule[0] for rule in borders if rule[1] < seed[3] and seed[1] < rule[3]]
    low = max((x for x in across if x < middle), default=-np.inf)
    high = min((x for x in across if x > middle), default=np.inf)
    lines = [line for line in lines if low < (line.box[0] + line.box[2]) / 2 < high]
    margin = min((line.box[0] for line in lines), default=0.0) + em
    zone = seed
    while True:
        beside = [
            line for line in lines
            if (zone[1] < line.middle < zone[3] and (_is_limit(line) or _gap(line.box, zone) < FAR * em))
            or (_is_limit(line) and touch(line.box, zone, LIMIT * em))
        ]
        prose = [line for line in beside if _is_prose(line, margin)]
        if any(seed[1] < line.middle < seed[3] for line in prose):
            return None
        grown = union([zone, *(_ink_box(line) for line in beside if line not in prose)])
        if grown == zone:
            return zone
        zone = grown


def _gap(a: Box, b: Box) -> float:
    """How far apart two boxes stand from left to right."""
    return max(a[0] - b[2], b[0] - a[2])


def _is_prose(line: TextLine, margin: float) -> bool:
    """Whether a line is running text rather than a part of a formula: it has many words, or begins at the `margin`."""
    text = unmarked(line.text)
    words = len(WORDS.findall(text)) + len(BROAD.findall(text)) // 2
    return words >= PROSE or (words > 0 and line.box[0] < margin and not SIGNS.search(text))


def _is_limit(line: TextLine) -> bool:
    """Whether a line may be a limit that stands above or below a sign: short, and without words."""
    return len(line.text) <= SHORT and not WORDS.search(line.text)


def _ink_box(line: TextLine) -> Box:
    """The box of a line without what the detector draws above and below it."""
    left, top, right, bottom = line.box
    return left, top + AROUND * (bottom - top), right, bottom - AROUND * (bottom - top)
