"""The lightning indexer: each vision token gets a key that says which words stand in its square, and a query finds the
squares where its words stand.

After DeepSeek Sparse Attention (DeepSeek-V3.2-Exp): the score of query word s and key token t is Σ over heads h of
w[s, h] · ReLU(q[s, h] · k[t]) / √d, with one key for all heads. A word is its letters, without case and accents, so
that words that were never seen have keys as well. The words of a page are those that nano's readout reads in its
tokens. It knows nothing of how memories are stored.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

import numpy as np
import torch
from jaxtyping import Float, Int8, Integer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.page import UNTRAINED, Checkpoint
from microfiche.typesetting.alphabet import code_points
from microfiche.weights.stored import Kind, load

KEY_STEP = 1 / 32  #: one step of an int8 key; keys are normalised, so nearly all values are within ±127 steps
LONGEST = 16  #: letters of a word that count; longer words are known by their first ones
OTHERS = 27  #: classes of the letters that are neither a–z nor digits
CLASSES = 1 + 26 + 10 + OTHERS  #: of a place in a word: none, a–z, digits, other letters
_HAN = ((0x3400, 0xA000), (0xF900, 0xFB00))


@lru_cache(1)
def _classes() -> NDArray[np.uint8]:
    """(65,536,) the class of each code point, 0 where it is no letter or digit."""
    table = np.zeros(0x10000, np.uint8)
    for point in range(0x10000):
        if chr(point).isalnum():
            letter = normalize("NFD", chr(point).casefold())[0]
            if "a" <= letter <= "z":
                table[point] = 1 + ord(letter) - ord("a")
            elif "0" <= letter <= "9":
                table[point] = 27 + ord(letter) - ord("0")
            else:
                table[point] = CLASSES - OTHERS + ord(letter) % OTHERS
    return table


def spelled(text: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The W words of a text: (W, LONGEST) the classes of their letters, 0 after the last, and (W,) the character in the
    middle of each. A Chinese character is a word, spelled by three digits of its code point."""
    points = code_points(text).astype(np.int64)
    points[points > 0xFFFF] = 0
    letter = _classes()[points]
    han = np.logical_or.reduce([(points >= first) & (points < last) for first, last in _HAN])
    run = np.pad((letter > 0) & ~han, 1)
    starts = np.flatnonzero(run[1:-1] & ~run[:-2] | han)
    ends = np.flatnonzero(run[1:-1] & ~run[2:] | han)
    at = starts[:, None] + np.arange(LONGEST)
    words = np.where(at <= ends[:, None], letter[np.minimum(at, len(letter) - 1)], 0) if len(letter) else letter[at]
    alone = han[starts]
    digits = points[starts[alone], None] // OTHERS ** np.arange(3) % OTHERS
    words[alone, :3] = CLASSES - OTHERS + digits
    return words, (starts + ends) // 2


@dataclass(frozen=True)
class IndexerConfig:
    """`spelling` is the width in which a word is spelled and `width` that of a key; `buckets` is among how many the
    words are divided that have a weight of their own."""

    spelling: int = 512
    width: int = 256
    heads: int = 4
    buckets: int = 65_521


class Indexer(nn.Module):
    """Makes `keys` from the words that stand on pages and `queries` from words; `scores` compares them.

    A word is the sine of the sum of a vector for each letter at its place, as random Fourier features are (Rahimi and
    Recht, 2007), so that words which differ in a letter are nearly orthogonal before anything is learned. The key of a
    token is the sum of what each word in its square adds, normalised. How much that is is learned by buckets, into
    which words are hashed: rare words add much, common ones little.
    """

    def __init__(self, config: IndexerConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        super().__init__()
        self.config, self.checkpoint = config, checkpoint
        self.letters = nn.EmbeddingBag(LONGEST * CLASSES, config.spelling, mode="sum")
        self.rarity = nn.Embedding(config.buckets, 1)
        self.key = nn.Linear(config.spelling, config.width, bias=False)
        self.query = nn.Linear(config.spelling, config.heads * config.width, bias=False)
        self.weigh = nn.Parameter(torch.ones(config.heads))
        if not self.key.weight.is_meta:
            with torch.no_grad():
                self.letters.weight.mul_(1.5)
                self.rarity.weight.fill_(1.0)
                nn.init.orthogonal_(self.key.weight)
                self.query.weight.copy_(self.key.weight.repeat(config.heads, 1))
                self.query.weight.add_(torch.randn_like(self.query.weight), alpha=0.01)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

    def spelling(self, words: Integer[Tensor, "w letters"]) -> Float[Tensor, "w d"]:
        """(W, LONGEST) words as `spelled` gives them → (W, spelling)."""
        places = torch.arange(LONGEST, device=words.device) * CLASSES
        return self.letters(words.long() + places).sin()

    def bucket(self, words: Integer[Tensor, "w letters"]) -> Integer[Tensor, " w"]:
        """(W, LONGEST) words → (W,) the bucket of each."""
        factors = torch.tensor([pow(1_000_003, place, 1 << 31) for place in range(LONGEST)], device=words.device)
        return (words.long() * factors).sum(1) % self.config.buckets

    def keys(
        self, words: Integer[Tensor, "w letters"], which: Integer[Tensor, " n"], squares: Integer[Tensor, " n"],
        count: int,
    ) -> Float[Tensor, "count d"]:
        """(W, LONGEST) different words → (count, d) keys of squares, each of mean 0 and variance 1. Of the N words on
        the pages, the i-th is words[which[i]] and stands in squares[i]."""
        added = self.key(self.spelling(words)) * self.rarity(self.bucket(words))
        keys = added.new_zeros(count, self.config.width).index_add(0, squares, added[which])
        return F.layer_norm(keys, (self.config.width,))

    def queries(
        self, words: Integer[Tensor, "s letters"]
    ) -> tuple[Float[Tensor, "s heads d"], Float[Tensor, "s heads"]]:
        """(S, LONGEST) words → (S, heads, d) queries and (S, heads) weights."""
        q = self.query(self.spelling(words)).view(-1, self.config.heads, self.config.width)
        return q, self.rarity(self.bucket(words)) * self.weigh / math.sqrt(self.config.heads * self.config.width)


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
    "microfiche-index-2",
    lambda head, checkpoint: Indexer(IndexerConfig(**head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
