"""The index of a memory's pages by their pixels: int8 keys in a file beside the memory, which is mapped and searched in
batches, every key of it.

Keys are appended and synced before the memory says that they are there, so a kill loses at most the last batch. A query
is looked for as pictures, too: each of its words on a square of its own, at another place on every line. A page's token
shows a word on one line and at one place of its square; the query's token shows it at all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from microfiche.errors import StoreError
from microfiche.memory.archive import Archive
from microfiche.memory.database import meta, set_meta
from microfiche.memory.paper import UNDRAWN
from microfiche.memory.words import query_words
from microfiche.nano.indexer import KEY_STEP, Indexer, scores, to_int8
from microfiche.page import TOKEN_SIDE, Page, Setting, VisionTokens
from microfiche.typesetting import density
from microfiche.typesetting.alphabet import NO_GLYPH
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import Density
from microfiche.typesetting.typesetter import expand

SCORES = 1 << 23  #: products of a key and a query that are held at a time
PAGES = 64  #: pages of a commit


@dataclass(frozen=True)
class Match:
    """A page that was found, its score, and which of its tokens, counted row by row, matched best."""

    page: int
    score: float
    token: int


def keys_file(archive: Archive, indexer: Indexer) -> Path:
    """The file with an indexer's keys; each indexer has its own, so that no file is overwritten while it is mapped."""
    return archive.path.with_name(f"{archive.path.name}.{indexer.checkpoint.sha256[:8]}.keys")


@torch.inference_mode()
def update(archive: Archive, indexer: Indexer, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Makes the keys of the pages that have none, or of all pages if the keys are another indexer's.

    Returns how many pages that were; `progress` is called with how many are done, and of how many.
    """
    width = indexer.config.width
    name = [indexer.checkpoint.sha256, archive.model.checkpoint.sha256, width]
    with archive.writing() as connection:
        if meta(connection, "index") != name:
            connection.execute("DELETE FROM index_keys")
            set_meta(connection, "index", name)
            for old in archive.path.parent.glob(f"{escape(archive.path.name)}.*.keys"):
                old.unlink(missing_ok=True)
        have = {row[0] for row in connection.execute("SELECT page FROM index_keys")}
    missing = [record for record in archive.records() if record.id not in have]
    for at in range(0, len(missing), PAGES):
        batch = missing[at : at + PAGES]
        made = [
            to_int8(_keys(archive, indexer, archive.tokens(record), density.density(record.density))).numpy()
            for record in batch
        ]
        with archive.writing() as connection:
            (first,) = connection.execute("SELECT coalesce(max(first + count), 0) FROM index_keys").fetchone()
            _append(keys_file(archive, indexer), first * width, made)
            for record, keys in zip(batch, made, strict=True):
                connection.execute("INSERT OR REPLACE INTO index_keys VALUES (?, ?, ?)", (record.id, first, len(keys)))
                first += len(keys)
        progress(min(at + PAGES, len(missing)), len(missing))
    return len(missing)


def _append(path: Path, at: int, blocks: Sequence[NDArray[np.int8]]) -> None:
    """Writes the blocks from byte `at` on, in the place of what a killed writer left there."""
    try:
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(at)
            for block in blocks:
                file.write(block.tobytes())
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); nothing of the last batch was kept") from error


@torch.inference_mode()
def search(archive: Archive, indexer: Indexer, queries: Sequence[str], count: int = 10) -> list[list[Match]]:
    """The best `count` pages for each query of those that are remembered now, best first.

    StoreError where the memory has no keys of this indexer or their file is damaged.
    """
    with archive.reading() as connection:
        width = indexer.config.width
        if meta(connection, "index") != [indexer.checkpoint.sha256, archive.model.checkpoint.sha256, width]:
            raise StoreError(f"{archive.path}: has no keys of this indexer; microfiche memory index makes them")
        where = np.array(connection.execute(
            "SELECT index_keys.page, first, count FROM index_keys JOIN page ON page.id = index_keys.page"
            " WHERE retired IS NULL AND EXISTS (SELECT 1 FROM place WHERE place.page = page.id) ORDER BY first"
        ).fetchall(), np.int64).reshape(-1, 3)  # fmt: skip
    owners, q, w = _queries(archive, indexer, queries)
    if not len(where) or not len(owners):
        return [[] for _ in queries]
    path = keys_file(archive, indexer)
    try:
        keys = np.memmap(path, np.int8, "r").reshape(-1, width)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); remove it and run microfiche memory index") from error
    if len(keys) < where[-1, 1] + where[-1, 2]:
        raise StoreError(f"{path}: keys are missing from it; remove it and run microfiche memory index")
    best = np.full((len(where), len(owners)), -np.inf, np.float32)
    token = np.zeros((len(where), len(owners)), np.int64)
    at, rows = 0, SCORES // (q.shape[0] * q.shape[1])
    while at < len(where):
        until = at + 1
        while until < len(where) and where[until, 1] + where[until, 2] - where[at, 1] <= rows:
            until += 1
        first, last = where[at, 1], where[until - 1, 1] + where[until - 1, 2]
        found = scores(q, w, torch.from_numpy(keys[first:last].astype(np.float32)) * KEY_STEP).numpy()
        for i in range(at, until):
            mine = found[where[i, 1] - first : where[i, 1] - first + where[i, 2]]
            token[i] = mine.argmax(0)
            best[i] = mine.max(0)
        at = until
    results = []
    for number in range(len(queries)):
        columns = np.flatnonzero(owners == number)
        total = best[:, columns].sum(1) if len(columns) else np.full(len(where), -np.inf)
        order: list[int] = np.argsort(-total, kind="stable")[:count].tolist() if len(columns) else []
        results.append([
            Match(int(where[i, 0]), float(total[i]), int(token[i, columns[best[i, columns].argmax()]])) for i in order
        ])
    return results


def _keys(archive: Archive, indexer: Indexer, tokens: VisionTokens, at: Density) -> torch.Tensor:
    """(N, d) the keys of the N tokens of a page that was set at a density."""
    cells = archive.model.likely(tokens.values[None], tokens.height, tokens.width, at)
    return indexer.keys(cells, tokens.height, tokens.width)


def _queries(
    archive: Archive, indexer: Indexer, queries: Sequence[str]
) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
    """Of all S words together: (S,) to which query each belongs, (S, heads, d) queries and (S, heads) weights."""
    owners: list[int] = []
    q: list[torch.Tensor] = []
    w: list[torch.Tensor] = []
    for number, query in enumerate(queries):
        words = query_words(query)
        if not words:
            continue
        at = archive.manner.typesetter(query).density
        tokens = torch.stack([made.values for made in archive.model.encode([word_page(word, at) for word in words])])
        asked, weights = indexer.queries(archive.model.likely(tokens, 1, 1, at))
        owners += [number] * len(words)
        q.append(asked)
        w.append(weights)
    if not owners:
        return np.empty(0, np.int64), torch.empty(0), torch.empty(0)
    return np.array(owners), torch.cat(q), torch.cat(w)


def word_page(word: str, density: Density) -> Page:
    """A square of 64×64 px with a word on every line, at another place on each, or another part of a long one."""
    at = atlas(density)
    ids = at.glyphs(word)
    cells = expand(np.where(ids == NO_GLYPH, at.glyphs(UNDRAWN)[0], ids))
    rows, columns = TOKEN_SIDE // density.height, TOKEN_SIDE // density.width
    grid = np.zeros((rows, columns), np.uint16)
    for row in range(rows):
        share = row / max(1, rows - 1)
        if len(cells) <= columns:
            left = round(share * (columns - len(cells)))
            grid[row, left : left + len(cells)] = cells
        else:
            first = round(share * (len(cells) - columns))
            grid[row] = cells[first : first + columns]
    pictures = np.where(at.cells == 1, np.uint8(0), np.uint8(255))
    return Page(draw(grid, pictures, TOKEN_SIDE, TOKEN_SIDE), Setting(density.name))
