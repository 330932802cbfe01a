"""Heads see what they should: padding changes nothing, words are their first patch, the parser learns a tree."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from microfiche.pixel.heads import Answers, Classifier, Parser, Pooling, Tagger
from microfiche.pixel.trees import best_tree

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


def test_mean_is_the_published_pooling() -> None:
    head, x = Classifier(WIDTH, 3).eval(), seen(1)
    pooled = F.layer_norm(x[:, 1:].mean(1), (WIDTH,), eps=1e-12)
    assert torch.allclose(head(x, torch.ones(1, 5, dtype=torch.bool)), head.classes(pooled), atol=1e-5)


def test_a_word_is_its_first_patch() -> None:
    head, x = Tagger(WIDTH, 4).eval(), seen()
    logits = head(x, torch.tensor([[0, 2], [4, 0]]))
    assert torch.allclose(logits[0, 1], head.classes(x[0, 3])) and torch.allclose(logits[1, 0], head.classes(x[1, 5]))


def test_an_answer_is_where_it_can_be() -> None:
    possible = torch.tensor([[False, True, True, False, False]] * 2)
    logits = Answers(WIDTH)(seen(), possible)
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
