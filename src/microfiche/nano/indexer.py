"""The lightning indexer: small heads over nano's frozen vision tokens, by which a query finds the tokens that match it.

After DeepSeek Sparse Attention (DeepSeek-V3.2-Exp): the score of query token s and key token t is Σ over heads h of
w[s, h] · ReLU(q[s, h] · k[t]) / √d, with one key for all heads. As in late interaction (ColBERT), a page's score is the
sum over the query's tokens of the best score on the page. It knows nothing of how memories are stored.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.nano.readout import HALF_CLASSES
from microfiche.page import UNTRAINED, Checkpoint
from microfiche.weights.stored import Kind, load

KEY_STEP = 1 / 32  #: one step of an int8 key; keys are normalised, so nearly all values are within ±127 steps


@dataclass(frozen=True)
class IndexerConfig:
    """`classes` is the number of classes of a cell; `narrow`, `hidden` and `width` are the widths of a cell, of a
    stretch of cells, and of a key; `stretch` is the number of cells in a stretch."""

    classes: int = HALF_CLASSES
    narrow: int = 32
    hidden: int = 256
    width: int = 128
    stretch: int = 5
    heads: int = 4


class Indexer(nn.Module):
    """Makes `keys` from the tokens of pages and `queries` from the tokens of a query; `scores` compares them.

    Both take tokens as nano's readout sees them: for each cell of a density's grid, the probability of each class. The
    features of a stretch of a line do not depend on where it stands, and a token takes the strongest value of each
    feature in its square. Before training, queries equal keys, so that tokens that show the same text already match.
    """

    def __init__(self, config: IndexerConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        super().__init__()
        self.config, self.checkpoint = config, checkpoint
        self.narrow = nn.Linear(config.classes, config.narrow, bias=False)
        self.line = nn.Conv2d(config.narrow, config.hidden, (1, config.stretch), padding=(0, config.stretch // 2))
        self.key = nn.Linear(config.hidden, config.width)
        self.query = nn.Linear(config.hidden, config.heads * config.width)
        self.weigh = nn.Linear(config.hidden, config.heads)
        if not self.key.weight.is_meta:
            with torch.no_grad():
                self.narrow.weight.normal_()
                self.query.weight.copy_(self.key.weight.repeat(config.heads, 1))
                self.query.bias.copy_(self.key.bias.repeat(config.heads))
                self.weigh.weight.zero_()
                self.weigh.bias.fill_(1.0)

    def keys(self, cells: Float[Tensor, "b rows columns classes"], height: int, width: int) -> Float[Tensor, "n d"]:
        """(B, rows, columns, classes) cells of pages of height × width tokens → (B · height · width, d) keys, each of
        mean 0 and variance 1."""
        return F.layer_norm(self.key(self._tokens(cells, height, width)), (self.config.width,))

    def queries(
        self, cells: Float[Tensor, "s rows columns classes"]
    ) -> tuple[Float[Tensor, "s heads d"], Float[Tensor, "s heads"]]:
        """(S, rows, columns, classes) cells of single tokens → (S, heads, d) queries and (S, heads) weights."""
        x = self._tokens(cells, 1, 1)
        q = self.query(x).view(-1, self.config.heads, self.config.width)
        return q, self.weigh(x) / math.sqrt(self.config.heads * self.config.width)

    def _tokens(self, cells: Tensor, height: int, width: int) -> Tensor:
        """(B, rows, columns, classes) → (B · height · width, hidden)."""
        x = self.narrow(cells)
        x = F.adaptive_max_pool2d(F.gelu(self.line(x.permute(0, 3, 1, 2))), (height, width))
        return x.permute(0, 2, 3, 1).flatten(0, 2)


def scores(
    q: Float[Tensor, "s heads d"], w: Float[Tensor, "s heads"], keys: Float[Tensor, "n d"]
) -> Float[Tensor, "n s"]:
    """(S, heads, d) queries, (S, heads) weights, (N, d) keys → (N, S) scores."""
    s, heads, d = q.shape
    dots = (keys @ q.reshape(s * heads, d).T).relu_().view(-1, s, heads)
    return (dots * w).sum(-1)


def to_int8(keys: Float[Tensor, "n d"]) -> Int8[Tensor, "n d"]:
    """Rounds (n, d) keys to int8, as they are stored."""
    return (keys / KEY_STEP).round().clamp(-127, 127).to(torch.int8)


def load_indexer(path: str | Path | None, encoder: Checkpoint) -> Indexer:
    """Loads an indexer in float32, from a file or, if `path` is None, the one that ships. Raises CheckpointError if it
    is damaged or was not trained on the tokens of `encoder`."""
    return load(INDEX, path or "nano-index", "cpu", torch.float32, encoder)


INDEX = Kind(
    "microfiche-index-1",
    lambda head, checkpoint: Indexer(IndexerConfig(**head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
