"""Inspect: a strategy of compaction that keeps old messages of an agent as pages of a memory.

    from microfiche.integrations.inspect import CompactionPages
    agent = react(tools=[...], compaction=CompactionPages("agent.memory", threshold=0.8))

Nothing is lost by it: the memory keeps every message exactly, and `microfiche mcp --memory` lets the model look there.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from microfiche.errors import UsageError
from microfiche.memory import Memory

try:
    from inspect_ai.model import (
        ChatMessage,
        ChatMessageAssistant,
        ChatMessageUser,
        CompactionStrategy,
        ContentImage,
        ContentReasoning,
        ContentText,
    )
except ImportError as error:
    raise UsageError("this strategy is for Inspect: pip install inspect_ai") from error

_MARK = "microfiche"  #: in a message's metadata: the chat in the memory, and how many messages are on its pages


class CompactionPages(CompactionStrategy):
    """Puts all but the system prompt, the sample's input and the newest `keep` messages into a memory, once `threshold`
    is reached, which is that of Inspect's own strategies, and pages of at most `budget` tokens in their place.

    Each conversation has a namespace of the `memory` for itself. `called` is the model's name in the registry, where
    Inspect calls it otherwise. Thoughts in the messages that are kept are taken out, since they may be bound to what
    stood before them. Nothing is changed where pages would cost as much as the messages.
    """

    def __init__(
        self,
        memory: Memory | str | Path,
        *,
        threshold: int | float = 0.9,
        keep: int = 20,
        budget: int = 16_000,
        called: str | None = None,
    ) -> None:
        super().__init__(type="trim", threshold=threshold, memory=False)
        if budget < 1_000:
            raise UsageError(f"a budget of {budget} tokens holds no page; give at least 1,000")
        if keep < 1:
            raise UsageError(f"keep is {keep}: at least the newest message has to stay")
        self.held = memory if isinstance(memory, Memory) else Memory(memory)
        self.keep, self.budget, self.called = keep, budget, called

    async def compact(
        self, model: Any, messages: list[ChatMessage], tools: list[Any]
    ) -> tuple[list[ChatMessage], ChatMessageUser | None]:
        """The messages with pages in the place of old ones, and nothing to append to the history."""
        first = [one for one in messages if one.role == "system" or (one.source == "input" and not _mark(one))]
        said = [one for one in messages if one not in first]
        cut = max(len(said) - self.keep, 0)
        while 0 < cut < len(said) and said[cut].role == "tool":
            cut -= 1
        if not any(not _mark(one) for one in said[:cut]):
            return messages, None
        old, kept = said[:cut], [_thoughtless(one) for one in said[cut:]]
        new = [_written(one) for one in old if not _mark(one)]
        mark = next((_mark(one) for one in old if _mark(one)), {"chat": str(old[0].id), "messages": 0})
        pages, tokens = await asyncio.to_thread(self._pages, new, mark, self.called or str(model.name))
        if tokens >= await model.count_tokens(old):
            return messages, None
        return [*first, pages, *kept], None

    def _pages(self, new: list[Any], mark: dict[str, Any], called: str) -> tuple[ChatMessageUser, int]:
        """The messages as pages of the memory, with all that their conversation had before; and the pages' tokens."""
        with self.held.namespace(mark["chat"]) as held:
            every = [*(held.messages("chat")[: mark["messages"]] if mark["messages"] else []), *new]
            held.sync_chat("chat", every)  # which adds nothing twice
            made = held.context(self.budget, model=called, shape="openai")
        parts = [_part(part) for part in made.messages[0]["content"]]
        return ChatMessageUser(content=parts, metadata={_MARK: {**mark, "messages": len(every)}}), made.tokens


def _mark(message: Any) -> dict[str, Any]:
    return (message.metadata or {}).get(_MARK) or {}


def _written(message: Any) -> dict[str, Any]:
    """A message in the shape of chat completions, as a memory takes it."""
    parts = message.content if isinstance(message.content, list) else [ContentText(text=message.content)]
    content = [
        {"type": "image_url", "image_url": {"url": part.image}} if isinstance(part, ContentImage)
        else {"type": "text", "text": getattr(part, "text", None) or f"[{part.type}]"}
        for part in parts if not isinstance(part, ContentReasoning)
    ]  # fmt: skip
    made: dict[str, Any] = {"role": message.role, "content": content}
    if message.role == "tool":
        return {**made, "tool_call_id": message.tool_call_id or ""}
    calls = [{"id": call.id, "type": "function",
              "function": {"name": call.function, "arguments": json.dumps(call.arguments)}}
             for call in getattr(message, "tool_calls", None) or ()]  # fmt: skip
    return {**made, "tool_calls": calls} if calls else made


def _thoughtless(message: Any) -> Any:
    """A message of the model without its thoughts."""
    if not isinstance(message, ChatMessageAssistant) or not isinstance(message.content, list):
        return message
    kept = [part for part in message.content if not isinstance(part, ContentReasoning)]
    return message if len(kept) == len(message.content) else message.model_copy(update={"content": kept})


def _part(part: dict[str, Any]) -> ContentText | ContentImage:
    if part["type"] == "image_url":
        return ContentImage(image=part["image_url"]["url"])
    return ContentText(text=part["text"])
