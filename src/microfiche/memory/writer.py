"""Writes into a memory: pages into its log, versions of texts, chats whose last page is open.

Everything happens within the caller's transaction, which is committed whenever enough pages have gathered, so that a
kill loses nothing that was acknowledged, and pages that were set before it are found again. Of a text that changed,
pages that still stand in it unchanged and in order are used again; only what lies between them is set, and a page shows
the difference. This module knows nothing of files.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from difflib import unified_diff
from itertools import islice
from typing import TYPE_CHECKING

from microfiche.errors import UsageError
from microfiche.files import plain
from microfiche.memory.messages import Message, written
from microfiche.memory.paper import Manner, SetPage, from_bytes, packed, set_pages, to_bytes
from microfiche.memory.records import page_records, store_picture, store_tokens, text_of
from microfiche.memory.words import index_words
from microfiche.page import VisionTokens
from microfiche.precision import text_tokens

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano

AT_ONCE = 32  #: pages of a commit
SHORTEST = 256  #: characters that a page must have to be looked for further on; a shorter one is kept only in its place
NEAR = 1 << 20  #: characters further on that a page is looked for, and twice those of the pages that were not found
LINES = 4000  #: lines of a changed stretch that are compared one by one


@dataclass
class Added:
    """What an `add` did: how many texts are new, changed, unchanged and gone, and which were `left_out` and why; how
    many pages were set and how many stood there already; and what the new pages hold."""

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

    def __add__(self, other: Added) -> Added:
        """What two adds did together."""
        return Added(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Added)})


class Writer:
    """Does one `add`; `model` is called when the first new page is to be encoded."""

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
        """Adds a text as a version of its own; `digest` is that of what the text is made from.

        A version that stands under that name is retired, and pages of their own show what changed. `read` gives the
        text and why it is not trusted, which is empty where it is; it is not called where `digest` did not change.
        """
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
        """Adds messages to the end of a chat; pages that they fill are finished for ever, and the last stays open."""
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
        text = from_bytes(before)
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
        self._connection.execute("INSERT OR REPLACE INTO open VALUES (?, ?, ?)", (source, start, to_bytes(text)))
        self._connection.execute("UPDATE version SET characters = ? WHERE id = ?", (start + len(text), version))
        self.commit_if_much()

    def retire(self, name: str) -> None:
        """Retires the version of a text that is no longer there."""
        version = self._one(
            "SELECT version.id FROM version JOIN source ON source.id = source WHERE name = ? AND retired IS NULL", name
        )
        if version:
            self._retire(version[0])
            self.added.gone += 1

    def commit_if_much(self) -> None:
        """Commits the transaction and begins the next if enough pages have gathered."""
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
        """The pages of a text, each with its number of characters; those that do not stand in the log are set now.

        The transaction may be committed in between, unless this is to stay `within` it.
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
            made = self._model().encode([page.page for page in fresh.values()])
            for page, tokens in zip(fresh.values(), made, strict=True):
                known[page.digest] = self._insert(page, side, tokens)
            if not within:
                self.commit_if_much()
        return [(known[page.digest], len(page.text)) for page in pages]

    def _insert(self, page: SetPage, side: int, tokens: VisionTokens) -> int:
        self._pages += 1
        cost = text_tokens(plain(page.text))
        self._connection.execute(
            "INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, NULL)",
            (self._pages, page.digest, page.setting.density, page.setting.layout, side, page.page.image.shape[0],
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
            raise UsageError(f"{name!r} is a {stands}; give this {kind} another name")
        return int(number)

    def _version(self, source: int, number: int, digest: str, characters: int, untrusted: str) -> int:
        self._connection.execute(
            "INSERT INTO version(source, number, digest, added, characters, untrusted) VALUES (?, ?, ?, ?, ?, ?)",
            (source, number, digest, self._now, characters, untrusted),
        )
        (version,) = self._one("SELECT last_insert_rowid()")
        return int(version)

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
        """Makes the retired pages that a new version uses again current and as fresh as new ones."""
        self._connection.execute(
            "UPDATE page SET retired = NULL, level = side, since_page = ?, since_turn = ?, since_time = ?"
            " WHERE retired IS NOT NULL"
            " AND id IN (SELECT page FROM place WHERE version = ?)",
            (self._pages, self._turns, self._now, version),
        )

    def _one(self, statement: str, *values: object) -> tuple:  # type: ignore[type-arg]
        return self._connection.execute(statement, values).fetchone()


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
