"""From what the recogniser says of a box of text, and the ink in it, to lines: with the spaces that the picture shows,
divided at wide gaps, each with the size and the weight of its type.

Knows no networks, and no page: a line is looked at alone.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import around
from microfiche.documents.ink import empty_runs
from microfiche.documents.orientation import Seen
from microfiche.documents.pieces import GAP
from microfiche.documents.recognition import Found, Pixels, Recognised, cut, recognise
from microfiche.documents.text_lines import TextLine

X_HEIGHT, CAPITAL, IDEOGRAPH = 0.46, 0.7, 0.88  #: heights of letters in ems, in faces for text
LOW, HIGH = frozenset("acemnorsuvwxz"), frozenset("bdfhklgpqy0123456789")
TYPE = 0.72  #: the height of type over that of the box that the detector draws around a line
SPACE = 0.15  #: ems of paper between two characters that are a space, at least
LIKE_SPACE = 0.68  #: of the median space of the line, that a space has at least, and …
USUAL = 0.24  #: … ems, where the line has no two spaces
WIDER = 2.2  #: times the median gap between letters, that a space is at least
BOLDER = 1.22  #: times the page's usual stroke, in ems, that bold type has at least
LONGEST = 45.0  #: times its height, that a line is read in one piece
NEARBY = 1.5  #: times the gaps beside it, but for the widest, that a space is at least
DOUBTFUL, CERTAIN = 0.6, 0.85  #: confidence below which a line is tried upside down, and what it must have then
CORE = 0.13  #: of a box's height above and below that may show parts of other lines
NARROW, SLIM = frozenset(".:'|1!-/[]{}`\"*"), frozenset("lIij")
OPENING, CLOSING = frozenset("([{«“„‘¿¡"), frozenset(")]}»”.,;:!?…%'’\"")


@dataclass(frozen=True)
class Piece:
    """A part of a recognised line that no wide gap divides: its `text`, where it begins and ends across the line's box
    (px), its `size` in px, its strokes' width in ems (0 if unknown), whether its letters are all of one width, and its
    `confidence`."""

    text: str
    start: float
    stop: float
    size: float
    stroke: float
    fixed: bool
    confidence: float


@dataclass(frozen=True)
class _Gap:
    """The paper between two characters: from `start` to `stop`, px."""

    start: float = 0.0
    stop: float = 0.0

    @property
    def width(self) -> float:
        return self.stop - self.start


def pieces(line: Recognised, mask: NDArray[np.uint8]) -> list[Piece]:
    """The pieces of a line that was recognised in a box whose ink is `mask` (H, W)."""
    text = line.text
    signs = [i for i, c in enumerate(text) if not c.isspace()]
    if not signs:
        return []
    height, width = mask.shape
    usual = TYPE * height
    size = float(np.clip(type_size(line, mask) or usual, 0.6 * usual, 1.4 * usual))
    core = mask[int(CORE * height) : max(int(CORE * height) + 1, round((1 - CORE) * height))].max(0) > 0
    inked = np.flatnonzero(core)
    if not len(inked):
        return [Piece(text.strip(), 0.0, width, size, 0.0, False, line.confidence)]
    left, right = int(inked[0]), int(inked[-1]) + 1
    places = line.places[signs] * width
    gaps = _gaps(text, signs, places, empty_runs(core[left:right]) + left)
    pitch = _pitch(places, size)
    widths = np.array([gap.width for gap in gaps])
    own = np.diff(signs) > 1
    wide = (widths > np.where(own, 0.45, 0.9) * pitch).tolist()
    spaces = wide if pitch else _spaces(text, signs, own, widths, size)
    stroke = _stroke(mask) / size
    out: list[Piece] = []
    begin, start = 0, float(left)
    ends = [k for k, gap in enumerate(gaps) if gap.width > max(GAP * size, 2.5 * pitch)]
    for k in [*ends, len(signs) - 1]:
        said = "".join(text[signs[j]] + (" " if j < k and spaces[j] else "") for j in range(begin, k + 1))
        stop = gaps[k].start if k < len(gaps) else right
        sure = float(line.sure[signs[begin : k + 1]].mean())
        out.append(Piece(said, start, stop, size, stroke, pitch > 0, sure))
        begin, start = k + 1, gaps[k].stop if k < len(gaps) else right
    return out


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


def _gaps(text: str, signs: Sequence[int], places: NDArray[np.float32], runs: NDArray[np.intp]) -> list[_Gap]:
    """The gap after each character that is no space, but for the last.

    A character's place is only right to about half of its width, so a run without ink belongs to that pair of
    characters near it that the recogniser put a space between, or else to a pair that may have one and stands farthest
    apart.
    """
    gaps = [_Gap()] * (len(signs) - 1)
    apart = np.diff(places)
    spaced = np.diff(signs) > 1
    for start, stop in sorted(runs.tolist(), key=lambda run: run[0] - run[1]):
        k = int(np.searchsorted(places, (start + stop) / 2)) - 1  # between k and k + 1
        near = [j for j in (k - 1, k, k + 1) if 0 <= j < len(apart) and not gaps[j].width
                and places[j] < stop and places[j + 1] > start]
        if near:
            centre = (start + stop) / 2
            best = max(near, key=lambda j: (
                spaced[j], _may_part(text[signs[j]], text[signs[j + 1]]),
                apart[j] - abs(places[j] + places[j + 1] - 2 * centre)))
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
    )
    spaces = own.tolist()
    for k in np.flatnonzero(~own & (gaps >= least)).tolist():
        before, after = text[signs[k]], text[signs[k + 1]]
        near = sorted(gaps[j] for j in (k - 2, k - 1, k + 1, k + 2) if 0 <= j < len(gaps) and not own[j])
        beside = NEARBY * near[-2] if len(near) > 1 else 0.0
        spaces[k] = _may_part(before, after) and bool(gaps[k] >= max(beside, least + _bearing(before, after)))
    return spaces


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


def lines_of(seen: Seen) -> list[TextLine]:
    """The lines of a page that was set upright and straight, from top to bottom; those that the recogniser was unsure
    of as well."""
    pixels = np.asarray(seen.picture)
    parts: list[Pixels] = []
    asked: list[tuple[Found, int]] = []  # for each part its box, and how many quarters it is turned counter-clockwise
    best: dict[Found, tuple[Recognised, int]] = {}
    for i, whole in enumerate(seen.boxes):
        for box in _shortened(whole, seen.ink.mask):
            if box is whole and i in seen.known:
                best[box] = (seen.known[i], 0)
                continue
            part = cut(pixels, box)
            parts += [np.rot90(part, quarters) for quarters in _ways(box)]
            asked += [(box, quarters) for quarters in _ways(box)]
    for (box, quarters), line in zip(asked, recognise(parts), strict=True):
        if box not in best or _sum(line) > _sum(best[box][0]):
            best[box] = (line, quarters)
    doubtful = [box for box, (line, quarters) in best.items() if not quarters and line.confidence < DOUBTFUL]
    for box, line in zip(doubtful, recognise([np.rot90(cut(pixels, box), 2) for box in doubtful]), strict=True):
        if line.confidence > CERTAIN and _sum(line) > _sum(best[box][0]):
            best[box] = (line, 2)
    out: list[TextLine] = []
    strokes: list[float] = []
    for box in sorted(best, key=lambda one: (one.y, one.x)):
        line, quarters = best[box]
        for piece in pieces(line, np.rot90(cut(seen.ink.mask, box), quarters)):
            out.append(_placed(piece, box, quarters))
            strokes.append(piece.stroke)
    return _weighed(out, strokes)


def _sum(line: Recognised) -> float:
    """How much speaks for a line."""
    return float((line.sure - 0.3).sum())


def _ways(box: Found) -> tuple[int, ...]:
    """The quarters by which what stands in a box may have to be turned to be read."""
    if box.height < 1.5 * box.width:
        return (0,)
    return (0, 1, 3) if box.height < 3 * box.width else (1, 3)


def _shortened(box: Found, mask: NDArray[np.uint8]) -> list[Found]:
    """The box, or where it is very long, parts of it, divided where the widest gaps are."""
    if box.width < LONGEST * box.height:
        return [box]
    columns = cut(mask, box).max(0) > 0
    count = int(box.width // (0.7 * LONGEST * box.height)) + 1
    step = len(columns) / count
    cuts = [0]
    for k in range(1, count):
        lowest = int((k - 0.3) * step)
        runs = empty_runs(columns[lowest : int((k + 0.3) * step)])
        start, stop = max(runs.tolist(), key=lambda run: run[1] - run[0], default=(int(0.3 * step), int(0.3 * step)))
        cuts.append(lowest + (start + stop) // 2)
    cuts.append(len(columns))
    cos, sin = np.cos(np.deg2rad(box.angle)), np.sin(np.deg2rad(box.angle))
    out = []
    for start, stop in pairwise(cuts):
        off = (start + stop) / 2 - len(columns) / 2
        out.append(replace(box, x=box.x + off * cos, y=box.y + off * sin, width=stop - start))
    return out


def _placed(piece: Piece, box: Found, quarters: int) -> TextLine:
    """The piece as a line on the page."""
    wide, high = (box.height, box.width) if quarters % 2 else (box.width, box.height)
    start, stop = piece.start - wide / 2, min(piece.stop, wide) - wide / 2
    turn = math.radians(box.angle - 90 * (quarters if quarters < 3 else -1))
    cos, sin = math.cos(turn), math.sin(turn)
    corners = [(box.x + x * cos - y * sin, box.y + x * sin + y * cos)
               for x in (start, stop) for y in (-high / 2, high / 2)]
    return TextLine(piece.text, around(corners), piece.size, confidence=piece.confidence, fixed=piece.fixed)


def _weighed(lines: Sequence[TextLine], strokes: Sequence[float]) -> list[TextLine]:
    """The lines, those bold whose strokes are much wider than is usual on the page."""
    known = sorted((s, len(line.text)) for line, s in zip(lines, strokes, strict=True) if s and not line.fixed)
    if not known:
        return list(lines)
    counts = np.cumsum([n for _, n in known])
    usual = known[int(np.searchsorted(counts, counts[-1] / 2))][0]
    return [replace(line, bold=bool(s > BOLDER * usual)) for line, s in zip(lines, strokes, strict=True)]
