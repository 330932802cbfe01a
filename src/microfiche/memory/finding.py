"""Finding what is remembered: pages by words, by pixels or by both, with the exact passage on each and, where that is
asked for, what the model reads there; and the answer of a model at an endpoint, which cites pages.

Finding by words loads no model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, Literal, get_args

from rapidfuzz import fuzz

from microfiche.endpoint import Endpoint
from microfiche.errors import InputError, StoreError, UsageError
from microfiche.memory.archive import Archive, OpenPage
from microfiche.memory.context import Context, context
from microfiche.memory.database import format_of
from microfiche.memory.messages import as_read, legible, uncut, unmistakable
from microfiche.memory.paper import from_bytes, set_again
from microfiche.memory.records import PageRecord, Place, every_place, page_records
from microfiche.memory.words import find, passage, places_of, score_of, words_of
from microfiche.page import TOKEN_SIDE, Boxes
from microfiche.typesetting import density

if TYPE_CHECKING:
    from microfiche.page import Reading

By = Literal["text", "pixels", "both"]
FUSED = 60  #: the constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)
OPEN = 0.5  #: share of the query's words that an open page of format 1 must hold
MOST = 10_000  #: passages of a search
CANDIDATES = 100  #: pages of each kind of search that are fused
WIDTH = 240  #: characters of a passage
INSTRUCTION = (
    "Answer from the pages above alone, and name each page that you took something from as [page N], N as in its "
    "caption. If they do not say it, say so.\n\nQuestion: "
)
ANSWER = 1024  #: tokens of an answer at most
_CITED = re.compile(r"\[pages?\s+([\d,\s and&-]+)")


@dataclass(frozen=True, repr=False)
class Hit:
    """A passage on page `number` of a `source`, which begins at character `start` of it.

    `text` is the passage as it was added, to the character, and `marked` what `unmistakable` makes of it: in a chat,
    what could be taken for a label is told from labels by their mark. `read` is what the model reads there from the
    vision tokens, where that was asked for. `page` is the page's number in the log, None for an open page. `part` is
    "diff" on a page that shows what the newest version changed, and `start` and `number` are then of that. The higher
    the `score`, the better; scores of different searches cannot be compared.
    """

    page: int | None
    source: str
    number: int
    start: int
    text: str
    score: float
    read: str | None = None
    part: str = "text"
    marked: tuple[str, str] = ("", "")
    _line: Callable[[], int] = field(default=lambda: 1, repr=False, compare=False)
    _spoken: Callable[[], tuple[int | None, str]] = field(default=lambda: (None, ""), repr=False, compare=False)

    @cached_property
    def line(self) -> int:
        """The line of print on the page on which the passage begins, from 1; the page is set to find it."""
        return self._line()

    @cached_property
    def _said(self) -> tuple[int | None, str]:
        return self._spoken()

    @property
    def message(self) -> int | None:
        """The message of a chat in which the query's first word in the passage stands, as `Memory.messages` has them,
        from 1; None where the source is no chat."""
        return self._said[0]

    @property
    def role(self) -> str:
        """Who says it; empty where the source is no chat."""
        return self._said[1]

    @property
    def exact(self) -> bool:
        """Whether what was read there, if anything was, is what was added."""
        return self.read is None or self.read == self.text

    def __repr__(self) -> str:
        where = f"page {self.number}" if self.page is None else f"page {self.number}, page {self.page} of the log"
        return f"Hit({self.source!r}, {where}: {self.text[:40]!r}{' …' if len(self.text) > 40 else ''})"

    def to_dict(self) -> dict[str, Any]:
        """The hit as JSON takes it."""
        names = ("page", "source", "part", "number", "line", "message", "role", "start", "text", "read", "exact",
                 "score")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class CitingAnswer:
    """The `text` of an answer, whether it was `cut` short, and the context that it answers from.

    `cited` are the pages that it cites, with their places, and `unknown` the numbers that it cites though no page of
    that number was sent.
    """

    text: str
    cut: bool
    cited: dict[int, Place]
    unknown: list[int]
    context: Context


def rank(
    archive: Archive, queries: Sequence[str], count: int, by: By, index: Path | None = None
) -> list[list[tuple[int, float]]]:
    """The best `count` pages of the log for each query, best first, each with its score.

    `index` names weights of an indexer, where pages are found by pixels and those that ship are not to be used.
    UsageError for a `by` that does not exist or a count below 1.
    """
    if by not in get_args(By):
        raise UsageError(f"no search by {by!r}; there are {', '.join(get_args(By))}")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST:
        raise UsageError(f"a count of {count!r} is not a whole number from 1 to {MOST:,}")
    if by == "text":
        with archive.reading() as connection:
            return [find(connection, query, count) for query in queries]
    from microfiche.memory.indexer import search as by_pixels  # here, because finding words takes no torch
    from microfiche.nano.indexer import load_indexer

    indexer = load_indexer(index, archive.model.checkpoint)
    pixels = [[(match.page, match.score) for match in found]
              for found in by_pixels(archive, indexer, queries, count if by == "pixels" else CANDIDATES)]
    if by == "pixels":
        return pixels
    text = rank(archive, queries, CANDIDATES, "text")
    return [_fused([a, b])[:count] for a, b in zip(text, pixels, strict=True)]


def search(
    archive: Archive, query: str, count: int = 10, by: By = "text", index: Path | None = None, read: bool = False
) -> list[Hit]:
    """The best `count` passages for a query, best first, as they were added; open pages are found by their words alone.

    With `read`, each has beside it what the model reads there from the vision tokens. A damaged page is left out.
    UsageError for a query without a word, a `by` that does not exist or a count below 1.
    """
    if not isinstance(query, str) or not words_of(query):
        raise UsageError(f"{query!r}: there is no word to look for in it")
    with archive.reading() as connection:
        old = format_of(connection) == 1  # whose open pages have no words in the index
        hits = _open_hits(archive, query) if old else []
        if by == "text" and not old:
            rank(archive, [], count, by)  # which refuses a wrong count
            ranked = find(connection, query, count, pieces=True)
        else:
            ranked = rank(archive, [query], count, by, index)[0]
            if by != "text" and not old:
                ranked = [hit for hit in find(connection, query, count, pieces=True) if hit[0] < 0] + ranked
        numbers = [number for number, _ in ranked[:count] if number > 0]
        marks = ", ".join("?" * len(numbers))
        records = {r.id: r for r in page_records(connection, f"WHERE id IN ({marks})", numbers)}
        where = every_place(connection, numbers, current=True)
        for number, score in ranked[:count]:
            try:
                if number < 0:
                    hits.append(_piece(archive, connection, -number, query, score))
                found = {place.source: place for place in reversed(where.get(number, []))}  # of each text the first
                for place in reversed(found.values()):
                    hits.append(_hit(archive, records[number], place, query, score, read))
            except StoreError:
                continue
    return hits[:count]


def _open_hits(archive: Archive, query: str) -> list[Hit]:
    words, hits = words_of(query), []
    for page in archive.open_pages():
        if (share := score_of(page.text, words)) >= OPEN:
            hits.append(_on_open(archive, page, page.start, page.text, query, share))
    return hits


def _piece(archive: Archive, connection: Connection, piece: int, query: str, score: float) -> Hit:
    """The passage in a piece of an open page."""
    source, start, text = connection.execute(
        "SELECT name, start, text FROM open JOIN source ON source.id = open.source WHERE open.id = ?", (piece,)
    ).fetchone()
    page = OpenPage(source, 0, start, from_bytes(text))
    (number,) = connection.execute(
        "SELECT 1 + count(*) FROM place JOIN version ON version.id = place.version JOIN source"
        " ON source.id = version.source WHERE source.name = ? AND version.retired IS NULL", (source,),
    ).fetchone()  # fmt: skip
    return _on_open(archive, replace(page, number=number), start, page.text, query, score)


def _on_open(archive: Archive, page: OpenPage, at: int, text: str, query: str, score: float) -> Hit:
    start, end = _passage(text, query)

    def line() -> int:
        whole = next((one for one in archive.open_pages() if one.source == page.source), page)
        page_set = archive.set_open(whole)
        top = int(page_set.page.boxes[at + start - whole.start, 1])
        return 1 + top // density.density(page_set.setting.density).height

    said = text[start:end]
    return Hit(None, page.source, page.number, at + start, legible(said), score, None, "text", unmistakable(said), line,
               lambda: _message_at(archive, page.source, _first(legible(said), query) + at + start))


def _hit(archive: Archive, record: PageRecord, place: Place, query: str, score: float, read: bool) -> Hit:
    """The passage on a page that speaks of the query, and what is read there."""
    text = archive.text(record)
    start, end = _passage(text, query)

    def line() -> int:
        return 1 + int(boxes_of(record, text)[start, 1]) // density.density(record.density).height

    seen = as_read(_read(archive, record, text, start, end), record.layout) if read else None
    said, chat = text[start:end], record.layout == "turns"
    return Hit(record.id, place.source, place.number, place.start + start, as_read(said, record.layout), score, seen,
               place.part, unmistakable(said) if chat else (said, ""), line,
               lambda: _message_at(archive, place.source, _first(said, query) + place.start + start))


def whereabouts(archive: Archive, hit: Hit, query: str) -> str:
    """Where in its source the first of a query's words in a passage stands, as people say it: the line of a text, or
    the message of a chat and who said it."""
    if hit.message:
        return f"message {hit.message:,} ({hit.role})"
    at = hit.start + _first(hit.text, query)
    with archive.reading() as connection:
        _, version, number, kind = _current(connection, hit.source)
        if hit.part == "diff":
            return f"what version {number} changed"
        if kind == "chat":
            return f"page {hit.number}"
        lines = 1
        for page, start in connection.execute(
            "SELECT page, start FROM place WHERE version = ? AND part = 'text' AND start <= ? ORDER BY number",
            (version, at),
        ).fetchall():
            lines += archive.text(page).count("\n", 0, at - start)
        return f"line {lines:,}"


def _message_at(archive: Archive, name: str, at: int) -> tuple[int | None, str]:
    """The number of the message that stands at a character of a chat, and who says it; (None, "") in what is none."""
    with archive.reading() as connection:
        source, version, _, kind = _current(connection, name)
        if kind != "chat":
            return None, ""
        of = "version = ? AND length" if format_of(connection) > 1 else "? IS NOT NULL"
        count, role, _ = connection.execute(
            f"SELECT count(*), role, max(id) FROM message WHERE source = ? AND {of} AND start <= ?",
            (source, version, at),
        ).fetchone()  # fmt: skip
        return (count, role) if count else (None, "")


def _current(connection: Connection, name: str) -> tuple[int, int, int, str]:
    """The number of a source in the table, that of its current version there and in its history, and its kind."""
    found: tuple[int, int, int, str] = connection.execute(
        "SELECT source, version.id, number, kind FROM version JOIN source ON source.id = source"
        " WHERE name = ? AND retired IS NULL", (name,),
    ).fetchone() or (0, 0, 0, "")  # fmt: skip
    return found


def _first(text: str, query: str) -> int:
    """Where the first of a query's words stands in a text."""
    return next((start for start, _ in places_of(text, query)), 0)


def _passage(text: str, query: str) -> tuple[int, int]:
    start, end = passage(text, query, WIDTH)
    return uncut(text, start), uncut(text, end or min(len(text), WIDTH))


def _read(archive: Archive, record: PageRecord, text: str, start: int, end: int) -> str:
    """What the model reads on a page where characters `start` to `end` of its text stand.

    It reads whole lines; of these, the characters are taken that are best aligned with the passage.
    """
    boxes = boxes_of(record, text)
    first, last = int(boxes[start, 1]), int(boxes[max(start, end - 1), 3])
    reading, _ = read_rows(archive, record, first, last)
    if not len(reading.text):
        return ""
    found = fuzz.partial_ratio_alignment(text[start:end], reading.text)
    return reading.text[found.dest_start : found.dest_end] if found else ""


def boxes_of(record: PageRecord, text: str) -> Boxes:
    """(T, 4) the boxes of the characters of a page, in px of the page as it was set."""
    return set_again(text, record.setting, record.side, record.undrawn).boxes


def read_rows(archive: Archive, record: PageRecord, top: int, bottom: int) -> tuple[Reading, int]:
    """What nano reads of a page between two rows of pixels, and the row of pixels from which on it has read.

    It reads no more rows of tokens than that takes, and begins where both a row of tokens and a line of print do.
    """
    whole = archive.tokens(record)
    height = density.density(record.density).height
    step = height // math.gcd(height, TOKEN_SIDE)
    first = top // TOKEN_SIDE // step * step
    last = min(whole.height, -(-bottom // TOKEN_SIDE) + 1)
    values = whole.values[first * whole.width : last * whole.width]
    setting = whole.setting and whole.setting.without_above(first * TOKEN_SIDE // height)
    part = replace(whole, values=values, height=last - first, setting=setting)
    return archive.model.read([part])[0], first * TOKEN_SIDE


def _fused(lists: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The pages of several rankings in one, by reciprocal rank fusion."""
    total: dict[int, float] = {}
    for found in lists:
        for place, (page, _) in enumerate(found, 1):
            total[page] = total.get(page, 0.0) + 1 / (FUSED + place)
    return sorted(total.items(), key=lambda item: -item[1])


def ask(archive: Archive, question: str, server: Endpoint, model: str, budget: int) -> CitingAnswer:
    """What `model` at `server` answers to a question from a context of at most `budget` of its tokens.

    InputError if no answer comes.
    """
    sent = context(archive, budget, question, model, "openai", INSTRUCTION)
    body = {"model": model, "max_completion_tokens": ANSWER, "messages": sent.messages}
    text, cut = server.chat(body, ("max_completion_tokens",))
    if not text.strip():
        raise InputError("the endpoint's answer is empty")
    numbers, shown = cited(text), {page.page for page in sent.pages}
    known = [n for n in numbers if n in shown]
    return CitingAnswer(text, bool(cut), archive.places(known), [n for n in numbers if n not in shown], sent)


def cited(text: str) -> list[int]:
    """The numbers of the pages that an answer cites, in order: [page 3], [pages 3, 4 and 7]."""
    found = [int(n) for group in _CITED.findall(text) for n in re.findall(r"\d{1,12}", group)]
    return list(dict.fromkeys(found))
