"""The memory's one file: SQLite in WAL mode, its tables, and its errors in a line.

Many processes read while one writes; a commit is on the disk before it returns. It knows nothing of pages.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microfiche.errors import StoreError

FORMAT = 1
APPLICATION = 0x4D464D31
#: `page` is a log: rows are added at the end and their content never changes. `place` says which pages, in order, make
#: up a version of a source (part "text"), or show what changed in it (part "diff"). An open page's text is in `open`.
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
    """The open file, made if it is not there, and whether it can only be read; StoreError if it is none of ours."""
    if path.is_dir():
        raise StoreError(f"{path}: a folder; a memory is one file")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path}: a device or a pipe; a memory is a file")
    new = not path.exists()
    if new and read_only:
        raise StoreError(f"{path}: no memory there")
    read_only = read_only or not (new or os.access(path, os.W_OK))
    with told(path, timeout):
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
        # The folder cannot be written to, where SQLite puts a file beside the one that it reads: it is read as it
        # stands, if all of it stands there.
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise StoreError(
                f"{path}: what was added last is in {wal.name}, and its folder cannot be written to, which it takes to "
                "read both; copy both to one that can"
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
            return  # another process was quicker
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION:
        raise StoreError(f"{path}: not a memory of Microfiche")
    version = _pragma(connection, "user_version")
    if version > FORMAT:
        raise StoreError(
            f"{path}: made by a newer Microfiche (format {version}, this one knows {FORMAT}); install a newer one"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection, write: bool = True) -> Iterator[None]:
    """All of it or nothing; a reading one sees the file as it stood when it began. One within another is part of it."""
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
def told(path: Path, timeout: float) -> Iterator[None]:
    """Turns what SQLite says into a StoreError of one line."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        what = {
            sqlite3.SQLITE_BUSY: f"another process is writing to it; waited {timeout:g} s",
            sqlite3.SQLITE_LOCKED: "another process is writing to it",
            sqlite3.SQLITE_READONLY: "cannot be written to: it is read-only",
            sqlite3.SQLITE_FULL: "the disk is full; nothing of the last batch was kept",
            sqlite3.SQLITE_IOERR: f"cannot be read or written ({error}); nothing of the last batch was kept",
            sqlite3.SQLITE_NOTADB: "not a memory of Microfiche",
            sqlite3.SQLITE_CORRUPT: "damaged; what stands before the damage can be saved with sqlite3 FILE .recover",
            sqlite3.SQLITE_CANTOPEN: "cannot be opened; is its folder there, and may it be written to?",
        }.get(code, f"{error}")
        raise StoreError(f"{path}: {what}") from error
