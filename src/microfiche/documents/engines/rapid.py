"""The engine `rapid`: RapidOCR (PP-OCR models, which its wheel holds) for scans, on the CPU, nothing downloaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from microfiche.documents.document import PageRead
from microfiche.documents.layout import blocks
from microfiche.documents.lines import Line, with_markers
from microfiche.documents.regions import regions
from microfiche.documents.sheet import Sheet
from microfiche.documents.wheels import from_wheel

UNSURE = 0.75  #: below this mean confidence a page is partial
STEEPEST = 5.0  #: degrees of tilt that are looked for
TYPE = 0.72  #: the height of type over that of the box that the detector draws around a line


class RapidEngine:
    """Reads sheets by RapidOCR, each page set straight first."""

    name = "rapid"
    batch = 4

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet, which has a picture; partial where the recogniser was unsure."""
        return [self._read(sheet) for sheet in sheets]

    def _read(self, sheet: Sheet) -> PageRead:
        picture = sheet.picture
        assert picture is not None
        angle = tilt(picture)
        straight = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor="white") if angle else picture
        found = _model()(np.asarray(straight)[..., ::-1])
        lines = []
        for corners, text, score in zip(found.boxes if found.boxes is not None else (), found.txts or (),
                                        found.scores or (), strict=True):
            (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
            if text.strip():
                lines.append(Line(text.strip(), (left, top, right, bottom), TYPE * (bottom - top),
                                  confidence=float(score)))
        marked = with_markers(lines)
        laid = blocks(marked, regions(straight) if lines else [], straight)
        laid = [block.model_copy(update={"box": _turned(block.box, angle, picture.size)}) for block in laid]
        page = PageRead(
            number=sheet.number, width=picture.width, height=picture.height, engine=self.name, blocks=laid
        )
        sure = sum(x.confidence * len(x.text) for x in lines) / max(1, sum(len(x.text) for x in lines))
        if lines and sure < UNSURE:
            return page.model_copy(update={"status": "partial", "reason": f"low confidence, {sure:.2f} on average"})
        return page


def _turned(box: tuple[int, int, int, int], degrees: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box, on the page as it was, around `box` on the page turned counter-clockwise about its centre."""
    if not degrees:
        return box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x0, y0 = size[0] / 2, size[1] / 2
    corners = [(x - x0, y - y0) for x in (box[0], box[2]) for y in (box[1], box[3])]
    x, y = [cos * a - sin * b + x0 for a, b in corners], [sin * a + cos * b + y0 for a, b in corners]
    return max(0, round(min(x))), max(0, round(min(y))), min(size[0], round(max(x))), min(size[1], round(max(y)))


def tilt(picture: Image.Image) -> float:
    """Degrees to turn a page counter-clockwise so that its lines lie level: where the rows' profile is sharpest."""
    grey = picture.convert("L")
    grey.thumbnail((1000, 1000), Image.Resampling.BOX)
    ink = 255 - np.asarray(grey, np.float32)
    ink = np.maximum(ink - ink.mean() - ink.std(), 0)
    y, x = np.nonzero(ink)
    weight = ink[y, x]
    if len(x) < 200:
        return 0.0

    def sharpness(degrees: float) -> float:
        rows = np.rint(y - x * math.tan(math.radians(degrees))).astype(np.int64)
        profile = np.bincount(rows - rows.min(), weight)
        return float((np.diff(profile) ** 2).sum())

    coarse = max(np.arange(-STEEPEST, STEEPEST + 0.1, 0.5), key=sharpness)
    best = max(coarse + np.arange(-0.5, 0.51, 0.1), key=sharpness)
    worth = abs(best) >= 0.25 and sharpness(best) > 1.05 * sharpness(0.0)
    return float(best) if worth else 0.0


@cache
def _model() -> Any:
    return from_wheel("rapidocr", "RapidOCR", params={"Global.log_level": "error"})
