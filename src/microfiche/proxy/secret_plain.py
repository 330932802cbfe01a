"""A text as it reads once escapes are undone and what nobody sees is left out, with the place of each character; and
the words in which another text is written by base64, or that a line's end cuts.

This module knows nothing of secrets.
"""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import zip_longest
from unicodedata import category, normalize

Span = tuple[int, int]
#: What nobody sees, escapes however often they are escaped, and what joins the pieces of a string in code.
_HIDDEN = re.compile(
    "\x1b\\[[\\d;]*[A-Za-z]|\xad+|[\u1100-\u1112]\xad*[\u1161-\u1175](?:\xad*[\u11a8-\u11c2])?"
    "|\\\\{1,8}[uU](?:0{2,6}|\\{0{0,6})([2-7][\\da-fA-F])\\}?|\\\\{1,8}x([2-7][\\da-fA-F])|\\\\{1,8}((?:0[4-7]|1[0-7])[0-7])(?!\\d)"
    "|%(?:25){0,4}(?:(?=[2-7][\\da-fA-F]%)|(?<=%[2-7][\\da-fA-F]%)|(?<=25))([2-7][\\da-fA-F])"
    "|&(?:amp;){0,4}#[xX]0{0,6}([2-7][\\da-fA-F]);|&(?:amp;){0,4}#0{0,6}(\\d{2,3});"
    "|[\"'][ \\t]{0,3}(?:[+.&~]|\\.\\.|\\|\\||<>|\\+\\+|[ \\t])[ \\t]{0,3}[fbru]?[\"']"
)
_BASES = (16, 16, 8, 16, 16, 10)  #: of the numbers in its groups
_MARKS = {"Mn", "Me", "Cf"}  #: the categories of characters that are no letters of their own
_FILLERS = "\u115f\u1160\u3164\uffa0"  #: letters by their category, which nobody sees
#: Letters that look like others, or count for them where capitals do not count.
_LIKE = str.maketrans(
    "\u0131\u017f\u0142\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u043e\u0440\u051b\u0455\u051d\u0445\u0443\u03b1"
    "\u03bf\u03c1\u03bd\u03b9\u03ba\u03c5\u03c4",
    "islacdehijopqswxyaopvikut",
)
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
        source = source.translate({ord(c): _seen(c) for c in set(source) if c > "~"})
        for match in _HIDDEN.finditer(source):
            said = _said(match)
            parts += [source[done : match.start()], said]
            length += match.start() - done + len(said)
            done = match.end()
            self._at.append(length)
            self._from.append(done)
        self.text = "".join([*parts, source[done:]])
        self.low = folded(self.text)

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


def folded(text: str) -> str:
    """A text in small letters without their marks, letters that look alike as one, each in its place."""
    table = {ord(c): _base(c) for c in set(text) if c > "~"}
    return text.lower() if not table else text.translate(table).lower()


@lru_cache(1 << 14)
def _base(c: str) -> str:
    plain = "".join(one for one in normalize("NFKD", c.lower()) if category(one) not in _MARKS)
    return c if not plain or "\uac00" <= c <= "\ud7a3" else plain[0].translate(_LIKE)


@lru_cache(1 << 14)
def _seen(c: str) -> str:
    """A character as it is seen: a sign of ASCII that is only drawn otherwise as that, what nobody sees as a soft
    hyphen."""
    plain = normalize("NFKC", c)
    if category(plain[0]) in _MARKS or c in _FILLERS:
        return "\xad"
    return plain if len(plain) == 1 and (plain.isascii() or "\uff66" <= c <= "\uff9d") else c


def _said(match: re.Match[str]) -> str:
    if match.lastindex is None:
        return normalize("NFC", match[0].replace("\xad", "")) if match[0][0] >= "\u1100" else ""
    code = int(match[match.lastindex], _BASES[match.lastindex - 1])
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
