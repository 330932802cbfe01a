"""Nano's encoder: page → vision tokens, one for every 64×64 px.

Four stride-2 convolutions make patches of 16 px, window attention reads them (local stage), two stride-2 kernel-2
convolutions squeeze the 16 patches of a window into one token (compressor), and full attention lets the tokens of a
page see each other (global stage). It knows nothing of characters or densities. This is a small version of the
DeepEncoder of Contexts Optical Compression (arXiv 2510.18234, section 3.2).

A window is the 64×64 px that one token stands for. Its 4×4 patches of 16 px are in *quad order*, which is (row of 2×2,
column of 2×2, row in it, column in it), so that a stride-2 convolution over patches is a linear map over four
neighbours in the last axis.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.errors import UsageError
from microfiche.page import Page

MAX_SIDE = 4096  #: the most pixels along a page's side; a larger page is refused
PATCHES = 16  #: patches in a window


def to_windows(x: Float[Tensor, "b h w d"]) -> Float[Tensor, "windows 16 d"]:
    """(B, 4h, 4w, D) patches → (B·h·w, 16, D) windows in quad order."""
    b, height, width, d = x.shape
    x = x.view(b, height // 4, 2, 2, width // 4, 2, 2, d)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, PATCHES, d)


class WindowBlock(nn.Module):
    """Pre-norm attention over the 16 patches of a window with a learned bias for every pair, then an MLP."""

    def __init__(self, width: int, head_width: int = 32) -> None:
        super().__init__()
        self.heads = width // head_width
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(self.heads, PATCHES, PATCHES))
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "n 16 d"]) -> Float[Tensor, "n 16 d"]:
        """(n, 16, D) → (n, 16, D): the patches of each window attend to each other."""
        n, p, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, p, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias.to(q.dtype)[None])
        x = x + self.proj(attended.transpose(1, 2).reshape(n, p, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Stem(nn.Module):
    """(B, H, W) ink in [0, 1] → (B, H/16, W/16, D) patches."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        ins = (1, *widths[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in zip(ins, widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(w) for w in widths)

    def forward(self, ink: Float[Tensor, "b h w"]) -> Float[Tensor, "b rows columns d"]:
        """Returns the (B, H/16, W/16, D) patches of (B, H, W) ink."""
        x = ink.unsqueeze(-1)  # (B, H, W, 1), channels last throughout
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
            x = F.gelu(x)
        return x


class Compressor(nn.Module):
    """(n, 16, D) windows in quad order → (n, token width): two convolutions of kernel and stride 2."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.conv1 = nn.Linear(4 * width, token_width // 4)
        self.conv2 = nn.Linear(token_width, token_width)
        if not self.conv2.weight.is_meta:  # on the meta device, torch.eye would load torch's compiler
            self.start_as(torch.eye(token_width // PATCHES, width))

    @torch.no_grad()
    def start_as(self, projection: Float[Tensor, "part d"]) -> None:
        """Sets the weights so that a token is the (token width / 16, D) projections of its patches side by side."""
        self.conv1.weight.copy_(torch.block_diag(*[projection] * 4))  # type: ignore[no-untyped-call]
        nn.init.eye_(self.conv2.weight)
        nn.init.zeros_(self.conv1.bias)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Float[Tensor, "n 16 d"]) -> Float[Tensor, "n width"]:
        """(n, 16, D) → (n, token width): a token for each window."""
        n, _, d = x.shape
        return self.conv2(self.conv1(x.reshape(n, 4, 4 * d)).reshape(n, -1))


def rotary(height: int, width: int, head_width: int, device: torch.device) -> Float[Tensor, "n half"]:
    """Returns (height·width, head width / 2) angles: half of them turn with the row, half with the column."""
    frequencies = 100.0 ** (-torch.arange(head_width // 4, device=device) / (head_width // 4))
    rows = torch.arange(height, device=device)[:, None] * frequencies
    columns = torch.arange(width, device=device)[:, None] * frequencies
    return torch.cat(
        [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=-1
    ).flatten(0, 1)


def rotate(x: Float[Tensor, "*b n d"], angles: Float[Tensor, "n half"]) -> Float[Tensor, "*b n d"]:
    """Rotates (…, N, head width) vectors by their angles; a pair is one number of the first half and one of the
    second."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class GlobalBlock(nn.Module):
    """Pre-norm full attention over the tokens of a page with axial rotary positions, then an MLP."""

    def __init__(self, width: int, head_width: int = 64) -> None:
        super().__init__()
        self.heads = width // head_width
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b n d"], angles: Float[Tensor, "n half"]) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D): the tokens of each page attend to each other."""
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v)
        x = x + self.proj(attended.transpose(1, 2).reshape(b, n, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class GlobalStage(nn.Module):
    """Adds to every token what the rest of the page says about it; before training, nothing."""

    def __init__(self, token_width: int, width: int, layers: int) -> None:
        super().__init__()
        self.head_width = 64
        self.down = nn.Linear(token_width, width)
        self.blocks = nn.ModuleList(GlobalBlock(width, self.head_width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, token_width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens: Float[Tensor, "b n d"], height: int, width: int) -> Float[Tensor, "b n d"]:
        """(B, N, token width) → the same shape, for pages of `height` × `width` tokens."""
        angles = rotary(height, width, self.head_width, tokens.device)
        x = self.down(tokens)
        for block in self.blocks:
            x = block(x, angles)
        return tokens + self.up(self.norm(x))


class NanoEncoder(nn.Module):
    """(B, H, W) ink in [0, 1], H and W multiples of 64 → (B, H/64 · W/64, token width), row by row."""

    def __init__(
        self,
        stem: tuple[int, int, int, int],
        local_layers: int,
        token_width: int,
        global_width: int,
        global_layers: int,
    ) -> None:
        super().__init__()
        width = stem[-1]
        self.stem = Stem(stem)
        self.place = nn.Parameter(torch.randn(PATCHES, width) * 0.02)
        self.local = nn.ModuleList(WindowBlock(width) for _ in range(local_layers))
        self.norm = nn.LayerNorm(width)
        self.compressor = Compressor(width, token_width)
        self.page = GlobalStage(token_width, global_width, global_layers)

    def patches(self, ink: Float[Tensor, "b h w"]) -> Float[Tensor, "windows 16 d"]:
        """The local stage: (B, H, W) ink → (B·N, 16, D) windows of patches in quad order."""
        x = to_windows(self.stem(ink)) + self.place
        for block in self.local:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def forward(self, ink: Float[Tensor, "b h w"]) -> Float[Tensor, "b n d"]:
        """(B, H, W) ink → (B, N, token width): the tokens of each page, row by row."""
        b, height, width = ink.shape
        tokens = self.compressor(self.patches(ink)).view(b, -1, self.page.down.in_features)
        return self.page(tokens, height // 64, width // 64)


def ink_of(page: Page) -> NDArray[np.float32]:
    """Returns (H, W) ink in [0, 1]: how far each pixel is from white. Raises UsageError if a side is not from 1 to
    MAX_SIDE."""
    height, width = page.image.shape[:2]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise UsageError(f"a page of {width}×{height} px: sides must be from 1 to {MAX_SIDE}")
    grey = page.image if page.image.ndim == 2 else page.image.mean(axis=-1)
    return np.subtract(1, grey / np.float32(255), dtype=np.float32)
