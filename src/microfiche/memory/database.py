"""A memory's one file: SQLite in WAL mode, its tables, its settings, and what SQLite says as errors of one line.

Many processes and threads may read while one writes, and a commit is on the disk before it returns. What is deleted is
overwritten with zeros. A file of an older format is read as it is, and becomes one of today's when it is first written
to. This module knows nothing of what a page is.
"""

from __future__ import annotations

import json
import os
import reprlib
import socket
import sqlite3
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from os import PathLike, fspath
from pathlib import Path

from microfiche.errors import StoreError, UsageError

FORMAT = 5
INDEXED = 4  #: the format from which on the index of words holds texts as they are compared
UNCOUNTED = -1  #: stands for the text tokens of a page that nobody asked for yet
#: The index of words, as words.py fills it: marks belong to the letters that they stand upon.
INDEX = """CREATE VIRTUAL TABLE words USING fts5(text, content='',
    tokenize="unicode61 remove_diacritics 0 categories 'L* N* M* Co'")"""
APPLICATION = 0x4D464D31
#: `page` is a log: rows are added at its end, and their content never changes. `place` says which pages, in which
#: order, make up a version of a source (part "text") or show what changed in it (part "diff"). `open` holds, piece by
#: piece, the text of the pages that may still grow. In `words`, row n > 0 is page n, and row −n is piece n of `open`.
#: A message's `said` is the whole of it as JSON, packed, where its role and its text, which
#: begins at character `head` of its line, are not all; `sign` names it.
#: The `misread` of tokens, as JSON, are three lists: the lines of their page that the model does not read exactly from
#: them, those with letters beyond the alphabet that it reads, and the line, place and number of characters that it
#: misreads. It is NULL until the page has been read back.
#: Only format 1 filled `picture`: a page is now drawn from its text.
TABLES = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE source(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, kind TEXT NOT NULL);
CREATE TABLE version(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source, number INTEGER NOT NULL, digest TEXT NOT NULL,
    added REAL NOT NULL, retired REAL, characters INTEGER NOT NULL, untrusted TEXT NOT NULL DEFAULT '',
    forgotten INTEGER NOT NULL DEFAULT 0, UNIQUE(source, number));
CREATE TABLE page(
    id INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, density TEXT NOT NULL, layout TEXT NOT NULL,
    side INTEGER NOT NULL, height INTEGER NOT NULL, characters INTEGER NOT NULL, text_tokens INTEGER NOT NULL,
    undrawn INTEGER NOT NULL, text BLOB NOT NULL,
    since_page INTEGER NOT NULL, since_turn INTEGER NOT NULL, since_time REAL NOT NULL,
    importance REAL NOT NULL DEFAULT 1, pinned INTEGER NOT NULL DEFAULT 0, level INTEGER NOT NULL, retired INTEGER);
CREATE TABLE place(
    version INTEGER NOT NULL REFERENCES version, part TEXT NOT NULL, number INTEGER NOT NULL,
    page INTEGER NOT NULL REFERENCES page, start INTEGER NOT NULL,
    PRIMARY KEY(version, part, number)) WITHOUT ROWID;
CREATE INDEX place_page ON place(page);
CREATE TABLE picture(page INTEGER NOT NULL REFERENCES page, side INTEGER NOT NULL, sha256 TEXT NOT NULL,
    png BLOB NOT NULL, PRIMARY KEY(page, side));
CREATE TABLE tokens(page INTEGER NOT NULL REFERENCES page, side INTEGER NOT NULL, checkpoint TEXT NOT NULL,
    height INTEGER NOT NULL, width INTEGER NOT NULL, sha256 TEXT NOT NULL, data BLOB NOT NULL, misread TEXT,
    PRIMARY KEY(page, side, checkpoint));
CREATE TABLE open(id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source, start INTEGER NOT NULL,
    text BLOB NOT NULL);
CREATE INDEX open_source ON open(source, start);
CREATE TABLE message(id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source, role TEXT NOT NULL,
    time REAL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    version INTEGER REFERENCES version, added REAL, sign BLOB, said BLOB,
    head INTEGER);
CREATE INDEX message_source ON message(source, id);
CREATE TABLE fade(id INTEGER PRIMARY KEY, time REAL NOT NULL, at_page INTEGER NOT NULL, first_page INTEGER NOT NULL,
    pages INTEGER NOT NULL, schedule TEXT NOT NULL);
CREATE TABLE index_keys(page INTEGER PRIMARY KEY REFERENCES page, first INTEGER NOT NULL, count INTEGER NOT NULL);
{INDEX};
"""
#: What makes a file of format 1 one of format 2, and so on to today's, but for the words in its index.
FROM_1 = """
ALTER TABLE version ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN misread TEXT;
ALTER TABLE message ADD COLUMN version INTEGER REFERENCES version;
ALTER TABLE message ADD COLUMN added REAL;
ALTER TABLE message ADD COLUMN sign BLOB;
ALTER TABLE message ADD COLUMN said BLOB;
ALTER TABLE message ADD COLUMN head INTEGER;
UPDATE message SET version = (SELECT id FROM version WHERE version.source = message.source);
ALTER TABLE open RENAME TO open_1;
CREATE TABLE open(id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source, start INTEGER NOT NULL,
    text BLOB NOT NULL);
CREATE INDEX open_source ON open(source, start);
INSERT INTO open(source, start, text) SELECT source, start, text FROM open_1 WHERE length(text) ORDER BY source;
DROP TABLE open_1;
"""
FROM_2 = """
UPDATE tokens SET misread = '[' || misread || ',[],[]]' WHERE misread NOT LIKE '[[%';
"""
FROM_3 = f"""
DROP TABLE words;
{INDEX};
PRAGMA user_version = 4;
"""
FROM_4 = "PRAGMA user_version = 5"  # whose pages may be UNCOUNTED
ELSEWHERE = timedelta(hours=1)  #: after which a writer on another machine is taken to have ended
LONGEST_WAIT = 86_400.0  #: seconds that a writer may be told to wait for another


def path_of(path: str | PathLike[str]) -> Path:
    """The whole path of a memory, whatever the current folder is later; StoreError or UsageError if it is none."""
    name = fspath(path) if isinstance(path, PathLike) else path
    if not isinstance(name, str) or not name:
        raise UsageError(f"{reprlib.repr(path)} is no path of a memory: give the path of a file, as text or a Path")
    try:
        os.lstat(name)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else ""
        raise StoreError(f"{reprlib.repr(name)}: {why or 'no file has such a name'}") from error
    return Path(name).absolute()


class Connections:
    """The connections to one file, one for each thread that uses it, opened when that thread first does.

    The file is made if it is not there. Raises StoreError if it is no memory. A connection is closed when its thread
    ends, which undoes what the thread left unfinished. A process that was forked opens its own.
    """

    def __init__(self, path: Path, timeout: float, read_only: bool) -> None:
        if not isinstance(timeout, int | float) or not 0 <= timeout <= LONGEST_WAIT:  # which NaN is not either
            raise UsageError(f"a timeout of {timeout!r} s is not between 0 and {LONGEST_WAIT:g}")
        self.path, self.timeout = path, timeout
        self._own = threading.local()
        self._open: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._lock, self._closed, self.read_only = threading.Lock(), False, read_only
        self.read_only = self._hold().read_only

    def one(self) -> sqlite3.Connection:
        """This thread's connection. Raises StoreError once the memory is closed, or its file was moved away."""
        if self._closed:
            raise StoreError(f"{self.path}: this memory is closed; open it again")
        held: _Held | None = getattr(self._own, "held", None)
        if held is None or held.process != os.getpid():
            held = self._hold()
        if held.file != _identity(self.path):
            raise StoreError(f"{self.path}: the file was replaced, moved or deleted while it was open; open it again")
        return held.connection

    def close(self) -> None:
        """Closes the connections of all threads; what they have not committed is undone."""
        self._closed = True
        with self._lock:
            for held in list(self._open):
                held.finish()

    def _hold(self) -> _Held:
        held = _Held(*_connect(self.path, self.timeout, self.read_only), _identity(self.path))
        self._own.held = held
        with self._lock:
            self._open.add(held)
        return held


class _Held:
    """A connection that is closed when nothing refers to it any more, by the process that opened it alone."""

    def __init__(self, connection: sqlite3.Connection, read_only: bool, file: tuple[int, int] | None) -> None:
        self.connection, self.read_only, self.process, self.file = connection, read_only, os.getpid(), file
        self.finish = weakref.finalize(self, _close, connection, self.process)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from every other, whatever it is named; None where there is none."""
    with suppress(OSError):
        return (found := path.stat()).st_dev, found.st_ino
    return None


def _close(connection: sqlite3.Connection, process: int) -> None:
    if process == os.getpid():  # closing what a fork inherited could remove the write-ahead log of its parent
        connection.close()


def _connect(path: Path, timeout: float, read_only: bool) -> tuple[sqlite3.Connection, bool]:
    """Opens a memory's file, or makes it, and says whether it can only be read; StoreError if it is no memory."""
    if path.is_dir():
        raise StoreError(f"{path}: is a folder, and a memory is one file")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path}: is a device or a pipe, and a memory is a file")
    new = not path.exists()
    if new and read_only:
        raise StoreError(f"{path}: there is no memory there")
    read_only = read_only or not (new or os.access(path, os.W_OK))
    with explained(path, timeout):
        connection, read_only = _open(path, timeout, read_only)
        try:
            if new or (not read_only and _empty(connection)):
                _make(connection)
            _check(connection, path)
            if not read_only and connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL")  # a copy by VACUUM INTO has no write-ahead log
        except BaseException:
            connection.close()
            raise
        return connection, read_only


def _open(path: Path, timeout: float, read_only: bool) -> tuple[sqlite3.Connection, bool]:
    try:
        return _connection(path, timeout, "mode=ro" if read_only else "mode=rwc"), read_only
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        # SQLite puts a file beside the one that it reads, and this folder cannot be written to. The memory can be read
        # as it stands if nothing of it is still in its write-ahead log.
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise StoreError(
                f"{path}: what was added last is in {wal.name}, and reading both takes a folder that can be written "
                "to; copy both files to one"
            ) from error
        return _connection(path, timeout, "mode=ro&immutable=1"), True


def _connection(path: Path, timeout: float, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        connection.close()
        raise
    return connection


def _empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] and not _pragma(
        connection, "application_id"
    )


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        if not _empty(connection):
            return  # another process made the tables first
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("PRAGMA wal_checkpoint")  # so that a copy without the log is a memory, too


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION:
        raise StoreError(f"{path}: is not a memory of Microfiche")
    version = _pragma(connection, "user_version")
    if version > FORMAT:
        raise StoreError(
            f"{path}: was made by a newer Microfiche (format {version}; this one knows {FORMAT}); install that"
        )
    connection.execute("PRAGMA cache_size = -65536")  # once the size of pages is known, by which SQLite counts it
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def format_of(connection: sqlite3.Connection) -> int:
    """The format of the file, 1 to FORMAT."""
    return _pragma(connection, "user_version")


def migrate(connection: sqlite3.Connection) -> bool:
    """Makes a file of an older format one of today's, within the caller's transaction; says whether it was one, so
    that its words are still to be indexed."""
    was = format_of(connection)
    for older, statements in ((1, FROM_1), (2, FROM_2), (3, FROM_3), (4, FROM_4)):
        if was <= older:
            for statement in statements.strip().split(";\n"):
                connection.execute(statement)
    return was < INDEXED


def wipe(connection: sqlite3.Connection) -> bool:
    """Writes the file anew without what was deleted, and empties its write-ahead log.

    Returns False if somebody still reads an older state, which then stands in the log until it is done again, or
    writes to the file.
    """
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise
    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


@contextmanager
def transaction(connection: sqlite3.Connection, write: bool = True) -> Iterator[None]:
    """A transaction: all of it is kept or nothing; one that only reads sees the file as it stood when it began.

    Within another transaction it is a part of that.
    """
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def explained(path: Path, timeout: float, kind: str = "a memory of Microfiche") -> Iterator[None]:
    """Turns an error of SQLite into a StoreError that says in one line what happened to the file at `path`, which
    should be of a kind."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        what = {
            sqlite3.SQLITE_BUSY: f"{holder(path)} is writing to it; waited {timeout:g} s for it to end",
            sqlite3.SQLITE_LOCKED: f"{holder(path)} is writing to it",
            sqlite3.SQLITE_READONLY: "cannot be written to: it is read-only",
            sqlite3.SQLITE_FULL: "the disk is full; nothing of the last batch was kept",
            sqlite3.SQLITE_IOERR: f"cannot be read or written ({error}); nothing of the last batch was kept",
            sqlite3.SQLITE_NOTADB: f"is not {kind}",
            sqlite3.SQLITE_CORRUPT: "is damaged; sqlite3 FILE .recover saves what stands before the damage",
            sqlite3.SQLITE_CANTOPEN: "cannot be opened; is its folder there, and may it be written to?",
        }.get(code, f"{error}")
        raise StoreError(f"{path}: {what}") from error
    except OverflowError as error:
        raise UsageError(f"{path}: a number is larger than a memory can hold (2⁶³ − 1)") from error


def _who() -> dict[str, object]:
    return {"process": os.getpid(), "thread": threading.current_thread().name, "host": socket.gethostname(),
            "command": " ".join(sys.argv)[:80], "since": datetime.now().isoformat(" ", "seconds")}


def _named(who: object) -> str:
    """A writer as an error names it; empty if it is none, or one that has ended."""
    try:
        assert isinstance(who, dict)
        process, since = int(who["process"]), str(who["since"])
        if who["host"] != socket.gethostname():
            if datetime.now() - datetime.fromisoformat(since) > ELSEWHERE:
                return ""
        else:
            os.kill(process, 0)
            if process == os.getpid():
                return f"another thread of this process ({who['thread']}), since {since},"
        return f"another process ({process} on {who['host']}: {who['command']}), since {since},"
    except PermissionError:  # it runs, as another user
        return f"another process ({who['process']}), since {who['since']},"  # type: ignore[index]
    except (AssertionError, OSError, OverflowError, ValueError, KeyError, TypeError):
        return ""


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}-writer")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Notes beside the file at `path` who writes to it, for as long as that is; entered by whom SQLite let write."""
    note = _note(path)
    with suppress(OSError):
        note.write_text(json.dumps(_who()), "utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            note.unlink()


def holder(path: Path) -> str:
    """Who writes to the file at `path`, as far as that is known."""
    try:
        return _named(json.loads(_note(path).read_text("utf-8"))) or "another process"
    except (OSError, ValueError):
        return "another process"


def adding(connection: sqlite3.Connection, begun: bool) -> None:
    """Notes in the file that somebody is in the middle of an `add`, or no longer."""
    if begun:
        set_meta(connection, "adding", _who())
    else:
        connection.execute("DELETE FROM meta WHERE key = 'adding'")


def writing_now(connection: sqlite3.Connection) -> str:
    """Who is in the middle of an `add`; empty if nobody is that still runs."""
    return _named(meta(connection, "adding"))


def meta(connection: sqlite3.Connection, key: str) -> object:
    """The value (JSON) that `set_meta` kept under `key`, or None."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return json.loads(row[0]) if row else None


def set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Keeps a value (JSON) under `key`."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))
