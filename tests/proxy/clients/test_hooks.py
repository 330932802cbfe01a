"""Hooks within other libraries: LiteLLM's and LangChain's own calls, and what the provider then gets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import litellm
import pytest
from agent import listing
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from provider.answers import Turn
from provider.cache import pictures_in, text_of
from provider.server import Provider

from microfiche.errors import UsageError
from microfiche.integrations.langchain import PagesMiddleware
from microfiche.integrations.litellm import MicroficheHook
from microfiche.memory import Memory
from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.verdict import Draw

PROSE = Path(__file__).parents[3].joinpath("examples/alice-1.txt").read_text("utf-8")[:16_000]
CALL = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
CHAT: Any = [{"role": "user", "content": "Read it."}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
             {"role": "tool", "tool_call_id": "call_1", "content": PROSE}]  # fmt: skip
TOOLS: Any = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
def hook(tmp_path: Path) -> Any:
    return MicroficheHook(LedgerDrawer(lambda: Ledger(tmp_path / "ledger"), Draw.safe), {"ours": "claude-fable-5"})


@pytest.fixture
def registered(hook: Any) -> Any:
    litellm.logging_callback_manager._reset_all_callbacks()
    litellm.callbacks = [hook]
    yield hook
    litellm.logging_callback_manager._reset_all_callbacks()


def test_litellm_s_library_sends_pages(vendor: Provider, registered: Any) -> None:
    async def ask(messages: Any) -> None:
        await litellm.acompletion(
            model="anthropic/claude-fable-5", messages=messages, tools=TOOLS, api_base=vendor.url, api_key="k"
        )

    asyncio.run(ask(CHAT))
    (first,) = vendor.requests
    assert len(pictures_in(first.json["messages"])) == 1 and "Alice" in PROSE
    assert len(text_of(first.json["messages"])) < len(PROSE) / 2 and "read_lines" in text_of(first.json["messages"])
    more = [*CHAT, {"role": "assistant", "content": "It is read."}, {"role": "user", "content": "And now?"}]
    asyncio.run(ask(more))
    again = vendor.requests[1]
    assert pictures_in(again.json["messages"]) == pictures_in(first.json["messages"])
    assert [len(CHAT[2]["content"]), CHAT[2]["content"]] == [len(PROSE), PROSE], "the caller's own messages stay"


def test_litellm_s_synchronous_completion_goes_as_text_and_says_so_once(vendor: Provider, registered: Any) -> None:
    """LiteLLM asks no hook before it."""
    ask = {"model": "anthropic/claude-fable-5", "messages": CHAT, "tools": TOOLS, "api_base": vendor.url,
           "api_key": "k"}  # fmt: skip
    with pytest.warns(UserWarning, match="acompletion") as warned:
        litellm.completion(**ask)
        litellm.completion(**ask)
    assert sum("asks no hook" in str(one.message) for one in warned) == 1
    assert [pictures_in(one.json["messages"]) for one in vendor.requests] == [[], []]


def test_litellm_s_synchronous_completion_can_be_drawn_first(
    vendor: Provider, registered: Any, recwarn: pytest.WarningsRecorder
) -> None:
    ask = {"model": "anthropic/claude-fable-5", "messages": CHAT, "tools": TOOLS, "api_base": vendor.url,
           "api_key": "k"}  # fmt: skip
    litellm.completion(**registered.drawn(ask, "completion"))
    (sent,) = vendor.requests
    assert len(pictures_in(sent.json["messages"])) == 1
    assert not [one for one in recwarn if "asks no hook" in str(one.message)]


def test_litellm_s_proxy_draws_before_it_chooses_a_deployment(hook: Any) -> None:
    ask = {"model": "ours", "messages": CHAT, "tools": TOOLS, "metadata": {"x": object()}, "temperature": 0.3}
    made = asyncio.run(hook.async_pre_call_hook(None, None, dict(ask), "acompletion"))
    assert len(pictures_in(made["messages"])) == 1 and made["model"] == "ours"
    assert made["metadata"] is ask["metadata"] and made["temperature"] == 0.3 and made["tools"] == TOOLS
    result = {"type": "tool_result", "tool_use_id": "t", "content": PROSE}
    call = {"type": "tool_use", "id": "t", "name": "read", "input": {}}
    said = [{"role": "user", "content": "Read."}, {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]}]  # fmt: skip
    made = asyncio.run(hook.async_pre_call_hook(None, None, {"model": "ours", "messages": said}, "anthropic_messages"))
    assert len(pictures_in(made["messages"])) == 1
    items = [{"role": "user", "content": "Read."},
             {"type": "function_call", "call_id": "c", "name": "r", "arguments": ""},
             {"type": "function_call_output", "call_id": "c", "output": PROSE}]  # fmt: skip
    made = asyncio.run(hook.async_pre_call_hook(None, None, {"model": "ours", "input": items}, "aresponses"))
    assert len(pictures_in(made["input"])) == 1


@pytest.mark.parametrize(
    ("ask", "kind"),
    [({"model": "ours", "messages": CHAT}, "embedding"), ({"model": "gpt-6-sol", "messages": CHAT}, "acompletion"),
     ({"messages": "?"}, "acompletion"), ({}, "acompletion"), ({"model": "ours", "messages": [{1, 2}]}, "completion"),
     ({"model": "ours", "messages": CHAT}, "")],
)  # fmt: skip
def test_what_is_not_drawn_is_the_same_object(hook: Any, ask: Any, kind: str) -> None:
    assert hook.drawn(ask, kind) is ask


def test_a_drawer_that_fails_hinders_nothing() -> None:
    class Fails:
        def flush(self) -> None:
            """Keeps nothing."""

        def draw(self, *_: object) -> Drawing:
            raise RuntimeError

    ask: Any = {"model": "ours", "messages": CHAT}
    assert MicroficheHook(Fails()).drawn(ask, "completion") is ask


@tool
def read(number: int) -> str:
    """Reads a file."""
    return f"file {number}: key {number * 7919:08x}\n" + PROSE[number * 100 : number * 100 + 6000]


def reading(turns: int) -> Any:
    """A model that reads a file a turn, until it has said so often that it reads one."""

    def say(body: Any) -> Turn:
        done = sum(m.get("role") == "tool" or "tool_result" in json.dumps(m.get("content")) for m in body["messages"])
        say.asked += 1  # type: ignore[attr-defined]
        if say.asked > turns:  # type: ignore[attr-defined]
            return Turn("All is read.")
        return Turn(f"I read {say.asked}.", calls=[("read", {"number": say.asked})]) if done >= 0 else Turn()  # type: ignore[attr-defined]

    say.asked = 0  # type: ignore[attr-defined]
    return say


@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_langchain_keeps_old_messages_as_pages(vendor: Provider, tmp_path: Path, kind: str) -> None:
    vendor.script = reading(12)
    if kind == "messages":
        model: Any = ChatAnthropic(model="claude-fable-5", base_url=vendor.url, api_key="k")
    else:
        model = ChatOpenAI(model="gpt-6-sol", base_url=vendor.url + "/v1", api_key="k", use_responses_api=False)
    memory = tmp_path / "agent.memory"
    pages = PagesMiddleware(model, memory, trigger=("tokens", 9_000), keep=("messages", 4), budget=6_000,
                            called="claude-fable-5")  # fmt: skip
    agent: Any = create_agent(model, [read], middleware=[pages], checkpointer=InMemorySaver())
    for thread in ("one", "two"):
        vendor.script = reading(12)
        state = agent.invoke({"messages": [HumanMessage("Read all.")]},
                             {"configurable": {"thread_id": thread}, "recursion_limit": 99})  # fmt: skip
        assert state["messages"][-1].text == "All is read."
        assert pictures_in([vendor.requests[-1].json["messages"]])
        count = state["messages"][0].additional_kwargs["microfiche"]
        assert isinstance(state["messages"][0], HumanMessage) and count >= 8
    sizes = [len(text_of(r.json["messages"])) for r in vendor.requests]
    assert max(sizes) < 60_000, "as text it would be 72,000 characters at the end, and a turn more each time"
    assert len(vendor.requests) == len(vendor.cache.bill.lines) == 26, "none was refused"
    with Memory(memory) as opened:
        assert opened.namespaces() == ["one", "two"]
        with opened.namespace("one") as held:
            kept = held.messages("chat")
            hits = held.search(f"{3 * 7919:08x}")
            assert hits and f"{3 * 7919:08x}" in hits[0].text, "what is on pages is found exactly"
        roles = [message["role"] for message in kept]
        assert roles[:3] == ["user", "assistant", "tool"] and len(kept) == count


def test_langchain_s_middleware_waits_for_its_trigger_and_keeps_thoughts(tmp_path: Path) -> None:
    model = ChatOpenAI(model="gpt-6-sol", api_key="k")  # type: ignore[arg-type]
    pages = PagesMiddleware(model, tmp_path / "m", trigger=[("messages", 6), ("tokens", 50_000)], keep=("messages", 2))
    said: list[Any] = [HumanMessage("one"), AIMessage("two")] * 2
    assert pages.before_model({"messages": said}, None) is None, "it is not long enough"
    long: list[Any] = [HumanMessage(listing(n, 120)) for n in range(6)]
    thinking = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "yes"}])
    assert pages.before_model({"messages": [*long, thinking]}, None) is None
    short: list[Any] = [HumanMessage("short"), AIMessage("yes")] * 4
    assert pages.before_model({"messages": short}, None) is None, "pages would cost as much"
    with pytest.raises(UsageError, match="at least 1,000"):
        PagesMiddleware(model, tmp_path / "m", budget=10)
    with pytest.raises(ValueError, match="trigger"):
        PagesMiddleware(model, tmp_path / "m", trigger=("words", 5))
