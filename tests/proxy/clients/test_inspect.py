"""Inspect's own compaction with pages: what the model is then asked, and what the memory keeps."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
    compaction,
    get_model,
)
from inspect_ai.tool import ToolCall

from microfiche.errors import UsageError
from microfiche.integrations.inspect import CompactionPages
from microfiche.memory import Memory

pytestmark = pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")  # Inspect's own
PROSE = Path(__file__).parents[3].joinpath("examples/alice-1.txt").read_text("utf-8")


def turn(number: int) -> list[Any]:
    """The model reads a file, and gets it."""
    call = ToolCall(id=f"call_{number}", function="read", arguments={"number": number})
    thought = ContentReasoning(reasoning="Let me see.", signature="bound")
    said = f"file {number}: key {number * 7919:08x}\n{PROSE[number * 100 : number * 100 + 4000]}"
    return [
        ChatMessageAssistant(content=[thought, ContentText(text=f"I read {number}.")], tool_calls=[call]),
        ChatMessageTool(content=said, tool_call_id=call.id, function="read"),
    ]


def mock() -> Any:
    """Inspect's stand-in for a model, which would fetch a tokenizer to count with."""
    model = get_model("mockllm/model", memoize=False)

    async def count(text: str) -> int:
        return len(text) // 4

    model.api.count_text_tokens = count
    return model


async def played(strategy: CompactionPages, turns: int) -> tuple[list[Any], list[int]]:
    """An agent's loop: the last input of the model, and how many messages each input had."""
    prefix: list[Any] = [ChatMessageSystem(content="You read."), ChatMessageUser(content="Read all.", source="input")]
    handler = compaction(strategy, prefix, model=mock())
    history, given, sizes = list(prefix), list[Any](), []
    for number in range(turns):
        given, more = await handler.compact_input(history)
        assert more is None
        sizes.append(len(given))
        history += turn(number)
    return given, sizes


def test_old_messages_become_pages_of_a_memory(tmp_path: Path) -> None:
    strategy = CompactionPages(tmp_path / "m", threshold=9_000, keep=4, budget=6_000, called="claude-fable-5-1")
    for _ in range(2):
        given, sizes = asyncio.run(played(strategy, 16))
        assert [m.role for m in given[:3]] == ["system", "user", "user"] and max(sizes) < 26
        assert sum(later < earlier for earlier, later in pairwise(sizes)) >= 2, "more than once"
        (pages,) = [m for m in given if m.metadata]
        assert any(isinstance(part, ContentImage) for part in pages.content)
        mark = pages.metadata["microfiche"]
        calls = [call.id for m in given if m.role == "assistant" for call in m.tool_calls or ()]
        assert calls == [m.tool_call_id for m in given if m.role == "tool"], "no call is parted from its result"
        with Memory(tmp_path / "m", read_only=True).namespace(mark["chat"]) as held:
            kept = held.messages("chat")
            assert len(kept) == mark["messages"] and kept[0]["role"] == "assistant" and "key 00000000" in str(kept[1])
            (hit, *_) = held.search(f"{3 * 7919:08x}")
            assert f"{3 * 7919:08x}" in hit.text
        at = given.index(pages)
        thinks = [m for m in given[at + 1 : at + 5] if m.role == "assistant" and "bound" in str(m.content)]
        assert not thinks, "no thought is bound to what is there no longer"
    with Memory(tmp_path / "m", read_only=True) as memory:
        assert len(memory.namespaces()) == 2


def test_what_is_short_stays_as_it_is(tmp_path: Path) -> None:
    strategy = CompactionPages(tmp_path / "m", threshold=50, keep=2)
    messages: list[Any] = [ChatMessageUser(content="Hi.", source="input"),
                           *(ChatMessageAssistant(content=f"{n}") for n in range(6))]  # fmt: skip
    made = asyncio.run(strategy.compact(mock(), messages, []))
    assert made == (messages, None)
    with pytest.raises(UsageError, match="at least 1,000"):
        CompactionPages(tmp_path / "m", budget=9)
    with pytest.raises(UsageError, match="newest"):
        CompactionPages(tmp_path / "m", keep=0)
