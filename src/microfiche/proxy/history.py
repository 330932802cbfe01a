"""Old turns of a conversation as pages: at a jump, a stretch of messages between the first one and the last few becomes
one message of the user that holds its pages.

Such a stretch begins where the last one ended, never parts a call from its result, and holds no picture of the
client's. Where thoughts follow it, which may be bound to what stands before them, it is only taken if the vendor can be
asked to drop such thoughts (`loosened`). This module knows nothing of ledgers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from microfiche.memory.billing import Prices
from microfiche.memory.messages import legible, mark_of, message_of, written
from microfiche.proxy.places import is_failure, tells_of_failure
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.secret import asks
from microfiche.proxy.splice import Body, Replacement, Value
from microfiche.proxy.surroundings import Surroundings, words_of
from microfiche.typesetting.repertoire import LABEL

KEPT, LEAST = 6, 10  #: messages at the end that stay, and that a stretch has at least
LONGEST = 150_000  #: characters of a stretch
WORDS = 2000  #: characters up to which what a user said in a stretch, and a result that failed, stays text
DIALECTS: tuple[Dialect, ...] = ("messages", "chat")
NEARLY = 0.9  #: the share of a window, or of a price step, from which on it is nearly reached
BINDING = "thinking-binding-controls-2026-08-01"  #: the beta by which Anthropic drops bound thoughts when asked to
USER = "The user said"
NOTE = "[Earlier turns of this conversation are on the pages that follow, in their order.]"
_BOUND = {"thinking", "redacted_thinking"}
_OF_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "reasoning_signature")


@dataclass(frozen=True)
class Stretch:
    """Messages `first` to `stop`, from character `start` to `end` of the body: what they say as text, the `mark` with
    which each label in it begins, what of them stays text besides, and the `digest` of it all without marks of the
    cache; what is said `around` it, and where in the text answers stand to calls that ask for something `secret`."""

    first: int
    stop: int
    start: int
    end: int
    text: str
    mark: str
    words: tuple[str, ...]
    digest: bytes
    around: tuple[str, str] = ("", "")
    secret: tuple[tuple[int, int], ...] = ()


def opening_of(messages: Sequence[Value]) -> int | None:
    """The number of the message that follows the first one of the user."""
    return next((n + 1 for n, m in enumerate(messages) if m.words("role") == "user"), None)


def stretch(body: Body, messages: Sequence[Value], first: int, stop: int) -> Stretch | None:
    """The messages `first` to `stop` of a body, if there are so many."""
    if not 0 <= first < stop <= len(messages):
        return None
    given = [_normal(json.loads(body.raw(message))) for message in messages[first:stop]]
    digest = hashlib.sha256(b"history\0" + json.dumps(given).encode()).digest()
    every = [written(message_of(one)) for one in given]
    mark = mark_of("".join(every))
    texts = [legible(one.replace(LABEL, f"{LABEL}{mark}")) for one in every]
    ends = list(accumulate(map(len, texts)))
    calls = {call.words("id"): words_of(call) for message in messages[first:stop] for call in _calls(message)}
    secret = tuple((end - len(text), end) for message, text, end in zip(messages[first:stop], texts, ends, strict=True)
                   if any(asks(calls.get(call, "")) for call in _answered(message)))  # fmt: skip
    words = tuple(said for one in given for said in _words(one))
    around = Surroundings(messages).around(messages[first])[0], ""
    start, end = messages[first].start, messages[stop - 1].end
    return Stretch(first, stop, start, end, "".join(texts), mark, words, digest, around, secret)


def _calls(message: Value) -> list[Value]:
    """The calls in a message."""
    content = message.at("content")
    parts = (content.items or []) if content is not None else []
    return [*message.each("tool_calls"), *(part for part in parts if part.words("type") == "tool_use")]


def _answered(message: Value) -> list[str | None]:
    """The names of the calls that a message answers."""
    content = message.at("content")
    parts = (content.items or []) if content is not None else []
    return [one for one in (message.words("tool_call_id"), *(part.words("tool_use_id") for part in parts)) if one]


def next_stop(messages: Sequence[Value], first: int, loose: bool = False) -> int | None:
    """Where a stretch that begins with a message may end: before an answer of the model with nothing open, as late as
    its length and the messages that stay allow; None where there is no such place. Thoughts follow it only where these
    are `loose`."""
    last = len(messages) - KEPT
    thought = [] if loose else [n for n, m in enumerate(messages) if _thinks(m)]
    found, length = None, 0
    for number in range(first, last + 1):
        if number - first >= LEAST and messages[number].words("role") == "assistant" and (
            not thought or thought[-1] < number
        ):  # fmt: skip
            found = number
        length += messages[number].end - messages[number].start
        if length > LONGEST or _has_picture(messages[number]):
            break
    return found


def turns_to_pay(
    prices: Prices | None, pages: float, text: float, behind: float, whole: float, cold: bool
) -> float | None:
    """After how many further turns a stretch pays that has so many tokens as `pages` and as `text`, with `behind`
    tokens after it and `whole` in all; 0 where the cache is dead, None where it never pays or no price is known."""
    if pages >= text or prices is None or prices.read is None:
        return None
    if cold:
        return 0.0
    rates = prices.at(round(whole))
    write = rates.input if rates.write_5m is None else rates.write_5m
    read = rates.input if rates.read is None else rates.read
    gain = (text - pages) * read
    if rates is not prices and whole - (text - pages) <= (prices.above.tokens if prices.above else 0):
        gain += (whole - text + pages) * (read - (prices.read or 0.0))
    return (pages + behind) * (write - read) / gain if gain > 0 else None


def is_near(prices: Prices | None, window: int | None, tokens: float) -> bool:
    """Whether a prompt of so many tokens nearly fills the window, or reaches a price step."""
    steps = [window, prices.above.tokens if prices is not None and prices.above else None]
    return any(step is not None and tokens > NEARLY * step for step in steps)


def has_thoughts(root: Value) -> bool:
    """Whether thoughts of the model stand in a request, which may be bound to what stands before them."""
    return any(map(_thinks, root.each("messages")))


def loosened(root: Value) -> Replacement | None:
    """What has Anthropic drop the thoughts that are bound to what no longer stands before them, instead of refusing the
    request, by the beta BINDING; None where a request has no place for it, or a word of its own on that."""
    thinking = root.at("thinking")
    if thinking is None or not thinking.members or "block_binding" in thinking.members:
        return None
    if thinking.words("type") not in ("enabled", "adaptive"):
        return None
    end = thinking.end - 1
    return Replacement(end, end, ',"block_binding":{"prefix_mismatch_behavior":"drop_block"}')


def _normal(message: Any) -> Any:
    """A message without marks, a content of one text alone as that text."""
    if isinstance(message, dict):
        kept = {key: _normal(value) for key, value in message.items() if key != "cache_control"}
        content = kept.get("content")
        if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
            kept["content"] = content[0]["text"]
        return kept
    return [_normal(one) for one in message] if isinstance(message, list) else message


def _words(message: Any) -> Iterator[str]:
    """What of a message stays text, with who said it: the words of the user, and results that failed."""
    role, content = message.get("role"), message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    if role == "tool" and _has_failed(message):
        yield from _short("A result that failed", parts)
    for part in parts if role == "user" else ():
        if part.get("type") == "text":
            yield from _short(USER, [part])
        elif part.get("type") == "tool_result" and _has_failed(part):
            said = part.get("content")
            yield from _short("A result that failed", [{"text": said}] if isinstance(said, str) else said or ())


def _short(who: str, parts: Iterable[Any]) -> Iterator[str]:
    """The texts of parts that are not long, each after who said it; what is not the user's own, in quotes and on one
    line, so that nothing in it can pass for that."""
    for said in (part.get("text") for part in parts):
        if isinstance(said, str) and said.strip() and len(said) <= WORDS:
            yield f"{who}: {said if who == USER else json.dumps(said, ensure_ascii=False)}"


def _has_failed(result: dict[str, Any]) -> bool:
    """Whether a result says that it failed."""
    own = any(is_failure(name, one if isinstance(one, str) else json.dumps(one)) for name, one in result.items())
    return own or (isinstance(result.get("content"), str) and tells_of_failure(result["content"]))


def _thinks(message: Value) -> bool:
    content = message.at("content")
    parts = [] if content is None else content.items or []
    return any(part.words("type") in _BOUND for part in parts) or any(message.at(key) for key in _OF_THOUGHTS)


def _has_picture(value: Value) -> bool:
    if value.text is not None:
        return value.text.startswith("data:image/")
    if value.members is not None:
        pictured = value.words("type") in ("image", "image_url", "document", "file", "input_audio")
        return pictured or any(map(_has_picture, value.members.values()))
    return any(map(_has_picture, value.items or ()))
