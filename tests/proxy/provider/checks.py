"""What Anthropic refuses: marks, pairs of tools, pictures, and thoughts whose signature fits no longer."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from microfiche.memory.models import hosted
from provider.cache import Json, digest, pictures_in, size_of

SECRET = b"only the provider knows"
THOUGHTS = ("thinking", "redacted_thinking")
CONTROLS = "thinking-binding-controls-2026-08-01"
IDENTITY = "You are Claude Code, Anthropic's official CLI for Claude."


class Refused(Exception):
    """A request that is answered with a status and a message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def bad(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


def blocks_of(content: Any) -> list[Json]:
    """A message's content as blocks."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])


def signature(body: Json, messages: list[Json], thought: str) -> str:
    """Binds a thought to the system prompt, the tools and the messages before it, thoughts left out."""
    said = [{**m, "content": [b for b in blocks_of(m["content"]) if b.get("type") not in THOUGHTS]} for m in messages]
    name = digest([body.get("system"), body.get("tools"), said])
    return base64.b64encode(hmac.digest(SECRET, name + thought.encode(), hashlib.sha256)).decode()


def check_messages(body: Json, headers: dict[str, str]) -> list[Json]:
    """Refused where Anthropic would refuse; else the thoughts that were dropped as the request allowed."""
    _check_marks(body)
    _check_pairs(body["messages"])
    _check_pictures(body)
    if "authorization" in headers and "oat" in headers["authorization"]:
        first = [b.get("text", "") for b in blocks_of(body.get("system"))[:2]]
        if not any(text.startswith("You are Claude Code") for text in first):
            raise Refused(429, "rate_limit_error", "This credential is only authorized for use with Claude Code.")
    return _check_thoughts(body, headers)


def _check_marks(body: Json) -> None:
    marks = [b["cache_control"] for b in in_order(body) if b.get("cache_control")]
    marks += [body["cache_control"]] if body.get("cache_control") else []
    if len(marks) > 4:
        raise bad(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.")
    hours = [mark.get("ttl") == "1h" for mark in marks]
    if hours != sorted(hours, reverse=True):
        raise bad("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")


def in_order(body: Json) -> list[Json]:
    """The blocks of a request, as the cache sees them."""
    said = [block for message in body["messages"] for block in blocks_of(message["content"])]
    return [*body.get("tools", []), *blocks_of(body.get("system")), *said]


def _check_pairs(messages: list[Json]) -> None:
    for at, message in enumerate(messages):
        if message["role"] not in ("user", "assistant", "system"):
            raise bad(f"messages.{at}.role: unknown")
        blocks = blocks_of(message["content"])
        calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
        if calls:
            after = blocks_of(messages[at + 1]["content"]) if at + 1 < len(messages) else []
            results = [b.get("tool_use_id") for b in after[: len(calls)]]
            if sorted(calls) != sorted(r for r in results if r):
                raise bad("`tool_use` ids were found without `tool_result` blocks immediately after")


def _check_pictures(body: Json) -> None:
    for message in body["messages"]:
        for block in blocks_of(message["content"]):
            wrong = message["role"] != "user" or bool(block.get("is_error"))
            if wrong and pictures_in(block):
                raise bad("images are not allowed here")
    if pictures_in(body.get("system")):
        raise bad("system: images are not allowed")
    pictures = [(*size_of(png), len(png)) for png in pictures_in(body["messages"])]
    if why := hosted(body["model"]).limits.refusal(pictures):
        raise bad(why)


def _check_thoughts(body: Json, headers: dict[str, str]) -> list[Json]:
    binding = (body.get("thinking") or {}).get("block_binding") or {}
    if binding and CONTROLS not in headers.get("anthropic-beta", ""):
        raise bad("thinking.block_binding: Extra inputs are not permitted")
    drops = binding.get("prefix_mismatch_behavior") == "drop_block"
    dropped = []
    for at, message in enumerate(body["messages"]):
        for n, block in enumerate(blocks_of(message["content"])):
            if block["type"] not in THOUGHTS:
                continue
            thought = block.get("thinking") or block.get("data") or ""
            if block["type"] == "redacted_thinking":
                thought, _, given = thought.partition(":")
            else:
                given = block.get("signature", "")
            if given != signature(body, body["messages"][:at], thought):
                path = f"messages.{at}.content.{n}"
                if not drops:
                    raise bad(f"{path}: Invalid `signature` in `thinking` block: bound to a different conversation")
                dropped.append({"type": "thinking_dropped", "path": path, "reason": "prefix_binding_mismatch"})
    return dropped
