"""Secrets in a text: keys by their known shapes, values that their names call secret, and strings that are random.

None of them is drawn. A string that only looks like a secret costs nothing but that: it stands beside the page as text.
This module knows nothing of pages; the shapes stand in secret_shapes.py.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from microfiche.proxy import secret_shapes as shapes

RANDOM = 3.5  #: bits a character from which on a long string of several kinds of characters is taken for random
MIXED = 20  #: characters from which on two kinds of them are enough, and not capitals, small letters and digits
NEAR = 80  #: characters of a line around an odd word in which something may tell that it is a secret
REACH = 400  #: characters from a name to the end of what follows it, but for a value that a blank would end, at most
AFTER = 2  #: lines after a name in which its value may stand


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Where secrets stand in a text: starts and ends, in order, none within another. Random strings and long hashes are
    among them."""
    found = sorted({span for span in _spans(text) if span[1] > span[0]})
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for pattern in dict.fromkeys(pattern for start, pattern in shapes.KNOWN if start in text):
        for match in pattern.finditer(text):
            yield match.span(match.lastindex or 0)
    yield from _private(text)
    lowered, starts = _lowered(text), [0, *(match.end() for match in shapes.LINE_END.finditer(text))]
    lines = _hinted(lowered, starts)
    others = [one for one in shapes.OTHERS if any(part in lowered for part in one[0])]
    for first, last in _stretches(lines, starts, len(text)):
        yield from _called(text, lowered, first, last, others)
    yield from _in_columns(lowered, starts, set(lines))
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


def _lowered(text: str) -> str:
    """The text in small letters, each in its place, without those that only look like some of ASCII's."""
    for like, letter in shapes.LIKE.items():
        text = text.replace(like, letter)
    return text.lower()


def _private(text: str) -> Iterator[tuple[int, int]]:
    """Private keys between their lines, whatever a tool has put before each of them."""
    for match in shapes.BEGUN.finditer(text) if "PRIVATE KEY" in text else ():
        end = text.find("END ", match.end(), match.end() + shapes.PRIVATE)
        stop = re.compile(r"[^-]*").match(text, match.end(), match.end() + shapes.PRIVATE)
        yield match.start(), end if end >= 0 else stop.end() if stop else match.end()


def _hinted(lowered: str, starts: Sequence[int]) -> list[int]:
    """The lines of a text that may call something secret, from 0."""
    found: set[int] = set()
    for hint in shapes.HINTS:
        at = lowered.find(hint)
        while at >= 0:
            line = bisect_right(starts, at)
            found.add(line - 1)
            at = lowered.find(hint, starts[line]) if line < len(starts) else -1
    return sorted(found)


def _stretches(lines: Sequence[int], starts: Sequence[int], length: int) -> list[tuple[int, int]]:
    """The stretches of a text of such lines and those after them in which a value may stand."""
    found: list[tuple[int, int]] = []
    for line in lines:
        end = starts[line + AFTER + 1] - 1 if line + AFTER + 1 < len(starts) else length
        if found and starts[line] <= found[-1][1]:
            found[-1] = found[-1][0], end
        else:
            found.append((starts[line], end))
    return found


def _called(
    text: str, lowered: str, first: int, last: int, others: Sequence[tuple[Sequence[str], re.Pattern[str]]]
) -> Iterator[tuple[int, int]]:
    """What is called secret by its name between two places, or by one of some other patterns."""
    covered = first  # up to here all is in what was found
    for at in dict.fromkeys(_begins(text, found.start()) for found in shapes.CALLED.finditer(lowered, first, last)):
        if at < covered - REACH:
            continue
        if (match := shapes.NAMED.match(text, at, last)) is not None:
            start, end = match.span(match.lastindex or 0)
            quoted = match[6] is None
            after = text[end : end + 1]
            same = match[0].startswith(text[start:end])  # as in token=token
            call = not quoted and (same or (after != "" and after in "(["))
            if not call and not (shapes.BLANK if quoted else shapes.CODE).fullmatch(text, start, end):
                yield start, end
                covered = max(covered, end)
        match = shapes.SETTING.match(text, at, last)
        if match is not None and not shapes.CODE.fullmatch(text, *match.span(1)):
            yield match.span(1)
        if (match := shapes.INSTEAD.match(text, at, last)) is not None:
            yield match.span(match.lastindex or 0)
    for parts, pattern in others:
        if any(lowered.find(part, first, last) >= 0 for part in parts):
            for match in pattern.finditer(lowered, first, last):
                yield match.span(match.lastindex or 0)
    for match in shapes.ODD.finditer(text, first, last):
        start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
        near = max(start, match.start() - NEAR), min(len(text) if end < 0 else end, match.end() + NEAR)
        if shapes.TELLS.search(lowered, *near) and not shapes.NOT_ODD.fullmatch(match[0]):
            yield match.span()
    for value, name in shapes.BEHIND:
        for match in value.finditer(text, first, last):
            if name.search(lowered, max(first, match.start() - shapes.LONGEST_NAME), match.start()):
                yield match.span(1)


def _begins(text: str, at: int) -> int:
    """Where the word begins in which something stands."""
    return at - len(shapes.WORD_BEFORE.match(text[max(0, at - 60) : at][::-1])[0])  # type: ignore[index]


def _in_columns(lowered: str, starts: Sequence[int], hinted: Collection[int]) -> Iterator[tuple[int, int]]:
    """The cells of a table below a head that calls them secret, as far as the lines have as many cells."""
    cut, columns, count = "", list[int](), 0
    for number, (at, end) in enumerate(zip(starts, [*starts[1:], len(lowered) + 1], strict=True)):
        if not columns and number not in hinted:
            continue
        line = lowered[at : end - 1]
        if columns and line.count(cut) == count:
            start = at
            for column, cell in enumerate(line.split(cut)):
                if column in columns and cell.strip(" -:|\"'"):
                    yield start, start + len(cell)
                start += len(cell) + 1
        else:
            columns = []
            found = shapes.CELLS.search(line) if len(line) < 1000 and number in hinted else None
            if found is not None:
                cut = found[0]
                cells, count = line.split(cut), line.count(cut)
                named = all(len(cell) < 60 and ":" not in cell and "=" not in cell for cell in cells)
                columns = [n for n, cell in enumerate(cells) if named and shapes.COLUMN.fullmatch(cell)]
                for column in columns:  # or the name stands before its value
                    start = at + sum(len(cell) + 1 for cell in cells[: column + 1])
                    yield start, start + len(cells[column + 1]) if column + 1 < len(cells) else start


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
    return len(set(digits)) > 1 and digits[-1] in (3, 4, 5, 6) and sum(doubled) % 10 == 0


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
