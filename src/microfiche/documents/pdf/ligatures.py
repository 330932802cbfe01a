"""What ligatures say whose names PDFium does not know, as `f_i` and `T_h`: a name says it, and which of a font's named
shapes a sign has tells its name.

Source: Adobe, Glyph names: a name is what stands before the first dot, and its parts are parted by low lines.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from ctypes import byref, c_size_t, c_uint8
from typing import Any

import freetype
import pypdfium2.raw as pdfium

SAME = 0.004  #: ems by which the edges of one shape differ, as PDFium and FreeType give them, at most
MOST = 2000  #: glyphs of a font that are looked at
DIGITS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
}  # fmt: skip
OTHERS = {"longs": "ſ", "hyphen": "-", "period": ".", "comma": ",", "slash": "/", "germandbls": "ß", "dotlessi": "ı"}
CODE = re.compile(r"(?:uni|u)([0-9A-F]{4,6})")

Shape = tuple[float, float, float, float]  #: left, bottom, right, top, in ems from where it begins on the baseline


def spelled(font: Any, shapes: Mapping[int, Shape]) -> dict[int, str]:
    """What those of the `shapes` say, by their numbers, that are ligatures of an embedded `font` and named as such."""
    try:
        face = freetype.Face(io.BytesIO(_program(font)))
        known = _ligatures(face)
    except freetype.FT_Exception:
        return {}
    out = {}
    for number, shape in shapes.items():
        alike = {text for other, text in known if all(abs(a - b) < SAME for a, b in zip(shape, other, strict=True))}
        if len(alike) == 1:
            out[number] = alike.pop()
    return out


def _program(font: Any) -> bytes:
    length = c_size_t()
    pdfium.FPDFFont_GetFontData(font, None, 0, byref(length))
    room = (c_uint8 * length.value)()
    pdfium.FPDFFont_GetFontData(font, room, length.value, byref(length))
    return bytes(room)


def _ligatures(face: Any) -> list[tuple[Shape, str]]:
    """The shapes of the glyphs whose names have several parts, and what these are."""
    out = []
    for i in range(min(face.num_glyphs, MOST)) if face.has_glyph_names else ():
        text = said_by(face.get_glyph_name(i).decode("ascii", "replace"))
        if len(text) > 1:
            face.load_glyph(i, freetype.FT_LOAD_NO_SCALE)
            box, em = face.glyph.outline.get_cbox(), face.units_per_EM
            out.append(((box.xMin / em, box.yMin / em, box.xMax / em, box.yMax / em), text))
    return out


def said_by(name: str) -> str:
    """What a glyph with a name of several parts is; "" for any other."""
    parts = name.split(".")[0].split("_")
    signs = [_sign(part) for part in parts]
    return "".join(signs) if len(parts) > 1 and all(signs) else ""


def _sign(part: str) -> str:
    if len(part) == 1 and part.isalpha():
        return part
    code = CODE.fullmatch(part)
    return chr(int(code[1], 16)) if code and int(code[1], 16) < 0xD800 else DIGITS.get(part) or OTHERS.get(part, "")
