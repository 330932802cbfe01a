"""The tree that is found is the best of all."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.pixel.trees import best_tree


def is_tree(heads: tuple[int, ...]) -> bool:
    def reaches(word: int) -> bool:
        for _ in heads:
            word = heads[word - 1] if word else 0
        return word == 0

    return heads.count(0) == 1 and all(reaches(word) for word in range(1, len(heads) + 1))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(0, 10**6))
def test_no_tree_is_better(words: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(words, words + 1))
    trees = [t for t in product(range(words + 1), repeat=words) if is_tree(t)]
    best = max(trees, key=lambda tree: sum(scores[w, h] for w, h in enumerate(tree)))
    assert tuple(best_tree(scores)) == best


@pytest.mark.parametrize("words", [1, 2, 17, 200])
def test_one_root_whatever_the_scores(words: int) -> None:
    for scores in (np.zeros((words, words + 1)), np.eye(words, words + 1) * 1e9, np.full((words, words + 1), -1e9)):
        assert is_tree(tuple(best_tree(scores).tolist()))
