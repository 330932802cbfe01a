"""What is put on PIXEL's encoder for a task: a class of a strip, of words, a dependency tree, an answer's place.

It knows nothing of text or files. Classifier, tagger and answers as fine-tuned in arXiv 2207.06991 (and xplip/pixel);
the parser is Dozat and Manning 2017 (arXiv 1611.01734, section 2.2), the class vector standing for the root.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pooling = Literal["mean", "cls", "max"]
ARC, RELATION = 256, 64  #: widths of the parser's vectors of a word, as head or dependent


class Classifier(nn.Module):
    """One of `classes` for a strip: its vectors pooled (over attended patches, or the class vector), normalised."""

    def __init__(self, width: int, classes: int, pooling: Pooling = "mean", dropout: float = 0.1) -> None:
        super().__init__()
        self.pooling, self.dropout = pooling, dropout
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.classes = nn.Linear(width, classes)

    def forward(self, seen: Tensor, attended: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors, the class vector first, and (B, N) bool → (B, classes) logits."""
        if self.pooling == "cls":
            pooled = seen[:, 0]
        elif self.pooling == "max":
            pooled = seen[:, 1:].masked_fill(~attended[..., None], -torch.inf).amax(1)
        else:
            weights = attended[..., None].to(seen)
            pooled = (seen[:, 1:] * weights).sum(1) / weights.sum(1)
        return self.classes(F.dropout(self.norm(pooled), self.dropout, self.training))


class Tagger(nn.Module):
    """One of `classes` for each word, from the vector of its first patch."""

    def __init__(self, width: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.classes = nn.Linear(width, classes)

    def forward(self, seen: Tensor, words: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors and (B, W) int64 first patches of words → (B, W, classes) logits."""
        return self.classes(F.dropout(at_words(seen, words), self.dropout, self.training))


class Parser(nn.Module):
    """Biaffine scores of heads and, given a head, of relations."""

    def __init__(self, width: int, relations: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.arc_dependent, self.arc_head = nn.Linear(width, ARC), nn.Linear(width, ARC)
        self.relation_dependent, self.relation_head = nn.Linear(width, RELATION), nn.Linear(width, RELATION)
        self.arc = nn.Parameter(torch.zeros(ARC + 1, ARC))  # the last row is a bias by head
        self.relation = nn.Parameter(torch.zeros(relations, RELATION + 1, RELATION + 1))
        if not self.arc.is_meta:
            nn.init.xavier_uniform_(self.arc)

    def forward(self, seen: Tensor, words: Tensor, present: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors, (B, W) int64 first patches of words and (B, W) bool, which of them there are → (B, W,
        1 + W) scores of each word's heads, the root first; a word that is not there is head of none."""
        dependents = at_words(seen, words)
        nodes = torch.cat([seen[:, :1], dependents], dim=1)
        arc = _with_one(self._part(self.arc_dependent, dependents)) @ self.arc
        scores = arc @ self._part(self.arc_head, nodes).transpose(1, 2)
        return scores.masked_fill(~F.pad(present, (1, 0), value=True)[:, None], -torch.inf)

    def relations(self, seen: Tensor, words: Tensor, heads: Tensor) -> Tensor:
        """With (B, W) int64 heads, 0 the root → (B, W, R) scores of each word's relation to its head."""
        dependents = at_words(seen, words)
        nodes = torch.cat([seen[:, :1], dependents], dim=1)
        chosen = nodes.gather(1, heads[..., None].expand(-1, -1, nodes.shape[-1]))
        dependent = _with_one(self._part(self.relation_dependent, dependents))
        head = _with_one(self._part(self.relation_head, chosen))
        return torch.einsum("bwi,rij,bwj->bwr", dependent, self.relation.to(dependent), head)

    def _part(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.dropout(F.leaky_relu(layer(F.dropout(x, self.dropout, self.training)), 0.1), 0.33, self.training)


class Answers(nn.Module):
    """Where an answer starts and ends: two scores for every place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ends = nn.Linear(width, 2)

    def forward(self, seen: Tensor, possible: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors and (B, N) bool, which patches an answer can be in → (B, 2, 1 + N) logits of its first
        and last patch; the class vector's place, 0, says that there is none."""
        logits: Tensor = self.ends(seen).transpose(1, 2)
        return logits.masked_fill(~F.pad(possible, (1, 0), value=True)[:, None], -torch.inf)


def at_words(seen: Tensor, words: Tensor) -> Tensor:
    """(B, 1 + N, D) vectors, the class vector first, and (B, W) patches → (B, W, D)."""
    return seen[:, 1:].gather(1, words[..., None].expand(-1, -1, seen.shape[-1]))


def _with_one(x: Tensor) -> Tensor:
    return F.pad(x, (0, 1), value=1.0)
