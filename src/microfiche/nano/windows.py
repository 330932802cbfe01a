"""The 64×64-px windows that one vision token stands for, and attention inside them.

A window is 4×4 patches of 16 px in *quad order*: (row of 2×2, column of 2×2, row in it, column in it), so that
a stride-2 convolution over patches is a linear map over four neighbours in the last axis.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCHES = 16  #: patches in a window


def to_windows(x: Tensor) -> Tensor:
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

    def forward(self, x: Tensor) -> Tensor:
        n, p, d = x.shape  # (windows, 16, D)
        q, k, v = self.qkv(self.norm1(x)).view(n, p, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias.to(q.dtype)[None])
        x = x + self.proj(attended.transpose(1, 2).reshape(n, p, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
