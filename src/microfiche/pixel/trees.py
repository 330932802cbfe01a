"""From scores of heads to the best dependency tree with one root.

It knows nothing of models. The maximum spanning arborescence (Chu and Liu 1965, Edmonds 1967) is networkx's, which
torch brings with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_tree(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """(W, 1 + W) scores of word w's heads, the root first → (W,) heads, 1 the first word, 0 the root: of all trees in
    which one word alone hangs from the root, the one whose scores sum to the most."""
    count = len(scores)
    scores = np.array(scores, np.float64)
    scores[np.arange(count), np.arange(count) + 1] = -np.inf
    heads = scores.argmax(1)
    if _is_tree(heads):
        return heads
    import networkx as nx

    # So much less for the root that the best tree hangs no more words from it than it must: one.
    finite = scores[np.isfinite(scores)]
    scores[:, 0] -= (finite.max() - finite.min() + 1) * count
    graph = nx.DiGraph()
    for word, row in enumerate(scores, 1):
        graph.add_weighted_edges_from((head, word, row[head]) for head in range(count + 1) if head != word)
    for head, word in nx.maximum_spanning_arborescence(graph).edges:
        heads[word - 1] = head
    return heads


def _is_tree(heads: NDArray[np.int64]) -> bool:
    if (heads == 0).sum() != 1:
        return False
    above = np.append(0, heads)
    for _ in range(len(heads).bit_length()):
        above = above[above]  # twice as far up
    return not above.any()
