"""What stands around a text that may be drawn, in its message and the one before, and the call that it answers: these
may call something in it secret that alone is a word like any other.

Only what stands before it and in the same message counts, so that the same is found whenever the request comes again.
This module knows nothing of which words call something secret.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter

from microfiche.proxy.splice import Value

NEAR = 400  #: characters around a text in which its neighbours are looked at
REMINDER = "<system-reminder>"  #: what clients put into messages and take out of them again begins with it
#: Members that hold what is said and whose names say nothing of it, and those that hold nothing that is said.
_PLAIN = {"text", "content", "output", "parts", "functionResponse", "response", "input", "arguments", "functionCall",
          "args", "tool_calls", "function", "name"}  # fmt: skip
_UNSAID = {"type", "role", "id", "call_id", "tool_use_id", "tool_call_id", "cache_control", "status", "caller",
           "source", "data", "inlineData", "fileData", "image_url", "file", "input_audio", "signature",
           "thoughtSignature", "encrypted_content", "thinking", "summary"}  # fmt: skip
_CALLS = {"tool_calls", "functionCall", "arguments", "input", "name"}
Said = tuple[int, str]  #: where in a body a string stands, and its words


class Surroundings:
    """What the messages of a request say, each by what stands in it in order. A colon ends what may say what follows
    it."""

    def __init__(self, messages: Sequence[Value]) -> None:
        self._messages, self._starts = messages, [message.start for message in messages]
        self._said: dict[int, list[Said]] = {}

    def around(self, value: Value) -> tuple[str, str]:
        """What is said before a value, and behind it in its message, as far as that is near."""
        number = bisect_right(self._starts, value.start) - 1
        if number < 0:
            return "", ""
        mine = self._in(number)
        first, last = (bisect_left(mine, at, key=itemgetter(0)) for at in (value.start, value.end))
        before = [said for _, said in (*(self._in(number - 1) if number else ()), *mine[:first])][-9:]
        ends = [f"{one}:\n" if one[-1:].isalnum() else f"{one}\n" for one in map(str.rstrip, before)]
        return "".join(ends)[-NEAR:], "".join(f" {said}" for _, said in mine[last : last + 9])[:NEAR]

    def _in(self, number: int) -> list[Said]:
        if number not in self._said:
            every = said_in(self._messages[number], _UNSAID | _CALLS)
            self._said[number] = [(at, said) for at, said in every if at >= 0]
        return self._said[number]


def said_in(value: Value, without: set[str]) -> Iterator[Said]:
    """The strings in a value, `without` those below some members, in order, without reminders; of a long one, its
    beginning and end. The names of members that say something stand at -1."""
    if value.text and not value.text.lstrip().startswith(REMINDER):
        said = value.text
        yield value.start, said if len(said) < 2 * NEAR else f"{said[:NEAR]}\n{said[-NEAR:]}"
    for key, member in (value.members or {}).items():
        if key not in without:
            if key not in _PLAIN:
                yield -1, f"{key}:"
            yield from said_in(member, without)
    for item in value.items or ():
        yield from said_in(item, without)


def words_of(value: Value | None) -> str:
    """What a call or a result says, with the names of its members, each on a line, without long texts; a word alone
    may name what stands in another."""
    short = [] if value is None else [said for _, said in said_in(value, _UNSAID) if len(said) <= NEAR]
    return "\n".join(f"{said}:" if said.isidentifier() else said for said in short)
