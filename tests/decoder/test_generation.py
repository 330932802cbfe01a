"""Generation: the oracle's tokens, batches, the ban on repeated n-grams, the watch for loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.decoder.generation import Generated, LoopWatch, NoRepeat, generate
from microfiche.decoder.moe import MoEDecoder
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.errors import UsageError

NEVER = -1  #: no token ends the text
TD, SLASH_TD = 128821, 128822


def prompt(model: DeepSeekOCR, length: int, seed: int = 0) -> torch.Tensor:
    ids = torch.randint(500, (length,), generator=torch.Generator().manual_seed(seed))
    return model.decoder.embed_tokens(ids)


@pytest.mark.filterwarnings("ignore")
@torch.inference_mode()
def test_greedy_tokens_are_the_oracles(model: DeepSeekOCR, oracle: Any) -> None:
    ids = torch.randint(500, (1, 60), generator=torch.Generator().manual_seed(0))
    arguments = {"max_new_tokens": 64, "do_sample": False, "eos_token_id": 511, "pad_token_id": 510}
    theirs = oracle.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **arguments)[0, 60:].tolist()
    (ours,) = generate(model.decoder, [model.decoder.embed_tokens(ids[0])], NEVER, 64, None)
    assert len(set(theirs)) > 20  # not a few tokens over and over
    assert list(ours.tokens) == theirs


@torch.inference_mode()
def test_a_batch_of_different_lengths_gives_what_each_gives_alone(model: DeepSeekOCR) -> None:
    prompts = [prompt(model, length, seed) for seed, length in enumerate((37, 5, 120, 64, 1))]
    alone = [generate(model.decoder, [one], NEVER, 40)[0] for one in prompts]
    assert generate(model.decoder, prompts, NEVER, 40) == alone
    assert len({one.tokens for one in alone}) == len(alone)
    ends = [one.tokens[at] for one, at in zip(alone, (3, 30, 12, 39, 20), strict=True)]
    for end in ends:  # sequences that end at different times leave the batch
        together = generate(model.decoder, prompts, end, 40)
        for one, whole in zip(together, alone, strict=True):
            stop = whole.tokens.index(end) if end in whole.tokens else None
            assert one == Generated(whole.tokens[:stop], "truncated" if stop is None else "ok")


@torch.inference_mode()
def test_the_context_is_the_limit_of_each_sequence(model: DeepSeekOCR) -> None:
    context = model.config.decoder.context
    together = generate(model.decoder, [prompt(model, context - 3), prompt(model, context - 9)], NEVER)
    assert [(len(one.tokens), one.status) for one in together] == [(3, "truncated"), (9, "truncated")]
    with pytest.raises(UsageError, match="leaves no room in a context of 2048"):
        generate(model.decoder, [prompt(model, context)], NEVER)
    assert generate(model.decoder, [], NEVER) == []


def naive_ban(generated: list[int], n: int, window: int, allowed: tuple[int, ...]) -> set[int]:
    """The published rule, word for word."""
    if len(generated) < n:
        return set()
    prefix = generated[len(generated) - (n - 1) :]
    banned = set()
    for start in range(max(0, len(generated) - window), len(generated) - n + 1):
        gram = generated[start : start + n]
        if gram[:-1] == prefix:
            banned.add(gram[-1])
    return banned - set(allowed)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=25, max_size=25), min_size=1, max_size=3),
    st.integers(0, 25),
    st.integers(2, 6),
    st.integers(0, 20),
    st.sampled_from([(), (1,), (0, 2)]),
)
def test_the_ban_is_the_published_rule(
    rows: list[list[int]], length: int, n: int, more: int, allowed: tuple[int, ...]
) -> None:
    rule = NoRepeat(n, n + more, allowed)
    logits = rule.ban(torch.zeros(len(rows), 5), torch.tensor(rows)[:, :length])
    for row, banned in zip(rows, logits, strict=True):
        expected = naive_ban(row[:length], n, n + more, allowed)
        assert set(torch.nonzero(banned == -torch.inf).flatten().tolist()) == expected
        assert (banned[list({0, 1, 2, 3, 4} - expected)] == 0).all()


def watched(tokens: list[int], allowed: tuple[int, ...] = (TD, SLASH_TD)) -> int | None:
    """How many tokens a loop watch keeps, None if it sees no loop."""
    watch = LoopWatch(1, len(tokens), 2048, allowed)
    for token in tokens:
        if ends := watch.add(np.array([token])):
            return ends[0]
    return None


@pytest.mark.parametrize("period", [1, 5, 40, 200, 1000])
def test_a_loop_of_any_period_is_cut_behind_its_first_occurrence(period: int) -> None:
    text = np.random.default_rng(0).permutation(100_000)[: 300 + period].tolist()
    assert watched(text + text[300:] * 200) == 300 + period


def test_a_loop_is_seen_at_its_fourth_time() -> None:
    text = list(range(500))
    block = text[300:]
    assert watched(text + block * 2 + block[:-1]) is None
    assert watched(text + block * 3) == 500


@pytest.mark.parametrize("row", [["<td></td>"] * 6, ["<td>", "0", "</td>"] * 4, ["<td>-</td>"] * 9])
def test_tables_of_equal_cells_are_no_loops(row: list[str]) -> None:
    ids = {"<td>": [TD], "</td>": [SLASH_TD], "0": [15], "<td></td>": [TD, SLASH_TD], "<td>-</td>": [TD, 14, SLASH_TD]}
    cells = [7, *[token for cell in row for token in ids[cell]], 8]
    table = cells * (900 // len(cells))
    assert watched([*range(200), *table, *range(200, 300)]) is None
    assert watched([*range(200), *cells * 200]) == 200 + len(cells)  # but such a table does end


def test_text_that_only_resembles_itself_is_no_loop() -> None:
    rows = [[5, 6, 7, number, 8, 9] for number in range(1000, 1400)]
    assert watched([token for row in rows for token in row]) is None
    assert watched([1, 2, 3, *[46] * 100, 4]) is None  # the dots of a table of contents


@torch.inference_mode()
def test_a_looping_page_is_cut_and_marked_and_the_others_go_on(model: DeepSeekOCR) -> None:
    class Looping(MoEDecoder):
        """A decoder whose next token is a fixed function of the last: 1 → 2 → … → 9 → 3, but 100 → 101 → …"""

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.config = model.config.decoder
            self.embed_tokens = lambda ids: ids[..., None].float()

        def forward(self, x: torch.Tensor, cache: Any, routings: None = None) -> torch.Tensor:
            cache.start(x.shape[1])
            return x

        def logits(self, x: torch.Tensor) -> torch.Tensor:
            following = torch.where(x[:, 0] == 9, 3, x[:, 0] + 1).long()
            return torch.nn.functional.one_hot(following, 512).float()

    decoder = Looping()
    prompts = [torch.tensor([[0.0]]), torch.tensor([[100.0]])]
    looped, ok = generate(decoder, prompts, 480, 1000, None)
    assert looped == Generated((1, 2, 3, 4, 5, 6, 7, 8, 9), "looped")
    assert ok == Generated(tuple(range(101, 480)), "ok")
