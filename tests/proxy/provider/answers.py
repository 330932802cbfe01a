"""What the stand-in says in each dialect: whole answers and streams with the vendors' own events, and their usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from microfiche.memory.billing import Usage
from provider.cache import Json

_numbers = count(1)


@dataclass
class Turn:
    """What the model does in one turn: it thinks, says something, calls tools by (name, input)."""

    text: str = "Done."
    thought: str = ""
    calls: list[tuple[str, Json]] = field(default_factory=list)
    refuses: bool = False


def name(start: str) -> str:
    return f"{start}_{next(_numbers):06d}"


def event(data: Json | str, kind: str = "") -> bytes:
    """One event of a stream, with its name where it has one."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {kind}\n" if kind else "").encode() + f"data: {text}\n\n".encode()


def pieces(text: str, size: int = 12) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


# --- Messages ---


def messages_usage(used: Usage) -> Json:
    return {"input_tokens": used.uncached, "cache_creation_input_tokens": used.written + used.written_hour,
            "cache_read_input_tokens": used.read, "output_tokens": used.output,
            "cache_creation": {"ephemeral_5m_input_tokens": used.written,
                               "ephemeral_1h_input_tokens": used.written_hour}}  # fmt: skip


def messages_answer(model: str, turn: Turn, used: Usage, sign: str) -> Json:
    content: list[Json] = []
    if turn.thought:
        content.append({"type": "thinking", "thinking": turn.thought, "signature": sign})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    content += [{"type": "tool_use", "id": name("toolu"), "name": n, "input": given} for n, given in turn.calls]
    reason = "refusal" if turn.refuses else "tool_use" if turn.calls else "end_turn"
    return {"id": name("msg"), "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": reason, "stop_sequence": None, "usage": messages_usage(used)}  # fmt: skip


def messages_events(answer: Json) -> Iterator[bytes]:
    used = answer["usage"]
    start = {**answer, "content": [], "stop_reason": None, "usage": {**used, "output_tokens": 1}}
    yield event({"type": "message_start", "message": start}, "message_start")
    yield event({"type": "ping"}, "ping")
    for index, block in enumerate(answer["content"]):
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        opened = {**block, **empty[block["type"]]}
        yield event({"type": "content_block_start", "index": index, "content_block": opened}, "content_block_start")
        deltas: list[Json] = []
        if block["type"] == "text":
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        elif block["type"] == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            said = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(said)]
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
        yield event({"type": "content_block_stop", "index": index}, "content_block_stop")
    ended = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    output = {"output_tokens": used["output_tokens"]}
    yield event({"type": "message_delta", "delta": ended, "usage": output}, "message_delta")
    yield event({"type": "message_stop"}, "message_stop")


# --- Responses ---


def responses_answer(model: str, turn: Turn, used: Usage, body: Json) -> Json:
    output: list[Json] = []
    if turn.thought:
        output.append({"id": name("rs"), "type": "reasoning", "summary": [], "encrypted_content": turn.thought})
    if turn.text:
        said = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        output.append({"id": name("msg"), "type": "message", "role": "assistant", "status": "completed",
                       "content": [said]})  # fmt: skip
    for n, given in turn.calls:
        output.append({"id": name("fc"), "type": "function_call", "call_id": name("call"), "name": n,
                       "arguments": json.dumps(given), "status": "completed"})  # fmt: skip
    usage = {"input_tokens": used.input, "output_tokens": used.output, "total_tokens": used.input + used.output,
             "input_tokens_details": {"cached_tokens": used.read, "cache_write_tokens": used.written},
             "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return {"id": name("resp"), "object": "response", "created_at": 1, "status": "completed", "error": None,
            "incomplete_details": None, "instructions": body.get("instructions"), "model": model, "output": output,
            "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"),
            "tool_choice": "auto", "tools": body.get("tools", []), "metadata": {}, "text": body.get("text"),
            "temperature": 1.0, "top_p": 1.0, "max_output_tokens": None, "usage": usage}  # fmt: skip


def responses_events(answer: Json) -> Iterator[bytes]:
    numbers = count()

    def told(kind: str, **more: object) -> bytes:
        return event({"type": kind, "sequence_number": next(numbers), **more}, kind)

    empty = {**answer, "output": [], "status": "in_progress", "usage": None}
    yield told("response.created", response=empty)
    yield told("response.in_progress", response=empty)
    for index, item in enumerate(answer["output"]):
        where = {"output_index": index, "item_id": item["id"]}
        empty_item: Json = {"message": {"content": []}, "function_call": {"arguments": ""}}
        opened = {**item, **empty_item.get(item["type"], {})}
        yield told("response.output_item.added", output_index=index, item=opened)
        if item["type"] == "message":
            part = item["content"][0]
            here = {**where, "content_index": 0}
            yield told("response.content_part.added", **here, part={**part, "text": ""})
            for piece in pieces(part["text"]):
                yield told("response.output_text.delta", **here, delta=piece, logprobs=[])
            yield told("response.output_text.done", **here, text=part["text"], logprobs=[])
            yield told("response.content_part.done", **here, part=part)
        elif item["type"] == "function_call":
            for piece in pieces(item["arguments"]):
                yield told("response.function_call_arguments.delta", **where, delta=piece)
            yield told("response.function_call_arguments.done", **where, name=item["name"],
                       arguments=item["arguments"])  # fmt: skip
        yield told("response.output_item.done", output_index=index, item=item)
    yield told("response.completed", response=answer)


# --- Chat Completions ---


def chat_usage(used: Usage) -> Json:
    return {"prompt_tokens": used.input, "completion_tokens": used.output, "total_tokens": used.input + used.output,
            "prompt_tokens_details": {"cached_tokens": used.read, "cache_write_tokens": used.written}}  # fmt: skip


def chat_answer(model: str, turn: Turn, used: Usage) -> Json:
    calls = [{"id": name("call"), "type": "function", "function": {"name": n, "arguments": json.dumps(given)}}
             for n, given in turn.calls]  # fmt: skip
    said: Json = {"role": "assistant", "content": turn.text or None, "refusal": None}
    if calls:
        said["tool_calls"] = calls
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if calls else "stop", "logprobs": None}
    return {"id": name("chatcmpl"), "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
            "usage": chat_usage(used)}  # fmt: skip


def chat_events(answer: Json, with_usage: bool) -> Iterator[bytes]:
    head = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1, "model": answer["model"],
            "service_tier": answer["service_tier"]}  # fmt: skip
    message, reason = answer["choices"][0]["message"], answer["choices"][0]["finish_reason"]

    def told(delta: Json, ended: str | None = None) -> bytes:
        return event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": ended}]})

    yield told({"role": "assistant", "content": ""})
    for piece in pieces(message["content"] or ""):
        yield told({"content": piece})
    for index, call in enumerate(message.get("tool_calls", [])):
        yield told({"tool_calls": [{"index": index, **call}]})
    yield told({}, reason)
    if with_usage:
        yield event({**head, "choices": [], "usage": answer["usage"]})
    yield event("[DONE]")


# --- Gemini ---


def gemini_answer(model: str, turn: Turn, used: Usage) -> Json:
    parts: list[Json] = [{"text": turn.text}] if turn.text else []
    parts += [{"functionCall": {"name": n, "args": given}, "thoughtSignature": "c2ln"} for n, given in turn.calls]
    usage = {"promptTokenCount": used.input, "cachedContentTokenCount": used.read, "candidatesTokenCount": used.output,
             "totalTokenCount": used.input + used.output}  # fmt: skip
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": name("r")}


def gemini_events(answer: Json) -> Iterator[bytes]:
    candidate = answer["candidates"][0]
    for part in candidate["content"]["parts"]:
        one = {"content": {"role": "model", "parts": [part]}, "index": 0}
        yield b"data: " + json.dumps({**answer, "candidates": [one], "usageMetadata": None}).encode() + b"\r\n\r\n"
    last = {**candidate, "content": {"parts": []}}
    yield b"data: " + json.dumps({**answer, "candidates": [last]}).encode() + b"\r\n\r\n"
