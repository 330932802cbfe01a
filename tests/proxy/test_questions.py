"""A model that answers by reading the pages that it is sent: exact values by text or recall, words by the picture."""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent import ClaudeCode
from between import PATIENCE, all_to, proxying
from mcp import Client, StdioServerParameters
from provider.answers import Turn
from provider.cache import pictures_in
from provider.eyes import Eyes, Model, Seen, published
from provider.questions import Planted, looking, planted, with_values, word_questions
from provider.server import Provider
from test_drawing import perfect

from microfiche.proxy.account import Account
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.relay import Relay
from microfiche.proxy.verdict import Draw
from microfiche.serving.recall import Recall

ROOT = Path(__file__).parents[2]
ALICE = (ROOT / "examples/alice-1.txt").read_text("utf-8")
CODE = inspect.getsource(textwrap) + inspect.getsource(shlex)


def numbered(text: str) -> str:
    return "\n".join(f"{n:6d}\t{line}" for n, line in enumerate(text.split("\n"), 1))


def log(rng: random.Random) -> str:
    return "\n".join(f"2026-11-20 10:{n // 60:02d}:{n % 60:02d} worker took the job and went on with what was left, "
                     f"after {rng.random():.4f} s" for n in range(90))  # fmt: skip


class Known:
    """What a proxy drew of a few results, of which the values and words are known."""

    def __init__(self, vendor: Provider, folder: Path) -> None:
        rng = random.Random(20)
        texts = [ALICE[:9000], numbered(CODE[:12_000]), log(rng)]
        self.values = [[planted(rng, 7 * k + n) for n in range(7)] for k in range(3)]
        self.texts = [with_values(text, values, rng) for text, values in zip(texts, self.values, strict=True)]
        self.words = [ask for text in self.texts[:2] for ask in word_questions(text, rng, 80)]
        self.ledger = folder / "ledger"
        ledger = Ledger(self.ledger)
        drawer = LedgerDrawer(lambda: ledger, Draw.safe)
        reads = [("Read", {"n": n}) for n in range(3)]
        vendor.script = lambda body: Turn("Yes.", calls=reads if len(body["messages"]) == 1 else [])
        with proxying(Relay(all_to(vendor.url), drawer=drawer)) as url, ClaudeCode(url, "claude-fable-5-1") as agent:
            agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read."}]})
            calls = [block for block in agent.turn()["content"] if block["type"] == "tool_use"]
            agent.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": text}
                for call, text in zip(calls, self.texts, strict=True)]})  # fmt: skip
            agent.turn()
        ledger.close()
        self.body: Any = vendor.requests[-1].json
        self.pictures = pictures_in(self.body)
        self.seen = Eyes().seen(self.body["messages"][-1:])


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    from provider.server import provider

    folder = tmp_path_factory.mktemp("questions")
    with provider() as vendor, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROFICHE_CONFIG", str(folder / "config"))
        yield Known(vendor, folder)


@pytest.fixture
def recall(known: Known) -> Iterator[Recall]:
    made = Recall(known.ledger)
    yield made
    made.close()


def test_every_exact_value_stands_as_text_or_is_recalled_by_its_line(known: Known, recall: Recall) -> None:
    assert len(known.pictures) >= 3 and not any(text in known.seen.text for text in known.texts), "all three are drawn"
    for value in (value for values in known.values for value in values):
        line = looking(recall)(value.label)
        assert line is not None and line.endswith(f"{value.label} is set to {value.value} for now")
        assert value.value in known.seen.text or value.kind == "identifier"


def test_after_a_restart_every_value_is_given_exactly_by_mcp(known: Known) -> None:
    """By the SDK's own client, from a process that has only the ledger's file."""
    every = [value for values in known.values for value in values]
    lines = [line for text in known.texts for line in text.split("\n")]

    async def ask() -> None:
        arguments = ["-m", "microfiche", "mcp", "--ledger", str(known.ledger)]
        parameters = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
        async with Client(parameters) as client:
            for value in every:
                found: Any = await client.call_tool("search", {"query": value.label, "count": 1})
                page, number = re.match(r"([\w-]+), line (\d+)", found.content[0].text).groups()  # type: ignore[union-attr]
                asked = {"page": page, "first": int(number), "last": int(number) + 2}
                read: Any = await client.call_tool("read_lines", asked)
                (line,) = [line for line in lines if value.label in line]
                assert f"\t{line}" in read.content[0].text and f"{value.label} is set to {value.value}" in line

    asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    assert len(every) == 21 and len({value.kind for value in every}) >= 6


@pytest.mark.parametrize("rates", [{}, published("claude-fable-5-1"), published("claude-opus-5")])
def test_a_model_that_looks_up_what_it_does_not_have_as_text_invents_nothing(
    known: Known, recall: Recall, rates: dict[str, float]
) -> None:
    model = Model(rates, looking(recall))
    for value in (value for values in known.values for value in values):
        assert model.value(known.seen, value.label, value.pattern) == value.value, value
    assert model.looked >= 3 if rates else model.looked <= 3, "names of letters alone stand on pages only"


def test_a_model_that_guesses_invents_as_the_published_figures_say(known: Known) -> None:
    model = Model(published("claude-opus-5"))
    every = [value for values in known.values for value in values]
    wrong = [v for v in every if model.value(known.seen, v.label, v.pattern) not in (v.value, None)]
    assert wrong and {v.kind for v in wrong} == {"identifier"}, "which alone stand on pages only"
    assert Model().value(Seen(), "beacon", r"\d+") is None, "what is not there is not answered"


def test_words_are_read_from_pages_as_from_text(known: Known) -> None:
    model, text = Model(), Seen(pages=known.texts)
    assert len(known.words) >= 50
    assert all(model.following(text, asked) == answer for asked, answer in known.words)
    wrong = [(asked, answer, said) for asked, answer in known.words
             if (said := model.following(known.seen, asked)) != answer]  # fmt: skip
    assert len(wrong) <= 0.01 * len(known.words), wrong


def test_fifty_turns_with_parallel_tools_and_recall(vendor: Provider, tmp_path: Path, monkeypatch: Any) -> None:
    """The model reads two files a turn; at times it needs a value, and asks recall where it is on a page alone."""
    monkeypatch.setenv("MICROFICHE_CONFIG", str(tmp_path / "config"))
    rng = random.Random(50)
    values = [planted(rng, n) for n in range(110)]
    eyes, model = Eyes(), Model(published("claude-fable-5-1"))
    answers, looked = dict[str, str | None](), list[Planted]()

    def result(call: Any) -> str:
        if call["name"] == "mcp__microfiche__search":
            return "\n\n".join(f"{one.page}, line {one.line}:\n{one.text}" for one in recall.search(**call["input"]))
        n = call["input"]["n"]
        text = ALICE[n * 90 : n * 90 + (5000 if n % 4 < 2 else 900)]
        return with_values(text, [values[n]], random.Random(n))

    def say(body: Any) -> Turn:
        turn = sum(m["role"] == "assistant" for m in body["messages"])
        if looked and (last := looked[-1]).label not in answers:
            answers[last.label] = model.exact(eyes.seen(body["messages"][-1:]), last.label, last.pattern)[0]
        calls: list[tuple[str, Any]] = [("Read", {"n": 2 * turn}), ("Read", {"n": 2 * turn + 1})]
        drawn = [n for n in range(2 * turn - 4, 2 * turn) if n >= 0 and n % 4 < 2]
        if turn % 5 == 3 and drawn:
            asked = next((values[n] for n in drawn if values[n].kind == "identifier"), values[drawn[0]])
            exact, _ = model.exact(eyes.seen(body["messages"][-5:]), asked.label, asked.pattern)
            if exact is None:
                looked.append(asked)
                calls.append(("mcp__microfiche__search", {"query": asked.label, "count": 3}))
            else:
                answers[asked.label] = exact
        return Turn(f"Turn {turn}.", calls=calls if turn < 50 else [])

    ledger, account = Ledger(tmp_path / "ledger"), Account()
    recall = Recall(tmp_path / "ledger")
    vendor.script = say
    drawer = LedgerDrawer(lambda: ledger, Draw.safe, perfect)
    relay = Relay(all_to(vendor.url), books=account, drawer=drawer)
    with proxying(relay) as url, ClaudeCode(url, "claude-fable-5-1") as agent:
        agent.messages.append({"role": "user", "content": [{"type": "text", "text": "Read all."}]})
        while calls := [block for block in agent.turn()["content"] if block["type"] == "tool_use"]:
            agent.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": result(call)} for call in calls]})
    requests = [r for r in vendor.requests if r.usage]
    assert len(requests) == 51 and len(pictures_in(requests[-1].json)) >= 40
    assert len(answers) == 10 and all(answers[v.label] == v.value for v in values if v.label in answers)
    assert 2 <= len(looked) < 10 and account.total.saved > 0
    recall.close()
    ledger.close()
