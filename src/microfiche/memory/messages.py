"""Chat messages as a memory takes them, with role, time and text, and how they stand on a page.

What an OpenAI or Anthropic message holds besides text (pictures, tool calls and results) is named in its place.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from microfiche.errors import InputError
from microfiche.files import bytes_of
from microfiche.sources import decoded

LARGEST = 1 << 30  #: bytes of a chat's file


@dataclass(frozen=True)
class Message:
    """Who said what, and when, in seconds since 1970, if that is known."""

    role: str
    text: str
    time: float | None = None


def written(message: Message) -> str:
    """The message as it stands on a page."""
    when = "" if message.time is None else datetime.fromtimestamp(message.time, UTC).strftime(", %Y-%m-%d %H:%M")
    return f"[{message.role}{when}] {message.text}\n"


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
    """The message in a dict with role, content and perhaps time; InputError, in one line, if it is none."""
    if isinstance(given, Message):
        return Message(given.role, given.text, moment(given.time))
    if not isinstance(given, Mapping) or not isinstance(given.get("role"), str):
        raise InputError(f"a message needs a role and content; this is {_short(given)}")
    for key, kinds, wanted in (("content", str | list, "text or a list of parts"), ("tool_calls", list, "a list")):
        if given.get(key) is not None and not isinstance(given[key], kinds):
            raise InputError(f"a message's {key} is {_short(given[key])}: give {wanted}")
    try:
        return Message(given["role"], text_of_content(given), moment(given.get("time")))
    except RecursionError as error:
        raise InputError(f"a message is nested too deeply: {_short(given)}") from error


def text_of_content(given: Mapping[str, Any]) -> str:
    """The text of a message's content and tool calls, in which a picture is named as one."""
    content = given.get("content")
    parts = [content] if isinstance(content, str) else []
    for part in content if isinstance(content, list) else ():
        parts.append(_part(part) if isinstance(part, Mapping) else str(part))
    calls = given.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            parts.append(f"[calls {function.get('name', '?')}({function.get('arguments', '')})]")
    return "\n".join(part for part in parts if part)


def _part(part: Mapping[str, Any]) -> str:
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return str(part.get("text") or "")
        case "image_url" | "image" | "input_image":
            return "[a picture]"
        case "tool_use":
            return f"[calls {part.get('name', '?')}({json.dumps(part.get('input'), ensure_ascii=False)})]"
        case "tool_result":
            return f"[result: {text_of_content(part)}]"
        case kind:
            return f"[{kind}]" if isinstance(kind, str) else ""


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
