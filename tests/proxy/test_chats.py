"""Chats and exports of services that watch models: each answer is a request, or one line says why not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.errors import InputError
from microfiche.proxy.recorded import recorded_in
from microfiche.proxy.replay import opened, replay
from microfiche.proxy.transcripts import Recorded

TEXT = "".join(f"line {n} of a file\n" for n in range(400))
PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\0\0\0\2\0").decode()
MAKERS = {"claude-fable-5-1": "/v1/messages", "gpt-6-luna": "/v1/chat/completions",
          "gemini-3.7-flash": "/v1beta/models/gemini-3.7-flash:generateContent"}  # fmt: skip

#: one conversation of two answers with a result between them, as each version of the AI SDK keeps it, and as others do
CALL = {"type": "tool-call", "toolCallId": "c", "toolName": "read", "input": {"path": "a"}}
RESULT = {"type": "tool-result", "toolCallId": "c", "toolName": "read", "output": {"type": "text", "value": TEXT}}
SHOWN = {"type": "tool-read", "toolCallId": "c", "state": "output-available", "input": {"path": "a"}, "output": TEXT}
USED = {"state": "result", "step": 0, "toolCallId": "c", "toolName": "read", "args": {"path": "a"}, "result": TEXT}
USER, DONE = {"role": "user", "content": "Read it."}, {"role": "assistant", "content": "It is read."}
SAID = {"type": "text", "text": "I look."}
CHATS: dict[str, list[dict[str, Any]]] = {
    "the model's": [USER, {"role": "assistant", "content": [{"type": "reasoning", "text": "So."}, SAID, CALL]},
                    {"role": "tool", "content": [RESULT]}, DONE],
    "the page's": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Read it."}]},
                   {"id": "2", "role": "assistant", "parts": [{"type": "step-start"}, SAID, SHOWN,
                    {"type": "step-start"}, {"type": "text", "text": "It is read."}]}],
    "the page's, dynamic": [{"role": "user", "parts": [{"type": "text", "text": "Read it."}]},
                            {"role": "assistant", "parts": [SAID, {**SHOWN, "type": "dynamic-tool", "toolName": "read"},
                             {"type": "text", "text": "It is read."}]}],
    "version 4": [USER, {**DONE, "parts": [{"type": "tool-invocation", "toolInvocation": USED},
                                           {"type": "text", "text": "It is read."}]}],
    "older": [USER, {**DONE, "toolInvocations": [USED]}],
    "Cline's": [{**USER, "ts": 1}, {"role": "assistant", "modelInfo": {"modelId": "x"}, "content": [
                 SAID, {"type": "tool_use", "id": "c", "name": "read", "input": {"path": "a"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": TEXT}]}, DONE],
    "completions": [USER, {"role": "assistant", "content": "I look.", "tool_calls": [
                     {"id": "c", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}}]},
                    {"role": "tool", "tool_call_id": "c", "content": TEXT}, DONE],
}  # fmt: skip


def kept(path: Path, data: Any, model: str | None = None) -> list[Recorded]:
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return recorded_in(path, model)


def read(found: list[Recorded]) -> list[str]:
    """The models that are asked; every request can be read."""
    every = [opened(one) for one in found]
    assert all(every)
    return [one.asked.model for one in every if one]


@pytest.mark.parametrize("model", MAKERS)
@pytest.mark.parametrize("chat", CHATS)
def test_each_answer_of_a_chat_is_a_request_in_the_shape_of_the_model_s_maker(
    tmp_path: Path, chat: str, model: str
) -> None:
    messages = CHATS[chat]
    found = kept(tmp_path / "a", messages, model)
    assert [one.path.decode() for one in found] == [MAKERS[model]] * 2 and read(found) == [model] * 2
    assert b"line 399" not in found[0].body and b"line 399" in found[1].body
    (bill,) = replay(found, {}, model)
    assert len(TEXT) / 4 < bill.bills["text"].usage.input < 1.3 * len(TEXT) / 3.7
    lines = "\r\n \n\r\n".join(map(json.dumps, messages)).encode()
    for same in (lines, {"id": "chat", "messages": messages}, [{"messages": messages}]):
        again = kept(tmp_path / "b", same, model)
        assert [one.path for one in again] == [one.path for one in found]
        (other,) = replay(again, {}, model)
        assert other.bills["text"].usage.input == pytest.approx(bill.bills["text"].usage.input, abs=30)


def test_pictures_and_failures_of_the_ai_sdk_are_told(tmp_path: Path) -> None:
    failed = {**SHOWN, "state": "output-error", "errorText": "No such file. " * 300}
    failed.pop("output")
    seen = {"type": "tool-result", "toolCallId": "c", "toolName": "read", "output": {"type": "content", "value": [
        {"type": "media", "mediaType": "image/png", "data": PICTURE.partition(",")[2]}]}}  # fmt: skip
    asked = {"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "What is it?"}]}
    for model in MAKERS:
        first = kept(tmp_path / "a", [{"role": "user", "parts": [{"type": "text", "text": "x"}]},
                                      {"role": "assistant", "parts": [failed, SAID]}], model)[-1]  # fmt: skip
        assert any(sign in first.body for sign in (b'"is_error":true', b'"error":"No', b'"role":"tool"'))
        chat = [asked, CHATS["the model's"][1], {"role": "tool", "content": [seen]}, DONE]
        found = kept(tmp_path / "a", chat, model)
        (bill,) = replay(found, {}, model)
        assert bill.bills["text"].pictures == 3 and bill.bills["text"].requests == 2


@pytest.mark.parametrize(("data", "why"), [
    ([{"role": "user", "parts": [{"type": "file", "mediaType": "application/pdf", "url": "https://x/a"}]}], "a file"),
    ([{"role": "user", "content": [{"type": "image", "image": "https://x/a.png"}, SAID]}], "a file"),
    ([{"role": "user", "parts": [{"type": "text", "content": "x"}]}, {"role": "assistant", "parts": [
        {"type": "tool_call", "id": "x"}]}], "'tool_call'"),
    ({"model": "gpt-6-luna", "messages": [{"role": "user", "content": [{"type": "telepathy"}]}]}, "'telepathy'"),
    ({"model": "gpt-6-luna", "messages": [{"type": "human", "content": "x"}]}, "who speaks"),
    ([{"role": {}, "content": [SAID]}], "who speaks"),
    ([{"role": "user", "content": [{"type": "document"}]}, DONE], "only Claude"),
    ({"id": "r", "run_type": "llm", "inputs": {"messages": [[{"lc": 1}]]}}, "LangSmith"),
    ({"resourceSpans": [{"scopeSpans": []}]}, "OpenTelemetry"),
    ({"name": "chat", "context": {}, "attributes": {"gen_ai.request.model": "gpt-6-luna"}}, "OpenTelemetry"),
    ({"id": "t", "projectId": "p", "timestamp": "2026-11-20T10:00:00Z", "input": "hi", "output": "x"}, "observations"),
    ([{"conversations": [{"from": "human", "value": "x"}]}], "conversations"),
    (b"\n# aider chat started at 2026-11-20\n\n#### hi\n", "Aider"),
    (b"1234:9:websocket;0:~}", "mitmproxy"),
    ({"model": "text-embedding-3-large", "input": "hi"}, "no request"),
    ({"model": "gpt-6-luna", "input": [{"type": "message"}], "output": []}, "no request"),
])  # fmt: skip
def test_what_cannot_be_counted_is_refused_in_one_line(tmp_path: Path, data: Any, why: str) -> None:
    with pytest.raises(InputError, match=why) as error:
        kept(tmp_path / "a", data, "gpt-6-luna")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("message", [
    {"role": "user", "content": [{"type": "tool_result"}]}, {"role": "user", "content": [{"type": "text"}]},
    {"role": "assistant", "content": [{"type": "tool_use"}]}, {"role": "user", "content": None}, {"role": "system"},
    {"role": "tool"}, {"role": "assistant", "parts": [{"type": "tool-x"}]},
    {"role": "assistant", "tool_calls": [{}, 3]},
    {"role": "assistant", "tool_calls": [{"function": {"arguments": "{"}}]}, {"role": "user", "content": [3, None]},
])  # fmt: skip
@pytest.mark.parametrize("model", MAKERS)
def test_a_message_that_leaves_things_out_is_told_with_what_it_has(tmp_path: Path, message: Any, model: str) -> None:
    found = kept(tmp_path / "a", [USER, message, DONE], model)
    assert len(read(found)) == 1 + (message["role"] == "assistant")


def test_bodies_that_go_on_from_each_other_are_requests_and_no_chats(tmp_path: Path) -> None:
    messages = CHATS["completions"]
    bodies = [{"messages": messages[:1]}, {"messages": messages[:3]}]
    assert len(kept(tmp_path / "a", bodies, "gpt-6-luna")) == 2
    assert len(kept(tmp_path / "a", {"messages": messages[:3]}, "gpt-6-luna")) == 2, "its end is asked, too"
    assert len(kept(tmp_path / "a", {"model": "gpt-6-luna", "messages": messages})) == 2
    assert len(kept(tmp_path / "a", {"model": "gpt-6-luna", "messages": messages[:3]})) == 1
    prefilled = {"model": "claude-fable-5-1", "max_tokens": 9, "messages": CHATS["Cline's"]}
    assert len(kept(tmp_path / "a", prefilled)) == 1
    contents = {"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]}
    assert len(kept(tmp_path / "a", contents, "gemini-3.7-flash")) == 1


def generation(number: int, asked: Any, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "traceId": "t", "type": "GENERATION", "startTime": f"2026-11-20T10:00:0{number}Z",
            "model": "claude-fable-5-1", "input": asked, "output": {"role": "assistant", "content": "x"},
            "usage": {"input": 9000, "output": 7, "total": 9007, "unit": "TOKENS"}, **more}  # fmt: skip


@pytest.mark.parametrize("chat", ["the model's", "completions", "Cline's"])
@pytest.mark.parametrize("coded", [False, True])
def test_generations_of_langfuse_are_replayed_with_their_usage(tmp_path: Path, chat: str, coded: bool) -> None:
    prompts = [CHATS[chat][:1], {"messages": CHATS[chat][:3], "tools": []}]
    first, second = (generation(n, json.dumps(one) if coded else one) for n, one in enumerate(prompts))
    span = {**first, "type": "SPAN", "id": "s"}
    trace = {"id": "t", "projectId": "p", "timestamp": "x", "sessionId": "s", "observations": [second, span, first]}
    for data in ([second, span, first], trace):
        found = kept(tmp_path / "a", data)
        assert read(found) == ["claude-fable-5-1"] * 2 and [one.output for one in found] == [7, 7]
        assert b"line 399" not in found[0].body and b"line 399" in found[1].body
        (bill,) = replay(found, {})
        assert bill.sessions == 1 and bill.bills["text"].usage.read > 8000, "what stands before is cached"
        assert bill.bills["text"].usage.input == pytest.approx(18000 + len(TEXT) / 3.7, rel=0.05)
    with pytest.raises(InputError, match="1 of 1"):
        kept(tmp_path / "a", [generation(1, None)])


@pytest.mark.parametrize("line", [
    {"request_id": "x", "request_created_at": "2026-11-20T10:00:00Z", "response_status": 200, "response_body": {}},
    {"id": "x", "created_at": "2026-11-20T10:00:00Z", "response": {"status": 200, "body": {}}},
])  # fmt: skip
def test_logs_of_gateways_are_replayed_but_for_what_was_refused(tmp_path: Path, line: dict[str, Any]) -> None:
    body = {"model": "gpt-6-luna", "messages": [USER]}
    given = {"request_body": body} if "request_id" in line else {"request": {"method": "POST", "body": body}}
    refused = {**line, "response_status": 429, "response": {"status": 429}}
    (found,) = kept(tmp_path / "a", [{**line, **given}, {**refused, **given}])
    assert read([found]) == ["gpt-6-luna"] and found.at > 1_700_000_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("indent", [None, 1])
def test_files_in_any_encoding_of_unicode_are_read(tmp_path: Path, encoding: str, indent: int | None) -> None:
    bodies = [{"model": "gpt-6-luna", "input": f"žluťoučký\u2028 {n}"} for n in range(3)]
    text = json.dumps(bodies, indent=1) if indent else "\r\n\r\n".join(map(json.dumps, bodies))
    for said in (text, "\n\n" + json.dumps(bodies, ensure_ascii=False, indent=indent)):
        assert len(kept(tmp_path / "a", said.encode(encoding))) == 3


def entry(body: str | None, status: int = 200, **more: Any) -> dict[str, Any]:
    posted = {} if body is None else {"postData": {"mimeType": "application/json", "text": body, **more}}
    request = {"method": "POST", "url": "https://api.openai.com/v1/chat/completions", "headers": [], **posted}
    return {"startedDateTime": "2026-11-20T10:00:00Z", "request": request, "response": {"status": status}}


def test_a_body_of_an_archive_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """Firefox cuts long ones; a request that was blocked or never answered has the status 0 or -1."""
    body = json.dumps({"model": "gpt-6-luna", "messages": [USER]})
    coded = entry(base64.b64encode(body.encode()).decode(), encoding="base64")
    whole = [entry(body), coded, entry(body, 0), entry(body[:-9], -1), entry(None, 429)]
    assert read(kept(tmp_path / "a", {"log": {"entries": whole}})) == ["gpt-6-luna"] * 2
    for cut in (entry(body[:-9]), entry(None)):
        with pytest.raises(InputError, match="missing or cut off"):
            kept(tmp_path / "a", {"log": {"entries": [entry(body), cut]}})


def test_standard_input_is_replayed(tmp_path: Path) -> None:
    body = json.dumps({"model": "gpt-6-luna", "input": TEXT})
    made = CliRunner().invoke(app, ["proxy", "--replay", "-", "--json"], input=f"{body}\n")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)[0]["ways"]["text"]["requests"] == 1
    none = CliRunner().invoke(app, ["proxy", "--replay", "-"], input="")
    assert none.exit_code == 1 and len(none.stderr.strip().splitlines()) == 1
