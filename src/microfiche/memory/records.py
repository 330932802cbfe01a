"""What the tables of a memory say, as Python: pages, versions, clocks; and their blobs, each checked as it is read."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from microfiche.errors import StoreError
from microfiche.memory.paper import digest, unpacked
from microfiche.page import TOKEN_SIDE, Checkpoint, Layout, Setting, VisionTokens


@dataclass(frozen=True)
class Clock:
    """A moment: pages and turns in the memory, and seconds since 1970."""

    pages: int
    turns: int
    seconds: float


@dataclass(frozen=True)
class PageRecord:
    """A page of the log. `side` and `height` px as it was set, `level` px of width it has faded to (0: gone); it ages
    from `since_…` on; `retired` is how many pages there were when the last version that it belongs to was replaced."""

    id: int
    digest: str
    density: str
    layout: Layout
    side: int
    height: int
    characters: int
    text_tokens: int
    undrawn: int
    since_page: int
    since_turn: int
    since_time: float
    importance: float
    pinned: int
    level: int
    retired: int | None

    @property
    def setting(self) -> Setting:
        """How it was typeset."""
        return Setting(self.density, self.layout)


COLUMNS = ", ".join(f"page.{field.name}" for field in fields(PageRecord))


@dataclass(frozen=True)
class Place:
    """Where a page stands: in which source and version, as which page of how many, from which character on; `part` is
    "text", or "diff" for a page that shows what a version changed. `untrusted` says why the source is not trusted."""

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
    """A version of a source: its pages, those of its diff to the one before; retired when there is a newer."""

    source: str
    number: int
    added: float
    retired: float | None
    characters: int
    pages: tuple[int, ...]
    diff: tuple[int, ...]


def page_records(connection: sqlite3.Connection, where: str = "", values: Sequence[object] = ()) -> list[PageRecord]:
    """The pages `where` …, in the order of the log."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM page {where} ORDER BY page.id", values)
    return [PageRecord(*row) for row in rows]


def chunked(ids: Iterable[int]) -> Iterator[tuple[str, list[int]]]:
    """Ids in lists that a statement can take, each with its "(?, ?, …)"."""
    every = list(ids)
    for at in range(0, len(every), 10_000):
        part = every[at : at + 10_000]
        yield f"({', '.join('?' * len(part))})", part


def places(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Place]:
    """Where each page stands: in the version that it was set for, so that this never changes."""
    found: dict[int, Place] = {}
    for marks, part in chunked(ids):
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
    """A page's exact text; StoreError if it is damaged."""
    (data,) = connection.execute("SELECT text FROM page WHERE id = ?", (record.id,)).fetchone()
    text = unpacked(data, record.characters)
    if digest(text, record.setting, record.side) != record.digest:
        raise StoreError("its text is not what was added (its SHA-256 differs)")
    return text


def checked(data: bytes, sha256: str, what: str) -> bytes:
    """`data`; StoreError if it is not what its SHA-256 says."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StoreError(f"its {what} is not what was stored (its SHA-256 differs)")
    return data


def tokens_blob(tokens: VisionTokens) -> bytes:
    """Tokens as they are stored: int8 values, then an fp16 scale for each."""
    from microfiche.page import quantise

    stored = quantise(tokens.values, "int8")
    return stored["tokens"].numpy().tobytes() + stored["scale"].numpy().tobytes()


def tokens_of(data: bytes, height: int, width: int, setting: Setting, checkpoint: Checkpoint) -> VisionTokens:
    """The tokens in a blob; StoreError if it is of no such size."""
    import torch

    from microfiche.page import dequantise

    n = height * width
    if not 0 < n <= 4096 or len(data) % n or len(data) // n <= 2:
        raise StoreError("its tokens are damaged (of another length)")
    values = np.frombuffer(data, np.int8, len(data) - 2 * n).reshape(n, -1)
    scale = np.frombuffer(data, np.float16, offset=len(data) - 2 * n).reshape(n, 1)
    stored = {"tokens": torch.from_numpy(values.copy()), "scale": torch.from_numpy(scale.copy())}
    return VisionTokens(dequantise(stored), height, width, setting, checkpoint)


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of tokens on a page of so many pixels."""
    return height // TOKEN_SIDE, width // TOKEN_SIDE
