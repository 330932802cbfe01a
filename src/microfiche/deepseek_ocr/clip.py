"""CLIP-L's transformer, in which the vectors of one view, as SAM made them, attend to each other.

SAM's map takes the place of the patches, so CLIP never sees pixels, and the checkpoint's patch convolution is not used.
Names inside are the published checkpoint's. After CLIP (Radford et al. 2021, arXiv 2103.00020) and arXiv 2510.18234,
section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.deepseek_ocr.sam import resized


@dataclass(frozen=True)
class CLIPConfig:
    """Widths and depths; `grid` is the side of the map that the position table was made for."""

    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp: int = 4096
    grid: int = 16


class Attention(nn.Module):
    """Multi-head attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D): the vectors of each view attend to each other."""
        b, n, d = x.shape
        q, k, v = self.qkv_proj(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))


class MLP(nn.Module):
    """Two linear layers with CLIP's quick GELU in between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """(…, D) → (…, D): the MLP of each vector."""
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class Layer(nn.Module):
    """Attention and an MLP, each after a norm."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width)
        self.self_attn = Attention(config.width, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.width)
        self.mlp = MLP(config.width, config.mlp)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D): attention and MLP, each added to its input."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    """(B, D, g, g) map → (B, 1 + g², D): the class vector, then the map row by row, with positions added to all."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.grid = config.grid
        self.class_embedding = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        self.position_embedding = nn.Embedding(config.grid**2 + 1, config.width)

    def forward(self, features: Float[Tensor, "b d g g"]) -> Float[Tensor, "b n d"]:
        """(B, D, g, g) → (B, 1 + g², D): the class vector and the map's vectors, with their positions."""
        first, rest = self.position_embedding.weight[:1], self.position_embedding.weight[1:]
        places = resized(rest.T.reshape(1, -1, self.grid, self.grid), features.shape[-1])
        first = (self.class_embedding + first).expand(len(features), 1, -1)
        return torch.cat([first, (features + places).flatten(2).transpose(1, 2)], dim=1)


class Transformer(nn.Module):
    """The layers, one after another."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D) through all layers."""
        for layer in self.layers:
            x = layer(x)
        return x


class CLIP(nn.Module):
    """(B, D, g, g) map → (B, g², D), row by row, without the class vector."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width)  # spelled as the checkpoint spells it
        self.transformer = Transformer(config)

    def forward(self, features: Float[Tensor, "b d g g"]) -> Float[Tensor, "b n d"]:
        """(B, D, g, g) → (B, g², D): the map's vectors, row by row, after they attended to each other."""
        return self.transformer(self.pre_layrnorm(self.embeddings(features)))[:, 1:]
