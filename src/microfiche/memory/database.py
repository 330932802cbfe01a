"""A memory's one file: SQLite in WAL mode, its tables, its settings, and what SQLite says as errors of one line.

Many processes may read while one writes, and a commit is on the disk before it returns. This module knows nothing of
what a page is.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microfiche.errors import StoreError

FORMAT = 1
APPLICATION = 0x4D464D31
#: `page` is a log: rows are added at its end, and their content never changes. `place` says which pages, in which
#: order, make up a version of a source (part "text") or show what changed in it (part "diff"). `open` holds the text
#: of the pages that may still grow.
TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE source(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, kind TEXT NOT NULL);
CREATE TABLE version(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source, number INTEGER NOT NULL, digest TEXT NOT NULL,
    added REAL NOT NULL, retired REAL, characters INTEGER NOT NULL, untrusted TEXT NOT NULL DEFAULT '',
    UNIQUE(source, number));
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
    height INTEGER NOT NULL, width INTEGER NOT NULL, sha256 TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY(page, side, checkpoint));
CREATE TABLE open(source INTEGER PRIMARY KEY REFERENCES source, start INTEGER NOT NULL, text BLOB NOT NULL);
CREATE TABLE message(id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source, role TEXT NOT NULL,
    time REAL, start INTEGER NOT NULL, length INTEGER NOT NULL);
CREATE INDEX message_source ON message(source, id);
CREATE TABLE fade(id INTEGER PRIMARY KEY, time REAL NOT NULL, at_page INTEGER NOT NULL, first_page INTEGER NOT NULL,
    pages INTEGER NOT NULL, schedule TEXT NOT NULL);
CREATE TABLE index_keys(page INTEGER PRIMARY KEY REFERENCES page, first INTEGER NOT NULL, count INTEGER NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize="unicode61 remove_diacritics 2");
"""


def connect(path: Path, timeout: float, read_only: bool) -> tuple[sqlite3.Connection, bool]:
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
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=timeout, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
        connection.execute("PRAGMA cache_size = -65536")
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


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION:
        raise StoreError(f"{path}: is not a memory of Microfiche")
    version = _pragma(connection, "user_version")
    if version > FORMAT:
        raise StoreError(
            f"{path}: was made by a newer Microfiche (format {version}; this one knows {FORMAT}); install that"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


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
def explained(path: Path, timeout: float) -> Iterator[None]:
    """Turns an error of SQLite into a StoreError that says in one line what happened to the file at `path`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        what = {
            sqlite3.SQLITE_BUSY: f"another process is writing to it; waited {timeout:g} s for it to end",
            sqlite3.SQLITE_LOCKED: "another process is writing to it",
            sqlite3.SQLITE_READONLY: "cannot be written to: it is read-only",
            sqlite3.SQLITE_FULL: "the disk is full; nothing of the last batch was kept",
            sqlite3.SQLITE_IOERR: f"cannot be read or written ({error}); nothing of the last batch was kept",
            sqlite3.SQLITE_NOTADB: "is not a memory of Microfiche",
            sqlite3.SQLITE_CORRUPT: "is damaged; sqlite3 FILE .recover saves what stands before the damage",
            sqlite3.SQLITE_CANTOPEN: "cannot be opened; is its folder there, and may it be written to?",
        }.get(code, f"{error}")
        raise StoreError(f"{path}: {what}") from error


def meta(connection: sqlite3.Connection, key: str) -> object:
    """The value (JSON) that `set_meta` kept under `key`, or None."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return json.loads(row[0]) if row else None


def set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Keeps a value (JSON) under `key`."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))
