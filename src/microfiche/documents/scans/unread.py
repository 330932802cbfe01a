"""Why a reading of a picture is not the whole of it: ink like letters that no line accounts for, boxes of which next to
nothing came out, and lines that the recogniser was unsure of.

Knows lines and ink alone: who read the page, and by which networks, is not its business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import joined, share
from microfiche.documents.finishing.languages import language_of
from microfiche.documents.scans.ink import Ink, ink_of
from microfiche.documents.scans.line_pieces import wide_sign
from microfiche.documents.scans.recognition import Found
from microfiche.documents.scans.tiles import WEE, left_over
from microfiche.documents.text_lines import TextLine
from microfiche.page import Box

UNSURE = 0.87  #: mean probability of the characters of a line below which much of it is wrong
FOREIGN = 0.93  #: the same of all lines with letters, below which a page may be in a script that the reader lacks
FEW = 12  #: characters in unsure lines that a page may have
SHORT = 4  #: characters of a line, about whose confidence nothing can be said
WIDEST = 1.1  #: ems that the ink of a character of a line is wide on average, at most
HOLLOW = 8  #: ems of such lines that a page may have: a row of icons
UNREAD = 0.02  #: of a page's ink of letters that may be left unread, and …
TINY = 3  #: rows of type that is too small to be read, at least
LETTERS = 8  #: … letters that may
#: Languages with letters that RapidOCR's recogniser has not, or takes for others on clean pages in most typefaces.
UNKNOWN = {"az": "Azerbaijani (ə)", "cy": "Welsh (ŵ, ŷ)", "eo": "Esperanto (ĉ, ĝ, ŝ)", "vi": "Vietnamese (ạ, ế, ợ)"}


def wrong(lines: Sequence[TextLine], picture: Image.Image, figures: Sequence[Box] = ()) -> str:
    """Why `lines` are not all that stands on an upright, straight picture (RGB), in one line; "" if nothing is wrong.

    Ink within `figures` does not have to be read.
    """
    return wrong_in(lines, ink_of(picture), figures)


def wrong_in(lines: Sequence[TextLine], ink: Ink, figures: Sequence[Box] = ()) -> str:
    """As `wrong`, where the picture's ink is known."""
    hollow = [line for line in lines if is_hollow(line, ink)]
    room = sum((line.box[2] - line.box[0]) / max(1.0, line.size) for line in hollow)
    if room > HOLLOW or len(hollow) > len(lines) / 2:
        return f"{_counted(len(hollow), 'line')} of {len(lines)} could not be read: a script that the reader lacks?"
    unsure = [line for line in lines if len(line.text) >= SHORT and line.confidence < UNSURE]
    signs = sum(len(line.text) for line in unsure)
    if signs > FEW or (lines and signs > 0.3 * sum(len(line.text) for line in lines)):
        mean = sum(line.confidence * len(line.text) for line in unsure) / signs
        return f"low confidence, {mean:.2f} on average, in {_counted(len(unsure), 'line')} of {len(lines)}"
    words = [line for line in lines if line.engine is None and any(c.isalpha() for c in line.text)]
    mean = sum(line.confidence * len(line.text) for line in words) / max(1, sum(len(line.text) for line in words))
    if words and mean < FOREIGN:
        return f"low confidence, {mean:.2f} on average, in words: a script that the reader lacks?"
    if not lines and len(ink.letters) and max(ink.mask.shape) < WEE:
        return "nothing could be read on so small a picture"
    unread = _unread(lines, ink, figures)
    if len(unread) > max(LETTERS, UNREAD * len(ink.letters)):
        return f"{len(unread) / len(ink.letters):.0%} of the ink that looks like letters was not read"
    if small := type_too_small(ink):
        return small
    language = lacking(lines)
    return f"letters of {UNKNOWN[language]} are lost: the reader does not know them" if language else ""


def type_too_small(ink: Ink) -> str:
    """Why type on a picture cannot be read, where it is so small that it has no letters; "" where there is none."""
    if len(ink.tiny) < TINY:
        return ""
    size = np.median(ink.tiny[:, 3])
    return f"{_counted(len(ink.tiny), 'row')} of type about {size:.0f} px high, too small to be read"


def lacking(lines: Sequence[TextLine]) -> str:
    """The code of the language of lines that RapidOCR or nano read, where it has letters that neither knows; otherwise
    ""."""
    code = language_of(" ".join(line.text for line in lines if line.engine != "tesseract"))
    return code if code in UNKNOWN else ""


def foreign(lines: Sequence[TextLine], ink: Ink) -> bool:
    """Whether so little of a page came out, or so unsurely, that its script may be one that the reader lacks."""
    signs = sum(len(line.text) for line in lines)
    unsure = sum(len(line.text) for line in lines if line.confidence < UNSURE)
    hollow = [line for line in lines if is_hollow(line, ink)]
    return len(ink.letters) >= LETTERS and (3 * signs < len(ink.letters) or 2 * unsure > signs or
                                            2 * len(hollow) > len(lines))


def is_hollow(line: TextLine, ink: Ink) -> bool:
    """Whether far fewer characters were read in a line than the ink in its box has room for."""
    left, top, right, bottom = (round(v) for v in line.box)
    if right - left < bottom - top:  # turned
        return False
    columns = ink.mask[max(0, top) : bottom, max(0, left) : right].max(0, initial=0)
    room = float(columns.sum()) / max(1.0, line.size)  # ems with ink
    signs = sum(2 if wide_sign(c) else 1 for c in line.text if not c.isspace())
    return room > 2.5 and signs * WIDEST < room


def rows_beside(lines: Sequence[TextLine], picture: Image.Image) -> list[Box]:
    """The parts of an RGB picture that hold rows of letters which no line accounts for, with room around them."""
    rows = left_over(ink_of(picture), _boxes(lines))
    return joined(((float(a), float(b), float(c), float(d)) for a, b, c, d in rows), 0)


def _boxes(lines: Sequence[TextLine]) -> list[Found]:
    return [
        Found((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0 + line.size, y1 - y0, 0.0, 1.0)
        for line in lines
        for x0, y0, x1, y1 in [line.box]
    ]


def _unread(lines: Sequence[TextLine], ink: Ink, figures: Sequence[Box]) -> NDArray[np.int32]:
    """The letters in rows that no line accounts for."""
    boxes = _boxes(lines)
    rows = [row for row in left_over(ink, boxes) if not any(share(row, figure) > 0.5 for figure in figures)]
    x, y, w, h, _ = ink.letters.T
    inside = np.zeros(len(x), bool)
    for left, top, right, bottom in rows:
        inside |= (x >= left) & (x + w <= right) & (y >= top) & (y + h <= bottom)
    for box in boxes:
        inside &= (abs(x + w / 2 - box.x) > box.width / 2) | (abs(y + h / 2 - box.y) > box.height / 2)
    return ink.letters[inside]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
