"""The lightning indexer: small heads over nano's frozen vision tokens, by which a query finds tokens that speak of it.

After DeepSeek Sparse Attention (DeepSeek-V3.2-Exp): the score of query token s and key token t is
Σ over heads h of w[s, h] · ReLU(q[s, h] · k[t]) / √d, with one key for all heads; a page's score is, as in late
interaction (ColBERT), the sum over the query's tokens of the best token on the page. It knows nothing of stores.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KEY_STEP = 1 / 32  #: of an int8 key; keys are normalised, so nearly all lie within ±127 of them


@dataclass(frozen=True)
class IndexerConfig:
    """Widths: of a token, of the hidden layer, of a key; and how many heads."""

    token_width: int = 1280
    hidden: int = 768
    width: int = 128
    heads: int = 8


class Indexer(nn.Module):
    """`keys` of page tokens, `queries` of query tokens, and their `scores`."""

    def __init__(self, config: IndexerConfig, checkpoint: tuple[str, str] = ("untrained", "")) -> None:
        super().__init__()
        self.config, self.checkpoint = config, checkpoint
        c = asdict(config)
        self.key_in = nn.Linear(c["token_width"], c["hidden"])
        self.key_out = nn.Linear(c["hidden"], c["width"])
        self.query_in = nn.Linear(c["token_width"], c["hidden"])
        self.query_out = nn.Linear(c["hidden"], c["heads"] * c["width"])
        self.weigh = nn.Linear(c["hidden"], c["heads"])

    def keys(self, tokens: Tensor) -> Tensor:
        """(N, token width) → (N, d), each of mean 0 and variance 1."""
        x = F.gelu(self.key_in(F.layer_norm(tokens, tokens.shape[-1:])))
        return F.layer_norm(self.key_out(x), (self.config.width,))

    def queries(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(S, token width) → (S, heads, d) queries and (S, heads) weights."""
        x = F.gelu(self.query_in(F.layer_norm(tokens, tokens.shape[-1:])))
        q = self.query_out(x).view(-1, self.config.heads, self.config.width)
        return q, self.weigh(x) / math.sqrt(self.config.heads * self.config.width)


def scores(q: Tensor, w: Tensor, keys: Tensor) -> Tensor:
    """(S, heads, d) queries, (S, heads) weights, (N, d) keys → (N, S) scores."""
    s, heads, d = q.shape
    dots = (keys @ q.reshape(s * heads, d).T).relu_().view(-1, s, heads)
    return (dots * w).sum(-1)


def to_int8(keys: Tensor) -> Tensor:
    """Keys as they are stored."""
    return (keys / KEY_STEP).round().clamp(-127, 127).to(torch.int8)
