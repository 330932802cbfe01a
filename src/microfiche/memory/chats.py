"""Chats in a memory: messages as they came, on pages that are finished for ever once they are full.

A message is kept whole: whatever its line on the page does not give back exactly (tool calls with their ids, refusals,
reasoning, files, audio) is kept beside it as JSON. This module knows nothing of how a message is drawn.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from microfiche.errors import InputError, StoreError, UsageError
from microfiche.files import plain
from microfiche.memory.database import format_of
from microfiche.memory.messages import Message, as_read, message_of, written
from microfiche.memory.paper import from_bytes, to_bytes
from microfiche.memory.records import page_records, text_of, text_of_version
from microfiche.memory.words import index_words, unindex_words
from microfiche.memory.writer import Writer

Given = Message | Mapping[str, Any]  #: a message as it is added: a dict, or an object of a client's library
SIGNED = 16  #: bytes of the hash that names a message
FORGOTTEN = b""  #: that of a message that was forgotten on purpose
MARK = "cache_control"  #: the key of a part that a provider's cache ends with
_PLAIN = {"role", "content", "time"}  #: what a message holds whose line on the page says all of it


@dataclass(frozen=True)
class Said:
    """A message to be added: its `line` on the page, in which its text begins at `head`; `whole` is all of it as JSON,
    and is empty where role, time and text are all. `sign` is the hash of all of it."""

    message: Message
    line: str
    head: int
    sign: bytes
    whole: bytes


def listed(messages: Iterable[Given]) -> list[Given]:
    """The messages as a list; UsageError for what is none."""
    if isinstance(messages, str | bytes | bytearray | Mapping) or not isinstance(messages, Iterable):
        raise UsageError(f"a chat is a list of messages, no {type(messages).__name__}")
    return list(messages)


def said(given: Given) -> Said:
    """A message ready to be added. Raises InputError if it is none, or holds what JSON cannot."""
    if not isinstance(given, Message | Mapping) and callable(dump := getattr(given, "model_dump", None)):
        given = dump(exclude_none=True)
    message = message_of(given)
    line = written(message)
    whole = _whole(given)
    try:
        valued = {key: value for key, value in whole.items() if value is not None}
        ordered = json.dumps(_unmarked(valued), ensure_ascii=False, sort_keys=True)
        kept = json.dumps(whole, ensure_ascii=False)
    except RecursionError as error:
        raise InputError("a message is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"a message holds what JSON cannot ({error}); give dicts, lists, texts and numbers") from error
    sign = hashlib.blake2b(to_bytes(ordered), digest_size=SIGNED).digest()
    content = whole.get("content")
    simple = whole.keys() <= _PLAIN and isinstance(content, str) and whole.get("time", message.time) == message.time
    simple &= None not in whole.values()
    head = len(line) - 1 - len(content) if isinstance(content, str) else -1
    if simple and head >= 0 and line[head:] == f"{content}\n" and plain(message.role) == message.role:
        return Said(message, line, head, sign, b"")
    return Said(message, line, 0, sign, zlib.compress(to_bytes(kept), 6))


def _whole(given: Given) -> dict[str, Any]:
    if isinstance(given, Message):
        return {"role": given.role, "content": given.text, **({} if given.time is None else {"time": given.time})}
    return dict(given)


def _unmarked(whole: Mapping[str, Any]) -> dict[str, Any]:
    """A message or a part of one without marks of where a provider's cache ends, which move from call to call."""
    return {
        key: [_unmarked(part) if isinstance(part, Mapping) else part for part in value]
        if key == "content" and isinstance(value, list) else value
        for key, value in whole.items() if key != MARK
    }  # fmt: skip


def append(writer: Writer, name: str, messages: Iterable[Given]) -> None:
    """Adds messages to the end of a chat; pages that they fill are finished for ever, and the last stays open."""
    source = writer.source(name, "chat")
    _extend(writer, source, _current(writer, source), messages)


def sync(writer: Writer, name: str, messages: Sequence[Given]) -> None:
    """Makes a chat hold `messages`, no more and no fewer, and adds only what is new; what was forgotten does not come
    back.

    Where a turn that it holds is another now, or is missing at the end, its version is retired and a new one holds the
    messages; the result's `rewritten` names the chat and the first turn that changed or is missing, and `removed`
    counts the turns that it no longer holds.
    """
    source = writer.source(name, "chat")
    version = _current(writer, source)
    new = [said(message) for message in messages]
    held = writer.connection.execute(
        f"SELECT sign, length, start FROM message WHERE {_OF} ORDER BY id", (source, version)
    ).fetchall()
    text = ""
    if any(sign is None for sign, _, _ in held):  # a chat that format 1 kept: its lines are compared
        text = text_of_chat(writer.connection, version)
    same = 0
    for (sign, length, start), one in zip(held, new, strict=False):
        if sign == FORGOTTEN:
            pass  # whatever it said is not to come back
        elif sign != one.sign if sign is not None else text[start : start + length] != _before(one.message):
            break
        same += 1
    if same < len(held):
        version = _again(writer, source, version)
        writer.added.rewritten.append((plain(name), same + 1))
        writer.added.changed += 1
        writer.added.removed += sum(sign != FORGOTTEN for sign, _, _ in held[same:])
        stays = zip(held[:same], new, strict=False)
        gone = _forgotten_behind([sign for sign, _, _ in held], [one.sign for one in new], same)
        new = [_GONE if sign == FORGOTTEN else one for (sign, _, _), one in stays] + [
            _GONE if at in gone else one for at, one in enumerate(new[same:], same)]
        same = 0
    elif len(new) == same:
        writer.added.unchanged += 1
    _extend(writer, source, version, new[same:])


def _forgotten_behind(held: Sequence[bytes | None], new: Sequence[bytes], same: int) -> set[int]:
    """Which of the new turns stand where turns were forgotten behind the first `same`, which did not change: beside
    the turn that was held beside them, the one before or, where that is missing, the one after."""
    straight = {at: at for at in range(same, min(len(held), len(new))) if held[at] == new[at]}
    found = max(straight, _moved(held, new, same), key=len)
    taken, gone = set(found.values()), set[int]()
    for step in (1, -1):
        for at in range(same, len(held))[::step]:
            if held[at] == FORGOTTEN and at not in found and at - step in found:
                place = found[at - step] + step
                if same <= place < len(new) and place not in taken:
                    found[at] = place
                    taken.add(place)
                    gone.add(place)
    return gone


def _moved(held: Sequence[bytes | None], new: Sequence[bytes], same: int) -> dict[int, int]:
    """Where held turns stand in a new chat in which some were put in or left out: in order, each where the one before
    it has moved to, or else at the first place."""
    where = dict[bytes, list[int]]()
    for at, sign in enumerate(new[same:], same):
        where.setdefault(sign, []).append(at)
    found: dict[int, int] = {}
    last, shift = same - 1, 0
    for at, one in enumerate(held[same:], same):
        places = where.get(one or FORGOTTEN, [])
        first = bisect_left(places, max(at + shift, last + 1))
        if first == len(places) or places[first] != at + shift:
            first = bisect_left(places, last + 1)
        if first < len(places):
            found[at] = last = places[first]
            shift = last - at
    return found


_OF = "source = ? AND version = ?"
_GONE = Said(Message("", ""), "", 0, FORGOTTEN, b"")  #: a turn that was forgotten, which is counted and says nothing


def _current(writer: Writer, source: int) -> int:
    found = writer.one("SELECT id, number FROM version WHERE source = ? ORDER BY number DESC", source)
    return int(found[0]) if found else writer.version(source, 1, "", 0, "")


def _again(writer: Writer, source: int, version: int) -> int:
    """Finishes the last page of a version, retires it and begins the next."""
    start, text = _open(writer, source)
    if text:
        pages = []
        for page, length in writer.pages_of(text, within=True):
            pages.append((page, start))
            start += length
        (after,) = writer.one("SELECT count(*) FROM place WHERE version = ? AND part = 'text'", version)
        writer.place(version, "text", after, pages)
        close_open(writer.connection, source)
    writer.retire_version(version)
    (number,) = writer.one("SELECT number FROM version WHERE id = ?", version)
    return writer.version(source, number + 1, "", 0, "")


def _extend(writer: Writer, source: int, version: int, messages: Iterable[Given | Said]) -> None:
    setter = writer.manner.typesetter("")
    fits = setter.columns * setter.rows
    batch: list[Said] = []
    length = 0
    for message in messages:
        batch.append(message if isinstance(message, Said) else said(message))
        length += len(batch[-1].line)
        if length > 8 * fits:
            _append(writer, source, version, batch)
            batch, length = [], 0
    _append(writer, source, version, batch)


def _append(writer: Writer, source: int, version: int, messages: Sequence[Said]) -> None:
    if not messages:
        return
    start, before = _open(writer, source)
    (at,) = writer.one("SELECT characters FROM version WHERE id = ?", version)
    start = start if before else at
    rows = []
    for one in messages:
        message = one.message
        rows.append((source, plain(message.role), message.time, at, len(one.line), version, writer.now, one.sign,
                     one.whole or None, one.head if one.line else None))
        at += len(one.line)
    writer.connection.executemany(
        "INSERT INTO message(source, role, time, start, length, version, added, sign, said, head)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows,
    )  # fmt: skip
    writer.turns += len(messages)
    writer.added.messages += sum(1 for one in messages if one.line)
    writer.gained("messages", len(messages))
    new = "".join(one.line for one in messages)
    text = before + new
    done = 0
    pages = []
    if not writer.room.takes(source, before, new, writer.manner):
        for page, characters in writer.pages_of(text, all_but_last=True, within=True):
            pages.append((page, start + done))
            done += characters
        writer.room.cut(source, writer.last, writer.manner)
    if pages:
        (number,) = writer.one("SELECT count(*) FROM place WHERE version = ? AND part = 'text'", version)
        writer.place(version, "text", number, pages)
        writer.revive(version)
    if done:
        close_open(writer.connection, source)
        put_open(writer.connection, source, start + done, text[done:])
    else:
        put_open(writer.connection, source, start + len(before), new)
    writer.connection.execute("UPDATE version SET characters = ? WHERE id = ?", (start + len(text), version))
    writer.commit_if_much()


def _open(writer: Writer, source: int) -> tuple[int, str]:
    """Where the open page of a chat begins, and its text."""
    pieces = writer.connection.execute(
        "SELECT start, text FROM open WHERE source = ? ORDER BY start", (source,)
    ).fetchall()
    return (pieces[0][0] if pieces else 0), from_bytes(b"".join(text for _, text in pieces))


def put_open(connection: sqlite3.Connection, source: int, start: int, text: str) -> None:
    """Adds a piece to the open page of a chat, to be found by its words."""
    if text:
        values = (source, start, to_bytes(text))
        piece = connection.execute("INSERT INTO open(source, start, text) VALUES (?, ?, ?)", values).lastrowid
        index_words(connection, -(piece or 0), plain(text))


def close_open(connection: sqlite3.Connection, source: int) -> None:
    """Takes away the open page of a chat and its words."""
    for piece, text in connection.execute("SELECT id, text FROM open WHERE source = ?", (source,)).fetchall():
        unindex_words(connection, -piece, plain(from_bytes(text)))
    connection.execute("DELETE FROM open WHERE source = ?", (source,))


def index_all(connection: sqlite3.Connection) -> None:
    """Fills an empty index with the words of all pages and open pages; those of damaged pages are left out."""
    for (number,) in connection.execute("SELECT id FROM page ORDER BY id").fetchall():
        (record,) = page_records(connection, "WHERE id = ?", (number,))
        with suppress(StoreError):
            index_words(connection, number, plain(as_read(text_of(connection, record), record.layout)))
    for piece, text in connection.execute("SELECT id, text FROM open").fetchall():
        index_words(connection, -piece, plain(from_bytes(text)))


def text_of_chat(connection: sqlite3.Connection, version: int) -> str:
    """The exact text of a chat's version on its pages, with that of its open page if it is current."""
    text = text_of_version(connection, version)
    pieces = connection.execute(
        "SELECT text FROM open WHERE source = (SELECT source FROM version WHERE id = ? AND retired IS NULL)"
        " ORDER BY source, start", (version,),
    )  # fmt: skip
    return text + "".join(from_bytes(piece) for (piece,) in pieces)


def messages_of(connection: sqlite3.Connection, version: int) -> list[dict[str, Any]]:
    """The messages of a chat's version as they were added. Raises StoreError if one is damaged."""
    newer = format_of(connection) > 1
    columns = "said, head" if newer else "NULL, NULL"
    of = "version = ? AND length" if newer else "source = (SELECT source FROM version WHERE id = ?)"
    text = text_of_chat(connection, version)
    found = []
    for role, time, start, length, whole, head in connection.execute(
        f"SELECT role, time, start, length, {columns} FROM message WHERE {of} ORDER BY id", (version,)
    ):
        if whole is not None:
            try:
                found.append(json.loads(from_bytes(zlib.decompress(whole))))
            except (zlib.error, ValueError) as error:
                raise StoreError(f"a message of it is damaged ({error})") from error
            continue
        line = text[start : start + length]
        head = len(_before(Message(role, "", time))) - 1 if head is None else head
        found.append({"role": role, "content": line[head:-1], **({} if time is None else {"time": time})})
    return found


def _before(message: Message) -> str:
    """A message as format 1 wrote it on a page."""
    when = "" if message.time is None else datetime.fromtimestamp(message.time, UTC).strftime(", %Y-%m-%d %H:%M")
    return f"[{message.role}{when}] {message.text}\n"
