"""Signs that the recogniser does not know, put back where the ink of a line shows them: quotes at the foot of the line,
inverted exclamation marks, and the carons of Czech and Slovak that stand beside their letters; and which of the signs
that were read stand raised or lowered.

Looks at one line alone: what is read, and the ink.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.scans.ink import empty_runs
from microfiche.documents.scans.recognition import Recognised

LOW, HIGH = frozenset("acemnorsuvwxz"), frozenset("bdfhkl")
BEFORE = 2.4  #: heights of an x from the middle of a letter to a sign before it, at most
FEW = 3  #: letters that tell where the lines of a line's type run
CARONS = {"d": "ď", "t": "ť", "l": "ľ", "L": "Ľ"}
DOTTED = frozenset("ijíěůšžčřňäôď")  #: with ink above, which would be taken for the caron of the letter before
APOSTROPHES = "'’‘`´"
RAISED, LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉"  #: figures that are so by nature
FIGURES = {sign: str(k % 10) for k, sign in enumerate(RAISED + LOWERED)}
CLEAR = 8  #: px that letters like x are high where raised signs can be told
TALLER = 1.35  #: heights of an x that capitals and figures are high, at least
SMALLER = 0.57, 0.85  #: of its usual height, that a raised or lowered sign is high
FAR_OFF = 0.4  #: heights of an x, from which on a raised sign may be as large as others, and
BROKEN = (0.35, 1.0), (0.57, 1.0)  #: … a figure broken, and a letter not
CLEARLY = 0.65  #: of its height, that a letter that ends a word is wide, as quotes are not
ALIKE = 1.15  #: heights of an x, below which letters that should be higher were taken for others
OFF, LOW_BY = 0.3, 0.2  #: heights of an x by which the foot of a sign is raised or lowered, at least
MARKS = ",.;*"  #: that stand between the marks of two notes
OPENS = frozenset(" ([{«»-–—“\"'‘")  #: what may stand before a word
NOTE = re.compile(r"(?<=[^\W\d_]{2})ª")  #: the mark of a note, which is no ordinal after a word
SINGLE = re.compile(r"(?<![^\s(\[]),(?=\w[^,]*\w[‘’'])")


@dataclass(frozen=True)
class _Ink:
    """The pieces of ink of a line, (K, 5) as OpenCV gives them, and where its letters like x begin and end (px)."""

    pieces: NDArray[np.int32]
    top: float
    foot: float

    @property
    def high(self) -> float:
        return self.foot - self.top


def with_signs(line: Recognised, mask: NDArray[np.uint8]) -> Recognised:
    """The line with the signs „ ‚ and ¡ before those words where ink stands that was not read; `mask` (H, W) is the ink
    of its box."""
    line = replace(line, text=NOTE.sub("a", SINGLE.sub("‚", line.text)))
    ink = _ink_of(line, mask)
    if ink is None:
        return line
    places = line.places * mask.shape[1]
    for k in range(len(line.text) - 1, -1, -1):
        starts = line.text[k].isalpha() and (k == 0 or line.text[k - 1] in OPENS)
        if starts and (sign := _sign_before(ink, places, k, line.text[k])):
            left = ink.pieces[:, 0].min() if k == 0 else places[k - 1]
            at = (left + places[k]) / 2 / mask.shape[1]
            line = _put(line, k, sign, at)
            places = line.places * mask.shape[1]
    return line


def with_carons(line: Recognised, mask: NDArray[np.uint8]) -> Recognised:
    """The line of a Czech or Slovak text with ď, ť, ľ and Ľ, where an apostrophe was read for their caron, or nothing
    although there is ink; `mask` (H, W) is the ink of its box."""
    ink = _ink_of(line, mask)
    places = line.places * mask.shape[1]
    keep, text = [True] * len(line.text), list(line.text)
    for k, sign in enumerate(line.text):
        after = line.text[k + 1] if k + 1 < len(line.text) else ""
        if sign in CARONS and after and after in APOSTROPHES:
            text[k], keep[k + 1] = CARONS[sign], False
        elif sign in CARONS and after not in DOTTED and ink is not None and _has_caron(ink, places, k):
            text[k] = CARONS[sign]
    at = np.array(keep, bool)
    said = "".join(c for c, kept in zip(text, keep, strict=True) if kept)
    return replace(line, text=said, sure=line.sure[at], places=line.places[at])


def levels(line: Recognised, mask: NDArray[np.uint8]) -> list[int]:
    """For each character of a line whether it stands raised (1) or lowered (-1), as in powers and marks of notes, or
    neither (0); `mask` (H, W) is the ink of its box."""
    out = [(sign in RAISED) - (sign in LOWERED) for sign in line.text]
    ink = _ink_of(line, mask)
    if ink is None or ink.high < CLEAR:
        return [0] * len(out)
    own = _own_pieces(line, mask.shape[1], ink)
    tall = [piece[3] for sign, piece in zip(line.text, own, strict=True) if piece and (sign in HIGH or sign.isupper())]
    usual = float(np.median(tall)) if len(tall) >= FEW else 0.0
    usual = usual if usual > ALIKE * ink.high else TALLER * ink.high
    clearly: set[int] = set()  # those that no letter with a broken foot could be
    for k, (sign, piece) in enumerate(zip(line.text, own, strict=True)):
        known = sign.isdigit() or sign in LOW | HIGH | {"t"} or sign.isupper()
        if piece is None or not known or sign in FIGURES or sign in "QJ":
            continue
        left, top, wide, high, _ = piece
        rise = (ink.foot - top - high) / ink.high  # of its foot
        full = ink.high if sign in LOW else usual
        least, most = SMALLER if rise < FAR_OFF else BROKEN[sign.isalpha()]
        if least * full < high < most * full:
            if rise > OFF and top < ink.foot - 1.1 * ink.high:
                out[k] = int(not _inked(mask, left, wide, top + high + 1, ink.foot))
                if out[k] and sign in LOW and wide > CLEARLY * high and top < ink.top - OFF * ink.high:
                    clearly.add(k)
            elif rise < -LOW_BY and top > ink.top - 0.35 * ink.high:
                out[k] = -int(not _inked(mask, left, wide, ink.foot - TALLER * ink.high, top - 1))
    for first, after in _unknown(line.text, own):  # those whose own ink is not known go with what stands there
        left, right = ((piece or [edge])[0] for piece, edge in (
            (own[first - 1] if first else None, -1), (own[after] if after < len(own) else None, mask.shape[1])))
        here = [p for p in ink.pieces.tolist() if left < p[0] < right and p not in own and p[3] > OFF * ink.high]
        digits = any(map(str.isdigit, line.text[first:after]))
        if digits and here and all(top + high < ink.foot - OFF * ink.high for _, top, _, high, _ in here):
            out[first:after] = [int(sign.isdigit() or sign in MARKS) for sign in line.text[first:after]]
    for k in range(1, len(out) - 1):  # between two marks of notes
        piece = own[k]
        if line.text[k] in MARKS and line.text[k + 1].isdigit() and out[k - 1] > 0:
            out[k] = int(piece is None or piece[1] + piece[3] < ink.foot - OFF * ink.high)
    for k in range(len(out)):  # those that touch go together
        if own[k] is None and line.text[k].isdigit():
            level = k > 0 and line.text[k - 1].isdigit() and own[k - 1] is not None and not out[k - 1]
            out[k] = out[k] or (out[k - 1] if k else 0) or (out[k + 1] if k + 1 < len(out) and not level else 0)
    for k, sign in enumerate(line.text):  # a letter after others, or a capital, is rather one whose foot is broken off
        before = line.text[k - 1] if k else " "
        index = before.isalpha() and not line.text[max(0, k - 2) : k - 1].isalpha()
        ends = k in clearly and not line.text[k + 1 : k + 2].isalpha()
        if sign.isalpha() and not (sign.islower() and (before.isdigit() or (k and out[k - 1]) or index or ends)):
            out[k] = 0
    for k in range(len(out)):  # small type on the line's foot, after a space, is lowered below nothing
        if out[k] < 0 and (k == 0 or line.text[k - 1] == " "):
            stop = next((n for n in range(k, len(out)) if line.text[n] == " "), len(out))
            out[k:stop] = [0] * (stop - k)
    marked = sum(map(abs, out))
    return out if 2 * marked < len(line.text.replace(" ", "")) else [0] * len(out)


def _unknown(text: str, own: Sequence[list[int] | None]) -> list[tuple[int, int]]:
    """The beginning and end of each run of characters, but for spaces, whose own ink is not known."""
    known = [sign.isspace() or piece is not None for sign, piece in zip(text, own, strict=True)]
    return [(int(a), int(b)) for a, b in empty_runs(np.array(known, bool))]


def _inked(mask: NDArray[np.uint8], left: int, wide: int, top: float, foot: float) -> bool:
    """Whether there is ink from `top` to `foot` over or under the middle of a piece: the rest of a broken letter."""
    part = mask[max(0, round(top)) : max(0, round(foot)), left + wide // 5 : left + wide - wide // 5]
    return bool(part.any())


def _own_pieces(line: Recognised, width: int, ink: _Ink) -> list[list[int] | None]:
    """For each character of a line the piece of ink that is it alone, None where that is unknown. Its place is only
    right to about half of its width: where as many pieces lie between two that are known as characters, they are these
    in their order."""
    pieces = [p for p in ink.pieces[np.argsort(ink.pieces[:, 0])].tolist() if p[3] > 0.3 * ink.high]
    places = (line.places * width).tolist()
    signs = [k for k, sign in enumerate(line.text) if not sign.isspace()]
    holding = {
        k: [i for i, (left, _, wide, _, _) in enumerate(pieces) if left <= places[k] < left + wide] for k in signs
    }
    claims = Counter(i for its in holding.values() for i in its)
    known = {k: its[0] for k, its in holding.items() if len(its) == 1 and claims[its[0]] == 1}
    before, run = -1, list[int]()
    for k in [*signs, None]:
        if k is not None and k not in known:
            run.append(k)
            continue
        here = known[k] if k is not None else len(pieces)
        if here - before - 1 == len(run) and all(line.text[j].isalnum() for j in run):
            known |= dict(zip(run, range(before + 1, here), strict=True))
        before, run = here, []
    return [pieces[known[k]] if k in known else None for k in range(len(line.text))]


def _ink_of(line: Recognised, mask: NDArray[np.uint8]) -> _Ink | None:
    """The ink of a line, where enough of its letters stand apart to tell the height of its type."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    pieces = np.asarray(stats[1:], np.int32)
    if not len(pieces):
        return None
    left, top, wide, high, _ = pieces.T
    tops, feet = [], []
    for sign, place in zip(line.text, line.places * mask.shape[1], strict=True):
        at = np.flatnonzero((left <= place) & (place < left + wide) & (high > 0.2 * mask.shape[0]))
        if len(at) == 1 and sign in LOW | HIGH:
            feet.append(top[at[0]] + high[at[0]])
            if sign in LOW:
                tops.append(top[at[0]])
    if len(tops) < FEW:
        return None
    ink = _Ink(pieces, float(np.median(tops)), float(np.median(feet)))
    return ink if ink.high >= 6 else None


def _sign_before(ink: _Ink, places: NDArray[np.float32], k: int, initial: str) -> str:
    """Which sign stands before the word that begins with `initial` as character `k`, or ""."""
    left, top, wide, high, _ = ink.pieces.T
    foot, middle = top + high, left + wide / 2
    before = places[k - 1] if k else -np.inf
    near = (middle > max(before - 0.3 * ink.high, places[k] - BEFORE * ink.high)) & (middle < places[k])
    if k:
        near &= ~((places >= left[:, None]) & (places < (left + wide)[:, None])).any(1)  # what was read
    low = near & (top > ink.foot - 0.45 * ink.high) & (foot > ink.foot) & (high > 0.3 * ink.high)
    if low.sum() == 2 and np.ptp(top[low]) < 0.2 * ink.high and np.ptp(middle[low]) < 0.7 * ink.high:
        return "„" if max(high[low]) < 1.5 * min(high[low]) else ""
    thin = near & (wide < 0.6 * ink.high)
    dots = thin & (foot < ink.foot - 0.4 * ink.high) & (high < 0.45 * ink.high) & (top > ink.top - 0.4 * ink.high)
    bars = thin & (foot > ink.foot + 0.15 * ink.high) & (high > 0.7 * ink.high) & (top > ink.top)
    one = initial not in "ij" and dots.sum() == bars.sum() == 1
    return "¡" if one and abs(middle[dots][0] - middle[bars][0]) < 0.3 * ink.high else ""


def _has_caron(ink: _Ink, places: NDArray[np.float32], k: int) -> bool:
    """Whether a small piece of ink stands at the upper right of character `k`."""
    left, top, wide, high, _ = ink.pieces.T
    own = np.flatnonzero((left <= places[k]) & (places[k] < left + wide) & (high > 0.8 * ink.high))
    if len(own) != 1:
        return False
    right = left[own[0]] + wide[own[0]]
    after = places[k + 1] if k + 1 < len(places) else np.inf
    here = (left >= right - 0.4 * ink.high) & (left < right + 0.35 * ink.high) & (left + wide / 2 < after)
    here &= (high < 0.7 * ink.high) & (high > 0.15 * ink.high) & (wide < 0.5 * ink.high)
    foot = top + high
    return bool((here & (foot < ink.top + 0.45 * ink.high) & (foot > ink.top - 0.6 * ink.high)).any())


def _put(line: Recognised, k: int, sign: str, place: float) -> Recognised:
    """The line with a sign before character `k`."""
    places = np.insert(line.places, k, place).astype(np.float32)
    said = f"{line.text[:k]}{sign}{line.text[k:]}"
    return replace(line, text=said, sure=np.insert(line.sure, k, line.sure[k]), places=places)


def text_of(lines: Sequence[Recognised]) -> str:
    """What lines say, in one text."""
    return " ".join(line.text for line in lines)
