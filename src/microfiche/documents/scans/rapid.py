"""RapidOCR for scans, on the CPU, with the models in its wheel: nothing is downloaded.

The engine `rapid` sets a page straight before it reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import WholeBox, rounded, share, share_of_smaller
from microfiche.documents.document import Block, PageRead
from microfiche.documents.layout.blocks import blocks
from microfiche.documents.scans import tesseract
from microfiche.documents.scans.ink import Ink
from microfiche.documents.scans.orientation import Seen, look, straight
from microfiche.documents.scans.recognition import Recogniser, recognise
from microfiche.documents.scans.regions import regions
from microfiche.documents.scans.scan_formulas import formulas_in
from microfiche.documents.scans.scan_lines import lines_of
from microfiche.documents.scans.scan_rules import beside_words, rules_in
from microfiche.documents.scans.screens import listing_on
from microfiche.documents.scans.unread import foreign, lacking, wrong_in
from microfiche.documents.sheet import Sheet
from microfiche.documents.tables.grid import ruled
from microfiche.documents.text_layer.blanks import with_blanks
from microfiche.documents.text_layer.turning import BACK, Turn, box_on_page, box_upright
from microfiche.documents.text_lines import Region, TextLine, with_markers
from microfiche.page import Box

#: Hears of the lines that are read on a page, by its number: where each stands on it, how sure it is, and its text.
Heard = Callable[[int, list[tuple[WholeBox, float, str]]], None]
UNSURE = 0.75  #: below this mean confidence a page is partial
ALIKE = 0.7  #: of what speaks for RapidOCR's lines, that speaks for Tesseract's in a language whose letters it has
TURNS: tuple[Turn, ...] = (90, 270)  #: by which lines may stand turned beside upright ones
BESIDES = 0.15  #: of the ink of a figure, that is not of lines of text, at least
PLAIN = re.compile(r"[^\W\d_]{3,}|\d[\d.,:/]+")  #: words and numbers, as formulas have few
SPECK = 0.4  #: heights of letters like x, that a piece of such ink is long, at least
WORDY = 4  #: characters of a line that is known to stand turned, at least
LIKELY = 0.5  #: a line of a lower confidence is more likely wrong than right


def page_of_lines(
    number: int, engine: str, lines: Sequence[TextLine], picture: Image.Image, ink: Ink | None = None,
    rules: Sequence[Box] | None = None,
) -> PageRead:
    """The page that looks like `picture` (RGB), laid out from the lines that `engine` recognised on it; partial where
    their mean confidence, by characters, is low, and where its `ink`, if that is known, shows formulas. Its `rules` are
    looked for where they are not known."""
    rules = rules_in(picture) if rules is None else rules
    hints = regions(picture) if lines else []
    if ink is not None:
        hints = [hint for hint in hints if hint.kind not in ("figure", "formula") or not _is_text(hint, lines, ink)]
    taken = [*ruled(rules), *(hint.box for hint in hints if hint.kind in ("figure", "table"))]
    formulas, count = formulas_in(ink, lines, taken, rules) if ink is not None else ([], 0)
    hints = [hint for hint in hints if not any(share_of_smaller(hint.box, box) > 0.3 for box in formulas)]
    hints += [Region("formula", box, 1.0) for box in formulas]
    beside = _turned(lines, rules)
    upright = [line for line in lines if line not in beside]
    upright = with_blanks(with_markers(upright), beside_words(rules, upright))
    laid = blocks(upright, hints, picture, rules) if lines else []
    for turn in TURNS:
        laid += _laid_turned([line for line in beside if line.turn == turn], turn, picture)
    page = PageRead(number=number, width=picture.width, height=picture.height, engine=engine, blocks=laid)
    sure = sum(x.confidence * len(x.text) for x in lines) / max(1, sum(len(x.text) for x in lines))
    if lines and sure < UNSURE:
        return page.model_copy(update={"status": "partial", "reason": f"low confidence, {sure:.2f} on average"})
    if count:
        reason = "a formula was" if count == 1 else f"{count} formulas were"
        reason = f"{reason} not read as more than single signs"
        return page.model_copy(update={"status": "partial", "reason": reason})
    return page


def _is_text(hint: Region, lines: Sequence[TextLine], ink: Ink) -> bool:
    """Whether a region that a network takes for a figure or a formula holds lines that were read and next to no other
    ink; for a formula, lines mostly of words and numbers."""
    held = [line for line in lines if share(line.box, hint.box) > 0.5]
    text = "".join(line.text for line in held if line.confidence > UNSURE)
    if hint.kind == "formula" and 2 * sum(map(len, PLAIN.findall(text))) < len(text.replace(" ", "")):
        return False
    left, top, wide, high, area = ink.pieces[np.maximum(*ink.pieces.T[2:4]) > SPECK * ink.type].T
    x, y = left + wide / 2, top + high / 2
    inside = _holds(hint.box, x, y)
    read = np.zeros_like(inside)
    for line in held:
        read |= _holds(line.box, x, y)
    return bool(text) and bool(area[inside & ~read].sum() < BESIDES * area[inside].sum())


def _holds(box: Box, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3]), bool)


def _turned(lines: Sequence[TextLine], rules: Sequence[Box]) -> list[TextLine]:
    """The lines that stand turned beside those that are upright; those in the cells of a grid are part of that."""
    found = [line for line in lines if line.turn in TURNS and len(line.text) >= WORDY]
    grids = ruled(rules) if found else []
    return [line for line in found if not any(share(line.box, grid) > 0.5 for grid in grids)]


def _laid_turned(lines: Sequence[TextLine], turn: Turn, picture: Image.Image) -> list[Block]:
    """The blocks of lines that stand turned by `turn` on a picture."""
    if not lines:
        return []
    upright = [replace(line, box=box_upright(line.box, turn, picture.size), turn=0) for line in lines]
    return [
        block.model_copy(update={
            "kind": "list" if block.kind == "list" else "text",
            "size": None,
            "box": rounded(box_on_page(block.where, turn, picture.size)),
        })
        for block in blocks(with_markers(upright), [], picture.transpose(BACK[turn]))
    ]


class RapidEngine:
    """Reads sheets by RapidOCR's networks (PP-OCR), each page set upright and straight first; a page in a script that
    these cannot read, by Tesseract, where that is installed with a language that fits."""

    name = "rapid"
    batch = 4
    heard: Heard | None = None

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet, which has a picture; partial where something on it was not read, or not surely."""
        return [self._read(sheet) for sheet in sheets]

    def lines(self, picture: Image.Image) -> list[TextLine]:
        """The lines on an upright, straight RGB picture, but for those that are more likely wrong than right."""
        return self._lines(straight(picture))[1]

    def _read(self, sheet: Sheet) -> PageRead:
        assert sheet.picture is not None
        seen, lines = self._lines(look(sheet.picture, self._recogniser()))
        return page_of_seen(sheet, self.name, lines, seen, self.heard)

    def _recogniser(self) -> Recogniser:
        return recognise

    def _lines(self, seen: Seen) -> tuple[Seen, list[TextLine]]:
        lines = [line for line in lines_of(seen, self._recogniser()) if line.confidence > LIKELY]
        if fitting := tesseract.data_for(lacking(lines)):
            second = tesseract.read_in(seen.picture, fitting)
            return (seen, second) if _weight(second) > ALIKE * _weight(lines) else (seen, lines)
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
    heard: Heard | None = None

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
        return page_of_seen(sheet, self.name, lines, seen, self.heard)


def _weight(lines: Sequence[TextLine]) -> float:
    """How much speaks for lines: their characters, by how much more likely right than wrong they are."""
    return sum((line.confidence - LIKELY) * len(line.text) for line in lines)


def page_of_seen(
    sheet: Sheet, engine: str, lines: Sequence[TextLine], seen: Seen, heard: Heard | None = None
) -> PageRead:
    """The page of `sheet` from the lines that `engine` read on it once it was set upright and straight; partial where
    they are not all that stands there, or where they are unsure."""
    assert sheet.picture is not None
    if heard is not None:
        heard(sheet.number, [(seen.on_page(rounded(line.box)), line.confidence, line.text) for line in lines])
    listing = listing_on(lines, seen)
    if listing:
        lines, reason = listing.lines, listing.missing
        page = PageRead(number=sheet.number, engine=engine, blocks=[listing.block], reason=reason)
    else:
        page = page_of_lines(sheet.number, engine, lines, seen.picture, seen.ink, seen.rules)
    figures = [block.where for block in page.blocks if block.kind == "figure"]
    reason = wrong_in(lines, seen.ink, figures) or page.reason
    width, height = sheet.picture.size
    return page.model_copy(update={
        "status": "partial" if reason else "ok",
        "reason": reason,
        "width": width,
        "height": height,
        "blocks": [
            block.model_copy(update={
                "box": seen.on_page(block.where),
                "engine": None if block.engine == engine else block.engine,
            })
            for block in page.blocks
        ],
    })
