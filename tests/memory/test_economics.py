"""The same history in every way: tokens, money by a table that a user can change, fidelity as measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from statistics import mean

import pytest

from microfiche.memory import Memory
from microfiche.memory.billing import Prices
from microfiche.memory.economics import fidelity, overview, ways
from microfiche.memory.fading import Steps
from microfiche.memory.messages import Message
from microfiche.memory.models import hosted

PRICES = Prices(input=2.0, read=0.2, write_5m=2.5, dated="2026-11-26", source="this test")
PRICED = replace(hosted("nano"), prices=(PRICES,))


def test_the_ways_stand_beside_each_other(memory: Memory, alice: str) -> None:
    memory.add(alice * 2, name="alice")
    memory.add([Message("user", "and what then?")])
    table = {way.name: way for way in ways(memory, 300, PRICED, date(2026, 11, 26))}
    everything, cached, cut, pages, faded = (
        table[n] for n in ("all text", "cached text", "truncated text", "cached pages", "faded pages")
    )
    assert everything.tokens == cached.tokens > 4000 and everything.fidelity == cached.fidelity == 1
    assert everything.next == pytest.approx(everything.tokens * 2e-6) == everything.first
    assert cached.first == pytest.approx(cached.tokens * 2.5e-6) and cached.next == pytest.approx(cached.tokens * 2e-7)
    assert cut.tokens == 300 and cut.fidelity == pytest.approx(300 / everything.tokens, abs=1e-4)
    assert pages.tokens < everything.tokens / 8 and pages.fidelity is not None and 0.99 < pages.fidelity <= 1
    assert faded.tokens <= 300 and faded.fidelity is not None and 0 < faded.fidelity < pages.fidelity
    assert fidelity(memory) == fidelity(memory), "measured once"
    assert everything.dated == "2026-11-26"
    assert ways(memory, 100_000, hosted("claude-opus-5-5"))[-1].cached > 0
    assert all(way.first is None and way.dated == "" for way in ways(memory, 300, hosted("nano"))), "no price is known"


def test_an_overview_says_what_stays_and_where_it_broke(memory: Memory, alice: str) -> None:
    for i in range(6):
        memory.add("x" * i + alice.replace("Alice", f"Alice{i}"), name=f"alice {i}")
    memory.fade(Steps(steps=((0, "large"), (1, "tiny"), (1.5, "half-tiny"))))
    shown = overview(memory, 4000, "nano")
    assert shown.pages == len(memory.records()) and shown.retired == 0 and shown.texts == 6
    assert shown.sizes == {512: shown.pages - 16, 256: 16} and shown.breaks == [(shown.pages, 1)]
    assert shown.vision_tokens < shown.vision_tokens_new < shown.text_tokens / 8
    costs = [page.tokens for page in memory.context(4000, "", "nano").pages]
    assert len(costs) == shown.pages, "all of it fits, so that each call keeps all but its last page"
    expected = mean(sum(costs[: n - 1]) / sum(costs[:n]) for n in range(shown.pages - 15, shown.pages + 1))
    assert shown.stays == pytest.approx(expected, abs=1e-4) and 0.9 < expected < 0.95
    assert overview(memory, 1000, "nano").stays < shown.stays / 2, "what no longer fits breaks the prefix"
    assert shown.bytes > 100_000


def test_an_empty_memory_costs_nothing(memory: Memory) -> None:
    assert all(way.tokens < 30 for way in ways(memory, 1000, PRICED))
    assert overview(memory, 1000, "nano").stays == 1
