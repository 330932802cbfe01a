"""The map from the space of a PDF page to the pixels of its picture.

Knows nothing of what stands on the page.
"""

from __future__ import annotations

from ctypes import byref
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium


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

    def direction(self, x: Any, y: Any) -> tuple[Any, Any]:
        """The vector that the vector (x, y) becomes; both may be arrays."""
        return self.a * x + self.c * y, self.b * x + self.d * y

    def after(self, first: Affine) -> Affine:
        """The map that applies `first` and then this one."""
        a, b = self.direction(first.a, first.b)
        c, d = self.direction(first.c, first.d)
        e, f = self(first.e, first.f)
        return Affine(a, b, c, d, e, f)


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
