"""The Python clients of agents and applications, each with a session of its own kind."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import litellm
import openai
import pytest
from agent import weather
from between import until
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from provider.answers import Turn
from provider.cache import picture_in
from provider.server import Reply
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

CLAUDE, GPT = "claude-opus-5", "gpt-6-sol"
HI: Any = [{"role": "user", "content": "hi"}]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": False}  # fmt: skip
USAGE: Any = {"include_usage": True}


class City(BaseModel):
    """A city that was asked for."""

    name: str
    people: int


def test_anthropic(watched: Any) -> None:
    watched.vendor.script = weather
    with anthropic.Anthropic(base_url=watched.url, api_key="k") as client:
        assert client.messages.create(model=CLAUDE, max_tokens=9, messages=HI).content[0].text.endswith("Oslo.")
        with client.messages.stream(model=CLAUDE, max_tokens=9, messages=HI) as stream:
            assert "".join(stream.text_stream).endswith("Oslo.")
            assert stream.get_final_message().usage.output_tokens > 0
        assert client.messages.count_tokens(model=CLAUDE, messages=HI).input_tokens > 0
        tools: Any = [{"name": "weather", "description": "The weather.", "input_schema": TOOL}]
        asked = client.messages.create(model=CLAUDE, max_tokens=9, messages=HI, tools=tools)
        call = asked.content[-1]
        assert asked.stop_reason == "tool_use" and call.input == {"city": "Oslo"}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        again = [*HI, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        assert client.messages.create(model=CLAUDE, max_tokens=9, messages=again, tools=tools).stop_reason == "end_turn"
        raw = client.messages.with_raw_response.create(model=CLAUDE, max_tokens=9, messages=HI)
        assert raw.headers["request-id"].startswith("req_")
    watched.same_on_both_sides(6)
    for request in watched.vendor.requests:
        assert request.header("anthropic-version"), str(request)
        assert "k" in (request.header("x-api-key"), (request.header("authorization") or "").removeprefix("Bearer "))


def test_anthropic_async_and_its_errors(watched: Any) -> None:
    async def run() -> None:
        async with anthropic.AsyncAnthropic(base_url=watched.url, auth_token="t", api_key=None) as client:
            asks = [client.messages.create(model=CLAUDE, max_tokens=9, messages=HI) for _ in range(2)]
            one, two = await asyncio.gather(*asks)
            assert one.content == two.content
            async with client.messages.stream(model=CLAUDE, max_tokens=9, messages=HI) as stream:
                assert [event async for event in stream][-1].type == "message_stop"

    asyncio.run(run())
    watched.same_on_both_sides(3)
    assert all(r.header("authorization") == "Bearer t" for r in watched.vendor.requests)
    busy = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    for status in (529, 429):
        headers = [("content-type", "application/json"), ("retry-after-ms", "1")]
        watched.vendor.faults.append(Reply(status, headers, [busy], length=len(busy)))
    with anthropic.Anthropic(base_url=watched.url, api_key="k", max_retries=2) as client:
        assert client.messages.create(model=CLAUDE, max_tokens=9, messages=HI).stop_reason == "end_turn"
        start = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{}}}\n\n'
        watched.vendor.faults.append(Reply(200, [("content-type", "text/event-stream")], [start], breaks=True))
        with pytest.raises(Exception, match=r"peer closed|incomplete|Connection"), client.messages.stream(
            model=CLAUDE, max_tokens=9, messages=HI
        ) as stream:
            stream.until_done()
        endless = [b"event: ping\ndata: {\"type\": \"ping\"}\n\n"] * 999
        watched.vendor.faults.append(Reply(200, [("content-type", "text/event-stream")], endless, pause=0.02))
        with client.messages.create(model=CLAUDE, max_tokens=9, messages=HI, stream=True) as events:
            next(iter(events.response.iter_raw()))
        until(lambda: watched.vendor.requests[-1].left)


def test_openai_chat(watched: Any) -> None:
    watched.vendor.script = weather
    with openai.OpenAI(base_url=watched.url + "/v1", api_key="k") as client:
        said = client.chat.completions.create(model=GPT, messages=HI)
        assert said.choices[0].message.content.endswith("Oslo.") and said.usage.total_tokens > 0
        chunks = list(client.chat.completions.create(model=GPT, messages=HI, stream=True, stream_options=USAGE))
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).endswith("Oslo.")
        tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}]
        asked = client.chat.completions.create(model=GPT, messages=HI, tools=tools).choices[0].message
        reply = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "sunny"}
        again = client.chat.completions.create(model=GPT, messages=[*HI, asked, reply], tools=tools)
        assert again.choices[0].finish_reason == "stop"
        watched.vendor.script = lambda body: Turn('{"name": "Oslo", "people": 700000}')
        parsed = client.chat.completions.parse(model=GPT, messages=HI, response_format=City)
        assert parsed.choices[0].message.parsed == City(name="Oslo", people=700000)
        assert client.models.list().data[0].id == "stand-in"
    watched.same_on_both_sides(5)


def test_openai_responses(watched: Any) -> None:
    watched.vendor.script = weather
    with openai.OpenAI(base_url=watched.url + "/v1", api_key="k") as client:
        assert client.responses.create(model=GPT, input="hi").output_text.endswith("Oslo.")
        with client.responses.stream(model=GPT, input="hi") as stream:
            kinds = [event.type for event in stream]
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
        tools: Any = [{"type": "function", "name": "weather", "parameters": TOOL, "strict": True}]
        asked = client.responses.create(model=GPT, input=HI, tools=tools)
        call = asked.output[-1]
        done = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        again = client.responses.create(model=GPT, input=[*HI, *asked.output, done], tools=tools)
        assert again.output_text.endswith("Oslo.")
        watched.vendor.script = lambda body: Turn('{"name": "Oslo", "people": 700000}')
        parsed = client.responses.parse(model=GPT, input="hi", text_format=City)
        assert parsed.output_parsed == City(name="Oslo", people=700000)
    watched.same_on_both_sides(5)


def test_openai_async(watched: Any) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=watched.url + "/v1", api_key="k") as client:
            many = await asyncio.gather(*(client.responses.create(model=GPT, input=f"{n}") for n in range(8)))
            assert len({one.id for one in many}) == 8
            chunks = await client.chat.completions.create(model=GPT, messages=HI, stream=True, stream_options=USAGE)
            assert [chunk async for chunk in chunks][-1].usage.completion_tokens > 0

    asyncio.run(run())
    watched.same_on_both_sides(9)


@pytest.mark.parametrize("model", [f"openai/{GPT}", f"anthropic/{CLAUDE}"])
def test_litellm(watched: Any, model: str) -> None:
    watched.vendor.script = weather
    base = watched.url + ("/v1" if model.startswith("openai") else "")
    where: Any = {"model": model, "api_base": base, "api_key": "k"}
    assert litellm.completion(messages=HI, **where).choices[0].message.content.endswith("Oslo.")
    chunks = list(litellm.completion(messages=HI, stream=True, stream_options=USAGE, **where))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).endswith("Oslo.")
    tools = [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}]
    asked = litellm.completion(messages=HI, tools=tools, **where).choices[0].message
    reply = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "sunny"}
    again = litellm.completion(messages=[*HI, asked.model_dump(), reply], tools=tools, **where)
    assert again.choices[0].message.content.endswith("Oslo.")
    watched.same_on_both_sides(4)


@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
def test_langchain_agents(watched: Any, kind: str) -> None:
    watched.vendor.script = weather

    @tool
    def ask_weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    if kind == "messages":
        model: Any = ChatAnthropic(model=CLAUDE, base_url=watched.url, api_key="k")
    else:
        stored = kind == "responses"
        model = ChatOpenAI(
            model=GPT, base_url=watched.url + "/v1", api_key="k", use_responses_api=stored, stream_usage=True
        )
    agent: Any = create_agent(model, [ask_weather])
    said = agent.invoke({"messages": HI})["messages"]
    assert "sunny in Oslo" in str(said[-2].content) and "sunny in Oslo" in str(said[-1].text)
    steps = list(agent.stream({"messages": HI}, stream_mode="messages"))
    assert len(steps) > 3
    watched.same_on_both_sides(4)


@pytest.mark.parametrize("kind", ["chat", "responses", "messages"])
def test_pydantic_ai(watched: Any, kind: str) -> None:
    watched.vendor.script = weather
    ours = OpenAIProvider(base_url=watched.url + "/v1", api_key="k")
    model: Any = {"chat": lambda: OpenAIChatModel(GPT, provider=ours),
                  "responses": lambda: OpenAIResponsesModel(GPT, provider=ours),
                  "messages": lambda: AnthropicModel(
                      CLAUDE, provider=AnthropicProvider(base_url=watched.url, api_key="k"))}[kind]()  # fmt: skip
    agent = Agent(model)

    @agent.tool_plain
    def ask_weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    assert agent.run_sync("What is it like?").output.endswith("Oslo.")

    async def streamed() -> str:
        async with agent.run_stream("And now?") as answer:
            return str(await answer.get_output())

    assert asyncio.run(streamed())
    watched.same_on_both_sides(3)


def test_llm(watched: Any, tmp_path: Path) -> None:
    models = [{"model_id": "ours", "model_name": GPT, "api_base": watched.url + "/v1", "api_key_name": "ours"}]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    for more in (["--no-stream"], []):
        done = subprocess.run([sys.executable, "-m", "llm", "-m", "ours", "--key", "k", *more, "hi"],
                              capture_output=True, text=True, env=environment, timeout=600)  # fmt: skip
        assert done.returncode == 0 and done.stdout.strip() == "Done.", done.stderr
    watched.same_on_both_sides(2)


def test_pictures_of_a_client_pass(watched: Any) -> None:
    dot = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": dot}}
    with anthropic.Anthropic(base_url=watched.url, api_key="k") as client:
        client.messages.create(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": [picture]}])  # type: ignore[typeddict-item]
    assert picture_in(watched.vendor.requests[0].json["messages"][0]["content"][0])
    watched.same_on_both_sides()
