"""A worker of the cluster: hands units to a process of its own, one at a time, and survives what that dies of.

So a document that ends the process which reads it is known from one whose worker or machine was lost with it. The first
is in quarantine after CRASHES times; the second is done again, up to LOST times without a page of progress. It knows
nothing of Ray.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from microfiche.cluster.plan import Unit
from microfiche.cluster.table import OWN, Row, set_down
from microfiche.cluster.work import row_for, sha256_of
from microfiche.documents.crew import Process, sweep
from microfiche.documents.job import Do
from microfiche.errors import InputError, MicroficheError, SetUpError, UsageError

CRASHES = 2  #: times that a document may end the process that reads it
LOST = 5  #: times that a worker or its machine may be lost while it is at the same page
BEGUN = "begun"  #: a file for each unit that a worker is at, within OWN; it has a byte for each start


class Orders(Protocol):
    """What the workers of a run do: `cluster.work.Reading` or `cluster.work.Packing`."""

    @property
    def folder(self) -> Path:
        """Where the output goes."""
        ...

    @property
    def settings(self) -> str:
        """All that the output depends on beside the documents."""
        ...

    def outputs(self, name: str) -> list[Path]:
        """The files that show that the document of this name was done."""
        ...

    def begin(self) -> Do:
        """Loads what the work needs, and returns the function that does a unit."""
        ...


class Told:
    """Orders as a process of the crew takes them: what they raise when they begin is the answer to the first task."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def begin(self) -> Do:
        """See Orders."""
        try:
            return self._orders.begin()
        except MicroficheError as error:
            ready = {"setup": str(error), "usage": isinstance(error, UsageError)}
            return lambda task, tell: ready


class Worker:
    """Does units by `orders`, with this many `threads`, in a process that begins with the first of them."""

    def __init__(self, orders: Orders, threads: int = 1) -> None:
        self._orders, self._threads = orders, threads
        self._pickled = pickle.dumps(Told(orders))
        self._process: Process | None = None

    def do(self, unit: Unit) -> dict[str, Any]:
        """What became of a unit: {"row": …} of the table, which is also set down beside it; {"same": name} if an
        earlier run had done it; {"long": pages} if it is to be read in ranges; or {"range": name}.

        Raises SetUpError or UsageError if what the work needs cannot be loaded, and SetUpError if what became of the
        unit cannot be written down, as on a full disk.
        """
        try:
            return self._done(unit)
        except (SetUpError, UsageError):
            raise
        except (InputError, OSError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise SetUpError(f"{self._orders.folder}: the output folder cannot be written to ({said})") from error

    def _done(self, unit: Unit) -> dict[str, Any]:
        mark = self._orders.folder / OWN / BEGUN / hashlib.sha256(unit.key.encode()).hexdigest()[:32]
        mark.parent.mkdir(parents=True, exist_ok=True)
        if mark.is_file() and mark.stat().st_size >= LOST:
            mark.unlink()
            return self._row(unit, f"its worker or machine was lost {LOST} times while it read it")
        cause = ""
        for _ in range(CRASHES):
            with mark.open("ab") as file:
                file.write(b".")
            process = self._process = self._process or self._begun()
            try:
                found = self._reads(process, unit, mark)
            except (OSError, EOFError, ValueError):
                cause = process.end(0)
                self._process = None
                sweep(self._orders.folder / unit.name, process.pid)
                for left in self._orders.folder.glob(f".*.{process.pid}.part"):
                    left.unlink(missing_ok=True)
                continue
            if "row" in found:
                set_down(self._orders.folder, Row(**found["row"]))
            mark.unlink(missing_ok=True)
            return found
        mark.unlink(missing_ok=True)
        if unit.pages is not None:  # is found out again, page by page, when the document is put together
            return {"range": unit.name, "error": f"the process that read it {cause}"}
        return self._row(unit, f"the process that read it {cause}, {CRASHES} times")

    def _reads(self, process: Process, unit: Unit, mark: Path) -> dict[str, Any]:
        for event in process.reads(unit):
            if event.get("event") == "read" and mark.stat().st_size > 1:
                mark.write_bytes(b".")
        return event

    def _begun(self) -> Process:
        process = Process(self._pickled, self._threads)
        try:
            (*_, ready) = process.reads(None)
        except (OSError, EOFError, ValueError) as error:
            raise SetUpError(f"the process that is to read {process.end(0)} before it began") from error
        if "setup" in ready:
            process.end(0)
            raise (UsageError if ready["usage"] else SetUpError)(ready["setup"])
        return process

    def _row(self, unit: Unit, error: str) -> dict[str, Any]:
        row = row_for(unit, self._orders.settings)
        row.status, row.error, row.sha256 = "quarantined", f"{unit.source.name}: {error}", sha256_of(unit.source)
        set_down(self._orders.folder, row)
        return {"row": asdict(row)}

    def close(self) -> None:
        """Ends the process."""
        if self._process:
            self._process.ask_to_end()
            self._process.end(5.0)
            self._process = None
