"""Heads see what they should: padding changes nothing, words are their first patch, the best tree is found."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from microfiche.pixel.heads import AnswerFinder, Classifier, Parser, Pooling, Tagger, best_tree

WIDTH = 16


def seen(batch: int = 2, patches: int = 5) -> torch.Tensor:
    return torch.randn(batch, 1 + patches, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_what_is_not_attended_does_not_count(pooling: Pooling) -> None:
    head, x = Classifier(WIDTH, 3, pooling).eval(), seen()
    attended = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    expected = head(x[:1, :4], torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(head(x, attended)[:1], expected, atol=1e-6)
    other = x.clone()
    other[0, 4:] = 99
    assert torch.equal(head(other, attended)[0], head(x, attended)[0])


def test_mean_is_that_of_the_attended_patches() -> None:
    head, x = Classifier(WIDTH, 3).eval(), seen(1)
    pooled = F.layer_norm(x[:, 1:].mean(1), (WIDTH,), eps=1e-12)
    assert torch.allclose(head(x, torch.ones(1, 5, dtype=torch.bool)), head.classes(pooled), atol=1e-5)


def test_a_word_is_its_first_patch() -> None:
    head, x = Tagger(WIDTH, 4).eval(), seen()
    logits = head(x, torch.tensor([[0, 2], [4, 0]]))
    assert torch.allclose(logits[0, 1], head.classes(x[0, 3])) and torch.allclose(logits[1, 0], head.classes(x[1, 5]))


def test_an_answer_is_where_it_can_be() -> None:
    possible = torch.tensor([[False, True, True, False, False]] * 2)
    logits = AnswerFinder(WIDTH)(seen(), possible)
    assert logits.shape == (2, 2, 6)
    assert torch.isfinite(logits[0, 0]).tolist() == [True, False, True, True, False, False]


def test_the_parser_learns_a_tree() -> None:
    torch.manual_seed(0)
    head, x = Parser(WIDTH, 3, dropout=0.0), seen()
    words, present = torch.arange(5).repeat(2, 1), torch.tensor([[True] * 5, [True] * 4 + [False]])
    heads = torch.tensor([[2, 0, 2, 5, 3], [0, 1, 1, 3, 0]])
    named = torch.tensor([[0, 1, 2, 0, 1], [1, 0, 2, 2, 0]])
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(60):
        scores, relations = head(x, words, present), head.relations(x, words, heads)
        wrong = [F.cross_entropy(s[present], t[present]) for s, t in ((scores, heads), (relations, named))]
        optimiser.zero_grad()
        sum(wrong, torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    head.eval()
    scores = head(x, words, present).detach().numpy()
    assert best_tree(scores[0]).tolist() == heads[0].tolist()
    assert best_tree(scores[1, :4, :5]).tolist() == heads[1, :4].tolist()
    assert (head.relations(x, words, heads).argmax(-1) == named)[present].all()


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
