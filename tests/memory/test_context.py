"""Contexts: never over the budget, recent first, what is asked for sharp, and a prefix that stays."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from microfiche.errors import UsageError
from microfiche.memory import Memory
from microfiche.memory.billing import PROVIDERS
from microfiche.memory.context import FASTER, Candidate, block, context, plan, shared
from microfiche.memory.fading import Steps
from microfiche.memory.messages import Message

costs = st.lists(st.integers(1, 900), min_size=5, max_size=5).map(lambda c: (*sorted(c, reverse=True), 0))
levels = st.lists(st.integers(0, 5), min_size=1, max_size=FASTER).map(lambda v: tuple(sorted(v)))


@st.composite
def pages(draw: st.DrawFn, first: int, most: int = 8) -> list[Candidate]:
    return [Candidate(first + i, draw(costs), draw(levels)) for i in range(draw(st.integers(0, most)))]


@settings(max_examples=200, deadline=None)
@given(pages(0), pages(100), st.randoms(), st.integers(0, 6000))
def test_a_budget_is_never_passed(history: list[Candidate], recent: list[Candidate], rng: Random, budget: int) -> None:
    check(history, recent, rng, budget)


def test_a_budget_is_never_passed_in_ten_thousand_random_memories() -> None:
    rng = Random(0)

    def some(first: int) -> list[Candidate]:
        return [Candidate(
            first + i, (*sorted((rng.randint(1, 900) for _ in range(5)), reverse=True), 0),
            tuple(sorted(rng.choices(range(6), k=rng.randint(1, FASTER)))),
        ) for i in range(rng.randint(0, 8))]  # fmt: skip

    for _ in range(10_000):
        check(some(0), some(100), rng, rng.randint(0, 6000))


def check(history: list[Candidate], recent: list[Candidate], rng: Random, budget: int) -> None:
    every = {page.id: page for page in (*history, *recent)}
    wanted = rng.sample(list(every.values()), rng.randint(0, len(every)))
    made = plan(history, recent, wanted, budget)
    total = sum(every[i].costs[level] for i, level in made.levels.items()) + sum(every[i].costs[0] for i in made.sharp)
    assert total == made.tokens <= budget
    assert list(made.levels) == list(every)
    assert all(made.levels[i] >= page.levels[0] for i, page in every.items()), "never sharper than it is"
    assert not any(made.levels[i] == 0 for i in made.sharp), "nothing whole twice"


@given(st.integers(1, 5000), st.integers(1, 10**7))
def test_a_block_takes_a_quarter_at_most(cost: int, budget: int) -> None:
    pages = block(cost, budget)
    assert pages == 1 or pages * cost <= budget // 4


def test_the_history_does_not_depend_on_what_came_after() -> None:
    history = [Candidate(i, (400, 256, 100, 64, 16, 0), (0, 0, 1, 2, 3, 4, 5)) for i in range(8)]
    recent = [Candidate(100 + i, (400, 256, 100, 64, 16, 0), (0,)) for i in range(4)]
    alone, followed = plan(history, [], [], 3000), plan(history, recent, recent, 3000)
    assert {i: alone.levels[i] for i in range(8)} == {i: followed.levels[i] for i in range(8)}
    assert alone.faster == 3 and alone.tokens == 800, "time three steps faster: eight at Small"


def test_shared_is_the_part_before_the_first_difference() -> None:
    assert shared([("a", 3), ("b", 1)], [("a", 3), ("b", 1), ("c", 4)]) == 0.5
    assert shared([("a", 3)], [("x", 3), ("a", 3)]) == 0 and shared([], []) == 1


def images(messages: list[dict[str, Any]]) -> list[Image.Image]:
    found = []
    for part in messages[0]["content"]:
        if part["type"] == "image_url":
            head, data = part["image_url"]["url"].split(",")
            assert head == "data:image/png;base64"
            found.append(Image.open(io.BytesIO(base64.b64decode(data))))
    return found


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_sent_costs_what_is_said_at_every_provider(memory: Memory, alice: str, provider: str) -> None:
    memory.add(alice, name="alice")
    memory.add([Message("user", "Who fell down the hole?")])
    made = memory.context(200_000, "rabbit", provider)
    assert made.text_tokens > 2000 and len(made.pages) == len(memory.records()) + 1
    cost = PROVIDERS[provider].cost
    assert made.tokens > sum(cost(sheet.side, sheet.height).tokens for sheet in made.pages)
    if PROVIDERS[provider].shape == "openai":
        assert [i.size for i in images(made.messages)] == [(s.side, s.height) for s in made.pages]
        assert made.messages[0]["content"][-1] == {"type": "text", "text": "rabbit"}
    else:
        marked = [part for part in made.messages[0]["content"] if "cache_control" in part]
        assert marked[0]["source"]["media_type"] == "image/png" and len(marked) == 1


def test_budgets_on_a_real_memory(memory: Memory, alice: str) -> None:
    memory.add(alice * 4, name="alice")
    memory.add([Message("user", "short")])
    for provider in ("nano", "anthropic", "openai-tiles"):
        for budget in (20, 60, 90, 150, 400, 900, 5000):
            made = context(memory, budget, "rabbit", provider)
            assert made.tokens <= budget
        assert (len(made.pages) > 3 and "newest" in made.pages[-1].caption) or made.pages[-1].page
    assert any("do not go in" in note for note in context(memory, 60, provider="nano").notes)
    with pytest.raises(UsageError, match="does not hold the question"):
        memory.context(5)
    with pytest.raises(UsageError, match="no provider"):
        memory.context(5000, provider="abacus")


def test_an_empty_memory_gives_a_context_too(memory: Memory) -> None:
    made = memory.context(100, "hello?")
    assert made.pages == [] and len(made.messages[0]["content"]) == 2


def test_the_prefix_stays_while_a_chat_goes_on(memory: Memory) -> None:
    before = None
    kept = []
    for turn in range(80):
        memory.add([Message("user", f"turn {turn} " + "and more words of it " * 20)])
        made = memory.context(2000, provider="nano")
        assert made.tokens <= 2000
        if before:
            kept.append(shared(before.layout[: before.stable], made.layout[: before.stable]))
        before = made
    breaks = sum(share < 1 for share in kept)
    assert breaks <= 3, "only blocks break the prefix"
    assert before is not None and before.stable > 2


def test_a_faded_page_that_is_asked_for_comes_again_sharp(memory: Memory, alice: str) -> None:
    memory.add("The password of the old lighthouse is xylophone. " + alice * 7, name="alice")
    memory.fade(Steps(steps=((0, "large"), (1, "half-tiny"))))
    assert memory.record(1).level == 256
    made = memory.context(4000, "What is the password of the lighthouse?", "nano")
    assert [(s.page, s.side) for s in made.pages if s.page == 1] == [(1, 256), (1, 512)]
    assert made.pages[-1].side == 512, "at the end, where it breaks no prefix"


def test_what_cannot_be_drawn_stands_in_the_caption(memory: Memory) -> None:
    memory.add("It is \U0001f600 and \U0001f680, but costs 5 ¤. " * 2, name="faces")
    memory.add([Message("user", "\U0001f407 hops")])
    captions = [page.caption for page in memory.context(9000).pages]
    assert captions == [
        "[page 1: faces, page 1 of 1; ¤ stands for \U0001f600 \U0001f680 ¤ \U0001f600 \U0001f680 ¤]",
        "[chat, page 1, the newest; ¤ stands for \U0001f407]",
    ]


def test_a_changed_text_leaves_the_prefix_and_appends(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    before = memory.context(100_000, provider="nano")
    memory.add(alice[:5000] + " NEW " + alice[5000:], name="alice")
    after = memory.context(100_000, provider="nano")
    assert after.layout[: len(before.layout)] == before.layout
    assert "what changed in version 2" in after.pages[-1].caption


def test_a_corrupt_page_is_named_and_the_others_are_sent(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    memory.connection.execute("UPDATE picture SET png = x'00' WHERE page = 2")
    made = memory.context(100_000)
    assert [sheet.page for sheet in made.pages] == [1, 3] and "page 2: its picture" in made.notes[0]


def test_the_same_state_gives_the_same_bytes(opened: Callable[..., Memory], alice: str, tmp_path: Path) -> None:
    memory = opened()
    memory.add(alice, name="alice")
    assert memory.context(700, "rabbit", "nano") == opened().context(700, "rabbit", "nano")
