"""The characters of an open PDF page, as PDFium finds them, with where and how each one is drawn.

Knows nothing of lines. The functions of PDFium that are called for every character are bound anew here, so that `map`
can call them with addresses as numbers: that takes a fifth of the time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from ctypes import PYFUNCTYPE, c_double, c_int, c_size_t, c_uint32, c_void_p, cast
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.formulas.encodings import decoded, encoding_of
from microfiche.documents.pdf.ligatures import Shape, spelled
from microfiche.documents.pdf.nameless_fonts import decode_text
from microfiche.documents.pdf.plane import Affine
from microfiche.documents.sheet import Font, TextLayer
from microfiche.errors import InputError

HYPHENS = (0x02, 0xFFFE)  #: what PDFium gives for a hyphen that divides a word at a line's end
INVISIBLE = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)
UNLIKELY = (0.2, 1.4)  #: how high a line of letters is over the size that its font claims, at least and at most
DIFFERENT = 4  #: letters of a font that must be there to tell
HEIGHT = 1.35  #: the size of a font over the height of its ink from the highest letter to the lowest, as a rule


def quick(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Binds a function of PDFium so that it takes addresses as numbers, which `map` calls very fast."""
    return PYFUNCTYPE(result, *arguments)(cast(function, c_void_p).value or 0)


_AT = (c_size_t, c_int)
code_at = quick(pdfium.FPDFText_GetUnicode, c_uint32, *_AT)
unmapped_at = quick(pdfium.FPDFText_HasUnicodeMapError, c_int, *_AT)
object_at = quick(pdfium.FPDFText_GetTextObject, c_size_t, *_AT)
loose_box_at = quick(pdfium.FPDFText_GetLooseCharBox, c_int, *_AT, c_size_t)
tight_box_at = quick(pdfium.FPDFText_GetCharBox, c_int, *_AT, c_size_t, c_size_t, c_size_t, c_size_t)
origin_at = quick(pdfium.FPDFText_GetCharOrigin, c_int, *_AT, c_size_t, c_size_t)
matrix_at = quick(pdfium.FPDFText_GetMatrix, c_int, *_AT, c_size_t)
size_at = quick(pdfium.FPDFText_GetFontSize, c_double, *_AT)
weight_at = quick(pdfium.FPDFText_GetFontWeight, c_int, *_AT)
mode_of = quick(pdfium.FPDFTextObj_GetTextRenderMode, c_int, c_size_t)
font_of = quick(pdfium.FPDFTextObj_GetFont, c_size_t, c_size_t)
colour_of = quick(pdfium.FPDFPageObj_GetFillColor, c_int, c_size_t, *[c_size_t] * 4)
font_name = quick(pdfium.FPDFFont_GetBaseFontName, c_size_t, c_size_t, c_void_p, c_size_t)
font_flags = quick(pdfium.FPDFFont_GetFlags, c_int, c_size_t)
font_embedded = quick(pdfium.FPDFFont_GetIsEmbedded, c_int, c_size_t)


def each(function: Callable[..., Any], *arguments: Iterable[Any]) -> None:
    """Calls a function with each of the arguments and forgets what it returns."""
    deque(map(function, *arguments), maxlen=0)


def addresses(array: NDArray[Any], offset: int = 0) -> range:
    """The address of each row of an array, or of what stands `offset` bytes into it."""
    step = array.strides[0] or 1
    first: int = array.ctypes.data + offset
    return range(first, first + step * len(array), step)


class Characters:
    """The T characters of a page and the strings that drew them: `layer`, and for each string, by its number, its
    address (`strings`), its colour (`colours`, uint32 (n, 4): red, green, blue, alpha) and whether it is filled."""

    def __init__(self, page: Any, to_picture: Affine) -> None:
        """Reads the text of an open page that `to_picture` maps to its picture; InputError where there is none."""
        textpage = pdfium.FPDFText_LoadPage(page)
        if not textpage:
            raise InputError("its text cannot be read")
        try:
            self._read(textpage, to_picture)
        finally:
            pdfium.FPDFText_ClosePage(textpage)

    def _read(self, textpage: Any, to_picture: Affine) -> None:
        count = pdfium.FPDFText_CountChars(textpage)
        text = repeat(cast(textpage, c_void_p).value)
        every = range(count)
        codes = np.fromiter(map(code_at, text, every), np.int64, count)
        unmapped = np.fromiter(map(unmapped_at, text, every), np.int64, count) == 1
        objects = np.fromiter(map(object_at, text, every), np.uint64, count)
        loose, tight, origin = np.zeros((count, 4), np.float32), np.zeros((count, 4)), np.zeros((count, 2))
        each(loose_box_at, text, every, addresses(loose))
        each(tight_box_at, text, every, *(addresses(tight, 8 * k) for k in range(4)))
        each(origin_at, text, every, *(addresses(origin, 8 * k) for k in range(2)))

        keys, first, run = np.unique(objects, return_index=True, return_inverse=True)
        order = np.argsort(first)  # strings are numbered as the content draws them
        run = np.argsort(order)[run.reshape(-1)]
        first, keys = first[order], keys[order]
        if 0 in keys.tolist():
            none = int(np.flatnonzero(keys == 0)[0])
            keys, first = np.delete(keys, none), np.delete(first, none)
            run = np.where(run == none, -1, run - (run > none))
        self.strings: list[int] = keys.tolist()
        sizes, angles, font, fonts = self._styles(text, first.tolist(), to_picture)
        modes = np.fromiter(map(mode_of, self.strings), np.int64, len(keys))
        self.colours = np.tile(np.array([0, 0, 0, 255], np.uint32), (len(keys), 1))
        each(colour_of, self.strings, *(addresses(self.colours, 4 * k) for k in range(4)))
        self.filled = np.isin(modes, [0, 2, 4, 6])
        invisible = np.isin(modes, INVISIBLE) | (self.filled & (self.colours[:, 3] == 0))

        low = np.flatnonzero((codes[1:] >> 10 == 0xDC00 >> 10) & (codes[:-1] >> 10 == 0xD800 >> 10)) + 1
        codes[low - 1] = 0x10000 + ((codes[low - 1] & 0x3FF) << 10) + (codes[low] & 0x3FF)
        unmapped &= ~decoded(codes, unmapped, np.append(font, -1)[run], [font.name for font in fonts], tight)
        decode_text(codes, unmapped, np.append(font, -1)[run], fonts)
        first_of_font = [int(np.flatnonzero(font == number)[0]) for number in range(len(fonts))]
        keep = codes != 0x0D
        keep[low] = False
        codes, run, unmapped = codes[keep], run[keep], unmapped[keep]
        boxes, ink = _boxes(loose[keep], tight[keep], to_picture)
        origins = np.stack(to_picture(*origin[keep].T), axis=1).astype(np.float32)
        char_sizes = np.append(sizes, 0).astype(np.float32)[run]
        char_angles = np.append(angles, 0).astype(np.float32)[run]
        # A control character that has a shape is a sign whose name the file does not tell.
        codes[(codes < 0x20) & (codes > 0x02) & (run >= 0) & (ink[:, 2] - ink[:, 0] > 0.5)] = 0
        layer = TextLayer(
            text="".join(map(_character, codes.tolist())),
            boxes=boxes,
            sizes=_likely(char_sizes, _of_letters(np.append(font, -1)[run], fonts), ink, char_angles, codes),
            angles=char_angles,
            fonts=fonts,
            font=np.append(font, -1).astype(np.int16)[run],
            mapped=(codes != 0) & ~unmapped,
            generated=run < 0,
            invisible=np.append(invisible, False)[run],
            ink=ink,
            origins=origins,
            advances=_advances(loose[keep], char_angles, char_sizes, to_picture),
            run=run.astype(np.int32),
            seen=np.ones(len(run), bool),
        )
        self.layer = _with_ligatures(layer, unmapped, [self.strings[k] for k in first_of_font])

    def _styles(
        self, text: Iterable[int | None], first: list[int], to_picture: Affine
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], list[Font]]:
        """For each string its size, its angle and its font's index, and the fonts."""
        count = len(first)
        matrix = np.zeros((count, 6), np.float32)
        each(matrix_at, text, first, addresses(matrix))
        size = np.fromiter(map(size_at, text, first), np.float64, count)
        along = to_picture.direction(matrix[:, 0].astype(float), matrix[:, 1].astype(float))
        up = to_picture.direction(matrix[:, 2].astype(float), matrix[:, 3].astype(float))
        flipped = np.where(size < 0, -1.0, 1.0)  # a font of negative size stands on its head, and runs to the left
        angles = np.degrees(np.arctan2(along[1] * flipped, along[0] * flipped))
        handles = list(map(font_of, self.strings))
        fonts: list[Font] = []
        index: dict[int, int] = {}
        for at, handle in zip(first, handles, strict=True):
            if handle not in index:
                index[handle] = len(fonts)
                fonts.append(_font(handle, weight_at(next(iter(text)), at)))
        return np.abs(size) * np.hypot(*up), angles, np.array([index[h] for h in handles], np.int64), fonts


def _font(handle: int, weight: int) -> Font:
    if not handle:
        return Font("", weight, 0)
    room = np.zeros(256, np.uint8)
    font_name(handle, room.ctypes.data, len(room))
    name = room.tobytes().split(b"\0", 1)[0].decode("utf-8", "replace")
    return Font(name, weight, max(0, font_flags(handle)), font_embedded(handle) == 1)


def _boxes(
    loose: NDArray[np.float32], tight: NDArray[np.float64], to_picture: Affine
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(T, 4) the boxes that hold the ink and, for upright text (where PDFium knows it), the height of the line; and
    (T, 4) those of the ink alone. `loose` is left, top, right, bottom, `tight` left, right, bottom, top, in points."""
    ink, line = tight[:, [0, 2, 1, 3]], loose[:, [0, 3, 2, 1]].astype(np.float64)
    known = (line[:, 2:] > line[:, :2]).all(axis=1, keepdims=True)
    low = np.where(known, np.minimum(ink[:, :2], line[:, :2]), ink[:, :2])
    high = np.where(known, np.maximum(ink[:, 2:], line[:, 2:]), ink[:, 2:])
    return _mapped(np.hstack([low, high]), to_picture), _mapped(ink, to_picture)


def _mapped(boxes: NDArray[np.float64], to_picture: Affine) -> NDArray[np.float32]:
    x0, y0 = to_picture(boxes[:, 0], boxes[:, 1])
    x1, y1 = to_picture(boxes[:, 2], boxes[:, 3])
    corners = [np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1)]
    return np.stack(corners, axis=1).astype(np.float32)


def _advances(
    loose: NDArray[np.float32], angles: NDArray[np.float32], sizes: NDArray[np.float32], to_picture: Affine
) -> NDArray[np.float32]:
    """(T,) how far each character reaches along its baseline, in px; half its size where PDFium does not tell."""
    across, down = to_picture.direction(np.abs(loose[:, 2] - loose[:, 0]), np.abs(loose[:, 1] - loose[:, 3]))
    # The boxes are upright on the PDF's page, which may be shown turned: then `direction` has exchanged the two.
    turn = np.abs(((angles + 45) % 180) - 45)  # from 0 along the picture's rows to 90 along its columns
    along = np.where(turn < 45, np.abs(across), np.abs(down))
    skewed = (turn > 1) & (turn < 89)
    return np.where(skewed | (along <= 0), 0.5 * sizes, along).astype(np.float32)


def _with_ligatures(layer: TextLayer, unmapped: NDArray[np.bool_], strings: Sequence[int]) -> TextLayer:
    """The layer with each ligature that its font alone names as its letters, one and the same box for each; `strings`
    has one of each font."""
    own = np.flatnonzero(unmapped & (layer.font >= 0) & (np.abs(layer.angles) < 0.5) & (layer.sizes > 0))
    said: dict[int, str] = {}
    for number in np.unique(layer.font[own]).tolist():
        at = own[layer.font[own] == number]
        if not layer.fonts[number].embedded:
            continue
        first = {layer.text[i]: i for i in reversed(at.tolist())}
        handle = cast(font_of(strings[number]), pdfium.FPDF_FONT)
        shapes = {i: _shape(layer, i) for i in first.values()}
        found = {layer.text[i]: text for i, text in spelled(handle, shapes).items()}
        said |= {i: found[layer.text[i]] for i in at.tolist() if layer.text[i] in found}
    if not said:
        return layer
    times = np.ones(len(layer.text), np.int64)
    times[list(said)] = [len(text) for text in said.values()]
    mapped = layer.mapped.copy()
    mapped[list(said)] = True
    columns: dict[str, Any] = {
        name: column.repeat(times, axis=0) for name, column in vars(replace(layer, mapped=mapped)).items()
        if isinstance(column, np.ndarray)
    }
    return replace(layer, text="".join(said.get(i, sign) for i, sign in enumerate(layer.text)), **columns)


def _shape(layer: TextLayer, i: int) -> Shape:
    """The edges of a sign's ink, in ems from where it begins."""
    x, y = layer.origins[i].tolist()
    left, top, right, bottom = layer.ink[i].tolist()
    size = float(layer.sizes[i])
    return (left - x) / size, (y - bottom) / size, (right - x) / size, (y - top) / size


def _of_letters(font: NDArray[np.int64], fonts: list[Font]) -> NDArray[np.int64]:
    """(T,) the number of each character's font; -1 for those that hold the large signs of formulas."""
    large = np.array([encoding_of(one.name) == "extension" for one in fonts] + [False])
    return np.where(large[font], -1, font)


def _likely(
    sizes: NDArray[np.float32],
    font: NDArray[np.int64],
    ink: NDArray[np.float32],
    angles: NDArray[np.float32],
    codes: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(T,) the sizes, corrected where a font claims one that its ink cannot have, as those drawn by programs do."""
    out = sizes.copy()
    letters = np.array([chr(c).isalnum() if 0 < c <= 0x10FFFF else False for c in codes.tolist()], bool)
    upright = np.abs(np.sin(np.radians(angles))) < 0.5
    extent = np.where(upright, ink[:, 3] - ink[:, 1], ink[:, 2] - ink[:, 0])
    for number in np.unique(font[font >= 0]).tolist():
        own = font == number
        drawn = own & letters & (extent > 0.05 * sizes) & (sizes > 0)
        if len(np.unique(codes[drawn])) < DIFFERENT:
            continue
        ratio = float(np.percentile(extent[drawn] / sizes[drawn], 90))
        if not UNLIKELY[0] < ratio < UNLIKELY[1] and math.isfinite(ratio) and ratio > 0:
            out[own] = sizes[own] * ratio * HEIGHT
    return out


def _character(code: int) -> str:
    if code in HYPHENS:
        return "\u00ad"
    if code == 0 or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        return "\ufffd"
    return chr(code)
