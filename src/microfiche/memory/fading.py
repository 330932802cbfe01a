"""Fading done: in groups of pages that follow each other, so that a cached prefix breaks seldom and at known places.

A group is as old as the youngest page in it; a page that was recalled since is as old as its recall. What is faded is
kept at its new size beside its first, so a page can sharpen again. The text stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from microfiche.memory.archive import Archive
from microfiche.memory.paper import faded_height
from microfiche.memory.records import Clock, PageRecord, grid_of
from microfiche.memory.schedules import HalfLife, Pinned, Steps, side_at
from microfiche.memory.writer import store_picture, store_tokens

GROUP = 16  #: pages of a group
AT_ONCE = 32  #: pages of a commit


@dataclass(frozen=True)
class Faded:
    """What a fading did: pages it made smaller, sharper, and let go; the vision tokens of all pages before and after;
    the first page that changed, at which a cached prefix breaks (None: it holds), and how many tokens stand before."""

    smaller: int
    sharper: int
    gone: int
    tokens_before: int
    tokens_after: int
    first: int | None
    tokens_kept: int


def due(records: Sequence[PageRecord], by: HalfLife | Steps | Pinned, now: Clock, group: int = GROUP) -> dict[int, int]:
    """The side in px that each page has at `now`; pages of the last group, which may yet grow, stay as they are."""
    sides: dict[int, int] = {}
    for number, members in groupby(records, lambda r: (r.id - 1) // group):
        pages = list(members)
        if (number + 1) * group > now.pages:
            sides |= {page.id: page.level for page in pages}
            continue
        arrived = [page for page in pages if page.since_page <= page.id] or pages
        youngest = replace(max(arrived, key=lambda page: page.id), importance=1.0)
        for page in pages:
            age = min(by.age(replace(youngest, importance=page.importance), now), by.age(page, now))
            sides[page.id] = side_at(page, 0 if page.pinned else by.level(age))
    return sides


def fade(
    archive: Archive,
    by: HalfLife | Steps | Pinned,
    now: Clock | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Faded:
    """Gives every page the size that is due by the schedule, and says what that changes; see `due`."""
    records = archive.records()
    now = now or archive.clock()
    sides = due(records, by, now)
    changed = [record for record in records if sides[record.id] != record.level]
    for at in range(0, len(changed), AT_ONCE):
        batch = changed[at : at + AT_ONCE]
        smaller = [record for record in batch if 0 < sides[record.id] < record.side]
        made = [record for record in smaller if not _stored(archive, record, sides[record.id])]
        pages = [archive.page(record, sides[record.id]) for record in made]
        tokens = archive.model.encode(pages) if pages else []
        with archive.writing() as connection:
            for record, page, values in zip(made, pages, tokens, strict=True):
                store_picture(connection, record.id, sides[record.id], page)
                store_tokens(connection, record.id, sides[record.id], values)
            connection.executemany(
                "UPDATE page SET level = ? WHERE id = ?", [(sides[record.id], record.id) for record in batch]
            )
        progress(min(at + AT_ONCE, len(changed)), len(changed))
    first = changed[0].id if changed else None
    result = Faded(
        smaller=sum(0 < sides[r.id] < r.level for r in changed),
        sharper=sum(sides[r.id] > r.level for r in changed),
        gone=sum(sides[r.id] == 0 for r in changed),
        tokens_before=sum(tokens_at(r, r.level) for r in records),
        tokens_after=sum(tokens_at(r, sides[r.id]) for r in records),
        first=first,
        tokens_kept=sum(tokens_at(r, r.level) for r in records if first is None or r.id < first),
    )
    if changed:
        with archive.writing() as connection:
            connection.execute(
                "INSERT INTO fade(time, at_page, first_page, pages, schedule) VALUES (?, ?, ?, ?, ?)",
                (now.seconds, now.pages, first, len(changed), json.dumps(by.model_dump())),
            )
    return result


def tokens_at(record: PageRecord, side: int) -> int:
    """Vision tokens of a page at a side in px."""
    if not side:
        return 0
    height, width = grid_of(faded_height(record.height, record.side, side), side)
    return height * width


def _stored(archive: Archive, record: PageRecord, side: int) -> bool:
    with archive.reading() as connection:
        return bool(connection.execute(
            "SELECT count(*) FROM picture JOIN tokens USING (page, side)"
            " WHERE page = ? AND side = ? AND checkpoint = ?",
            (record.id, side, archive.model.checkpoint.sha256),
        ).fetchone()[0])
