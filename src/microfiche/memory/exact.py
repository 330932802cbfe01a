"""What in a text must be exact: code, hexadecimal, identifiers, numbers, paths. Prose is what is none of these.

A model that misreads such a string on a page says a wrong one without noticing, so that it goes beside the page as text
until it was measured how surely the model reads it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Literal, get_args

Kind = Literal["prose", "code", "hex", "identifiers", "numbers", "paths"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BETWEEN = " · "  #: what stands between exact strings in a list
_CODE = re.compile(
    r"""[{};]\s*$|^\s*[{}]|[!<>=+*/|&-]=|=>|->|::|\w\(\S*\)|\w\[\S*\]|^\s*[@#$]\w|^\s*(//|/\*|\#!|<\w+[\s>])
    |^\s*(def|class|import|from|return|func|fn|let|const|var|pub|private|static|while|for|if|elif|else|try|except|with)\b
     .*(:\s*$|[(){}=\[\]])|^\s*(import|from|use|using|package)\s+[\w.:]+(\s+import\b.*)?;?\s*$|^(\+|-|@@)\s?\S.*[(){}=\[\]:;]|^\s{2,}\S.*[(){}=\[\]]|^\S+\s*=\s*\S""",
    re.VERBOSE,
)
#: Words end at spaces and at signs of scripts that are written without them.
_WORD = re.compile(r"[^\s\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff0f\uff1a-\uffef]+")
_AROUND = ".,;:!?()[]{}<>\"'“”‘’«»„…*`|"
_HEX = re.compile(r"(0x)?[0-9a-fA-F]{6,}(-[0-9a-fA-F]{4,})*|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){3,}")
_PATH = re.compile(r"[\w.~-]?[/\\][\w.~-]|\w://|[\w.+-]@[\w-]+\.\w|^[\w-]{2,}\.[A-Za-z]\w{0,4}$|^\w\.[a-z]{1,2}$")
_IDENTIFIER = re.compile(
    r"^--?[A-Za-z]|\w_|_\w|[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Z]{2}-[A-Z]{2}|[=#@$%^&~+]"
)
_LONGEST = 400  #: characters of a line beyond which it is no line of code
_SHORT = ("e.g", "i.e", "and/or", "or/and", "he/she", "s/he")  #: words that only look like paths
_WITHIN = 3  #: lines between two lines of code that are code as well


def exact_strings(text: str, without: Collection[Kind] = ()) -> list[str]:
    """The strings in a text that must be exact, each once, in their order, but for those of kinds to leave out.

    Lines of code that follow each other are one string; without code, what stands in them is listed like anything else.
    Strings of prose are never listed.
    """
    strings = _strings(text) if "code" not in without else _in_prose(text.split("\n"))
    return list(dict.fromkeys(string for kind, string in strings if kind not in without))


def exact_list(text: str, without: Collection[Kind] = ()) -> str:
    """The strings of `exact_strings` as the text that goes beside a page; "" if there are none."""
    return _listed(text, frozenset(without))


@lru_cache(4096)
def _listed(text: str, without: frozenset[Kind]) -> str:
    found = exact_strings(text, without)
    return f"Exactly, in order: {BETWEEN.join(found)}" if found else ""


def _strings(text: str) -> Iterator[tuple[Kind, str]]:
    lines = text.split("\n")
    code: list[int] = []
    before = -1  # the last line that is not blank
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        follows = bool(code) and code[-1] == before and line[0].isspace()  # as an indented `return x` does
        if len(line) <= _LONGEST and (follows or _CODE.search(line)):
            code.append(number)
        before = number
    at = 0
    for first, last in _stretches(code):
        yield from _in_prose(lines[at:first])
        yield "code", "\n".join(line.rstrip() for line in lines[first : last + 1])
        at = last + 1
    yield from _in_prose(lines[at:])


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run of numbers in which the next is at most _WITHIN + 1 further."""
    first = None
    for number, after in zip(numbers, [*numbers, None][1:], strict=True):
        first = number if first is None else first
        if after is None or after > number + _WITHIN + 1:
            yield first, number
            first = None


def _in_prose(lines: list[str]) -> Iterator[tuple[Kind, str]]:
    for line in lines:
        for word in _WORD.finditer(line):
            kind, string = kind_of(word[0])
            if kind != "prose":
                yield kind, string


def kind_of(word: str) -> tuple[Kind, str]:
    """The kind of a word, and the word without the punctuation around it."""
    bare = word.rstrip(_AROUND) if word.startswith("-") else word.strip(_AROUND)
    digits = any(map(str.isnumeric, bare))
    letters = any(map(str.isalpha, bare))
    if digits and letters and _HEX.fullmatch(bare):
        return "hex", bare
    if digits and not letters:
        return "numbers", bare
    if letters and _PATH.search(bare) and bare not in _SHORT:
        return "paths", bare
    return ("identifiers" if letters and (digits or _IDENTIFIER.search(bare)) else "prose"), bare
