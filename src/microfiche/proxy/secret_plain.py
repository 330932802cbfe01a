"""A text as it reads once escapes are undone and what nobody sees is left out, with the place of each character; and
the words in which another text is written by base64, or that a line's end cuts.

This module knows nothing of secrets.
"""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import zip_longest

Span = tuple[int, int]
_HIDDEN = re.compile(
    "\x1b\\[[\\d;]*[A-Za-z]|[\u00ad\u0300-\u036f\u200b-\u200f\u2060\ufeff]|[\uff01-\uff5e]"
    "|\\\\u00([2-7][\\da-fA-F])|\\\\x([2-7][\\da-fA-F])|%(?:(?=[2-7][\\da-fA-F]%)|(?<=%[2-7][\\da-fA-F]%))([2-7][\\da-fA-F])|&#x([2-7][\\da-fA-F]);|&#(\\d{2,3});"
)
#: What counts for a letter of ASCII where capitals do not count.
_LIKE = {"\u0130": "i", "\u0131": "i", "\u017f": "s"}
_BASE64 = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{8,4096}+={0,2}(?![\w+/=])")
_BYTES = 9  #: bytes of letters from which on a word of base64 is no chance, or six before its padding
_ALONE = re.compile(r"(?m)^[ \t>|#*]*+(?:[+-][ \t]++)?[\"'`]?([\w+/=.~-]++)[\"'`]?[ \t]*+[+\\,.;]?[ \t\r]*+$")
_LAST = re.compile(r"[\w+/=.~-]{0,80}\Z")
NARROW = 6  #: characters of the widest piece of a word that is cut by lines


class Plain:
    """A text as it reads: `text`, and the same in small letters (`low`), each letter in its place."""

    def __init__(self, source: str) -> None:
        parts, done, length = list[str](), 0, 0
        self._at, self._from = [0], [0]  # from which place on each stretch goes, there and in the source
        for match in _HIDDEN.finditer(source):
            said = _said(match)
            parts += [source[done : match.start()], said]
            length += match.start() - done + len(said)
            done = match.end()
            self._at.append(length)
            self._from.append(done)
        self.text = "".join([*parts, source[done:]])
        low = self.text
        for like, letter in _LIKE.items():
            low = low.replace(like, letter)
        self.low = low.lower() if len(low.lower()) == len(low) else "".join(c.lower()[:1] or c for c in low)

    def source(self, span: Span) -> Span:
        """Where a stretch of the text, which has a character at least, stands in the source."""
        start, end = span
        return self._place(start), self._place(end - 1, 1)

    def _place(self, at: int, more: int = 0) -> int:
        stretch = bisect_right(self._at, at) - 1
        place = self._from[stretch] + at - self._at[stretch] + more
        if stretch + 1 < len(self._at) and at == self._at[stretch + 1] - 1 and self._from[stretch + 1] > place:
            return self._from[stretch + 1] if more else place
        return place


def _said(match: re.Match[str]) -> str:
    found = match[0]
    if match.lastindex is None:
        return chr(ord(found) - 0xFEE0) if "\uff01" <= found <= "\uff5e" else ""
    code = int(match[match.lastindex], 10 if match.lastindex == 5 else 16)
    return chr(code) if 32 <= code < 127 else " "


def encoded(text: str) -> Iterator[Span]:
    """The words that are base64 of letters, digits and signs."""
    for match in _BASE64.finditer(text):
        word = match[0].rstrip("=")
        if word.islower() or word.isdigit() or len(word) % 4 == 1:
            continue
        said = binascii.a2b_base64(word + "=" * (-len(word) % 4))
        wanted = 6 if match[0].endswith("=") else _BYTES
        if len(said) >= wanted and said.isascii() and all(31 < c < 127 or c in b"\n\r\t" for c in said):
            yield match.span()


def joined(text: str) -> Iterator[tuple[Span, str, bool]]:
    """Words one below another on lines of their own, as wide as each other but for the last, as one word: from the word
    before them on, and alone; whether they are surely one."""
    run, every = list[re.Match[str]](), [match for match in _ALONE.finditer(text) if match[1]]
    for match, after in zip_longest(every, every[1:]):
        wide = len(match[1])
        if run and not (run[-1].end() + 1 == match.start() and wide <= len(run[0][1])):
            run = []
        if not run and wide < NARROW:
            continue
        run.append(match)
        whole = after is None or after.start() > match.end() + 1 or len(after[1]) > wide or wide < len(run[0][1])
        if whole and len(run) > 1:
            mark = run[0][1][:1] if all(one[1][0] == run[0][1][0] for one in run) else ""
            pieces = [one[1].rstrip("-=").removeprefix(mark if mark in "+-" else "") for one in run]
            begin, end = run[0].start(1), match.end(1)
            before = _LAST.search(text, max(0, run[0].start() - 80), max(0, run[0].start() - 1))
            start = before.start() if before and before[0] else begin
            yield (start, end), "".join([text[start : run[0].start()].strip(), *pieces]), False
            sure = len(run) > 2 or all(any(map(str.isdigit, piece)) for piece in pieces)
            yield (begin, end), "".join(pieces), sure
        if whole:
            run = []
