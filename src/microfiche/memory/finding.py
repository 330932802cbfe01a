"""Finding what is remembered: pages by words, by pixels or by both, and on each the passage that nano reads there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from microfiche.errors import StoreError, UsageError
from microfiche.memory.archive import Archive
from microfiche.memory.paper import set_pages
from microfiche.memory.records import PageRecord
from microfiche.memory.words import find, passage, score_of, words_of
from microfiche.page import TOKEN_SIDE, Boxes, Layout
from microfiche.typesetting import Typesetter, density
from microfiche.typesetting.density import Mode

if TYPE_CHECKING:
    from microfiche.nano.model import Reading

By = Literal["text", "pixels", "both"]
FUSED = 60  #: of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)
OPEN = 0.5  #: share of the query's words that an open page must hold
CANDIDATES = 100  #: pages of each kind of search that are fused


@dataclass(frozen=True)
class Hit:
    """A passage on a page: its `source`, which page of it, the `line` of print on that page where it begins, the text
    as read from the vision tokens, whether that is exactly what was added, and the page's number in the log (None: an
    open page, whose text is given as it is)."""

    page: int | None
    source: str
    number: int
    line: int
    text: str
    exact: bool
    score: float


def rank(
    archive: Archive, queries: Sequence[str], count: int, by: By, index: Path | None = None
) -> list[list[tuple[int, float]]]:
    """For each query the best pages of the log with their scores, best first."""
    if by == "text":
        with archive.reading() as connection:
            return [find(connection, query, count) for query in queries]
    from microfiche.memory.indexer import search as by_pixels
    from microfiche.nano.indexer_checkpoint import load

    indexer = load(index, archive.model.checkpoint)
    pixels = [[(match.page, match.score) for match in found]
              for found in by_pixels(archive, indexer, queries, count if by == "pixels" else CANDIDATES)]
    if by == "pixels":
        return pixels
    text = rank(archive, queries, CANDIDATES, "text")
    return [_fused([a, b])[:count] for a, b in zip(text, pixels, strict=True)]


def search(archive: Archive, query: str, count: int = 10, by: By = "text", index: Path | None = None) -> list[Hit]:
    """The best passages, best first; those of open pages that speak of it before the others.

    UsageError for a query without a word. A damaged page is passed over.
    """
    if not words_of(query):
        raise UsageError(f"{query!r}: there is no word to look for in it")
    hits: list[Hit] = []
    with archive.reading():
        for page in archive.open_pages():
            share = score_of(page.text, words_of(query))
            if share >= OPEN:
                start, end = passage(page.text, query)
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


def _hit(archive: Archive, record: PageRecord, query: str, score: float) -> Hit:
    """Where the page's text speaks of the query, as nano reads it there."""
    text = archive.text(record)
    start, end = passage(text, query)
    end = end or min(len(text), 240)
    boxes = boxes_of(record, text)
    first, last = int(boxes[start, 1]), int(boxes[max(start, end - 1), 3])
    reading, above = read_rows(archive, record, first, last)
    start, end = passage(reading.text, query)
    end = end or min(len(reading.text), 240)
    top = above + (int(reading.boxes[start, 1]) if start < len(reading.boxes) else 0)
    shown = reading.text[start:end]
    place = archive.places([record.id])[record.id]
    line = 1 + top // density.density(record.density).height
    return Hit(record.id, place.source, place.number, line, shown, shown in text, score)


def boxes_of(record: PageRecord, text: str) -> Boxes:
    """(T, 4) where each character of a page stands."""
    assert record.layout in ("dense", "lines")
    layout: Layout = "lines" if record.layout == "lines" else "dense"
    setter = Typesetter(density.density(record.density), Mode("", record.side), layout)
    return next(set_pages(text, setter)).page.boxes


def read_rows(archive: Archive, record: PageRecord, top: int, bottom: int) -> tuple[Reading, int]:
    """What nano reads of a page between two pixel rows, from no more tokens than it takes, and the pixel row at which
    those begin: one where both a row of tokens and a line of print do."""
    whole = archive.tokens(record)
    height = density.density(record.density).height
    step = height // math.gcd(height, TOKEN_SIDE)
    first = top // TOKEN_SIDE // step * step
    last = min(whole.height, -(-bottom // TOKEN_SIDE) + 1)
    values = whole.values[first * whole.width : last * whole.width]
    part = replace(whole, values=values, height=last - first)
    return next(archive.model.read_each([part])), first * TOKEN_SIDE


def _fused(lists: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """Reciprocal rank fusion."""
    total: dict[int, float] = {}
    for found in lists:
        for place, (page, _) in enumerate(found, 1):
            total[page] = total.get(page, 0.0) + 1 / (FUSED + place)
    return sorted(total.items(), key=lambda item: -item[1])
