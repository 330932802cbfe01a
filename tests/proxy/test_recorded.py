"""Files of requests in the shapes of other providers and other agents: replayed, or refused in one line."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent import listing

from microfiche.errors import InputError, UsageError
from microfiche.proxy.recorded import recorded_in
from microfiche.proxy.replay import opened, replay
from microfiche.proxy.transcripts import Recorded

TEXT = listing(1, 200)
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Read it."},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": TEXT}]},
    {"role": "assistant", "content": [{"type": "text", "text": "It is read."}]},
    {"role": "user", "content": "Go on."},
    {"role": "assistant", "content": "Done."},
]
BEDROCK = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": MESSAGES[:3]}
VERTEX = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": MESSAGES[:3], "stream": True}


def kept(path: Path, *lines: Any) -> list[Recorded]:
    """The requests of a file of such lines, and the same where it is packed."""
    data = "\n".join(json.dumps(line) for line in lines).encode()
    path.write_bytes(data)
    found = recorded_in(path)
    path.write_bytes(gzip.compress(data))
    assert recorded_in(path) == found
    return found


def models(found: list[Recorded]) -> list[str]:
    read = [opened(one) for one in found]
    return [one.asked.model for one in read if one is not None]


@pytest.mark.parametrize(("path", "body", "model"), [
    ("/model/anthropic.claude-fable-5-v1%3A0/invoke", BEDROCK, "anthropic.claude-fable-5-v1:0"),
    ("/model/us.anthropic.claude-fable-5-1-v1:0/invoke-with-response-stream", BEDROCK,
     "us.anthropic.claude-fable-5-1-v1:0"),
    ("/v1/projects/p/locations/global/publishers/anthropic/models/claude-fable-5@20260801:streamRawPredict", VERTEX,
     "claude-fable-5@20260801"),
    ("/v1/projects/p/locations/eu/publishers/anthropic/models/claude-fable-5-1:rawPredict", VERTEX, "claude-fable-5-1"),
    ("/openai/deployments/gpt-6-luna/chat/completions", {"messages": MESSAGES[:1]}, "gpt-6-luna"),
])  # fmt: skip
def test_a_model_that_the_path_names_is_asked(tmp_path: Path, path: str, body: Any, model: str) -> None:
    """In a log of bodies, and in an HTTP archive."""
    line = {"at": 7, "path": f"{path}?api-version=1", "body": body}
    request = {"method": "POST", "url": f"https://x.example{path}?a=b", "postData": {"text": json.dumps(body)}}
    entry = {"startedDateTime": "2026-11-20T10:00:00Z", "request": request, "response": {"status": 200}}
    for found in (kept(tmp_path / "a", line), kept(tmp_path / "b", {"log": {"entries": [entry]}})):
        assert models(found) == [model]
        (bill,) = replay(found, {})
        assert bill.bills["text"].usage.input > 0 and bill.bills["text"].dollars is not None


@pytest.mark.parametrize("body", [BEDROCK, VERTEX, {"messages": MESSAGES[:1]}])
def test_a_body_that_names_no_model_needs_one(tmp_path: Path, body: Any) -> None:
    found = kept(tmp_path / "a", body, body)
    with pytest.raises(UsageError, match="--model"):
        replay(found, {})
    (bill,) = replay(found, {}, "gpt-6-luna" if body is not BEDROCK and body is not VERTEX else "claude-fable-5-1")
    assert bill.bills["text"].requests == 2


def test_a_log_of_bedrock_s_says_what_was_asked_and_how_long_answers_were(tmp_path: Path) -> None:
    log = {"schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2026-11-20T10:00:00Z",
           "operation": "InvokeModelWithResponseStream", "modelId": "anthropic.claude-fable-5-v1:0",
           "input": {"inputBodyJson": BEDROCK}, "output": {"outputTokenCount": 70}}  # fmt: skip
    (found,) = kept(tmp_path / "a", log, {**log, "operation": "Converse", "input": {"inputBodyJson": {"messages": []}}})
    assert found.output == 70 and models([found]) == ["anthropic.claude-fable-5-v1:0"]
    profile = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-fable-5-v1:0"
    assert models(kept(tmp_path / "b", {**log, "modelId": profile})) == ["us.anthropic.claude-fable-5-v1:0"]


def of_gemini_cli() -> Any:
    result = [{"functionResponse": {"id": "c1", "name": "read_file", "response": {"output": TEXT}}}]
    call = {"id": "c1", "name": "read_file", "args": {"path": "a"}, "result": result, "status": "success"}
    return {"sessionId": "s", "projectHash": "h", "messages": [
        {"id": "1", "timestamp": "2026-11-20T10:00:00Z", "type": "user", "content": "Read it."},
        {"id": "2", "timestamp": "2026-11-20T10:00:09Z", "type": "gemini", "content": "I look.", "toolCalls": [call],
         "model": "gemini-3.7-flash", "tokens": {"input": 9000, "output": 20, "cached": 0, "thoughts": 5}},
        {"id": "3", "timestamp": "2026-11-20T10:00:19Z", "type": "info", "content": "A note."},
        {"id": "4", "timestamp": "2026-11-20T10:00:29Z", "type": "gemini", "content": "Done.",
         "model": "gemini-3.7-flash"}]}  # fmt: skip


def of_opencode(model: str) -> Any:
    state = {"status": "completed", "input": {"filePath": "a"}, "output": TEXT}
    tokens = {"input": 9000, "output": 20, "reasoning": 5, "cache": {"read": 0, "write": 100}}
    made = {"created": 1763632800000}
    step = {"role": "assistant", "modelID": model, "providerID": "x", "tokens": tokens, "time": made}
    said = {"type": "text", "text": "I look."}
    call = {"type": "tool", "tool": "read", "callID": "c1", "state": state}
    return {"info": {"id": "ses_1"}, "messages": [
        {"info": {"role": "user"}, "parts": [{"type": "text", "text": "Read it."}]},
        {"info": step, "parts": [{"type": "step-start"}, said, call]},
        {"info": step, "parts": [{"type": "text", "text": "Done."}]}]}  # fmt: skip


def test_a_newer_session_of_gemini_cli_is_replayed(tmp_path: Path) -> None:
    """It has a line for its head, one a message, and again one for a message that went on."""
    whole = of_gemini_cli()
    head = {key: value for key, value in whole.items() if key != "messages"}
    user, answer, *more = whole["messages"]
    begun = {key: value for key, value in answer.items() if key not in ("toolCalls", "tokens")}
    lines = [head, user, begun, {"$set": {"lastUpdated": "x"}}, answer, *more]
    assert [one.body for one in kept(tmp_path / "a", *lines)] == [one.body for one in kept(tmp_path / "b", whole)]


@pytest.mark.parametrize(("line", "model"), [
    (of_gemini_cli(), "gemini-3.7-flash"), (of_opencode("claude-fable-5"), "claude-fable-5"),
    (of_opencode("gpt-6-luna"), "gpt-6-luna"),
])  # fmt: skip
def test_a_session_of_another_agent_is_told_again(tmp_path: Path, line: Any, model: str) -> None:
    """What stood in front of its prompts is known from what they were charged."""
    first, second = kept(tmp_path / "a", line)
    assert models([first, second]) == [model] * 2 and first.output == 25
    assert TEXT not in first.body.decode() and json.dumps(TEXT, ensure_ascii=False)[1:-1] in second.body.decode()
    assert 8500 < first.before < 9200 and second.before == first.before and first.at > 1_700_000_000
    (bill,) = replay([first, second], {})
    assert bill.sessions == 1 and bill.bills["text"].usage.input > 2 * first.before + len(TEXT) / 4


@pytest.mark.parametrize("shape", ["lines", "one list"])
@pytest.mark.parametrize(("messages", "model"), [
    (MESSAGES, "claude-fable-5"),
    ([{"role": "system", "content": "Be kind."}, *MESSAGES[:1], {"role": "assistant", "tool_calls": []},
      {"role": "tool", "tool_call_id": "a", "content": TEXT}, *MESSAGES[5:]], "gpt-6-luna"),
    ([{"role": "user", "parts": [{"text": "Hi."}]}, {"role": "model", "parts": [{"text": "Hi."}]},
      {"role": "user", "parts": [{"text": TEXT}]}, {"role": "model", "parts": [{"text": "Yes."}]}], "gemini-3.7-flash"),
])  # fmt: skip
def test_messages_alone_are_replayed_for_a_model_that_is_named(
    tmp_path: Path, messages: list[Any], model: str, shape: str
) -> None:
    found = kept(tmp_path / "a", *(messages if shape == "lines" else [messages]))
    assert len(found) == sum(one["role"] in ("assistant", "model") for one in messages)
    (bill,) = replay(found, {}, model)
    assert bill.model == model and bill.bills["text"].usage.input > len(TEXT) / 4
    marked = [one for one in found if b"cache_control" in one.body]
    assert marked == (found if model.startswith("claude") else []), "as agents mark what the cache keeps"


def test_items_alone_are_replayed(tmp_path: Path) -> None:
    """As older rollouts have them."""
    items = [{"id": "x", "timestamp": "2025-07-01T10:00:00Z", "instructions": None}, {"record_type": "state"},
             {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Read it."}]},
             {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c", "output": TEXT},
             {"type": "message", "role": "assistant", "content": []}]  # fmt: skip
    found = kept(tmp_path / "a", *items)
    (bill,) = replay(found, {}, "gpt-6.2-sol")
    assert bill.bills["text"].requests == 2


def a_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE message(a)")
    connection.close()


CONVERSE = {"path": "/model/x/converse-stream", "body": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}


@pytest.mark.parametrize(("make", "why"), [
    (a_database, "opencode export"), (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)), "unpack it"),
    (lambda path: path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(99)), "zstd"),
    (lambda path: path.write_bytes(gzip.compress(json.dumps(BEDROCK).encode())[:-30]), "cut off"),
    (lambda path: path.write_bytes(b"\x1f\x8b no gzip"), "gzip|damaged|Unknown"),
    (lambda path: path.write_text('{"type":"thread.started","thread_id":"x"}\n{"type":"turn.started"}'), "rollout"),
    (lambda path: path.write_text(json.dumps(CONVERSE)), "Converse"),
    (lambda path: path.write_text('{"display":"hi","pastedContents":{},"project":"/x"}'), "holds no request"),
])  # fmt: skip
def test_what_cannot_be_replayed_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], Any], why: str
) -> None:
    make(tmp_path / "a")
    with pytest.raises(InputError, match=why) as error:
        recorded_in(tmp_path / "a")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
