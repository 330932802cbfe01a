"""The engine `text`: it takes a PDF's own text layer, and has read what the layer leaves out or seems to have wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from microfiche.documents import unread
from microfiche.documents.boxes import area, clipped, joined, rounded, share
from microfiche.documents.document import Block, PageRead
from microfiche.documents.inline import markdown, unmarked
from microfiche.documents.layer_lines import hidden_of, lines_of, turned_lines
from microfiche.documents.layout import blocks, figures, needs_regions
from microfiche.documents.pictured_text import STRIPS
from microfiche.documents.rapid import regions
from microfiche.documents.sheet import Sheet
from microfiche.documents.soundness import Doubts, doubts
from microfiche.documents.text_lines import TextLine
from microfiche.documents.turning import Turn, box_on_page, turn_of, upright
from microfiche.page import Box

SOUND = "a sound text layer"
AGREES = "a text layer behind the scan, which agrees with it"
WORD = re.compile(r"\w{2,}")
UNKNOWN = "\ufffd"  #: stands for a character that the file does not name
RIGHT = 0.5  #: the share of a doubted layer's words that are read on the picture as well, if it is right
ALIKE = 0.9  #: the same of a layer behind a scan, which is OCR by others
SAMPLE = 0.06  #: of the page's height that a sample of a part takes
AROUND = 4  #: px that are read around a part of the page
PAGE = 0.5  #: of the page: a picture with text that is larger is a scan, a smaller one a figure


@runtime_checkable
class LineEngine(Protocol):
    """An engine that can also read the lines of any upright picture, such as a part of a page."""

    @property
    def name(self) -> str:
        """What it is called in documents."""
        ...

    def lines(self, picture: Image.Image) -> list[TextLine]:
        """The lines on an upright picture, with boxes in its pixels."""
        ...


@dataclass(frozen=True)
class Layer:
    """A sheet whose text stands upright after it was turned back by `turn`, and what speaks against its text layer."""

    sheet: Sheet
    turn: Turn
    found: Doubts


def layer_of(sheet: Sheet) -> Layer:
    """The text layer of a sheet, upright, and what speaks against it."""
    turn = turn_of(sheet.text) if sheet.text is not None and sheet.picture is not None else 0
    standing = upright(sheet, turn)
    return Layer(standing, turn, doubts(standing))


def judged(layer: Layer, scans: object) -> tuple[str, str]:
    """Why a text layer is of no use ("" if it is of use), and why it is taken if it is. Where its words are in doubt, a
    few of them are compared with what `scans` reads there, if that can read parts of a page."""
    found = layer.found
    if not found.compare or not isinstance(scans, LineEngine):
        return found.unusable or (found.why if found.compare else ""), SOUND
    if found.behind:
        whole = not found.unread and _agreement(shown(layer.sheet), found.compare, scans) >= ALIKE
        return ("", AGREES) if whole else (found.unusable, "")
    agreement = _agreement(layer.sheet, found.compare, scans)
    return ("", SOUND) if agreement >= RIGHT else (found.unusable or found.why, "")


def shown(sheet: Sheet) -> Sheet:
    """The sheet with the text that stands behind its scan as if it were drawn."""
    layer = sheet.text
    if layer is None:
        return sheet
    everything = np.ones(len(layer.text), bool)
    return replace(sheet, text=replace(layer, invisible=~everything, seen=everything))


def _agreement(sheet: Sheet, parts: Sequence[Box], scans: LineEngine) -> float:
    """The share of the words of a text layer that `scans` reads in the same place: the least one of samples from the
    top, the middle and the foot of three of the `parts` at most."""
    assert sheet.picture is not None
    lines = lines_of(sheet)
    size = sheet.picture.size
    high = SAMPLE * size[1]
    shares = []
    for left, top, right, bottom in sorted(parts, key=area, reverse=True)[:3]:
        middle = (top + bottom - high) / 2
        for start in sorted({top, *((middle, bottom - high) if bottom - top > 3 * high else ())}):
            cut = clipped((left - AROUND, start - AROUND, right + AROUND, min(bottom, start + high) + AROUND), size)
            inside = [line for line in lines if share(line.box, cut) > 0.95]
            words = {word.lower() for line in inside for word in WORD.findall(unmarked(line.text))}
            if words:
                read = scans.lines(sheet.picture.crop(rounded(cut)))
                given = {word.lower() for line in read for word in WORD.findall(unmarked(line.text))}
                shares.append(len(words & given) / len(words))
    return min(shares, default=0.0)


class TextEngine:
    """Reads sheets by their text layer. `scans`, if it is an engine that reads lines, reads the parts of a page whose
    text the layer does not have."""

    name = "text"
    batch = 4

    def __init__(self, scans: object = None) -> None:
        self.scans = scans

    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]:
        """The blocks of each sheet, which has a picture; partial or failed where its text layer is not sound or empty,
        or where something on the page was not read."""
        return [self._read(sheet) for sheet in sheets]

    def _read(self, sheet: Sheet) -> PageRead:
        layer = layer_of(sheet)
        standing = shown(layer.sheet) if layer.found.behind else layer.sheet
        picture = standing.picture
        assert picture is not None and sheet.picture is not None
        lines = lines_of(standing)
        added, wrong = self._added(standing, layer.found, lines)
        read = layer.found.unread
        page = picture.width * picture.height
        images = [
            box for box in joined(standing.image_boxes, STRIPS)
            if area(box) < PAGE * page or not any(share(part, box) > 0.5 for part in read)
        ]
        every = [*lines, *added]
        asked = bool(every) and needs_regions(every, standing.rules, images, standing.drawings)
        hints = regions(picture) if asked else []
        images += figures(standing.drawings, every, picture.size)
        laid = blocks(every, hints, picture, standing.rules, images)
        laid += [_alone(line, "text") for line in turned_lines(standing)]
        hidden = [] if layer.found.behind else [_alone(line, "hidden") for line in hidden_of(standing)]
        unknown = sum(line.text.count(UNKNOWN) for line in every)
        if unknown and not wrong:
            wrong = f"{_times(unknown, 'character')} without a Unicode value"
        size = sheet.picture.size
        return PageRead(
            number=sheet.number,
            width=size[0],
            height=size[1],
            engine=self.name,
            status="failed" if wrong and not laid else "partial" if wrong else "ok",
            reason=wrong,
            blocks=[_on_page(block, layer.turn, size) for block in [*laid, *hidden]],
        )

    def _added(self, sheet: Sheet, found: Doubts, lines: Sequence[TextLine]) -> tuple[list[TextLine], str]:
        """The lines on parts of a page that its text layer does not have, and why the page is not read whole."""
        assert sheet.picture is not None
        read_twice = found.behind and isinstance(self.scans, LineEngine)  # it was compared before it was chosen
        wrong = "" if read_twice else found.unusable or found.blank
        if not isinstance(self.scans, LineEngine):
            if found.unread and not wrong:
                wrong = f"text in {_times(len(found.unread), 'picture')} was not read"
            return [], wrong
        added: list[TextLine] = []
        for part in found.unread:
            left, top, right, bottom = part
            cut = clipped((left - AROUND, top - AROUND, right + AROUND, bottom + AROUND), sheet.picture.size)
            whole = rounded(cut)
            picture = sheet.picture.crop(whole)
            read = self.scans.lines(picture)
            missed = unread.wrong(read, picture)
            wrong = wrong or (missed and f"text in a picture: {missed}")
            for line in read:
                box = line.box[0] + whole[0], line.box[1] + whole[1], line.box[2] + whole[0], line.box[3] + whole[1]
                if not any(share(box, other.box) > 0.4 for other in lines):
                    added.append(replace(line, box=box, engine=self.scans.name))
        return added, wrong


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _alone(line: TextLine, kind: str) -> Block:
    text = unmarked(line.text) if kind == "hidden" else markdown(line.text)
    return Block.model_validate({"kind": kind, "box": rounded(line.box), "text": text, "confidence": line.confidence})


def _on_page(block: Block, turn: Turn, size: tuple[int, int]) -> Block:
    if turn == 0:
        return block
    return block.model_copy(update={"box": rounded(box_on_page(block.box, turn, size))})
