"""What stays of a text that changed, and what to show of the change. This module knows nothing of databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice, pairwise

SHORTEST = 256  #: characters that a page must have to be looked for further on; a shorter one is kept only in its place
NEAR = 1 << 20  #: characters further on that a page is looked for, and twice those of the pages that were not found
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  #: by which `changes` tells lines
LINES = 4000  #: lines of a changed stretch that are compared one by one
AROUND = 200  #: characters to either side of something that are its line, where that is longer
Span = tuple[int, int]  #: where a stretch of characters begins and ends


@dataclass(frozen=True)
class VersionPart:
    """A version of a source, of which `part` ("text" or "diff") is looked at; `current` where none followed it."""

    id: int
    source: int
    name: str
    kind: str
    number: int
    part: str
    current: bool


@dataclass(frozen=True)
class Stretch:
    """Characters `start` to `end` of the new text, which are the old page `kept` or, where that is None, new."""

    start: int
    end: int
    kept: int | None = None


def stretches(new: str, old: Sequence[tuple[int, str]]) -> list[Stretch]:
    """Cuts the new text where `old` pages (number, text) stand in it, in their order."""
    found: list[Stretch] = []
    at = lost = 0
    for page, text in old:
        until = at + len(text) + NEAR + 2 * lost
        where = at if new.startswith(text, at) else new.find(text, at, until) if len(text) >= SHORTEST else -1
        if where < 0 or not text:
            lost += len(text)
            continue
        if where > at:
            found.append(Stretch(at, where))
        found.append(Stretch(where, where + len(text), page))
        at, lost = where + len(text), 0
    if at < len(new) or not found:
        found.append(Stretch(at, len(new)))
    return found


def changes(new: str, old: Sequence[tuple[int, str]], cut: Sequence[Stretch], title: str) -> str:
    """What changed, as a unified diff of what lies between the pages that stayed."""
    texts = dict(old)
    order = [page for page, _ in old]
    parts = [f"{title}\n"]
    gone: list[str] = []
    fresh: list[str] = []
    at = 0
    for stretch in [*cut, None]:
        if stretch is not None and stretch.kept is None:
            fresh.append(new[stretch.start : stretch.end])
            continue
        until = len(order) if stretch is None else order.index(stretch.kept or 0, at)
        gone += [texts[page] for page in order[at:until]]
        at = until + 1
        if gone or fresh:
            parts.append(_compared("".join(gone), "".join(fresh)))
        gone, fresh = [], []
    return "".join(parts)


def _compared(old: str, new: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > LINES:
        return f"@@ {len(before)} lines replaced by {len(after)} lines @@\n"
    lines = islice(unified_diff(before, after, n=1, lineterm=""), 2, None)
    return "".join(f"{line}\n" for line in lines)


def shown_of(diff: str, text: str, spans: Sequence[Span]) -> list[Span]:
    """The lines of a diff, as `changes` writes it, that show something of what stands in spans of a text, each of which
    is on one page. What begins or ends a page may be a part of a line, of which the diff shows more."""
    whole, parts = set[str](), set[str]()
    for start, end in spans:
        at = start
        for line in text[start:end].splitlines(keepends=True):
            bare, last = line.rstrip(LINE_ENDS), at + len(line)
            alone = (at == 0 or text[at - 1] in LINE_ENDS) and (line != bare or last == len(text))
            at = last
            if bare.strip():
                (whole if alone else parts).add(bare)
    ends = [0]
    for line in diff.splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    found = []
    for start, end in islice(pairwise(ends), 1, None):  # behind the title
        mark, line = diff[start], diff[start + 1 : end].rstrip(LINE_ENDS)
        if mark in " +-" and (line in whole or any(part in line for part in parts)):
            found.append((start, end))
    return found


def without(text: str, spans: Sequence[Span]) -> str:
    """The text without what stands in the spans, which are in order."""
    parts, at = [], 0
    for start, end in spans:
        parts.append(text[at : max(at, start)])
        at = max(at, end)
    return "".join([*parts, text[at:]])


def merged(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, those that overlap or touch as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def line_around(text: str, start: int, end: int) -> Span:
    """The line or lines that hold a stretch of text, but at most AROUND characters, in whole words, to either side."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end) + 1
    last = last or len(text)
    if start - first > AROUND:
        first = text.find(" ", start - AROUND, start) + 1 or start
    if last - end > AROUND:
        last = text.rfind(" ", end, end + AROUND) + 1 or end
    return first, last
