"""The engine `text`: it takes a PDF's own text layer, and has read what the layer leaves out or seems to have wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from microfiche.documents.boxes import area, clipped, joined, rounded, share, touch
from microfiche.documents.document import Block, PageRead
from microfiche.documents.inline import markdown, unmarked
from microfiche.documents.layout.blocks import blocks, needs_regions
from microfiche.documents.layout.panels import figures
from microfiche.documents.scans import unread
from microfiche.documents.scans.regions import regions
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_layer.combs import with_combs
from microfiche.documents.text_layer.layer_lines import hidden_of, lines_of, sideways, turned_lines
from microfiche.documents.text_layer.pictured_text import STRIPS
from microfiche.documents.text_layer.soundness import Doubts, doubts
from microfiche.documents.text_layer.turning import Turn, box_on_page, turn_of, upright
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

SOUND = "a sound text layer"
LETTERS = "letters of a font seem to be exchanged"
DIGITS = "digits of a font are not those that the picture shows"
AGREES = "a text layer behind the scan, which agrees with it"
AGREES_GUESSED = "a text layer whose font names no signs, which agrees with the picture"
WORD = re.compile(r"\w{2,}")
DIGIT = re.compile("[0-9]")
UNKNOWN = "\ufffd"  #: stands for a character that the file does not name
RIGHT = 0.5  #: the share of a doubted layer's words that are read on the picture as well, if it is right
LIKELY = 0.7  #: the same of a layer whose signs are guessed by their codes, and make words
ALIKE = 0.9  #: the same of a layer behind a scan, which is OCR by others
SAMPLE = 0.06  #: of the page's height that a sample of a part takes
NUMBERS = 4  #: lines with doubtful digits that are compared, at most
SURE = 0.85  #: mean probability of the characters of a line in what may be no text
LEAST = 5  #: different characters of a line there that is text, though it cannot be read surely
FULL = 0.4  #: of a picture that lines of text fill, from which on it is text, and no figure
AROUND = 4  #: px that are read around a part of the page
JUDGEMENT = "_judgement"  #: under which a sheet keeps by how much its text is turned, and what speaks against it
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
    """The text layer of a sheet, upright, and what speaks against it, which is worked out once for each sheet."""
    known = vars(sheet)  # where `functools.cached_property` keeps what it found, too
    if JUDGEMENT not in known:
        turn = turn_of(sheet.text) if sheet.text is not None and sheet.picture is not None else 0
        known[JUDGEMENT] = turn, doubts(upright(sheet, turn))
    turn, found = known[JUDGEMENT]
    return Layer(upright(sheet, turn), turn, found)


def judged(layer: Layer, scans: object) -> tuple[str, str]:
    """Why a text layer is of no use ("" if it is of use), and why it is taken if it is. Where its words are in doubt, a
    few of them are compared with what `scans` reads there, if that can read parts of a page."""
    found = layer.found
    if not isinstance(scans, LineEngine):
        return found.unusable or (found.why if found.compare else "") or _unsure(found), SOUND
    if found.digits and _other_digits(layer.sheet, found.digits, scans):
        return DIGITS, ""
    if found.words and _other_words(layer.sheet, found.words, scans):
        return LETTERS, ""
    if not found.compare:
        return found.unusable, SOUND
    if found.behind:
        whole = not found.unread and _agreement(shown(layer.sheet), found.compare, scans) >= ALIKE
        return ("", AGREES) if whole else (found.unusable, "")
    agreement = _agreement(layer.sheet, found.compare, scans)
    if found.guessed:
        return ("", AGREES_GUESSED) if agreement >= LIKELY else (found.unusable, "")
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


def _unsure(found: Doubts) -> str:
    """What to say of signs that may be others, where nobody reads the picture."""
    return DIGITS if found.digits else LETTERS if found.words else ""


def _other_words(sheet: Sheet, words: Sequence[tuple[Box, str, str]], scans: LineEngine) -> bool:
    """Whether `scans` reads what words would be with two letters exchanged more often than what the layer says, in the
    places of a few different ones."""
    assert sheet.picture is not None
    balance, asked = 0, set[str]()
    for (left, top, right, bottom), given, meant in sorted(words, key=lambda word: -len(word[1])):
        if given in asked or len(asked) == NUMBERS:
            continue
        asked.add(given)
        around = bottom - top
        cut = clipped((left - 2 * around, top - AROUND, right + 2 * around, bottom + AROUND), sheet.picture.size)
        read = " ".join(unmarked(one.text) for one in scans.lines(sheet.picture.crop(rounded(cut)))).lower()
        balance += (meant in read) - (given in read)
    return balance > 0


def _other_digits(sheet: Sheet, doubtful: Sequence[int], scans: LineEngine) -> bool:
    """Whether `scans` reads other digits than the text layer has, in most places of those that are `doubtful`, in a few
    lines that hold them and are read with as many digits as they have."""
    assert sheet.picture is not None and sheet.text is not None
    layer, doubted = sheet.text, set(doubtful)
    at = np.array([i for i, sign in enumerate(layer.text) if DIGIT.match(sign) and layer.seen[i]], np.int64)
    x, y = (layer.ink[at, :2] + layer.ink[at, 2:]).T / 2
    held = []
    for line in lines_of(sheet):
        left, top, right, bottom = line.box
        its = np.flatnonzero((left < x) & (x < right) & (top < y) & (y < bottom))
        if doubted.intersection(at[its].tolist()):
            held.append((line, at[its[np.argsort(x[its])]].tolist()))
    held.sort(key=lambda one: -len(doubted.intersection(one[1])))
    balance = 0
    for line, own in held[:NUMBERS]:
        left, top, right, bottom = line.box
        cut = clipped((left - AROUND, top - AROUND, right + AROUND, bottom + AROUND), sheet.picture.size)
        read = sorted(scans.lines(sheet.picture.crop(rounded(cut))), key=lambda one: one.box[0])
        digits = DIGIT.findall(" ".join(unmarked(one.text) for one in read))
        if len(own) == len(digits):
            balance += sum(
                1 if layer.text[i] != sign else -1 for i, sign in zip(own, digits, strict=True) if i in doubted
            )
    return balance > 0


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
        standing = with_combs(shown(layer.sheet) if layer.found.behind else layer.sheet)
        picture = standing.picture
        assert picture is not None and sheet.picture is not None
        lines = lines_of(standing)
        added, wrong = self._added(standing, layer.found, lines)
        read = layer.found.unread
        page = picture.width * picture.height
        images = [
            box for box in joined(standing.image_boxes, STRIPS)
            if (area(box) < PAGE * page or not any(share(part, box) > 0.5 for part in read))
            and not _is_text(box, added)
        ]
        every = [*lines, *added]
        asked = bool(every) and needs_regions(every, standing.rules, images, standing.drawings)
        hints = regions(picture) if asked else []
        drawings = [box for box in standing.drawings if not _is_text(box, added)]
        images += figures(drawings, every, picture.size)
        laid = blocks(every, hints, picture, standing.rules, images)
        laid += [block for turn in sideways(standing) for block in _beside(standing, turn)]
        laid += [_alone(line, "text") for line in turned_lines(standing)]
        hidden = [] if layer.found.behind else [_alone(line, "hidden") for line in hidden_of(standing)]
        unknown = sum(block.text.count(UNKNOWN) for block in laid)
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
        # What was compared before it was chosen is read twice.
        read_twice = (found.behind or found.guessed) and isinstance(self.scans, LineEngine)
        wrong = "" if read_twice else found.unusable or found.blank
        if not isinstance(self.scans, LineEngine):
            wrong = wrong or _unsure(found)
        if not isinstance(self.scans, LineEngine):
            parts = len(found.unread) + len(found.perhaps)
            if parts and not wrong:
                wrong = f"text in {_times(parts, 'picture')} was not read"
            return [], wrong
        added: list[TextLine] = []
        beside = unread.rows_beside(lines, sheet.picture) if found.behind else []
        for part in [*found.unread, *found.perhaps, *beside]:
            left, top, right, bottom = part
            cut = clipped((left - AROUND, top - AROUND, right + AROUND, bottom + AROUND), sheet.picture.size)
            whole = rounded(cut)
            picture = sheet.picture.crop(whole)
            read = self.scans.lines(picture)
            if part in found.unread:
                missed = unread.wrong(read, picture)
            else:  # it may show no text at all
                said = [line for line in read if WORD.search(line.text)]
                read = [line for line in said if line.confidence >= SURE]
                unsure = [line for line in said if line not in read and len(set(line.text)) >= LEAST]
                missed = "a line that cannot be read surely" if unsure else ""
            wrong = wrong or (missed and f"text in a picture: {missed}")
            for line in read:
                box = line.box[0] + whole[0], line.box[1] + whole[1], line.box[2] + whole[0], line.box[3] + whole[1]
                moved = replace(line, box=box, engine=self.scans.name)
                if not any(share(box, other.box) > 0.4 for other in [*lines, *added]) and not (
                        found.behind and _said(moved, [*lines, *added])):
                    added.append(moved)
        return added, wrong


def _beside(sheet: Sheet, turn: Turn) -> list[Block]:
    """What the text says that stands on the sheet turned by `turn`, beside what is upright."""
    side = upright(replace(sheet, fields=[]), turn)
    if side.picture is None or sheet.picture is None:
        return []
    found = [
        block.model_copy(update={"kind": "list" if block.kind == "list" else "text", "size": None})
        for block in blocks(lines_of(side), [], side.picture)
    ]
    return [_on_page(block, turn, sheet.picture.size) for block in found]


def _is_text(box: Box, lines: Sequence[TextLine]) -> bool:
    """Whether a picture or a drawing is text, and no figure."""
    return sum(share(box, line.box) for line in lines) > FULL


def _said(line: TextLine, others: Sequence[TextLine]) -> bool:
    """Whether most words of a line stand in others that lie over it, though a little higher or lower: tilted scans."""
    left, top, right, bottom = line.box
    near = [x for x in others if touch(x.box, (left, top, right, bottom), 0.5 * line.size)]
    known = {word.lower() for x in near for word in WORD.findall(unmarked(x.text))}
    words = {word.lower() for word in WORD.findall(unmarked(line.text))}
    return 2 * len(words & known) > len(words)


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _alone(line: TextLine, kind: str) -> Block:
    text = unmarked(line.text) if kind == "hidden" else markdown(line.text)
    return Block.model_validate({"kind": kind, "box": rounded(line.box), "text": text, "confidence": line.confidence})


def _on_page(block: Block, turn: Turn, size: tuple[int, int]) -> Block:
    if turn == 0:
        return block
    return block.model_copy(update={"box": rounded(box_on_page(block.where, turn, size))})
