"""The text of documents that a memory takes in, and whether a scan is to be trusted.

A picture can be made
to show one text at full size and another once it is scaled down (Lohn, arXiv 2010.02456; Anamorpher). A model's server
may scale it in any way, so a scan is read whole and scaled down, by area, as everything here is, and by single pixels,
which is what such pictures are made for. This module knows nothing of pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rapidfuzz import fuzz, process

from microfiche.documents.document import ASIDE
from microfiche.documents.engines import engines
from microfiche.documents.opening import open_document
from microfiche.documents.pages import document_of, read_pages
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError, MicroficheError
from microfiche.typesetting.shrink import shrink_picture

Picture = NDArray[np.uint8]
Words = list[tuple[str, float]]  #: words or lines, each with how sure the reader is of it, 0 to 1
FACTORS = (2, 4)
TILE = 192  #: px of the side of a square in which a picture is looked at
APART = 16  #: grey levels by which a pixel stands out
ALONE, IN_LINE = 0.0, 0.1  #: the share of the pixels at one place of a period that stand out alone, or in a line
DEVIATIONS = 8  #: standard deviations by which more pixels stand out at one place than at the others
SURE = 0.8  #: confidence below which words that appear are not counted
SHORTEST = 4  #: letters of a word that counts
LIKE = 70  #: per cent by which a word is like one at full size, and so no new one
FEW = 2  #: new words that may be the reader's own mistakes


def read_document(path: Path) -> tuple[str, str]:
    """The text of a PDF or picture as Markdown, and why it is not trusted, which is empty where it is.

    Pages whose text comes from a picture are read again scaled down where the picture is `restless`. InputError for a
    file that cannot be read or holds no text.
    """
    warnings = []
    try:
        with open_document(path, str(path)) as opened:
            pages = []
            for page, picture in read_pages(opened, engines()):
                pages.append(page)
                if picture is not None and page.engine not in ("", "text"):
                    why = untrusted(np.asarray(picture.convert("L")), words_of_picture)
                    warnings += [f"page {page.number}: {why}"] if why else []
            text = document_of(opened, {}, pages).markdown()
    except MicroficheError as error:
        raise InputError(str(error)) from error
    if not text.strip():
        raise InputError(f"{path}: no text was found in it")
    return text, "; ".join(warnings)


def words_of_picture(picture: Picture) -> Words:
    """The lines that RapidOCR reads in a picture, and how sure it is of each."""
    (page,) = _rapid().read([Sheet(1, Image.fromarray(picture).convert("RGB"))])
    return [
        (text, 1.0 if block.confidence is None else block.confidence)
        for block in page.blocks if block.kind not in ASIDE and (text := block.plain())
    ]


def restless(picture: Picture) -> bool:
    """Whether an (H, W) uint8 picture has detail that scaling it down could turn into another picture.

    For that, single pixels, or single rows or columns, must differ from their neighbours at regular distances, since a
    smaller picture is made of these: the picture's spectrum then has peaks at those frequencies. Print that was scanned
    has none, as its strokes are wider than a pixel. What is asked is how much more often the pixels at one place of a
    period stand out than those at others, in each TILE.
    """
    grey = np.pad(picture, [(0, -side % TILE) for side in picture.shape], mode="edge").astype(np.int16)
    edged = np.pad(grey, 1, mode="edge")
    height, width = grey.shape
    ways = [
        np.abs(grey - (edged[1 + y : 1 + y + height, 1 + x : 1 + x + width]
                       + edged[1 - y : 1 - y + height, 1 - x : 1 - x + width]) // 2) > APART
        for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))
    ]  # fmt: skip
    alone = ways[0] & ways[1] & ways[2] & ways[3]
    for period in FACTORS:
        steps = TILE // period
        for standing, axes, least in (
            (alone, "abcdef->adcf", ALONE), (ways[1], "abcdef->adc", IN_LINE), (ways[0], "abcdef->adf", IN_LINE)
        ):  # fmt: skip
            cells = standing.reshape(height // TILE, steps, period, width // TILE, steps, period)
            counts = np.einsum(axes, cells, dtype=np.int64).reshape(height // TILE * (width // TILE), -1)
            size = TILE * TILE / counts.shape[1]
            most, usual = counts.max(1), np.median(counts, 1)
            if ((most > least * size) & (most > usual + DEVIATIONS * np.sqrt(usual + 1))).any():
                return True
    return False


def appearing(picture: Picture, read: Callable[[Picture], Words]) -> list[str]:
    """The words that `read` finds in an (H, W) or (H, W, 3) uint8 picture only once it is scaled down.

    None, if they are so few that they may be mistakes of the reader. A picture that is not `restless` is not read.
    """
    if not restless(picture if picture.ndim == 2 else picture.mean(2).astype(np.uint8)):
        return []
    whole = _words(read(picture), 0.0)
    everything = "".join(whole)
    found: list[str] = []
    for factor in FACTORS:
        for small in (by_pixel(picture, factor), by_area(picture, factor)):
            fresh = [word for word in _words(read(small), SURE) if word not in everything]
            new = [w for w in fresh if process.extractOne(w, whole, scorer=fuzz.ratio, score_cutoff=LIKE) is None]
            if len(new) > FEW:
                found += [word for word in new if word not in found]
    return found


def untrusted(picture: Picture, read: Callable[[Picture], Words]) -> str:
    """Why a picture is not trusted, which is empty where it is."""
    words = appearing(picture, read)
    return f"scaled down it shows text that it does not show whole ({' '.join(words[:6])})" if words else ""


def by_area(picture: Picture, factor: int) -> Picture:
    """The picture smaller by `factor`, where each pixel is the mean of those that it replaces."""
    height, width = (max(1, side // factor) for side in picture.shape[:2])
    return shrink_picture(picture, height, width)


def by_pixel(picture: Picture, factor: int) -> Picture:
    """The picture smaller by `factor`, where each pixel is one of its own."""
    return picture[factor // 2 :: factor, factor // 2 :: factor]


def _words(read: Words, sure: float) -> list[str]:
    """The words that are long enough to count and of which the reader is `sure`, in small letters."""
    return [
        word for text, confidence in read if confidence >= sure
        for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) >= SHORTEST
    ]


@cache
def _rapid() -> RapidEngine:
    return RapidEngine()
