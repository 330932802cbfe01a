"""What a PDF page has on top of its content: links, text marked as struck out, the fields of a form, typed notes.

Reads annotations alone; runs no action and no JavaScript. All boxes are in pixels of the page's picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ctypes import byref, c_uint, c_ushort, create_string_buffer
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pypdfium2.raw as pdfium

from microfiche.documents.boxes import around
from microfiche.documents.pdf.plane import Affine
from microfiche.documents.sheet import Field, Link
from microfiche.page import Box

WHITE = 231  #: of 255: what is lighter in each colour is white to the eye
COLOUR = re.compile(r"((?:(?:\d{1,3}\.?\d{0,9}|\.\d{1,9})\s+){1,4})(g|rg|k)\b")  #: of type: its parts, and how they mix
MOST = 10_000  #: annotations of a page that are looked at
TICKED, EMPTY = "[x]", "[ ]"
PASSWORD = 1 << 13  #: the flag of a text field that hides what is typed (PDF 32000-1, 12.7.4.3)
HIDDEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
TICKS = (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON)
VALUES = (pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX)
#: Kinds that show content of their own; what they show becomes part of the page.
SHOWN = (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP)


@dataclass
class Annotations:
    """What the annotations of a page say; `shown` is whether some have content that is part of the page; `white` are
    those of the fields whose type is white."""

    links: list[Link] = field(default_factory=list)
    struck: list[Box] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    white: list[Field] = field(default_factory=list)
    shown: bool = False


def annotations_of(document: Any, forms: Any, page: Any, to_picture: Affine) -> Annotations:
    """The annotations of an open page of `document`; `forms` is its handle of forms, or None if it has none."""
    out = Annotations()
    for i in range(min(MOST, pdfium.FPDFPage_GetAnnotCount(page))):
        annotation = pdfium.FPDFPage_GetAnnot(page, i)
        if not annotation:
            continue
        try:
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            out.shown |= kind in SHOWN
            if pdfium.FPDFAnnot_GetFlags(annotation) & HIDDEN:
                continue
            if kind == pdfium.FPDF_ANNOT_LINK:
                address = _address(document, annotation)
                out.links += [Link(box, address) for box in _boxes(annotation, to_picture) if address]
            elif kind == pdfium.FPDF_ANNOT_STRIKEOUT:
                out.struck += _boxes(annotation, to_picture)
            elif kind == pdfium.FPDF_ANNOT_WIDGET and forms:
                value = _value(forms, annotation)
                found = [Field(box, value) for box in _boxes(annotation, to_picture)[:1] if value]
                out.fields += found
                if value not in (TICKED, EMPTY) and _is_white(forms, annotation):
                    out.white += found
            elif kind == pdfium.FPDF_ANNOT_FREETEXT and not _is_drawn(annotation):
                value = _text(partial(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents"))
                found = [Field(box, value, typed=True) for box in _boxes(annotation, to_picture)[:1] if value]
                out.fields += found
                if _is_white(None, annotation):
                    out.white += found
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return out


def _boxes(annotation: Any, to_picture: Affine) -> list[Box]:
    """The boxes of the parts of an annotation, one a line of text, or the box of the whole."""
    quad = pdfium.FS_QUADPOINTSF()
    boxes = []
    for i in range(min(100, pdfium.FPDFAnnot_CountAttachmentPoints(annotation))):
        if pdfium.FPDFAnnot_GetAttachmentPoints(annotation, i, byref(quad)):
            corners = (quad.x1, quad.y1), (quad.x2, quad.y2), (quad.x3, quad.y3), (quad.x4, quad.y4)
            boxes.append(around(to_picture(x, y) for x, y in corners))
    whole = pdfium.FS_RECTF()
    if not boxes and pdfium.FPDFAnnot_GetRect(annotation, byref(whole)):
        boxes.append(around([to_picture(whole.left, whole.bottom), to_picture(whole.right, whole.top)]))
    return [box for box in boxes if box[0] < box[2] and box[1] < box[3]]


def _address(document: Any, annotation: Any) -> str:
    """Where a link leads in the world; "" for a link within the document."""
    link = pdfium.FPDFAnnot_GetLink(annotation)
    action = pdfium.FPDFLink_GetAction(link) if link else None
    if not action or pdfium.FPDFAction_GetType(action) != pdfium.PDFACTION_URI:
        return ""
    length = pdfium.FPDFAction_GetURIPath(document, action, None, 0)
    if not 1 < length <= 4096:
        return ""
    room = create_string_buffer(length)
    pdfium.FPDFAction_GetURIPath(document, action, room, length)
    return "".join(c for c in room.value.decode("utf-8", "replace").strip() if c.isprintable())


def _value(forms: Any, annotation: Any) -> str:
    """What a field says: `[x]` or `[ ]` for a box to tick, else its value, "" for a password and for a button."""
    kind = pdfium.FPDFAnnot_GetFormFieldType(forms, annotation)
    if kind in TICKS:
        state = _text(lambda room, n: pdfium.FPDFAnnot_GetStringValue(annotation, b"AS", room, n))
        ticked = state != "Off" if state else pdfium.FPDFAnnot_IsChecked(forms, annotation)
        return TICKED if ticked else EMPTY
    if kind not in VALUES or pdfium.FPDFAnnot_GetFormFieldFlags(forms, annotation) & PASSWORD:
        return ""
    if kind == pdfium.FPDF_FORMFIELD_LISTBOX:
        return ", ".join(_labels(forms, annotation))
    value = _text(lambda room, n: pdfium.FPDFAnnot_GetFormFieldValue(forms, annotation, room, n))
    if kind == pdfium.FPDF_FORMFIELD_COMBOBOX:  # it may be a code, for which a label is shown
        return next(_labels(forms, annotation), value)
    return value


def _labels(forms: Any, annotation: Any) -> Iterator[str]:
    """What a person sees of the options of a field that are chosen."""
    for i in range(min(1000, pdfium.FPDFAnnot_GetOptionCount(forms, annotation))):
        if pdfium.FPDFAnnot_IsOptionSelected(forms, annotation, i):
            yield _text(lambda room, n, i=i: pdfium.FPDFAnnot_GetOptionLabel(forms, annotation, i, room, n))  # type: ignore[misc]


def _is_drawn(annotation: Any) -> bool:
    """Whether the file says how an annotation looks (PDF 32000-1, 12.5.5)."""
    return bool(pdfium.FPDFAnnot_GetAP(annotation, pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0) > 2)


def _is_white(forms: Any, annotation: Any) -> bool:
    """Whether the type of a field is white, by its default appearance (PDF 32000-1, 12.7.3.3)."""
    red, green, blue = c_uint(), c_uint(), c_uint()
    if forms and pdfium.FPDFAnnot_GetFontColor(forms, annotation, byref(red), byref(green), byref(blue)):
        return min(red.value, green.value, blue.value) > WHITE
    said = COLOUR.findall(_text(lambda room, n: pdfium.FPDFAnnot_GetStringValue(annotation, b"DA", room, n)))
    if not said:
        return False
    parts = [float(part) for part in said[-1][0].split()]
    return max(parts) < 1 - WHITE / 255 if said[-1][1] == "k" else min(parts) > WHITE / 255


def _text(ask: Callable[[Any, int], int]) -> str:
    """The text that a function of PDFium writes into a room of so many bytes; it returns how many it needs."""
    length = ask(None, 0)
    if not 2 < length <= 1 << 16:
        return ""
    room = (c_ushort * (length // 2))()
    ask(room, length)
    return bytes(room).decode("utf-16-le", "replace").split("\0", 1)[0].strip()
