"""Writes a memory: pages into the log, versions of texts, chats whose last page is open.

Everything is done within the caller's transaction, which is committed whenever enough pages have gathered, so that a
kill loses nothing that was acknowledged and what was set before it is found again. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microfiche.errors import UsageError
from microfiche.files import plain
from microfiche.memory.messages import Message, written
from microfiche.memory.paper import Manner, SetPage, decoded, encoded, packed, png, set_pages
from microfiche.memory.records import page_records, text_of, tokens_blob
from microfiche.memory.versions import changes, stretches
from microfiche.memory.words import index_words
from microfiche.page import Page, VisionTokens
from microfiche.precision import text_tokens

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano

AT_ONCE = 32  #: pages of a commit


@dataclass
class Added:
    """What an `add` did: texts new, changed, as they were, gone, and left out with the reason; pages set and pages
    that stood there already; and what the new ones hold."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    messages: int = 0
    pages_set: int = 0
    pages_kept: int = 0
    characters: int = 0
    text_tokens: int = 0
    vision_tokens: int = 0
    undrawn: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)


class Writer:
    """One `add`; `model` is called for when the first new page is to be encoded."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        manner: Manner,
        model: Callable[[], Nano],
        progress: Callable[[Added], None],
    ) -> None:
        self._connection, self._manner, self._model, self._progress = connection, manner, model, progress
        self._now = time.time()
        self.added = Added()
        self._begin()

    def text(self, name: str, kind: str, digest: str, read: Callable[[], tuple[str, str]]) -> None:
        """Adds a text, `digest` being that of what it is made from: as it stands, or as a new version where another
        of that name stands, which is retired and its changes shown on pages of their own. `read` gives the text, and
        why it is not trusted, if so."""
        source = self._source(name, kind)
        last = self._last(source)
        if last and last[2] == digest and last[3] is None:
            self.added.unchanged += 1
            return
        text, untrusted = read()
        old = self._old_pages(last[0]) if last and last[3] is None else []
        cut = stretches(text, old)
        pages: list[tuple[int, int]] = []
        for stretch in cut:
            if stretch.kept is not None:
                self.added.pages_kept += 1
                pages.append((stretch.kept, stretch.start))
                continue
            at = stretch.start
            for page, length in self._pages_of(text[stretch.start : stretch.end]):
                pages.append((page, at))
                at += length
        diff: list[tuple[int, int]] = []
        if old:
            shown, at = changes(text, old, cut, f"{name}: version {last[1]} → {last[1] + 1}"), 0
            for page, length in self._pages_of(shown):
                diff.append((page, at))
                at += length
        last = self._last(source)
        number = last[1] + 1 if last else 1
        version = self._version(source, number, digest, len(text), untrusted)
        for part, placed in (("text", pages), ("diff", diff)):
            self._connection.executemany(
                "INSERT INTO place VALUES (?, ?, ?, ?, ?)",
                [(version, part, i, page, start) for i, (page, start) in enumerate(placed, 1)],
            )
        if last and last[3] is None:
            self._retire(last[0])
            self.added.changed += 1
        else:
            self.added.new += 1
        self._revive(version)

    def chat(self, name: str, messages: Iterable[Message]) -> None:
        """Adds messages to the end of a chat: pages that they fill are finished for ever, the last stays open."""
        source = self._source(name, "chat")
        found = self._one("SELECT id FROM version WHERE source = ?", source)
        version = found[0] if found else self._version(source, 1, "", 0, "")
        setter = self._manner.typesetter("")
        fits = setter.columns * setter.rows
        batch: list[Message] = []
        length = 0
        for message in messages:
            batch.append(message)
            length += len(message.text)
            if length > 8 * fits:
                self._append(source, version, batch)
                batch, length = [], 0
        self._append(source, version, batch)

    def _append(self, source: int, version: int, messages: Sequence[Message]) -> None:
        start, before = self._one("SELECT start, text FROM open WHERE source = ?", source) or (0, b"")
        text = decoded(before)
        (number,) = self._one("SELECT count(*) FROM place WHERE version = ? AND part = 'text'", version)
        lines = [written(message) for message in messages]
        at = start + len(text)
        for message, line in zip(messages, lines, strict=True):
            self._connection.execute(
                "INSERT INTO message(source, role, time, start, length) VALUES (?, ?, ?, ?, ?)",
                (source, plain(message.role), message.time, at, len(line)),
            )
            at += len(line)
        self._turns += len(lines)
        self.added.messages += len(lines)
        text = "".join([text, *lines])
        setter = self._manner.typesetter(text)
        if setter.layout == "lines" or 2 * len(text) > setter.columns * setter.rows:
            done = 0
            for page, characters in self._pages_of(text, all_but_last=True, within=True):
                number += 1
                self._connection.execute(
                    "INSERT INTO place VALUES (?, 'text', ?, ?, ?)", (version, number, page, start + done)
                )
                done += characters
            start, text = start + done, text[done:]
        self._connection.execute("INSERT OR REPLACE INTO open VALUES (?, ?, ?)", (source, start, encoded(text)))
        self._connection.execute("UPDATE version SET characters = ? WHERE id = ?", (start + len(text), version))
        self.commit_if_much()

    def retire(self, name: str) -> None:
        """A text that is no longer there: its version is retired, with none to follow."""
        version = self._one(
            "SELECT version.id FROM version JOIN source ON source.id = source WHERE name = ? AND retired IS NULL", name
        )
        if version:
            self._retire(version[0])
            self.added.gone += 1

    def commit_if_much(self) -> None:
        """Ends the transaction and begins the next if pages have gathered."""
        self._progress(self.added)
        if self._waiting >= AT_ONCE:
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN IMMEDIATE")
            self._begin()

    def _begin(self) -> None:
        self._waiting = 0
        (self._pages,) = self._one("SELECT coalesce(max(id), 0) FROM page")
        (self._turns,) = self._one("SELECT coalesce(max(id), 0) FROM message")

    def _pages_of(
        self, text: str, all_but_last: bool = False, within: bool = False
    ) -> Iterator[tuple[int, int]]:
        """The pages of a text, each with its number of characters: those that stand in the log, the others set now.

        The transaction may end in between, unless this is to stay `within` it.
        """
        typesetter = self._manner.typesetter(text)
        gathered: list[SetPage] = []
        held: SetPage | None = None
        for page in set_pages(text, typesetter):
            if held:
                gathered.append(held)
            held = page
            if len(gathered) == AT_ONCE:
                yield from self._log(gathered, typesetter.mode.side, within)
                gathered = []
        if held and not all_but_last:
            gathered.append(held)
        yield from self._log(gathered, typesetter.mode.side, within)

    def _log(self, pages: Sequence[SetPage], side: int, within: bool) -> list[tuple[int, int]]:
        known: dict[str, int] = {}
        fresh: dict[str, SetPage] = {}
        for page in pages:
            row = self._one("SELECT id FROM page WHERE digest = ?", page.digest)
            if row:
                known[page.digest] = row[0]
                self.added.pages_kept += 1
            else:
                fresh.setdefault(page.digest, page)
        if fresh:
            encoded = self._model().encode_each(page.page for page in fresh.values())
            for page, tokens in zip(fresh.values(), encoded, strict=True):
                known[page.digest] = self._insert(page, side, tokens)
            if not within:
                self.commit_if_much()
        return [(known[page.digest], len(page.text)) for page in pages]

    def _insert(self, page: SetPage, side: int, tokens: VisionTokens) -> int:
        setting = page.page.setting
        assert setting is not None
        self._pages += 1
        cost = text_tokens(plain(page.text))
        self._connection.execute(
            "INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, NULL)",
            (self._pages, page.digest, setting.density, setting.layout, side, page.page.image.shape[0],
             len(page.text), cost, page.undrawn, packed(page.text), self._pages, self._turns, self._now, side),
        )  # fmt: skip
        store_picture(self._connection, self._pages, side, page.page)
        store_tokens(self._connection, self._pages, side, tokens)
        index_words(self._connection, self._pages, plain(page.text))
        self._waiting += 1
        added = self.added
        added.pages_set += 1
        added.characters += len(page.text)
        added.text_tokens += cost
        added.vision_tokens += len(tokens)
        added.undrawn += page.undrawn
        return self._pages

    def _source(self, name: str, kind: str) -> int:
        name = plain(name)
        self._connection.execute("INSERT OR IGNORE INTO source(name, kind) VALUES (?, ?)", (name, kind))
        number, stands = self._one("SELECT id, kind FROM source WHERE name = ?", name)
        if (kind == "chat") != (stands == "chat"):
            raise UsageError(f"{name!r} is a {stands}: give this {kind} another name")
        return int(number)

    def _version(self, source: int, number: int, digest: str, characters: int, untrusted: str) -> int:
        row = self._connection.execute(
            "INSERT INTO version(source, number, digest, added, characters, untrusted) VALUES (?, ?, ?, ?, ?, ?)",
            (source, number, digest, self._now, characters, untrusted),
        )
        assert row.lastrowid is not None
        return row.lastrowid

    def _last(self, source: int) -> tuple:  # type: ignore[type-arg]
        return self._one(
            "SELECT id, number, digest, retired FROM version WHERE source = ? ORDER BY number DESC", source
        )

    def _old_pages(self, version: int) -> list[tuple[int, str]]:
        order = [row[0] for row in self._connection.execute(
            "SELECT page FROM place WHERE version = ? AND part = 'text' ORDER BY number", (version,))]
        records = {r.id: r for r in page_records(
            self._connection, "WHERE id IN (SELECT page FROM place WHERE version = ?)", (version,))}
        return [(page, text_of(self._connection, records[page])) for page in order]

    def _retire(self, version: int) -> None:
        self._connection.execute("UPDATE version SET retired = ? WHERE id = ?", (self._now, version))
        self._connection.execute(
            "UPDATE page SET retired = ? WHERE id IN (SELECT page FROM place WHERE version = ?) AND NOT EXISTS"
            " (SELECT 1 FROM place JOIN version ON version.id = place.version"
            "  WHERE place.page = page.id AND version.retired IS NULL)",
            (self._pages, version),
        )

    def _revive(self, version: int) -> None:
        """Pages of before that a new version uses again are current and fresh again if they were not."""
        self._connection.execute(
            "UPDATE page SET retired = NULL, level = side, since_page = ?, since_turn = ?, since_time = ?"
            " WHERE retired IS NOT NULL"
            " AND id IN (SELECT page FROM place WHERE version = ?)",
            (self._pages, self._turns, self._now, version),
        )

    def _one(self, statement: str, *values: object) -> tuple:  # type: ignore[type-arg]
        return self._connection.execute(statement, values).fetchone()


def store_picture(connection: sqlite3.Connection, page: int, side: int, picture: Page) -> None:
    """Keeps the picture of a page at `side` px of width."""
    data = png(picture.image)
    digest = hashlib.sha256(data).hexdigest()
    connection.execute("INSERT OR REPLACE INTO picture VALUES (?, ?, ?, ?)", (page, side, digest, data))


def store_tokens(connection: sqlite3.Connection, page: int, side: int, tokens: VisionTokens) -> None:
    """Keeps the tokens of a page at `side` px of width."""
    data = tokens_blob(tokens)
    connection.execute(
        "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)",
        (page, side, tokens.checkpoint.sha256, tokens.height, tokens.width, hashlib.sha256(data).hexdigest(), data),
    )


def meta(connection: sqlite3.Connection, key: str) -> object:
    """A setting of the memory, None if it has none of that name."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return json.loads(row[0]) if row else None


def set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Keeps a setting."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))
