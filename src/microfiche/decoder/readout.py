"""The readout: vision tokens → characters, all of a page in one parallel pass.

The mirror of nano's compressor: a token is unfolded to 16 patches, window attention reads them, each patch is
unfolded to four 8-px squares, and the character whose centre lies in a square is read from it by an MLP that is
told, by scale and shift, where in the square that centre lies and which density stands there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.encoder.windows import PATCHES, WindowBlock
from microfiche.typesetting.alphabet import N_FULL, N_HALF
from microfiche.typesetting.density import DENSITIES, TOKEN_SIDE, Density

SQUARE = 8  #: pixels along the side of a square
SQUARES = (TOKEN_SIDE // SQUARE) ** 2
#: Classes of a half-width cell: every half-width glyph, then the left and the right half of a full-width one.
LEFT, RIGHT = N_HALF, N_HALF + 1
HALF_CLASSES = N_HALF + 2
_OFFSETS = SQUARE * SQUARE


def _quad_order() -> NDArray[np.int64]:
    """(8, 8) index of each square of a window: three levels of 2×2, outermost first."""
    y, x = np.mgrid[:8, :8]
    return sum(((y >> b & 1) * 2 + (x >> b & 1)) << 2 * b for b in range(3))


_SQUARE_INDEX = _quad_order()


@dataclass(frozen=True)
class Places:
    """Where to read on a page: for each character, the index of its square among the page's, row of tokens by
    row, and its place's row in the readout's table; both int64 of the same shape."""

    square: NDArray[np.int64]
    place: NDArray[np.int64]


def places(density: Density, rows: int, columns: int, tokens_across: int, full: bool = False) -> Places:
    """Places of a grid of `rows` × `columns` half-width cells, or, `full`, of the full-width characters that
    begin in each of them; shapes (rows, columns)."""
    y, x = centres(density, rows, columns, full)
    return places_at(density, y, np.minimum(x, tokens_across * TOKEN_SIDE - 1), tokens_across, full)


def centres(
    density: Density, rows: int, columns: int, full: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixel rows (rows, 1) and columns (1, columns) of the centres that `places` reads at."""
    y = np.arange(rows)[:, None] * density.height + density.height // 2
    x = np.arange(columns)[None] * density.width + (density.width if full else density.width // 2)
    return y, x


def places_at(
    density: Density, y: NDArray[np.int64], x: NDArray[np.int64], tokens_across: int, full: bool
) -> Places:
    """Places of the characters whose centres are at pixels (y, x), which broadcast."""
    token = y // TOKEN_SIDE * tokens_across + x // TOKEN_SIDE
    inside = _SQUARE_INDEX[y % TOKEN_SIDE // SQUARE, x % TOKEN_SIDE // SQUARE]
    kind = list(DENSITIES).index(density.name) + len(DENSITIES) * full
    return Places(token * SQUARES + inside, kind * _OFFSETS + y % SQUARE * SQUARE + x % SQUARE)


class Decompressor(nn.Module):
    """(n, token width) → (n, 16, D): the compressor's mirror."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.deconv2 = nn.Linear(token_width, token_width)
        self.deconv1 = nn.Linear(token_width // 4, 4 * width)
        self.start_as(torch.eye(width, token_width // PATCHES))

    @torch.no_grad()
    def start_as(self, projection: Tensor) -> None:
        """Sets the weights so that each patch is the (D, token width / 16) projection of its part of the token."""
        self.deconv1.weight.copy_(torch.block_diag(*[projection] * 4))  # type: ignore[no-untyped-call]
        nn.init.eye_(self.deconv2.weight)
        nn.init.zeros_(self.deconv1.bias)
        nn.init.zeros_(self.deconv2.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        n, d = tokens.shape
        patches: Tensor = self.deconv1(self.deconv2(tokens).view(n, 4, d // 4))
        return patches.view(n, PATCHES, -1)


class Readout(nn.Module):
    """Reads half-width cells (`read_half`) and full-width characters (`read_full`) off unfolded tokens (`unfold`)."""

    def __init__(self, width: int, token_width: int, layers: int, square_width: int, hidden: int) -> None:
        super().__init__()
        self.decompressor = Decompressor(width, token_width)
        self.place = nn.Parameter(torch.randn(PATCHES, width) * 0.02)
        self.blocks = nn.ModuleList(WindowBlock(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.squares = nn.Linear(width, 4 * square_width)
        self.fc1 = nn.Linear(square_width, hidden)
        self.table = nn.Parameter(torch.zeros(2 * len(DENSITIES) * _OFFSETS, 2 * hidden))
        nn.init.normal_(self.table, std=2.0)
        self.half_head = nn.Linear(hidden, HALF_CLASSES)
        self.fc2 = nn.Linear(hidden, hidden)
        self.full_head = nn.Linear(hidden, N_FULL)

    def unfold(self, tokens: Tensor) -> Tensor:
        """(B, N, token width) → (B·N·64, square width), the pages' 8-px squares in Places' order."""
        return self.unfold_patches(self.decompressor(tokens.flatten(0, 1)))

    def unfold_patches(self, patches: Tensor) -> Tensor:
        """The same from (B·N, 16, D) windows of patches, decompressed or never compressed."""
        x = patches + self.place
        for block in self.blocks:
            x = block(x)
        squares: Tensor = self.squares(self.norm(x))
        return squares.reshape(patches.shape[0] * SQUARES, -1)

    def see(self, squares: Tensor, place: Tensor) -> Tensor:
        """(..., square width) gathered squares and (...) places → (..., hidden) what stands there."""
        scale, shift = self.table.to(squares.dtype)[place].chunk(2, dim=-1)
        return F.gelu(torch.addcmul(shift, self.fc1(squares), 1 + scale))

    def half_logits(self, seen: Tensor) -> Tensor:
        """(..., hidden) what is seen in a half-width cell → (..., HALF_CLASSES) logits."""
        logits: Tensor = self.half_head(seen)
        return logits

    def full_logits(self, seen: Tensor) -> Tensor:
        """(..., hidden) what is seen of a full-width character → (..., N_FULL) logits."""
        logits: Tensor = self.full_head(self.fc2(seen))
        return logits

    def read_half(self, squares: Tensor, place: Tensor) -> Tensor:
        """(..., square width) gathered squares and (...) places → (..., HALF_CLASSES) logits."""
        return self.half_logits(self.see(squares, place))

    def read_full(self, squares: Tensor, place: Tensor) -> Tensor:
        """The same for full-width characters → (..., N_FULL) logits."""
        return self.full_logits(self.see(squares, place))
