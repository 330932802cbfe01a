"""A PDF file, page by page, by PDFium: its pictures, its text with a box for each character, its images and rules.

Runs inside a worker process, as PDFium has no threads and may crash or hang. Runs no forms, no JavaScript, and opens
nothing that is embedded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from ctypes import addressof, byref, c_double, c_float, c_int, c_uint, create_string_buffer
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.boxes import around, clipped
from microfiche.documents.sheet import Font, Sheet, TextLayer
from microfiche.errors import InputError
from microfiche.limits import Limits
from microfiche.page import Box

POINTS = 72  #: to an inch
NO_PAGE = "damaged: this page cannot be found in the file"
HYPHENS = (0x02, 0xFFFE)  #: what PDFium gives for a hyphen that divides a word at a line's end
INVISIBLE = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)
THIN = 2.5  #: points: what is drawn thicker than this is no rule
SHORT = 4.0  #: points: what is shorter is no rule
DRAWING = 1000  #: a path of more segments is a drawing, not a table
DEPTH = 15  #: forms within forms


@dataclass(frozen=True)
class Affine:
    """A map of the plane, as a PDF's matrices write it: x' = a·x + c·y + e, y' = b·x + d·y + f."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def __call__(self, x: Any, y: Any) -> tuple[Any, Any]:
        """The point that the point (x, y) becomes; both may be arrays."""
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def direction(self, x: float, y: float) -> tuple[float, float]:
        """The vector that the vector (x, y) becomes."""
        return self.a * x + self.c * y, self.b * x + self.d * y

    def after(self, first: Affine) -> Affine:
        """The map that applies `first` and then this one."""
        a, b = self.direction(first.a, first.b)
        c, d = self.direction(first.c, first.d)
        e, f = self(first.e, first.f)
        return Affine(a, b, c, d, e, f)


class PdfFile:
    """An open PDF; `pages` is how many it says it has, `repaired` whether its table of objects was damaged."""

    def __init__(self, source: Path | bytes, password: str | None, limits: Limits) -> None:
        """Raises InputError, without the file's name: encrypted, damaged, no pages, too many pages."""
        self._limits = limits
        try:
            self._pdf = pypdfium2.PdfDocument(source, password=password)
        except pypdfium2.PdfiumError as error:
            raise InputError(_refusal(error.err_code, password)) from error
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror or 'it is no longer there'})") from error
        self.pages = len(self._pdf)
        if self.pages > limits.pages:
            raise InputError(f"says it has {self.pages:,} pages; the limit pages is {limits.pages:,}")
        self.repaired = not pdfium.FPDF_DocumentHasValidCrossReferenceTable(self._pdf)

    def sheet(self, number: int, dpi: float) -> tuple[Sheet, NDArray[np.uint8]]:
        """Page `number`, from 1, as a Sheet without its picture, and the pixels (H, W, 3) of that, drawn at `dpi`.

        InputError where the page cannot be read or is too large; that is known before anything is drawn.
        """
        width, height = self._size(number, dpi)
        page = self._load(number)
        try:
            pixels = _draw(page, width, height)
            to_picture = page_to_picture(page, width, height)
            image_boxes, rules = image_boxes_and_rules(page, to_picture, dpi / POINTS, (width, height))
            text = text_layer(page, to_picture)
        finally:
            pdfium.FPDF_ClosePage(page)
        return Sheet(number, None, text, image_boxes, rules, dpi), pixels

    def _load(self, number: int) -> Any:
        page = pdfium.FPDF_LoadPage(self._pdf, number - 1)
        if page and _has_form_fields(page):
            # What was filled in becomes content of the page, in memory: it is neither drawn nor text otherwise.
            pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
            pdfium.FPDF_ClosePage(page)
            page = pdfium.FPDF_LoadPage(self._pdf, number - 1)
        if not page:
            raise InputError(NO_PAGE)
        return page

    def _size(self, number: int, dpi: float) -> tuple[int, int]:
        # From the page's dictionary alone: its content is not touched.
        size = pdfium.FS_SIZEF()
        if not pdfium.FPDF_GetPageSizeByIndexF(self._pdf, number - 1, byref(size)):
            raise InputError(NO_PAGE)
        width, height = size.width * dpi / POINTS, size.height * dpi / POINTS
        if not (math.isfinite(width * height) and width > 0 and height > 0):
            raise InputError(f"damaged: this page is {size.width:g} × {size.height:g} points")
        if width * height > self._limits.pixels:
            raise InputError(
                f"{size.width:,.0f} × {size.height:,.0f} points at {dpi:g} dpi are {width * height:,.0f} pixels; "
                f"the limit pixels is {self._limits.pixels:,}"
            )
        return max(1, round(width)), max(1, round(height))

    def close(self) -> None:
        """Closes the file."""
        self._pdf.close()


def _refusal(code: int | None, password: str | None) -> str:
    if code == pdfium.FPDF_ERR_PASSWORD:
        return "encrypted; give its password" if password is None else "encrypted, and this is not its password"
    if code == pdfium.FPDF_ERR_SECURITY:
        return "encrypted in a way that cannot be read"
    if code == pdfium.FPDF_ERR_SUCCESS:
        return "has no pages"
    return "damaged or cut short: not a whole PDF"


def _has_form_fields(page: Any) -> bool:
    for i in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, i)
        subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)
        if subtype == pdfium.FPDF_ANNOT_WIDGET:
            return True
    return False


def _draw(page: Any, width: int, height: int) -> NDArray[np.uint8]:
    pixels = np.full((height, width, 3), 255, np.uint8)
    bitmap = pdfium.FPDFBitmap_CreateEx(width, height, pdfium.FPDFBitmap_BGR, pixels.ctypes.data, width * 3)
    flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    pdfium.FPDFBitmap_Destroy(bitmap)
    return pixels


def page_to_picture(page: Any, width: float, height: float) -> Affine:
    """The map from an open page's own space to a picture of it of this size, in px from its upper left corner."""
    box = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page, byref(box))
    quarter_turns = pdfium.FPDFPage_GetRotation(page)
    x, y = box.right - box.left, box.top - box.bottom
    if quarter_turns % 2:
        x, y = y, x
    sx, sy = width / x, height / y
    match quarter_turns:
        case 1:
            return Affine(0, sy, sx, 0, -box.bottom * sx, -box.left * sy)
        case 2:
            return Affine(-sx, 0, 0, sy, box.right * sx, -box.bottom * sy)
        case 3:
            return Affine(0, -sy, -sx, 0, box.top * sx, box.right * sy)
        case _:
            return Affine(sx, 0, 0, -sy, -box.left * sx, box.top * sy)


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
    """What all characters of a text object share; the defaults are for characters that no object drew."""

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
    """(T, 4) the boxes that hold the ink and, for upright text (where PDFium knows it), the height of the line."""
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


def image_boxes_and_rules(
    page: Any, to_picture: Affine, scale: float, size: tuple[int, int]
) -> tuple[list[Box], list[Box]]:
    """The boxes of raster images, clipped to a picture of `size` px at `scale` px a point, and the rules."""
    image_boxes: list[Box] = []
    rules: list[Box] = []
    for obj, kind, matrix in _walk(page, to_picture):
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            box = clipped(around([matrix(x, y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]), size)
            if box[0] < box[2] and box[1] < box[3]:
                image_boxes.append(box)
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            rules += [r for rule in _rules(obj, matrix, scale) if (r := clipped(rule, size))[:2] != r[2:]]
    return image_boxes, rules


def _walk(page: Any, to_picture: Affine) -> Iterator[tuple[Any, int, Affine]]:
    """Every image and path, with its kind and the matrix that maps it to the picture; those inside forms too."""
    count, get = pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject
    holders = [(page, to_picture, count, get, 0)]
    while holders:
        holder, outer, count, get, depth = holders.pop()
        for i in range(count(holder)):
            obj = get(holder, i)
            kind = pdfium.FPDFPageObj_GetType(obj)
            if kind not in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_FORM):
                continue
            own = pdfium.FS_MATRIX()
            pdfium.FPDFPageObj_GetMatrix(obj, byref(own))
            matrix = outer.after(Affine(own.a, own.b, own.c, own.d, own.e, own.f))
            if kind != pdfium.FPDF_PAGEOBJ_FORM:
                yield obj, kind, matrix
            elif depth < DEPTH:
                inside = pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject
                holders.append((obj, matrix, *inside, depth + 1))


def _rules(path: Any, matrix: Affine, scale: float) -> Iterator[Box]:
    fill, stroke, width = c_int(), c_int(), c_float()
    pdfium.FPDFPath_GetDrawMode(path, byref(fill), byref(stroke))
    segments = pdfium.FPDFPath_CountSegments(path)
    if segments > DRAWING:
        return
    pdfium.FPDFPageObj_GetStrokeWidth(path, byref(width))
    thickness = width.value * math.hypot(*matrix.direction(1, 0))
    for points, curved in _outlines(path, segments, matrix):
        if curved:
            continue
        if stroke.value and thickness <= THIN * scale:
            for (x0, y0), (x1, y1) in pairwise(points):
                yield from _line(x0, y0, x1, y1, scale)
        elif fill.value and len(points) in (4, 5):
            x0, y0, x1, y1 = around(points)
            if all(min(x - x0, x1 - x) < 0.5 and min(y - y0, y1 - y) < 0.5 for x, y in points):
                if y1 - y0 <= min(THIN * scale, x1 - x0):
                    yield from _line(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, scale)
                elif x1 - x0 <= THIN * scale:
                    yield from _line((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, scale)


def _line(x0: float, y0: float, x1: float, y1: float, scale: float) -> Iterator[Box]:
    if abs(y0 - y1) < 0.5 and abs(x0 - x1) >= SHORT * scale:
        yield min(x0, x1), (y0 + y1) / 2, max(x0, x1), (y0 + y1) / 2
    elif abs(x0 - x1) < 0.5 and abs(y0 - y1) >= SHORT * scale:
        yield (x0 + x1) / 2, min(y0, y1), (x0 + x1) / 2, max(y0, y1)


def _outlines(path: Any, segments: int, matrix: Affine) -> Iterator[tuple[list[tuple[float, float]], bool]]:
    """The points of each stretch of a path that is drawn without lifting the pen, and whether it bends."""
    x, y = c_float(), c_float()
    points: list[tuple[float, float]] = []
    curved = False
    for i in range(segments):
        segment = pdfium.FPDFPath_GetPathSegment(path, i)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, byref(x), byref(y))
        if kind == pdfium.FPDF_SEGMENT_MOVETO and points:
            yield points, curved
            points, curved = [], False
        curved |= kind == pdfium.FPDF_SEGMENT_BEZIERTO
        points.append(matrix(x.value, y.value))
        if pdfium.FPDFPathSegment_GetClose(segment) and points[-1] != points[0]:
            points.append(points[0])
    if points:
        yield points, curved
