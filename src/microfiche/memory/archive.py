"""An open memory: its transactions, its pages, each checked as it is read, and the model that encodes and reads them.

What is asked for and not stored (a page at another size, the tokens of another checkpoint) is made from the page's own
picture. This module knows nothing of schedules or budgets.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from microfiche.errors import StoreError, UsageError
from microfiche.memory.captioned import Pictures
from microfiche.memory.database import connect, explained, meta, set_meta, transaction
from microfiche.memory.paper import Manner, SetPage, faded, from_bytes, picture, set_pages
from microfiche.memory.records import (
    Clock,
    PageRecord,
    Place,
    checked,
    grid_of,
    page_records,
    places,
    text_of,
    tokens_of,
)
from microfiche.page import Layout, Page, VisionTokens
from microfiche.typesetting import density as densities
from microfiche.typesetting.density import DEFAULT_DENSITY

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano
    from microfiche.page import Reading


@dataclass(frozen=True)
class OpenPage:
    """The last page of a chat, which may still grow; its `text` begins at character `start` of the chat's."""

    source: str
    number: int
    start: int
    text: str


class Archive:
    """An open memory. Whatever is wrong with its file is a StoreError that names the file and, if one is, the page."""

    def __init__(
        self,
        path: str | Path,
        *,
        density: str | None = None,
        mode: str | None = None,
        layout: Layout | None = None,
        model: Nano | None = None,
        read_only: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self.path, self.timeout, self._model = Path(path), timeout, model
        self._pictures = Pictures()
        self.connection, self.read_only = connect(self.path, timeout, read_only)
        kept = meta(self.connection, "manner")
        given = {"density": density, "mode": mode, "layout": layout}
        wanted: dict[str, Any] = {"density": DEFAULT_DENSITY, "mode": "large", "layout": "dense"}
        wanted |= kept if isinstance(kept, dict) else {}
        wanted |= {key: value for key, value in given.items() if value is not None}
        names = densities.density(wanted["density"]).name, densities.mode(wanted["mode"]).name
        self.manner = Manner(*names, wanted["layout"])
        self.manner.typesetter("")
        if wanted != kept and not self.read_only:
            self.keep("manner", wanted)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def model(self) -> Nano:
        """Nano, loaded when it is first needed."""
        if self._model is None:
            from microfiche.readers import load

            self._model = load()
        return self._model

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that reads; within it the memory stays as it is, whoever writes to it."""
        with explained(self.path, self.timeout), transaction(self.connection, write=False):
            yield self.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes, which one process at a time may do."""
        if self.read_only:
            raise StoreError(f"{self.path}: cannot be written to: it is read-only")
        with explained(self.path, self.timeout), transaction(self.connection):
            yield self.connection

    def setting(self, key: str) -> object:
        """The value that `keep` kept under a name, or None."""
        with self.reading() as connection:
            return meta(connection, key)

    def keep(self, key: str, value: object) -> None:
        """Keeps a value (JSON) under a name."""
        with self.writing() as connection:
            set_meta(connection, key, value)

    def clock(self) -> Clock:
        """The memory's now."""
        with self.reading() as connection:
            pages, turns = connection.execute(
                "SELECT (SELECT coalesce(max(id), 0) FROM page), (SELECT coalesce(max(id), 0) FROM message)"
            ).fetchone()
            return Clock(pages, turns, time.time())

    def records(self, retired_after: int | None = None) -> list[PageRecord]:
        """The pages that make up what is remembered now, in the order in which they came, and with them those that
        were retired when there were more than `retired_after` pages."""
        after = sys.maxsize if retired_after is None else retired_after
        with self.reading() as connection:
            return page_records(
                connection, "WHERE (retired IS NULL OR retired > ?) AND id IN (SELECT page FROM place)", (after,)
            )

    def record(self, page: int) -> PageRecord:
        """A page of the log; UsageError if there is none of that number."""
        with self.reading() as connection:
            found = page_records(connection, "WHERE id = ?", (page,))
        if not found:
            raise UsageError(f"{self.path}: there is no page {page}")
        return found[0]

    def places(self, pages: list[int]) -> dict[int, Place]:
        """Where each page stands."""
        with self.reading() as connection:
            return places(connection, pages)

    def open_pages(self) -> list[OpenPage]:
        """The open pages of all chats."""
        with self.reading() as connection:
            return [OpenPage(name, number, start, from_bytes(text)) for name, number, start, text in connection.execute(
                "SELECT name, (SELECT count(*) FROM place JOIN version ON version.id = place.version"
                " WHERE version.source = source.id) + 1, start, text FROM open JOIN source ON source.id = open.source"
                " WHERE length(text) ORDER BY source.id")]

    def set_open(self, page: OpenPage) -> SetPage:
        """An open page, typeset as it stands now."""
        return next(set_pages(page.text, self.manner.typesetter(page.text)))

    def text(self, page: PageRecord | int) -> str:
        """The exact text of a page, as it was added."""
        record = self._record(page)
        with self._named(record), self.reading() as connection:
            return text_of(connection, record)

    def png(self, page: PageRecord | int, side: int | None = None) -> bytes:
        """A page as PNG at `side` px of width, or as it was set if None; the bytes are always the same."""
        record = self._record(page)
        side = min(side or record.side, record.side)
        with self._named(record):
            stored = self._picture(record, side)
            if stored is not None:
                return stored
            return self._pictures.png(record.digest, side, lambda: self._whole(record))

    def page(self, page: PageRecord | int, side: int | None = None) -> Page:
        """The page at `side` px of width."""
        record = self._record(page)
        with self._named(record):
            return faded(self._whole(record), side or record.side)

    def tokens(self, page: PageRecord | int, side: int | None = None) -> VisionTokens:
        """The vision tokens of a page at `side` px of width, made now if none of this checkpoint are stored."""
        record = self._record(page)
        side = min(side or record.side, record.side)
        checkpoint = self.model.checkpoint
        setting = replace(record.setting, scale=side / record.side)
        with self._named(record), self.reading() as connection:
            row = connection.execute(
                "SELECT height, width, sha256, data FROM tokens WHERE page = ? AND side = ? AND checkpoint = ?",
                (record.id, side, checkpoint.sha256),
            ).fetchone()
            if row is None:
                (made,) = self.model.encode([faded(self._whole(record), side)])
                return made
            height, width, digest, data = row
            if (height, width) != grid_of(record, side):
                raise StoreError("its tokens are damaged (of another size)")
            return tokens_of(checked(data, digest, "tokens"), height, width, setting, checkpoint)

    def read(self, page: PageRecord | int, side: int | None = None) -> Reading:
        """What the model reads of a page from its tokens at `side` px of width."""
        return self.model.read([self.tokens(page, side)])[0]

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, page: PageRecord | int) -> PageRecord:
        return self.record(page) if isinstance(page, int) else page

    def _picture(self, record: PageRecord, side: int) -> bytes | None:
        with self.reading() as connection:
            row = connection.execute(
                "SELECT sha256, png FROM picture WHERE page = ? AND side = ?", (record.id, side)
            ).fetchone()
            return checked(row[1], row[0], "picture") if row else None

    def _whole(self, record: PageRecord) -> Page:
        data = self._picture(record, record.side)
        if data is None:
            raise StoreError("its picture is missing")
        return picture(data, record.setting, record.side)

    @contextmanager
    def _named(self, record: PageRecord) -> Iterator[None]:
        """Adds the file and the page to the StoreErrors raised within."""
        try:
            yield
        except StoreError as error:
            if str(error).startswith(str(self.path)):
                raise
            raise StoreError(f"{self.path}: page {record.id}: {error}") from error
