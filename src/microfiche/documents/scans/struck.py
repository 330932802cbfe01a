"""Text that is struck out: a level stroke that goes through the middle of letters and is longer than any of theirs.

Looks at one line alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.scans.ink import empty_runs

SOLID = 0.5  #: of a line's box, that is inked where its ground was taken for ink
LONG = 1.3  #: ems that such a stroke is long, at least
AT = 0.1, 0.45  #: ems above the foot of the line, where it lies
FOOT = 0.4  #: of the ink of the fullest row, that the lowest row of letters has, at least
THICK = 0.14  #: ems, and 2 px, that it is high, at most
NEAR = 0.2  #: ems above and below it, where letters are looked for
LETTERS = 0.2, 0.97  #: of its columns, that have ink above it, and below, at least and at most


def struck(places: NDArray[np.float32], mask: NDArray[np.uint8], em: float) -> NDArray[np.bool_]:
    """Which of the characters of a line, whose middles are at `places` (px), are struck out; `mask` (H, W) is the ink
    of its box, and its type is about `em` px high."""
    out = np.zeros(len(places), bool)
    if len(mask) < 8 or mask.mean() > SOLID:
        return out
    band = np.maximum(mask[1:], mask[:-1])  # a stroke that rises or falls by a px goes on
    runs = [(y, start, stop) for y in range(len(mask) // 8, len(mask) - len(mask) // 8)
            for start, stop in empty_runs(band[y - 1] == 0).tolist() if stop - start >= LONG * em]
    if not runs:
        return out
    crossed = mask.copy()
    for y, start, stop in runs:
        crossed[y - 1 : y + 1, start:stop] = 0
    plain = crossed.sum(1)
    if not plain.any():
        return out
    foot = 1 + int(np.flatnonzero(plain >= FOOT * plain.max())[-1])
    thick, near = round(max(2.0, THICK * em)), round(NEAR * em)
    for y, start, stop in runs:
        high = int(sum(1 for row, a, b in runs if abs(row - y) <= 2 * thick and a < stop and start < b)) - 1
        if not foot - AT[1] * em <= y <= foot - AT[0] * em or high > thick + 1:
            continue
        above = mask[max(0, y - thick - near) : max(0, y - thick), start:stop].any(0).mean()
        below = mask[y + thick + 1 : y + thick + 1 + near, start:stop].any(0).mean()
        if all(LETTERS[0] < side < LETTERS[1] for side in (above, below)):
            out |= (places > start) & (places < stop)
    return out
