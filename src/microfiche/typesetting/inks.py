"""Pictures of glyphs as lists of their inked pixels, and the one scatter that draws many of them.

What outline.py and strip.py share. Knows nothing of fonts, characters or lines.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from microfiche.page import PAPER

T = TypeVar("T", bound=np.generic)


class Inks:
    """Numbered pictures: of every inked pixel, how far it is `down` and `right` of the pen, and how dark.

    `places` is the integer type that holds those distances.
    """

    def __init__(self, places: DTypeLike = np.int16) -> None:
        self._first, self._slots = np.zeros(256, np.int64), 0  # pixels of slot s are first[s] … first[s + 1]
        self._down, self._right = np.empty(4096, places), np.empty(4096, places)
        self._ink = np.empty(4096, np.uint8)

    def __len__(self) -> int:
        return self._slots

    def add(
        self, down: NDArray[np.integer], right: NDArray[np.integer], ink: NDArray[np.uint8], counts: NDArray[np.int64]
    ) -> None:
        """Appends pictures: their pixels one after another, `counts` of them for each."""
        start, stop = int(self._first[self._slots]), int(self._first[self._slots]) + len(ink)
        if stop > len(self._ink):
            self._down, self._right = _longer(self._down, stop), _longer(self._right, stop)
            self._ink = _longer(self._ink, stop)
        if self._slots + len(counts) >= len(self._first):
            self._first = _longer(self._first, self._slots + len(counts) + 1)
        self._down[start:stop], self._right[start:stop], self._ink[start:stop] = down, right, ink
        self._first[self._slots + 1 : self._slots + len(counts) + 1] = start + np.cumsum(counts)
        self._slots += len(counts)

    def draw(
        self, page: NDArray[np.uint8], slots: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64]
    ) -> None:
        """Draws pictures on a (H, W) uint8 page with their pens at `x` and `y` (G,) px; where two overlap the darker
        pixel stays, and what would fall off the page is cut."""
        first = self._first[slots]
        counts = self._first[slots + 1] - first
        pixel = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        down, right = self._down[pixel] + np.repeat(y, counts), self._right[pixel] + np.repeat(x, counts)
        height, width = page.shape
        inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
        if not inside.all():
            down, right, pixel = down[inside], right[inside], pixel[inside]
        np.minimum.at(page.reshape(-1), down * width + right, PAPER - self._ink[pixel])


def _longer(array: NDArray[T], size: int) -> NDArray[T]:
    """A copy that has room for `size` values, and is at least twice as long so that few copies are made."""
    return np.concatenate([array, np.empty(max(size - len(array), len(array)), array.dtype)])
