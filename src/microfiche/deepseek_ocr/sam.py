"""SAM's image encoder (ViT-B) with its neck and the two stride-2 convolutions that DeepSeek-OCR puts after it.

It turns pixels into one vector for every 64×64 px. Names inside are the published checkpoint's. It knows nothing of
tiles or text. After segment-anything's image encoder (Kirillov et al. 2023, arXiv 2304.02643) and arXiv 2510.18234,
section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BIAS_BYTES = 1 << 26  #: bytes of the attention bias that are in memory at a time


@dataclass(frozen=True)
class SAMConfig:
    """Widths and depths; `grid` is the side of the map, in patches, that the position tables were made for."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    patch: int = 16
    grid: int = 64
    window: int = 14
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    neck: int = 256
    out: tuple[int, int] = (512, 1024)


def resized(table: Float[Tensor, "1 d h w"], size: int) -> Float[Tensor, "1 d size size"]:
    """(1, D, h, w) position table → (1, D, size, size), bicubic with antialiasing in float32."""
    if table.shape[-2:] == (size, size):
        return table
    wide = F.interpolate(table.float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
    return wide.to(table.dtype)


class Attention(nn.Module):
    """Attention over (B, S, S, D) squares with a learned bias for the distance in rows and in columns.

    The bias of a query is a sum of two vectors of length S. It is never whole in memory: queries are processed in bands
    of rows whose bias takes at most `BIAS_BYTES`. The whole bias of a 1280-px view would take 2 GB in float32; in
    bands, SAM needs 0.6 GB in all.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Float[Tensor, "b s s d"]) -> Float[Tensor, "b s s d"]:
        """(B, S, S, D) → (B, S, S, D): the patches of each square attend to each other."""
        b, s, _, d = x.shape
        q, k, v = self.qkv(x).view(b, s * s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        squares = q.reshape(b, self.heads, s, s, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", squares, _distances(self.rel_pos_h, s))
        columns = torch.einsum("bnhwc,wkc->bnhwk", squares, _distances(self.rel_pos_w, s))
        band = max(1, min(s, BIAS_BYTES // (b * self.heads * s**3 * x.element_size())))
        attended = torch.empty_like(squares)
        for top in range(0, s, band):
            at = slice(top, top + band)
            bias = (rows[:, :, at, :, :, None] + columns[:, :, at, :, None, :]).flatten(4).flatten(2, 3)
            part = F.scaled_dot_product_attention(squares[:, :, at].flatten(2, 3), k, v, attn_mask=bias)
            attended[:, :, at] = part.reshape(attended[:, :, at].shape)
        return self.proj(attended.permute(0, 2, 3, 1, 4).reshape(b, s, s, d))


def _distances(table: Tensor, side: int) -> Tensor:
    """(2·n − 1, C) by distance → (side, side, C) by query and key; interpolated if the side is not n."""
    if len(table) != 2 * side - 1:
        stretched = F.interpolate(table.float().T[None], 2 * side - 1, mode="linear")
        table = stretched[0].T.to(table.dtype)
    place = torch.arange(side, device=table.device)
    return table[place[:, None] - place + side - 1]


class MLP(nn.Module):
    """Two linear layers with a GELU in between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """(…, D) → (…, D): the MLP of each patch."""
        return self.lin2(F.gelu(self.lin1(x)))


class Block(nn.Module):
    """Pre-norm attention inside windows of `window` patches a side, or over the whole map if that is 0, then an MLP.

    A map whose side is not a multiple of the window is padded with zeros, which are attended to, as in the published
    model.
    """

    def __init__(self, config: SAMConfig, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = Attention(config.width, config.heads, window or config.grid)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = MLP(config.width, config.mlp)

    def forward(self, x: Float[Tensor, "b s s d"]) -> Float[Tensor, "b s s d"]:
        """(B, S, S, D) → (B, S, S, D): attention and MLP, each added to its input."""
        attended = self._in_windows(self.norm1(x)) if self.window else self.attn(self.norm1(x))
        x = x + attended
        return x + self.mlp(self.norm2(x))

    def _in_windows(self, x: Tensor) -> Tensor:
        b, s, _, d = x.shape
        w, n = self.window, -(-s // self.window)
        x = F.pad(x, (0, 0, 0, n * w - s, 0, n * w - s))
        windows = x.view(b, n, w, n, w, d).transpose(2, 3).reshape(-1, w, w, d)
        x = self.attn(windows).view(b, n, n, w, w, d).transpose(2, 3).reshape(b, n * w, n * w, d)
        return x[:, :s, :s]


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """(B, C, H, W) → the same shape, with each pixel's channels normalised."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PatchEmbed(nn.Module):
    """Turns patches of pixels into vectors."""

    def __init__(self, config: SAMConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch, stride=config.patch)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b rows columns d"]:
        """(B, 3, S, S) pixels → (B, S/patch, S/patch, D) patches."""
        return self.proj(pixels).permute(0, 2, 3, 1)


class SAM(nn.Module):
    """(B, 3, S, S) pixels in [-1, 1], S a multiple of 64 → (B, C, S/64, S/64)."""

    def __init__(self, config: SAMConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid, config.grid, config.width))
        self.blocks = nn.ModuleList(
            Block(config, 0 if i in config.global_layers else config.window) for i in range(config.layers)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(config.width, config.neck, 1, bias=False),
            LayerNorm2d(config.neck),
            nn.Conv2d(config.neck, config.neck, 3, padding=1, bias=False),
            LayerNorm2d(config.neck),
        )
        self.net_2 = nn.Conv2d(config.neck, config.out[0], 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(config.out[0], config.out[1], 3, stride=2, padding=1, bias=False)

    def forward(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c g g"]:
        """(B, 3, S, S) → (B, C, S/64, S/64): a vector for every 64×64 px of each view."""
        x = self.patch_embed(pixels)  # (B, S/16, S/16, D)
        x = x + resized(self.pos_embed.permute(0, 3, 1, 2), x.shape[1]).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return self.net_3(self.net_2(self.neck(x.permute(0, 3, 1, 2))))
