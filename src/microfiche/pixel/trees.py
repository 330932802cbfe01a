"""From scores of heads to the best dependency tree with one root.

It knows nothing of models. The maximum spanning arborescence, after Chu and Liu (1965) and Edmonds (1967).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_tree(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """(W, 1 + W) scores of word w's heads, the root first → (W,) heads, 1 the first word, 0 the root: of all trees in
    which one word alone hangs from the root, the one whose scores sum to the most."""
    words = len(scores)
    full = np.full((words + 1, words + 1), -np.inf)
    full[1:] = scores
    np.fill_diagonal(full, -np.inf)
    # So much less for the root that the best tree hangs no more words from it than it must: one.
    full[1:, 0] -= (1 + np.ptp(np.asarray(scores, np.float64))) * (words + 1)
    return _best(full)[1:]


def _best(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(M, M) scores of heads, -inf where there can be none → (M,) heads of the maximum spanning tree from node 0."""
    heads = scores.argmax(1)
    heads[0] = 0
    circle = _circle(heads)
    if circle is None:
        return heads
    # The circle becomes one node, the last: what enters it does so at the cost of the arc whose place it takes.
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
    """Nodes that hang on each other in a circle; None if all hang on node 0."""
    seen = np.zeros(len(heads), np.int64)  # by the walk from which word a node was reached first
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
