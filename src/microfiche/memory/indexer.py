"""The index of a memory's pages by their pixels: int8 keys in a file beside it, mapped, searched exactly in batches.

Keys are appended and synced before the memory says that they are there, so a kill costs at most what was not said.
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
from microfiche.memory.query import query_words, word_page
from microfiche.memory.writer import meta, set_meta
from microfiche.nano.indexer import KEY_STEP, Indexer, scores, to_int8
from microfiche.page import VisionTokens
from microfiche.typesetting import density

SCORES = 1 << 23  #: products of a key and a query that are held at a time
PAGES = 64  #: pages of a commit


@dataclass(frozen=True)
class Match:
    """A page, its score, and its token (row by row) that spoke loudest."""

    page: int
    score: float
    token: int


def keys_file(archive: Archive, indexer: Indexer) -> Path:
    """Where an indexer's keys lie: each has a file of its own, so that none is overwritten that somebody has mapped."""
    return archive.path.with_name(f"{archive.path.name}.{indexer.checkpoint.sha256[:8]}.keys")


@torch.inference_mode()
def update(archive: Archive, indexer: Indexer, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Makes the keys of the pages that have none; of all, if they are of another indexer. Returns how many pages."""
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
        made = [to_int8(_keys(archive, indexer, archive.tokens(record))).numpy() for record in batch]
        with archive.writing() as connection:
            (first,) = connection.execute("SELECT coalesce(max(first + count), 0) FROM index_keys").fetchone()
            _append(keys_file(archive, indexer), first * width, made)
            for record, keys in zip(batch, made, strict=True):
                connection.execute("INSERT OR REPLACE INTO index_keys VALUES (?, ?, ?)", (record.id, first, len(keys)))
                first += len(keys)
        progress(min(at + PAGES, len(missing)), len(missing))
    return len(missing)


def _append(path: Path, at: int, blocks: Sequence[NDArray[np.int8]]) -> None:
    """Writes at byte `at`, over what a killed writer left there."""
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
    """For each query the best pages that are current, best first. Every key is looked at.

    StoreError where the memory has no keys of this indexer, or their file is damaged.
    """
    with archive.reading() as connection:
        width = indexer.config.width
        if meta(connection, "index") != [indexer.checkpoint.sha256, archive.model.checkpoint.sha256, width]:
            raise StoreError(f"{archive.path}: has no keys of this indexer; make them with microfiche memory index")
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


def _keys(archive: Archive, indexer: Indexer, tokens: VisionTokens) -> torch.Tensor:
    """(N, d) the keys of a page's tokens."""
    assert tokens.setting is not None
    at = density.density(tokens.setting.density)
    cells = archive.model.likely(tokens.values[None], tokens.height, tokens.width, at)
    return indexer.keys(cells, tokens.height, tokens.width)


def _queries(
    archive: Archive, indexer: Indexer, queries: Sequence[str]
) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
    """Of all words: which query each belongs to, (S, heads, d) queries and (S, heads) weights."""
    owners: list[int] = []
    q: list[torch.Tensor] = []
    w: list[torch.Tensor] = []
    for number, query in enumerate(queries):
        words = query_words(query)
        if not words:
            continue
        at = density.density(archive.manner.typesetter(query).density.name)
        tokens = torch.stack([made.values for made in archive.model.encode([word_page(word, at) for word in words])])
        asked, weights = indexer.queries(archive.model.likely(tokens, 1, 1, at))
        owners += [number] * len(words)
        q.append(asked)
        w.append(weights)
    if not owners:
        return np.empty(0, np.int64), torch.empty(0), torch.empty(0)
    return np.array(owners), torch.cat(q), torch.cat(w)
