"""Pictures of glyphs as lists of their inked pixels; drawing many of them is one gather and one scatter.

Shared by the faces of printed pages (outline.py) and by strips (shaping.py). Knows nothing of fonts or characters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.page import PAPER


class Ink:
    """Slot s holds the ink of one picture; `extent` (S, 4) int32 is the box around it in px from the pen.

    Pictures reach at most 127 px from the pen where they are `small`, else 32,767 px.
    """

    def __init__(self, small: bool = True) -> None:
        self._first = np.zeros(1, np.int64)  # pixels of slot s are first[s] … first[s + 1]
        self._places = np.int8 if small else np.int16
        self._down, self._right = np.empty(0, self._places), np.empty(0, self._places)
        self._ink = np.empty(0, np.uint8)
        self.extent = np.empty((0, 4), np.int32)

    def __len__(self) -> int:
        return len(self.extent)

    def add(self, pictures: Sequence[tuple[NDArray[np.uint8], int, int]]) -> None:
        """Appends a slot for each picture; they come in stacks (n, rows, columns) of ink, 255 the darkest, with the
        px of their left edge from the pen and of their upper edge from the baseline."""
        down, right, ink, counts, extents = [self._down], [self._right], [self._ink], [], [self.extent]
        for stack, left, top in pictures:
            place, y, x = np.nonzero(stack)
            down.append((y + top).astype(self._places))
            right.append((x + left).astype(self._places))
            ink.append(stack[place, y, x])
            counts.append(np.bincount(place, minlength=len(stack)))
            box = np.zeros((len(stack), 4), np.int32)
            if len(place):
                (_, rows, columns), across, along = stack.shape, stack.max(1) > 0, stack.max(2) > 0
                box[:, 0], box[:, 2] = left + across.argmax(1), left + columns - across[:, ::-1].argmax(1)
                box[:, 1], box[:, 3] = top + along.argmax(1), top + rows - along[:, ::-1].argmax(1)
            extents.append(box)
        if pictures:
            self._down, self._right, self._ink = np.concatenate(down), np.concatenate(right), np.concatenate(ink)
            self.extent = np.concatenate(extents)
            self._first = np.append(self._first, self._first[-1] + np.cumsum(np.concatenate(counts)))

    def draw(
        self, page: NDArray[np.uint8], slots: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64]
    ) -> None:
        """Draws `slots` (T,) on a (H, W) uint8 page, pens at the whole px `x` and `y`; ink off the page is cut."""
        counts = self._first[slots + 1] - self._first[slots]
        pixel = np.arange(counts.sum()) + np.repeat(self._first[slots] - np.cumsum(counts) + counts, counts)
        down, right = self._down[pixel] + np.repeat(y, counts), self._right[pixel] + np.repeat(x, counts)
        height, width = page.shape
        reach = self.extent[slots]
        if (reach[:, :2] < np.stack([-x, -y], 1)).any() or (reach[:, 2:] > np.stack([width - x, height - y], 1)).any():
            inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
            down, right, pixel = down[inside], right[inside], pixel[inside]
        np.minimum.at(page.reshape(-1), down * width + right, PAPER - self._ink[pixel])
