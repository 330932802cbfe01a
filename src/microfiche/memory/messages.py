"""Chat messages as a memory takes them, in the shape of any provider, and how they stand on a page.

OpenAI's chat completions and Responses, Anthropic's Messages and Gemini's contents are taken. Whatever a message holds
besides words (calls of tools with their names and ids, results with the call that they answer, refusals, reasoning,
pictures, files, audio) is a part with a label.

Who speaks stands on a page as a label, white on black, and so does what a part is. No text can imitate that: a label
begins with a character that Unicode keeps from all texts, and where a message's text has it, it is written otherwise.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from unicodedata import normalize

from microfiche.errors import InputError
from microfiche.files import bytes_of
from microfiche.page import Layout
from microfiche.sources import decoded
from microfiche.typesetting.repertoire import LABEL

LARGEST = 1 << 30  #: bytes of a chat's file
LONGEST = 240  #: characters of a label
_SHIELD = "\ufdd1"  #: stands before LABEL and itself where a message's text has them
_SHIELDED = re.compile(f"{LABEL}|{_SHIELD}(.)")
#: A line of what was said that nobody takes for a label: before its first letter, digit or emoji, if it has one, only
#: common punctuation and spaces stand. A line begins after any control character or line break, and behind a label.
_HARMLESS = (
    rf"""[ \xa0\u3000!-/:-@\\-`{{-~\u2010-\u2027“”‘’«»•·¿¡]*"""
    rf"""(?:[^\W\u115f\u1160\u3164\uffa0]|"""
    rf"""[\u2190-\u21ff\u2600-\u2767\u2776-\u27bf\U0001f300-\U0001faff]|"""
    rf"""[\x00-\x1f\x7f-\x9f\u2028\u2029{LABEL}]|\Z)"""
)
_LIKE_LABEL = re.compile(rf"(?:\A|[\x00-\x1f\x7f-\x9f\u2028\u2029]|{LABEL}[^\]]*\])(?!{_HARMLESS})")
NAMED = 120  #: characters of a name or id in a label
#: The roles of items of OpenAI's Responses that have none.
ITEMS = {
    "function_call": "assistant", "custom_tool_call": "assistant", "reasoning": "assistant",
    "local_shell_call": "assistant", "shell_call": "assistant", "apply_patch_call": "assistant",
    "computer_call": "assistant", "function_call_output": "tool", "custom_tool_call_output": "tool",
    "local_shell_call_output": "tool", "shell_call_output": "tool", "apply_patch_call_output": "tool",
    "computer_call_output": "tool",
}  # fmt: skip
_PICTURES = {"image_url": "picture", "image": "picture", "input_image": "picture"}
_FILES = {"file": "file", "input_file": "file", "document": "file", "input_audio": "audio", "audio": "audio"}
_ENCODED = re.compile(r"(?:data:[\w.+/-]+;base64,)?[\w+/=-]{256,}")


@dataclass(frozen=True)
class Part:
    """A part of a message: its `text`, and for what is not just said the `label` that stands before it on a page."""

    text: str
    label: str = ""

    def __str__(self) -> str:
        if not self.label:
            return self.text
        return f"[{self.label}] {self.text}" if self.text else f"[{self.label}]"


@dataclass(frozen=True)
class Message:
    """Who said what, and when, in seconds since 1970, if that is known. `text` is all of it, and `parts` are what it is
    made of where it is not only said."""

    role: str
    text: str
    time: float | None = None
    name: str = ""
    parts: tuple[Part, ...] = ()


def written(message: Message) -> str:
    """The message as it stands on a page: a label with its role, name and time, then its text or its parts."""
    who = " ".join(named(word) for word in (message.role, message.name) if word)
    when = "" if message.time is None else datetime.fromtimestamp(message.time, UTC).strftime(", %Y-%m-%d %H:%M")
    parts = message.parts or (Part(message.text),)
    said = "\n".join(" ".join(piece for piece in (label(one.label) if one.label else "", shielded(one.text)) if piece)
                     for one in parts)
    return f"{label(who + when)} {said}\n"


def label(words: str) -> str:
    """A label as a page has it; `legible` shows it in square brackets."""
    return f"{LABEL}{words if len(words) <= LONGEST else f'{words[: LONGEST - 1]}…'}]"


def shielded(text: str) -> str:
    """A text in which nothing can be a label."""
    return text.replace(_SHIELD, 2 * _SHIELD).replace(LABEL, f"{_SHIELD}.")


def legible(text: str) -> str:
    """What is written on pages as people read it, with labels as words in square brackets. It is as long as what is
    written, unless a message's text holds LABEL or what stands before it there."""
    return _SHIELDED.sub(lambda found: {None: "[", ".": LABEL}.get(found[1], found[1]), text)


def uncut(text: str, at: int) -> int:
    """The last place up to `at` in what is written that cuts nothing in two which was said as one character."""
    return at - (at - len(text[:at].rstrip(_SHIELD))) % 2


def unmistakable(text: str) -> tuple[str, str]:
    """What is written on a page of a chat as text for a model, and the mark with which each label in it begins, which
    begins nothing else; the mark is empty where nothing that was said could be taken for a label."""
    shown, mark = legible(text), "§"
    if not any("[" in found[1] for found in _BEFORE_WORDS.finditer(text)):
        return shown, ""
    if mark in shown:
        seen = "".join(filter(str.isalnum, normalize("NFKC", shown).casefold()))
        digest, length = blake2b(text.encode("utf-8", "surrogatepass")).hexdigest(), 4
        while digest[:length] in seen:
            length += 1
        mark += digest[:length]
    return legible(text.replace(LABEL, f"{LABEL}{mark}")), mark


def as_read(text: str, layout: Layout) -> str:
    """The text of a page of a layout as people read it: in the layout of chats it has labels."""
    return legible(text) if layout == "turns" else text


def named(value: object) -> str:
    """A name or an id as it stands in a label: in one line, without what could end the label, and not too long."""
    line = "".join("·" if not c.isprintable() or normalize("NFKC", c) in ("[", "]") else c
                   for c in " ".join(str(value)[: 8 * NAMED].split()))
    return line if len(line) <= NAMED else f"{line[: NAMED - 1]}…"


def chat_in(path: Path) -> list[Message]:
    """The messages in a .jsonl file, one a line; InputError, naming file and line, where one is none."""
    lines = decoded(str(path), bytes_of(path, LARGEST)).split("\n")
    return [_in_line(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _in_line(line: str, where: str) -> Message:
    try:
        return message_of(json.loads(line))
    except RecursionError as error:
        raise InputError(f"{where}: nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{where}: not a chat, one JSON message a line ({error})") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def message_of(given: Message | Mapping[str, Any]) -> Message:
    """The message in a dict of any provider's shape, perhaps with a time; InputError, in one line, if it is none."""
    if isinstance(given, Message):
        return Message(given.role, given.text, moment(given.time), given.name, given.parts)
    role = _role(given) if isinstance(given, Mapping) else None
    if role is None:
        raise InputError(f"a message needs a role and content; this is {_short(given)}")
    for key, kinds, wanted in (
        ("content", str | list, "text or a list of parts"), ("parts", list, "a list"), ("tool_calls", list, "a list"),
    ):  # fmt: skip
        if given.get(key) is not None and not isinstance(given[key], kinds):
            raise InputError(f"a message's {key} is {_short(given[key])}: give {wanted}")
    try:
        name = given.get("name") if isinstance(given.get("name"), str) and "type" not in given else ""
        parts = tuple(part for part in parts_of(given) if part.text or part.label)
        text = "\n".join(map(str, parts))
        return Message(role, text, moment(given.get("time")), name or "", parts if any(p.label for p in parts) else ())
    except RecursionError as error:
        raise InputError(f"a message is nested too deeply: {_short(given)}") from error


def _role(given: Mapping[str, Any]) -> str | None:
    role = given.get("role")
    if isinstance(role, str):
        return role
    return ITEMS.get(str(given.get("type"))) if role is None else None


def text_of_content(given: Mapping[str, Any]) -> str:
    """The text of all parts of a message, one after another, as it stands on a page."""
    return "\n".join(text for part in parts_of(given) if (text := str(part)))


def parts_of(given: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a message of any provider's shape, in their order."""
    if given.get("role") is None and given.get("type") in ITEMS:
        yield from _item(given)
        return
    if thought := given.get("reasoning_content") or given.get("reasoning"):
        yield Part(_words(thought), "reasoning")
    content = given.get("content")
    answered = given.get("tool_call_id")
    if answered is not None:
        text = content if isinstance(content, str) else "\n".join(map(str, _several(content)))
        yield Part(text, f"result of {named(answered)}")
    elif isinstance(content, str):
        yield Part(content)
    else:
        yield from _several(content)
    yield from _several(given.get("parts"))
    if given.get("refusal") is not None:
        yield Part(_words(given["refusal"]), "refusal")
    if isinstance(audio := given.get("audio"), Mapping):
        yield _audio(audio)
    calls = given.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": given.get("function_call")}]:
        if isinstance(call, Mapping):
            yield from _call(call)


def _several(content: object) -> Iterator[Part]:
    for part in content if isinstance(content, list) else ():
        yield from _part(part) if isinstance(part, Mapping) else (Part(str(part)),)


def _part(part: Mapping[str, Any]) -> Iterator[Part]:
    match part.get("type"):
        case "text" | "input_text" | "output_text" | "summary_text":
            yield Part(str(part.get("text") or ""))
        case "reasoning_text":
            yield Part(str(part.get("text") or ""), "reasoning")
        case "refusal":
            yield Part(_words(part.get("refusal")), "refusal")
        case "thinking":
            yield Part(str(part.get("thinking") or ""), "reasoning")
        case "redacted_thinking":
            yield Part("", "reasoning, hidden")
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield Part(_words(part.get("input")), _called(part.get("name"), part.get("id")))
        case str(kind) if kind.endswith("tool_result"):
            failed = ", failed" if part.get("is_error") else ""
            content = part.get("content")
            text = content if isinstance(content, str) else "\n".join(map(str, _several(content)))
            yield Part(text, f"{_answers(part.get('tool_use_id'))}{failed}")
        case str(kind) if kind in _PICTURES:
            yield Part("", _beside("picture", part))
        case "input_audio" | "audio":
            yield _audio(part)
        case str(kind) if kind in _FILES:
            yield Part("", _beside(_FILES[kind], part))
        case None:
            yield from _of_gemini(part)
        case kind:
            yield from _item(part) if kind in ITEMS else (Part(_rest(part), named(kind)),)


def _of_gemini(part: Mapping[str, Any]) -> Iterator[Part]:
    if isinstance(part.get("text"), str):
        yield Part(part["text"], "reasoning" if part.get("thought") else "")
    elif isinstance(call := part.get("functionCall"), Mapping):
        yield Part(_words(call.get("args")), _called(call.get("name"), call.get("id")))
    elif isinstance(found := part.get("functionResponse"), Mapping):
        yield Part(_words(found.get("response")), _answers(found.get("id") or found.get("name")))
    elif isinstance(data := part.get("inlineData") or part.get("fileData"), Mapping):
        kind = str(data.get("mimeType") or "").partition("/")[0]
        yield Part("", _beside({"image": "picture", "audio": "audio"}.get(kind, "file"), data))
    elif part:
        yield Part(_rest(part), "part")


def _item(item: Mapping[str, Any]) -> Iterator[Part]:
    """An item of OpenAI's Responses."""
    kind, call = str(item.get("type")), item.get("call_id")
    if kind == "reasoning":
        for key in ("summary", "content"):
            for part in _several(item.get(key)):
                yield Part(part.text, "reasoning")
        if item.get("encrypted_content"):
            yield Part("", "reasoning, hidden")
    elif kind.endswith("_output"):
        output = item.get("output")
        text = "\n".join(map(str, _several(output))) if isinstance(output, list) else _words(output)
        yield Part(text, _answers(call))
    else:
        said = next((item[key] for key in ("arguments", "input", "action", "operation") if key in item), None)
        yield Part(_words(said), _called(item.get("name") or kind.removesuffix("_call"), call))


def _call(call: Mapping[str, Any]) -> Iterator[Part]:
    """A call in a message of a chat completion."""
    function = call.get("function") or call.get("custom")
    if isinstance(function, Mapping):
        said = function.get("arguments") if "arguments" in function else function.get("input")
        yield Part(_words(said), _called(function.get("name"), call.get("id")))


def _called(name: object, call: object) -> str:
    return f"calls {named('?' if name is None else name)}" + ("" if call is None else f", id {named(call)}")


def _answers(call: object) -> str:
    return "result" if call is None else f"result of {named(call)}"


def _beside(kind: str, part: Mapping[str, Any]) -> str:
    """The label of a part that is not text: its kind and its name, or the address at which it lies."""
    found: list[object] = []
    for holder in (part, part.get("file"), part.get("image_url"), part.get("source"), part.get("input_audio")):
        if isinstance(holder, str):
            found.append(holder)
        elif isinstance(holder, Mapping):
            found += [holder.get(key) for key in ("filename", "title", "displayName", "name", "file_id", "fileUri",
                                                  "file_url", "url", "image_url", "id")]
    name = next((value for value in found if isinstance(value, str) and value and not value.startswith("data:")), "")
    return f"{kind} {named(name)}".rstrip()


def _audio(part: Mapping[str, Any]) -> Part:
    return Part(_words(part.get("transcript")), _beside("audio", part))


def _words(value: object) -> str:
    """A value as text: a text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _rest(part: Mapping[str, Any]) -> str:
    """What a part of an unknown kind holds, without encoded data."""
    held = {key: value for key, value in part.items() if key != "type"}
    return _ENCODED.sub("…", _words(held)) if held else ""


def moment(given: object) -> float | None:
    """Seconds since 1970, from a number or an ISO date of the years 1 to 9999; InputError if it is neither."""
    if given is None:
        return None
    try:
        if isinstance(given, str):
            when = datetime.fromisoformat(given)
            seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        elif isinstance(given, int | float) and not isinstance(given, bool):
            seconds = float(given)
        else:
            raise ValueError
        datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"a message's time is {_short(given)}: give seconds since 1970 or an ISO date") from error
    return seconds


def _short(value: object) -> str:
    """The beginning of a value that may be very long or nested very deeply."""
    return reprlib.repr(value)[:60]
