"""Numbers that count the lines of a listing, which stand so close before their lines that they are pieces of them.

Only parts the two; what becomes of the numbers is the layout's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.text_layer.glyphs import Glyphs
from microfiche.documents.text_layer.pieces import Piece

DIGITS = frozenset("0123456789")
COUNTING = 0.6  #: of the steps from number to number that are 1, at least
LEAST = 3  #: numbers that end at one edge, at least
LONGEST = 4  #: digits of a number
SMALL = 0.87  #: of the type of its line: that of a number which is set in the same font is smaller
GAP = 0.15  #: ems from a number to its line, at least
LEVEL = 0.1  #: ems by which their baselines differ, at most
EDGE = 0.25  #: ems by which the edges of the numbers differ, at most


def numbers_apart(glyphs: Glyphs, pieces: Sequence[Piece], fixed: NDArray[np.bool_]) -> list[Piece]:
    """The pieces, with those cut behind a number in other type than what follows it, where such numbers, and those that
    stand alone, end at one edge and count. `fixed` (T,) are the glyphs in type for code."""
    cuts = {k: cut for k, piece in enumerate(pieces) if (cut := _cut(glyphs, piece, fixed))}
    digits = {k: len(piece) for k, piece in enumerate(pieces) if _digits(glyphs, piece) == len(piece) <= LONGEST}
    numbers = [(k, pieces[k][:count]) for k, count in (cuts | digits).items()]
    if not cuts or len(numbers) < LEAST:
        return list(pieces)
    end, size, base, value = np.array([
        (glyphs.end[its[-1]], glyphs.size[its[0]], glyphs.y[its[0]], int("".join(glyphs.text[i] for i in its)))
        for _, its in numbers
    ]).T
    counted = set()
    for number, (k, _) in enumerate(numbers):
        same = (np.abs(end - end[number]) < EDGE * size) & (np.abs(size - size[number]) < 0.1 * size)
        steps = np.diff(value[same][np.argsort(base[same], kind="stable")])
        if same.sum() >= LEAST and (steps == 1).sum() >= COUNTING * len(steps):
            counted.add(k)
    return [
        part for k, piece in enumerate(pieces)
        for part in ((piece[: cuts[k]], piece[cuts[k] :]) if k in cuts and k in counted else (piece,))
    ]


def _digits(glyphs: Glyphs, piece: Piece) -> int:
    """With how many digits a piece begins."""
    return next((k for k, i in enumerate(piece) if glyphs.text[i] not in DIGITS), len(piece))


def _cut(glyphs: Glyphs, piece: Piece, fixed: NDArray[np.bool_]) -> int:
    """Of how many digits the number is with which a piece begins, in other type than the next sign; 0 for none."""
    digits = _digits(glyphs, piece)
    if not 0 < digits <= LONGEST or digits == len(piece):
        return 0
    last, after = piece[digits - 1], piece[digits]
    em = glyphs.size[after]
    other = (fixed[after] and not fixed[last]) or glyphs.size[last] < SMALL * em
    level = abs(glyphs.y[last] - glyphs.y[after]) < LEVEL * em
    return digits if other and level and glyphs.x[after] - glyphs.end[last] > GAP * em else 0
