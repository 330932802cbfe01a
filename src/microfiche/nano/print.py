"""Nano for print: pages of the world in, a vision token for every 64×64 px with ink, lines of text out.

The local stage is convolutional, most of it at 4 and 8 px, where letters are, and it sees across the windows' borders.
As in Contexts Optical Compression (arXiv 2510.18234, section 3.2) two stride-2 steps then make one token of 16 patches.
The readout is the mirror, down to 4 px, and is asked twice: every 8-px column of pixels says in which pixel rows the
middle of a line runs and how large its type is, and along each line, every fifth of an em, a frame says which character
has its centre there, if any. It knows nothing of files, nor of the order in which lines are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.decoder.readout import Decompressor
from microfiche.encoder.nano import Compressor
from microfiche.encoder.windows import PATCHES, to_windows
from microfiche.typesetting.alphabet import N_HALF
from microfiche.typesetting.density import TOKEN_SIDE

CELL = 4  #: px along the side of what a frame is read from
COLUMN = 8  #: px along the side of a square in which lines are found
FRAME = 0.2  #: em along a line that one frame stands for
NONE = N_HALF  #: the class of a frame that no character has its centre in
MIDDLE = 0.3  #: em from a line's baseline up to its middle
BETWEEN = 8  #: frames of nothing between two lines, so that no line sees another
_PARTS = 8  #: of a cell's width that a frame's place is told in
INKED = 0.1  #: the ink, of 1, from which on a pixel makes its square a token


@dataclass(frozen=True)
class PrintConfig:
    """`widths` are channels at 2, 4, 8 and 16 px; `blocks` are residual convolutions there in the encoder,
    `readout_blocks` at 16, 8 and 4 px in the readout; `context` are the dilations of those along a line."""

    widths: tuple[int, int, int, int] = (32, 96, 160, 256)
    blocks: tuple[int, int, int, int] = (1, 3, 3, 2)
    token_width: int = 1280
    readout_blocks: tuple[int, int, int] = (2, 2, 1)
    hidden: int = 192
    context: tuple[int, ...] = (1, 2, 4)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W), channels last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """(B, C, H, W) → the same with a 3×3 convolution of what is normalised and rectified added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.gelu(self.norm(x)))


class Local(nn.Module):
    """(B, H, W) ink in [0, 1] → (B, D, H/16, W/16) patches."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        ins = (1, *widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in zip(ins, widths, strict=True))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Residual(w) for _ in range(n))) for w, n in zip(widths, blocks, strict=True)
        )
        self.norms = nn.ModuleList(ChannelNorm(w) for w in widths)

    def forward(self, ink: Tensor) -> Tensor:
        x = ink[:, None].contiguous(memory_format=torch.channels_last)
        for down, blocks, norm in zip(self.down, self.blocks, self.norms, strict=True):
            x = norm(blocks(down(x)))
        return x


class PrintEncoder(nn.Module):
    """(B, H, W) ink in [0, 1], H and W multiples of 64 → (B, H/64 · W/64, token width), rows first; squares without
    ink are zero."""

    def __init__(self, config: PrintConfig) -> None:
        super().__init__()
        self.local = Local(config.widths, config.blocks)
        self.compressor = Compressor(config.widths[-1], config.token_width)

    def forward(self, ink: Tensor) -> Tensor:
        windows = to_windows(self.local(ink).permute(0, 2, 3, 1))
        tokens: Tensor = self.compressor(windows).view(len(ink), -1, self.compressor.conv2.out_features)
        return tokens * inked(ink)[..., None]


def inked(ink: Tensor) -> Tensor:
    """(B, H, W) ink → (B, H/64 · W/64) bool, the squares that have any."""
    return (F.max_pool2d(ink[:, None].float(), TOKEN_SIDE) > INKED).flatten(1)


def from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """(B · height · width, 16, D) windows in quad order → (B, D, 4 · height, 4 · width) patches, channels last."""
    d = windows.shape[-1]
    x = windows.view(-1, height, width, 2, 2, 2, 2, d).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(-1, 4 * height, 4 * width, d).permute(0, 3, 1, 2)


class Up(nn.Module):
    """(B, C, H, W) → (B, D, 2H, 2W)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv = nn.Conv2d(width, 4 * out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(self.norm(x)), 2).contiguous(memory_format=torch.channels_last)


class Along(nn.Module):
    """(1, C, F) frames → the same with a convolution over three of them, `dilation` apart, added."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.gelu(self.norm(x.transpose(1, 2)).transpose(1, 2)))


@dataclass(frozen=True)
class Frames:
    """Where frames look: the (F, 3) indices of the cells that each lies in, above and below it (−1: off the page, or
    between two lines), and in which (F,) part of its cell; int64."""

    cells: NDArray[np.int64]
    part: NDArray[np.int64]


def frames_at(
    y: NDArray[np.floating], x: NDArray[np.floating], page: NDArray[np.int64] | int, height: int, width: int
) -> Frames:
    """Frames at px (y, x), each (F,), of pages of `height` × `width` px that lie one below another; NaN where nothing
    stands."""
    rows, columns = height // CELL, width // CELL
    real = np.isfinite(y)
    y, x = np.nan_to_num(y).clip(0, height - 0.01), np.nan_to_num(x).clip(0, width - 0.01)
    row, column = (y / CELL).astype(np.int64), (x / CELL).astype(np.int64)
    around = row[:, None] + np.array([0, -1, 1])
    inside = (around >= 0) & (around < rows) & real[:, None]
    cells = np.where(inside, (np.asarray(page).reshape(-1, 1) * rows + around) * columns + column[:, None], -1)
    down = (y - row * CELL).astype(np.int64)
    right = ((x / CELL - column) * _PARTS).astype(np.int64).clip(0, _PARTS - 1)
    return Frames(cells, down * _PARTS + right)


class PrintReadout(nn.Module):
    """Vision tokens → maps (`unfold`), lines in them (`line_logits`) and characters along lines (`frame_logits`)."""

    def __init__(self, config: PrintConfig) -> None:
        super().__init__()
        _, at_4, at_8, at_16 = config.widths
        self.decompressor = Decompressor(at_16, config.token_width)
        self.place = nn.Parameter(torch.randn(PATCHES, at_16) * 0.02)
        blocks = [nn.Sequential(*(Residual(w) for _ in range(n)))
                  for w, n in zip((at_16, at_8, at_4), config.readout_blocks, strict=True)]  # fmt: skip
        self.blocks16, self.blocks8, self.blocks4 = blocks
        self.up8, self.up4 = Up(at_16, at_8), Up(at_8, at_4)
        self.line_norm, self.norm = ChannelNorm(at_8), ChannelNorm(at_4)
        self.line_head = nn.Conv2d(at_8, COLUMN + 1, 1)
        self.see = nn.Linear(3 * at_4, config.hidden)
        self.part = nn.Parameter(torch.randn(CELL * _PARTS, 2 * config.hidden))
        self.along = nn.Sequential(*(Along(config.hidden, dilation) for dilation in config.context))
        self.frame_norm = nn.LayerNorm(config.hidden)
        self.frame_head = nn.Linear(config.hidden, N_HALF + 1)

    def unfold(self, tokens: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """(B, height · width, token width) → maps (B, C, …) of 8 and of 4 px, channels last."""
        return self.unfold_windows(self.decompressor(tokens.flatten(0, 1)), height, width)

    def unfold_windows(self, windows: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The same from (B · height · width, 16, D) windows of patches, decompressed or never compressed."""
        x = self.up8(self.blocks16(from_windows(windows + self.place, height, width)))
        at_8 = self.blocks8(x)
        return at_8, self.blocks4(self.up4(at_8))

    def line_logits(self, at_8: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H/8, W/8) → (B, H, W/8) logits that the middle of a line runs through each pixel row of each column,
        and (B, H/8, W/8) the binary logarithm of the type's size in px an em."""
        found = self.line_head(self.line_norm(at_8)).float()
        rows = found[:, :COLUMN].permute(0, 2, 1, 3).flatten(1, 2)
        return rows - 3, found[:, COLUMN] + 3.3

    def frame_logits(self, at_4: Tensor, cells: Tensor, part: Tensor) -> Tensor:
        """(B, C, H/4, W/4) and the (F, 3) cells and (F,) parts of Frames → (F, N_HALF + 1)."""
        flat = self.norm(at_4).permute(0, 2, 3, 1).flatten(0, 2)
        seen = flat.index_select(0, cells.flatten().clamp(min=0)) * (cells.flatten() >= 0)[:, None]
        x = self.see(seen.view(len(cells), -1))
        scale, shift = F.embedding(part, self.part).to(x.dtype).chunk(2, dim=-1)
        x = torch.addcmul(shift, x, 1 + scale)
        x = self.along(x.T[None])[0].T
        logits: Tensor = self.frame_head(F.gelu(self.frame_norm(x)))
        return logits


class PrintModel(nn.Module):
    """Encoder and readout in one: what is trained and stored together."""

    def __init__(self, config: PrintConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PrintEncoder(config)
        self.readout = PrintReadout(config)

    def maps(self, ink: Tensor, compressed: bool = True) -> tuple[Tensor, Tensor]:
        """(B, H, W) ink → the readout's maps of 8 and of 4 px, past the tokens or, not `compressed`, without them."""
        height, width = ink.shape[1] // TOKEN_SIDE, ink.shape[2] // TOKEN_SIDE
        if compressed:
            return self.readout.unfold(self.encoder(ink), height, width)
        windows = to_windows(self.encoder.local(ink).permute(0, 2, 3, 1))
        return self.readout.unfold_windows(windows, height, width)
