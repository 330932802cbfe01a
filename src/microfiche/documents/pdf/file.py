"""A PDF file, page by page, by PDFium: its pictures, its text with a box for each character, its images and rules.

Runs inside a worker process, as PDFium has no threads and may crash or hang. Runs no forms, no JavaScript, and opens
nothing that is embedded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from ctypes import byref, c_uint, cast
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from microfiche.documents.pdf.actual_text import keep_what_is_drawn
from microfiche.documents.pdf.annotations import EMPTY, TICKED, WHITE, Annotations, annotations_of
from microfiche.documents.pdf.borders import closed_up, implied
from microfiche.documents.pdf.characters import Characters
from microfiche.documents.pdf.drawing import Drawn, drawn_on
from microfiche.documents.pdf.plane import Affine, page_to_picture
from microfiche.documents.pdf.visibility import seen
from microfiche.documents.sheet import Field, Sheet, TextLayer
from microfiche.errors import InputError
from microfiche.limits import Limits

POINTS = 72  #: to an inch
NO_PAGE = "damaged: this page cannot be found in the file"
LARGE = 1584  #: px: the longer side of a page whose scan is never drawn finer than asked for, that of Letter at 144 dpi
OBJECTS = 100  #: of a page, among which its scan is looked for
SCAN = 0.5  #: of the page: an image that is larger is a scan of it


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
        """Page `number`, from 1, as a Sheet without its picture, and the pixels (H, W, 3) of that, drawn at `dpi`; the
        scan of a small page is drawn finer, up to its own resolution, as its type may be small.

        InputError where the page cannot be read or is too large; that is known before anything is drawn.
        """
        width, height = self._size(number, dpi)
        if max(width, height) < LARGE:
            dpi = max(dpi, min(self._resolution(number), dpi * LARGE / max(width, height)))
            width, height = self._size(number, dpi)
        page, notes = self._load(number, width, height)
        try:
            to_picture = page_to_picture(page, width, height)
            pixels = _draw(page, width, height)
            drawn = drawn_on(page, to_picture, dpi / POINTS, (width, height))
            keep_what_is_drawn(self._pdf, page, list(drawn.strings))
            text = text_layer(page, to_picture, drawn, pixels, dpi / POINTS)
        finally:
            pdfium.FPDF_ClosePage(page)
        shown = text.seen
        rules = closed_up(drawn.rules, dpi / POINTS)
        rules += implied(rules, drawn.grounds, text.ink[shown], text.sizes[shown], dpi / POINTS)
        sheet = Sheet(
            number, None, text, drawn.images, rules, dpi, drawings=drawn.drawings, grounds=drawn.grounds,
            bars=drawn.bars, rounds=drawn.rounds,
            links=notes.links, struck=notes.struck, fields=_visible(notes, text, pixels),
        )  # fmt: skip
        return sheet, pixels

    def _load(self, number: int, width: int, height: int) -> tuple[Any, Annotations]:
        page = pdfium.FPDF_LoadPage(self._pdf, number - 1)
        if not page:
            raise InputError(NO_PAGE)
        notes = annotations_of(self._pdf, self._forms, page, page_to_picture(page, width, height))
        if notes.shown:
            # What was filled in becomes content of the page, in memory: it is neither drawn nor text otherwise.
            pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
            pdfium.FPDF_ClosePage(page)
            page = pdfium.FPDF_LoadPage(self._pdf, number - 1)
        if not page:
            raise InputError(NO_PAGE)
        return page, notes

    def _resolution(self, number: int) -> float:
        """The px an inch of a scan that covers most of a page; 0 where there is none."""
        page = pdfium.FPDF_LoadPage(self._pdf, number - 1)
        if not page:
            raise InputError(NO_PAGE)
        found = 0.0
        try:
            whole = pdfium.FPDF_GetPageWidthF(page) * pdfium.FPDF_GetPageHeightF(page)
            for i in range(min(pdfium.FPDFPage_CountObjects(page), OBJECTS)):
                image = pdfium.FPDFPage_GetObject(page, i)
                if pdfium.FPDFPageObj_GetType(image) != pdfium.FPDF_PAGEOBJ_IMAGE:
                    continue
                across, down, own = c_uint(), c_uint(), pdfium.FS_MATRIX()
                pdfium.FPDFPageObj_GetMatrix(image, byref(own))
                covered = abs(own.a * own.d - own.b * own.c)  # square points
                if covered > SCAN * whole and pdfium.FPDFImageObj_GetImagePixelSize(image, byref(across), byref(down)):
                    found = max(found, POINTS * math.sqrt(across.value * down.value / covered))
        finally:
            pdfium.FPDF_ClosePage(page)
        return found

    @cached_property
    def _forms(self) -> Any:
        """The handle of the file's forms, which runs none of their scripts; None if it has no forms."""
        with suppress(pypdfium2.PdfiumError):
            self._pdf.init_forms()
        return self._pdf.formenv and self._pdf.formenv.raw

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


def _draw(page: Any, width: int, height: int) -> NDArray[np.uint8]:
    pixels = np.full((height, width, 3), 255, np.uint8)
    bitmap = pdfium.FPDFBitmap_CreateEx(width, height, pdfium.FPDFBitmap_BGR, pixels.ctypes.data, width * 3)
    flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    pdfium.FPDFBitmap_Destroy(bitmap)
    return pixels


def _visible(notes: Annotations, text: TextLayer, pixels: NDArray[np.uint8]) -> list[Field]:
    """The fields without those whose type is white on a white ground, and those of which the layer of a page has only
    signs that nobody sees."""
    x, y = (text.ink[:, 0] + text.ink[:, 2]) / 2, (text.ink[:, 1] + text.ink[:, 3]) / 2
    signs = np.array([not c.isspace() for c in text.text], bool)
    hidden = []
    for one in notes.fields:
        left, top, right, bottom = one.box
        inside = signs & (x > left) & (x < right) & (y > top) & (y < bottom)
        if one.text in (TICKED, EMPTY):
            continue
        ground = pixels[max(0, int(top)) : math.ceil(bottom), max(0, int(left)) : math.ceil(right)]
        on_white = one in notes.white and ground.size and np.median(ground.reshape(-1, 3), axis=0).min() > WHITE
        drawn, seen = (False, False) if one.typed else (inside.any(), (inside & text.seen).any())
        if (on_white or drawn) and not seen:
            hidden.append(one)
    return [one for one in notes.fields if one not in hidden]


def text_layer(page: Any, to_picture: Affine, drawn: Drawn, pixels: NDArray[np.uint8], scale: float) -> TextLayer:
    """The text of an open page that `to_picture` maps to its picture, `pixels` (H, W, 3) at `scale` px a point;
    InputError where it cannot be read."""
    characters = Characters(page, to_picture)

    def without(strings: Sequence[int]) -> NDArray[np.uint8]:
        handles = [cast(string, pdfium.FPDF_PAGEOBJECT) for string in strings]
        for handle in handles:
            pdfium.FPDFPageObj_SetIsActive(handle, False)
        other = _draw(page, pixels.shape[1], pixels.shape[0])
        for handle in handles:
            pdfium.FPDFPageObj_SetIsActive(handle, True)
        return other

    visible = seen(characters.layer, characters.colours, characters.strings, drawn, pixels, scale, without)
    return replace(characters.layer, seen=visible)
