"""A PDF file, page by page, by PDFium. Runs inside a worker process: PDFium has no threads and may crash or hang.

Draws pages and reads what stands on them. Runs no forms, no JavaScript, and opens nothing that is embedded.
"""

from __future__ import annotations

import math
from ctypes import byref
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.affine import Affine
from microfiche.documents.pdf_objects import image_boxes_and_rules
from microfiche.documents.pdf_text import text_layer
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError
from microfiche.limits import Limits

POINTS = 72  # to an inch
NO_PAGE = "damaged: this page cannot be found in the file"


class PdfFile:
    """An open PDF; `pages` is how many it says it has, `repaired` that its table of objects was damaged."""

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
    """The map from an open page's own space to a picture of it of that size, in px from its upper left corner."""
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
