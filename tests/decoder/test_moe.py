"""The language model against the oracle, and what is promised of routing, batches and training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from microfiche.decoder.cache import Cache
from microfiche.decoder.moe import Experts, MoE, MoEConfig, MoEDecoder, Routing, attended, balance_loss
from microfiche.deepseek_ocr.model import DeepSeekOCR

CLOSE = 1e-4


def tokens(*shape: int, seed: int = 0, below: int = 500) -> torch.Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def test_logits_are_the_oracles(model: DeepSeekOCR, oracle: Any) -> None:
    ids = tokens(2, 300)
    ours = model.decoder.logits(model.decoder(model.decoder.embed_tokens(ids)))
    theirs = oracle(input_ids=ids).logits
    assert theirs.std() > 0.5
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, atol=CLOSE, rtol=0)


@torch.inference_mode()
def test_routing_is_the_oracles(model: DeepSeekOCR, oracle: Any) -> None:
    ids = tokens(1, 50)
    routings: list[Routing] = []
    model.decoder(model.decoder.embed_tokens(ids), routings=routings)
    theirs = oracle(input_ids=ids, output_router_logits=True).router_logits
    assert len(routings) == len(theirs) == 2
    for routing, logits in zip(routings, theirs, strict=True):
        torch.testing.assert_close(routing.probability[0], logits.view(50, -1).softmax(-1), atol=CLOSE, rtol=0)
        assert routing.chosen.shape == (1, 50, 3)


@torch.inference_mode()
def test_the_cache_gives_what_the_whole_sequence_gives(model: DeepSeekOCR) -> None:
    decoder, c = model.decoder, model.config.decoder
    embedded = decoder.embed_tokens(tokens(3, 40))
    whole = decoder(embedded)
    lengths = torch.tensor([40, 21, 33]) - 12
    cache = Cache(c.layers, 3, c.heads, 48, c.head_width)
    decoder(embedded[:, :28], cache)
    cache.advance(lengths, 28)
    first = torch.arange(3), lengths
    for t in range(4):  # one token at a time
        out = decoder(embedded[torch.arange(3), lengths + t][:, None], cache)
        torch.testing.assert_close(out[:, 0], whole[torch.arange(3), lengths + t], atol=CLOSE, rtol=0)
        cache.advance(1, cache.longest + 1)
    cache.keep(torch.tensor([2, 1]))
    rows, at = torch.tensor([2, 1])[:, None], (first[1][[2, 1]] + 4)[:, None] + torch.arange(5)  # five at once
    torch.testing.assert_close(decoder(embedded[rows, at], cache), whole[rows, at], atol=CLOSE, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_of_one_query_is_pytorchs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 4, n, 32, dtype=dtype) for n in (1, 50, 50))
    mask = (torch.arange(50) < torch.tensor([50, 20, 1])[:, None])[:, None, None]
    expected = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
    close = 1e-5 if dtype is torch.float32 else 0.02
    torch.testing.assert_close(attended(q, k, v, mask).float(), expected, atol=close, rtol=0)


def test_experts_are_a_weighted_sum_of_gated_mlps() -> None:
    torch.manual_seed(0)
    experts = Experts(8, 16, 24)
    x, weight = torch.randn(5, 16), torch.rand(5, 2)
    chosen = torch.stack([torch.randperm(8)[:2] for _ in range(5)])
    expected = torch.zeros(5, 16)
    for i in range(5):
        for w, e in zip(weight[i], chosen[i], strict=True):
            gate, up = (experts.gate_up.weight[e] @ x[i]).chunk(2)
            expected[i] += w * (experts.down.weight[e] @ (F.silu(gate) * up))
    torch.testing.assert_close(experts(x, weight, chosen), expected, atol=1e-5, rtol=1e-4)


def test_it_trains() -> None:
    torch.manual_seed(0)
    decoder = MoEDecoder(MoEConfig(64, width=32, layers=2, heads=2, dense=64, experts=8, chosen=2, expert=16))
    torch.nn.init.normal_(decoder.embed_tokens.weight, std=0.5)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    ids = tokens(4, 17, below=64)
    losses = []
    for _ in range(30):
        routings: list[Routing] = []
        logits = decoder.logits(decoder(decoder.embed_tokens(ids[:, :-1]), routings=routings))
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        (loss + 0.001 * balance_loss(routings)).backward()
        assert all(p.grad is not None for p in decoder.parameters())
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_balance_is_one_where_even_and_more_where_not() -> None:
    even = Routing(torch.full((2, 8, 4), 0.25), torch.arange(8).view(1, 8, 1).expand(2, 8, 1) % 4)
    assert balance_loss([even, even]).item() == pytest.approx(1)
    one = Routing(torch.tensor([1.0, 0, 0, 0]).expand(2, 8, 4), torch.zeros(2, 8, 1, dtype=torch.int64))
    assert balance_loss([one]).item() == pytest.approx(4)
    mask = torch.arange(8).expand(2, 8) < 4
    assert balance_loss([even], mask).item() == pytest.approx(1)


def test_weights_of_the_chosen_are_not_renormalised() -> None:
    torch.manual_seed(0)
    layer = MoE(MoEConfig(8, width=16, heads=2, experts=8, chosen=2, expert=8))
    with torch.no_grad():
        layer.gate.zero_()
        for parameter in layer.shared_experts.parameters():
            parameter.zero_()
        x = torch.randn(1, 1, 16)
        out, routing = layer(x)
        one = layer.experts(x[0], torch.ones(1, 2), routing.chosen[0])
        torch.testing.assert_close(out[0] * 8, one, atol=1e-5, rtol=1e-4)
