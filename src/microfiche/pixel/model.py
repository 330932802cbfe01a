"""PIXEL: a masked autoencoder (ViT-MAE) that paints the masked patches of a strip.

After Language Modelling with Pixels (arXiv 2207.06991, sections 2.2 and 2.3) and Masked Autoencoders Are Scalable
Vision Learners (arXiv 2111.06377); sizes, positions and norms are those of the published model. This module knows
nothing of text, fonts or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil, sqrt

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.errors import UsageError
from microfiche.pixel.strips import PATCH, Strip

EPSILON = 1e-6  #: added to the variance of a patch when its pixels are normalised
WIDEST, DEEPEST = 8192, 64  #: larger widths and depths are taken for mistakes
_NORM = 1e-12  #: the published epsilon of every normalisation but the decoder's last


@dataclass(frozen=True)
class PixelConfig:
    """Widths and depths of encoder and decoder; `patches` is the length of the position tables.

    Raises ValueError for impossible sizes.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    decoder_width: int = 512
    decoder_layers: int = 8
    decoder_heads: int = 16
    decoder_mlp: int = 2048
    patches: int = 529
    channels: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if f.name != "dropout"):
            value, most = getattr(self, name), DEEPEST if name.endswith("layers") else WIDEST
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"{name} is {value!r}; whole numbers from 1 to {most} are possible")
        for name, width, heads in (
            ("width", self.width, self.heads),
            ("decoder_width", self.decoder_width, self.decoder_heads),
        ):
            if width % heads or width % 4:
                raise ValueError(f"{name} is {width}; it must be a multiple of its {heads} heads, and of 4")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; it must be 1 (grey strips) or 3 (colour)")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is a share, less than 1")


BASE = PixelConfig()  #: the published model
SMALL = PixelConfig(256, 4, 4, 1024, 128, 2, 4, 512, channels=1, dropout=0.0)  #: ours


def positions(patches: int, width: int) -> Tensor:
    """(1, 1 + patches, width) float32 fixed sines and cosines, zeros for the class vector.

    As in the published model the strip is treated as a square, 23×23 for 529 patches, that is read row by row; the
    first half of the width encodes the column, the second the row.
    """
    side = ceil(sqrt(patches))
    frequencies = 10000.0 ** (-np.arange(width // 4) / (width // 4))
    column, row = (np.outer(at, frequencies) for at in (np.arange(patches) % side, np.arange(patches) // side))
    table = np.zeros((1, 1 + patches, width), np.float32)
    table[0, 1:] = np.concatenate([np.sin(column), np.cos(column), np.sin(row), np.cos(row)], axis=1)
    return torch.from_numpy(table)


def fitted(table: Tensor, patches: int) -> Tensor:
    """(1, 1 + P, D) position table → (1, 1 + patches, D): cut if `patches` is less than P, as in the published code;
    otherwise its square is enlarged by bicubic interpolation."""
    if patches < table.shape[1]:
        return table[:, : patches + 1]
    side, wanted = ceil(sqrt(table.shape[1] - 1)), ceil(sqrt(patches))
    square = F.pad(table[:, 1:], (0, 0, 0, side * side - (table.shape[1] - 1)))
    square = square.view(1, side, side, -1).permute(0, 3, 1, 2).float()
    larger = F.interpolate(square, (wanted, wanted), mode="bicubic", align_corners=False)
    places = larger.flatten(2).transpose(1, 2)[:, :patches].to(table)
    return torch.cat([table[:, :1], places], dim=1)


class Block(nn.Module):
    """A transformer block: attention to the attended patches, then an MLP, each after a layer norm."""

    def __init__(self, width: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(width, eps=_NORM)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=_NORM)
        self.fc1 = nn.Linear(width, mlp)
        self.fc2 = nn.Linear(mlp, width)

    def forward(self, x: Tensor, attended: Tensor | None) -> Tensor:
        """(B, N, D) vectors and (B, 1, 1, N) bool, or None if all are attended → (B, N, D)."""
        b, n, d = x.shape
        normed = self.norm1(x)
        q, k, v = (
            part(normed).view(b, n, self.heads, d // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        dropped = self.dropout if self.training else 0.0
        mixed = attention(q, k, v, attended, dropped)
        x = x + F.dropout(self.proj(mixed.transpose(1, 2).reshape(b, n, d)), dropped)
        return x + F.dropout(self.fc2(F.gelu(self.fc1(self.norm2(x)))), dropped)


def attention(q: Tensor, k: Tensor, v: Tensor, attended: Tensor | None, dropout: float) -> Tensor:
    """Scaled dot-product attention of (B, heads, N, D / heads) to the `attended` alone, (B, 1, 1, N) bool."""
    if not (q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu"):
        return F.scaled_dot_product_attention(q, k, v, attended, dropout)
    # Here torch's fused kernel takes four times as long on strips of 128 patches, nearly all of it in backward.
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    if attended is not None:
        scores = scores.masked_fill(~attended, -torch.inf)
    return F.dropout(scores.softmax(-1), dropout).to(v.dtype) @ v


def attention_mask(attended: Tensor) -> Tensor | None:
    """(B, N) bool for patches → (B, 1, 1, 1 + N) with the always attended class vector; None if all are attended."""
    return None if attended.all() else F.pad(attended, (1, 0), value=True)[:, None, None]


class PixelEncoder(nn.Module):
    """Patches → vectors, of which the first is the class vector."""

    places: Tensor

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.config = config
        self.start = nn.Parameter(torch.zeros(1, 1, config.width))
        self.register_buffer("places", positions(config.patches, config.width))
        self.patch = nn.Conv2d(config.channels, config.width, PATCH, PATCH)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, eps=_NORM)
        self.apply(_begin)
        nn.init.normal_(self.start, std=0.02)
        nn.init.normal_(self.patch.weight, std=0.1)  # ink weighs as much as positions, white paper nothing
        if not self.patch.weight.is_meta:
            self.patch.bias = nn.Parameter(-self.patch.weight.detach().sum((1, 2, 3)))

    def forward(self, patches: Tensor, attended: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, N, 16·16·C) patches in [0, 1], from `patches_of`, and (B, N) bool → (B, 1 + N, D). With `kept` (B, K)
        int64 the encoder sees only those patches: (B, 1 + K, D)."""
        table = fitted(self.places, patches.shape[1])
        places = table[:, 1:]
        if kept is not None:
            patches, attended = _chosen(patches, kept), attended.gather(1, kept)
            places = places[0][kept]
        weight = self.patch.weight.permute(0, 2, 3, 1).flatten(1)  # rows, columns, channels, as patches have them
        x = F.linear(patches, weight, self.patch.bias) + places
        x = torch.cat([(self.start + table[:, :1]).expand(len(x), -1, -1).to(x), x], dim=1)
        mask = attention_mask(attended)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


class PixelDecoder(nn.Module):
    """Vectors of the kept patches → normalised pixels of all."""

    places: Tensor

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        width = config.decoder_width
        self.embed = nn.Linear(config.width, width)
        self.mask = nn.Parameter(torch.zeros(1, 1, width))
        self.register_buffer("places", positions(config.patches, width))
        self.blocks = nn.ModuleList(
            Block(width, config.decoder_heads, config.decoder_mlp, config.dropout) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(width)  # with torch's epsilon, as published
        self.paint = nn.Linear(width, PATCH * PATCH * config.channels)
        self.apply(_begin)
        nn.init.normal_(self.mask, std=0.02)

    def forward(self, seen: Tensor, kept: Tensor, attended: Tensor) -> Tensor:
        """(B, 1 + K, D) vectors, (B, K) int64 kept patches and (B, N) bool → (B, N, 16·16·C) pixels."""
        b, n = attended.shape
        x = self.embed(seen)
        whole = self.mask.to(x).expand(b, n, -1).scatter(1, kept[..., None].expand(-1, -1, x.shape[-1]), x[:, 1:])
        x = torch.cat([x[:, :1], whole], dim=1) + fitted(self.places, n)
        mask = attention_mask(attended)
        for block in self.blocks:
            x = block(x, mask)
        return self.paint(self.norm(x))[:, 1:]


class Pixel(nn.Module):
    """Encoder and decoder: the encoder sees the patches that are not masked, the decoder paints all."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PixelEncoder(config)
        self.decoder = PixelDecoder(config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.layers} layers of {self.config.width})"

    def forward(self, patches: Tensor, attended: Tensor, masked: Tensor) -> Tensor:
        """(B, N, 16·16·C) patches, (B, N) bool `attended` and (B, N) bool `masked` → (B, N, 16·16·C) pixels, normalised
        like `targets`.

        Raises UsageError if the strips do not all have the same number of masked patches.
        """
        counts = masked.sum(1)
        if (counts != counts[0]).any():
            raise UsageError(f"all strips of a batch must mask the same number of patches, not {counts.tolist()}")
        kept = (~masked).nonzero()[:, 1].view(len(masked), -1)
        return self.decoder(self.encoder(patches, attended, kept), kept, attended)

    def errors(self, patches: Tensor, attended: Tensor, masked: Tensor) -> Tensor:
        """(B, N) float32 mean squared error of every patch; the published pretraining loss is the mean of those that
        are masked and attended."""
        return (self(patches, attended, masked).float() - targets(patches)).square().mean(-1)


def targets(patches: Tensor) -> Tensor:
    """(…, 16·16·C) pixels → the same, each patch normalised by its own mean and unbiased variance."""
    variance, mean = torch.var_mean(patches.float(), dim=-1, keepdim=True)
    return (patches - mean) / (variance + EPSILON).sqrt()


def patches_of(strips: Sequence[Strip], longest: int | None = None, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Strips → (B, N, 16·16·C) float32 patches, 0 black and 1 white, pixels in the order of rows, columns and channels;
    and (B, N) bool, which patches belong to the strip. N is `longest`, or the length of the longest strip if that is
    None; the rest is white.

    Raises UsageError for a strip that is longer.
    """
    lengths = [strip.image.shape[1] // PATCH for strip in strips]
    n = max(lengths) if longest is None else longest
    if max(lengths) > n:
        raise UsageError(f"a strip has {max(lengths)} patches where {n} are the most: render it with longest={n}")
    pixels = np.full((len(strips), PATCH, n * PATCH, channels), 255, np.uint8)
    for row, strip in zip(pixels, strips, strict=True):
        image = strip.image if strip.image.ndim == 3 else strip.image[..., None]
        if image.shape[-1] > channels:
            image = (image @ np.array([0.299, 0.587, 0.114]))[..., None].round()
        row[:, : image.shape[1]] = image
    patches = pixels.reshape(len(strips), PATCH, n, PATCH * channels).transpose(0, 2, 1, 3)
    flat = torch.from_numpy(np.ascontiguousarray(patches)).view(len(strips), n, -1)
    return flat.float() / 255, torch.arange(n) < torch.tensor(lengths)[:, None]


def _chosen(x: Tensor, at: Tensor) -> Tensor:
    """(B, N, D) → (B, K, D), the vectors `at` (B, K)."""
    return x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))


def _begin(module: nn.Module) -> None:
    """MAE's initialisation, with which attention distinguishes positions sooner than with PIXEL's deviation of 0.02."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
