"""The pages of documents as they are, for a reader that takes any picture: drawn at one size, with their own text where
a PDF has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.inline import unmarked
from microfiche.documents.opening import open_document, page_numbers
from microfiche.documents.scans.ink import ink_of
from microfiche.documents.scans.orientation import upright
from microfiche.documents.scans.unread import type_too_small
from microfiche.documents.sheet import Sheet
from microfiche.documents.text_layer.layer_lines import lines_of
from microfiche.documents.text_layer.soundness import doubts
from microfiche.documents.text_lines import TextLine
from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits
from microfiche.page import TOKEN_SIDE, Page
from microfiche.typesetting.density import MODES
from microfiche.typesetting.shrink import shrink_picture

DPI = 200  #: pixels an inch at which PDF pages are drawn before they are shrunk
LONGEST = 4096  #: px of the longer side of a page, at most
GLANCED = 2048  #: px of the longer side of a page whose lines are then kept alone
LONG = 4.0  #: times its breadth, that a page is long which is taken in parts, …
SQUARE = 1.5  #: … each of about this many times the breadth, or as long as the longer side may be
SMALLEST = 3.5  #: px of the median letter, about 7 px an em, that the type of pages has whose lines are kept alone


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
    path: Path | bytes | str,
    side: int,
    pages: str | None = None,
    password: str | None = None,
    limits: Limits = Limits(),
    *,
    lines: bool = False,
    say: Callable[[str], None] = lambda line: None,
    name: str | None = None,
) -> Iterator[tuple[str, Page]]:
    """Yields the pages of a PDF or a picture in shades of grey, each with what to call it ("a.pdf: page 3", by `name`
    where the document is given by an address or as bytes), shrunk so
    that the longer side has `side` px; a smaller page is not enlarged. `text` is the page's own, a line for each line
    of type, if the PDF has it and it is sound. `pages` chooses some of them ("1-3,7").

    A page that is longer than LONG times its breadth comes in parts. If its `lines` alone are to be kept, so does one
    whose type would be too small otherwise, and a page without sound text of its own is set level. A page without sound
    text that lies on its side or its head is turned. `say` is called with a line for each page that is turned or comes
    in parts, and for one whose type is too small to be read. Raises InputError, beginning with the name, for a document
    or a page that cannot be opened.
    """
    given = str(path) if name is None else name
    with open_document(path, given, dpi=DPI, password=password, limits=limits, workers=1) as opened:
        numbers = page_numbers(pages, opened.pages) if pages else range(1, opened.pages + 1)
        for sheet in opened.sheets(numbers):
            called = f"{opened.name}: page {sheet.number}"
            if sheet.picture is None:
                raise InputError(f"{called} cannot be opened: {sheet.error or 'no picture'}")
            own, picture = _text(sheet), sheet.picture.convert("RGB")
            if own is None:
                level, degrees = upright(picture)
                turned = abs(degrees) > 45
                if turned:
                    say(f"{called} is turned by {degrees:.0f}°, so that it is upright")
                picture = level if turned or lines else picture
            boxes = _parts(picture, side, lines)
            if len(boxes) > 1:
                say(f"{called} has {picture.width}×{picture.height} px and is taken in {len(boxes)} parts")
            for k, box in enumerate(boxes, 1):
                part = f"{called}, part {k}" if len(boxes) > 1 else called
                page = _shrunk(picture.crop(box), side, None if own is None else _within(own, box))
                if small := type_too_small(ink_of(Image.fromarray(page.image).convert("RGB"))):
                    say(f"{part} has {small}")
                yield part, page


def _parts(picture: Image.Image, side: int, lines: bool) -> list[tuple[int, int, int, int]]:
    """The boxes (left, top, right, bottom) of the parts in which a page is taken, from the top down and from left to
    right; cut where there is no ink, as far as possible."""
    width, height = picture.size
    longer, shorter = max(width, height), min(width, height)
    down = across = 1
    if longer > max(side, LONG * shorter):
        count = ceil(longer / max(side, SQUARE * shorter))
        down, across = (count, 1) if height > width else (1, count)
    ink = ink_of(picture) if lines or down * across > 1 else None
    if ink is not None and lines and ink.type:
        most = side * ink.type / SMALLEST  # px of a part's longer side, so that its type stays large enough
        down, across = max(down, ceil(height / most)), max(across, ceil(width / most))
    if ink is None or down * across == 1:
        return [(0, 0, width, height)]
    return [
        (left, top, right, bottom)
        for top, bottom in pairwise(_cuts(ink.mask.sum(1), down))
        for left, right in pairwise(_cuts(ink.mask[top:bottom].sum(0), across))
    ]


def _cuts(inked: NDArray[np.integer[Any]], count: int) -> list[int]:
    """Where to cut a side into `count` parts of about one length, its ends included, given how much ink there is at
    each px: in the middle of the longest stretch with the least of it near each place."""
    step = len(inked) / count
    found = [0]
    for k in range(1, count):
        first, last = int((k - 0.5) * step), int((k + 0.5) * step)
        least = inked[first:last] == inked[first:last].min()
        edges = np.flatnonzero(np.diff(np.pad(least.astype(np.int8), 1)))
        begin, end = max(edges.reshape(-1, 2).tolist(), key=lambda run: run[1] - run[0])
        found.append(first + (begin + end) // 2)
    return [*found, len(inked)]


def _shrunk(picture: Image.Image, side: int, text: str | None) -> Page:
    grey = np.asarray(picture.convert("L"))
    scale = side / max(grey.shape)
    if scale < 1:
        height, width = (max(1, round(length * scale)) for length in grey.shape)
        grey = shrink_picture(grey, height, width)
    return Page(grey, text=text)


def _text(sheet: Sheet) -> list[TextLine] | None:
    """The lines of a page's own text, from the top down; None if it has none that is sound."""
    found = doubts(sheet)
    if found.unusable or found.compare or found.unread:
        return None
    return sorted(lines_of(sheet), key=lambda line: line.box[1])


def _within(lines: Sequence[TextLine], box: tuple[int, int, int, int]) -> str:
    """The text of those lines whose middles lie in a part of their page."""
    left, top, right, bottom = box
    inside = [one for one in lines if left <= (one.box[0] + one.box[2]) / 2 < right and top <= one.middle < bottom]
    return "".join(f"{unmarked(one.text)}\n" for one in inside).replace("\u00ad", "-")
