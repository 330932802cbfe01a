"""Page: one picture, and where we set it ourselves, the text on it with a box for every character."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAPER, INK = 255, 0


@dataclass(frozen=True)
class Page:
    """`image` is (H, W) uint8 grey or (H, W, 3) uint8 RGB, white paper 255.

    A page that was typeset also has its `text` and, for each character, a box of (left, top, right, bottom)
    pixels in `boxes` (T, 4) int32.
    """

    image: NDArray[np.uint8]
    text: str | None = None
    boxes: NDArray[np.int32] | None = None
