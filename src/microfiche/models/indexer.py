"""The lightning indexer: small heads over nano's frozen vision tokens, by which a query finds tokens that speak of it.

After DeepSeek Sparse Attention (DeepSeek-V3.2-Exp): the score of query token s and key token t is
Σ over heads h of w[s, h] · ReLU(q[s, h] · k[t]) / √d, with one key for all heads; a page's score is, as in late
interaction (ColBERT), the sum over the query's tokens of the best token on the page. It knows nothing of stores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KEY_STEP = 1 / 32  #: of an int8 key; keys are normalised, so nearly all lie within ±127 of them


@dataclass(frozen=True)
class IndexerConfig:
    """Widths: of a patch as nano's decompressor gives it, of the hidden layers, of a key; and how many heads."""

    patch_width: int = 192
    hidden: int = 320
    width: int = 128
    heads: int = 4


class Indexer(nn.Module):
    """`keys` of page tokens, `queries` of query tokens, and their `scores`.

    Both see tokens as the 16 patches that nano's decompressor, which is linear, unfolds them to: what a patch and those
    beside it show is the same feature wherever on the page it stands, and a token has the strongest of its patches.
    """

    def __init__(self, config: IndexerConfig, checkpoint: tuple[str, str] = ("untrained", "")) -> None:
        super().__init__()
        self.config, self.checkpoint = config, checkpoint
        self.near = nn.Conv1d(config.patch_width, config.hidden, 3, padding=1)
        self.mix = nn.Linear(config.hidden, config.hidden)
        self.key = nn.Linear(config.hidden, config.width)
        self.query = nn.Linear(config.hidden, config.heads * config.width)
        self.weigh = nn.Linear(config.hidden, config.heads)

    def keys(self, patches: Tensor) -> Tensor:
        """(B, height, width, 16, patch width) pages of unfolded tokens → (B · height · width, d) keys, each of mean 0
        and variance 1."""
        return F.layer_norm(self.key(self._seen(patches)), (self.config.width,))

    def queries(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(S, 1, 1, 16, patch width) unfolded tokens → (S, heads, d) queries and (S, heads) weights."""
        x = self._seen(patches)
        q = self.query(x).view(-1, self.config.heads, self.config.width)
        return q, self.weigh(x) / math.sqrt(self.config.heads * self.config.width)

    def _seen(self, patches: Tensor) -> Tensor:
        """(B, height, width, 16, patch width) → (B · height · width, hidden)."""
        b, height, width, _, d = patches.shape
        x = F.layer_norm(patches, (d,)).view(b, height, width, 2, 2, 2, 2, d)  # quadrants, and patches in each
        rows = x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b * height * 4, d, width * 4)
        x = F.gelu(self.near(rows)).transpose(1, 2)
        x = F.gelu(self.mix(x))
        return x.view(b, height, 4, width, 4, -1).amax((2, 4)).flatten(0, 2)


def scores(q: Tensor, w: Tensor, keys: Tensor) -> Tensor:
    """(S, heads, d) queries, (S, heads) weights, (N, d) keys → (N, S) scores."""
    s, heads, d = q.shape
    dots = (keys @ q.reshape(s * heads, d).T).relu_().view(-1, s, heads)
    return (dots * w).sum(-1)


def to_int8(keys: Tensor) -> Tensor:
    """Keys as they are stored."""
    return (keys / KEY_STEP).round().clamp(-127, 127).to(torch.int8)
