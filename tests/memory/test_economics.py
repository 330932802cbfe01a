"""The same history in every way: tokens, money by a table that a user can change, fidelity as measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from microfiche.errors import UsageError
from microfiche.memory import Memory
from microfiche.memory.billing import PROVIDERS
from microfiche.memory.economics import Price, fidelity, overview, prices, ways
from microfiche.memory.fading import Steps
from microfiche.memory.messages import Message


def test_every_provider_has_a_price() -> None:
    assert set(prices()) == set(PROVIDERS)


def test_the_ways_stand_beside_each_other(memory: Memory, alice: str) -> None:
    memory.add(alice * 2, name="alice")
    memory.add([Message("user", "and what then?")])
    table = {way.name: way for way in ways(memory, 300, "nano", Price(input=2.0, cached=0.2, written=2.5))}
    everything, cached, cut, pages, faded = (
        table[n] for n in ("all text", "cached text", "truncated text", "cached pages", "faded pages")
    )
    assert everything.tokens == cached.tokens > 4000 and everything.fidelity == cached.fidelity == 1
    assert everything.next == pytest.approx(everything.tokens * 2e-6) == everything.first
    assert cached.first == pytest.approx(cached.tokens * 2.5e-6) and cached.next == pytest.approx(cached.tokens * 2e-7)
    assert cut.tokens == 300 and cut.fidelity == pytest.approx(300 / everything.tokens, abs=1e-4)
    assert pages.tokens < everything.tokens / 8 and pages.fidelity is not None and 0.99 < pages.fidelity < 1
    assert faded.tokens <= 300 and faded.fidelity is not None and 0 < faded.fidelity < pages.fidelity
    assert fidelity(memory) == fidelity(memory), "measured once"
    assert ways(memory, 100_000, "anthropic", prices()["anthropic"])[-1].cached > 0


def test_an_overview_says_what_stays_and_where_it_broke(memory: Memory, alice: str) -> None:
    for i in range(6):
        memory.add("x" * i + alice, name=f"alice {i}")
    memory.fade(Steps(steps=((0, "large"), (1, "tiny"), (1.5, "half-tiny"))))
    shown = overview(memory, 2000, "nano")
    assert shown.pages == len(memory.records()) and shown.retired == 0 and shown.texts == 6
    assert shown.sizes == {512: shown.pages - 16, 256: 16} and shown.breaks == [(shown.pages, 1)]
    assert shown.vision_tokens < shown.vision_tokens_new < shown.text_tokens / 8
    assert 0.8 < shown.stays <= 1 and shown.bytes > 100_000


def test_a_price_table_is_checked(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[anthropic]\ninput = 1.0\ncached = 0.1\n")
    table = prices(tmp_path / "prices.toml")
    assert table["anthropic"] == Price(input=1.0, cached=0.1) and table["nano"].input == 0
    more = "[x]\ninput=1\ncached=1\nextra=1"
    for text in ("[x]\ninput = -1\ncached = 0", "[x]\ninput = 1", "no toml", "x = 3", more):
        (tmp_path / "prices.toml").write_text(text)
        with pytest.raises(UsageError, match="not a price table"):
            prices(tmp_path / "prices.toml")
    with pytest.raises(UsageError, match="not a price table"):
        prices(tmp_path / "none.toml")


def test_an_empty_memory_costs_nothing(memory: Memory) -> None:
    assert all(way.tokens < 30 for way in ways(memory, 1000, "nano", Price(input=1, cached=1)))
    assert overview(memory, 1000, "nano").stays == 1
