"""JSON read with the place of every value, so that single values can be replaced and every other byte stays.

Numbers, escapes, the order of keys and white space are never written anew: a body is cut at the places of the values
that are replaced, and only there. What cannot be read beyond doubt is refused as `Unreadable`, and such a body passes
as it came. The grammar is RFC 8259's. This module knows nothing of any protocol.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple

DEEPEST = 100  #: levels of nesting that are read
VALUES = 300_000  #: values that are read; a million tokens of an agent's context have a tenth of them
_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")


class Unreadable(Exception):
    """Why a body is not read. The reason names no content."""


@dataclass(slots=True)
class Value:
    """A JSON value that stands at `start` to `end` of its text, in characters. A string has its `text`, an object its
    `members`, an array its `items`; numbers and the three words have none of these."""

    start: int
    end: int = 0
    text: str | None = None
    members: dict[str, Value] | None = None
    items: list[Value] | None = None

    def at(self, *path: str) -> Value | None:
        """The value below these keys, or None where there is none."""
        found: Value | None = self
        for key in path:
            found = found.members.get(key) if found is not None and found.members is not None else None
        return found

    def words(self, *path: str) -> str | None:
        """The string below these keys, or None where there is none."""
        found = self.at(*path)
        return None if found is None else found.text

    def each(self, *path: str) -> list[Value]:
        """The items of the array below these keys, or none."""
        found = self.at(*path)
        return [] if found is None or found.items is None else found.items


class Replacement(NamedTuple):
    """JSON `text` that comes in the place of what stands from `start` to `end`, in characters."""

    start: int
    end: int
    text: str


@dataclass
class Body:
    """A request's body: its `text`, and the `root` of what stands in it."""

    text: str
    root: Value = field(repr=False)

    @classmethod
    def read(cls, data: bytes) -> Body:
        """Reads a body's bytes; Unreadable, with the reason, where they are no JSON object in UTF-8."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable("the body is not UTF-8") from error
        root, end = _value(text, _skip(text, 0), 0, count(1))
        if _skip(text, end) != len(text):
            raise Unreadable("something follows the JSON value")
        if root.members is None:
            raise Unreadable("the body is no JSON object")
        return cls(text, root)

    def raw(self, value: Value) -> str:
        """A value as it stands in the body."""
        return self.text[value.start : value.end]

    def spliced(self, replacements: Iterable[Replacement]) -> bytes:
        """The body with these replacements; ValueError where two of them overlap or one does not lie in the body."""
        return spliced(self.text, replacements)


def spliced(text: str, replacements: Iterable[Replacement]) -> bytes:
    """A body's text with replacements, in UTF-8; ValueError where two of them overlap or one does not lie in it."""
    return "".join(_pieces(text, sorted(replacements))).encode("utf-8")


def _pieces(text: str, replacements: list[Replacement]) -> Iterator[str]:
    at = 0
    for start, end, new in replacements:
        if not at <= start <= end <= len(text):
            raise ValueError("replacements overlap, or lie outside of the body")
        yield text[at:start]
        yield new
        at = end
    yield text[at:]


def quoted(text: str) -> str:
    """The text as a JSON string in ASCII."""
    return json.dumps(text)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _value(text: str, at: int, depth: int, numbers: Iterator[int]) -> tuple[Value, int]:
    """The value that begins at `at`, and where it ends."""
    if depth > DEEPEST:
        raise Unreadable(f"the body is nested deeper than {DEEPEST} levels")
    if next(numbers) > VALUES:
        raise Unreadable(f"the body has more than {VALUES} values")
    sign = text[at : at + 1]
    value = Value(at)
    if sign == '"':
        value.text, end = _string(text, at)
    elif sign == "{":
        value.members, end = _members(text, at, depth, numbers)
    elif sign == "[":
        value.items, end = _items(text, at, depth, numbers)
    else:
        found = _SCALAR.match(text, at)
        if found is None:
            raise Unreadable("the body is not JSON")
        end = found.end()
    value.end = end
    return value, end


def _string(text: str, at: int) -> tuple[str, int]:
    try:
        return scanstring(text, at + 1, True)
    except ValueError as error:
        raise Unreadable("the body is not JSON") from error


def _members(text: str, at: int, depth: int, numbers: Iterator[int]) -> tuple[dict[str, Value], int]:
    found: dict[str, Value] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise Unreadable("the body is not JSON")
        key, at = _string(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise Unreadable("the body is not JSON")
        if key in found:
            raise Unreadable("a key stands twice in an object")
        found[key], at = _value(text, _skip(text, at + 1), depth + 1, numbers)
        at, more = _comma(text, at, "}")
        if not more:
            return found, at


def _items(text: str, at: int, depth: int, numbers: Iterator[int]) -> tuple[list[Value], int]:
    found: list[Value] = []
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _value(text, at, depth + 1, numbers)
        found.append(value)
        at, more = _comma(text, at, "]")
        if not more:
            return found, at


def _comma(text: str, at: int, close: str) -> tuple[int, bool]:
    """Where to go on after a member or an item, and whether another one follows."""
    at = _skip(text, at)
    sign = text[at : at + 1]
    if sign == ",":
        return _skip(text, at + 1), True
    if sign == close:
        return at + 1, False
    raise Unreadable("the body is not JSON")
