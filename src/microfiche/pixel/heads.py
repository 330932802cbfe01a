"""The heads that are put on PIXEL's encoder for a task: classes of strips and words, trees, places of answers.

Tagger and answer finder are those of arXiv 2207.06991 (and xplip/pixel), whose classifier and parser are in
published.py. The classifier here pools before it normalises and has a layer less. The parser is Dozat and Manning
2017 (arXiv 1611.01734, section 2.2) with the class vector as the root; the best tree is the maximum spanning
arborescence of Chu and Liu (1965) and Edmonds (1967). This module knows nothing of text or files.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Pooling = Literal["mean", "cls", "max"]
ARC, RELATION = 256, 64  #: widths of the parser's vectors of a word, as head or dependent


class Classifier(nn.Module):
    """Gives a strip one of `classes`, from its vectors, pooled and normalised. `pooling` is their mean or maximum over
    the attended patches, or the class vector alone ("cls")."""

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
    """Gives each word one of `classes`, from the vector of its first patch."""

    def __init__(self, width: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.classes = nn.Linear(width, classes)

    def forward(self, seen: Tensor, words: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors and (B, W) int64 first patches of words → (B, W, classes) logits."""
        return self.classes(F.dropout(at_words(seen, words), self.dropout, self.training))


class Parser(nn.Module):
    """Biaffine scores of each word's head and, for known heads, of its relation to it."""

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
        """(B, 1 + N, D) vectors, (B, W) int64 first patches of words and (B, W) bool, which words exist → (B, W, 1 + W)
        scores of each word's heads, the root first; words that do not exist have −inf."""
        dependents = at_words(seen, words)
        nodes = torch.cat([seen[:, :1], dependents], dim=1)
        arc = _with_one(self._part(self.arc_dependent, dependents)) @ self.arc
        scores = arc @ self._part(self.arc_head, nodes).transpose(1, 2)
        return scores.masked_fill(~F.pad(present, (1, 0), value=True)[:, None], -torch.inf)

    def relations(self, seen: Tensor, words: Tensor, heads: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors, (B, W) int64 first patches of words and (B, W) int64 heads, 0 the root → (B, W, R)
        scores of each word's relation to its head."""
        dependents = at_words(seen, words)
        nodes = torch.cat([seen[:, :1], dependents], dim=1)
        chosen = nodes.gather(1, heads[..., None].expand(-1, -1, nodes.shape[-1]))
        dependent = _with_one(self._part(self.relation_dependent, dependents))
        head = _with_one(self._part(self.relation_head, chosen))
        return torch.einsum("bwi,rij,bwj->bwr", dependent, self.relation.to(dependent), head)

    def _part(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.dropout(F.leaky_relu(layer(F.dropout(x, self.dropout, self.training)), 0.1), 0.33, self.training)


class AnswerFinder(nn.Module):
    """Scores every patch as the first and as the last of an answer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ends = nn.Linear(width, 2)

    def forward(self, seen: Tensor, possible: Tensor) -> Tensor:
        """(B, 1 + N, D) vectors and (B, N) bool, which patches an answer can be in → (B, 2, 1 + N) logits of its first
        and last patch; place 0, that of the class vector, means that there is no answer."""
        logits: Tensor = self.ends(seen).transpose(1, 2)
        return logits.masked_fill(~F.pad(possible, (1, 0), value=True)[:, None], -torch.inf)


def at_words(seen: Tensor, words: Tensor) -> Tensor:
    """(B, 1 + N, D) vectors, the class vector first, and (B, W) int64 patches → (B, W, D) vectors of those patches."""
    return seen[:, 1:].gather(1, words[..., None].expand(-1, -1, seen.shape[-1]))


def _with_one(x: Tensor) -> Tensor:
    return F.pad(x, (0, 1), value=1.0)


def best_tree(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """(W, 1 + W) scores of each word's heads, the root first → (W,) int64 heads, 0 the root and 1 the first word: of
    all trees in which a single word hangs from the root, the one with the highest sum of scores."""
    words = len(scores)
    full = np.full((words + 1, words + 1), -np.inf)
    full[1:] = scores
    np.fill_diagonal(full, -np.inf)
    # The root gets so much less that the best tree hangs no more words from it than it must: one.
    full[1:, 0] -= (1 + np.ptp(np.asarray(scores, np.float64))) * (words + 1)
    return _best(full)[1:]


def _best(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(M, M) scores of heads, −inf where none is possible → (M,) heads of the maximum spanning tree from node 0."""
    heads = scores.argmax(1)
    heads[0] = 0
    circle = _circle(heads)
    if circle is None:
        return heads
    # The circle becomes one node, the last; an arc that enters it costs the arc that it replaces.
    inside = np.zeros(len(scores), bool)
    inside[circle] = True
    outside = np.flatnonzero(~inside)
    entering = scores[np.ix_(circle, outside)] - scores[circle, heads[circle]][:, None]
    leaving = scores[np.ix_(outside, circle)]
    entry, exit_ = entering.argmax(0), leaving.argmax(1)
    n = len(outside)
    smaller = np.full((n + 1, n + 1), -np.inf)
    smaller[:n, :n] = scores[np.ix_(outside, outside)]
    smaller[n, :n] = entering.max(0)
    smaller[:n, n] = leaving.max(1)
    found = _best(smaller)
    heads[outside] = np.where(found[:n] == n, circle[exit_], outside[np.minimum(found[:n], n - 1)])
    heads[0] = 0
    heads[circle[entry[found[n]]]] = outside[found[n]]
    return heads


def _circle(heads: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Nodes that hang from each other in a circle; None if all hang from node 0."""
    seen = np.zeros(len(heads), np.int64)  # the word from which a node was reached first
    seen[0] = -1
    for start in range(1, len(heads)):
        node = start
        while not seen[node]:
            seen[node] = start
            node = int(heads[node])
        if seen[node] == start:
            circle = [node]
            while heads[circle[-1]] != node:
                circle.append(int(heads[circle[-1]]))
            return np.array(circle)
    return None
