"""Foreign pictures that show one text at full size and another scaled down: found by reading both, and marked.

A model's server may scale a picture in any way, so the picture is scaled by area, as everything here is, and by taking
single pixels, which is what such pictures are made for (Lohn, arXiv 2010.02456; Anamorpher). It knows no OCR.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from microfiche.typesetting.shrink import shrink_picture

Picture = NDArray[np.uint8]
Words = list[tuple[str, float]]  #: each with how sure the reader is, 0 to 1
FACTORS = (2, 4)
SURE = 0.8  #: less sure words say nothing
SHORTEST = 4  #: letters of a word that counts
LIKE = 70  #: per cent by which a word is like one at full size, and so no new one
FEW = 2  #: new words that may be the reader's own mistakes


def appearing(picture: Picture, read: Callable[[Picture], Words]) -> list[str]:
    """The words that `read` finds in (H, W) or (H, W, 3) uint8 only once it is scaled down; none if they are so few
    that they may be mistakes."""
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
    """Why a picture is not trusted; empty if nothing speaks against it."""
    words = appearing(picture, read)
    return f"scaled down it shows text that it does not show whole ({' '.join(words[:6])})" if words else ""


def by_area(picture: Picture, factor: int) -> Picture:
    """The picture smaller by `factor`, each pixel a mean."""
    height, width = (max(1, side // factor) for side in picture.shape[:2])
    return shrink_picture(picture, height, width)


def by_pixel(picture: Picture, factor: int) -> Picture:
    """The picture smaller by `factor`, each pixel one of its own."""
    return picture[factor // 2 :: factor, factor // 2 :: factor]


def _words(read: Words, sure: float) -> list[str]:
    """Words long enough to count, in small letters."""
    return [
        word for text, confidence in read if confidence >= sure
        for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) >= SHORTEST
    ]
