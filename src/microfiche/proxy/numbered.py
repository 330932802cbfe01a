"""A text by its lines, as an agent's tools give it: without the numbers that they have put before each line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microfiche.sources import plainly

AROUND, LONG = 40, 160  #: characters around a place in a line that is longer than LONG
_NUMBERED = re.compile(r"[ ]*(\d{1,7})(\t|→|:|\|)")
_HEADING = re.compile(r"## ([0-9a-f]{4,}) 1 of \d+")


def heading(number: int, of: int, mark: str) -> str:
    """The line before one of several results that share pages, with a mark that stands in none of them."""
    return f"## {mark} {number} of {of}"


def mark_for(texts: Sequence[str]) -> str:
    """A mark that stands nowhere in some texts, always the same for the same ones."""
    seen = [plainly(text).casefold() for text in texts]
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return next(digest[:n] for n in range(4, len(digest) + 1) if not any(digest[:n] in text for text in seen))


def mark_in(text: str) -> str:
    """The mark of a text of several results; empty where it is none."""
    found = _HEADING.fullmatch(text.partition("\n")[0])
    return found[1] if found else ""


class Bare:
    """A text by its lines, without the numbers that a tool has put before all of them, or before all of one of several
    results that stand `together`."""

    def __init__(self, text: str, together: bool = False) -> None:
        lines = text.split("\n")
        begins = f"## {mark_in(text)} "
        heads = [n for n, line in enumerate(lines) if line.startswith(begins)] if together and mark_in(text) else []
        prefixes, self.note = [0] * len(lines), ""
        for start, stop in zip([0, *(n + 1 for n in heads)], [*heads, len(lines)], strict=True):
            first = _NUMBERED.match(lines[start]) if stop - start > 2 else None
            found = _prefixes(lines[start:stop], int(first[1]), first[2]) if first else None
            if first and found is not None:
                prefixes[start:stop] = found
                which = f" lines {start + 1} to {stop}" if together else ""
                mark = lines[start][first.end(1) : found[0]]
                self.note += f",{which} numbered from {first[1]} on by {mark!r}"
        bare = [line[cut:] for line, cut in zip(lines, prefixes, strict=True)]
        self.text = "\n".join(bare)
        self.starts = np.cumsum([0, *(len(line) + 1 for line in bare[:-1])])
        self._cut = np.cumsum(prefixes)

    def __len__(self) -> int:
        return len(self.starts)

    def place(self, at: int) -> int:
        """Where a character stands in the text as it came; that before the number of a line, at its beginning."""
        number = self.number(at)
        begins = number > 1 and at == int(self.starts[number - 1])
        return at + int(self._cut[number - 1 - begins]) if at else 0

    def cut(self, span: tuple[int, int]) -> tuple[int, int]:
        """Where a stretch of the text as it came stands here, or rather more."""
        places = self.starts + np.concatenate(([0], self._cut[:-1]))  # where each line begins in the text as it came
        first, last = (int(np.searchsorted(places, at, "right")) - 1 for at in span)
        start = int(self.starts[first])
        end = int(self.starts[last + 1]) if last + 1 < len(self) else len(self.text)
        return (start, end) if len(self._cut) and self._cut[-1] else span

    def number(self, at: int) -> int:
        """The number of the line in which a character stands, from 1."""
        return int(np.searchsorted(self.starts, at, "right"))

    def shown(self, places: NDArray[np.int64]) -> str:
        """The lines in which some characters stand, whose places ascend, each after its number; of a long line, what is
        around them."""
        numbers = np.searchsorted(self.starts, places, "right")
        firsts = np.flatnonzero(np.diff(numbers, prepend=0))
        parts, begins = [], firsts.tolist()
        for number, begin, end in zip(numbers[firsts].tolist(), begins, [*begins, len(places)][1:], strict=True):
            start = int(self.starts[number - 1])
            stop = int(self.starts[number]) - 1 if number < len(self) else len(self.text)
            parts.append(f"\n{number}: {self._excerpts(start, stop, places[begin:end])}")
        return "".join(parts)

    def _excerpts(self, start: int, stop: int, places: NDArray[np.int64]) -> str:
        if stop - start <= LONG:
            return self.text[start:stop]
        cuts: list[list[int]] = []
        for place in places.tolist():
            a, b = max(start, place - AROUND), min(stop, place + AROUND + 1)
            if cuts and a <= cuts[-1][1]:
                cuts[-1][1] = b
            else:
                cuts.append([a, b])
        before, after = "…" * (cuts[0][0] > start), "…" * (cuts[-1][1] < stop)
        return before + " … ".join(self.text[a:b] for a, b in cuts) + after


def _prefixes(lines: Sequence[str], number: int, mark: str) -> list[int] | None:
    """How long the number before each line is, with the `mark` after it, if every line has its own, one more than that
    before it; those at the end may be empty. A blank after the mark belongs to it where all lines have one."""
    found: list[int] = []
    for line in lines:
        match = _NUMBERED.match(line)
        if match is None or int(match[1]) != number or match[2] != mark:
            if any(lines[len(found) :]):
                return None
            break
        found.append(match.end())
        number += 1
    blank = mark in ":|" and all(line[end : end + 1] in ("", " ") for line, end in zip(lines, found, strict=False))
    ends = [min(end + blank, len(line)) for line, end in zip(lines, found, strict=False)]
    return ends + [0] * (len(lines) - len(ends))
