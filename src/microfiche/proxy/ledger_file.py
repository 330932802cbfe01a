"""The file of the ledger: its tables, their formats, and how it is opened by many processes at once."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from microfiche.errors import StoreError
from microfiche.files import plain
from microfiche.memory.database import INDEX, explained, transaction
from microfiche.memory.paper import from_bytes
from microfiche.memory.words import index_words

FORMAT = 3
APPLICATION = 0x4D464C31
BEGINS = b"SQLite format 3\0"
EXCERPT = 240  #: characters of what is shown of a text
#: A verdict without a block is for text. A block's pages are numbered from 1; row n of `words` is page n of the ledger.
TABLES = f"""
CREATE TABLE session(id INTEGER PRIMARY KEY, head BLOB UNIQUE NOT NULL, began REAL NOT NULL, seen REAL NOT NULL,
    pinned TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '');
CREATE TABLE block(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, digest BLOB UNIQUE NOT NULL,
    source TEXT NOT NULL, characters INTEGER NOT NULL, lines INTEGER NOT NULL, made REAL NOT NULL, text BLOB NOT NULL);
CREATE TABLE verdict(session INTEGER NOT NULL REFERENCES session, digest BLOB NOT NULL,
    block INTEGER REFERENCES block, banner INTEGER NOT NULL, stop INTEGER NOT NULL, reason TEXT NOT NULL,
    time REAL NOT NULL,
    PRIMARY KEY(session, digest)) WITHOUT ROWID;
CREATE INDEX verdict_block ON verdict(block);
CREATE TABLE page(id INTEGER PRIMARY KEY, block INTEGER NOT NULL REFERENCES block, number INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, tokens INTEGER NOT NULL, caption TEXT NOT NULL, png BLOB NOT NULL,
    UNIQUE(block, number));
{INDEX};
"""
#: What makes a file of format 1, in which sessions had no names, one of format 2, and that, whose index holds words as
#: they are written, one of format 3, but for the words.
FROM_1 = ("ALTER TABLE session ADD COLUMN name TEXT NOT NULL DEFAULT ''",)
FROM_2 = ("DROP TABLE words", INDEX, "PRAGMA user_version = 3")


def opened(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection to the ledger in a file, which is for its owner alone, and is made if it is not there. StoreError
    where it is none, or of a newer version; sqlite3.Error and OSError where it cannot be used."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        with suppress(PermissionError):  # it is another's
            os.fchmod(file, 0o600)
    os.close(file)
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.execute("PRAGMA journal_mode = WAL")
            with transaction(connection):
                if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    for statement in TABLES.split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {FORMAT}")
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise StoreError(f"{path}: is not a ledger of Microfiche")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise StoreError(f"{path}: was made by a newer Microfiche (format {version}; this one knows {FORMAT}); "
                             "install that")  # fmt: skip
        if version < FORMAT:
            with transaction(connection):
                _migrate(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == FORMAT:
        return  # another process did it meanwhile
    for statement in (*(FROM_1 if version == 1 else ()), *FROM_2):
        connection.execute(statement)
    for page, start, stop, text in connection.execute(
        "SELECT page.id, start, stop, text FROM page JOIN block ON block.id = block"
    ).fetchall():
        with suppress(zlib.error, UnicodeDecodeError):  # a damaged block is named when it is asked for
            index_words(connection, page, plain(from_bytes(zlib.decompress(text))[start:stop]))


class LedgerFile:
    """A connection to the file at `path`, for all threads of this process."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.path, self.timeout = path, timeout
        self._lock = threading.RLock()
        with self._explained():
            self._connection = opened(path, timeout)
            self._file, self._begins = os.open(path, os.O_RDONLY), b""  # closed with the connection, whose locks end so
        self._finish = weakref.finalize(self, _close, self._connection, self._file, self._lock, os.getpid())

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._finish()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with explained(self.path, self.timeout, "a ledger of Microfiche"):
            try:
                yield
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror or error}") from error

    @contextmanager
    def _using(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        if write:
            self.check()
        with self._lock, self._explained(), transaction(self._connection, write):
            yield self._connection

    def check(self) -> None:
        """StoreError where the file is no longer the one that was opened, or no longer begins as it did."""
        here, there = os.fstat(self._file), None
        with suppress(OSError):
            there = self.path.stat()
        if there is None or (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            raise StoreError(f"{self.path}: was removed or replaced while it was open; start the proxy anew")
        with self._lock:
            os.lseek(self._file, 0, os.SEEK_SET)
            before, self._begins = self._begins, os.read(self._file, len(BEGINS))
            if before == BEGINS != self._begins:
                self._begins = before
                raise StoreError(f"{self.path}: was damaged while it was open; remove it and start the proxy anew")

    @property
    def changes(self) -> int:
        """A number that changes when another process has written to the file."""
        with self._lock, self._explained():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def examined(self) -> int:
        """How many sessions it holds, once all of the file is found to be whole."""
        with self._using() as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise StoreError(f"{self.path}: is damaged ({plain(found)[:EXCERPT].strip()})")
            counted = "SELECT count(DISTINCT coalesce(nullif(name, ''), id)) FROM session"
            return int(connection.execute(counted).fetchone()[0])


def _close(connection: sqlite3.Connection, file: int, lock: threading.RLock, process: int) -> None:
    if process == os.getpid() and lock.acquire(blocking=False):  # the process ends without waiting for who forgets
        try:
            connection.close()
            os.close(file)
        finally:
            lock.release()
