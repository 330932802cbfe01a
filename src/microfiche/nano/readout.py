"""The readout: vision tokens → characters, the whole page in one parallel pass.

It mirrors nano's compressor: a token is unfolded to 16 patches, window attention reads them, and each patch is unfolded
to four squares of 8 px. A character is read by an MLP from the square that contains its centre and the three squares
nearest to that centre. A learned scale and shift tell the MLP where in its square the centre lies and which density the
page has. The neighbours matter for characters that lie across two tokens.
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
from microfiche.typesetting.density import LEARNED, Density

SQUARE = 8  #: side of a square in px
SQUARES = (TOKEN_SIDE // SQUARE) ** 2
#: The classes of a half-width cell are all half-width glyphs, then the left and the right half of a full-width one.
LEFT, RIGHT = N_HALF, N_HALF + 1
HALF_CLASSES = N_HALF + 2
OFFSETS = SQUARE * SQUARE
#: The scales that a page may have been shrunk to; the readout's table has a part for each.
SCALES = (1.0, 0.8, 0.5)
_LEARNED = [density.name for density in LEARNED]


def _quad_order() -> NDArray[np.int64]:
    """(8, 8) index of each square in a window: three levels of 2×2, outermost first."""
    y, x = np.mgrid[:8, :8]
    return sum(((y >> b & 1) * 2 + (x >> b & 1)) << 2 * b for b in range(3))


_SQUARE_INDEX = _quad_order()


@dataclass(frozen=True)
class Places:
    """Where to read on a page; both int64. `squares` (…, 4) are, for each character, the indices of its square among
    the page's, row of tokens by row, and of the squares beside, above or below, and diagonal to it
    (−1 beyond the page). `place` (…) is the row of the readout's table."""

    squares: NDArray[np.int64]
    place: NDArray[np.int64]


@lru_cache(32)
def places(
    density: Density, rows: int, columns: int, height: int, width: int, full: bool = False, scale: float = 1.0
) -> Places:
    """Returns the Places, (rows, columns), of a grid of half-width cells on a page of `height` × `width` tokens that
    was shrunk to `scale`; with `full`, those of the full-width characters that begin in each cell."""
    y, x = centres(density, rows, columns, full, scale)
    return places_at(density, y, np.minimum(x, width * TOKEN_SIDE - 1), height, width, full, scale)


def centres(
    density: Density, rows: int, columns: int, full: bool = False, scale: float = 1.0, down: int = 0, right: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the pixel rows (rows, 1) and columns (1, columns) of the centres that `places` reads at. The grid begins
    `down` px above and `right` px left of the page, measured before the page is shrunk."""
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
    """Returns the Places of characters whose centres are at pixels (y, x), which broadcast."""
    squares, offset = around_centres(y, x, height, width)
    nearest = min(range(len(SCALES)), key=lambda i: abs(math.log(scale / SCALES[i])))
    kind = _LEARNED.index(density.read_as or density.name) + len(LEARNED) * (full + 2 * nearest)
    return Places(squares, kind * OFFSETS + offset)


def around_centres(
    y: NDArray[np.int64], x: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For centres at pixels (y, x), which broadcast: the (…, 4) indices of squares as in Places, and (…) the position
    of each centre in the first of them, row by row."""
    y, x = np.broadcast_arrays(y, x)
    # In each direction, the neighbour on the side that the centre is nearer to.
    down = y + np.where(y % SQUARE < SQUARE // 2, -SQUARE, SQUARE)
    across = x + np.where(x % SQUARE < SQUARE // 2, -SQUARE, SQUARE)
    around = [square_at(a, b, height, width) for a, b in ((y, x), (y, across), (down, x), (down, across))]
    return np.stack(around, axis=-1), y % SQUARE * SQUARE + x % SQUARE


def square_at(y: NDArray[np.int64], x: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """Returns the index of the square that contains pixel (y, x), or −1 beyond the page."""
    inside = (y >= 0) & (x >= 0) & (y < height * TOKEN_SIDE) & (x < width * TOKEN_SIDE)
    token = y // TOKEN_SIDE * width + x // TOKEN_SIDE
    return np.where(inside, token * SQUARES + _SQUARE_INDEX[y % TOKEN_SIDE // SQUARE, x % TOKEN_SIDE // SQUARE], -1)


class Decompressor(nn.Module):
    """(n, token width) → (n, 16, D): the mirror of the compressor."""

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
        """(n, token width) → (n, 16, D): the patches of each token."""
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
        # For the three neighbours: one matrix for each corner of its square that a centre may be nearest to.
        self.around = nn.ModuleList(nn.Linear(3 * square_width, hidden, bias=False) for _ in range(4))
        for parameter in self.around.parameters():
            nn.init.zeros_(parameter)
        self.table = nn.Parameter(torch.zeros(places, 2 * hidden))
        nn.init.normal_(self.table, std=2.0)

    def unfold(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "squares d"]:
        """(B, N, token width) → (B·N·64, square width): the pages' 8-px squares in the order of Places."""
        return self.unfold_patches(self.decompressor(tokens.flatten(0, 1)))

    def unfold_patches(self, patches: Float[Tensor, "windows 16 width"]) -> Float[Tensor, "squares d"]:
        """The same from (B·N, 16, D) windows of patches, whether decompressed or never compressed."""
        x = patches + self.place
        for block in self.blocks:
            x = block(x)
        squares: Tensor = self.squares(self.norm(x))
        return squares.reshape(patches.shape[0] * SQUARES, -1)

    def see(
        self, squares: Float[Tensor, "squares d"], at: Int[Tensor, "m 4"], place: Int[Tensor, " m"]
    ) -> Float[Tensor, "m hidden"]:
        """(n, square width) squares from `unfold`, (m, 4) indices and (m,) places from Places → (m, hidden)."""
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
    """Reads half-width cells (`half_logits`) and full-width characters (`full_logits`) from what it can `see` in
    unfolded tokens (`unfold`)."""

    def __init__(self, width: int, token_width: int, layers: int, square_width: int, hidden: int) -> None:
        super().__init__(
            width, token_width, layers, square_width, hidden, 2 * len(SCALES) * len(LEARNED) * OFFSETS
        )
        self.half_head = nn.Linear(hidden, HALF_CLASSES)
        self.fc2 = nn.Linear(hidden, hidden)
        self.full_head = nn.Linear(hidden, N_FULL)

    def half_logits(self, seen: Float[Tensor, "*m hidden"]) -> Float[Tensor, "*m classes"]:
        """(…, hidden) what is seen in a half-width cell → (…, HALF_CLASSES) logits."""
        logits: Tensor = self.half_head(seen)
        return logits

    def full_logits(self, seen: Float[Tensor, "*m hidden"]) -> Float[Tensor, "*m classes"]:
        """(…, hidden) what is seen of a full-width character → (…, N_FULL) logits."""
        logits: Tensor = self.full_head(self.fc2(seen))
        return logits
