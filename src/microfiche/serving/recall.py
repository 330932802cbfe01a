"""Recall: what stands on pages that a model was sent, found by words, read exactly, shown again smaller or larger.

It looks into the proxy's ledger and into any memories. Nothing is written, and what is asked is never more than looked
for. A page of the ledger is named as its caption names it (`k3f9-2`), a page of a memory by the memory's file and the
page's number (`work/17`), and a chat's page that may still grow by the chat (`work/open:chat`). This module knows
nothing of MCP.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from microfiche.errors import InputError, UsageError
from microfiche.files import plain
from microfiche.memory import Memory
from microfiche.memory.archive import OpenPage
from microfiche.memory.captioned import titled
from microfiche.memory.messages import as_read, unmistakable
from microfiche.memory.paper import beside_page, png, set_pages
from microfiche.memory.words import words_of
from microfiche.page import Layout
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.pages import without_secrets
from microfiche.typesetting.density import MODES, density
from microfiche.typesetting.shrink import shrink_picture
from microfiche.typesetting.typesetter import Typesetter

QUERY, NAME = 1000, 300  #: characters of a query and of a page's name
HITS = 20  #: passages of a search
LINES, CHARACTERS = 400, 20_000  #: lines and characters that are read at once
PICTURES = 6  #: pictures of a page that is set anew
ZOOM = "8x16"  #: the cell in which a page is set anew, 3.2 times the area of 5x8's
Size = Literal["small", "page", "large"]
SIZES: tuple[Size, ...] = get_args(Size)
_OPEN = "open:"


@dataclass(frozen=True)
class Found:
    """A passage: the page's name, the line of it, where that came from, and the passage as it was."""

    page: str
    line: int
    source: str
    text: str


@dataclass(frozen=True)
class Part:
    """Lines `first` to `last` of the `of` lines of a `source`, exactly as they were. `goes_on` says how to ask for what
    was too long to be given with them, or is empty."""

    page: str
    source: str
    first: int
    last: int
    of: int
    lines: tuple[str, ...]
    goes_on: str = ""

    def __str__(self) -> str:
        head = f"{self.page} ({self.source}), lines {self.first:,} to {self.last:,} of {self.of:,}:"
        numbered = [f"{number}\t{line}" for number, line in enumerate(self.lines, self.first)]
        return "\n".join([head, *numbered, *([self.goes_on] if self.goes_on else [])])


@dataclass(frozen=True)
class Shown:
    """Pictures of a page, as PNG, and a caption that says what they are and what is not drawn on them."""

    caption: str
    pictures: tuple[bytes, ...]


class Recall:
    """Looks into the ledger at a path, where one is there by the time that it is asked, and into memories.

    InputError where one of the memories is not there; what is asked wrongly is a UsageError, in one line.
    """

    def __init__(self, ledger: Path | None = None, memories: Sequence[Path] = ()) -> None:
        self.ledger = ledger
        self.memories: dict[str, Memory] = {}
        self._opened: Ledger | None = None
        for path in memories:
            if not path.exists():
                raise InputError(f"{path}: there is no memory there; microfiche memory add makes one")
            stem = name = re.sub(r"[^\w.-]", "_", path.stem) or "memory"
            number = 1
            while name in self.memories:
                number += 1
                name = f"{stem}-{number}"
            self.memories[name] = Memory(path, read_only=True)

    def close(self) -> None:
        """Closes all files."""
        for memory in self.memories.values():
            memory.close()
        if self._opened is not None:
            self._opened.close()

    def search(self, query: str, count: int = 5) -> list[Found]:
        """The passages that say most of a query's words, at most `count`, in turn of the ledger and each memory."""
        if not isinstance(query, str) or not 1 <= len(query) <= QUERY or not words_of(query):
            raise UsageError(f"a query has 1 to {QUERY:,} characters and at least one word")
        _within("count", count, 1, HITS)
        ledger = self._ledger()
        lists = [[Found(hit.page, hit.line, "a drawn page", hit.text) for hit in ledger.search(query, count)]
                 if ledger is not None else []]  # fmt: skip
        lists += [self._in_memory(name, memory, query, count) for name, memory in self.memories.items()]
        mixed = [found for found in chain.from_iterable(zip_longest(*lists)) if found is not None]
        return mixed[:count]

    def _in_memory(self, name: str, memory: Memory, query: str, count: int) -> list[Found]:
        made = []
        for hit in memory.search(query, count):
            page = f"{name}/{_OPEN}{titled(hit.source)}" if hit.page is None else f"{name}/{hit.page}"
            _, whole, layout = self._text_of(page)
            whole = as_read(whole, layout)
            at = whole.find(hit.text)
            text, mark = hit.marked
            made.append(Found(page, whole.count("\n", 0, max(at, 0)) + 1, f"{titled(hit.source)}{_spoken(mark)}", text))
        return made

    def read_lines(self, page: str, first: int | None = None, last: int | None = None, column: int = 1) -> Part:
        """Lines of what a page is of, exactly as they were: those that stand on it where no number is given.

        Of a page of the ledger the lines are numbered as in the whole result that it belongs to, of a memory's as on
        the page. `column` says at which character of the first line to begin, for a line that is longer than is given
        at once. At most LINES lines and CHARACTERS characters are given.
        """
        for name, value in (("first", first), ("last", last)):
            if value is not None:
                _within(name, value, 1, 10**9)
        _within("column", column, 1, 10**9)
        if first is not None and last is not None and last < first:
            raise UsageError(f"last, {last}, is before first, {first}")
        found = self._found(page)
        source, lines, start, of = (
            self._from_ledger(found, first, last) if "/" not in found else self._from_memory(found, first, last)
        )
        if not lines:
            raise UsageError(f"{found} has {of:,} lines; none of those that you asked for")
        if column > max(len(lines[0]), 1):
            raise UsageError(f"line {start} has {len(lines[0]):,} characters, and none at {column}")
        return _bounded(found, source, lines, start, of, column)

    def _from_ledger(
        self, page: str, first: int | None, last: int | None
    ) -> tuple[str, list[str], int, int]:
        ledger = self._ledger()
        found = None if ledger is None else ledger.page(page if "-" in page else f"{page}-1")
        if ledger is None or found is None:
            raise self._unknown(page)
        lines = ledger.lines(page, first, last)
        return plain(found.source), [line.text for line in lines], lines[0].number if lines else 1, found.of

    def _from_memory(self, page: str, first: int | None, last: int | None) -> tuple[str, list[str], int, int]:
        source, lines = self._lines_of(page)
        start = first or 1
        return source, lines[start - 1 : last], start, len(lines)

    def show_page(self, page: str, size: Size = "page") -> Shown:
        """A page as it was drawn ("page"), at half its size ("small"), or set anew in larger print ("large")."""
        if size not in SIZES:
            raise UsageError(f"no size {size!r}; there are {', '.join(SIZES)}")
        found = self._found(page)
        if size == "large":
            return self._set_anew(found)
        data, caption = self._drawn(found)
        return Shown(caption, (data if size == "page" else _halved(data),))

    def _drawn(self, page: str) -> tuple[bytes, str]:
        if "/" not in page:
            ledger = self._ledger()
            found = None if ledger is None else ledger.page(page if "-" in page else f"{page}-1")
            if found is None:
                raise self._unknown(page)
            return found.png, (f"{found.name}, page {found.number} of {found.pages}, {plain(found.source)}, lines "
                               f"{found.first} to {found.last} of {found.of}")  # fmt: skip
        name, _, rest = page.partition("/")
        memory = self.memories[name]
        if rest.startswith(_OPEN):
            opened = _opened(memory, rest)
            assert opened
            return png(memory.set_open(opened).page.image), f"{page}, a page that may still grow"
        number = int(rest)
        place = memory.places([number]).get(number)
        return memory.png(number), f"{page}, {titled(place.source) if place else 'retired'}"

    def _set_anew(self, page: str) -> Shown:
        if "/" in page:
            source, lines, first, of = self._from_memory(page, None, None)
        else:
            source, lines, first, of = self._from_ledger(page, None, None)
            lines = without_secrets("\n".join(lines)).split("\n")
        pictures, beside, shown = [], [], 0
        typesetter = Typesetter(density(ZOOM), MODES["large"], "lines", beside=True)
        whole = "\n".join(lines)[: PICTURES * CHARACTERS] or " "
        for one in islice(set_pages(whole, typesetter), PICTURES):
            pictures.append(png(one.page.image))
            beside += beside_page(one.text, one.setting)
            shown += len(one.text)
        last = first + whole.count("\n", 0, max(shown - 1, 0))
        caption = f"{page} ({source}), lines {first:,} to {last:,} of {of:,}, set anew"
        if last < first + len(lines) - 1:
            caption += "; read_lines gives what comes after them"
        if beside:
            caption += f"; not drawn, in this order: {' · '.join(beside)[:CHARACTERS]}"
        return Shown(caption, tuple(pictures))

    # --- pages by their names ---

    def _found(self, page: str) -> str:
        """The name of a page in full; UsageError where it is none. That the ledger has it is seen later."""
        if not isinstance(page, str) or not 1 <= len(page) <= NAME:
            raise UsageError(f"a page's name has 1 to {NAME} characters")
        name = re.sub(r"^page\s+", "", page.strip().strip("[]"), flags=re.IGNORECASE).strip()
        if name.isascii() and name.isdecimal() and len(self.memories) == 1:
            name = f"{next(iter(self.memories))}/{name}"
        if "/" not in name:
            return name
        memory, _, rest = name.partition("/")
        opened = rest.startswith(_OPEN)
        if memory not in self.memories or not (opened or (rest.isascii() and rest.isdecimal() and len(rest) < 10)):
            raise self._unknown(name)
        if opened:
            if _opened(self.memories[memory], rest) is None:
                raise self._unknown(name)
            return name
        self.memories[memory].record(int(rest))
        return f"{memory}/{int(rest)}"

    def _lines_of(self, page: str) -> tuple[str, list[str]]:
        """The source and the lines of a page of a memory; in a chat, nothing that was said looks like a label."""
        source, text, layout = self._text_of(page)
        text, mark = unmistakable(text) if layout == "turns" else (text, "")
        return f"{source}{_spoken(mark)}", text.split("\n")

    def _text_of(self, page: str) -> tuple[str, str, Layout]:
        """The source of a page of a memory, its text as it is written, and its layout."""
        name, _, rest = page.partition("/")
        memory = self.memories[name]
        if rest.startswith(_OPEN):
            opened = _opened(memory, rest)
            assert opened
            return titled(opened.source), opened.text, "turns"
        record = memory.record(int(rest))
        place = memory.places([record.id]).get(record.id)
        return titled(place.source) if place else "retired", memory.text(record), record.layout

    def _unknown(self, page: str) -> UsageError:
        held = ", ".join(f"{name}/1 and on" for name in self.memories)
        return UsageError(f"there is no page {plain(page)[:80]!r}; search finds pages by their words"
                          + (f", and memories have {held}" if held else ""))  # fmt: skip

    def _ledger(self) -> Ledger | None:
        """The ledger, opened when there is one; it may be made while this runs."""
        if self._opened is None and self.ledger is not None and self.ledger.exists():
            self._opened = Ledger(self.ledger)
        return self._opened


def _opened(memory: Memory, name: str) -> OpenPage | None:
    """The open page of the chat that a page's name names, as it is or as captions show it."""
    chat, every = name.removeprefix(_OPEN), memory.open_pages()
    return next((one for shown in (str, titled) for one in every if shown(one.source) == chat), None)


def _spoken(mark: str) -> str:
    return f"; who speaks begins with [{mark}…]" if mark else ""


def _within(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"{name} is a whole number from {least:,} to {most:,}, and not {value!r:.40}")


def _bounded(page: str, source: str, lines: list[str], start: int, of: int, column: int) -> Part:
    """As many of the lines as are given at once."""
    given: list[str] = []
    left = CHARACTERS
    for number, line in enumerate(lines[:LINES]):
        text = line[column - 1 :] if number == 0 else line
        if len(text) > left:
            if given:
                break
            at = column + left
            more = f"(line {start} goes on: first={start}, column={at})"
            return Part(page, source, start, start, of, (text[:left],), more)
        given.append(text)
        left -= len(text) + 1
    after = start + len(given)
    more = f"(there is more: first={after}, last={start + len(lines) - 1})" if len(given) < len(lines) else ""
    return Part(page, source, start, after - 1, of, tuple(given), more)


def _halved(data: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        image = np.asarray(opened.convert("L"))
    height, width = image.shape
    return png(shrink_picture(image, max(1, height // 2), max(1, width // 2)))
