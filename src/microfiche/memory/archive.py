"""An open memory: its transactions, its pages, each checked as it is read, and the model that encodes and reads them.

A page is drawn from its text when it is asked for, and its tokens are made from that picture unless they are stored.
Every thread has a connection of its own, so that a memory may be used from any. This module knows nothing of schedules
or budgets.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

from microfiche.errors import StoreError, UsageError
from microfiche.files import plain
from microfiche.memory.captioned import Pictures
from microfiche.memory.chats import index_all
from microfiche.memory.database import (
    UNCOUNTED,
    Connections,
    explained,
    format_of,
    held,
    meta,
    migrate,
    path_of,
    set_meta,
    transaction,
)
from microfiche.memory.messages import as_read
from microfiche.memory.paper import (
    Manner,
    Room,
    SetPage,
    encoded,
    faded,
    from_bytes,
    picture,
    set_pages,
    settled,
    unread,
)
from microfiche.memory.records import (
    Clock,
    PageRecord,
    Place,
    checked,
    drawn,
    grid_of,
    keep_notes,
    notes_of,
    page_records,
    places,
    remembered,
    store_tokens,
    text_of,
    tokens_of,
)
from microfiche.nano.kept import Notes
from microfiche.page import Layout, Page, Setting, TypesetPage, VisionTokens
from microfiche.precision import text_tokens
from microfiche.typesetting import density as densities
from microfiche.typesetting.density import DEFAULT_DENSITY
from microfiche.typesetting.typesetter import unlearned

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano
    from microfiche.page import Reading

AT_ONCE = 32  #: pages of a commit


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
        path: str | PathLike[str],
        *,
        density: str | None = None,
        mode: str | None = None,
        layout: Layout | None = None,
        model: Nano | None = None,
        read_only: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self.path, self.timeout, self._model = path_of(path), timeout, model
        self._pictures, self._room = Pictures(), Room()
        self._noted: dict[tuple[str, str], Notes] = {}
        self._counted: dict[str, int] = {}  #: text tokens by the digest of their page, until they are in the file
        given = {"density": density, "mode": mode, "layout": layout}
        wanted: dict[str, Any] = {"density": DEFAULT_DENSITY, "mode": "large", "layout": "words"}
        for key, check in {"density": densities.density, "mode": densities.mode, "layout": _layout}.items():
            if (name := given[key]) is not None:
                if not isinstance(name, str):
                    raise UsageError(f"{name!r} is no {key}: give its name")
                check(name)  # before a file is made
        self._connections = Connections(self.path, timeout, read_only)
        self.read_only = self._connections.read_only
        kept = meta(self.connection, "manner")
        wanted |= kept if isinstance(kept, dict) else {}
        wanted |= {key: value for key, value in given.items() if value is not None}
        self.manner = _manner(wanted)
        if wanted != kept and not self.read_only:
            self.keep("manner", wanted)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the thread that asks. Raises StoreError once the memory is closed."""
        return self._connections.one()

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
        with explained(self.path, self.timeout), transaction(connection := self.connection, write=False):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes, which one process and thread at a time may do; others wait for it.

        A file of an older format becomes one of today's by it.
        """
        if self.read_only:
            raise StoreError(f"{self.path}: cannot be written to: it is read-only")
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        with explained(self.path, self.timeout), transaction(connection), held(self.path):
            if migrate(connection):
                index_all(connection)
            counted, self._counted = list(self._counted.items()), {}
            connection.executemany("UPDATE page SET text_tokens = ?2 WHERE digest = ?1", counted)
            yield connection

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
            return remembered(connection, after)

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
            pieces = connection.execute(
                "SELECT name, (SELECT count(*) FROM place JOIN version ON version.id = place.version"
                " WHERE version.source = source.id AND version.retired IS NULL) + 1, start, text"
                " FROM open JOIN source ON source.id = open.source WHERE length(text) ORDER BY source.id, start"
            ).fetchall()
        pages = []
        for (name, number), mine in groupby(pieces, lambda piece: piece[:2]):
            _, _, starts, texts = zip(*mine, strict=True)
            pages.append(OpenPage(name, number, starts[0], "".join(map(from_bytes, texts))))
        return pages

    def set_open(self, page: OpenPage) -> SetPage:
        """An open page, typeset as it stands now."""
        return next(set_pages(page.text, self.manner.typesetter(page.text, turns=True)))

    def setting_of(self, record: PageRecord) -> Setting:
        """How a page was typeset, with the lines whose text is kept because models that read cells do not know them.

        A page whose tokens are stored is read back from them first, if that was not done yet.
        """
        text, notes = self.text(record), self._notes(record)
        if not any(notes) and not unlearned([text], densities.density(record.density)):
            return record.setting
        return notes.setting(drawn(text, record))

    def _notes(self, record: PageRecord) -> Notes:
        """What is noted of the lines of a page that was read back from its stored tokens; it is read back now if that
        was not done yet, once for as long as the memory is open."""
        checkpoint = self.model.checkpoint
        known = self._noted.get((record.digest, checkpoint.sha256))
        if known is not None:
            return known
        with self.reading() as connection:
            notes = notes_of(connection, record, checkpoint)
            if notes is None:
                stored = self._stored(record, record.side, record.setting)
                assert stored
                notes = Notes.of(settled(self.model, drawn(text_of(connection, record), record), stored))
                self._noted[record.digest, checkpoint.sha256] = notes
        return notes

    def text(self, page: PageRecord | int) -> str:
        """The exact text of a page, as it was added."""
        record = self._record(page)
        with self._named(record), self.reading() as connection:
            return text_of(connection, record)

    def text_tokens(self, page: PageRecord | int) -> int:
        """How many tokens a page's text takes, counted when that is first asked for and kept in the file with whatever
        is written to it next; 0 where the page is damaged."""
        record = self._record(page)
        with suppress(StoreError), self.reading() as connection:
            kept = connection.execute("SELECT text_tokens FROM page WHERE id = ?", (record.id,)).fetchone()
            count = self._counted.get(record.digest, kept[0] if kept else 0)
            if count == UNCOUNTED:
                count = text_tokens(plain(as_read(text_of(connection, record), record.layout)))
                self._counted[record.digest] = count
            return int(count)
        return 0

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
        with self._named(record), self.reading():
            setting = replace(self.setting_of(record), scale=side / record.side)
            stored = self._stored(record, side, setting)
            if stored is not None:
                return stored
            if side == record.side:
                return encoded(self.model, [self._typeset(record)])[0]
            (made,) = self.model.encode([faded(self._whole(record), side)])
            return replace(made, setting=setting)

    def unread_tokens(self, page: PageRecord | int) -> VisionTokens:
        """The vision tokens of a page as it was set, by the setting that it has before anything is read back."""
        record = self._record(page)
        with self._named(record):
            whole = self._typeset(record)
            stored = self._stored(record, record.side, whole.setting or record.setting)
            return stored or unread(self.model, [whole])[0]

    def _stored(self, record: PageRecord, side: int, setting: Setting) -> VisionTokens | None:
        """The tokens of this checkpoint that are stored of a page, or None; StoreError if they are damaged."""
        checkpoint = self.model.checkpoint
        with self.reading() as connection:
            row = connection.execute(
                "SELECT height, width, sha256, data FROM tokens WHERE page = ? AND side = ? AND checkpoint = ?",
                (record.id, side, checkpoint.sha256),
            ).fetchone()
        if row is None:
            return None
        height, width, digest, data = row
        if (height, width) != grid_of(record, side):
            raise StoreError("its tokens are damaged (of another size)")
        return tokens_of(checked(data, digest, "tokens"), height, width, setting, checkpoint)

    def encode(self, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
        """Makes and stores the vision tokens of the pages that have none, and returns how many pages that were. Pages
        that were not read back from their tokens yet are read now, and what is misread of them is noted.

        `progress` is called with how many pages are done, and of how many.
        """
        with self.reading() as connection:
            settled_ones = "" if format_of(connection) == 1 else " AND misread IS NOT NULL"
            have, done = (
                {page for (page,) in connection.execute(
                    "SELECT tokens.page FROM tokens JOIN page ON page.id = tokens.page AND page.side = tokens.side"
                    f" WHERE checkpoint = ?{more}", (self.model.checkpoint.sha256,))}
                for more in ("", settled_ones)
            )  # fmt: skip
        wanting = [record for record in self.records() if record.id not in done]
        for at in range(0, len(wanting), AT_ONCE):
            batch = wanting[at : at + AT_ONCE]
            missing = [record for record in batch if record.id not in have]
            made = dict(zip(missing, encoded(self.model, [self._typeset(record) for record in missing]), strict=True))
            notes = {record: self._notes(record) for record in batch if record.id in have}
            with self.writing() as connection:
                for record in batch:
                    if not connection.execute("SELECT 1 FROM page WHERE digest = ?", (record.digest,)).fetchone():
                        continue  # it was forgotten meanwhile
                    if tokens := made.get(record):
                        noted = Notes.of(tokens.setting or record.setting)
                        store_tokens(connection, record.id, record.side, tokens, noted)
                    else:
                        keep_notes(connection, record, self.model.checkpoint, notes[record])
            progress(at + len(batch), len(wanting))
        return sum(record.id not in have for record in wanting)

    def read(self, page: PageRecord | int, side: int | None = None) -> Reading:
        """What the model reads of a page from its tokens at `side` px of width."""
        return self.model.read([self.tokens(page, side)])[0]

    def forget_pictures(self) -> None:
        """Lets go of the pictures of pages that are kept at hand."""
        self._pictures = Pictures()

    def known_as(self, name: str) -> str:
        """The name under which a text is remembered: a file is by its whole path, also once it is gone."""
        names = [plain(name)]
        with suppress(OSError, ValueError, RuntimeError):  # for what can be no path
            names.append(plain(str(Path(name).resolve())))
        held = "SELECT count(*) FROM source WHERE name = ?"
        return next((one for one in names if self.connection.execute(held, (one,)).fetchone()[0]), names[0])

    def close(self) -> None:
        """Closes the file, for all threads."""
        self._connections.close()

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
        if data is not None:
            return picture(data, record.setting, record.side)
        with self.reading() as connection:
            text = text_of(connection, record)
        return drawn(text, record)

    def _typeset(self, record: PageRecord) -> TypesetPage:
        """The page with its text; its picture is what is stored, if one is."""
        with self._named(record):
            page = drawn(self.text(record), record)
            return replace(page, image=self._whole(record).image)

    @contextmanager
    def _named(self, record: PageRecord) -> Iterator[None]:
        """Adds the file and the page to the StoreErrors raised within."""
        try:
            yield
        except StoreError as error:
            if str(error).startswith(str(self.path)):
                raise
            raise StoreError(f"{self.path}: page {record.id}: {error}") from error


def _layout(name: str) -> str:
    if name not in get_args(Layout):
        raise UsageError(f"no layout {name!r}; there are {', '.join(get_args(Layout))}")
    return name


def _manner(names: dict[str, Any]) -> Manner:
    """The manner with a density, mode and layout of these names; UsageError if there is none."""
    manner = Manner(densities.density(names["density"]).name, densities.mode(names["mode"]).name, names["layout"])
    manner.typesetter("")
    return manner
