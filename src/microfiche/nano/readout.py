"""The readout: vision tokens → characters, all of a page in one parallel pass.

The mirror of nano's compressor: a token is unfolded to 16 patches, window attention reads them, each patch is
unfolded to four 8-px squares, and a character is read from the square that its centre lies in and the three nearest
to it there, by an MLP that is told, by scale and shift, where in the square that centre lies and which density stands
there. The neighbours matter where a character lies across two tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.nano.encoder import PATCHES, WindowBlock
from microfiche.page import TOKEN_SIDE
from microfiche.typesetting.alphabet import N_FULL, N_HALF
from microfiche.typesetting.density import DENSITIES, Density

SQUARE = 8  #: pixels along the side of a square
SQUARES = (TOKEN_SIDE // SQUARE) ** 2
#: Classes of a half-width cell: every half-width glyph, then the left and the right half of a full-width one.
LEFT, RIGHT = N_HALF, N_HALF + 1
HALF_CLASSES = N_HALF + 2
OFFSETS = SQUARE * SQUARE
#: What a page may have been shrunk to, as shares of its size; the readout's table has a part for each.
SCALES = (1.0, 0.8, 0.5)


def _quad_order() -> NDArray[np.int64]:
    """(8, 8) index of each square of a window: three levels of 2×2, outermost first."""
    y, x = np.mgrid[:8, :8]
    return sum(((y >> b & 1) * 2 + (x >> b & 1)) << 2 * b for b in range(3))


_SQUARE_INDEX = _quad_order()


@dataclass(frozen=True)
class Places:
    """Where to read on a page: for each character, the indices (..., 4) of its square among the page's, row of tokens
    by row, and of those beside, above or below, and across from it (−1 where the page ends); and (...) its place's
    row in the readout's table. All int64."""

    squares: NDArray[np.int64]
    place: NDArray[np.int64]


@lru_cache(32)
def places(
    density: Density, rows: int, columns: int, height: int, width: int, full: bool = False, scale: float = 1.0
) -> Places:
    """Places, (rows, columns), of a grid of half-width cells on a page of `height` × `width` tokens that was shrunk
    to `scale`, or, `full`, of the full-width characters that begin in each of them."""
    y, x = centres(density, rows, columns, full, scale)
    return places_at(density, y, np.minimum(x, width * TOKEN_SIDE - 1), height, width, full, scale)


def centres(
    density: Density, rows: int, columns: int, full: bool = False, scale: float = 1.0, down: int = 0, right: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixel rows (rows, 1) and columns (1, columns) of the centres that `places` reads at, where the grid begins
    `down` px above and `right` px left of the page, before it is shrunk."""
    y = (np.arange(rows)[:, None] + 0.5) * density.height - down
    x = (np.arange(columns)[None] + (1.0 if full else 0.5)) * density.width - right
    return _floor(y * scale), _floor(x * scale)


def _floor(x: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.floor(x + 1e-9).astype(np.int64)


def places_at(
    density: Density,
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    height: int,
    width: int,
    full: bool,
    scale: float = 1.0,
) -> Places:
    """Places of the characters whose centres are at pixels (y, x), which broadcast."""
    squares, offset = around_centres(y, x, height, width)
    nearest = min(range(len(SCALES)), key=lambda i: abs(math.log(scale / SCALES[i])))
    kind = list(DENSITIES).index(density.name) + len(DENSITIES) * (full + 2 * nearest)
    return Places(squares, kind * OFFSETS + offset)


def around_centres(
    y: NDArray[np.int64], x: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of centres at pixels (y, x), which broadcast: the indices (..., 4) of the squares as in Places, and (...) where
    in the first of them each centre lies, row by row."""
    y, x = np.broadcast_arrays(y, x)
    # The square on the side of the centre's square that the centre is nearer to.
    down = y + np.where(y % SQUARE < SQUARE // 2, -SQUARE, SQUARE)
    across = x + np.where(x % SQUARE < SQUARE // 2, -SQUARE, SQUARE)
    around = [square_at(a, b, height, width) for a, b in ((y, x), (y, across), (down, x), (down, across))]
    return np.stack(around, axis=-1), y % SQUARE * SQUARE + x % SQUARE


def square_at(y: NDArray[np.int64], x: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """The index of the square that pixels (y, x) lie in, −1 where that is no page."""
    inside = (y >= 0) & (x >= 0) & (y < height * TOKEN_SIDE) & (x < width * TOKEN_SIDE)
    token = y // TOKEN_SIDE * width + x // TOKEN_SIDE
    return np.where(inside, token * SQUARES + _SQUARE_INDEX[y % TOKEN_SIDE // SQUARE, x % TOKEN_SIDE // SQUARE], -1)


class Decompressor(nn.Module):
    """(n, token width) → (n, 16, D): the compressor's mirror."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.deconv2 = nn.Linear(token_width, token_width)
        self.deconv1 = nn.Linear(token_width // 4, 4 * width)
        if not self.deconv2.weight.is_meta:  # as in Compressor
            self.start_as(torch.eye(width, token_width // PATCHES))

    @torch.no_grad()
    def start_as(self, projection: Float[Tensor, "d part"]) -> None:
        """Sets the weights so that each patch is the (D, token width / 16) projection of its part of the token."""
        self.deconv1.weight.copy_(torch.block_diag(*[projection] * 4))  # type: ignore[no-untyped-call]
        nn.init.eye_(self.deconv2.weight)
        nn.init.zeros_(self.deconv1.bias)
        nn.init.zeros_(self.deconv2.bias)

    def forward(self, tokens: Float[Tensor, "n width"]) -> Float[Tensor, "n 16 d"]:
        """The patches of each token."""
        n, d = tokens.shape
        patches: Tensor = self.deconv1(self.deconv2(tokens).view(n, 4, d // 4))
        return patches.view(n, PATCHES, -1)


class Squares(nn.Module):
    """Unfolds tokens to squares of 8 px (`unfold`) and gathers what there is to `see` at places among them, of which
    there are `places` kinds."""

    def __init__(
        self, width: int, token_width: int, layers: int, square_width: int, hidden: int, places: int
    ) -> None:
        super().__init__()
        self.decompressor = Decompressor(width, token_width)
        self.place = nn.Parameter(torch.randn(PATCHES, width) * 0.02)
        self.blocks = nn.ModuleList(WindowBlock(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.squares = nn.Linear(width, 4 * square_width)
        self.fc1 = nn.Linear(square_width, hidden)
        # Of the three neighbours, apart for the four corners of its square that a centre may be nearest to.
        self.around = nn.ModuleList(nn.Linear(3 * square_width, hidden, bias=False) for _ in range(4))
        for parameter in self.around.parameters():
            nn.init.zeros_(parameter)
        self.table = nn.Parameter(torch.zeros(places, 2 * hidden))
        nn.init.normal_(self.table, std=2.0)

    def unfold(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "squares d"]:
        """(B, N, token width) → (B·N·64, square width), the pages' 8-px squares in Places' order."""
        return self.unfold_patches(self.decompressor(tokens.flatten(0, 1)))

    def unfold_patches(self, patches: Float[Tensor, "windows 16 width"]) -> Float[Tensor, "squares d"]:
        """The same from (B·N, 16, D) windows of patches, decompressed or never compressed."""
        x = patches + self.place
        for block in self.blocks:
            x = block(x)
        squares: Tensor = self.squares(self.norm(x))
        return squares.reshape(patches.shape[0] * SQUARES, -1)

    def see(
        self, squares: Float[Tensor, "squares d"], at: Int[Tensor, "m 4"], place: Int[Tensor, " m"]
    ) -> Float[Tensor, "m hidden"]:
        """(n, square width) squares of `unfold`, (m, 4) indices and (m,) places of Places → (m, hidden)."""
        offset = place % OFFSETS
        corner = (offset // SQUARE >= SQUARE // 2) * 2 + (offset % SQUARE >= SQUARE // 2)
        order = corner.argsort()
        at, place = at[order], place[order]
        missing = (at.flatten() < 0).nonzero()[:, 0]
        gathered = squares.index_select(0, at.flatten().clamp(min=0)).index_fill(0, missing, 0)
        gathered = gathered.view(*at.shape, squares.shape[1])
        near = gathered[:, 1:].flatten(1).split_with_sizes(corner.bincount(minlength=4).tolist())
        around = torch.cat([linear(some) for linear, some in zip(self.around, near, strict=True)])
        x = self.fc1(gathered[:, 0]) + around
        scale, shift = F.embedding(place, self.table).to(squares.dtype).chunk(2, dim=-1)
        return torch.empty_like(x).index_copy(0, order, F.gelu(torch.addcmul(shift, x, 1 + scale)))


class Readout(Squares):
    """Reads half-width cells (`half_logits`) and full-width characters (`full_logits`) of what it can `see` in unfolded
    tokens (`unfold`)."""

    def __init__(self, width: int, token_width: int, layers: int, square_width: int, hidden: int) -> None:
        super().__init__(
            width, token_width, layers, square_width, hidden, 2 * len(SCALES) * len(DENSITIES) * OFFSETS
        )
        self.half_head = nn.Linear(hidden, HALF_CLASSES)
        self.fc2 = nn.Linear(hidden, hidden)
        self.full_head = nn.Linear(hidden, N_FULL)

    def half_logits(self, seen: Float[Tensor, "*m hidden"]) -> Float[Tensor, "*m classes"]:
        """(..., hidden) what is seen in a half-width cell → (..., HALF_CLASSES) logits."""
        logits: Tensor = self.half_head(seen)
        return logits

    def full_logits(self, seen: Float[Tensor, "*m hidden"]) -> Float[Tensor, "*m classes"]:
        """(..., hidden) what is seen of a full-width character → (..., N_FULL) logits."""
        logits: Tensor = self.full_head(self.fc2(seen))
        return logits
