"""Qwen2's transformer as DeepSeek-OCR 2's second encoder: learned queries read one view's vectors in an order of their
own.

The vectors of a view, as SAM made them, attend to each other. As many queries follow them, each of which attends to all
vectors and to the queries before it; only their outputs go on. It knows nothing of pixels or tiles. After Qwen2 (arXiv
2407.10671) and DeepSeek-OCR 2 (arXiv 2601.20552), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.decoder.moe import GatedMLP, RMSNorm, rotary, rotate
from microfiche.errors import UsageError


@dataclass(frozen=True)
class QwenConfig:
    """Widths and depths of Qwen2-0.5B. `shared` is the number of heads that keys and values have, each of which serves
    several heads of queries; `tables` are the sizes of the two tables of queries, one for views of 768 px and one for
    views of 1024 px."""

    width: int = 896
    layers: int = 24
    heads: int = 14
    shared: int = 2
    mlp: int = 4864
    theta: float = 1e6
    epsilon: float = 1e-6
    tables: tuple[int, int] = (144, 256)

    @property
    def head_width(self) -> int:
        """The width of one attention head."""
        return self.width // self.heads


class Attention(nn.Module):
    """Attention with rotary positions in which several heads of queries share one head of keys and values."""

    def __init__(self, config: QwenConfig) -> None:
        super().__init__()
        self.heads, self.shared = config.heads, config.shared
        self.qkv = nn.Linear(config.width, (config.heads + 2 * config.shared) * config.head_width)
        self.o_proj = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        cos: Float[Tensor, "1 1 n w"],
        sin: Float[Tensor, "1 1 n w"],
        mask: Bool[Tensor, "n n"],
    ) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D). Row i of the mask says to which vectors vector i attends."""
        b, n, _ = x.shape
        heads = self.qkv(x).view(b, n, self.heads + 2 * self.shared, -1).transpose(1, 2)
        q, k, v = heads.split([self.heads, self.shared, self.shared], dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    """Attention and a SwiGLU MLP, each after a norm."""

    def __init__(self, config: QwenConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.width, config.epsilon)
        self.mlp = GatedMLP(config.width, config.mlp)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        cos: Float[Tensor, "1 1 n w"],
        sin: Float[Tensor, "1 1 n w"],
        mask: Bool[Tensor, "n n"],
    ) -> Float[Tensor, "b n d"]:
        """(B, N, D) → (B, N, D): attention and MLP, each added to its input."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Qwen(nn.Module):
    """(B, D, g, g) map → (B, g², D): what the g² queries made of it, in the queries' order."""

    def __init__(self, config: QwenConfig) -> None:
        super().__init__()
        self.config = config
        self.query_768, self.query_1024 = (nn.Parameter(torch.randn(n, config.width)) for n in config.tables)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.epsilon)

    def forward(self, features: Float[Tensor, "b d g g"]) -> Float[Tensor, "b n d"]:
        """(B, D, g, g) → (B, g², D): the outputs of the queries. Raises UsageError for a map of a size that has no
        queries."""
        seen = features.flatten(2).transpose(1, 2)
        n = seen.shape[1]
        queries = next((table for table in (self.query_768, self.query_1024) if len(table) == n), None)
        if queries is None:
            sizes = " and ".join(map(str, self.config.tables))
            raise UsageError(f"deepseek-ocr-2 has queries for {sizes} vectors a view, not for {n}")
        x = torch.cat([seen, queries.to(seen.dtype).expand(len(seen), -1, -1)], dim=1)  # (B, 2n, D)
        at = torch.arange(2 * n, device=x.device)
        mask = (at < n) | ((at[:, None] >= n) & (at <= at[:, None]))
        cos, sin = rotary(at[None], self.config.head_width, self.config.theta, x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.norm(x)[:, n:]
