"""LangChain: a middleware for agents that keeps old messages as pages of a memory instead of summing them up.

    from microfiche.integrations.langchain import PagesMiddleware
    agent = create_agent(model, tools, middleware=[PagesMiddleware(model, "agent.memory", trigger=("tokens", 60_000))])

Nothing is lost by it: the memory keeps every message exactly, and `microfiche mcp --memory` lets the model look there.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from microfiche.errors import UsageError
from microfiche.memory import Memory

try:
    from langchain.agents.middleware import SummarizationMiddleware
    from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, convert_to_openai_messages
    from langgraph.config import get_config
    from langgraph.graph.message import REMOVE_ALL_MESSAGES
except ImportError as error:
    raise UsageError("this middleware is for LangChain: pip install langchain") from error

_MARK = "microfiche"  #: in a message's additional_kwargs: how many messages are on its pages
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")


class PagesMiddleware(SummarizationMiddleware):
    """Puts all but the newest messages of a conversation into a memory, once `trigger` says that it has become too
    long, and pages of at most `budget` tokens in their place. `trigger` and `keep` are those of LangChain's
    SummarizationMiddleware.

    Each thread (`configurable.thread_id`) has a namespace of the `memory` for itself. `model` is a chat model or its
    name, and `called` the model's name in the registry, where it is not that. Nothing is changed where pages would cost
    as much as the messages, or where thoughts of the model are kept that are bound to what stands before them.
    """

    def __init__(
        self,
        model: Any,
        memory: Memory | str | Path,
        *,
        trigger: Any = None,
        keep: Any = ("messages", 20),
        budget: int = 16_000,
        called: str | None = None,
    ) -> None:
        super().__init__(model, trigger=trigger, keep=keep)
        if budget < 1_000:
            raise UsageError(f"a budget of {budget} tokens holds no page; give at least 1,000")
        self.memory = memory if isinstance(memory, Memory) else Memory(memory)
        self.budget = budget
        named = getattr(self.model, "model_name", None) or getattr(self.model, "model", "")
        self.called = called or str(named)

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """What becomes of the conversation before the model is asked: None where it stays."""
        messages = state["messages"]
        self._ensure_message_ids(messages)
        if not self._should_summarize(messages, self.token_counter(messages)):
            return None
        cut = self._determine_cutoff_index(messages)
        if cut <= 0 or any(map(_thinks, messages[cut:])):
            return None
        old, kept = self._partition_messages(messages, cut)
        pages = self._pages(old)
        return pages and {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), pages, *kept]}

    async def abefore_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """The same, awaited."""
        return await asyncio.to_thread(self.before_model, state, runtime)

    def _pages(self, old: list[Any]) -> HumanMessage | None:
        """The messages as pages of the thread's memory, with all that it held before; None where that does not pay."""
        new: Any = convert_to_openai_messages([one for one in old if not one.additional_kwargs.get(_MARK)])
        count = max((one.additional_kwargs.get(_MARK, 0) for one in old), default=0)
        with self.memory.namespace(_thread()) as held:
            every = [*(held.messages("chat")[:count] if count else []), *new]
            held.sync_chat("chat", every)  # which adds nothing twice
            made = held.context(self.budget, model=self.called, shape="openai")
        if made.tokens >= self.token_counter(old):
            return None
        parts = [_part(part) for part in made.messages[0]["content"]]
        return HumanMessage(content=parts, additional_kwargs={_MARK: len(every), "lc_source": "summarization"})


def _thread() -> str:
    try:
        return str(get_config()["configurable"].get("thread_id") or "default")
    except (RuntimeError, KeyError):
        return "default"


def _thinks(message: Any) -> bool:
    content = message.content if isinstance(message, AIMessage) else []
    return isinstance(content, list) and any(isinstance(p, dict) and p.get("type") in _THOUGHTS for p in content)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a message as all of LangChain's models take it."""
    if part["type"] != "image_url":
        return part
    return {"type": "image", "base64": part["image_url"]["url"].partition(",")[2], "mime_type": "image/png"}
