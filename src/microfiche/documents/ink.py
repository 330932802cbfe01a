"""What is ink on a picture and what is paper, whichever of the two is darker; and what the ink of a line tells: the
size of its type, the width of its strokes and the gaps between its characters.

Knows no networks and no reading order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FAINTEST = 18  #: grey levels between ink and paper, at least
HALF = 0.45  #: of the contrast of the strongest ink near it, at which a stroke ends
NEAR = 25  #: px of the neighbourhood that "near" means
NOISE = 4.0  #: standard deviations of the paper's own grain that ink differs from it, at least
AROUND = 31  #: px of the reduced picture whose median is the paper
REDUCED = 4  #: the paper is looked for on a picture reduced so much
SMALLEST_TYPE = 4  #: px of height, of a piece of ink that may be a letter
LARGEST_TYPE = 250


@dataclass(frozen=True)
class Ink:
    """The ink of a picture: `mask` is 1 where there is ink; `paper` is how light the paper is around it."""

    mask: NDArray[np.uint8]  # (H, W)
    paper: NDArray[np.uint8]  # (H / REDUCED, W / REDUCED), grey

    @cached_property
    def pieces(self) -> NDArray[np.int32]:
        """(K, 5): left, top, width, height and area of each connected piece of ink, px."""
        _, _, stats, _ = cv2.connectedComponentsWithStats(self.mask, connectivity=8, ltype=cv2.CV_32S)
        return np.asarray(stats[1:], np.int32)

    @cached_property
    def letters(self) -> NDArray[np.int32]:
        """Those of the pieces that have the size and shape of letters."""
        _, _, width, height, area = self.pieces.T
        return self.pieces[(height >= SMALLEST_TYPE) & (height <= LARGEST_TYPE) & (width < 4 * height)
                           & (height < 8 * width) & (area > 0.08 * width * height)]

    @cached_property
    def type(self) -> float:
        """The median height of letters, px; 0 where there are fewer than five. Mostly that of small letters."""
        return float(np.median(self.letters[:, 3])) if len(self.letters) >= 5 else 0.0


def ink_of(picture: Image.Image) -> Ink:
    """The ink of an RGB picture: what differs from the paper around it, darker or lighter."""
    grey = np.asarray(picture.convert("L"))
    height, width = grey.shape
    small = cv2.resize(grey, (max(1, width // REDUCED), max(1, height // REDUCED)), interpolation=cv2.INTER_AREA)
    paper = cv2.medianBlur(small, AROUND)
    apart = cv2.absdiff(grey, cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR))
    grain = 1.48 * float(np.median(apart[::3, ::3]))
    darkest = cv2.dilate(apart, np.ones((NEAR, NEAR), np.uint8))
    enough = np.maximum(HALF * darkest.astype(np.float32), max(FAINTEST, NOISE * grain))
    return Ink((apart > enough).astype(np.uint8), np.asarray(paper, np.uint8))


def empty_runs(filled: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(R, 2): the beginning and end of each run of False."""
    edges = np.diff(np.concatenate([[False], ~filled, [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], 1)
