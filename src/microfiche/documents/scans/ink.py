"""What is ink on a picture and what is paper, whichever of the two is darker; and what the ink of a line tells: the
size of its type, the width of its strokes and the gaps between its characters.

Knows no networks and no reading order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from microfiche.documents.boxes import rounded
from microfiche.documents.scans.plain_grounds import plain_grounds
from microfiche.page import Box

FAINTEST = 18  #: grey levels between ink and paper, at least
FAINT = 0.15  #: of the contrast of the page's strongest ink, that ink has at least
HALF = 0.45  #: of the contrast of the strongest ink near it, at which a stroke ends
NEAR = 25  #: px of the neighbourhood that "near" means
NOISE = 4.0  #: standard deviations of the paper's own grain that ink differs from it, at least
AROUND = 31  #: px of the reduced picture whose median is the paper
REDUCED = 4  #: the paper is looked for on a picture reduced so much
SMALLEST_TYPE = 4  #: px of height, of a piece of ink that may be a letter
LARGEST_TYPE = 250
UNEVEN = 0.35  #: of the distance from stroke to stroke in such a row, by which that varies
BESIDE = 7  #: px, in which the characters of a row of tiny type follow each other
LONG, FLAT, BROKEN = 24, 12, 12  #: px and heights that such a row is long, and px that its strokes are long, on average
SPREAD = 2  #: px on either side of a rule's middle, that belong to it
WALL = 0.75  #: of the height of a line's box, that a rule through it is high, at least


@dataclass(frozen=True)
class Ink:
    """The ink of a picture: `mask` is 1 where there is ink; `paper` is how light the paper is around it; `faint`
    is 1 also where ink of any colour is blurred, or weak beside stronger ink; `grounds` are the boxes of plain grounds
    of another colour than the page, such as buttons, with ink on them, and `dark` those darker than both."""

    mask: NDArray[np.uint8]  # (H, W)
    paper: NDArray[np.uint8]  # (H / REDUCED, W / REDUCED), grey
    faint: NDArray[np.uint8]  # (H, W)
    grounds: tuple[Box, ...] = ()
    dark: tuple[Box, ...] = ()

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

    @cached_property
    def tiny(self) -> NDArray[np.int32]:
        """(K, 4): left, top, width and height, px, of rows of ink too low for letters, too broken for rules and too
        uneven for dotted ones: type that is too small to be read."""
        joined = cv2.morphologyEx(self.mask, cv2.MORPH_CLOSE, np.ones((1, BESIDE), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=4, ltype=cv2.CV_32S)
        begins = np.diff(np.pad(self.mask.astype(np.int8), ((0, 0), (1, 0))), axis=1) == 1
        high = self.letters[self.letters[:, 3] > SMALLEST_TYPE + 1]
        found = []
        for left, top, wide, low, _ in stats[1:].tolist():
            if low > SMALLEST_TYPE or wide < max(LONG, FLAT * low):
                continue
            strokes = begins[top : top + low, left : left + wide]
            apart = np.diff(np.flatnonzero(strokes[strokes.sum(1).argmax()]))
            level = (high[:, 1] < top + low) & (high[:, 1] + high[:, 3] > top)
            if len(apart) * BROKEN < wide or level.any():
                continue
            if np.quantile(apart, 0.8) - np.quantile(apart, 0.2) > UNEVEN * np.median(apart):
                found.append((left, top, wide, low))
        return np.array(found, np.int32).reshape(-1, 4)


    def without(self, rules: Sequence[Box]) -> Ink:
        """The ink without these rules."""
        mask = self.mask.copy()
        for left, top, right, bottom in map(rounded, rules):
            mask[max(0, top - SPREAD) : bottom + SPREAD + 1, max(0, left - SPREAD) : right + SPREAD + 1] = 0
        return replace(self, mask=mask)


def ink_of(picture: Image.Image) -> Ink:
    """The ink of an RGB picture: what differs from the paper around it, darker or lighter."""
    colour, grey = np.asarray(picture.convert("RGB")), np.asarray(picture.convert("L"))
    small, paper, apart = _apart(grey)
    grounds = plain_grounds(grey, paper, REDUCED)
    if grounds is not None:
        paper, apart = grounds.judged(grey, paper, apart)
        small = _reduced(paper)
    grain = 1.48 * float(np.median(apart[::3, ::3]))
    darkest = cv2.dilate(apart, np.ones((NEAR, NEAR), np.uint8))
    strongest = float(np.quantile(apart[::3, ::3], 0.995))
    faintest = max(FAINTEST, NOISE * grain, FAINT * strongest)
    mask = (apart > np.maximum(HALF * darkest.astype(np.float32), faintest)).astype(np.uint8)
    if (colour[..., 0] != colour[..., 2]).any():
        for channel in (np.ascontiguousarray(colour[..., k]) for k in range(3)):
            _, its, off = _apart(channel)
            apart = np.maximum(apart, off if grounds is None else grounds.judged(channel, its, off)[1])
    faint = (apart > faintest).astype(np.uint8)
    return Ink(mask, small, faint, *((grounds.boxes, grounds.dark) if grounds is not None else ()))


def _apart(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """The paper of a picture (H, W), reduced and whole, and by how much each pixel differs from it."""
    small = np.asarray(cv2.medianBlur(_reduced(grey), AROUND), np.uint8)
    paper = np.asarray(cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    return small, paper, np.asarray(cv2.absdiff(grey, paper), np.uint8)


def _reduced(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W), reduced."""
    height, width = grey.shape
    size = max(1, width // REDUCED), max(1, height // REDUCED)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def empty_runs(filled: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(R, 2): the beginning and end of each run of False."""
    edges = np.diff(np.concatenate([[False], ~filled, [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], 1)


def walls(uprights: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """The beginning and end of each rule that goes through a line's box, (H, W), of a mask of upright rules."""
    return empty_runs(uprights.mean(0) < WALL).tolist() if uprights.size else []
