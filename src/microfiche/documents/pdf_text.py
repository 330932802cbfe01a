"""The characters on a PDF page, each with its box, font, size and whether it can be seen. Part of pdf.py's process."""

from __future__ import annotations

import math
from ctypes import addressof, byref, c_double, c_int, c_uint, create_string_buffer
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.affine import Affine
from microfiche.documents.sheet import Font, TextLayer
from microfiche.errors import InputError

HYPHENS = (0x02, 0xFFFE)  # what PDFium gives for a hyphen that divides a word at a line's end
INVISIBLE = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)


def text_layer(page: Any, to_picture: Affine) -> TextLayer:
    """The text of an open page that `to_picture` maps to its picture; InputError where it cannot be read."""
    textpage = pdfium.FPDFText_LoadPage(page)
    if not textpage:
        raise InputError("its text cannot be read")
    try:
        return _characters(textpage, to_picture)
    finally:
        pdfium.FPDFText_ClosePage(textpage)


@dataclass(frozen=True)
class _Style:
    """What all characters of a text object share; what stands here is for those that no object drew."""

    size: float = 0.0
    angle: float = 0.0
    font: int = -1
    invisible: bool = False


def _style(textpage: Any, i: int, obj: Any, to_picture: Affine, fonts: dict[Font, int]) -> _Style:
    """The style of character `i`, which `obj` drew; its font joins `fonts`."""
    matrix, name, flags, alpha = pdfium.FS_MATRIX(), create_string_buffer(256), c_int(), c_uint(255)
    pdfium.FPDFText_GetMatrix(textpage, i, byref(matrix))
    pdfium.FPDFText_GetFontInfo(textpage, i, name, len(name), byref(flags))
    pdfium.FPDFText_GetFillColor(textpage, i, c_uint(), c_uint(), c_uint(), byref(alpha))
    weight = pdfium.FPDFText_GetFontWeight(textpage, i)
    font = Font(name.value.decode("utf-8", "replace"), weight, flags.value)
    along, up = to_picture.direction(matrix.a, matrix.b), to_picture.direction(matrix.c, matrix.d)
    return _Style(
        size=pdfium.FPDFText_GetFontSize(textpage, i) * math.hypot(*up),
        angle=math.degrees(math.atan2(along[1], along[0])),
        font=fonts.setdefault(font, len(fonts)),
        invisible=pdfium.FPDFTextObj_GetTextRenderMode(obj) in INVISIBLE or alpha.value == 0,
    )


def _characters(textpage: Any, to_picture: Affine) -> TextLayer:
    every = range(pdfium.FPDFText_CountChars(textpage))
    codes = np.array([pdfium.FPDFText_GetUnicode(textpage, i) for i in every], np.int64)
    unmapped = np.array([pdfium.FPDFText_HasUnicodeMapError(textpage, i) == 1 for i in every], np.bool_)
    fonts: dict[Font, int] = {}
    styles = _styles(textpage, every, to_picture, fonts)
    font = np.array([style.font for style in styles], np.int16)
    low = np.flatnonzero((codes[1:] >> 10 == 0xDC00 >> 10) & (codes[:-1] >> 10 == 0xD800 >> 10)) + 1
    codes[low - 1] = 0x10000 + ((codes[low - 1] & 0x3FF) << 10) + (codes[low] & 0x3FF)
    keep = codes != 0x0D
    keep[low] = False
    return TextLayer(
        text="".join(map(_character, codes[keep].tolist())),
        boxes=_boxes(textpage, every, to_picture)[keep],
        sizes=np.array([style.size for style in styles], np.float32)[keep],
        angles=np.array([style.angle for style in styles], np.float32)[keep],
        fonts=list(fonts),
        font=font[keep],
        mapped=((codes != 0) & ~unmapped)[keep],
        generated=(font < 0)[keep],
        invisible=np.array([style.invisible for style in styles], np.bool_)[keep],
    )


def _styles(textpage: Any, every: range, to_picture: Affine, fonts: dict[Font, int]) -> list[_Style]:
    styles: list[_Style] = []
    style, address = _Style(), 0
    none = style
    for i in every:
        obj = pdfium.FPDFText_GetTextObject(textpage, i)
        if obj and addressof(obj.contents) != address:
            style, address = _style(textpage, i, obj, to_picture, fonts), addressof(obj.contents)
        styles.append(style if obj else none)
    return styles


def _boxes(textpage: Any, every: range, to_picture: Affine) -> NDArray[np.float32]:
    """(T, 4): what holds both the ink and the height of the line, which PDFium knows for upright text alone."""
    left, bottom, right, top = c_double(), c_double(), c_double(), c_double()
    pointers = byref(left), byref(right), byref(bottom), byref(top)
    tight = np.zeros((len(every), 4))
    lines = (pdfium.FS_RECTF * len(every))()  # left, top, right, bottom
    for i in every:
        pdfium.FPDFText_GetCharBox(textpage, i, *pointers)
        tight[i] = left.value, bottom.value, right.value, top.value
        pdfium.FPDFText_GetLooseCharBox(textpage, i, lines[i])
    loose = np.frombuffer(lines, np.float32).reshape(-1, 4)[:, [0, 3, 2, 1]]
    known = (loose[:, 2:] > loose[:, :2]).all(axis=1, keepdims=True)
    low = np.where(known, np.minimum(tight[:, :2], loose[:, :2]), tight[:, :2])
    high = np.where(known, np.maximum(tight[:, 2:], loose[:, 2:]), tight[:, 2:])
    x0, y0 = to_picture(low[:, 0], low[:, 1])
    x1, y1 = to_picture(high[:, 0], high[:, 1])
    corners = [np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1)]
    return np.stack(corners, axis=1).astype(np.float32)


def _character(code: int) -> str:
    if code in HYPHENS:
        return "\u00ad"
    if code == 0 or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        return "\ufffd"
    return chr(code)
