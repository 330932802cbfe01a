"""Finding what is remembered: pages by words, by pixels or by both, with the passage that nano reads on each; and the
answer of a model at an endpoint, which cites pages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from microfiche.endpoint import Endpoint
from microfiche.errors import InputError, StoreError, UsageError
from microfiche.memory.archive import Archive
from microfiche.memory.context import Context, context
from microfiche.memory.paper import set_pages, typesetter_of
from microfiche.memory.records import PageRecord, Place
from microfiche.memory.words import find, passage, score_of, words_of
from microfiche.page import TOKEN_SIDE, Boxes
from microfiche.typesetting import density

if TYPE_CHECKING:
    from microfiche.page import Reading

By = Literal["text", "pixels", "both"]
FUSED = 60  #: the constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)
OPEN = 0.5  #: share of the query's words that an open page must hold
CANDIDATES = 100  #: pages of each kind of search that are fused
WIDTH = 240  #: characters of a passage
INSTRUCTION = (
    "Answer from the pages above alone, and name each page that you took something from as [page N], N as in its "
    "caption. If they do not say it, say so.\n\nQuestion: "
)
ANSWER = 1024  #: tokens of an answer at most
_CITED = re.compile(r"\[pages?\s+([\d,\s and&-]+)")


@dataclass(frozen=True)
class Hit:
    """A passage on page `number` of a `source`, from the `line` on which it begins.

    `text` is what was read from the vision tokens, and `exact` says whether it is what was added. `page` is the page's
    number in the log, None for an open page, whose text is given as it is.
    """

    page: int | None
    source: str
    number: int
    line: int
    text: str
    exact: bool
    score: float


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
    """
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


def search(archive: Archive, query: str, count: int = 10, by: By = "text", index: Path | None = None) -> list[Hit]:
    """The best `count` passages for a query, best first, but those on open pages before all others.

    A damaged page is left out. UsageError for a query without a word.
    """
    if not words_of(query):
        raise UsageError(f"{query!r}: there is no word to look for in it")
    hits: list[Hit] = []
    with archive.reading():
        for page in archive.open_pages():
            share = score_of(page.text, words_of(query))
            if share >= OPEN:
                start, end = passage(page.text, query, WIDTH)
                columns = archive.manner.typesetter(page.text).columns
                hits.append(
                    Hit(None, page.source, page.number, 1 + start // columns, page.text[start:end], True, share)
                )
        for number, score in rank(archive, [query], count, by, index)[0]:
            try:
                hits.append(_hit(archive, archive.record(number), query, score))
            except StoreError:
                continue
    return hits[:count]


def passages(archive: Archive, question: str, count: int = 5, by: By = "text", index: Path | None = None) -> list[Hit]:
    """The best passages for a question, as `search` finds them, each in one line."""
    hits = search(archive, question, count, by, index)
    return [replace(hit, text=" ".join(hit.text.split())) for hit in hits]


def _hit(archive: Archive, record: PageRecord, query: str, score: float) -> Hit:
    """The passage on a page that speaks of the query, as nano reads it there."""
    text = archive.text(record)
    start, end = passage(text, query, WIDTH)
    end = end or min(len(text), WIDTH)
    boxes = boxes_of(record, text)
    first, last = int(boxes[start, 1]), int(boxes[max(start, end - 1), 3])
    reading, above = read_rows(archive, record, first, last)
    start, end = passage(reading.text, query, WIDTH)
    end = end or min(len(reading.text), WIDTH)
    top = above + (int(reading.boxes[start, 1]) if start < len(reading.boxes) else 0)
    shown = reading.text[start:end]
    place = archive.places([record.id])[record.id]
    line = 1 + top // density.density(record.density).height
    return Hit(record.id, place.source, place.number, line, shown, shown in text, score)


def boxes_of(record: PageRecord, text: str) -> Boxes:
    """(T, 4) the boxes of the characters of a page, in px of the page as it was set."""
    return next(set_pages(text, typesetter_of(record.setting, record.side))).page.boxes


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
    part = replace(whole, values=values, height=last - first)
    return archive.model.read([part])[0], first * TOKEN_SIDE


def _fused(lists: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The pages of several rankings in one, by reciprocal rank fusion."""
    total: dict[int, float] = {}
    for found in lists:
        for place, (page, _) in enumerate(found, 1):
            total[page] = total.get(page, 0.0) + 1 / (FUSED + place)
    return sorted(total.items(), key=lambda item: -item[1])


def ask(
    archive: Archive, question: str, server: Endpoint, model: str, budget: int, provider: str = "openai-tiles"
) -> CitingAnswer:
    """What `model` at `server` answers to a question from a context of at most `budget` tokens, as `provider` counts.

    InputError if no answer comes.
    """
    sent = context(archive, budget, question, provider, "openai", INSTRUCTION)
    body = {"model": model, "temperature": 0, "max_tokens": ANSWER, "messages": sent.messages}
    text, cut = server.chat(body)
    if not text.strip():
        raise InputError("the endpoint's answer is empty")
    numbers, shown = cited(text), {page.page for page in sent.pages}
    known = [n for n in numbers if n in shown]
    return CitingAnswer(text, cut, archive.places(known), [n for n in numbers if n not in shown], sent)


def cited(text: str) -> list[int]:
    """The numbers of the pages that an answer cites, in order: [page 3], [pages 3, 4 and 7]."""
    found = [int(n) for group in _CITED.findall(text) for n in re.findall(r"\d{1,12}", group)]
    return list(dict.fromkeys(found))
