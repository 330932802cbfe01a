"""The pages of documents as they are, for a reader that takes any picture: drawn at one size, with their own text where
a PDF has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from microfiche.documents.inline import unmarked
from microfiche.documents.layer_lines import lines_of
from microfiche.documents.opening import OpenFile, open_document, page_numbers
from microfiche.documents.sheet import Sheet
from microfiche.documents.soundness import doubts
from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits
from microfiche.page import TOKEN_SIDE, Page
from microfiche.typesetting.density import MODES
from microfiche.typesetting.shrink import shrink_picture

DPI = 200  #: pixels an inch at which PDF pages are drawn before they are shrunk
LONGEST = 4096  #: px of the longer side of a page, at most


def side_of(mode: str) -> int:
    """The length in px of a page's longer side that `mode` names: tiny, small, base, large, or a number of px. Raises
    UsageError for anything else, and for sides under 64 or over LONGEST px."""
    if mode.lower() in MODES:
        return MODES[mode.lower()].side
    if not (mode.isascii() and mode.isdecimal()):
        raise UsageError(f"no mode {mode!r}; there are {', '.join(MODES)}, or a number of pixels")
    side = int(mode[:6])
    if not TOKEN_SIDE <= side <= LONGEST:
        raise UsageError(f"--mode {mode}: the longer side of a page must have {TOKEN_SIDE} to {LONGEST} px")
    return side


def pages_as_is(
    path: Path, side: int, pages: str | None = None, password: str | None = None, limits: Limits = Limits()
) -> Iterator[Page]:
    """Yields the pages of a PDF or a picture in shades of grey, shrunk so that the longer side has `side` px; a smaller
    page is not enlarged. `text` is the page's own, a line for each line of type, if the PDF has it and it is sound.

    `pages` chooses some of them ("1-3,7"). Raises InputError, beginning with the name, for a document or a page that
    cannot be opened.
    """
    with open_document(path, str(path), dpi=DPI, password=password, limits=limits, workers=1) as opened:
        numbers = page_numbers(pages, opened.pages) if pages else range(1, opened.pages + 1)
        yield from _shrunk(opened, side, numbers)


def _shrunk(opened: OpenFile, side: int, numbers: Sequence[int]) -> Iterator[Page]:
    for sheet in opened.sheets(numbers):
        if sheet.picture is None:
            raise InputError(f"{opened.name}: page {sheet.number} cannot be opened: {sheet.error or 'no picture'}")
        grey = np.asarray(sheet.picture.convert("L"))
        scale = side / max(grey.shape)
        if scale < 1:
            height, width = (max(1, round(length * scale)) for length in grey.shape)
            grey = shrink_picture(grey, height, width)
        yield Page(grey, text=_text(sheet))


def _text(sheet: Sheet) -> str | None:
    found = doubts(sheet)
    if found.unusable or found.compare or found.unread:
        return None
    lines = sorted(lines_of(sheet), key=lambda line: line.box[1])
    return "".join(f"{unmarked(line.text)}\n" for line in lines).replace("\u00ad", "-")
