"""Underscores in a line, which a recogniser of text loses, doubles or takes for spaces: how many there are, and where,
is told by the ink below the line's letters.

Looks at one line alone. A stroke that goes on below letters underlines these and is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.scans.ink import empty_runs
from microfiche.documents.scans.line_pieces import X_HEIGHT, pitch_of, type_size
from microfiche.documents.scans.recognition import Recognised

STANDING = frozenset("abcdehiklmnorstuvwxzABCDEFGHIKLMNOPRSTUVWXYZ0123456789")  #: letters without ink below the line
FEW = 2  #: of these that tell where the line's foot is
WIDE = 0.5  #: ems of an underscore in type that is not of one pitch
LEAST = 0.7  #: of its width, that the stroke of an underscore is long, at least
THICK = 0.16  #: ems, and 3 px, that the stroke is high at most
BELOW = -0.02, 0.3  #: ems from the line's foot to the stroke
UNDER = 0.5  #: of its width, that may lie below letters, at most
SPACE = 0.2  #: ems of paper beside an underscore that are a space, at least
REACH = 1.0  #: ems from a stroke to where its underscores were read, at most
MOST = 3  #: underscores in type that is not of one pitch; a longer stroke is a blank
BLANK = 4  #: underscores that say that there is one
LIKE = frozenset("_ ‗")  #: as what underscores are read


def with_underscores(
    line: Recognised, mask: NDArray[np.uint8], faint: NDArray[np.uint8]
) -> tuple[Recognised, NDArray[np.uint8]]:
    """The line with its underscores, and the ink of its box, `mask` (H, W), with those columns as ink at the height of
    letters, so that they count as signs where gaps between signs are looked for; `faint` is all ink there."""
    em = type_size(line, mask)
    foot = _foot(line, mask)
    if not em or not foot:
        return line, mask
    pitch = pitch_of(line, mask)
    strokes = _strokes(faint, foot, em, pitch or WIDE * em)
    if not strokes and "_" not in line.text:
        return line, mask
    mask = mask.copy()
    columns = mask[: round(foot)].max(0) > 0
    read = [k for k, sign in enumerate(line.text) if sign == "_"]
    middles = np.array([(start + stop) / 2 for start, stop in strokes])
    nearest = {k: int(abs(middles - line.places[k] * mask.shape[1]).argmin()) for k in read if strokes}
    for number in range(len(strokes) - 1, -1, -1):  # from the right, so that the numbers of characters stay right
        start, stop = strokes[number]
        mine = [k for k, its in nearest.items() if its == number
                and start - REACH * em < line.places[k] * mask.shape[1] < stop + REACH * em]
        line = _with_stroke(line, columns, start, stop, em, pitch, mine)
        mask[round(foot - 0.4 * X_HEIGHT * em), start:stop] = 1
    return line, mask


def _foot(line: Recognised, mask: NDArray[np.uint8]) -> float:
    """The row below the feet of a line's letters; 0 where too few are known."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    left, top, wide, high, _ = stats[1:].T
    feet = []
    for sign, place in zip(line.text, line.places * mask.shape[1], strict=True):
        at = np.flatnonzero((left <= place) & (place < left + wide) & (high > 0.2 * len(mask)))
        if sign in STANDING and len(at) == 1:
            feet.append(int(top[at[0]] + high[at[0]]))
    return float(np.median(feet)) if len(feet) >= FEW else 0.0


def _strokes(mask: NDArray[np.uint8], foot: float, em: float, wide: float) -> list[tuple[int, int]]:
    """Where underscores begin and end, px: level strokes a little below the foot of letters, with paper above them."""
    top, low = max(0, round(foot + BELOW[0] * em)), min(len(mask), round(foot + BELOW[1] * em) + 1)
    letters = mask[max(0, round(foot - 0.8 * em)) : max(1, round(foot - 1))].max(0) > 0
    found: list[tuple[int, int]] = []
    for y in range(top, low):
        for start, stop in empty_runs(mask[y] == 0).tolist():
            if stop - start < LEAST * wide:
                continue
            free = empty_runs(letters[start:stop]) + start
            if letters[start:stop].sum() > UNDER * wide:
                continue
            first, last = max(free.tolist(), key=lambda run: run[1] - run[0], default=[start, start])
            high = mask[max(0, y - 3 * round(em)) : y + round(em), (first + last) // 2]
            thick = int(high.sum()) <= max(3, THICK * em)
            if last - first >= LEAST * wide and thick and all(last <= a or b <= first for a, b in found):
                found.append((first, last))
    return sorted(found)


def _with_stroke(
    line: Recognised, columns: NDArray[np.bool_], start: int, stop: int, em: float, pitch: float, mine: Sequence[int]
) -> Recognised:
    """The line with the underscores of one stroke, without what was read for them, the characters `mine` among it."""
    width = len(columns)
    count = max(1, round((stop - start) / (pitch or WIDE * em)))
    if not pitch and count > MOST:
        count = BLANK
    places = line.places * width
    before, after = np.flatnonzero(columns[:start]), np.flatnonzero(columns[stop:])
    spaced = [bool(len(side) and gap > (0.75 * pitch or SPACE * em)) for side, gap in (
        (before, start - before[-1] if len(before) else 0), (after, after[0] if len(after) else 0))]
    edge = 0.5 * (pitch or WIDE * em)
    first, last = min(mine, default=len(places)), max(mine, default=-1)
    own = [sign in LIKE and (first <= k <= last or start - edge < place < stop + edge)
           for k, (sign, place) in enumerate(zip(line.text, places, strict=True))]
    first = own.index(True) if any(own) else int(np.searchsorted(places, (start + stop) / 2))
    keep = np.array([not mine for mine in own], bool)
    at = int(keep[:first].sum())
    text = "".join(sign for sign, kept in zip(line.text, keep, strict=True) if kept)
    sure, where = line.sure[keep], line.places[keep]
    said = " " * (spaced[0] and at > 0) + "_" * count + " " * (spaced[1] and at < len(text))
    spots = np.linspace(start, stop, 2 * count + 1)[1::2]
    spots = np.concatenate([[start - 1.0] * (said[0] == " "), spots, [stop + 1.0] * (said[-1] == " ")]) / width
    certain = float(np.mean(sure)) if len(sure) else 1.0
    return replace(
        line, text=text[:at] + said + text[at:],
        sure=np.insert(sure, at, [certain] * len(said)).astype(np.float32),
        places=np.insert(where, at, spots).astype(np.float32).clip(0, 1),
    )

