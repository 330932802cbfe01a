"""What an answer says of itself is read in every form that a vendor may give it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from microfiche.memory.billing import MOST, Usage
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.usage import Listener, Said

START = {"type": "message_start", "message": {"model": "claude-opus-5",
         "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}}}  # fmt: skip
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
STOP = {"type": "message_stop"}


def heard(data: bytes, kind: str = "text/event-stream", dialect: Dialect | None = "messages", size: int = 0) -> Said:
    listener = Listener({"content-type": kind}, dialect)
    for at in range(0, len(data), size or len(data) or 1):
        listener.hear(data[at : at + (size or len(data))])
    return listener.close()


def events(*said: Any, end: str = "\n") -> bytes:
    return "".join(f"event: {one['type']}{end}data: {json.dumps(one)}{end}{end}" for one in said).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 64, 0])
def test_events_end_with_any_line_end_and_come_in_any_pieces(end: str, size: int) -> None:
    data = b": hello" + end.encode() + events(START, END, STOP, end=end)
    said = heard(data, "Text/Event-Stream; charset=UTF-8", size=size)
    assert said.usage == Usage(7, 0, 0, 2, 9) and said.ended == "end_turn" and said.whole is True


def test_the_data_of_an_event_may_have_several_lines() -> None:
    lines = json.dumps(START, indent=1).split("\n")
    data = "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
    assert heard(data).usage == Usage(7, 0, 0, 2, 1)
    single = b"".join(b"data: " + json.dumps(one).encode() + b"\n" for one in (START, END, STOP))
    assert heard(single).usage == Usage(7, 0, 0, 2, 9), "events without an empty line between them"


CHAT = b'data: {"choices":[{"delta":{"content":"\\"message_stop\\""},"finish_reason":null}]}\n\n'


@pytest.mark.parametrize(("dialect", "data", "whole"), [
    ("messages", events(START), False), ("messages", events(START, END), False), ("messages", events(STOP), True),
    ("messages", events(START, {"type": "error", "error": {"type": "overloaded_error"}}), True),
    ("messages", events(START, {"type": "content_block_delta", "delta": {"text": '"type":"message_stop"'}}), False),
    ("chat", CHAT, False), ("chat", CHAT + b"data: [DONE]\n\n", True), ("chat", CHAT + b"data:[DONE]", True),
    ("chat", CHAT + b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', True),
    ("responses", events({"type": "response.created", "response": {"status": "in_progress"}}), False),
    ("responses", events({"type": "response.incomplete", "response": {"usage": {"input_tokens": 1}}}), True),
    ("responses", events({"type": "response.failed", "response": {"error": {"code": "x"}}}), True),
    ("gemini", b'data: {"candidates":[{"content":{}}]}\n\n', False),
    ("gemini", b'data: {"candidates":[{"content":{},"finishReason":"STOP"}]}\n\n', True),
    ("gemini", b'data: {"promptFeedback":{"blockReason":"SAFETY"}, "usageMetadata":{}}\n\n', True),
    ("messages", b"", False), (None, events(START), None),
])  # fmt: skip
def test_a_stream_is_whole_when_its_last_event_came(dialect: Dialect | None, data: bytes, whole: bool | None) -> None:
    assert heard(data, dialect=dialect).whole is whole


def test_a_stream_may_begin_with_a_mark_and_a_choice_may_hold_the_usage() -> None:
    marked = heard(b"\xef\xbb\xbf" + events(START, END, STOP))
    assert marked.usage == Usage(7, 0, 0, 2, 9) and marked.whole is True
    choice = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 9, "cached_tokens": 4}}]}
    assert heard(b"data: " + json.dumps(choice).encode() + b"\n\n", dialect="chat").usage == Usage(5, 0, 0, 4, 0)


def test_an_event_that_is_too_long_silences() -> None:
    listener = Listener({"content-type": "text/event-stream"}, "messages")
    for _ in range(20):
        listener.hear(b"data: " + b"x" * (1 << 19))
    assert listener.silent and listener.close().whole is None and not listener._parts


@pytest.mark.parametrize(("said", "usage"), [
    ({"promptTokenCount": 100, "toolUsePromptTokenCount": 50, "candidatesTokenCount": 1}, Usage(150, 0, 0, 0, 1)),
    ({"promptTokenCount": 100, "toolUsePromptTokenCount": "x"}, Usage(100)),
    ({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 9}, Usage(1, 0, 0, 9, 1)),
    ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, Usage(6, 0, 0, 4)),
    ({"prompt_tokens": 10, "cached_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}}, Usage(7, 0, 0, 3)),
    ({"input_tokens": int("9" * 400), "output_tokens": 1}, None), ({"input_tokens": MOST + 1}, None),
    ({"input_tokens": -5, "output_tokens": 1}, None), ({"input_tokens": 5, "output_tokens": True}, None),
    ({"input_tokens": "7", "output_tokens": 1}, None), ({"prompt_tokens": 7.0}, None), ({"prompt_tokens": [7]}, None),
    ({"promptTokenCount": 5, "candidatesTokenCount": "x"}, None), ({"total_tokens": 5}, None), ({"x": 1}, None),
    ({"input_tokens": 5, "output_tokens": None, "cache_read_input_tokens": None}, Usage(5)),
    ({"input_tokens": 0}, Usage(0)),
])  # fmt: skip
def test_usage_of_each_vendors_own_kind(said: dict[str, Any], usage: Usage | None) -> None:
    key = "usageMetadata" if "promptTokenCount" in said else "usage"
    assert heard(json.dumps({key: said}).encode(), "application/json", "chat").usage == usage


@pytest.mark.parametrize(("answer", "besides"), [
    ({"usage": {"input_tokens": 1, "server_tool_use": {"web_search": 2, "x": 0}}}, "fees of web_search"),
    ({"usage": {"input_tokens": 1}, "output": [{"type": "web_search_call"}, 3]}, "fees of web_search_call"),
    ({"usage": {"input_tokens": 1, "inference_geo": "us"}}, "the rates of a region"),
    ({"usage": {"input_tokens": 1, "inference_geo": "global"}}, None),
    ({"usage": {"input_tokens": 1, "service_tier": ["x"], "server_tool_use": 3}, "output": 5}, None),
])  # fmt: skip
def test_what_is_charged_besides_is_named(answer: dict[str, Any], besides: str | None) -> None:
    said = heard(json.dumps(answer).encode(), "application/json")
    assert said.besides == (() if besides is None else (besides,)) and said.usage is not None


@pytest.mark.parametrize(("answer", "tiers"), [
    ({"usage": {"input_tokens": 1, "service_tier": "batch"}}, ("batch",)),
    ({"usage": {"input_tokens": 1}, "service_tier": "flex"}, ("flex",)),
    ({"usage": {"input_tokens": 1, "speed": "fast", "service_tier": "standard"}}, ("fast",)),
    ({"usage": {"input_tokens": 1, "speed": "fast", "service_tier": "Batch"}}, ("batch", "fast")),
    ({"usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}}, ("flex",)),
    ({"usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND"}}, ()),
    ({"usage": {"input_tokens": 1, "service_tier": "standard", "speed": "standard"}, "service_tier": "default"}, ()),
    ({"usage": {"input_tokens": 1, "service_tier": ["x"], "speed": 3}, "service_tier": {}}, ()),
])  # fmt: skip
def test_the_tier_of_an_answer_is_what_it_says_last(answer: dict[str, Any], tiers: tuple[str, ...]) -> None:
    assert heard(json.dumps(answer).encode(), "application/json").tiers == tiers
    first = {"type": "response.created", "response": {"service_tier": "priority", "usage": {}}}
    last = {"type": "response.completed", "response": {"service_tier": "default", "usage": {"input_tokens": 1}}}
    assert heard(events(first, last), dialect="responses").tiers == ()
    listener = Listener({"content-type": "application/json", "x-gemini-service-tier": "flex"}, "gemini")
    listener.hear(b'{"usageMetadata": {"promptTokenCount": 1}}')
    assert listener.close().tiers == ("flex",)
