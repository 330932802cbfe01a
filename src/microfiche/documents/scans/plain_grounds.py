"""Plain grounds on a picture: areas of one colour, such as buttons, bubbles and bars, on which text stands and which
are too small to be taken for the paper there; and the page itself where it shows between such areas.

Knows neither lines nor networks: only what has one colour, and what stands out from it like letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.page import Box

UNLIKE = 18  #: grey levels between a ground and what was taken for the paper there, at least
EVEN = 0.3, 6, 30  #: of these, and grey levels at least and at most, by which the colour of a ground varies
WIDE, HIGH = 16, 10  #: px that a ground is wide and high, at least
SOLID = 3  #: px of the reduced picture, that a ground is wide and high somewhere, at least
PAGE = 124  #: px that the page is wide and high where it shows, and that grounds of a few rows are high at most
GAP = 7  #: px between two grounds, at least, that may be taken for ink
FILLED = 0.65  #: of a ground, that has its colour, at least: what is joined of letters has more holes
MARGIN, CLEAR = (4, 0.12), 0.75  #: px, and of its shorter side, at its edge, of which so much has its colour
EDGE = 2  #: px at either side of the edge of a ground, in which its colour and that of the paper mix
HALF, FAINTEST = 0.45, 18  #: of the strongest ink on a ground, and grey levels, that ink differs from it
LETTER = 5, 0.08  #: px that a letter is high, and the share of its box that it fills, at least
ALIKE = 2.5  #: times as high as a letter, that another beside it is, at most
BESIDE = 2.0  #: heights from a letter to the next in its row, at most

Grey = NDArray[np.uint8]  #: (H, W)


@dataclass(frozen=True)
class _Ground:
    """One ground: its left and top, px, what has its colour, and all that it reaches over, both (h, w); and whether it
    is dark with light ink on it."""

    left: int
    top: int
    own: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    dark: bool = False

    def of(self, picture: Grey) -> Grey:
        """Its part of a picture of the same size as the page."""
        return picture[self.top : self.top + len(self.own), self.left : self.left + self.own.shape[1]]

    @property
    def box(self) -> Box:
        """Where it is, px."""
        high, wide = self.own.shape
        return float(self.left), float(self.top), float(self.left + wide), float(self.top + high)


@dataclass(frozen=True)
class Grounds:
    """The plain grounds of a picture, each before those that lie on it; `boxes` are those of a few rows, px, and
    `dark` those of them that have light ink on them."""

    grounds: Sequence[_Ground]
    boxes: tuple[Box, ...]
    dark: tuple[Box, ...]

    def judged(self, grey: Grey, paper: Grey, apart: Grey) -> tuple[Grey, Grey]:
        """The paper of one channel of the picture and by how much each pixel differs from it, where these were taken
        for `paper` and `apart`; all (H, W)."""
        paper, apart = paper.copy(), apart.copy()
        for ground in self.grounds:
            colour = int(np.median(ground.of(grey)[ground.own]))
            here, below, off = (ground.of(x) for x in (grey, paper, apart))
            square = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
            whole = ground.whole.astype(np.uint8)
            edge = cv2.dilate(whole, square) > cv2.erode(whole, square, borderValue=1)
            inside = cv2.absdiff(here, np.full_like(here, colour))
            mixed = (here >= np.minimum(below, colour)) & (here <= np.maximum(below, colour))
            off[:] = np.where(edge, np.where(mixed, 0, np.minimum(off, inside)), np.where(ground.whole, inside, off))
            below[ground.whole] = colour
        return paper, apart


def plain_grounds(grey: Grey, paper: Grey, step: int) -> Grounds | None:
    """The plain grounds on a grey picture whose paper was taken for `paper`, both (H, W); None where there are none. It
    is only looked for them where a picture that is reduced `step` times shows any."""
    size = tuple(max(1, side // step) for side in grey.shape[::-1])
    small, known = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (grey, paper))
    coarse = (cv2.absdiff(small, known) > UNLIKE).astype(np.uint8)
    solid = np.asarray(cv2.erode(coarse, np.ones((SOLID, SOLID), np.uint8)))
    if not solid.any():
        return None
    found = _page(grey, paper)
    for darker in (True, False):
        unlike = (cv2.subtract(paper, grey) if darker else cv2.subtract(grey, paper)) > UNLIKE
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            unlike.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        fits = (stats[:, 2] >= WIDE) & (stats[:, 3] >= HIGH) & (stats[:, 4] > FILLED / 2 * stats[:, 2] * stats[:, 3])
        fits[0] = False
        for number in np.flatnonzero(fits).tolist():
            x, y, wide, high, _ = stats[number].tolist()
            if not solid[y // step : -(-(y + high) // step), x // step : -(-(x + wide) // step)].any():
                continue
            left, top = max(0, x - EDGE), max(0, y - EDGE)
            here = np.s_[top : y + high + EDGE, left : x + wide + EDGE]
            if (one := _ground(grey[here], paper[here], labels[here] == number, left, top)) is not None:
                found.append(one)
    found.sort(key=lambda one: -one.whole.size)
    low = [one for one in found if len(one.whole) <= PAGE]
    return Grounds(found, tuple(x.box for x in low), tuple(x.box for x in low if x.dark)) if found else None


def _page(grey: Grey, paper: Grey) -> list[_Ground]:
    """The parts of the page, by its commonest colour, that were taken for ink."""
    colour = int(np.bincount(grey[::3, ::3].ravel(), minlength=256).argmax())
    near = cv2.absdiff(grey, np.full_like(grey, colour)) < UNLIKE
    _, labels, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    large = stats[:, 2:4].min(1) >= PAGE
    large[0] = False
    ink = (large[labels] & (cv2.absdiff(grey, paper) > UNLIKE)).astype(np.uint8)
    own = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((GAP, GAP), np.uint8)) > 0
    return [_Ground(0, 0, own, own)] if own.any() else []


def _ground(grey: Grey, paper: Grey, unlike: NDArray[np.bool_], left: int, top: int) -> _Ground | None:
    """The ground that an area `unlike` the paper is, (h, w), at a place on the page; None where it is none."""
    colour = int(np.median(grey[unlike]))
    inside = cv2.absdiff(grey, np.full_like(grey, colour))
    own = unlike & (inside <= np.clip(EVEN[0] * abs(colour - float(np.median(paper[unlike]))), *EVEN[1:]))
    framed = np.pad(unlike.astype(np.uint8), 1)
    cv2.floodFill(framed, None, (0, 0), 2)
    whole = framed[1:-1, 1:-1] != 2
    if own.sum() < FILLED * whole.sum():
        return None
    inner = _within(whole, EDGE - 1)
    margin = inner & ~_within(whole, max(MARGIN[0], round(MARGIN[1] * min(whole.shape))))
    if not margin.any() or own[margin].mean() < CLEAR:
        return None
    apart = np.where(inner, inside, 0)
    ink = (apart > max(HALF * float(apart.max()), FAINTEST)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_32S)
    if not _lettered(np.asarray(stats[1:], np.int32)):
        return None
    dark = colour < min(float(np.median(paper)), float(np.median(grey[ink > 0])))
    return _Ground(left, top, own, whole, dark)


def _within(whole: NDArray[np.bool_], far: int) -> NDArray[np.bool_]:
    """What of an area (h, w) lies farther than `far` px from its edge."""
    square = np.ones((2 * far + 1, 2 * far + 1), np.uint8)
    return np.asarray(cv2.erode(whole.astype(np.uint8), square, borderValue=0) > 0, bool)


def _lettered(pieces: NDArray[np.int32]) -> bool:
    """Whether two of some pieces of ink, (K, 5), are like letters that follow each other in a row."""
    _, _, w, h, area = pieces.T
    its = pieces[(h >= LETTER[0]) & (w < 4 * h) & (h < 8 * w) & (area > LETTER[1] * w * h)]
    its = its[np.argsort(its[:, 0])]
    for k, (left, top, wide, high, _) in enumerate(its[:-1].tolist()):
        x, y, _, h, _ = its[k + 1 : k + 40].T
        level = (y < top + high / 2 + h / 2) & (y + h > top + high / 2)
        near = (x >= left + wide / 2) & (x - left - wide < BESIDE * high)
        if (level & near & (np.maximum(h, high) <= ALIKE * np.minimum(h, high))).any():
            return True
    return False
