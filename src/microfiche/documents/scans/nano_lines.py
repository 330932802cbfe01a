"""Scans read by nano-pages: alone (the engine `nano`), or with RapidOCR's recogniser for the lines of which it is
unsure (`nano-rapid`).

The lines are those that RapidOCR's detector finds, which also tells which way up a page is. Their pictures are set on a
galley (nano/galley.py) with type of the size that nano-pages reads best, and are read there all at once. How sure it is
of a line is calibrated: the confidence of a line is the share of its characters that are right on pages like it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate

import cv2
import numpy as np

from microfiche.documents.document import PageRead
from microfiche.documents.finishing.languages import language_of
from microfiche.documents.scans.line_pieces import TYPE
from microfiche.documents.scans.lost_signs import text_of
from microfiche.documents.scans.orientation import Seen
from microfiche.documents.scans.rapid import LIKELY, RapidEngine
from microfiche.documents.scans.recognition import Pixels, Recognised, Recogniser, recognise
from microfiche.documents.scans.scan_lines import lines_of
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_lines import TextLine
from microfiche.nano.galley import Strip, strip
from microfiche.nano.print import PrintModel
from microfiche.nano.tracing import TracedLine
from microfiche.nano.zoom import read_strips

SIZE = 14.0  #: px an em, at most, of the type that is read; smaller type stays as it is
LONGEST = 120_000  #: px that the lines on one galley are long together, at most
#: How sure nano-pages is of the least sure fifth of a line's characters, and the share of all that are right, on 24
#: scans of held-out pages (docs/nano.md).
CALIBRATED = ((0.0, 0.4, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0), (0.0, 0.1, 0.7, 0.84, 0.91, 0.965, 0.995, 1.0))
SURE = 0.972  #: confidence below which RapidOCR reads a line again
#: Languages whose letters nano-pages knows, and those of texts that are too short to tell.
KNOWN = ("", "en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "fi")


def recogniser_of(model: PrintModel) -> Recogniser:
    """`model` as a recogniser of pictures of one line."""

    def recognised(parts: Sequence[Pixels]) -> list[Recognised]:
        found = [Recognised("", np.empty(0, np.float32), np.empty(0, np.float32), "nano") for _ in parts]
        strips = {i: one for i, part in enumerate(parts) if (one := _strip(part)) is not None}
        for some in _galleys(strips):
            for i, line in read_strips(model, {i: strips[i] for i in some}).items():
                width = parts[i].shape[1]
                places = (line.boxes[:, 0] + line.boxes[:, 2]) / 2 / width
                right = float(np.interp(line.least_sure, *CALIBRATED))
                sure = line.confidence * (right / max(float(line.confidence.mean()), 1e-6))
                found[i] = Recognised(
                    line.text, sure.clip(0, 1).astype(np.float32), places.clip(0, 1).astype(np.float32), "nano"
                )
        return found

    return recognised


def _strip(part: Pixels) -> Strip | None:
    """The picture of a line as a strip for a galley; None where there is no ink."""
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY), np.uint8)
    if 2 * int(np.median(grey)) < int(grey.min()) + int(grey.max()):  # light on dark
        grey = 255 - grey
    height, width = grey.shape
    around = height // 2  # so that a rule beside the line goes on beyond it
    grey = np.pad(grey, ((around, around), (0, 0)), mode="edge")
    size = TYPE * height
    return strip(grey, TracedLine(0.0, float(width), around + height / 2, 0.0, size), min(SIZE, size))


def _galleys(strips: dict[int, Strip]) -> Iterator[list[int]]:
    """The numbers of strips, divided so that those of one galley are not too long."""
    lengths = accumulate(one.picture.shape[1] for one in strips.values())
    some: list[int] = []
    number = 0
    for i, length in zip(strips, lengths, strict=True):
        if length // LONGEST > number and some:
            yield some
            some, number = [], length // LONGEST
        some.append(i)
    if some:
        yield some


class NanoEngine(RapidEngine):
    """Reads sheets by nano-pages, line by line, each page set upright and straight first; only the detector of
    RapidOCR says where lines are."""

    name = "nano"

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    @cached_property
    def model(self) -> PrintModel:
        """nano-pages, loaded when it is first asked for."""
        from microfiche.readers import load

        model = load("nano-pages", self.device)
        assert isinstance(model, PrintModel)
        return model

    @cached_property
    def _nano(self) -> Recogniser:
        return recogniser_of(self.model)

    def _recogniser(self) -> Recogniser:
        return self._nano

    def _read(self, sheet: Sheet) -> PageRead:
        page = super()._read(sheet)
        code = language_of(" ".join(block.text for block in page.blocks if block.engine is None))
        if page.status != "ok" or code in KNOWN:
            return page
        reason = f"letters may be lost: nano does not know all those of the language that this seems to be ({code})"
        return page.model_copy(update={"status": "partial", "reason": reason})

    def _lines(self, seen: Seen) -> tuple[Seen, list[TextLine]]:
        lines = lines_of(replace(seen, known={}), self._recogniser())
        return seen, [line for line in lines if line.confidence > LIKELY]


class CascadeEngine(NanoEngine):
    """Reads sheets by nano-pages, and by RapidOCR's recogniser those lines of which nano-pages is unsure, or all of
    them in a language that it does not know; a page in a script that neither can read, by Tesseract, as RapidEngine."""

    name = "nano-rapid"

    def _recogniser(self) -> Recogniser:
        return self._read_by_both

    def _lines(self, seen: Seen) -> tuple[Seen, list[TextLine]]:
        return RapidEngine._lines(self, replace(seen, known={}))

    def _read_by_both(self, parts: Sequence[Pixels]) -> list[Recognised]:
        found = self._nano(parts)
        known = language_of(text_of(found)) in KNOWN
        unsure = [i for i, line in enumerate(found) if not known or line.confidence < SURE]
        for i, line in zip(unsure, recognise([parts[i] for i in unsure]), strict=True):
            found[i] = replace(line, engine="rapid")
        return found
