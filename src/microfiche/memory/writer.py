"""Writes into a memory: pages into its log, and versions of texts.

Everything happens within the caller's transaction, which is committed whenever enough pages have gathered, so that a
kill loses nothing that was acknowledged, and pages that were set before it are found again. Of a text that changed,
pages that still stand in it unchanged and in order are used again; only what lies between them is set, and a page shows
the difference. A page is cut here and drawn when somebody asks for it. This module knows nothing of files.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from microfiche.errors import UsageError
from microfiche.files import plain
from microfiche.memory.database import UNCOUNTED, adding
from microfiche.memory.messages import as_read
from microfiche.memory.paper import CutPage, Manner, Room, cut_pages, packed, set_pages, unread
from microfiche.memory.records import page_records, store_tokens, text_of, tokens_on
from microfiche.memory.versions import changes, stretches
from microfiche.memory.words import index_words
from microfiche.typesetting import Typesetter

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano

AT_ONCE = 32  #: pages of a commit
TEXTS = 1024  #: versions of a commit whose pages stand in the log already


@dataclass(repr=False)
class Added:
    """What an `add` did: how many texts are new, changed, unchanged and gone, and which were `left_out` and why; how
    many pages were set and how many stood there already; and what the new pages hold.

    `rewritten` names the chats of which earlier turns changed or are missing now, each with the number of the first of
    these turns (from 1), and `removed` counts the turns that were held from there on.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    messages: int = 0
    removed: int = 0
    pages_set: int = 0
    pages_kept: int = 0
    characters: int = 0
    vision_tokens: int = 0
    undrawn: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    rewritten: list[tuple[str, int]] = field(default_factory=list)

    def __add__(self, other: Added) -> Added:
        """What two adds did together."""
        return Added(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Added)})

    def __repr__(self) -> str:
        counts = (f"{one.name}={value}" for one in fields(self) if isinstance(value := getattr(self, one.name), int)
                  and value)
        lists = (f"{len(self.left_out)} left out" if self.left_out else "",
                 f"{len(self.rewritten)} rewritten" if self.rewritten else "")
        return f"Added({', '.join(part for part in (*counts, *lists) if part)})"


@dataclass(frozen=True)
class Progress:
    """How far an `add` is: `added` so far, `done` of `total` in `unit` (characters, messages or bytes), the file that
    is being read `now`, and the seconds that are left, None as long as nobody can say.

    While a folder is looked through, `done` are the files that were found so far, and `total` is 0.
    """

    added: Added
    done: int
    total: int
    unit: str
    now: str
    seconds_left: float | None


class Meter:
    """Measures an `add` of `total` of each kind of thing, and calls `say` with how far it is.

    Kinds have speeds of their own, since a byte of a picture takes longer than one of a text.
    """

    def __init__(self, say: Callable[[Progress], None], total: dict[str, int]) -> None:
        self._say, self._total, self.added = say, total, Added()
        self._done, self._spent = dict.fromkeys(total, 0), dict.fromkeys(total, 0.0)
        self._kind, self._size, self._now, self._since = "", 0, "", time.monotonic()

    def begin(self, kind: str, size: int, now: str) -> None:
        """Ends what was begun before, and begins something of a kind and a size."""
        self._finish()
        self._kind, self._size, self._now = kind, size, now
        self.tell()

    def gained(self, kind: str, count: int) -> None:
        """Counts something that is done, where its kind is counted one by one."""
        if kind in self._total and not self._kind:
            self._done[kind] = min(self._total[kind], self._done[kind] + count)
            self._spent[kind] = time.monotonic() - self._since

    def end(self) -> None:
        """Says that all is done."""
        self._finish()
        self._kind, self._now, self._done = "", "", dict(self._total)
        self.tell()

    def tell(self) -> None:
        """Says how far it is."""
        unit = next(iter(self._total), "").split()[:1]
        done, total = sum(self._done.values()), sum(self._total.values())
        self._say(Progress(self.added, done, total, "".join(unit), self._now, self._left()))

    def _finish(self) -> None:
        now = time.monotonic()
        if self._kind in self._total:  # a file that came meanwhile may be of another
            self._done[self._kind] = min(self._total[self._kind], self._done[self._kind] + self._size)
            self._spent[self._kind] += now - self._since
            self._since = now

    def _left(self) -> float | None:
        left = 0.0
        for kind, total in self._total.items():
            if total > self._done[kind]:
                if not self._done[kind]:
                    return None
                left += (total - self._done[kind]) * self._spent[kind] / self._done[kind]
        return left


class Writer:
    """Does one `add`. `model` encodes the new pages; without one their tokens are made when they are asked for.

    The `meter` says how far it is whenever pages were written. `room` is that of the chats' open pages.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        manner: Manner,
        model: Nano | None = None,
        meter: Meter | None = None,
        room: Room | None = None,
    ) -> None:
        self.room = room or Room()
        self.last: CutPage | None = None  #: the last page of the text that was cut last
        self.connection, self.manner, self._model = connection, manner, model
        self.now = time.time()
        self.added = Added()
        self._meter = meter or Meter(lambda progress: None, {})
        self._meter.added = self.added
        self._again = False  # whether pages that stood in the log are used again
        self._begin()

    def text(self, name: str, kind: str, digest: str, read: Callable[[], tuple[str, str]]) -> None:
        """Adds a text as a version of its own; `digest` is that of what the text is made from.

        A version that stands under that name is retired, and pages of their own show what changed. `read` gives the
        text and why it is not trusted, which is empty where it is; it is not called where `digest` did not change.
        """
        source = self.source(name, kind)
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
                self._again = True
                self._meter.gained("characters", stretch.end - stretch.start)
                pages.append((stretch.kept, stretch.start))
                continue
            at = stretch.start
            for page, length in self.pages_of(text[stretch.start : stretch.end]):
                pages.append((page, at))
                at += length
        diff: list[tuple[int, int]] = []
        if old:
            shown, at = changes(text, old, cut, f"{name}: version {last[1]} → {last[1] + 1}"), 0
            for page, length in self.pages_of(shown):
                diff.append((page, at))
                at += length
        last = self._last(source)
        number = last[1] + 1 if last else 1
        version = self.version(source, number, digest, len(text), untrusted)
        for part, placed in (("text", pages), ("diff", diff)):
            self.place(version, part, 0, placed)
        if last and last[3] is None:
            self.retire_version(last[0])
            self.added.changed += 1
        else:
            self.added.new += 1
        self.revive(version)

    def retire(self, name: str) -> None:
        """Retires the version of a text that is no longer there."""
        version = self.one(
            "SELECT version.id FROM version JOIN source ON source.id = source WHERE name = ? AND retired IS NULL", name
        )
        if version:
            self.retire_version(version[0])
            self.added.gone += 1

    def commit_if_much(self) -> None:
        """Commits the transaction and begins the next if enough pages or versions have gathered."""
        self._meter.tell()
        if self._waiting >= AT_ONCE or self._versions >= TEXTS:
            adding(self.connection, True)
            self.connection.execute("COMMIT")
            self.connection.execute("BEGIN IMMEDIATE")
            self._begin()

    def gained(self, kind: str, count: int) -> None:
        """Tells the meter of something that is done."""
        self._meter.gained(kind, count)

    def _begin(self) -> None:
        self._waiting = self._versions = 0
        (self._pages,) = self.one("SELECT coalesce(max(id), 0) FROM page")
        (self.turns,) = self.one("SELECT coalesce(max(id), 0) FROM message")

    def pages_of(
        self, text: str, all_but_last: bool = False, within: bool = False
    ) -> Iterator[tuple[int, int]]:
        """The pages of a text, each with its number of characters; those that do not stand in the log are written now.

        The transaction may be committed in between, unless this is to stay `within` it, as the turns of a chat do.
        """
        typesetter = self.manner.typesetter(text, turns=within)
        gathered: list[CutPage] = []
        held: CutPage | None = None
        for page in cut_pages(text, typesetter):
            if held:
                gathered.append(held)
            held = page
            if len(gathered) == AT_ONCE:
                yield from self._log(gathered, typesetter, within)
                gathered = []
        self.last = held
        if held and not all_but_last:
            gathered.append(held)
        yield from self._log(gathered, typesetter, within)

    def _log(self, pages: Sequence[CutPage], typesetter: Typesetter, within: bool) -> list[tuple[int, int]]:
        known: dict[str, int] = {}
        fresh: dict[str, CutPage] = {}
        for page in pages:
            row = self.one("SELECT id FROM page WHERE digest = ?", page.digest)
            if row:
                known[page.digest] = row[0]
                self.added.pages_kept += 1
                self._again = True
            else:
                fresh.setdefault(page.digest, page)
        for page in fresh.values():
            known[page.digest] = self._insert(page, typesetter.mode.side)
        if fresh and self._model:
            made = unread(self._model, [next(set_pages(page.text, typesetter)).page for page in fresh.values()])
            for page, tokens in zip(fresh.values(), made, strict=True):
                store_tokens(self.connection, known[page.digest], typesetter.mode.side, tokens, None)
        self._meter.gained("characters", sum(len(page.text) for page in pages))
        if not within:
            self.commit_if_much()
        return [(known[page.digest], len(page.text)) for page in pages]

    def _insert(self, page: CutPage, side: int) -> int:
        self._pages += 1
        text = plain(as_read(page.text, page.setting.layout))
        self.connection.execute(
            "INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, NULL)",
            (self._pages, page.digest, page.setting.density, page.setting.layout, side, page.height,
             len(page.text), UNCOUNTED, page.undrawn, packed(page.text), self._pages, self.turns, self.now, side),
        )  # fmt: skip
        index_words(self.connection, self._pages, text)
        self._waiting += 1
        added = self.added
        added.pages_set += 1
        added.characters += len(page.text)
        added.vision_tokens += tokens_on(side, page.height)
        added.undrawn += page.undrawn
        return self._pages

    def source(self, name: str, kind: str) -> int:
        """The number of the source of that name, which is made if there is none; UsageError if it is of another kind
        or the name is none."""
        if not isinstance(name, str) or not name:
            raise UsageError(f"{name!r} cannot name a {kind}: give a text that is not empty")
        name = plain(name)
        self.connection.execute("INSERT OR IGNORE INTO source(name, kind) VALUES (?, ?)", (name, kind))
        number, stands = self.one("SELECT id, kind FROM source WHERE name = ?", name)
        if (kind == "chat") != (stands == "chat"):
            raise UsageError(f"{name!r} is a {stands}; give this {kind} another name")
        return int(number)

    def version(self, source: int, number: int, digest: str, characters: int, untrusted: str) -> int:
        """Makes a version of a source and returns its number in the table."""
        self._versions += 1
        return int(self.connection.execute(
            "INSERT INTO version(source, number, digest, added, characters, untrusted) VALUES (?, ?, ?, ?, ?, ?)",
            (source, number, digest, self.now, characters, untrusted),
        ).lastrowid or 0)

    def place(self, version: int, part: str, after: int, placed: Sequence[tuple[int, int]]) -> None:
        """Makes pages, each with the character at which it begins, part of a version, `after` those that are."""
        self.connection.executemany(
            "INSERT INTO place VALUES (?, ?, ?, ?, ?)",
            [(version, part, number, page, start) for number, (page, start) in enumerate(placed, after + 1)],
        )

    def _last(self, source: int) -> tuple:  # type: ignore[type-arg]
        return self.one(
            "SELECT id, number, digest, retired FROM version WHERE source = ? ORDER BY number DESC", source
        )

    def _old_pages(self, version: int) -> list[tuple[int, str]]:
        order = [row[0] for row in self.connection.execute(
            "SELECT page FROM place WHERE version = ? AND part = 'text' ORDER BY number", (version,))]
        records = {r.id: r for r in page_records(
            self.connection, "WHERE id IN (SELECT page FROM place WHERE version = ?)", (version,))}
        return [(page, text_of(self.connection, records[page])) for page in order]

    def retire_version(self, version: int) -> None:
        """Retires a version, and with it the pages that stand in no other that is current."""
        self.connection.execute("UPDATE version SET retired = ? WHERE id = ?", (self.now, version))
        self.connection.execute(
            "UPDATE page SET retired = ? WHERE id IN (SELECT page FROM place WHERE version = ?) AND NOT EXISTS"
            " (SELECT 1 FROM place JOIN version ON version.id = place.version"
            "  WHERE place.page = page.id AND version.retired IS NULL)",
            (self._pages, version),
        )

    def revive(self, version: int) -> None:
        """Makes the retired pages that a new version uses again current and as fresh as new ones."""
        if not self._again:  # all of them are new, and this reads each
            return
        self._again = False
        self.connection.execute(
            "UPDATE page SET retired = NULL, level = side, since_page = ?, since_turn = ?, since_time = ?"
            " WHERE retired IS NOT NULL"
            " AND id IN (SELECT page FROM place WHERE version = ?)",
            (self._pages, self.turns, self.now, version),
        )

    def one(self, statement: str, *values: object) -> tuple:  # type: ignore[type-arg]
        """The first row of a query, or None."""
        return self.connection.execute(statement, values).fetchone()
