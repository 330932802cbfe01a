"""Where in a request texts stand that may become pages, in each dialect.

What is never drawn is no place: answers of the model, calls and their arguments, results that are errors, schemas,
typed server tools, what a user writes by hand, and reminders that a client puts among a user's words. A page stands
where its text stood, but for replies of tools in Chat Completions and Gemini, which take no pictures: there the reply
names the pages, which follow the last reply of that turn. This module knows nothing of how a text is drawn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from microfiche.proxy.numbered import heading, mark_for
from microfiche.proxy.pages import told_by
from microfiche.proxy.protocols import Dialect
from microfiche.proxy.secret import asks
from microfiche.proxy.splice import Body, Value
from microfiche.proxy.surroundings import Surroundings, words_of

Kind = Literal["result", "results", "paste", "system", "tools"]
LEAST = 1500  #: characters of a text that may be drawn
LONGEST = 1 << 20  #: characters of a result that is looked at as JSON; none that may be drawn is as long
PART = 300  #: characters of a result that may be drawn with others of its turn
PASTE, OWN = 8000, 1500  #: characters of a user's text that is taken for a paste, of which so many stay at either end
MESSAGES = {"messages": "messages", "chat": "messages", "responses": "input", "gemini": "contents"}
_REMINDER = re.compile(r"<(system-reminder|total_tokens|env|context)>[\s\S]*?(?:</\1>|\Z)\s*")
_ANSWERS = {"assistant", "model"}
_MADE = {"reasoning", "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call",
         "computer_call", "web_search_call", "file_search_call", "code_interpreter_call", "mcp_call",
         "item_reference"}  # fmt: skip


@dataclass(frozen=True)
class Stub:
    """A string that is shortened to its `head` and `tail`, with a note in between. A mark of the cache beside it, in
    the object `holder`, moves to the last page."""

    value: Value
    head: str
    tail: str = ""
    holder: Value | None = None


@dataclass(frozen=True)
class Place:
    """A text that may be drawn: its kind; the `head` and `tail` around it stay text. It is `new` where no answer of the
    model follows it. `value` is a string, or an object that is a part of a content; a reply's pages follow at `anchor`.
    Where there are `stubs`, the text stands in these, and its pages go to the head of the content `value`, or to the
    anchor: then they are several results of one turn, which may share pages, and each is a place of its own besides.
    A result answers the `call` of this name, where calls have names, which with what is
    short in the result says these words of what is `asked` for. What is said `before` and `after` it stays text. The
    `digest` tells the place from all others of its conversation, once it is given."""

    kind: Kind
    text: str
    value: Value
    new: bool
    head: str = ""
    tail: str = ""
    anchor: int | None = None
    stubs: tuple[Stub, ...] = ()
    call: str = ""
    asked: str = ""
    before: str = ""
    after: str = ""
    digest: bytes = b""

    @property
    def around(self) -> tuple[str, str]:
        """What stands before and after the text, as far as it is near."""
        return self.before + self.head, self.tail + self.after


def places_in(dialect: Dialect, body: Body) -> list[Place]:
    """The places of results and pastes in a request, in its order. Where pages follow the replies of a turn, all of its
    results together come before each of them."""
    found = list({"messages": _messages, "responses": _responses, "chat": _chat, "gemini": _gemini}[dialect](body))
    said = Surroundings(body.root.each(MESSAGES[dialect]))
    for number, place in enumerate(found):
        before, after = said.around(place.value)
        found[number] = replace(place, before=before, after=after)
    every = list[Place]()
    whole = (place for place in found if place.kind != "result" or not tells_of_failure(place.text))
    for anchor, places in groupby(whole, lambda place: place.anchor):
        own = list(places)
        parts = [place for place in own if len(place.text) >= PART and _may_share(place)] if anchor is not None else []
        together = _together(parts) if len(parts) > 1 else []
        every += [place for place in [*together, *own] if len(place.text) >= LEAST]
    return every


def _may_share(place: Place) -> bool:
    """Whether nothing around a result calls something in it secret, from which other results would part it."""
    return not asks(place.asked) and not told_by(place.text, place.around)


def _together(parts: Sequence[Place]) -> list[Place]:
    """The results of one turn as one place."""
    mark = mark_for([part.text for part in parts])
    texts = [f"{heading(number, len(parts), mark)}\n{part.text}" for number, part in enumerate(parts, 1)]
    stubs = tuple(Stub(part.value, part.head, part.tail) for part in parts)
    first = parts[0]
    calls = "\0".join(part.call for part in parts) if any(part.call for part in parts) else ""
    return [Place("results", "\n".join(texts), first.value, first.new, anchor=first.anchor, stubs=stubs, call=calls,
                  before=first.before, after=parts[-1].after)]  # fmt: skip


def opening(dialect: Dialect, body: Body) -> str:
    """The stable head of a conversation: all that the first message of the user says."""
    content = first_content(dialect, body.root)
    if content is None:
        return ""
    if content.text is not None:
        return content.text
    return "\0".join(part.text if part.text is not None else part.words("text") or "" for part in content.items or ())


def first_content(dialect: Dialect, root: Value) -> Value | None:
    """The content of the first message of the user: a string, or the array of its parts."""
    key = MESSAGES[dialect]
    given = root.at(key)
    if dialect == "responses" and given is not None and given.text is not None:
        return given
    for message in root.each(key):
        if message.words("role") == "user" or (dialect == "gemini" and message.at("role") is None):
            return message.at("parts" if dialect == "gemini" else "content")
    return None


def is_begun(dialect: Dialect, root: Value) -> bool:
    """Whether the model has answered already in a conversation."""
    key = MESSAGES[dialect]
    return _last_answer(root.each(key)) >= 0 or root.at("previous_response_id") is not None


def first_answer(dialect: Dialect, root: Value) -> str | None:
    """What the model answered first in a conversation, by its words and the names of its calls, without thoughts, which
    clients may leave out later; None where it has not answered."""
    key = MESSAGES[dialect]
    made = [message for message in root.each(key) if _is_made(message)]
    first = next((message for message in made if message.words("type") != "reasoning"), None)
    if first is None:
        return "" if made else None
    content = first.at("parts" if dialect == "gemini" else "content")
    said = [] if content is None else [content] if content.text is not None else content.items or []
    told = [first.words("call_id"), first.words("id") if first.words("type") == "item_reference" else None]
    for part in [*said, *first.each("tool_calls")]:
        if part.at("thought") is None:
            told += [part.text, *(part.words(*way) for way in _TOLD)]
    return "\0".join(one.strip() for one in told if one)


_TOLD = (("text",), ("id",), ("functionCall", "id"), ("functionCall", "name"))


def _is_made(message: Value) -> bool:
    """Whether the model has made a message or an item; what stands there by reference is taken for made by it."""
    return message.words("role") in _ANSWERS or message.words("type") in _MADE


def _last_answer(messages: Sequence[Value]) -> int:
    """The number of the last message that the model has made, or -1."""
    made = [n for n, message in enumerate(messages) if _is_made(message)]
    return made[-1] if made else -1


def _result(value: Value, text: str, new: bool, call: str | None, asked: str, anchor: int | None = None) -> Place:
    head, rest = _without_reminders(text)
    found = _REMINDER.search(rest)
    cut = found.start() if found else len(rest)
    return Place("result", rest[:cut], value, new, head, rest[cut:], anchor, call=call or "", asked=asked)


def _paste(value: Value, text: str, new: bool) -> Iterator[Place]:
    begins, ends = len(text) - len(text.lstrip()), len(text.rstrip())  # a part that is all blank is sent by no client
    if ends - begins < PASTE or _REMINDER.search(text):
        return
    start = text.rfind("\n", begins, begins + OWN) + 1 or begins + OWN
    stop = text.find("\n", ends - OWN, ends)
    stop = stop + 1 if stop >= 0 else ends - OWN
    yield Place("paste", text[start:stop], value, new, text[:start], text[stop:])


def _without_reminders(text: str) -> tuple[str, str]:
    at = 0
    while found := _REMINDER.match(text, at):
        at = found.end()
    return text[:at], text[at:]


_KNOWN = {"type", "text", "cache_control"}  #: members of a part that pages can take the place of


def _texts(content: Value | None, kind: str) -> Iterator[Value]:
    """The texts of a content, which is one string or has parts of which those of this kind hold a text and nothing that
    is not known."""
    if content is not None and content.text is not None:
        yield content
    for part in (content.items or ()) if content is not None else ():
        if part.words("type") == kind and part.words("text") is not None and _KNOWN.issuperset(part.members or ()):
            yield part


def _said(value: Value) -> str:
    """The text of a string, or of a part of a content."""
    return value.text if value.text is not None else value.words("text") or ""


def _pastes(content: Value | None, kind: str, new: bool) -> Iterator[Place]:
    for value in _texts(content, kind):
        yield from _paste(value, _said(value), new)


def _results(content: Value | None, kind: str, new: bool, call: str | None, asked: str) -> Iterator[Place]:
    asked = f"{asked}\n{words_of(content)}"
    for value in _texts(content, kind):
        yield _result(value, _said(value), new, call, asked)


def _messages(body: Body) -> Iterator[Place]:
    root = body.root
    messages = root.each("messages")
    last = _last_answer(messages)
    by_code, asked = set[str | None](), dict[str | None, Value]()
    for number, message in enumerate(messages):
        content, new = message.at("content"), number > last
        if content is None:
            continue
        if message.words("role") != "user":
            by_code |= {part.words("id") for part in content.items or () if _is_by_code(part)}
            asked |= {part.words("id"): part for part in content.items or () if part.words("type") == "tool_use"}
            continue
        if content.text is not None:
            yield from _paste(content, content.text, new)
        for part in content.items or ():
            if part.words("type") == "text" and _KNOWN.issuperset(part.members or ()):
                yield from _paste(part, _said(part), new)
            elif (
                part.words("type") == "tool_result" and not _has_failed(body, part)
                and part.words("tool_use_id") not in by_code
            ):
                call = part.words("tool_use_id")
                yield from _results(part.at("content"), "text", new, call, words_of(asked.get(call)))


def _is_by_code(part: Value) -> bool:
    """Whether a call was made by code that the vendor runs, which is given the result and needs its text."""
    caller = part.at("caller")
    return part.words("type") == "tool_use" and caller is not None and caller.words("type") not in (None, "direct")


_WRONG = {"iserror", "error", "errors"}  #: members by which a result says that it failed, unless they say no
_NO = {"false", "no", "none", "null", "0", "", "[]", "{}"}
_RIGHT = {"success", "ok"}  #: members by which it says so where they say no
_STATES = {"error", "errored", "failed", "failure", "incomplete", "cancelled", "canceled", "aborted", "denied",
           "rejected", "timeout", "timed_out"}  # fmt: skip
_MAY_TELL = re.compile(r'"(?:is_?errors?|errors?|success|ok|status)"', re.I)


def is_failure(member: str, said: str) -> bool:
    """Whether a member of a result says that it failed, whose value is `said`, as a string or as JSON."""
    name, word = member.lower().replace("_", ""), said.strip().lower()
    if name == "status":
        return word in _STATES
    return (name in _WRONG and word not in _NO) or (name in _RIGHT and word in ("false", "no", "0"))


def _has_failed(body: Body, value: Value | None) -> bool:
    """Whether the object in which a result comes says that it failed."""
    members = value.members or {} if value is not None else {}
    return any(is_failure(name, body.raw(one) if one.text is None else one.text) for name, one in members.items())


def tells_of_failure(text: str) -> bool:
    """Whether a text is an object in JSON that says of itself that it failed."""
    if text.lstrip()[:1] != "{" or len(text) > LONGEST or not _MAY_TELL.search(text):
        return False
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return any(is_failure(name, one if isinstance(one, str) else json.dumps(one)) for name, one in said.items())


def _responses(body: Body) -> Iterator[Place]:
    root = body.root
    items = root.each("input")
    last = _last_answer(items)
    if not items:
        yield from _pastes(root.at("input"), "input_text", True)
    asked = {item.words("call_id"): item for item in items if item.words("type") == "function_call"}
    for number, item in enumerate(items):
        if item.words("type") == "function_call_output" and not _has_failed(body, item):
            call = item.words("call_id")
            yield from _results(item.at("output"), "input_text", number > last, call, words_of(asked.get(call)))
        elif item.words("role") == "user":
            yield from _pastes(item.at("content"), "input_text", number > last)


def _chat(body: Body) -> Iterator[Place]:
    root = body.root
    messages = root.each("messages")
    last, asked = _last_answer(messages), dict[str | None, Value]()
    for number, message in enumerate(messages):
        content, new = message.at("content"), number > last
        asked |= {call.words("id"): call for call in message.each("tool_calls")}
        if message.words("role") == "user":
            yield from _pastes(content, "text", new)
        elif message.words("role") == "tool" and content is not None and not _has_failed(body, message):
            end = number
            while end + 1 < len(messages) and messages[end + 1].words("role") == "tool":
                end += 1
            for part in [content] if content.text is not None else content.items or ():
                value = part if part.text is not None else part.at("text")
                if value is not None and value.text is not None:
                    call = message.words("tool_call_id")
                    words = f"{words_of(asked.get(call))}\n{words_of(content)}"
                    yield _result(value, value.text, new, call, words, messages[end].end)


def _gemini(body: Body) -> Iterator[Place]:
    root = body.root
    contents = root.each("contents")
    last, calls = _last_answer(contents), list[Value]()
    for number, content in enumerate(contents):
        if content.words("role") in _ANSWERS:
            calls = [made for part in content.each("parts") if (made := part.at("functionCall")) is not None]
            continue
        parts, new = content.each("parts"), number > last
        replies = [part for part in parts if part.at("functionResponse") is not None]
        by_place = {part.start: words_of(asking) for part, asking in zip(replies, calls, strict=False)}
        for part in parts:
            said, call = part.at("functionResponse", "response"), part.words("functionResponse", "id")
            failed = _has_failed(body, said) or _has_failed(body, part.at("functionResponse"))
            if said is not None and said.members is not None and not failed:
                words = f"{by_place.get(part.start, '')}\n{words_of(said)}"
                for value in said.members.values():
                    if value.text is not None:
                        yield _result(value, value.text, new, call, words, replies[-1].end)
            elif part.members is not None and set(part.members) == {"text"}:
                yield from _paste(part, _said(part), new)
