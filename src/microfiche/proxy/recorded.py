"""Requests as they were recorded: by the proxy, as bodies in a file, or told again by the transcript of an agent.

A file is JSON lines, or one value or list in JSON. Five kinds are known by what stands in them: lines of this proxy's
recorder (`body`, with `at` and `path`), bare bodies of requests, HTTP archives (HAR 1.2, as mitmproxy, browsers and
other tools that watch traffic save them), transcripts of Claude Code (~/.claude/projects/*/*.jsonl) and rollouts of
Codex (~/.codex/sessions/*/*/*/rollout-*.jsonl). The last two hold no system prompt or no documents of tools; what was
charged for these is taken from the usage that they note, and stands in front of every prompt as text.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from microfiche.errors import InputError
from microfiche.proxy.protocols import Asked, Dialect, Route, route
from microfiche.proxy.splice import Body
from microfiche.proxy.twin import CHARACTERS
from microfiche.proxy.usage import Listener

LINE = 256 << 20  #: bytes of a line, and of a value in several lines
_PATHS: dict[Dialect, str] = {
    "messages": "/v1/messages", "responses": "/v1/responses", "chat": "/v1/chat/completions",
}  # fmt: skip
_WANTED = (
    "give request bodies as JSON lines, an HTTP archive (HAR), a transcript of Claude Code, a rollout of Codex, or what"
    " `microfiche proxy --record FILE` wrote of any other client"
)
_SAID = ("reasoning", "function_call", "custom_tool_call", "local_shell_call", "web_search_call")  # by the model
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


class Recorder:
    """Writes each request that asks a model for an answer to a file, as it came and whatever is drawn of it. The file
    then holds all that was said.

    It is readable by its owner alone. What cannot be written is left out; `trouble` says why.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.trouble = path, ""

    def record(self, route: Route, body: Body, asked: Asked) -> None:
        """Records a request."""
        if route.purpose != "answer":
            return
        path = _PATHS.get(route.dialect, f"/v1beta/models/{asked.model}:generateContent")
        head = json.dumps({"at": time.time(), "path": path, "session": asked.session})
        text = body.text.replace("\n", " ").replace("\r", " ")  # which stand between values only
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(file, "ab") as opened:
                opened.write(f'{head[:-1]},"body":{text}}}\n'.encode())
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"


def recorded_in(path: Path) -> list[Recorded]:
    """The requests that a file holds, in their order. InputError, in one line, where it holds none."""
    try:
        with path.open("rb") as file:
            lines = list(_objects(file, path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if any("payload" in line and "type" in line for line in lines):
        found = list(_of_codex(lines))
    elif any(isinstance(line.get("message"), dict) and "uuid" in line for line in lines):
        found = _of_claude_code(lines)
    elif any(isinstance(line.get("log"), dict) for line in lines):
        found = _of_archive(lines)
    else:
        found = [made for number, line in enumerate(lines) if (made := _of_body(line, number)) is not None]
    if not found:
        raise InputError(f"{path}: holds no request; {_WANTED}")
    return found


def _objects(file: BinaryIO, path: Path) -> Iterator[Json]:
    """The objects of JSON lines, or of one value in several lines; those in a list are one after another."""
    number = 0
    while line := file.readline(LINE + 1):
        number += 1
        if not line.strip():
            continue
        try:
            found = _json(line) if number > 1 else _json(line, file)
        except _TooLong as error:
            raise InputError(f"{path}: line {number} and what belongs to it have more than {LINE:,} bytes") from error
        except (ValueError, RecursionError) as error:
            unended = number > 1 and not line.endswith(b"\n")  # the last line of a session that still runs
            if unended and isinstance(error, json.JSONDecodeError):
                return
            raise InputError(f"{path}: line {number} is no JSON; {_WANTED}") from error
        yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict))


class _TooLong(Exception):
    """A value is longer than is read."""


def _json(line: bytes, rest: BinaryIO | None = None) -> object:
    """The value of a line, or of a line and the `rest` of its file."""
    if len(line) > LINE:
        raise _TooLong
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        if rest is None:
            raise
        line += rest.read(LINE + 1 - len(line))
        if len(line) > LINE:
            raise _TooLong from None
        return json.loads(line)


def _of_body(line: Json, number: int) -> Recorded | None:
    body = line.get("body", line)
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return None
    if not isinstance(body, dict):
        return None
    path = line.get("path") if body is not line else None
    if not isinstance(path, str):
        model = str(body.get("model", ""))
        if "contents" in body:
            path = f"/v1beta/models/{model.removeprefix('models/') or 'gemini'}:generateContent"
        elif "input" in body and model:
            path = "/v1/responses"
        elif "messages" in body and model:
            path = "/v1/chat/completions" if _is_chat(body, model) else "/v1/messages"
        else:
            return None
    session = line.get("session") if body is not line else None
    headers = {"x-session-id": session} if isinstance(session, str) else {}
    at = _second(line.get("at", line.get("timestamp"))) if body is not line else None
    return Recorded(20.0 * number if at is None else at, path.partition("?")[0].encode(), _bytes(body), headers)


def _is_chat(body: Json, model: str) -> bool:
    """Whether a body with messages has the shape of Chat Completions rather than that of Anthropic's Messages; where
    both could have written it, by its model."""
    messages = [one for one in body["messages"] if isinstance(one, dict)] if isinstance(body["messages"], list) else []
    tools = [one for one in body.get("tools") or () if isinstance(one, dict)]
    if any(one.get("role") not in ("user", "assistant") or "tool_calls" in one for one in messages):
        return True
    if any("function" in one for one in tools):
        return True
    parts = [part for one in messages if isinstance(one.get("content"), list) for part in one["content"]]
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    if "system" in body or any("input_schema" in one for one in tools) or kinds & {"tool_use", "tool_result", "image"}:
        return False
    return not model.startswith("claude")


def _second(when: object) -> float | None:
    if isinstance(when, int | float):
        return float(when) if math.isfinite(when) else None
    try:
        return datetime.fromisoformat(when).timestamp() if isinstance(when, str) else None
    except ValueError:
        return None


def _bytes(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


# --- HTTP archives ---


def _of_archive(lines: list[Json]) -> list[Recorded]:
    """The requests of HTTP archives that were answered, by their time."""
    logs = (line["log"] for line in lines if isinstance(line.get("log"), dict))
    entries = (one for log in logs if isinstance(log.get("entries"), list) for one in log["entries"])
    found = [made for one in entries if isinstance(one, dict) and (made := _of_entry(one)) is not None]
    return sorted(found, key=lambda one: one.at)


def _of_entry(entry: Json) -> Recorded | None:
    """The request of an entry; None where it asks no model, or was refused, which costs nothing."""
    request, response = entry.get("request"), entry.get("response")
    if not isinstance(request, dict) or not isinstance(request.get("postData"), dict):
        return None
    path, body = _path_in(str(request.get("url", ""))), request["postData"].get("text")
    status = response.get("status") if isinstance(response, dict) else None
    if path is None or request.get("method") != "POST" or not isinstance(body, str):
        return None
    if isinstance(status, int) and status >= 400:
        return None
    headers = {str(one.get("name")).lower(): str(one.get("value"))
               for one in request.get("headers") or () if isinstance(one, dict)}  # fmt: skip
    said = body.encode("utf-8", "surrogatepass")
    return Recorded(_second(entry.get("startedDateTime")) or 0.0, path, said, headers, _answered(response))


def _path_in(url: str) -> bytes | None:
    """The path at a provider that an address ends with, behind whatever a gateway put in front of it."""
    try:
        parts = urlsplit(url).path.encode("utf-8", "surrogatepass").split(b"/")
    except ValueError:
        return None
    for first in range(1, len(parts)):
        rest = b"/" + b"/".join(parts[first:])
        for path in (rest, b"/v1beta" + rest):
            if route("POST", path) is not None:
                return path
    return None


def _answered(response: object) -> int:
    """The tokens of an answer in an archive; 0 where it does not say."""
    content = response.get("content") if isinstance(response, dict) else None
    if not isinstance(content, dict) or not isinstance(content.get("text"), str):
        return 0
    data = content["text"].encode("utf-8", "surrogatepass")
    if content.get("encoding") == "base64":
        try:
            data = base64.b64decode(data)
        except binascii.Error:
            return 0
    listener = Listener({"content-type": str(content.get("mimeType", ""))})
    listener.hear(data)
    usage = listener.close().usage
    return usage.output if usage else 0


# --- Claude Code ---


def _of_claude_code(lines: list[Json]) -> list[Recorded]:
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
            at = _second(line.get("timestamp")) or at
            if message["role"] == "user":
                latest = ""
                parent = until.get(str(line.get("parentUuid")), len(messages))
                if not _is_result(message):  # where the user went back, what came after is no longer there
                    del messages[parent:]
                _append(messages, "user", message.get("content"))
            elif message.get("model") != "<synthetic>":
                if message.get("id") != latest or not messages or messages[-1]["role"] != "assistant":
                    latest = str(message.get("id"))
                    headers = {"x-claude-code-session-id": str(line.get("sessionId", ""))}
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
    sent = [*messages[:-2], *(_marked(message, mark) for message in messages[-2:])]
    body = _bytes({"model": answer.get("model", ""), "messages": sent, "stream": True})
    if before is None:
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        charged = sum(value for name in names if isinstance(value := usage.get(name), int))
        before = max(0, charged - round(len(body) / CHARACTERS))
    output = usage.get("output_tokens")
    return Recorded(at, b"/v1/messages", body, headers, output if isinstance(output, int) else 0, before)


def _marked(message: Json, mark: Json) -> Json:
    blocks = list(message["content"])
    if blocks:
        blocks[-1] = {**blocks[-1], "cache_control": mark}
    return {**message, "content": blocks}


# --- Codex ---


def _of_codex(lines: list[Json]) -> Iterator[Recorded]:
    """The requests behind a rollout: one before each run of items that the model said."""
    items: list[Json] = []
    model, session, instructions, at, answers = "", "", "", 0.0, False
    waiting: Recorded | None = None
    before: int | None = None
    for line in lines:
        payload = line.get("payload")
        if not isinstance(payload, dict):
            continue
        at, kind = _second(line.get("timestamp")) or at, line.get("type")
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
                waiting = Recorded(at, b"/v1/responses", _bytes(body))
            answers = said
            items.append(payload)
    if waiting is not None:
        yield Recorded(waiting.at, waiting.path, waiting.body, waiting.headers, 0, before or 0)
