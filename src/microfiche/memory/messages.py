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
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from microfiche.errors import InputError
from microfiche.files import bytes_of
from microfiche.memory.parts import NOBODY, Part, named, parts_of, role_of
from microfiche.page import Layout
from microfiche.sources import decoded, plainly
from microfiche.typesetting.repertoire import LABEL

LARGEST = 1 << 30  #: bytes of a chat's file
LONGEST = 240  #: characters of a label
ROLES = ("system", "developer", "user", "assistant", "model", "tool", "function")  #: who speaks in any provider's chats
SAYING = ("content", "parts", "tool_calls", "function_call")  #: of which a message has one at least
SAYS = "says"  #: the label of what is just said, where a part with a label stands before it
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
    """The message as it stands on a page: a label with its role, name and time, then its text or its parts. What is
    just said after a part with a label has a label as well, since it could be that part's."""
    who = " ".join(named(word) for word in (message.role, message.name) if word)
    when = "" if message.time is None else datetime.fromtimestamp(message.time, UTC).strftime(", %Y-%m-%d %H:%M")
    parts = message.parts or (Part(message.text),)
    labels = [label(one.label) if one.label else label(SAYS) if before.label else ""
              for before, one in zip((Part(""), *parts), parts, strict=False)]
    said = "\n".join(" ".join(piece for piece in (before, shielded(one.text)) if piece)
                     for before, one in zip(labels, parts, strict=True))
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
    mark = mark_of(text)
    return legible(text.replace(LABEL, f"{LABEL}{mark}") if mark else text), mark


def mark_of(text: str) -> str:
    """A mark that stands nowhere in a text, where a line of it could be taken for a label or a caption; else empty."""
    if not _LIKE_LABEL.search(text):
        return ""
    shown, mark = legible(text), "§"
    if mark in shown:
        seen = "".join(filter(str.isalnum, plainly(shown).casefold()))
        digest, length = blake2b(text.encode("utf-8", "surrogatepass")).hexdigest(), 4
        while digest[:length] in seen:
            length += 1
        mark += digest[:length]
    return mark


def as_read(text: str, layout: Layout) -> str:
    """The text of a page of a layout as people read it: in the layout of chats it has labels."""
    return legible(text) if layout == "turns" else text


def chat_in(path: Path) -> list[Message]:
    """The messages in a .jsonl file, one a line; InputError, naming file and line, where one is none."""
    lines = decoded(str(path), bytes_of(path, LARGEST)).split("\n")
    return [_in_line(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def chat_in_json(path: Path) -> list[Message] | None:
    """The messages in a .json file that is an array of them, or the body of a request that has one; None if it is
    neither, as other data are that happen to have roles or types. InputError where it cannot be read."""
    text = decoded(str(path), bytes_of(path, LARGEST))
    try:
        held = json.loads(text)
        if isinstance(held, dict):
            held = next((held[name] for name in ("messages", "input", "contents") if name in held), None)
        if not isinstance(held, list) or not held or not all(map(_is_said, held)):
            return None
        return [message_of(one) for one in held]
    except (ValueError, RecursionError, InputError):
        return None


def _is_said(given: object) -> bool:
    """Whether something is surely a message or an item of Responses: by who speaks, and what it says or calls."""
    if not isinstance(given, Mapping):
        return False
    if given.get("role") is None:
        return role_of(given) not in (None, NOBODY)
    return given["role"] in ROLES and any(key in given for key in SAYING)


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
    role = role_of(given) if isinstance(given, Mapping) else None
    if role is None:
        raise InputError(f"a message needs a role and content; this is {_short(given)}")
    for key, kinds, wanted in (
        ("content", str | list, "text or a list of parts"), ("parts", list, "a list"), ("tool_calls", list, "a list"),
    ):  # fmt: skip
        if "role" in given and given.get(key) is not None and not isinstance(given[key], kinds):
            raise InputError(f"a message's {key} is {_short(given[key])}: give {wanted}")
    try:
        name = given.get("name") if isinstance(given.get("name"), str) and "type" not in given else ""
        parts = tuple(part for part in parts_of(given) if part.text or part.label)
        text = "\n".join(map(str, parts))
        return Message(role, text, moment(given.get("time")), name or "", parts if any(p.label for p in parts) else ())
    except RecursionError as error:
        raise InputError(f"a message is nested too deeply: {_short(given)}") from error


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


def sayings(packed: bytes) -> Iterator[str]:
    """The JSON of a message, packed with zlib, and every text in it, as it is without escapes, and so on in those that
    are JSON themselves; nothing where it cannot be unpacked."""
    try:
        whole = zlib.decompress(packed).decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError):
        return
    yield whole
    with suppress(ValueError, RecursionError):
        waiting = [json.loads(whole)]
        while waiting:
            match waiting.pop():
                case dict() as held:
                    waiting += [*held, *held.values()]
                case list() as held:
                    waiting += held
                case str() as said:
                    yield said
                    if said.lstrip()[:1] in ("{", "["):
                        with suppress(ValueError, RecursionError):
                            waiting.append(json.loads(said))
