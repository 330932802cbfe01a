"""From what the recogniser says of a box of text, and the ink in it, to the pieces of a line: with the spaces that the
picture shows, divided at wide gaps and upright rules, each with the size of its type and the width of its strokes.

Knows no networks, and no page: a line is looked at alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.inline import LOWERED, RAISED, STRUCK, marked
from microfiche.documents.scans.ink import empty_runs
from microfiche.documents.scans.lone_signs import DASHES
from microfiche.documents.scans.lost_signs import FIGURES, levels
from microfiche.documents.scans.recognition import Recognised
from microfiche.documents.scans.struck import struck
from microfiche.documents.text_layer.pieces import GAP
from microfiche.documents.text_lines import WIDE

X_HEIGHT, CAPITAL, IDEOGRAPH = 0.46, 0.7, 0.88  #: heights of letters in ems, in faces for text
LOW, HIGH = frozenset("acemnorsuvwxz"), frozenset("bdfhklgpqy0123456789")
TYPE = 0.72  #: the height of type over that of the box that the detector draws around a line
LEANING = 0.2  #: ems by which a gap may be nearer to two characters that no space parts than to two that one may
SPACE = 0.15  #: ems of paper between two characters that are a space, at least
LIKE_SPACE = 0.68  #: of the median space of the line, that a space has at least, and …
USUAL = 0.24  #: … ems, where the line has no two spaces
NARROWER = 0.85  #: of the narrower spaces of the line, that a space has at least, where it has several
WIDER = 2.2  #: times the median gap between letters, that a space is at least
NEARBY = 1.5  #: times the gaps beside it, but for the widest, that a space is at least
CORE = 0.13  #: of a box's height above and below that may show parts of other lines
RULED = 0.95  #: of a row of a line's box, that is inked, from which a rule runs through it
NARROW, SLIM = frozenset(".:'|1!-/[]{}`\"*"), frozenset("lIij")
APART = 0.25  #: ems of paper between the first character of a line and ink before it that was not read, at least
OPENING, CLOSING = frozenset("([{«“„‘¿¡"), frozenset(")]}»”.,;:!?…%'’\"")


@dataclass(frozen=True)
class Piece:
    """A part of a recognised line that no wide gap divides: its `text`, where it begins and ends across the line's box
    (px), its `size` in px, its strokes' width in ems (0 if unknown), whether its letters are all of one width, its
    `confidence`, and the `gaps` in it that are wider than between words."""

    text: str
    start: float
    stop: float
    size: float
    stroke: float
    fixed: bool
    confidence: float
    gaps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class _Gap:
    """The paper between two characters: from `start` to `stop`, px."""

    start: float = 0.0
    stop: float = 0.0

    @property
    def width(self) -> float:
        return self.stop - self.start


def pieces(line: Recognised, mask: NDArray[np.uint8], parted: Sequence[float] = ()) -> list[Piece]:
    """The pieces of a line that was recognised in a box whose ink is `mask` (H, W), and which upright rules have
    `parted`, px."""
    text = line.text
    signs = [i for i, c in enumerate(text) if not c.isspace()]
    if not signs:
        return []
    height, width = mask.shape
    usual = TYPE * height
    size = float(np.clip(type_size(line, mask) or usual, 0.6 * usual, 1.4 * usual))
    core = mask[int(CORE * height) : max(int(CORE * height) + 1, round((1 - CORE) * height))]
    core = core[core.mean(1) < RULED].max(0, initial=0) > 0
    inked = np.flatnonzero(core)
    if not len(inked):
        return [Piece(text.strip(), 0.0, width, size, 0.0, False, line.confidence)]
    left, right = int(inked[0]), int(inked[-1]) + 1
    places = line.places[signs] * width
    runs = empty_runs(core[left:right]) + left
    left = _first_ink(left, runs, float(places[0]), size)
    gaps = _gaps(text, signs, places, runs, size)
    pitch = _pitch(places, size)
    widths = np.array([gap.width for gap in gaps])
    own = np.diff(signs) > 1
    wide = (widths > np.where(own, 0.45, 0.9) * pitch).tolist()
    spaces = wide if pitch else _spaces(text, signs, own, widths, size)
    stroke = _stroke(mask) / size
    known = levels(line, mask) if not pitch else [0] * len(text)
    shifts = [known[i] for i in signs]
    gone = _whole_words(struck(places, mask, size), np.array([*spaces, True], bool))
    out: list[Piece] = []
    begin, start = 0, float(left)
    ends = [k for k, gap in enumerate(gaps) if gap.width > max(GAP * size, 2.5 * pitch)
            or any(gap.start < wall < gap.stop for wall in parted)]
    for k in [*ends, len(signs) - 1]:
        words = [text[signs[j]] + " " * (j < k and spaces[j]) for j in range(begin, k + 1)]
        said = _said(words, shifts[begin : k + 1], gone[begin : k + 1])
        stop = gaps[k].start if k < len(gaps) else right
        sure = float(line.sure[signs[begin : k + 1]].mean())
        within = tuple((gap.start, gap.stop) for gap in gaps[begin:k] if not pitch and gap.width > WIDE * size)
        out.append(Piece(said, start, stop, size, stroke, pitch > 0, sure, within))
        begin, start = k + 1, gaps[k].stop if k < len(gaps) else right
    return out


def _whole_words(marks: NDArray[np.bool_], ends: NDArray[np.bool_]) -> list[bool]:
    """The marks of characters, each word as most of it; `ends` says which character is the last of its word."""
    out: list[bool] = []
    for word in np.split(marks, np.flatnonzero(ends) + 1):
        out += [bool(2 * word.sum() >= len(word))] * len(word)
    return out


def _said(words: Sequence[str], shifts: Sequence[int], gone: Sequence[bool]) -> str:
    """Characters, with the spaces after them, as one text that marks those that are raised (1) or lowered (-1), and
    those that are struck out."""
    out = ""
    for (shift, crossed), run in groupby(zip(words, shifts, gone, strict=True), key=lambda its: its[1:]):
        part = "".join(word for word, _, _ in run)
        bare = part.rstrip()
        shift = 0 if len(bare) == 1 and bare in FIGURES else shift  # such as ² alone
        said = marked("".join(FIGURES.get(c, c) for c in bare), RAISED if shift > 0 else LOWERED) if shift else bare
        out += (marked(said, STRUCK) if crossed else said) + part[len(bare) :]
    return out


def _first_ink(left: int, runs: NDArray[np.intp], place: float, size: float) -> int:
    """Where the ink of a line's first character begins, whose middle is at `place`: past ink that was not read and
    stands apart from it, as a drawn bullet does; `left` where there is none. `runs` are the gaps in the ink, px."""
    own = [(start, stop) for start, stop in runs.tolist() if stop <= place and stop - start > APART * size]
    return int(own[-1][1]) if own and place - own[-1][1] < size else left


def type_size(line: Recognised, mask: NDArray[np.uint8]) -> float:
    """The height of a line's type (of the em) in px, from those letters whose heights are known; 0 where there are
    none."""
    height, width = mask.shape
    if sum(map(wide_sign, line.text)) > 0.3 * len(line.text):
        rows = np.flatnonzero(mask.sum(1) > 0.02 * width)
        return float(rows[-1] - rows[0] + 1) / IDEOGRAPH if len(rows) else 0.0
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    whole = [s for s in stats[1:].tolist() if s[1] > 0 and s[1] + s[3] < height and s[3] > 0.15 * height]
    left, _, wide, high, _ = np.array(whole, np.int32).reshape(-1, 5).T
    right = left + wide
    places = line.places * width
    ems = []
    for sign, place in zip(line.text, places, strict=True):
        ratio = X_HEIGHT if sign in LOW else CAPITAL if sign in HIGH or sign.isupper() else 0.0
        at = np.flatnonzero((left <= place) & (place < right))
        if ratio and len(at) == 1 and ((places >= left[at[0]]) & (places < right[at[0]])).sum() == 1:
            ems.append(high[at[0]] / ratio)
    return float(np.mean(np.quantile(ems, (0.3, 0.5, 0.7)))) if ems else 0.0


def wide_sign(sign: str) -> bool:
    """Whether a character is as wide as it is high, as in Chinese and Japanese, which are written without spaces."""
    return unicodedata.east_asian_width(sign) in "WF"


def _stroke(mask: NDArray[np.uint8]) -> float:
    """The mean length of the horizontal runs of ink, px."""
    begins = int((np.diff(mask.astype(np.int8), axis=1, prepend=0) == 1).sum())
    return float(mask.sum()) / begins if begins else 0.0


def _gaps(
    text: str, signs: Sequence[int], places: NDArray[np.float32], runs: NDArray[np.intp], size: float
) -> list[_Gap]:
    """The gap after each character that is no space, but for the last.

    A character's place is only right to about half of its width, so a run without ink belongs to that pair of
    characters near it that the recogniser put a space between, or else to one that is near, stands far apart and may
    have a space. A run in which a dash stands, too thin to be ink, is none.
    """
    gaps = [_Gap()] * (len(signs) - 1)
    apart = np.diff(places)
    spaced = np.diff(signs) > 1
    dashes = [place for i, place in zip(signs, places, strict=True) if text[i] in DASHES]
    for start, stop in sorted(runs.tolist(), key=lambda run: run[0] - run[1]):
        k = int(np.searchsorted(places, (start + stop) / 2)) - 1  # between k and k + 1
        near = [j for j in (k - 1, k, k + 1) if 0 <= j < len(apart) and not gaps[j].width
                and places[j] < stop and places[j + 1] > start]
        if not near or any(start + 0.2 * size < place < stop - 0.2 * size for place in dashes):
            continue
        centre = (start + stop) / 2
        best = max(near, key=lambda j: (
            spaced[j], apart[j] - abs(places[j] + places[j + 1] - 2 * centre)
            + LEANING * size * _may_part(text[signs[j]], text[signs[j + 1]])))
        gaps[best] = _Gap(start, stop)
    return gaps


def _may_part(before: str, after: str) -> bool:
    """Whether a space may stand between two characters."""
    return before not in OPENING and after not in CLOSING and not (wide_sign(before) or wide_sign(after))


def _bearing(before: str, after: str) -> float:
    """Ems of paper that stand between two characters for their shapes alone, more than between others."""
    if (before.isdigit() or before in ".,") and after.isdigit():
        return 0.2
    if before in ",;" or after == "(":
        return 0.0
    return 0.06 * ((before in NARROW) + (after in NARROW)) + 0.02 * ((before in SLIM) + (after in SLIM))


def _spaces(
    text: str, signs: Sequence[int], own: NDArray[np.bool_], widths: NDArray[np.float64], size: float
) -> list[bool]:
    """Whether a space follows each character that is no space: the recogniser's own, and where the gap is as wide as a
    space."""
    gaps = widths / size
    words, letters = gaps[own], gaps[~own]
    least = max(
        SPACE,
        WIDER * float(np.median(letters)) if len(letters) else 0.0,
        float(np.median(letters)) + 1.6 / size if len(letters) else 0.0,  # pixels are coarse
        LIKE_SPACE * float(np.median(words)) if len(words) > 1 else USUAL,
        NARROWER * float(np.quantile(words, 0.25)) if len(words) > 3 else 0.0,
    )
    spaces = own.tolist()
    for k in np.flatnonzero(~own & (gaps >= least)).tolist():
        before, after = text[signs[k]], text[signs[k + 1]]
        near = sorted(gaps[j] for j in (k - 2, k - 1, k + 1, k + 2) if 0 <= j < len(gaps) and not own[j])
        beside = NEARBY * near[-2] if len(near) > 1 else 0.0
        spaces[k] = _may_part(before, after) and bool(gaps[k] >= max(beside, least + _bearing(before, after)))
    return spaces


def pitch_of(line: Recognised, mask: NDArray[np.uint8]) -> float:
    """The px from one character of a line to the next where all are of one width; 0 where they are not."""
    signs = [i for i, c in enumerate(line.text) if not c.isspace()]
    usual = TYPE * len(mask)
    size = float(np.clip(type_size(line, mask) or usual, 0.6 * usual, 1.4 * usual))
    return _pitch(line.places[signs] * mask.shape[1], size)


def _pitch(places: NDArray[np.float32], size: float) -> float:
    """The px from one character to the next where all are of one width, as in code; 0 where they are not.

    Told by how well the places of all characters fall into one grid, whatever spaces were not seen.
    """
    if len(places) < 12:
        return 0.0
    pitches = size * np.linspace(0.48, 0.72, 49)
    fit = np.abs(np.exp(2j * np.pi * places[None] / pitches[:, None]).mean(1))  # (49,), 1: all in one grid
    best = int(fit.argmax())
    fits = fit[best] > 0.55 + 2 / len(places) and abs(np.median(np.diff(places)) / pitches[best] - 1) < 0.25
    return float(pitches[best]) if fits else 0.0
