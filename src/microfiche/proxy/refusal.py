"""Whether an answer with status 200 refuses what it was asked, as told by its beginning, before any of it is passed on.

Vendors refuse in several ways without an error's status: a reason to stop (Anthropic), a refusal in the place of text
or a content filter (OpenAI), a block of the prompt (Gemini), an error as the first event of a stream. Sources: the API
references of the three vendors, November 2026. This module knows nothing of HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from microfiche.proxy.unpack import unpacking

HELD = 256 << 10  #: bytes of an answer, unpacked, in which a refusal is looked for
#: how an answer ends that is none: Anthropic's stop_reason, OpenAI's finish_reason, Gemini's finishReason
ENDS = ("refusal", "content_filter", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY")
#: events at the beginning of a stream that say nothing yet
_EMPTY = (
    "message_start", "ping", "content_block_start", "content_block_stop", "keepalive", "response.created",
    "response.queued", "response.in_progress", "response.output_item.added", "response.content_part.added",
)  # fmt: skip
_GAP = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Beginning:
    """The beginning of an answer with these headers, whose names are in small letters. Where `streams` is asked for, an
    answer that is no stream of events is looked at no further."""

    def __init__(self, headers: Mapping[str, str], streams: bool) -> None:
        kind = headers.get("content-type", "").lower()
        self._events = kind.startswith("text/event-stream")
        self._known = self._events or ("json" in kind and not streams)
        self._unpack = unpacking(headers.get("content-encoding", ""))
        self._plain = b""

    def refuses(self, piece: bytes) -> bool | None:
        """Whether the answer refuses, by all of it up to the end of this piece; None where that cannot be told yet."""
        if self._unpack is None or not self._known:
            return False
        try:
            self._plain += self._unpack(piece)
        except Exception:  # each way of packing has its own errors
            return False
        if len(self._plain) > HELD:
            return False
        if self._events:
            *events, self._plain = _GAP.split(self._plain)
            return next((told for event in events if (told := _told(_data(event))) is not None), None)
        return None

    def refused(self) -> bool:
        """The same once the answer has come to its end."""
        return bool(self._plain and _told(_data(self._plain) if self._events else self._plain))


def _data(event: bytes) -> bytes:
    return b"\n".join(line[5:] for line in re.split(rb"[\r\n]+", event) if line.startswith(b"data:"))


def _told(data: bytes) -> bool | None:
    """Whether a whole answer, or an event of one, refuses; None where it says nothing yet."""
    if not data.strip():
        return None
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(answer, dict):
        return False
    for tell in (_failed, _of_anthropic, _of_responses, _of_chat, _of_gemini):
        if (told := tell(answer)) is not _UNKNOWN:
            return told
    return False


_UNKNOWN: Any = object()


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of an array; none of what is no array."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _failed(answer: dict[str, Any]) -> bool | None:
    """An error: of the request, or of its pictures, but not one of the vendor's own."""
    inner = answer.get("response")
    error = answer.get("error") or (inner.get("error") if isinstance(inner, dict) else None)
    if not isinstance(error, dict):
        return _UNKNOWN
    return error.get("type") == "invalid_request_error" or "image" in str(error.get("code"))


def _of_anthropic(answer: dict[str, Any]) -> bool | None:
    kind, delta = answer.get("type"), answer.get("delta")
    if kind in _EMPTY:
        return None
    if kind == "message_delta":
        return isinstance(delta, dict) and delta.get("stop_reason") in ENDS
    return answer.get("stop_reason") in ENDS if kind == "message" else _UNKNOWN


def _of_responses(answer: dict[str, Any]) -> bool | None:
    kind = str(answer.get("type"))
    if kind.startswith("response.refusal."):
        return True
    whole = answer.get("response") if kind.startswith("response.") else answer
    if not isinstance(whole, dict) or whole.get("object") != "response":
        return False if kind.startswith("response.") else _UNKNOWN
    why = whole.get("incomplete_details")
    parts = (part for item in _objects(whole.get("output")) for part in _objects(item.get("content")))
    return any(part.get("type") == "refusal" for part in parts) or (isinstance(why, dict) and why.get("reason") in ENDS)


def _of_chat(answer: dict[str, Any]) -> bool | None:
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return _UNKNOWN
    first = next(iter(_objects(choices)), {})
    said = first.get("message") or first.get("delta")
    said = said if isinstance(said, dict) else {}
    if said.get("refusal") or first.get("finish_reason") in ENDS:
        return True
    return None if not first.get("finish_reason") and not any(said[key] for key in said if key != "role") else False


def _of_gemini(answer: dict[str, Any]) -> bool | None:
    feedback, candidates = answer.get("promptFeedback"), answer.get("candidates")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return True
    first = next(iter(_objects(candidates)), None)
    if first is None:
        return None if "usageMetadata" in answer else _UNKNOWN
    content, end = first.get("content"), first.get("finishReason")
    if isinstance(content, dict) and content.get("parts"):
        return False
    return end in ENDS if end else None
