"""Secrets in a text: keys by their known shapes, lines that call something secret by its name, and strings that are
random.

None of them is drawn. What only looks like a secret costs nothing but that: it stands beside the page as text. This
module knows nothing of pages; the shapes stand in secret_shapes.py, the names in secret_names.py.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from itertools import accumulate, pairwise

from microfiche.memory.folders import IN_FOLDERS, NO_SECRETS, SECRETS
from microfiche.memory.versions import merged
from microfiche.proxy import secret_names as names
from microfiche.proxy import secret_shapes as shapes
from microfiche.proxy import secret_tables as tables
from microfiche.proxy.secret_lines import Lines
from microfiche.proxy.secret_plain import Plain, encoded, joined

_SECRET_FILE, _PLAIN_FILE, _IN_FOLDER = (
    re.compile("|".join(map(translate, kinds)))
    for kinds in ((*SECRETS, "shadow"), NO_SECRETS, [f"*{one}" for one in IN_FOLDERS])
)
RANDOM = 3.5  #: bits a character from which on a long string of several kinds of characters is taken for random
ODD = 3.0  #: the same for a word that has small letters, capitals, digits and signs
MIXED = 20  #: characters from which on two kinds of them are enough, and not capitals, small letters and digits


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Where secrets stand in a text: starts and ends, in order, none within another. Random strings and long hashes are
    among them."""
    plain = Plain(text)
    return merged([*{plain.source(span) for span in _spans(plain) if span[1] > span[0]}])


@lru_cache(4096)
def asks(said: str) -> bool:
    """Whether a call, by its words, or what a member is called asks for a secret: by what that is called, the file in
    which it is, or a tool that unveils it."""
    low = Plain(said).low
    files = [match.span() for match in names.FILE.finditer(low)]
    called = [one for one in names.called(low) if not any(a <= one[0] and one[1] <= b for a, b in files)]
    return bool(called or names.UNVEILS.search(low)) or any(map(_is_secret_file, re.findall(r"[^\s\"'=:,;()]+", low)))


def _is_secret_file(word: str) -> bool:
    parts = re.split(r"[/\\]+", word)
    secret = _SECRET_FILE.match(parts[-1]) or _IN_FOLDER.match("/".join(parts[-3:]))
    return bool(secret and ("/" in word or "." in word) and not _PLAIN_FILE.match(parts[-1]))


def _spans(plain: Plain) -> Iterator[tuple[int, int]]:
    text = plain.text
    yield from _known(text)
    called = names.called(plain.low)
    yield from Lines(text, plain.low, called).told()
    yield from tables.below(plain.low, called)
    yield from encoded(text)
    cut = list(joined(text))
    ends = list(accumulate(len(word) + 1 for _, word, _ in cut))
    known = {bisect_right(ends, start) for start, _ in _known("\n".join(word for _, word, _ in cut))}
    for number, (span, word, even) in enumerate(cut):
        if number in known or (even and any(_random(word))):
            yield span
    yield from _over_lines(text)
    for match in shapes.LONE.finditer(text):
        if _is_password(match[match.lastindex or 0]):
            yield match.span(match.lastindex or 0)
    yield from _private(text)
    yield from _in_manifests(text)
    done = 0
    for cookies in shapes.COOKIES.finditer(text):
        if cookies.end() > done:
            end = text.find("]", cookies.end())
            done = len(text) if end < 0 else end
            for match in shapes.VALUE.finditer(text, cookies.end(), done):
                yield match.span(1)
    for match in shapes.CARD.finditer(text):
        if _is_card(match[0]):
            yield match.span()
    for run in shapes.HEX_RUN.finditer(text):
        for match in shapes.HEX.finditer(text, *run.span()):
            yield match.span()
    for match in shapes.INSURED.finditer(text):
        yield match.span()
    for match in shapes.LONG.finditer(text):
        for start, end in _random(match[0]):
            yield match.start() + start, match.start() + end


def _known(text: str) -> Iterator[tuple[int, int]]:
    """Keys by their known shapes, and what tools take in a place of its own."""
    for pattern in dict.fromkeys(pattern for start, pattern in shapes.KNOWN if start in text):
        for match in pattern.finditer(text):
            yield match.span(match.lastindex or 0)


def _over_lines(text: str) -> Iterator[tuple[int, int]]:
    """Keys of known shapes that are cut by the ends of lines."""
    if not any(start in text for start, _ in shapes.WORDS):
        return
    cuts = [match.span() for match in shapes.SEAM.finditer(text)]
    ends = [(0, 0), *cuts, (len(text), 0)]
    pieces = [text[before:start] for (_, before), (start, _) in pairwise(ends)]
    begins = [0, *(end for _, end in cuts)]
    places = list(accumulate(map(len, pieces)))  # where in the whole each piece ends
    whole = "".join(pieces)
    for pattern in dict.fromkeys(pattern for start, pattern in shapes.WORDS if start in whole):
        for match in pattern.finditer(whole):
            first, last = bisect_right(places, match.start()), bisect_right(places, match.end() - 1)
            if first < last and any(map(str.isdigit, match[0])):
                start = begins[first] + match.start() - (places[first - 1] if first else 0)
                yield start, begins[last] + match.end() - places[last - 1]


def _is_password(word: str) -> bool:
    """Whether a word without blanks has all kinds of characters as only a password has them, changing from one to
    another often."""
    kinds = [0 if c.islower() else 1 if c.isupper() else 2 if c.isdigit() else 3 for c in word]
    changes = sum(a != b for a, b in pairwise(kinds))
    return len(set(kinds)) == 4 and 2 * changes > len(word) and _entropy(word) >= ODD


def _private(text: str) -> Iterator[tuple[int, int]]:
    """Private keys between their lines, whatever a tool has put before each of them."""
    for match in shapes.BEGUN.finditer(text) if "PRIVATE KEY" in text else ():
        end = text.find("END ", match.end(), match.end() + shapes.PRIVATE)
        stop = re.compile(r"[^-]*").match(text, match.end(), match.end() + shapes.PRIVATE)
        yield match.start(), end if end >= 0 else stop.end() if stop else match.end()


def _in_manifests(text: str) -> Iterator[tuple[int, int]]:
    """All values of Kubernetes' Secrets, which are called by other names: of YAML the lines below `data`, of JSON what
    stands in it."""
    start = 0 if "Secret" in text else len(text)
    while start < len(text):
        stop = text.find("\n---", start + 1)
        stop = len(text) if stop < 0 else stop
        if shapes.MANIFEST.search(text, start, stop):
            yield from _in_manifest(text, start, stop)
        start = stop + 1


def _in_manifest(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The same of what stands between two places."""
    done = start
    for data in shapes.DATA.finditer(text, start, stop):
        if data["indent"] is None:
            if data.end() > done:
                end = text.find("}", data.end(), stop)
                done = stop if end < 0 else end
                for value in shapes.STRING.finditer(text, data.end(), done):
                    yield value.span(1)
            continue
        at = data.end() + 1
        while at < stop:
            end = text.find("\n", at, stop)
            line = text[at : stop if end < 0 else end]
            indent = len(line) - len(line.lstrip(" +-"))
            if line.strip() and indent <= len(data["indent"]):
                break
            yield at + (line.find(": ") + 2 if ": " in line else indent), at + len(line)
            at += len(line) + 1


def _is_card(word: str) -> bool:
    """Whether digits are the number of a card, by their check digit (Luhn's)."""
    digits = [int(c) for c in reversed(word) if c.isdigit()]
    doubled = [n if at % 2 == 0 else 2 * n - 9 * (n > 4) for at, n in enumerate(digits)]
    first = digits[-1] in (3, 4, 5, 6) or 2221 <= int("".join(map(str, digits[:-5:-1]))) <= 2720  # or Mastercard's
    return len(set(digits)) > 1 and first and sum(doubled) % 10 == 0


def _random(word: str) -> Iterator[tuple[int, int]]:
    """The stretches of a word without spaces that look random: what is left of it once paths and dotted names are taken
    apart."""
    at = 0
    for piece in re.split(r"([./=~]+)", word):
        if len(piece) >= shapes.SHORTEST and _is_random(piece):
            yield at, at + len(piece) + len(word[at + len(piece) :]) - len(word[at + len(piece) :].lstrip("="))
        at += len(piece)
    if len(word) >= 32 and _is_random(word) and not re.search(r"[./]{1}[a-z]{1,4}$|/[a-z]{3,}", word):
        yield 0, len(word)


def _is_random(word: str) -> bool:
    if not any(map(str.isdigit, word)):
        return False
    kinds = 1 + any(map(str.islower, word)) + any(map(str.isupper, word))
    if kinds < (2 if len(word) >= MIXED else 3):
        return False
    written = sum(len(part) for part in shapes.WORDY.findall(word) if len(part) > 3)
    return 3 * written < 2 * len(word) and _entropy(word) >= RANDOM


def _entropy(word: str) -> float:
    counts = Counter(word)
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values())
