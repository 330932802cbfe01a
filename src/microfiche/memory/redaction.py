"""Cutting what is to be forgotten out of a memory's rows: versions, diffs, open pages, messages, and the indexes of
words and keys.

A page keeps its number in the log and what else stands on it. This module knows nothing of files that are wiped.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from glob import escape

from microfiche.errors import StoreError, UsageError
from microfiche.files import plain
from microfiche.memory.archive import Archive
from microfiche.memory.chats import close_open, index_all, put_open
from microfiche.memory.database import meta
from microfiche.memory.messages import as_read, legible, sayings
from microfiche.memory.paper import cut_pages, digest, from_bytes, packed, typesetter_of
from microfiche.memory.records import PageRecord, page_records, text_of
from microfiche.memory.versions import Span, VersionPart, line_around, merged, shown_of, without
from microfiche.memory.words import found_in, index_words, pattern_of, unindex_words
from microfiche.precision import text_tokens


@dataclass(frozen=True)
class Passage:
    """What a query would have forgotten: the `text` that begins at character `start` of a version of a source."""

    source: str
    version: int
    start: int
    text: str


@dataclass
class Forgotten:
    """What was forgotten: the `names` of the texts that are gone, how many versions, messages and characters, and how
    many pages are gone or changed.

    `shared` names texts that have a forgotten text's pages as well, and keep them. `wiped` says whether nothing of it
    is left in the files; where it is not, somebody still reads an older state or writes, and `wipe` finishes it
    afterwards.
    """

    names: list[str] = field(default_factory=list)
    versions: int = 0
    messages: int = 0
    pages: int = 0
    characters: int = 0
    shared: list[str] = field(default_factory=list)
    wiped: bool = True


class Redaction:
    """One forgetting, within the caller's transaction; `finish` ends it and says what was `done`."""

    def __init__(self, archive: Archive, connection: sqlite3.Connection) -> None:
        self.archive, self.connection, self.done = archive, connection, Forgotten()
        self._damaged = False
        self._dropped: set[int] = set()  # the pages of versions that are forgotten, and of which sources these were
        self._from: set[int] = set()

    def sources(self, name: str | None) -> list[int]:
        """The numbers of the sources: of that name, or all."""
        if name is None:
            return [row[0] for row in self.connection.execute("SELECT id FROM source ORDER BY id")]
        known = self.archive.known_as(name)
        found = self.connection.execute("SELECT id FROM source WHERE name = ?", (known,)).fetchall()
        if not found:
            raise UsageError(f"{self.archive.path}: holds nothing named {name!r}")
        return [row[0] for row in found]

    def whole(self, sources: Iterable[int]) -> None:
        """Forgets all versions of sources."""
        for source in sources:
            for version in self._versions([source], ("text",)):
                self._drop_version(version)
            self._drop_source(source)

    def page(self, number: int) -> None:
        """Forgets what stands on a page, in every version, and the diffs that show it."""
        if not page_records(self.connection, "WHERE id = ?", (number,)):
            raise UsageError(f"{self.archive.path}: there is no page {number}")
        sources = {row[0] for row in self.connection.execute(
            "SELECT source FROM version JOIN place ON place.version = version.id WHERE page = ?", (number,))}
        found = {
            version: spans for version in self._versions(sources, ("text",))
            if (spans := [(at, at + length) for page, at, length in self._pages(version) if page == number])
        }
        self.connection.execute("DELETE FROM place WHERE page = ? AND part = 'diff'", (number,))
        try:
            found = self._with_diffs(found)
        except StoreError:  # what is damaged cannot be compared
            for diff in self._diffs(found):
                self._drop_part(diff.id, "diff")
        self.redact(found)

    def moments(self, sources: Iterable[int], first: float, last: float) -> None:
        """Forgets the versions that were added, and the messages that were said, from `first` to just before `last`."""
        for version in self._versions(sources, ("text",)):
            if version.kind == "chat":
                rows = self.connection.execute(
                    "SELECT start, start + length FROM message WHERE version = ? AND length"
                    " AND coalesce(time, added, (SELECT added FROM version WHERE id = message.version)) >= ?"
                    " AND coalesce(time, added, (SELECT added FROM version WHERE id = message.version)) < ?",
                    (version.id, first, last),
                ).fetchall()
                self.redact({version: rows} if rows else {})
                continue
            (added,) = self.connection.execute("SELECT added FROM version WHERE id = ?", (version.id,)).fetchone()
            if first <= added < last:
                for (follower,) in self.connection.execute(
                    "SELECT id FROM version WHERE source = ? AND number = ?", (version.source, version.number + 1)
                ).fetchall():
                    self._drop_part(follower, "diff")
                self._drop_version(version)
        for source in sources:
            self._drop_source(source)

    def saying(self, sources: Iterable[int], query: str) -> dict[VersionPart, list[Span]]:
        """Where versions say something, whole messages or lines, and where their diffs show these."""
        pattern = pattern_of(query)
        found: dict[VersionPart, list[Span]] = {}
        for version in self._versions(sources, ("text",)):
            text = self._text(version)
            spans = [line_around(text, *span) for span in found_in(text, pattern)]
            if version.kind == "chat":
                for start, length, whole in self.connection.execute(
                    "SELECT start, length, said FROM message WHERE version = ? AND said IS NOT NULL", (version.id,)
                ):
                    if any(found_in(said, pattern) for said in sayings(whole)):
                        spans.append((start, start + length))
            if spans:
                found[version] = self._whole_messages(version, spans)
        return self._with_diffs(found)

    def _with_diffs(self, found: dict[VersionPart, list[Span]]) -> dict[VersionPart, list[Span]]:
        """What is found in texts, with the lines of diffs that show something of it."""
        shown: dict[VersionPart, list[Span]] = {}
        for diff, versions in self._diffs(found).items():
            text = self._text(diff)
            spans = [span for version in versions for span in shown_of(text, self._text(version), [
                (max(start, at), min(end, at + length)) for start, end in found[version]
                for _, at, length in self._pages(version) if start < at + length and end > at])]
            if spans:
                shown[diff] = merged(spans)
        return found | shown

    def _diffs(self, versions: Collection[VersionPart]) -> dict[VersionPart, list[VersionPart]]:
        """The diffs that show what became of versions of texts, each with those of them that it shows."""
        found: dict[VersionPart, list[VersionPart]] = {}
        diffs = {(x.source, x.number): x for x in self._versions({x.source for x in versions}, ("diff",))}
        for version in versions:
            for number in (version.number, version.number + 1):
                if (diff := diffs.get((version.source, number))) and self._pages(diff):
                    found.setdefault(diff, []).append(version)
        return found

    def passages(self, found: dict[VersionPart, list[Span]]) -> list[Passage]:
        """What would be forgotten."""
        return [
            Passage(version.name, version.number, start, (legible if version.kind == "chat" else str)(text[start:end]))
            for version, spans in found.items() for text in [self._text(version)] for start, end in spans
        ]

    def redact(self, found: dict[VersionPart, list[Span]]) -> None:
        """Cuts spans of characters out of versions; a page keeps its number in the log and what else stands on it."""
        found = {version: self._whole_messages(version, spans) for version, spans in found.items()}
        cuts: dict[int, dict[tuple[int, str], tuple[Span, ...]]] = {}
        for version, spans in found.items():
            for page, at, length in self._pages(version):
                mine = tuple(
                    (max(start, at) - at, min(end, at + length) - at)
                    for start, end in spans if start < at + length and end > at
                )
                if mine:
                    cuts.setdefault(page, {})[version.id, version.part] = mine
        for page, places in cuts.items():
            self._cut(page, places)
        for version, spans in found.items():
            self._close_up(version, spans)

    def finish(self) -> Forgotten:
        """Deletes the pages that nothing refers to any more, and what is left of them in the indexes."""
        connection = self.connection
        self.done.shared = [name for source, name in connection.execute(
            "SELECT id, name FROM source WHERE id IN (SELECT source FROM version WHERE id IN (SELECT version FROM place"
            " WHERE page IN (SELECT value FROM json_each(?)))) ORDER BY id", (json.dumps(sorted(self._dropped)),),
        ) if source not in self._from]
        gone = page_records(connection, "WHERE id NOT IN (SELECT page FROM place)")
        for record in gone:
            self._unindex(record)
            self._erase_keys(record.id)
            for table, column in (("picture", "page"), ("tokens", "page"), ("page", "id")):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (record.id,))
        self.done.pages += len(gone)
        if self._damaged:  # a page whose text cannot be read cannot be taken out of the index by its words
            connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
            index_all(connection)
        connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        return self.done

    def _versions(self, sources: Iterable[int], parts: Sequence[str]) -> list[VersionPart]:
        return [
            VersionPart(version, source, name, kind, number, part, retired is None)
            for source in sources
            for version, name, kind, number, retired in self.connection.execute(
                "SELECT version.id, name, kind, number, retired FROM version"
                " JOIN source ON source.id = source WHERE source = ? ORDER BY number", (source,),
            ).fetchall()
            for part in parts
        ]  # fmt: skip

    def _pages(self, version: VersionPart) -> list[tuple[int, int, int]]:
        """The pages of a version's part, each with where it begins and its characters."""
        at, found = 0, []
        for page, length in self.connection.execute(
            "SELECT page, page.characters FROM place JOIN page ON page.id = place.page"
            " WHERE version = ? AND part = ? ORDER BY number", (version.id, version.part),
        ):  # fmt: skip
            found.append((page, at, length))
            at += length
        return found

    def _open(self, version: VersionPart) -> tuple[int, str]:
        pieces = self.connection.execute(
            "SELECT start, text FROM open WHERE source = ? ORDER BY start", (version.source,)
        ).fetchall()
        if not pieces or not version.current or version.part != "text":
            return 0, ""
        return pieces[0][0], "".join(from_bytes(text) for _, text in pieces)

    def _text(self, version: VersionPart) -> str:
        texts = []
        for page, _, _ in self._pages(version):
            (record,) = page_records(self.connection, "WHERE id = ?", (page,))
            try:
                texts.append(text_of(self.connection, record))
            except StoreError as error:
                where = f"{self.archive.path}: page {page}"
                raise StoreError(f"{where}: {error}; forget that page by its number") from error
        return "".join(texts) + self._open(version)[1]

    def _whole_messages(self, version: VersionPart, spans: Sequence[Span]) -> list[Span]:
        """The spans, of a chat those of the messages that they touch, in order and none overlapping another."""
        if version.kind == "chat" and version.part == "text":
            lines = self.connection.execute(
                "SELECT start, start + length FROM message WHERE source = ? AND version = ?",
                (version.source, version.id),
            ).fetchall()
            cuts, spans = merged(spans), list(spans)
            for start, end in lines:
                before = bisect_left(cuts, (end, 0)) - 1  # the last cut that begins before the message ends
                if before >= 0 and cuts[before][1] > start:
                    spans.append((start, end))
        return merged(spans)

    def _cut(self, page: int, places: dict[tuple[int, str], tuple[Span, ...]]) -> None:
        """Cuts spans out of a page in the versions that are named, each with its spans."""
        (record,) = page_records(self.connection, "WHERE id = ?", (page,))
        try:
            text = text_of(self.connection, record)
        except StoreError:
            text = " " * record.characters  # it is damaged, and all of it goes where a part of it is to
            places = {place: ((0, len(text)),) for place in places}
        every = self.connection.execute("SELECT version, part FROM place WHERE page = ?", (page,)).fetchall()
        alike = len(set(places.values())) == 1 and set(every) == set(places)
        for place, spans in places.items():
            left = without(text, spans)
            target = self._page_with(record, left, own=alike) if left else None
            where = "WHERE page = ? AND version = ? AND part = ?"
            if target:
                self.connection.execute(f"UPDATE place SET page = ? {where}", (target, page, *place))
            else:
                self.connection.execute(f"DELETE FROM place {where}", (page, *place))

    def _page_with(self, record: PageRecord, text: str, own: bool) -> int:
        """The number of the page with a text, set as `record` was: that page itself, changed, if it is its own."""
        name = digest(text, record.setting, record.side)
        known = self.connection.execute("SELECT id FROM page WHERE digest = ?", (name,)).fetchone()
        if known:
            return int(known[0])
        page = next(cut_pages(text, typesetter_of(record.setting, record.side)))
        shown = plain(as_read(text, record.layout))
        values = (name, page.height, len(text), text_tokens(shown), page.undrawn, packed(text))
        self.done.pages += 1
        if own:
            self._unindex(record)
            self._erase_keys(record.id)
            for table in ("picture", "tokens"):
                self.connection.execute(f"DELETE FROM {table} WHERE page = ?", (record.id,))
            self.connection.execute(
                "UPDATE page SET digest = ?, height = ?, characters = ?, text_tokens = ?, undrawn = ?, text = ?"
                " WHERE id = ?", (*values, record.id),
            )  # fmt: skip
            index_words(self.connection, record.id, shown)
            return record.id
        new = self.connection.execute(
            "INSERT INTO page(digest, height, characters, text_tokens, undrawn, text, density, layout, side,"
            " since_page, since_turn, since_time, importance, pinned, level, retired)"
            " SELECT ?, ?, ?, ?, ?, ?, density, layout, side, since_page, since_turn, since_time, importance, pinned,"
            " level, retired FROM page WHERE id = ?", (*values, record.id),
        ).lastrowid or 0  # fmt: skip
        index_words(self.connection, new, shown)
        return new

    def _close_up(self, version: VersionPart, spans: Sequence[Span]) -> None:
        """Moves together what stands after the spans that were cut out of a version."""
        connection = self.connection
        start, text = self._open(version)
        if text:
            left = without(text, [(a - start, b - start) for a, b in spans])
            if left != text:
                close_open(connection, version.source)
                put_open(connection, version.source, start, left)
        pages = self._pages(version)
        connection.execute("DELETE FROM place WHERE version = ? AND part = ?", (version.id, version.part))
        connection.executemany(
            "INSERT INTO place VALUES (?, ?, ?, ?, ?)",
            [(version.id, version.part, number, page, at) for number, (page, at, _) in enumerate(pages, 1)],
        )
        if version.part != "text":
            return
        finished = sum(length for _, _, length in pages)
        for number, (piece,) in enumerate(connection.execute(
            "SELECT id FROM open WHERE source = ? ORDER BY start", (version.source if version.current else -1,)
        ).fetchall()):
            if not number:
                connection.execute("UPDATE open SET start = ? WHERE id = ?", (finished, piece))
        cut = sum(end - start for start, end in spans)
        connection.execute(
            "UPDATE version SET characters = characters - ?, forgotten = forgotten + ? WHERE id = ?",
            (cut, cut, version.id),
        )
        self.done.characters += cut
        if version.kind == "chat":
            self._move_messages(version, spans)

    def _move_messages(self, version: VersionPart, spans: Sequence[Span]) -> None:
        rows = self.connection.execute(
            "SELECT id, start, length FROM message WHERE version = ? AND length ORDER BY start", (version.id,)
        ).fetchall()
        gone, moved = [], []
        cut = at = 0
        for number, start, length in rows:
            while at < len(spans) and spans[at][1] <= start:
                cut += spans[at][1] - spans[at][0]
                at += 1
            if at < len(spans) and spans[at][0] <= start and start + length <= spans[at][1]:
                gone.append((start - cut, number))
            else:
                moved.append((start - cut, number))
        # The turn is still counted, so that `sync` does not take it for a changed one and add it again.
        self.connection.executemany(
            "UPDATE message SET role = '', time = NULL, length = 0, sign = x'', said = NULL, head = NULL, start = ?"
            " WHERE id = ?", gone,
        )  # fmt: skip
        self.connection.executemany("UPDATE message SET start = ? WHERE id = ?", moved)
        self.done.messages += len(gone)

    def _drop_version(self, version: VersionPart) -> None:
        (characters,) = self.connection.execute("SELECT characters FROM version WHERE id = ?", (version.id,)).fetchone()
        self._dropped.update(page for (page,) in self.connection.execute(
            "SELECT page FROM place WHERE version = ?", (version.id,)))
        self._from.add(version.source)
        if version.current:
            close_open(self.connection, version.source)
        of = "FROM message WHERE source = ? AND version = ?"
        (messages,) = self.connection.execute(
            f"SELECT count(*) {of} AND length", (version.source, version.id)).fetchone()
        self.connection.execute(f"DELETE {of}", (version.source, version.id))
        self.connection.execute("DELETE FROM place WHERE version = ?", (version.id,))
        self.connection.execute("DELETE FROM version WHERE id = ?", (version.id,))
        self.done.versions += 1
        self.done.messages += messages
        self.done.characters += characters

    def _drop_part(self, version: int, part: str) -> None:
        self.connection.execute("DELETE FROM place WHERE version = ? AND part = ?", (version, part))

    def _drop_source(self, source: int) -> None:
        if self.connection.execute("SELECT 1 FROM version WHERE source = ?", (source,)).fetchone():
            return
        row = self.connection.execute("SELECT name FROM source WHERE id = ?", (source,)).fetchone()
        self.connection.execute("DELETE FROM source WHERE id = ?", (source,))
        self.done.names += [row[0]] if row else []

    def _unindex(self, record: PageRecord) -> None:
        try:
            text = text_of(self.connection, record)
            unindex_words(self.connection, record.id, plain(as_read(text, record.layout)))
        except StoreError:
            self._damaged = True

    def _erase_keys(self, page: int) -> None:
        """Overwrites the keys of a page in the files beside the memory."""
        row = self.connection.execute("SELECT first, count FROM index_keys WHERE page = ?", (page,)).fetchone()
        name = meta(self.connection, "index")
        if row and isinstance(name, list):
            path = self.archive.path
            for file in path.parent.glob(f"{escape(path.name)}.*.keys"):
                with file.open("r+b") as keys:
                    keys.seek(row[0] * int(name[2]))
                    keys.write(bytes(row[1] * int(name[2])))
        self.connection.execute("DELETE FROM index_keys WHERE page = ?", (page,))
