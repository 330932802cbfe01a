"""The index of a memory's pages by their vision tokens: int8 keys in a file beside the memory, which is mapped and
searched in batches, every key of it.

The keys of a page are made from what nano's readout reads in its tokens, and a query's words are sought in them. A page
is as good as its best stretch: within NEAR squares each word counts where it is found best. Keys are appended and
synced before the memory says that they are there, so a kill loses at most the last batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from microfiche.errors import StoreError
from microfiche.memory.archive import Archive
from microfiche.memory.database import meta, set_meta
from microfiche.memory.words import words_of
from microfiche.nano.indexer import KEY_STEP, Indexer, scores, spelled, to_int8
from microfiche.page import TOKEN_SIDE, VisionTokens
from microfiche.sources import composed

SCORES = 1 << 23  #: products of a key and a query that are held at a time
PAGES = 64  #: pages of a commit
NEAR = 2  #: squares to the left and to the right of one that belong to the same stretch


@dataclass(frozen=True)
class Match:
    """A page that was found, its score, and the token in the middle of its best stretch, counted row by row."""

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
        made = [to_int8(keys_of(archive, indexer, archive.unread_tokens(record))).numpy() for record in batch]
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
            "SELECT index_keys.page, first, count, side FROM index_keys JOIN page ON page.id = index_keys.page"
            " WHERE retired IS NULL AND EXISTS (SELECT 1 FROM place WHERE place.page = page.id) ORDER BY first"
        ).fetchall(), np.int64).reshape(-1, 4)  # fmt: skip
    owners, q, w = _queries(indexer, queries)
    if not len(where) or not len(owners):
        return [[] for _ in queries]
    path = keys_file(archive, indexer)
    try:
        keys = np.memmap(path, np.int8, "r").reshape(-1, width)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); remove it and run microfiche memory index") from error
    if len(keys) < where[-1, 1] + where[-1, 2]:
        raise StoreError(f"{path}: keys are missing from it; remove it and run microfiche memory index")
    of_query = np.zeros((len(owners), len(queries)), np.float32)
    of_query[np.arange(len(owners)), owners] = 1
    best = np.empty((len(where), len(queries)), np.float32)
    token = np.empty((len(where), len(queries)), np.int64)
    at, rows = 0, SCORES // (q.shape[0] * q.shape[1])
    while at < len(where):
        until = at + 1
        while until < len(where) and where[until, 1] + where[until, 2] - where[at, 1] <= rows:
            until += 1
        first, last = where[at, 1], where[until - 1, 1] + where[until - 1, 2]
        found = scores(q, w, torch.from_numpy(keys[first:last].astype(np.float32)) * KEY_STEP).numpy()
        for i in range(at, until):
            of_page = found[where[i, 1] - first : where[i, 1] - first + where[i, 2]]
            stretches = near(of_page, int(where[i, 3]) // TOKEN_SIDE) @ of_query
            best[i], token[i] = stretches.max(0), stretches.argmax(0)
        at = until
    results: list[list[Match]] = []
    for number in range(len(queries)):
        order: list[int] = np.argsort(-best[:, number], kind="stable")[:count].tolist() if number in owners else []
        results.append([Match(int(where[i, 0]), float(best[i, number]), int(token[i, number])) for i in order])
    return results


def near(found: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """(n, S) scores of the tokens of a page of so many columns of squares → (n, S) the best score of each word in the
    stretch around each token. A row of squares holds several lines of print, so that what ends at its right edge goes
    on at the left edge of the same row, or of the next."""
    rows = found.reshape(-1, columns, found.shape[1])
    none = np.full_like(rows[:1], -np.inf)
    before, after = (np.maximum(rows, other) for other in (np.concatenate([none, rows[:-1]]),
                                                           np.concatenate([rows[1:], none])))  # fmt: skip
    wide = np.concatenate([before[:, -NEAR:], rows, after[:, :NEAR]], axis=1)
    stretches = np.lib.stride_tricks.sliding_window_view(wide, 2 * NEAR + 1, axis=1).max(-1)
    return np.asarray(stretches.reshape(found.shape))


def keys_of(archive: Archive, indexer: Indexer, tokens: VisionTokens) -> torch.Tensor:
    """(n, d) the keys of the n tokens of a page, from the tokens alone: lines that are kept as text are read, too."""
    setting = tokens.setting and replace(tokens.setting, kept=())
    (reading,) = archive.model.read([replace(tokens, setting=setting)])
    letters, middles = spelled(reading.text)
    words, which = np.unique(letters, axis=0, return_inverse=True)
    x, y = reading.boxes[middles].reshape(-1, 2, 2).mean(1).astype(np.int64).T // TOKEN_SIDE
    squares = np.minimum(y, tokens.height - 1) * tokens.width + np.minimum(x, tokens.width - 1)
    different, stand, where = (torch.from_numpy(array) for array in (words, which.reshape(-1), squares))
    return indexer.keys(different, stand, where, len(tokens))


def _queries(indexer: Indexer, queries: Sequence[str]) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
    """Of all S words together: (S,) to which query each belongs, (S, heads, d) queries and (S, heads) weights."""
    words = [spelled(" ".join(words_of(composed(query))))[0] for query in queries]
    owners = np.repeat(np.arange(len(queries)), [len(mine) for mine in words])
    return owners, *indexer.queries(torch.from_numpy(np.concatenate(words)))
