"""Answers that refuse with status 200 are known by their beginning and asked again, never once something was passed."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from between import PATIENCE, all_to, line_to, post, proxying, until
from provider.server import Provider, Reply

from microfiche.proxy.account import Account
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.refusal import Beginning
from microfiche.proxy.relay import Relay
from microfiche.proxy.splice import Body, Replacement

JSON, EVENTS = {"content-type": "application/json"}, {"content-type": "text/event-stream; charset=utf-8"}


def events(*said: Any) -> list[bytes]:
    return [b"event: x\ndata: " + json.dumps(one).encode() + b"\n\n" for one in said]


def stops(why: str) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 5}
    return {"id": "m", "type": "message", "model": "claude-fable-5", "content": [], "stop_reason": why, "usage": usage}


START: dict[str, Any] = {"type": "message_start", "message": {**stops(""), "stop_reason": None}}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes"}}
OPENS = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
REFUSES = {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 5}}
FILTERED = {"choices": [{"delta": {}, "finish_reason": "content_filter"}]}
ROLE = {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
RESPONSE = {"object": "response", "status": "incomplete", "error": None, "output": []}


@pytest.mark.parametrize(("said", "told"), [
    ([START, {"type": "ping"}, OPENS, REFUSES], True), ([START, OPENS, TEXT, REFUSES], False),
    ([START, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}], False),
    ([{"type": "error", "error": {"type": "invalid_request_error", "message": "Could not process image"}}], True),
    ([START, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}], False),
    ([{"choices": [], "prompt_filter_results": []}, ROLE, FILTERED], True),
    ([ROLE, {"choices": [{"delta": {"refusal": "I cannot"}, "finish_reason": None}]}], True),
    ([ROLE, {"choices": [{"delta": {"content": "Yes"}}]}, FILTERED], False),
    ([ROLE, {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}], False),
    ([{"type": "response.created", "response": {}}, {"type": "response.refusal.delta", "delta": "I"}], True),
    ([{"type": "response.incomplete",
       "response": {**RESPONSE, "incomplete_details": {"reason": "content_filter"}}}], True),
    ([{"type": "response.failed", "response": {**RESPONSE, "error": {"code": "image_parse_error"}}}], True),
    ([{"type": "response.failed", "response": {**RESPONSE, "error": {"code": "server_error"}}}], False),
    ([{"type": "response.created", "response": {}}, {"type": "response.output_text.delta", "delta": "Y"}], False),
    ([{"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {"promptTokenCount": 9}}], True),
    ([{"candidates": [{"finishReason": "IMAGE_SAFETY"}]}], True),
    ([{"candidates": [{"content": {"parts": [{"text": "Y"}]}}]}, {"candidates": [{"finishReason": "SAFETY"}]}], False),
    ([["no", "object"]], False), (["\ud800"], False),
])  # fmt: skip
def test_a_refusal_is_known_by_the_beginning_of_a_stream(said: list[Any], told: bool) -> None:
    whole = b": a comment\n\n" + b"".join(events(*said))
    for packed, headers in ((whole, EVENTS), (gzip.compress(whole), {**EVENTS, "content-encoding": "gzip"})):
        for size in (len(packed), 7):
            beginning = Beginning(headers, True)
            pieces = (packed[at : at + size] for at in range(0, len(packed), size))
            found = next((one for piece in pieces if (one := beginning.refuses(piece)) is not None), None)
            assert (beginning.refused() if found is None else found) is told


@pytest.mark.parametrize(("answer", "told"), [
    (stops("refusal"), True), (stops("end_turn"), False), ({"error": {"message": "x"}}, False),
    ({"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]}, True),
    ({"choices": [{"message": {"content": "Y", "refusal": None}, "finish_reason": "stop"}]}, False),
    ({**RESPONSE, "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}, True),
    ({**RESPONSE, "output": [{"type": "message", "content": [{"type": "output_text", "text": "Y"}]}]}, False),
    ({**RESPONSE, "output": 7, "incomplete_details": "?"}, False), ({"candidates": "?", "choices": {}}, False),
    ({"choices": [7, {"message": "?"}]}, False), ({**stops("x"), "stop_reason": ["x"]}, False),
    ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, True), ({}, False), (None, False),
])  # fmt: skip
def test_a_refusal_is_known_by_a_whole_answer(answer: Any, told: bool) -> None:
    data = json.dumps(answer).encode()
    beginning = Beginning(JSON, False)
    assert beginning.refuses(data[:9]) is beginning.refuses(data[9:]) is None and beginning.refused() is told
    assert Beginning(JSON, True).refuses(data) is False, "an array that is streamed is not held"
    assert Beginning({**JSON, "content-encoding": "gzip"}, False).refuses(b"no gzip at all") is False
    assert Beginning(JSON, False).refuses(b"[" * (300 << 10)) is False


class Draws:
    """Draws the first message anew for each request, as one page."""

    def __init__(self, fresh: bool = True) -> None:
        self.fresh, self.told = fresh, list[str]()

    def flush(self) -> None:
        """Keeps nothing."""

    def draw(self, route: Any, body: Body, asked: Any) -> Drawing:
        content = body.root.each("messages")[0].members["content"]  # type: ignore[index]
        page = Replacement(content.start, content.end, '"PAGE"')
        text = Drawing(taken=lambda why, pins: self.told.append(why))
        return Drawing((page,), ((0, 0),), (b"PNG",), instead=text, fresh=self.fresh)


def asks(url: str, stream: bool = False) -> httpx2.Response:
    body = {"model": "claude-fable-5", "stream": stream, "messages": [{"role": "user", "content": "the text " * 300}]}
    return post(url + "/v1/messages", json=body)


def in_json(answer: Any) -> Reply:
    data = json.dumps(answer).encode()
    return Reply(200, [("content-type", "application/json")], [data], length=len(data))


def in_events(*said: Any) -> Reply:
    return Reply(200, [("content-type", "text/event-stream")], events(*said))


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_of_new_pages_is_asked_again_as_text_and_both_are_charged(vendor: Provider, stream: bool) -> None:
    drawer, account = Draws(), Account()
    refused = in_events(START, OPENS, REFUSES, {"type": "message_stop"}) if stream else in_json(stops("refusal"))
    ended = ({**REFUSES, "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"})
    answered = in_events(START, OPENS, TEXT, *ended) if stream else in_json(stops("end_turn"))
    with proxying(Relay(all_to(vendor.url), books=account, drawer=drawer)) as url:
        vendor.faults += [refused, answered]
        assert asks(url, stream).content == b"".join(answered.pieces)
        first, second = (request.body for request in vendor.requests)
        assert b"PAGE" in first and b"the text" in second and len(drawer.told) == 1
        record = account.recent[-1]
        assert "both are charged" in record.note and record.tokens is not None and record.tokens["uncached"] == 2000
        assert record.dollars == pytest.approx(2 * (record.text_dollars or 0))
        vendor.faults += [refused, Reply(529, [("retry-after", "1")], [b"{}"], length=2)]
        assert asks(url, stream).status_code == 529 and len(drawer.told) == 1, "whether text is taken is not known"
        assert account.recent[-1].dollars == pytest.approx(record.text_dollars) and not account.recent[-1].text_dollars


def test_a_refusal_passes_where_something_was_passed_or_nothing_is_new(vendor: Provider) -> None:
    late = in_events(START, OPENS, TEXT, REFUSES, {"type": "message_stop"})
    for drawer, reply in ((Draws(), late), (Draws(fresh=False), in_json(stops("refusal")))):
        with proxying(Relay(all_to(vendor.url), drawer=drawer)) as url:
            vendor.faults.append(reply)
            count = len(vendor.requests)
            assert asks(url, reply is late).content == b"".join(reply.pieces) and len(vendor.requests) == count + 1


def test_what_is_held_passes_when_it_takes_long_breaks_off_or_its_client_leaves(
    vendor: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, gate = Account(), threading.Event()
    slow = replace(in_events(START, TEXT, {**REFUSES, "delta": {"stop_reason": "end_turn"}}), waits=gate)
    with proxying(Relay(all_to(vendor.url), books=account, drawer=Draws()), raw=True) as url:
        body = {"model": "claude-fable-5", "stream": True, "messages": [{"role": "user", "content": "text " * 999}]}
        monkeypatch.setattr("microfiche.proxy.asking.HOLD", 0.0)
        vendor.faults.append(slow)
        with httpx2.stream("POST", url + "/v1/messages", json=body, timeout=PATIENCE) as answer:
            assert b"message_start" in next(answer.iter_raw()), "before the model has said anything"
            gate.set()
        monkeypatch.setattr("microfiche.proxy.asking.HOLD", PATIENCE)
        vendor.faults.append(Reply(200, [("content-type", "text/event-stream")], events(START), breaks=True))
        with pytest.raises(httpx2.RemoteProtocolError):
            asks(url, True)
        gate.clear()
        vendor.faults.append(replace(slow))
        count = len(vendor.requests)
        asked = json.dumps(body).encode()
        with line_to(url) as line:
            line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked)
            until(lambda: len(vendor.requests) > count)
        until(lambda: vendor.requests[-1].left)
        gate.set()
