"""Cells to pixels: a gather from the atlas and a write into the page, in NumPy or torch, one page or many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def draw(
    cells: NDArray[np.uint16], atlas_cells: NDArray[np.uint8], height: int, width: int
) -> NDArray[np.uint8]:
    """(..., rows, columns) cells and a (G, h, w) atlas → (..., height, width) uint8 of the atlas's values.

    The grid stands in the upper left corner; what it does not cover is as the blank cell.
    """
    *batch, rows, columns = cells.shape
    _, h, w = atlas_cells.shape
    pages = np.full((*batch, height, width), atlas_cells[0, 0, 0])
    block = np.swapaxes(atlas_cells[cells], -3, -2)  # (..., rows, h, columns, w)
    pages[..., : rows * h, : columns * w] = block.reshape(*batch, rows * h, columns * w)
    return pages


def draw_torch(cells: torch.Tensor, atlas_cells: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The same on torch tensors of any device: (B, rows, columns) int → (B, height, width) of the atlas's dtype."""
    batch, rows, columns = cells.shape
    _, h, w = atlas_cells.shape
    pages = atlas_cells[0, 0, 0].expand(batch, height, width).contiguous()
    block = atlas_cells.index_select(0, cells.reshape(-1)).view(batch, rows, columns, h, w).transpose(2, 3)
    pages[:, : rows * h, : columns * w] = block.reshape(batch, rows * h, columns * w)
    return pages
