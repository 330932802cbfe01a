"""The file of the ledger: its tables, their formats, and how it is opened by many processes at once."""

from __future__ import annotations

import os
import sqlite3
import stat
import zlib
from contextlib import suppress
from pathlib import Path

from microfiche.errors import StoreError
from microfiche.files import plain
from microfiche.memory.database import INDEX, transaction
from microfiche.memory.paper import from_bytes
from microfiche.memory.words import index_words

FORMAT = 3
APPLICATION = 0x4D464C31
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
