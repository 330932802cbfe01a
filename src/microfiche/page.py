"""The nouns of the street: a Page is one picture, VisionTokens are what the encoder makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import UsageError
from microfiche.typesetting.density import TOKEN_SIDE

if TYPE_CHECKING:
    import torch

PAPER, INK = 255, 0
#: (T, 4) left, top, right, bottom in px; parts of pixels where they are known.
Boxes = NDArray[np.int32] | NDArray[np.float32]


@dataclass(frozen=True)
class Setting:
    """How a page was typeset: the name of its density, whether line ends start a new line, and the `scale` that it
    was shrunk to since."""

    density: str
    layout: str = "dense"
    scale: float = 1.0


@dataclass(frozen=True)
class Page:
    """`image` is (H, W) uint8 grey or (H, W, 3) uint8 RGB, white paper 255.

    A page that was typeset also has its `setting`, the `text` on it, and for each character of that a box of
    (left, top, right, bottom) pixels in `boxes` (T, 4) int32, or float32 where parts of pixels are known.
    """

    image: NDArray[np.uint8]
    setting: Setting | None = None
    text: str | None = None
    boxes: Boxes | None = None


@dataclass(frozen=True)
class VisionTokens:
    """`values` (n, D) float, the tokens kept of a page of `height` × `width` squares of 64×64 px, begun ones too.

    `setting` is the page's; `checkpoint` is the name and SHA-256 of the weights that made the tokens. `places` (n, 3)
    int32 are the view, row and column of the square that each token stands for, −1 in all three where it stands for
    none; view 0 is the page itself, and of two tokens no square is the same. None: every square of the page has one,
    row by row. `origin` is how many px from the page's top and left square (0, 0) begins, where margins were cut.

    Raises UsageError for places and an origin that no tokens of such a page can have.
    """

    values: torch.Tensor
    height: int
    width: int
    setting: Setting | None
    checkpoint: tuple[str, str]
    places: NDArray[np.int32] | None = None
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        size = self.height, self.width
        if any(not 0 <= px < max(1, n * TOKEN_SIDE) for px, n in zip(self.origin, size, strict=True)):
            raise UsageError(f"origin {self.origin} lies off a page of {self.height} × {self.width} squares")
        if self.places is None:
            return
        if self.places.shape != (len(self.values), 3) or self.places.dtype != np.int32:
            found = f"{self.places.dtype} {self.places.shape}"
            raise UsageError(f"places of {len(self.values)} tokens are {found}, not int32 ({len(self.values)}, 3)")
        real = self.places[(self.places != -1).any(axis=1)]
        wrong = ((real < 0) | (real[:, 1:] >= size).any(axis=1, keepdims=True)).any(axis=1)
        if wrong.any():
            view, row, column = real[wrong][0].tolist()
            at = f"row {row}, column {column} of view {view}"
            raise UsageError(f"places: {at} lies off a page of {self.height} × {self.width} squares")
        once, times = np.unique(real, axis=0, return_counts=True)
        if (times > 1).any():
            view, row, column = once[times > 1][0].tolist()
            raise UsageError(f"places: {times.max()} tokens stand for row {row}, column {column} of view {view}")

    def __len__(self) -> int:
        return len(self.values)
