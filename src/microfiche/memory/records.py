"""The rows of a memory's tables as Python: pages, places, versions and tokens, each checked as it is read."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

import numpy as np

from microfiche.errors import StoreError
from microfiche.memory.database import format_of
from microfiche.memory.paper import coarse, digest, faded_height, set_again, unpacked
from microfiche.nano.kept import Notes
from microfiche.page import TOKEN_SIDE, Checkpoint, Layout, Setting, TypesetPage, VisionTokens, dequantise
from microfiche.typesetting.density import MODES
from microfiche.typesetting.shrink import shrink

AT_ONCE = 10_000  #: values of one statement
WIDEST = 1 << 16  #: bytes of a token at most


@dataclass(frozen=True)
class Clock:
    """A moment: how many pages and turns there are in the memory, and the seconds since 1970."""

    pages: int
    turns: int
    seconds: float


@dataclass(frozen=True)
class Ageing:
    """What decides how far page `id` has faded: its `side` in px as it was set, and since when it ages (the page, the
    turn and the second); it ages `importance` times as slowly as others, and not at all where it is `pinned`.

    `level` is the width in px to which it has faded, 0 where it is gone.
    """

    id: int
    side: int
    level: int
    since_page: int
    since_turn: int
    since_time: float
    importance: float = 1.0
    pinned: int = 0


@dataclass(frozen=True, kw_only=True, repr=False)
class PageRecord(Ageing):
    """A page of the log; `height` is in px as it was set, and `undrawn` counts the characters that it cannot show.

    `retired` is how many pages there were when the last version that this page belongs to was replaced.
    """

    digest: str
    density: str
    layout: Layout
    height: int
    characters: int
    undrawn: int
    retired: int | None

    @property
    def setting(self) -> Setting:
        """How it was typeset."""
        return Setting(self.density, self.layout)

    def __repr__(self) -> str:
        shown = f"{self.side} px" if self.level == self.side else f"{self.side} px, now {self.level}"
        return f"PageRecord({self.id}: {self.characters} characters at {self.density}, {shown}, {self.digest[:12]})"


_FIELDS = [field.name for field in fields(PageRecord)]
_COLUMNS = ", ".join(f"page.{name}" for name in _FIELDS)
_REMEMBERED = "WHERE (retired IS NULL OR retired > ?) AND EXISTS (SELECT 1 FROM place WHERE place.page = page.id)"


@dataclass(frozen=True)
class Place:
    """Where a page stands: in which source and version, as which page of how many, and at which character it begins.

    `part` is "text", or "diff" for a page that shows what a version changed. `untrusted` says why the source is not
    trusted, and is empty where it is.
    """

    page: int
    source: str
    kind: str
    version: int
    part: str
    number: int
    of: int
    start: int
    untrusted: str


@dataclass(frozen=True, repr=False)
class Version:
    """A version of a source: its pages, and those that show what it changed; it is retired when a newer one follows.

    `characters` is what it holds, and `forgotten` how many characters of it were forgotten on purpose.
    """

    source: str
    number: int
    added: float
    retired: float | None
    characters: int
    pages: tuple[int, ...]
    diff: tuple[int, ...]
    forgotten: int = 0

    def __repr__(self) -> str:
        retired = "" if self.retired is None else ", retired"
        pages = f"{len(self.pages)} pages, {len(self.diff)} of what it changed"
        return f"Version({self.source!r}, {self.number}: {self.characters} characters on {pages}{retired})"


def page_records(connection: sqlite3.Connection, where: str = "", values: Sequence[object] = ()) -> list[PageRecord]:
    """The pages that a WHERE clause with its values picks out (all, if it is empty), in the order of the log."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM page {where} ORDER BY page.id", values)
    return [PageRecord(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def newest_first(connection: sqlite3.Connection, retired_after: int, until: int = sys.maxsize) -> Iterator[PageRecord]:
    """The pages up to number `until` that make up what is remembered now, and with them those that were retired when
    there were more than `retired_after` pages, the newest first; read one by one, since there may be millions."""
    for row in connection.execute(f"SELECT {_COLUMNS} FROM page {_REMEMBERED} AND id <= ? ORDER BY id DESC",
                                  (retired_after, until)):  # fmt: skip
        yield PageRecord(**dict(zip(_FIELDS, row, strict=True)))


def remembered(connection: sqlite3.Connection, retired_after: int) -> list[PageRecord]:
    """The pages that `newest_first` gives, all of them and in their order."""
    return page_records(connection, _REMEMBERED, (retired_after,))


def how_many(connection: sqlite3.Connection) -> int:
    """How many pages make up what is remembered now."""
    return int(connection.execute(f"SELECT count(*) FROM page {_REMEMBERED}", (sys.maxsize,)).fetchone()[0])


def places(connection: sqlite3.Connection, ids: Iterable[int], current: bool = False) -> dict[int, Place]:
    """Where each page stands, which is in the version that it was set for, so that this never changes, or, if only what
    is `current` counts, in the oldest version that is."""
    return {page: found[0] for page, found in every_place(connection, ids, current).items()}


def every_place(connection: sqlite3.Connection, ids: Iterable[int], current: bool) -> dict[int, list[Place]]:
    """All places where each page stands, those of the oldest version first."""
    every, found = list(ids), dict[int, list[Place]]()
    for at in range(0, len(every), AT_ONCE):
        part = every[at : at + AT_ONCE]
        marks = f"({', '.join('?' * len(part))})"
        rows = connection.execute(
            "SELECT place.page, source.name, source.kind, version.number, place.part, place.number, (SELECT count(*)"
            " FROM place AS p WHERE p.version = version.id AND p.part = place.part), place.start, version.untrusted"
            " FROM place JOIN version ON version.id = place.version JOIN source ON source.id = version.source"
            f" WHERE place.page IN {marks}{' AND retired IS NULL' if current else ''}"
            " ORDER BY version.id, part = 'text' DESC, place.number",
            part,
        )
        for row in rows:
            found.setdefault(row[0], []).append(Place(*row))
    return {page: found[page] for page in every if page in found}


def text_of(connection: sqlite3.Connection, record: PageRecord) -> str:
    """The exact text of a page; StoreError if it is damaged."""
    (data,) = connection.execute("SELECT text FROM page WHERE id = ?", (record.id,)).fetchone()
    text = unpacked(data, record.characters)
    if digest(text, record.setting, record.side) != record.digest:
        raise StoreError("its text is not what was added (its SHA-256 differs)")
    return text


def drawn(text: str, record: PageRecord) -> TypesetPage:
    """The page with a text, as it was set.

    Where this Microfiche sets it more loosely than the one that cut the page did, so that the text no longer fits, it
    is set on the next larger page on which it does and shrunk. Raises StoreError where none is large enough.
    """
    sides = sorted({mode.side for mode in MODES.values() if mode.side >= record.side} | {record.side})
    for side in sides:
        found = set_again(text, record.setting, side, record.undrawn)
        if len(found.text) == len(text):
            return found if side == record.side else shrink(found, record.side)
    raise StoreError("its text no longer fits on a page; add it again")


def text_of_version(connection: sqlite3.Connection, version: int) -> str:
    """The exact text of all pages of a version; StoreError if one is damaged."""
    order = [page for (page,) in connection.execute(
        "SELECT page FROM place WHERE version = ? AND part = 'text' ORDER BY number", (version,))]
    where = "WHERE id IN (SELECT page FROM place WHERE version = ? AND part = 'text')"
    texts = {record.id: text_of(connection, record) for record in page_records(connection, where, (version,))}
    return "".join(texts[page] for page in order)


def checked(data: bytes, sha256: str, what: str) -> bytes:
    """Gives `data` back; StoreError, naming `what` it is, where its SHA-256 differs."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StoreError(f"its {what} is not what was stored (its SHA-256 differs)")
    return data


def store_tokens(
    connection: sqlite3.Connection, page: int, side: int, tokens: VisionTokens, notes: Notes | None
) -> None:
    """Keeps the tokens of a page at `side` px of width: their values in few steps (`coarse`) as int8, then a float16
    scale for each token, packed by zlib's Huffman code alone, since such numbers do not repeat. The `notes` are None
    where the page has not been read back from them."""
    stored = coarse(tokens.values)
    packer = zlib.compressobj(6, strategy=zlib.Z_HUFFMAN_ONLY)
    data = packer.compress(stored["tokens"].numpy().tobytes() + stored["scale"].numpy().tobytes()) + packer.flush()
    connection.execute(
        "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (page, side, tokens.checkpoint.sha256, tokens.height, tokens.width, hashlib.sha256(data).hexdigest(), data,
         None if notes is None else json.dumps(notes)),
    )  # fmt: skip


def keep_notes(connection: sqlite3.Connection, record: PageRecord, checkpoint: Checkpoint, notes: Notes) -> None:
    """Keeps what was noted when a page was read back from its tokens, if they are stored."""
    connection.execute(
        "UPDATE tokens SET misread = ? WHERE page = ? AND side = ? AND checkpoint = ?",
        (json.dumps(notes), record.id, record.side, checkpoint.sha256),
    )


def notes_of(connection: sqlite3.Connection, record: PageRecord, checkpoint: Checkpoint) -> Notes | None:
    """What was noted of the lines of a page when a model read it back from the tokens that are stored; nothing where
    none are, and None where it has not been read back yet."""
    row = connection.execute(
        f"SELECT {'misread' if format_of(connection) > 1 else 'NULL'} FROM tokens"
        " WHERE page = ? AND side = ? AND checkpoint = ?", (record.id, record.side, checkpoint.sha256),
    ).fetchone()  # fmt: skip
    if row is None:
        return Notes()
    if row[0] is None:
        return None
    found = json.loads(row[0])
    # Format 2 could have the lines alone, that are not read exactly.
    return Notes(*found) if any(isinstance(one, list) for one in found) else Notes(found)


def tokens_of(data: bytes, height: int, width: int, setting: Setting, checkpoint: Checkpoint) -> VisionTokens:
    """The tokens that `store_tokens` kept as `data`; StoreError if that is not of the length for `height` × `width`."""
    import torch  # here, because a memory can be opened and searched without it

    n = height * width
    with suppress(zlib.error):  # format 1 did not pack them
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(data, WIDEST * (n + 1))
        data = found if unpacker.eof else data
    if not 0 < n <= 4096 or len(data) % n or len(data) // n <= 2:
        raise StoreError("its tokens are damaged (of another length)")
    values = np.frombuffer(data, np.int8, len(data) - 2 * n).reshape(n, -1)
    scale = np.frombuffer(data, np.float16, offset=len(data) - 2 * n).reshape(n, 1)
    stored = {"tokens": torch.from_numpy(values.copy()), "scale": torch.from_numpy(scale.copy())}
    return VisionTokens(dequantise(stored), height, width, setting, checkpoint)


def tokens_on(side: int, height: int) -> int:
    """How many vision tokens a page of `side` × `height` px has."""
    return (height // TOKEN_SIDE) * (side // TOKEN_SIDE)


def grid_of(record: PageRecord, side: int) -> tuple[int, int]:
    """The rows and columns of a page's tokens once it has faded to `side` px of width."""
    return faded_height(record.height, record.side, side) // TOKEN_SIDE, side // TOKEN_SIDE
