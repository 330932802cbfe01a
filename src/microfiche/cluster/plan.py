"""The plan of a run: which documents there are, what the output of each is called, and what is left to do.

The plan is on disk, whatever its length: a database sorts what was listed, as one machine would have, and units of work
are written as lines to a file, from which the cluster takes them. It knows nothing of Ray.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from microfiche.cluster.listing import Listed
from microfiche.cluster.table import FAILED, Table
from microfiche.documents.opening import DocumentSource, natural
from microfiche.documents.writing import name_for
from microfiche.errors import InputError

KEPT = 20_000  #: rows after which what was listed goes to disk


@dataclass(frozen=True)
class Unit:
    """A piece of work: a document, or a range of its pages.

    `name` is that of the output. `pages` are the first and the last place, from 0, among the pages that are read, where
    the document is so long that it is read in ranges; `whole` reads a document in one piece, however long it is.
    `before` is the SHA-256 of what an earlier run has done under this name.
    """

    source: DocumentSource
    name: str
    stamp: str = ""
    pages: tuple[int, int] | None = None
    whole: bool = False
    before: str = ""

    def line(self) -> str:
        """The unit as a line of JSON."""
        origin = self.source.origin
        assert not isinstance(origin, bytes)
        return json.dumps({
            "source": [self.source.name, str(origin), isinstance(origin, Path), self.source.error], "name": self.name,
            "stamp": self.stamp, "pages": self.pages, "whole": self.whole, "before": self.before,
        })  # fmt: skip

    @classmethod
    def of(cls, line: str | bytes) -> Unit:
        """The unit that `line` wrote."""
        told: dict[str, Any] = json.loads(line)
        name, origin, is_path, error = told.pop("source")
        pages = told.pop("pages")
        source = DocumentSource(name, Path(origin) if is_path else origin, error)
        return cls(source, pages=tuple(pages) if pages else None, **told)

    def ranges(self, pages: int, span: int) -> Iterator[Unit]:
        """The units that together read this document of so many pages, `span` pages each."""
        for first in range(0, pages, span):
            yield replace(self, pages=(first, min(first + span, pages)))

    @property
    def key(self) -> str:
        """A name of the unit that is different for each unit of a run: names of outputs have no "/"."""
        return self.name + (f"/{self.pages[0] + 1}" if self.pages else "")


class Taken:
    """Names that are taken, in a database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE taken (name TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def get(self, name: str, default: int, /) -> int:
        """The number of a name, `default` if it is not taken."""
        found = self._database.execute("SELECT number FROM taken WHERE name = ?", (name,)).fetchone()
        return found[0] if found else default

    def update(self, names: dict[str, int], /) -> None:
        """Takes `names`."""
        self._database.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?)", names.items())


class Plan:
    """What is listed, in the order of one machine; use it in a `with`, at whose end it is gone.

    `documents` is how many were listed, `left` how many of them are still to be done, and `failed` how many are left
    out because they failed before.
    """

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="microfiche-plan-")
        self._database = sqlite3.connect(Path(self._place.name) / "plan.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE listed (number INTEGER, key BLOB, line TEXT)")
        self._database.execute("CREATE TABLE done (name TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID")
        self._taken = Taken(self._database)
        self.documents = self.left = self.failed = 0

    def list(self, found: Iterable[tuple[int, Listed]]) -> None:
        """Takes in what `listed` yields."""
        self._database.execute("BEGIN")
        for number, one in found:
            line = Unit(one.source, "", one.stamp).line()
            self._database.execute("INSERT INTO listed VALUES (?, ?, ?)", (number, order_of(one.source.name), line))
            self.documents += 1
            if self.documents % KEPT == 0:
                self._database.execute("COMMIT")
                self._database.execute("BEGIN")
        self._database.execute("COMMIT")
        if not self.documents:
            raise InputError("there is nothing to read: no name leads to a document")

    def write(
        self,
        path: Path,
        table: Table,
        settings: str,
        is_there: Callable[[str], bool],
        retry_failed: bool = False,
    ) -> None:
        """Writes a line to `path` for each document that is to be done: all but those that the table has a row of, with
        the same settings and content, and whose output `is_there`. What failed is done again if `retry_failed`."""
        self._database.execute("BEGIN")
        for row in table.latest():
            if row.settings == settings:
                kept = json.dumps([row.sha256, row.stamp, row.status])
                self._database.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (row.name, kept))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            reading = self._database.execute("SELECT line FROM listed ORDER BY number, key, rowid")
            for (line,) in reading:
                unit = Unit.of(line)
                unit = replace(unit, name=name_for(unit.source.name, self._taken))
                found = self._database.execute("SELECT row FROM done WHERE name = ?", (unit.name,)).fetchone()
                sha256, stamp, status = json.loads(found[0]) if found else ("", "", "")
                failed = status in FAILED
                if found and not (failed and retry_failed) and (failed or is_there(unit.name)):
                    if _same(unit, sha256, stamp, failed):
                        self.failed += failed
                        continue
                    unit = replace(unit, before=sha256)
                file.write(unit.line() + "\n")
                self.left += 1
        self._database.execute("COMMIT")

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._database.close()
        with suppress(OSError):
            self._place.cleanup()


def _same(unit: Unit, sha256: str, stamp: str, failed: bool) -> bool:
    """Whether a document is still what a row of the table tells of. A file is compared by its content; an object in a
    bucket, whose time changes with its content, by its size and time."""
    origin = unit.source.origin
    if isinstance(origin, Path) and sha256 and not unit.source.error:
        try:
            with origin.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False
    if not unit.stamp:  # nobody knows without fetching it
        return failed
    return unit.stamp == stamp


def order_of(name: str) -> bytes:
    """Bytes that sort as `natural` sorts names."""
    parts = []
    for text, number in natural(name):
        digits = str(number)
        parts.append(text.encode("utf-8", "surrogatepass") + b"\0" + len(digits).to_bytes(2) + digits.encode())
    return b"".join(parts)
