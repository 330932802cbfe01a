"""Forgetting on purpose: a text, a page, a span of time, or whatever says something, out of every version, diff, index
and log of a memory's files.

Of a chat whole messages are forgotten, of a text lines, pages or versions; what stood beside them stays, on the page on
which it stood. Whatever is deleted is overwritten: within the file by SQLite (secure_delete), then by writing the file
anew (VACUUM) and by emptying its write-ahead log. A disk may still hold what files were before; that is beyond us.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from microfiche.errors import InputError, StoreError, UsageError
from microfiche.memory.archive import Archive
from microfiche.memory.database import explained, meta, set_meta, transaction, wipe, writing_now
from microfiche.memory.letters import compared
from microfiche.memory.messages import moment
from microfiche.memory.redaction import Forgotten, Passage, Redaction

PAUSE = 0.05  #: seconds between two looks whether another has finished adding


def forget(
    archive: Archive,
    name: str | None = None,
    page: int | None = None,
    before: float | str | datetime | None = None,
    after: float | str | datetime | None = None,
    query: str | None = None,
    confirm: Callable[[Sequence[Passage]], bool] | None = None,
) -> Forgotten:
    """Forgets the text `name`, or of it (of everything, if that is None) what was added or said from `after` to just
    before `before`, or what says `query`; or what stands on `page`.

    A query is looked for as it is written, but for line breaks, and compared as in a search, without capitals and
    accents. `confirm` is shown every passage that would go; where it returns False, nothing is forgotten. UsageError
    where nothing, too much or nothing known is named.
    """
    span = _moments(before, after)
    wanted = [what for what, given in {"a page": page, "a time": span, "a query": query}.items() if given is not None]
    if len(wanted) > 1 or (page is not None and name is not None) or not (wanted or name is not None):
        raise UsageError("forget a name, a page, a time or a query; a name may be given with a time or a query")
    if page is not None and (not isinstance(page, int) or isinstance(page, bool)):
        raise UsageError(f"{page!r} is no number of a page")
    if query is not None and (not compared(query).strip() or confirm is None):
        raise UsageError("a query to forget needs words, and `confirm`, which is shown what would be forgotten")
    _wait(archive)
    with archive.writing() as connection:
        work = Redaction(archive, connection)
        sources = work.sources(name)
        if page is not None:
            work.page(page)
        elif span is not None:
            work.moments(sources, *span)
        elif query is not None:
            found = work.saying(sources, query)
            if found and confirm is not None and not confirm(work.passages(found)):
                return Forgotten()
            work.redact(found)
        else:
            work.whole(sources)
        done = work.finish()
        # Why a picture is not trusted quotes it.
        connection.execute("UPDATE version SET untrusted = substr(untrusted, 1, instr(untrusted, ' (') - 1)"
                           " WHERE forgotten AND untrusted LIKE '% (%'")
        set_meta(connection, "wipe", True)
    done.wiped = wiped(archive)
    return done


def wiped(archive: Archive) -> bool:
    """Wipes what is forgotten out of the files, if that is still to be done, and says whether nothing of it is left.

    StoreError where the file cannot be written anew.
    """
    with explained(archive.path, archive.timeout):
        if not meta(archive.connection, "wipe"):
            return True
        archive.forget_pictures()
        try:
            if not wipe(archive.connection):
                return False
        except sqlite3.OperationalError as error:
            raise StoreError(f"{archive.path}: forgotten, but the file still holds it, for it could not be written anew"
                             f" ({error}): make room and forget again, or use Memory.wipe") from error
        with transaction(archive.connection):
            archive.connection.execute("DELETE FROM meta WHERE key = 'wipe'")
    return True


def _moments(
    before: float | str | datetime | None, after: float | str | datetime | None
) -> tuple[float, float] | None:
    if before is None and after is None:
        return None
    try:
        first, last = (moment(at.timestamp() if isinstance(at, datetime) else at) for at in (after, before))
    except InputError as error:
        raise UsageError(str(error).replace("a message's time", "a time to forget")) from error
    return (float("-inf") if first is None else first), (float("inf") if last is None else last)


def _wait(archive: Archive) -> None:
    """Waits until nobody is in the middle of an `add`, whose pages nothing refers to yet."""
    until = time.monotonic() + archive.timeout
    while who := writing_now(archive.connection):
        if time.monotonic() > until:
            raise StoreError(f"{archive.path}: {who} is adding to it; waited {archive.timeout:g} s for it to end")
        time.sleep(PAUSE)
