"""The glyph atlases in the package, which say what each glyph id looks like at each density, and drawing with them.

tools/build_atlases.py builds the atlases from named font packages; the licences are in atlases/LICENSES.txt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, FILL, N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.density import Density

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Atlas:
    """`cells` (G, H, W) uint8 are the pictures of the G glyphs, ink 1 on paper 0; `drawn` (G,) bool says which glyphs
    the density has."""

    cells: NDArray[np.uint8]
    drawn: NDArray[np.bool_]

    def glyphs(self, text: str) -> NDArray[np.uint16]:
        """(T,) glyph ids of `text`, NO_GLYPH for characters that this density cannot draw."""
        ids = glyphs(text)
        known = np.append(self.drawn, False)[np.minimum(ids, len(self.drawn))]
        return np.where(known, ids, np.uint16(NO_GLYPH))

    @property
    def characters(self) -> str:
        """All characters that this density can draw, in the order of their ids."""
        ids = np.flatnonzero(self.drawn)
        ids = ids[(ids != END) & (ids != FILL) & ((ids < N_HALF) | ((ids - N_HALF) % 2 == 0))]
        return "".join(map(chr, CODE_POINT_OF_GLYPH[ids]))


@cache
def atlas(density: Density) -> Atlas:
    """The atlas of a density, read from the package."""
    name = density.read_as or density.name
    with (files(__package__) / "atlases" / f"{name}.npz").open("rb") as file, np.load(file) as stored:
        bits, drawn = stored["bits"], stored["drawn"]
    pixels = np.unpackbits(bits, axis=1)[:, : density.height * density.width]
    return Atlas(pixels.reshape(-1, density.height, density.width), drawn)


def draw(cells: NDArray[np.uint16], atlas_cells: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Draws (..., rows, columns) glyph ids with the pictures of an atlas (G, h, w): (..., height, width) uint8 pages.

    The grid stands in the upper left corner; the rest of a page has the first pixel of the blank cell.
    """
    *batch, rows, columns = cells.shape
    _, h, w = atlas_cells.shape
    pages = np.full((*batch, height, width), atlas_cells[0, 0, 0])
    lines = np.ascontiguousarray(atlas_cells).view(f"V{w * atlas_cells.itemsize}")[..., 0]  # (G, h), each in one piece
    block = np.ascontiguousarray(np.swapaxes(lines[cells], -2, -1))  # (..., rows, h, columns)
    pages[..., : rows * h, : columns * w] = block.view(pages.dtype).reshape(*batch, rows * h, columns * w)
    return pages


def draw_torch(cells: torch.Tensor, atlas_cells: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """As `draw`, on torch tensors of any device: (B, rows, columns) int → (B, height, width) of the atlas's dtype."""
    batch, rows, columns = cells.shape
    _, h, w = atlas_cells.shape
    pages = atlas_cells[0, 0, 0].expand(batch, height, width).contiguous()
    block = atlas_cells.index_select(0, cells.reshape(-1)).view(batch, rows, columns, h, w).transpose(2, 3)
    pages[:, : rows * h, : columns * w] = block.reshape(batch, rows * h, columns * w)
    return pages
