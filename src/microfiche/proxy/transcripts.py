"""Transcripts of agents as the requests that they tell of: of Claude Code, Codex and Gemini CLI.

They hold no system prompt or no documents of tools; what was charged for these is taken from the usage that they note,
and stands in front of every prompt as text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from microfiche.proxy.twin import CHARACTERS

_SAID = ("reasoning", "function_call", "custom_tool_call", "local_shell_call", "web_search_call")  # by the model
GAP = 20.0  #: seconds between requests of which no time is known
Json = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A request at second `at`, to a `path`, with the `headers` that name its session, and how many tokens its answer
    had, 0 where that is not known. `before` are tokens in front of its prompt of which the file holds no text."""

    at: float
    path: bytes
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    output: int = 0
    before: int = 0


def second(when: object) -> float | None:
    """A time as seconds since 1970, from such a number or ISO time; None where it is neither."""
    try:
        if isinstance(when, int | float):
            return float(when) if math.isfinite(when) else None
        return datetime.fromisoformat(when).timestamp() if isinstance(when, str) else None
    except (ValueError, OverflowError):
        return None


def as_bytes(body: Json) -> bytes:
    """A body in JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


# --- Claude Code ---


def of_claude_code(lines: list[Json]) -> list[Recorded]:
    """The requests behind a transcript, by their time. Each subagent, whose lines are marked as a side chain, has a
    conversation of its own."""
    chains: dict[str, list[Json]] = {}
    of: dict[str, str] = {}
    for line in lines:
        agent = ""
        if line.get("isSidechain"):
            name = str(line.get("uuid", ""))
            agent = of[name] = str(line.get("agentId") or of.get(str(line.get("parentUuid"))) or name)
        chains.setdefault(agent, []).append(line)
    every = (one for agent, own in chains.items() for one in _of_agent(own, agent))
    return sorted(every, key=lambda one: one.at)


def _of_agent(lines: list[Json], agent: str) -> Iterator[Recorded]:
    """The requests of one agent of a transcript; the main one has no name."""
    messages: list[Json] = []
    until: dict[str, int] = {}
    latest, before, at = "", None, 0.0
    for line in lines:
        message, name = line.get("message"), str(line.get("uuid", ""))
        if line.get("subtype") == "compact_boundary":
            messages, until = [], {}
        if isinstance(message, dict) and message.get("role") in ("user", "assistant"):
            at = second(line.get("timestamp")) or at
            if message["role"] == "user":
                latest = ""
                parent = until.get(str(line.get("parentUuid")), len(messages))
                if not _is_result(message):  # where the user went back, what came after is no longer there
                    del messages[parent:]
                _append(messages, "user", message.get("content"))
            elif message.get("model") != "<synthetic>":
                if message.get("id") != latest or not messages or messages[-1]["role"] != "assistant":
                    latest = str(message.get("id"))
                    headers = {"x-claude-code-session-id": str(line.get("sessionId") or line.get("session_id") or "")}
                    headers |= {"x-claude-code-agent-id": agent} if agent else {}
                    if messages:
                        made = _asked_of_claude(messages, message, at, headers, before)
                        before = made.before
                        yield made
                _append(messages, "assistant", message.get("content"))
        until[name] = len(messages)


def _is_result(message: Json) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(b.get("type") == "tool_result" for b in content if isinstance(b, dict))


def _append(messages: list[Json], role: str, content: object) -> None:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    found = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    if messages and messages[-1]["role"] == role:
        messages[-1] = {"role": role, "content": messages[-1]["content"] + found}
    else:
        messages.append({"role": role, "content": found})


def _asked_of_claude(
    messages: list[Json], answer: Json, at: float, headers: dict[str, str], before: int | None
) -> Recorded:
    """The request that a message answers, with the marks that Claude Code sets."""
    usage = answer.get("usage") if isinstance(answer.get("usage"), dict) else {}
    assert isinstance(usage, dict)
    written = usage.get("cache_creation")
    hours = isinstance(written, dict) and bool(written.get("ephemeral_1h_input_tokens"))
    mark = {"type": "ephemeral", **({"ttl": "1h"} if hours else {})}
    sent = [*messages[:-2], *(marked(message, mark) for message in messages[-2:])]
    body = as_bytes({"model": answer.get("model", ""), "messages": sent, "stream": True})
    if before is None:
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        charged = sum(value for name in names if isinstance(value := usage.get(name), int))
        before = max(0, charged - round(len(body) / CHARACTERS))
    output = usage.get("output_tokens")
    return Recorded(at, b"/v1/messages", body, headers, output if isinstance(output, int) else 0, before)


def marked(message: Json, mark: Json) -> Json:
    """A message with a mark of the cache at its end."""
    said = message["content"]
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) else list(said)
    if blocks:
        blocks[-1] = {**blocks[-1], "cache_control": mark}
    return {**message, "content": blocks}


# --- Codex ---


def of_codex(lines: list[Json]) -> Iterator[Recorded]:
    """The requests behind a rollout: one before each run of items that the model said."""
    items: list[Json] = []
    model, session, instructions, at, answers = "", "", "", 0.0, False
    waiting: Recorded | None = None
    before: int | None = None
    for line in lines:
        payload = line.get("payload")
        if not isinstance(payload, dict):
            continue
        at, kind = second(line.get("timestamp")) or at, line.get("type")
        if kind == "session_meta":
            given = payload.get("base_instructions") or payload.get("instructions") or ""
            instructions = str(given.get("text", "")) if isinstance(given, dict) else str(given)
            session = str(payload.get("id", ""))
        elif kind == "turn_context":
            model = str(payload.get("model", model))
        elif kind == "compacted":
            kept = payload.get("replacement_history")
            summary = {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": str(payload.get("message", ""))}]}  # fmt: skip
            items, answers = list(kept) if isinstance(kept, list) else [summary], False
        elif kind == "event_msg" and payload.get("type") == "token_count" and waiting is not None:
            used = (payload.get("info") or {}).get("last_token_usage") or {}
            if before is None and isinstance(used.get("input_tokens"), int):
                before = max(0, used["input_tokens"] - round(len(waiting.body) / CHARACTERS))
            output = used.get("output_tokens")
            yield Recorded(waiting.at, waiting.path, waiting.body, waiting.headers,
                           output if isinstance(output, int) else 0, before or 0)  # fmt: skip
            waiting = None
        elif kind == "response_item":
            said = payload.get("type") in _SAID or payload.get("role") == "assistant"
            if said and not answers:
                if waiting is not None:
                    yield Recorded(waiting.at, waiting.path, waiting.body, waiting.headers, 0, before or 0)
                body = {"model": model, "instructions": instructions, "input": items, "prompt_cache_key": session}
                waiting = Recorded(at, b"/v1/responses", as_bytes(body))
            answers = said
            items.append(payload)
    if waiting is not None:
        yield Recorded(waiting.at, waiting.path, waiting.body, waiting.headers, 0, before or 0)


# --- Gemini CLI ---


def gemini_session(lines: list[Json]) -> Json:
    """A session of Gemini CLI out of the lines of a newer one's file: its head, and each message as it was last."""
    messages = {str(line.get("id", number)): line for number, line in enumerate(lines) if "content" in line}
    head = next((line for line in lines if "sessionId" in line), {})
    return {**head, "messages": list(messages.values())}


def of_gemini_cli(line: Json) -> Iterator[Recorded]:
    """The requests behind a session of Gemini CLI (~/.gemini/tmp/*/chats/*.json): one before each answer."""
    contents: list[Json] = []
    before: int | None = None
    headers = {"x-session-id": str(line.get("sessionId", ""))}
    for number, message in enumerate(dicts(line.get("messages"))):
        said = message.get("content")
        parts = [{"text": said}] if isinstance(said, str) and said else dicts(said)
        if message.get("type") == "user":
            contents.append({"role": "user", "parts": parts})
        elif message.get("type") == "gemini" and contents:
            path = f"/v1beta/models/{message.get('model') or 'gemini'}:generateContent".encode()
            body, used = as_bytes({"contents": contents}), message.get("tokens")
            used = used if isinstance(used, dict) else {}
            if before is None and isinstance(used.get("input"), int):
                before = max(0, used["input"] - round(len(body) / CHARACTERS))
            at = second(message.get("timestamp"))
            output = whole(used.get("output")) + whole(used.get("thoughts"))
            yield Recorded(GAP * number if at is None else at, path, body, headers, output, before or 0)
            calls = [call for call in dicts(message.get("toolCalls")) if call.get("result")]
            called = [{"functionCall": {key: call[key] for key in ("id", "name", "args") if key in call}}
                      for call in calls]  # fmt: skip
            contents.append({"role": "model", "parts": [*parts, *called]})
            if calls:
                results = [part for call in calls for part in dicts(call["result"])]
                contents.append({"role": "user", "parts": results})


def dicts(value: object) -> list[Json]:
    """The objects of an array; none of what is no array."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def whole(value: object) -> int:
    """A number of tokens; 0 where it is none."""
    return value if isinstance(value, int) else 0
