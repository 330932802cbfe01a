"""What a provider says that an answer cost in tokens, read beside the relay from the bytes that pass.

The bytes go to the client first and unchanged. A copy is unpacked here, and of a stream only the events that speak of
usage are read as JSON. An answer that cannot be read has no usage, which is not the same as none used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from microfiche.memory.billing import Usage, usage_in
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.unpack import unpacking

LARGEST = 32 << 20  #: bytes of an answer, unpacked, that are looked at
EVENT = 8 << 20  #: bytes of an event of a stream that are looked at
WORD = 400  #: characters of a name or a word that an answer says of itself
_SIGNS = re.compile(rb'"usage"|"usageMetadata"|"finish_?[rR]eason"\s*:\s*"|"blockReason"|"error"|'
                    rb'"type"\s*:\s*"(?:message_stop|response\.(?:completed|failed|incomplete))"')  # fmt: skip
_LAST = frozenset(("message_stop", "error", "response.completed", "response.failed", "response.incomplete"))
_NUMBERS = (
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "prompt_tokens",
    "completion_tokens", "promptTokenCount", "candidatesTokenCount", "cachedContentTokenCount", "thoughtsTokenCount",
)  # fmt: skip
_STANDARD = frozenset(("standard", "default", "auto", "on_demand"))


@dataclass(frozen=True)
class Said:
    """What an answer says of itself: its usage, the model that gave it, its own name, how it ended; whether it came to
    its end, as far as that can be told; the service `tiers` it was given in, but for the standard one; and what it was
    charged for `besides` tokens."""

    usage: Usage | None = None
    model: str | None = None
    name: str | None = None
    ended: str | None = None
    whole: bool | None = None
    tiers: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()


class Listener:
    """Takes the bytes of an answer as they pass, and says at the end what it `said` of itself. What ends a stream is
    known where it is in one of the dialects."""

    def __init__(self, headers: Mapping[str, str], dialect: Dialect | None = None) -> None:
        kind = headers.get("content-type", "").lower()
        self.streams = kind.startswith("text/event-stream")
        self._json = "json" in kind and not self.streams
        self._dialect = dialect
        self._unpack = unpacking(headers.get("content-encoding", ""))
        self._parts: list[bytes] = []
        self._length = 0
        self._carriage = False
        self._raw: dict[str, Any] = {}
        self._besides: dict[str, None] = {}
        self._tier = headers.get("x-gemini-service-tier", "")
        self.said = Said()
        self.silent = None if self._unpack else "the answer is packed in a way that cannot be unpacked here"

    @property
    def long(self) -> bool:
        """Whether what is left to read takes a while."""
        return self._length > 1 << 20

    def hear(self, data: bytes) -> None:
        """Takes a piece of the answer as it came."""
        if self.silent or not (self.streams or self._json):
            return
        assert self._unpack is not None
        try:
            plain = self._unpack(data)
        except Exception:  # each way of packing has its own errors
            self._fall_silent("the answer cannot be unpacked, or is too long for it")
            return
        if self.streams:
            self._hear_events(self._lines(plain))
        else:
            self._keep(plain, LARGEST)

    def close(self) -> Said:
        """Reads what is left at the end of the answer."""
        if not self.silent:
            rest = b"".join(self._parts)
            if self._json:
                whole = self._take(rest)
                self.said = replace(self.said, whole=whole)
            elif self.streams and rest:
                self._event(rest)
            if self.streams and self._dialect is not None and self.said.whole is None:
                self.said = replace(self.said, whole=False)
        self._parts = []
        return self.said

    def _keep(self, data: bytes, most: int) -> None:
        self._length += len(data)
        if self._length > most:
            self._fall_silent("the answer is too long to be looked at")
        elif data:
            self._parts.append(data)

    def _fall_silent(self, why: str) -> None:
        self.silent, self._parts = why, []

    def _lines(self, data: bytes) -> bytes:
        """The same with every end of a line as a line feed; a carriage return may be the last byte of a piece."""
        if self._carriage:
            data = data.removeprefix(b"\n")
            self._carriage = not data
        if b"\r" in data:
            self._carriage = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _hear_events(self, data: bytes) -> None:
        if data.startswith(b"\n") and self._parts and self._parts[-1].endswith(b"\n"):
            self._event(b"".join(self._parts))
            self._parts, self._length, data = [], 0, data[1:]
        head, end, tail = data.rpartition(b"\n\n")
        if end:
            events = (b"".join(self._parts) + head).split(b"\n\n")
            self._parts, self._length = [], 0
            for event in events:
                self._event(event)
        self._keep(tail, EVENT)

    def _event(self, event: bytes) -> None:
        """Reads an event where it may speak of usage or of the end."""
        event = event.removeprefix(b"\xef\xbb\xbf")  # a stream may begin with a mark
        if _SIGNS.search(event):
            said = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
            if not self._take(b"\n".join(said)):
                for line in said:  # some write an object a line, and no empty line between them
                    self._take(line)
        elif b"[DONE]" in event and any(line[5:].strip() == b"[DONE]" for line in event.split(b"\n")):
            self.said = replace(self.said, whole=True)

    def _take(self, data: bytes) -> bool:
        """Reads JSON, and says whether it is any."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return False
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, dict):
                self._hear_answer(one)
        return True

    def _hear_answer(self, answer: dict[str, Any]) -> None:
        kind = answer.get("type")
        feedback = answer.get("promptFeedback")
        last = (isinstance(kind, str) and kind in _LAST) or bool(answer.get("error"))
        blocked = isinstance(feedback, dict) and "blockReason" in feedback
        last = last or blocked
        for key in ("message", "response"):  # the event that opens or closes a stream holds the answer
            if isinstance(answer.get(key), dict):
                answer = answer[key]
        said = answer.get("usage") or answer.get("usageMetadata") or _chosen(answer, "choices", "usage")
        if isinstance(said, dict):
            self._raw |= {key: value for key, value in said.items() if value is not None}
        delta = answer.get("delta")
        ended = delta.get("stop_reason") if isinstance(delta, dict) else None
        finished = _finished(answer)
        ended = ended or answer.get("stop_reason") or answer.get("status") or finished or ("blocked" if blocked else "")
        self._besides |= dict.fromkeys(_besides(answer, self._raw))
        named = (self._raw.get("service_tier"), answer.get("service_tier"), self._raw.get("trafficType"))
        self._tier = next(filter(None, map(_word, named)), self._tier)
        usage = usage_in({"usage": _usual(self._raw)}) if _counts(self._raw) else None
        self.said = replace(
            self.said,
            usage=usage,
            model=_word(answer.get("model")) or _word(answer.get("modelVersion")) or self.said.model,
            name=_word(answer.get("id")) or _word(answer.get("responseId")) or self.said.name,
            ended=_word(ended) or self.said.ended,
            whole=True if last or (self._dialect in ("chat", "gemini") and finished) else self.said.whole,
            tiers=tuple(_tiers(self._tier, self._raw)),
            besides=tuple(self._besides),
        )


def _usual(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A usage with the same in the usual places: Kimi and DeepSeek count what was cached in places of their own, and
    Gemini counts what its tools put into the prompt beside it."""
    cached = raw.get("prompt_cache_hit_tokens", raw.get("cached_tokens"))
    if cached is not None and not isinstance(raw.get("prompt_tokens_details"), dict):
        return {**raw, "prompt_tokens_details": {"cached_tokens": cached}}
    prompt, tools = raw.get("promptTokenCount"), raw.get("toolUsePromptTokenCount")
    if type(prompt) is int and type(tools) is int and tools > 0:
        return {**raw, "promptTokenCount": prompt + tools}
    return raw


def _tiers(named: str, raw: Mapping[str, Any]) -> Iterator[str]:
    """The tiers other than the standard one in which an answer was given; Anthropic names its fast mode as a speed."""
    for name in (named.lower(), (_word(raw.get("speed")) or "").lower()):
        if name and name not in _STANDARD:
            yield name.removeprefix("on_demand_")


def _besides(answer: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[str]:
    """What an answer was charged that its tokens do not say."""
    if _word(raw.get("inference_geo")) not in (None, "global", "not_available"):
        yield "the rates of a region"
    tools = raw.get("server_tool_use")
    used = [name for name, number in tools.items() if number] if isinstance(tools, dict) else []
    output = answer.get("output")
    kinds = [item.get("type") for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    used += [kind for kind in kinds if kind in ("web_search_call", "file_search_call", "code_interpreter_call")]
    candidates = answer.get("candidates")
    if isinstance(candidates, list) and any(isinstance(c, dict) and c.get("groundingMetadata") for c in candidates):
        used.append("grounding")
    for name in used:
        yield f"fees of {name}"


def _finished(answer: Mapping[str, Any]) -> object:
    return _chosen(answer, "choices", "finish_reason") or _chosen(answer, "candidates", "finishReason")


def _chosen(answer: Mapping[str, Any], several: str, key: str) -> Any:
    """What stands in the first of an answer's choices."""
    found = answer.get(several)
    return found[0].get(key) if isinstance(found, list) and found and isinstance(found[0], dict) else None


def _counts(raw: Mapping[str, Any]) -> bool:
    """Whether a usage is one: it has some of its usual numbers, and those that it has are numbers of tokens."""
    found = [raw[name] for name in _NUMBERS if name in raw]
    return bool(found) and all(type(number) is int and number >= 0 for number in found)


def _word(value: object) -> str | None:
    return value[:WORD] if isinstance(value, str) else None
