"""The rows of a memory's tables as Python: pages, places, versions; pictures and tokens, each checked as it is read."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from microfiche.errors import StoreError
from microfiche.memory.paper import digest, faded_height, png, unpacked
from microfiche.page import TOKEN_SIDE, Checkpoint, Layout, Page, Setting, VisionTokens, dequantise, quantise

AT_ONCE = 10_000  #: values of one statement


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


@dataclass(frozen=True, kw_only=True)
class PageRecord(Ageing):
    """A page of the log; `height` is in px as it was set, and `undrawn` counts the characters that it cannot show.

    `retired` is how many pages there were when the last version that this page belongs to was replaced.
    """

    digest: str
    density: str
    layout: Layout
    height: int
    characters: int
    text_tokens: int
    undrawn: int
    retired: int | None

    @property
    def setting(self) -> Setting:
        """How it was typeset."""
        return Setting(self.density, self.layout)


_FIELDS = [field.name for field in fields(PageRecord)]


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


@dataclass(frozen=True)
class Version:
    """A version of a source: its pages, and those that show what it changed; it is retired when a newer one follows."""

    source: str
    number: int
    added: float
    retired: float | None
    characters: int
    pages: tuple[int, ...]
    diff: tuple[int, ...]


def page_records(connection: sqlite3.Connection, where: str = "", values: Sequence[object] = ()) -> list[PageRecord]:
    """The pages that a WHERE clause with its values picks out (all, if it is empty), in the order of the log."""
    columns = ", ".join(f"page.{name}" for name in _FIELDS)
    rows = connection.execute(f"SELECT {columns} FROM page {where} ORDER BY page.id", values)
    return [PageRecord(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def places(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Place]:
    """Where each page stands, which is in the version that it was set for, so that this never changes."""
    every, found = list(ids), dict[int, Place]()
    for at in range(0, len(every), AT_ONCE):
        part = every[at : at + AT_ONCE]
        marks = f"({', '.join('?' * len(part))})"
        rows = connection.execute(
            "SELECT place.page, source.name, source.kind, version.number, place.part, place.number, (SELECT count(*)"
            " FROM place AS p WHERE p.version = version.id AND p.part = place.part), place.start, version.untrusted"
            " FROM place JOIN version ON version.id = place.version JOIN source ON source.id = version.source"
            f" WHERE place.page IN {marks} ORDER BY version.id DESC",
            part,
        )
        found |= {row[0]: Place(*row) for row in rows}
    return found


def text_of(connection: sqlite3.Connection, record: PageRecord) -> str:
    """The exact text of a page; StoreError if it is damaged."""
    (data,) = connection.execute("SELECT text FROM page WHERE id = ?", (record.id,)).fetchone()
    text = unpacked(data, record.characters)
    if digest(text, record.setting, record.side) != record.digest:
        raise StoreError("its text is not what was added (its SHA-256 differs)")
    return text


def checked(data: bytes, sha256: str, what: str) -> bytes:
    """Gives `data` back; StoreError, naming `what` it is, where its SHA-256 differs."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StoreError(f"its {what} is not what was stored (its SHA-256 differs)")
    return data


def store_picture(connection: sqlite3.Connection, page: int, side: int, picture: Page) -> None:
    """Keeps the picture of a page at `side` px of width as PNG."""
    data = png(picture.image)
    row = (page, side, hashlib.sha256(data).hexdigest(), data)
    connection.execute("INSERT OR REPLACE INTO picture VALUES (?, ?, ?, ?)", row)


def store_tokens(connection: sqlite3.Connection, page: int, side: int, tokens: VisionTokens) -> None:
    """Keeps the tokens of a page at `side` px of width: their int8 values, then a float16 scale for each token."""
    stored = quantise(tokens.values, "int8")
    data = stored["tokens"].numpy().tobytes() + stored["scale"].numpy().tobytes()
    connection.execute(
        "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)",
        (page, side, tokens.checkpoint.sha256, tokens.height, tokens.width, hashlib.sha256(data).hexdigest(), data),
    )


def tokens_of(data: bytes, height: int, width: int, setting: Setting, checkpoint: Checkpoint) -> VisionTokens:
    """The tokens that `store_tokens` kept as `data`; StoreError if that is not of the length for `height` × `width`."""
    import torch  # here, because a memory can be opened and searched without it

    n = height * width
    if not 0 < n <= 4096 or len(data) % n or len(data) // n <= 2:
        raise StoreError("its tokens are damaged (of another length)")
    values = np.frombuffer(data, np.int8, len(data) - 2 * n).reshape(n, -1)
    scale = np.frombuffer(data, np.float16, offset=len(data) - 2 * n).reshape(n, 1)
    stored = {"tokens": torch.from_numpy(values.copy()), "scale": torch.from_numpy(scale.copy())}
    return VisionTokens(dequantise(stored), height, width, setting, checkpoint)


def grid_of(record: PageRecord, side: int) -> tuple[int, int]:
    """The rows and columns of a page's tokens once it has faded to `side` px of width."""
    return faded_height(record.height, record.side, side) // TOKEN_SIDE, side // TOKEN_SIDE
