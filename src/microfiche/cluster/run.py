"""A run: lists the documents, leaves out what is done, has the rest done by a pool of workers, and keeps the table.

Each document is done whole, unless it turns out to be long. A long one's ranges go to the end of the units that wait;
when all of them are read, the document follows again, of which only the work on the whole document is left then.
"""

from __future__ import annotations

import fcntl
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from microfiche.cluster.listing import listed
from microfiche.cluster.plan import Plan, Unit
from microfiche.cluster.table import FAILED, OWN, Row, Table
from microfiche.cluster.work import SPAN
from microfiche.cluster.worker import Orders
from microfiche.documents.job import Job, Request
from microfiche.errors import InputError, UsageError
from microfiche.files import whole_file
from microfiche.limits import Limits

EVERY = 5.0  #: seconds after which rows are written to the table
MANY = 1000  #: rows after which they are


class Pool(Protocol):
    """What has units done: a `pool.Ray`, or a stand-in."""

    def check(self, folder: Path, token: str) -> None:
        """Raises UsageError if the workers cannot do the work, as far as that can be told."""
        ...

    def results(self, plan: Path, orders: Orders) -> Iterator[tuple[Unit, dict[str, Any]]]:
        """What becomes of each unit in the file `plan`, as `worker.Worker.do` tells it, in any order. Other units may
        be appended to the file meanwhile, until an empty line ends it."""
        ...


@dataclass
class Summary:
    """How a run ended: how many documents there are, how many of them an earlier run had done, of which
    `failed_before` had failed, and the rows of those that failed now."""

    documents: int
    before: int
    failed_before: int
    failed: list[Row]


def run(
    names: Sequence[str],
    lists: Sequence[Path],
    orders: Orders,
    pool: Callable[[], Any],
    *,
    limits: Limits = Limits(),
    retry_failed: bool = False,
    say: Callable[[str], None] = lambda line: None,
    each: Callable[[Row, int, int], None] = lambda row, done, of: None,
) -> Summary:
    """Has the documents done that `names` and `lists` mean, and returns how that ended. `pool` gives the Pool, in a
    `with`, once it is known that there is anything to do; `each` is called with every row, how many documents are
    done, and how many there are.

    Raises UsageError and InputError if nothing can be read or written at all, or if another run is at work in the
    folder.
    """
    folder = orders.folder
    Job(Request(), folder).check()
    own = folder / OWN
    failed: list[Row] = []
    with _alone(own), Table(folder) as table, Plan() as plan:
        table.recover()
        plan.list(listed(names, lists, limits, say, folder))
        units = own / "units"
        plan.write(units, table, orders.settings, lambda name: _is_there(orders, name), retry_failed)
        before = plan.documents - plan.left
        _note(own, {"documents": plan.documents, "done_before": before})
        if plan.left:
            with _token(own) as token, pool() as workers:
                workers.check(folder, f"{OWN}/{token}")
                done, flushed = before, time.monotonic()
                for row in _rows(workers, units, plan.left, orders):
                    done += 1
                    if row is None:
                        continue
                    table.add(row)
                    if row.status in FAILED:
                        failed.append(row)
                    each(row, done, plan.documents)
                    if time.monotonic() - flushed > EVERY:
                        table.flush()
                        flushed = time.monotonic()
        units.unlink(missing_ok=True)
        return Summary(plan.documents, before, plan.failed, failed)


def _rows(workers: Pool, units: Path, left: int, orders: Orders) -> Iterator[Row | None]:
    """The row of each of the `left` documents, or None for one that an earlier run had done."""
    span = getattr(orders, "span", SPAN)
    unread = Counter[str]()  # ranges of long documents
    with units.open("a", encoding="utf-8") as waiting:
        for unit, found in workers.results(units, orders):
            more: Iterable[Unit] = ()
            if unit.pages is not None:
                unread[unit.name] -= 1
                if not unread[unit.name]:
                    del unread[unit.name]
                    more = (replace(unit, pages=None, whole=True),)
            elif "long" in found:
                more = list(unit.ranges(found["long"], span))
                unread[unit.name] = len(more)
            else:
                left -= 1
                yield Row(**found["row"]) if "row" in found else None
            waiting.writelines(part.line() + "\n" for part in more)
            if not left:
                waiting.write("\n")
            waiting.flush()


def _is_there(orders: Orders, name: str) -> bool:
    return all(path.is_file() for path in orders.outputs(name))


@contextmanager
def _alone(own: Path) -> Iterator[None]:
    """Holds the output folder for one run. Raises UsageError if another has it, InputError if it cannot be written."""
    try:
        own.mkdir(parents=True, exist_ok=True)
        file = (own / "lock").open("ab")
    except OSError as error:
        raise InputError(f"{own.parent}: cannot be the output folder ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{own.parent}: another run is at work in this folder; wait for its end, or stop it"
            ) from error
        yield


@contextmanager
def _token(own: Path) -> Iterator[str]:
    """The name of a file in the folder by which a node can be asked whether it sees the folder."""
    path = own / f"seen-{uuid.uuid4().hex}"
    path.touch()
    try:
        yield path.name
    finally:
        with suppress(OSError):
            path.unlink()


def _note(own: Path, told: dict[str, int]) -> None:
    with whole_file(own / "run.json") as beside:
        beside.write_text(json.dumps(told), "utf-8")


def status(folder: Path) -> dict[str, Any]:
    """How far the runs in an output folder are, by its table alone: how many documents the last run listed, and how
    many documents and pages ended how. Raises InputError if there is no table."""
    own = folder / OWN
    if not own.is_dir():
        raise InputError(f"{folder}: no run of `microfiche cluster` has written to this folder")
    with suppress(OSError, ValueError):
        noted = json.loads((own / "run.json").read_bytes())
        return {"listed": noted["documents"], **Table(folder).counts()}
    return {"listed": None, **Table(folder).counts()}
