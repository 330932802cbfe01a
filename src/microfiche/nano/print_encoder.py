"""The encoder of nano for print: the ink of a page to vision tokens, one for every 64×64 px.

The local stage is convolutional and sees across the borders of windows; most of it works at 4 and 8 px, the scale of
letters. Each patch of 16 px is then folded to a sixteenth of a token: its 4-px features (at first, their principal
components), plus what the stage at 16 px adds. The linear shortcut past deep stages is from DC-AE (arXiv 2410.10733,
section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.page import TOKEN_SIDE

PATCH = 16  #: side in px of the patch that a sixteenth of a token stands for
CELL = 4  #: side in px of the cells whose features are folded into tokens, and that frames are read from
PARTS = TOKEN_SIDE // PATCH  #: patches along the side of a token's square
INKED = 0.1  #: a pixel with more ink than this, of 1, makes its square a token


@dataclass(frozen=True)
class PrintConfig:
    """`widths` are the channels at 2, 4, 8 and 16 px. `blocks` are the residual convolutions at those scales in the
    encoder, `readout_blocks` those at 16, 8 and 4 px in the readout. `context` are the dilations of the convolutions
    along a line."""

    widths: tuple[int, int, int, int] = (32, 96, 160, 256)
    blocks: tuple[int, int, int, int] = (1, 3, 3, 2)
    token_width: int = 1280
    readout_blocks: tuple[int, int, int] = (2, 2, 1)
    hidden: int = 192
    context: tuple[int, ...] = (1, 2, 4)

    @classmethod
    def of(cls, given: dict[str, Any]) -> PrintConfig:
        """Builds the configuration from TOML or JSON, which have lists instead of tuples."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        return cls(**values)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W), channels last in memory."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """(B, C, H, W) → the same shape, with each pixel's channels normalised."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """(B, C, H, W) → the same shape: the input plus a 3×3 convolution of its normalised and rectified values. If
    `still`, the convolution starts at zero."""

    def __init__(self, width: int, still: bool = False) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        if still:
            start_as_nothing(self.conv)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """(B, C, H, W) → (B, C, H, W): the input plus the convolution."""
        return x + self.conv(F.gelu(self.norm(x)))


class Local(nn.Module):
    """(B, H, W) ink in [0, 1] → maps (B, C, …) of 2, 4, 8 and 16 px, channels last; the last are the patches."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        ins = (1, *widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in zip(ins, widths, strict=True))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Residual(w) for _ in range(n))) for w, n in zip(widths, blocks, strict=True)
        )
        self.norms = nn.ModuleList(ChannelNorm(w) for w in widths)
        #: how many patches on each side the features of a patch depend on
        self.sees = math.ceil(sum((0.5 + n) * 2 ** (i + 1) for i, n in enumerate(blocks)) / PATCH)

    def forward(self, ink: Float[Tensor, "b h w"], scales: int = 4) -> list[Tensor]:
        """Returns the maps of the first `scales` scales of (B, H, W) ink, finest first."""
        x = ink[:, None].contiguous(memory_format=torch.channels_last)
        maps = []
        for i in range(scales):
            x = self.norms[i](self.blocks[i](self.down[i](x)))
            maps.append(x)
        return maps


class PrintEncoder(nn.Module):
    """(B, H, W) ink in [0, 1], H and W multiples of 64 → (B, H/64 · W/64, token width), row by row; squares without ink
    are zero."""

    def __init__(self, config: PrintConfig) -> None:
        super().__init__()
        part = config.token_width // PARTS**2
        self.local = Local(config.widths, config.blocks)
        self.fold = nn.Conv2d(config.widths[1], part, PATCH // CELL, PATCH // CELL)
        self.add = nn.Conv2d(config.widths[3], part, 1, bias=False)
        self.mix = nn.Linear(config.token_width, config.token_width)
        start_as_nothing(self.add)
        start_as_identity(self.mix)

    def forward(self, ink: Float[Tensor, "b h w"]) -> Float[Tensor, "b n width"]:
        """(B, H, W) ink → (B, N, token width): the tokens of each page, row by row."""
        return self.folded(self.local(ink), inked(ink))

    def folded(self, maps: list[Tensor], inked: Bool[Tensor, "b n"]) -> Float[Tensor, "b n width"]:
        """The maps of the local stage and (B, N) bool, the squares with ink → (B, N, token width)."""
        tokens: Tensor = self.mix(_by_squares(self._patches(maps)).flatten(1, 2))
        return tokens * inked[..., None]

    def kept(self, ink: Float[Tensor, "h w"], inked: Bool[Tensor, "rows columns"]) -> Float[Tensor, "n width"]:
        """(H, W) ink of one page and (H/64, W/64) bool, its squares with ink → (n, token width): the tokens that
        `forward` returns for those squares. The local stage runs only near them."""
        sees = self.local.sees
        patches = ink.new_zeros(self.fold.out_channels, *(side // PATCH for side in ink.shape))
        for rows, columns in rectangles(inked.cpu().numpy(), 2 * sees // PARTS):
            top, bottom, left, right = (PARTS * n for n in (rows.start, rows.stop, columns.start, columns.stop))
            above, before = min(top, sees), min(left, sees)
            down = slice(PATCH * (top - above), PATCH * (bottom + sees))
            across = slice(PATCH * (left - before), PATCH * (right + sees))
            found = self._patches(self.local(ink[None, down, across]))[0, :, above:, before:]
            patches[:, top:bottom, left:right] = found[:, : bottom - top, : right - left]
        tokens: Tensor = self.mix(_by_squares(patches)[inked])
        return tokens

    def _patches(self, maps: list[Tensor]) -> Tensor:
        """The maps of the local stage → (B, part of a token, H/16, W/16)."""
        x: Tensor = self.fold(maps[1]) + self.add(maps[3])
        return x


def _by_squares(patches: Tensor) -> Tensor:
    """(…, part of a token, H/16, W/16) → (…, H/64, W/64, token width)"""
    return F.pixel_unshuffle(patches, PARTS).movedim(-3, -1)


def rectangles(there: NDArray[np.bool_], apart: int) -> Iterator[tuple[slice, slice]]:
    """Yields rows and columns that cover all True values of an (H, W) mask: bands with more than `apart` empty rows
    between them, cut where more than `apart` columns are empty."""
    for rows in _runs(np.flatnonzero(there.any(1)), apart):
        for columns in _runs(np.flatnonzero(there[rows].any(0)), apart):
            yield rows, columns


def _runs(at: NDArray[np.int64], apart: int) -> list[slice]:
    """Splits ascending numbers where more than `apart` are missing in between; returns a slice for each part."""
    parts = np.split(at, np.flatnonzero(np.diff(at) > apart + 1) + 1) if len(at) else []
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts]


def inked(ink: Float[Tensor, "b h w"]) -> Bool[Tensor, "b n"]:
    """(B, H, W) ink → (B, H/64 · W/64) bool: the squares that have any."""
    return (F.max_pool2d(ink[:, None].float(), TOKEN_SIDE) > INKED).flatten(1)


def start_as_nothing(conv: nn.Conv2d) -> None:
    """Sets a convolution to zero."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)


def start_as_identity(linear: nn.Linear) -> None:
    """Sets a layer so that it returns what it gets."""
    if not linear.weight.is_meta:
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
