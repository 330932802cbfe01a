"""The nouns of the street: a Page is one picture, VisionTokens are what the encoder makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
    """`values` (height · width, D) float, one token for each 64×64 px of a page, row by row.

    `setting` is the page's; `checkpoint` is the name and SHA-256 of the weights that made the tokens.
    """

    values: torch.Tensor
    height: int
    width: int
    setting: Setting | None
    checkpoint: tuple[str, str]

    def __len__(self) -> int:
        return self.height * self.width
