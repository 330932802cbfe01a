"""The glyphs of a real PDF page, from its text layer: which characters they are, where they stand, and whether the
picture agrees.

All coordinates are points from the upper left corner of the page as it is shown. It knows nothing of lines.
"""

from __future__ import annotations

import unicodedata
from ctypes import c_void_p, cast
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.pdf.characters import (
    HYPHENS,
    INVISIBLE,
    addresses,
    code_at,
    colour_of,
    each,
    font_name,
    font_of,
    loose_box_at,
    matrix_at,
    mode_of,
    object_at,
    origin_at,
    size_at,
    tight_box_at,
    unmapped_at,
)
from microfiche.documents.pdf.plane import page_to_picture
from microfiche.documents.text_layer.glyphs import ACCENTS

FEWEST, _MOST = 50, 40_000  #: how many characters a usable page has
_TURNED = 0.0175  #: the tangent of 1°
_SPACES = [0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]
_NOTHING = [0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F)]
_DOTLESS = {0x131: "i", 0x237: "j"}
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "ſt", 0xFB06: "st"}
_LIGATURE = 3  #: the most characters of a ligature
_FAINT = [ord(c) for c in ".,:;·…'`´’‘¨-–—_~ˉ¯"]  #: characters with so little ink that a few grey levels suffice
_SHORT, _TALL, _DEEP = "acemnorsuvwxz", "bdhkl", "gpqy"  #: classes of letters by height, which reveal wrong shapes


class Refused(Exception):
    """The page cannot be used; the message is the reason in one or two words."""


@dataclass
class Glyphs:
    """The T glyphs that were drawn, in the file's order, as columns."""

    points: NDArray[np.int64]
    boxes: NDArray[np.float64]  # (T, 4): advance × line height, and all ink
    ink: NDArray[np.float64]  # (T, 4)
    origin: NDArray[np.float64]  # (T, 2)
    size: NDArray[np.float64]
    slope: NDArray[np.float64]  # how far the baseline falls for each point to the right
    bad: NDArray[np.bool_]
    space: NDArray[np.bool_]  # a space comes after it

    def __len__(self) -> int:
        return len(self.points)

    def take(self, which: NDArray[Any]) -> Glyphs:
        """Returns some of the glyphs, by their indices or by a mask."""
        return Glyphs(**{name: column[which] for name, column in vars(self).items()})


def glyphs_of(page: Any, width: float, height: float) -> tuple[Glyphs, frozenset[str]]:
    """Returns the upright, visible glyphs on an open PDFium page of that size, with accents joined and ligatures split,
    and the names of their fonts. Raises Refused if the text layer cannot be trusted."""
    textpage = pdfium.FPDFText_LoadPage(page)
    if not textpage:
        raise Refused("no text")
    try:
        glyphs, fonts = _drawn(textpage, page_to_picture(page, width, height), width, height)
    finally:
        pdfium.FPDFText_ClosePage(textpage)
    return _joined_accents(_cut_ligatures(glyphs)), fonts


def _drawn(textpage: Any, to_points: Any, width: float, height: float) -> tuple[Glyphs, frozenset[str]]:
    """Returns the upright, visible glyphs of the page, and the names of their fonts."""
    count = pdfium.FPDFText_CountChars(textpage)
    if count < FEWEST:
        raise Refused("few characters")
    if count > _MOST:
        raise Refused("many characters")
    text = repeat(cast(textpage, c_void_p).value)
    codes = np.fromiter(map(code_at, text, range(count)), np.int64, count)
    low = np.flatnonzero((codes[1:] >> 10 == 0xDC00 >> 10) & (codes[:-1] >> 10 == 0xD800 >> 10)) + 1
    codes[low - 1] = 0x10000 + ((codes[low - 1] & 0x3FF) << 10) + (codes[low] & 0x3FF)
    codes[low] = 0x200B
    objects = np.fromiter(map(object_at, text, range(count)), np.uint64, count)
    # A space, whether from the file or added by PDFium, becomes a mark on the glyph before it.
    drawn = (objects > 0) & ~np.isin(codes, [0x0A, 0x0D, *_SPACES, *_NOTHING])
    at = np.flatnonzero(drawn)
    if len(at) < FEWEST:
        raise Refused("few characters")
    before = np.cumsum(drawn) - 1
    space = np.zeros(len(at), bool)
    space[before[np.isin(codes, _SPACES) & (before >= 0)]] = True

    places: list[int] = at.tolist()
    loose, tight, origin = np.zeros((len(at), 4), np.float32), np.zeros((len(at), 4)), np.zeros((len(at), 2))
    each(loose_box_at, text, places, addresses(loose))
    each(tight_box_at, text, places, *(addresses(tight, 8 * k) for k in range(4)))
    each(origin_at, text, places, *(addresses(origin, 8 * k) for k in range(2)))
    unmapped = np.fromiter(map(unmapped_at, text, places), np.int64, len(at)) == 1

    _, first, which = np.unique(objects[at], return_index=True, return_inverse=True)
    chars: list[int] = at[first].tolist()
    owners: list[int] = objects[at[first]].tolist()
    matrix, colour = np.zeros((len(first), 6), np.float32), np.full((len(first), 4), 255, np.uint32)
    each(matrix_at, text, chars, addresses(matrix))
    each(colour_of, owners, *(addresses(colour, 4 * k) for k in range(4)))
    modes = np.fromiter(map(mode_of, owners), np.int64, len(first))
    sizes = np.fromiter(map(size_at, text, chars), np.float64, len(first))
    fonts = frozenset(map(_name, {font for font in map(font_of, owners) if font}))
    along = np.stack(to_points.direction(matrix[:, 0], matrix[:, 1]), 1).astype(np.float64)
    up = np.stack(to_points.direction(matrix[:, 2], matrix[:, 3]), 1).astype(np.float64)
    size = sizes * np.hypot(*up.T)
    upright = (along[:, 0] > 0) & (np.abs(along[:, 1]) <= _TURNED * along[:, 0])
    upright &= (up[:, 1] < 0) & (np.abs(up[:, 0]) < 0.5 * -up[:, 1]) & (size > 1)
    slope = np.divide(along[:, 1], along[:, 0], out=np.zeros(len(first)), where=upright)
    seen = ~np.isin(modes, INVISIBLE) & (colour[:, 3] > 0)

    codes = codes[at]
    codes[np.isin(codes, [*HYPHENS, 0xAD])] = ord("-")
    bad = unmapped | (codes < 0x20) | (codes == 0xFFFD) | (codes > 0x10FFFF) | (codes >= 0xF0000)
    bad |= (codes >= 0x7F) & (codes < 0xA0) | (codes >= 0xD800) & (codes < 0xF900)
    _limit("unmapped", bad, 0.02)
    _limit("invisible", ~seen[which], 0.01)
    _limit("turned", ~upright[which], 0.2)
    origin = np.stack(to_points(origin[:, 0], origin[:, 1]), 1)
    ink = _mapped(tight[:, [0, 2, 1, 3]], to_points)
    boxes = _mapped(loose[:, [0, 3, 2, 1]].astype(np.float64), to_points)
    unknown = (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
    boxes[unknown] = ink[unknown]
    # Fonts for formulas claim line heights of ten times their size.
    boxes[:, 1] = np.maximum(boxes[:, 1], origin[:, 1] - 1.1 * size[which])
    boxes[:, 3] = np.minimum(boxes[:, 3], origin[:, 1] + 0.4 * size[which])
    inked = (ink[:, 0] < ink[:, 2]) & (ink[:, 1] < ink[:, 3])
    boxes[inked, :2] = np.minimum(boxes[inked, :2], ink[inked, :2])
    boxes[inked, 2:] = np.maximum(boxes[inked, 2:], ink[inked, 2:])
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centre > 0) & (centre < [width, height])).all(1)
    bad |= (boxes[:, 0] < -1) | (boxes[:, 2] > width + 1)
    kept = seen[which] & upright[which] & inside
    glyphs = Glyphs(codes, boxes, ink, origin, size[which], slope[which], bad, space).take(kept)
    if len(glyphs) < FEWEST:
        raise Refused("few characters")
    return glyphs, fonts


def _limit(sign: str, found: NDArray[np.bool_], most: float) -> None:
    if len(found) and found.mean() > most:
        raise Refused(sign)


def _name(font: int) -> str:
    room = np.zeros(256, np.uint8)
    font_name(font, room.ctypes.data, len(room))
    return room.tobytes().split(b"\0", 1)[0].decode("utf-8", "replace")


def _mapped(boxes: NDArray[np.float64], to_points: Any) -> NDArray[np.float64]:
    """(T, 4) boxes of two opposite corners, in the page's own space → (T, 4) left, top, right, bottom."""
    x0, y0 = to_points(boxes[:, 0], boxes[:, 1])
    x1, y1 = to_points(boxes[:, 2], boxes[:, 3])
    return np.stack([np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1)], 1)


def _cut_ligatures(glyphs: Glyphs) -> Glyphs:
    """Splits the box of a glyph evenly among its characters, which PDFium reports with the same box. If there are more
    characters than in any ligature, the file gives a text to read in place of what it shows; where these stand is
    unknown, and they are dropped."""
    count = np.array([len(_LIGATURES.get(code, " ")) for code in glyphs.points.tolist()])
    if (count > 1).any():
        spelled = "".join(_LIGATURES.get(code, chr(code)) for code in glyphs.points.tolist())
        last = np.cumsum(count) - 1
        space = np.zeros(count.sum(), bool)
        space[last] = glyphs.space
        glyphs = glyphs.take(np.repeat(np.arange(len(glyphs)), count))
        glyphs.points, glyphs.space = np.array([ord(c) for c in spelled]), space
    _, length = _runs((glyphs.origin[1:] == glyphs.origin[:-1]).all(1))
    glyphs = glyphs.take(length <= _LIGATURE)
    boxes, origin = glyphs.boxes, glyphs.origin
    place, length = _runs((boxes[1:] == boxes[:-1]).all(1) & (origin[1:] == origin[:-1]).all(1))
    for edges in (glyphs.boxes, glyphs.ink):
        width = (edges[:, 2] - edges[:, 0]) / length
        edges[:, 0] += place * width
        edges[:, 2] = np.where(length > 1, edges[:, 0] + width, edges[:, 2])
    glyphs.origin = np.column_stack([np.where(place > 0, glyphs.boxes[:, 0], origin[:, 0]), origin[:, 1]])
    return glyphs


def _runs(joined: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(T - 1,) bool, whether each is joined to the next → the place (T,) of each in its run, and the length (T,) of the
    run."""
    starts = np.append(True, ~joined)
    run = np.cumsum(starts) - 1
    return np.arange(len(starts)) - np.flatnonzero(starts)[run], np.bincount(run)[run]


def _joined_accents(glyphs: Glyphs) -> Glyphs:
    """Joins accents that are glyphs of their own, anywhere in the file, to the letter over or under which they stand.
    If Unicode has no single character for the two, the letter becomes bad."""
    accents = np.flatnonzero(np.isin(glyphs.points, list(ACCENTS)))
    if not len(accents):
        return glyphs
    bases = [_DOTLESS.get(code, chr(code)) for code in glyphs.points.tolist()]
    letter = np.array([base.isalpha() for base in bases])
    letter[accents] = False
    kept = np.ones(len(glyphs), bool)
    for i in accents.tolist():
        left, _, right, _ = glyphs.ink[i].tolist()
        over = np.minimum(right, glyphs.boxes[:, 2]) - np.maximum(left, glyphs.boxes[:, 0])
        near = np.abs(glyphs.origin[:, 1] - glyphs.origin[i, 1]) < 0.6 * glyphs.size
        found = np.flatnonzero(letter & near & (over >= 0.6 * (right - left)) & (over > 0))
        if not len(found):
            continue
        j = int(found[over[found].argmax()])
        joined = unicodedata.normalize("NFC", bases[j] + chr(ACCENTS[int(glyphs.points[i])]))
        if len(joined) == 1:
            glyphs.points[j], bases[j] = ord(joined), joined
        else:
            glyphs.bad[j] = True
        for edges in (glyphs.boxes, glyphs.ink):
            edges[j, :2] = np.minimum(edges[j, :2], glyphs.ink[i, :2])
            edges[j, 2:] = np.maximum(edges[j, 2:], glyphs.ink[i, 2:])
        if i == j + 1:
            glyphs.space[j] = glyphs.space[i]
        kept[i] = False
    return glyphs.take(kept)


def check(glyphs: Glyphs, picture: NDArray[np.uint8], scale: float) -> None:
    """Marks as bad the glyphs without ink, doubled ones, and letters of the wrong shape. Raises Refused if there are
    many."""
    blank = _range_in(picture, glyphs.ink * scale) < np.where(np.isin(glyphs.points, _FAINT), 8, 32)
    _limit("no ink", blank, 0.02)
    order = np.lexsort((glyphs.origin[:, 0], np.rint(glyphs.origin[:, 1]), glyphs.points))
    steps = np.diff(glyphs.origin[order], axis=0)
    double = np.zeros(len(glyphs), bool)
    same = np.diff(glyphs.points[order]) == 0
    double[order[1:]] = same & (np.abs(steps) < 0.15 * glyphs.size[order[1:], None]).all(1)
    _limit("doubled", double, 0.02)
    height = (glyphs.origin[:, 1] - glyphs.ink[:, 1]) / glyphs.size
    depth = (glyphs.ink[:, 3] - glyphs.origin[:, 1]) / glyphs.size
    short, tall, deep = (np.isin(glyphs.points, [ord(c) for c in letters]) for letters in (_SHORT, _TALL, _DEEP))
    wrong = short & ((height < 0.25) | (height > 0.68) | (depth > 0.14))
    wrong |= tall & ((height < 0.5) | (height > 1.0) | (depth > 0.14))
    wrong |= deep & ((height < 0.25) | (height > 0.68) | (depth < 0.04) | (depth > 0.45))
    _limit("misshapen", wrong[short | tall | deep], 0.15)
    glyphs.bad |= blank | double | wrong


def _range_in(picture: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the range of greys in each of (T, 4) boxes, extended by a pixel; what is beyond the picture takes the
    grey at its edge."""
    rows, columns = picture.shape
    x0, y0 = (np.floor(boxes[:, k]).astype(np.int64) - 1 for k in (0, 1))
    wide = (np.ceil(boxes[:, 2]).astype(np.int64) + 1 - x0).clip(1, 100)
    high = (np.ceil(boxes[:, 3]).astype(np.int64) + 1 - y0).clip(1, 100)
    area = wide * high
    ends = np.cumsum(area)
    box = np.repeat(np.arange(len(boxes)), area)
    inside = np.arange(len(box)) - (ends - area)[box]
    row, column = np.divmod(inside, wide[box])
    grey = picture[(y0[box] + row).clip(0, rows - 1), (x0[box] + column).clip(0, columns - 1)]
    starts = ends - area
    return np.maximum.reduceat(grey, starts).astype(np.int64) - np.minimum.reduceat(grey, starts)
