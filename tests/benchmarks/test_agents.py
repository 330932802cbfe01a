"""benchmarks/agents.py: the same sessions for a seed, in a form that the providers take, and bills that add up."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from agent_sessions import Session, requests, session
from agents import cleared, markdown, measured, read, recorded, row, shares, with_results
from provider.checks import check_messages

from microfiche.memory.models import models

SHAPES = ("anthropic", "responses", "openai", "gemini")


@pytest.fixture(scope="module")
def short() -> Session:
    """The first session, which has fourteen requests."""
    return session(0)


def test_a_seed_makes_one_session(short: Session) -> None:
    assert session(0) == short != session(0, seed=1)
    assert len(short.steps) == 14 and any(len(step.calls) > 1 for step in short.steps)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_request_goes_on_from_the_one_before(short: Session, shape: str) -> None:
    bodies = [json.loads(sent.body) for sent in requests(short, shape, "m")]
    said = [[_bare(one) for one in b.get("messages") or b.get("input") or b["contents"]] for b in bodies]
    assert all(after[: len(before)] == before for before, after in pairwise(said))
    assert len(read(recorded(short, shape, "m"))) == 14


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if key != "cache_control"}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def test_anthropic_would_take_them(short: Session) -> None:
    for sent in requests(short, "anthropic", "claude-opus-5"):
        body = json.loads(sent.body)
        for message in body["messages"]:
            message["content"] = [block for block in message["content"] if block["type"] != "thinking"]
        assert check_messages(body, {"authorization": "Bearer sk-ant-oat01-x"}) == []


def test_a_conversation_that_is_full_begins_anew_with_its_summary() -> None:
    sessions = map(session, (6, 7, 5, 4, 3, 2, 1, 0))  # which of them fill up depends on the library of the Python
    whole, fresh = next((made, n) for made in sessions for n, step in enumerate(made.steps) if step.fresh)
    sizes = [len(sent.body) for sent in requests(whole, "openai", "m")]
    assert sizes[fresh] < sizes[fresh - 1] / 4 and max(sizes) < 900_000


def test_old_results_are_cleared_at_every_tenth_turn(short: Session) -> None:
    longer = session(1)
    sizes = [len(one.body) for one in cleared(longer, "anthropic", "m")]
    plain = [len(one.body) for one in recorded(longer, "anthropic", "m")]
    assert sizes[:20] == plain[:20] and sizes[20] < plain[20] and len(sizes) == len(plain) == 26
    cut = with_results(short, lambda turn, text: text[:100])
    assert all(len(call.result) <= 100 for step in cut.steps for call in step.calls if not call.error)


def test_the_bills_add_up(short: Session) -> None:
    chosen = [models()[name] for name in ("claude-opus-5", "gpt-6-sol", "kimi-k3", "gemini-4-neon")]
    found = measured([short], chosen, {"off": lambda: None, "safe": lambda: None}, lambda line: None)
    table = markdown({name: {way: row(bills) for way, bills in ways.items()} for name, ways in found.items()})
    assert table.count("| text |\n") == 4 and "| kimi-k3 |" in table and "−" in table
    for name, ways in found.items():
        rows = {way: row(bills) for way, bills in ways.items()}
        assert set(rows) == {"text, never cached", "text", "cut", "cleared", "off", "safe"}
        assert rows["off"] == rows["safe"] == rows["text"]
        assert rows["text"]["dollars"] < rows["text, never cached"]["dollars"] / 2, name
        assert rows["cut"]["input"] < rows["text"]["input"] == rows["text, never cached"]["input"]
        assert rows["text"]["read"] > rows["text"]["input"] / 2
    assert sum(shares([short]).values()) == pytest.approx(1)
