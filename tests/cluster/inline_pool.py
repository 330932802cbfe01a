"""A pool of workers in this very process, in place of Ray's, and documents for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from microfiche.cluster.plan import Unit
from microfiche.cluster.run import Summary, run
from microfiche.cluster.work import Reading
from microfiche.cluster.worker import Orders, Told, Worker
from microfiche.documents.job import Request


class Here:
    """Stands in for the process of a worker: does units in this one."""

    pid = 0

    def __init__(self, orders: Orders) -> None:
        self._do = Told(orders).begin()

    def reads(self, unit: Unit | None) -> Iterator[dict[str, Any]]:
        yield {"event": "read", "pages": 1}
        yield self._do(unit, lambda event, pages: None)


class Inline:
    """Does units one after the other, each as a worker of the cluster does; in processes of their own if `apart`.

    `seen` has all that came. `before` is called with each unit before it is done.
    """

    def __init__(self, before: Callable[[Unit], None] = lambda unit: None, apart: bool = False) -> None:
        self.seen: list[tuple[Unit, dict[str, Any]]] = []
        self._before, self._apart = before, apart

    def check(self, folder: Path, token: str) -> None:
        assert (folder / token).is_file()

    def results(self, plan: Path, orders: Orders) -> Iterator[tuple[Unit, dict[str, Any]]]:
        worker = Worker(orders)
        if not self._apart:
            worker._begun = lambda: Here(orders)  # type: ignore[method-assign, assignment, return-value]
        try:
            with plan.open(encoding="utf-8") as file:
                while (line := file.readline()) != "\n":
                    unit = Unit.of(line)
                    self._before(unit)
                    self.seen.append((unit, worker.do(unit)))
                    yield self.seen[-1]
        finally:
            if self._apart:
                worker.close()

    @contextmanager
    def __call__(self) -> Iterator[Inline]:
        yield self


def read_inline(sources: list[Path], folder: Path, pool: Inline, span: int = 32, **options: Any) -> Summary:
    """Reads documents by their text layers in `pool`."""
    orders = Reading(partial(Request, "text"), folder, "text", span=span)
    return run([str(source) for source in sources], [], orders, pool, **options)


def written(folder: Path) -> dict[str, bytes]:
    """What lies in an output folder, without what a run keeps for itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in (".cluster", "documents.parquet")
    }
