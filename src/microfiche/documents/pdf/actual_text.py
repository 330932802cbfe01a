"""The /ActualText of an open PDF page: what a file says that its strings mean (PDF 32000-1, 14.9.4).

PDFium takes it for the text of the page, whatever the page shows. So it stays only where it says what is drawn in other
signs, as for a ligature, an accent or a hyphen, and where the file does not name what it draws.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_ulong, c_ushort, c_void_p, cast, sizeof
from itertools import groupby
from typing import Any

import pypdfium2.raw as pdfium

from microfiche.documents.pdf.characters import quick

KEY = b"ActualText"
LONGEST = 1 << 16  #: bytes
FEW = 3  #: letters that may be meant by other signs
MARKS = 100  #: of an object that are looked at
_count_marks = quick(pdfium.FPDFPageObj_CountMarks, c_ulong, c_void_p)


def keep_what_is_drawn(document: Any, page: Any, strings: Sequence[int]) -> None:
    """Takes /ActualText from the strings of an open page of `document`, given by their addresses in the order of
    drawing, where they show something else. Nothing in the file changes."""
    claims = [(string, mark, text) for string in strings for mark, text in _claims(string)]
    if not claims:
        return
    objects = {string: cast(string, pdfium.FPDF_PAGEOBJECT) for string, _, _ in claims}
    for string, mark, _ in claims:
        pdfium.FPDFPageObjMark_RemoveParam(objects[string], mark, KEY)
    textpage = pdfium.FPDFText_LoadPage(page)
    if not textpage:
        return
    try:
        shown = {
            string: _text(lambda room, n, o=one: 2 * pdfium.FPDFTextObj_GetText(o, textpage, room, n))  # type: ignore[misc]
            for string, one in objects.items()
        }
    finally:
        pdfium.FPDFText_ClosePage(textpage)
    for claim, group in groupby(claims, key=lambda one: one[2]):
        members = list(group)
        if says_the_same(claim, "".join(shown[string] for string, _, _ in members)):
            for string, mark, _ in members:
                pdfium.FPDFPageObjMark_SetStringParam(document, objects[string], mark, KEY, claim.encode("utf-8"))


def says_the_same(claim: str, drawn: str) -> bool:
    """Whether a text may be what was meant by the signs that are drawn."""
    meant, shown = _bare(claim), _bare(drawn)
    if meant == shown or (len(meant) <= FEW and not shown):
        return True
    signs = "".join(drawn.split())
    if sum(unicodedata.category(c) in ("Co", "Cn", "Cc", "So") for c in signs) > 0.5 * len(signs):
        return True
    # Indic scripts and Arabic draw other signs, in another order, than are written.
    complex_signs = all(sum("\u0590" <= c < "\u1800" for c in text) > 0.5 * len(text) for text in (meant, shown))
    return complex_signs and len(shown) <= 2 * len(meant) and len(meant) <= 2 * len(shown)


def _bare(text: str) -> str:
    """The letters of a text, small, without accents and ligatures; if it has digits, all its signs."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    numbers = any(c.isdigit() for c in parts)
    return "".join(c for c in parts if c.isalnum() or (numbers and not c.isspace()))


def _claims(string: int) -> list[tuple[Any, str]]:
    """The marks of a string that have an /ActualText, and that."""
    out = []
    for i in range(min(MARKS, _count_marks(string))):
        mark = pdfium.FPDFPageObj_GetMark(cast(string, pdfium.FPDF_PAGEOBJECT), i)
        kind = pdfium.FPDFPageObjMark_GetParamValueType(mark, KEY)
        if kind == pdfium.FPDF_OBJECT_STRING:
            out.append((mark, _text(lambda room, n, m=mark: _value(m, room, n))))  # type: ignore[misc]
    return out


def _value(mark: Any, room: Any, length: int) -> int:
    needed = c_ulong()
    pdfium.FPDFPageObjMark_GetParamStringValue(mark, KEY, room, length, byref(needed))
    return needed.value


def _text(ask: Callable[[Any, int], int]) -> str:
    length = ask(None, 0)
    if not 2 <= length <= LONGEST:
        return ""
    room = (c_ushort * (length // 2 + 1))()
    ask(cast(room, POINTER(c_ushort)), sizeof(room) - 2)
    return bytes(room).decode("utf-16-le", "replace").split("\0", 1)[0]
