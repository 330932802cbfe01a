"""What a process of the cluster does with a unit: it reads a document or a range of its pages.

The reading is that of one machine (documents/job.py), so the same bytes are written. It knows nothing of Ray.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from microfiche.cluster.listing import at_hand as with_bytes
from microfiche.cluster.plan import Unit
from microfiche.cluster.table import Row, Status
from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines import Engines
from microfiche.documents.job import Do, Job, Outcome, Request, Tell
from microfiche.documents.opening import DocumentSource, OpenFile, open_document, page_numbers
from microfiche.documents.pages import read_pages
from microfiche.documents.writing import SUFFIXES, Shelf
from microfiche.errors import InputError

SPAN = 32  #: pages of a range, in which documents of more pages are read


class LongDocument(BaseException):
    """A document has so many `pages` to read that it is to be read in ranges. It is no error, so what catches errors
    lets it pass."""

    def __init__(self, pages: int) -> None:
        super().__init__(f"{pages} pages")
        self.pages = pages


@dataclass(frozen=True)
class UnitJob(Job):
    """A Job for documents that may lie in buckets, which raises LongDocument where more than `most` pages are to be
    read."""

    most: int | None = None

    def range(self, unit: Unit, at_hand: Engines, tell: Tell) -> None:
        """Reads a range of a document's pages, and notes them in a journal of their own."""
        assert self.folder is not None and unit.pages is not None
        source, wanted = with_bytes(unit.source, self.request.limits), self.request
        first, last = unit.pages
        with open_document(
            source.origin, source.name, dpi=wanted.dpi, password=wanted.password, limits=wanted.limits,
            workers=self.drawing,
        ) as opened:  # fmt: skip
            part = f"-{first + 1}-{last}"
            shelf = Shelf(self.folder, unit.name, opened.sha256, wanted.settings(at_hand), part)
            numbers = self._numbers(opened)[first:last]
            begun = {number: page for number, page in shelf.begun().items() if number in numbers}
            missing = [number for number in numbers if number not in begun]
            for _ in shelf.kept(read_pages(opened, at_hand, missing), begun):
                tell("read", 1)

    def _read(self, source: DocumentSource, name: str, at_hand: Engines, tell: Tell) -> Outcome:
        return super()._read(with_bytes(source, self.request.limits), name, at_hand, tell)

    def _pages(self, opened: OpenFile, shelf: Shelf | None, at_hand: Engines, tell: Tell) -> list[PageRead]:
        count = len(self._numbers(opened))
        if self.most is not None and count > self.most:
            raise LongDocument(count)
        return super()._pages(opened, shelf, at_hand, tell)

    def _numbers(self, opened: OpenFile) -> Sequence[int]:
        wanted = self.request.pages
        return page_numbers(wanted, opened.pages) if wanted else range(1, opened.pages + 1)


@dataclass(frozen=True)
class Reading:
    """The orders to read units to `folder`, as `request` gives them in the process that reads; `settings` is how they
    stand in the table."""

    request: Callable[[], Request]
    folder: Path
    settings: str
    form: str = "md"
    span: int = SPAN

    def outputs(self, name: str) -> list[Path]:
        """The files that show that a document of this name was written whole."""
        return [self.folder / f"{name}.{kind}" for kind in dict.fromkeys((SUFFIXES[self.form], "json"))]

    def begin(self) -> Do:
        """Loads the engines, and returns the function that reads a unit, or says of None that it is ready."""
        request = self.request()
        at_hand = request.at_hand()
        job = UnitJob(request, self.folder, self.form, resume=True, drawing=1)

        def do(unit: Unit | None, tell: Tell) -> dict[str, Any]:
            if unit is None:
                return {}
            if unit.pages is not None:
                try:
                    job.range(unit, at_hand, tell)
                except (InputError, OSError) as error:  # is said when the document is put together
                    return {"range": unit.name, "error": str(error)}
                return {"range": unit.name}
            part = replace(job, most=None if unit.whole else self.span)
            try:
                outcome = part.outcome(unit.source, unit.name, at_hand, tell)
            except LongDocument as long:
                return {"long": long.pages}
            if outcome.before and unit.before:
                return {"same": unit.name}
            return {"row": asdict(self._row(unit, outcome))}

        return do

    def _row(self, unit: Unit, outcome: Outcome) -> Row:
        row = row_for(unit, self.settings)
        document = outcome.document
        if document is None:
            row.error = str(outcome.error)
            row.sha256 = row.sha256 or sha256_of(unit.source)
            return row
        count_pages(row, document)
        row.seconds = round(outcome.seconds, 3)
        row.outputs = [path.name for path in self.outputs(unit.name)]
        row.outputs += [block.figure for page in document.pages for block in page.blocks if block.figure]
        row.error = outcome.failure and f"not read whole: {outcome.failure}"
        return row


def row_for(unit: Unit, settings: str) -> Row:
    """The row of a unit of which nothing is known yet."""
    return Row(unit.name, unit.source.name, stamp=unit.stamp, settings=settings)


def count_pages(row: Row, document: Document) -> None:
    """Puts into the row what a document's pages say."""
    counted = Counter(page.status for page in document.pages)
    status: Status = "failed" if counted["failed"] else "partial" if counted["partial"] else "ok"
    row.sha256, row.status, row.pages = document.sha256, status, len(document.pages)
    row.pages_ok, row.pages_partial, row.pages_failed = counted["ok"], counted["partial"], counted["failed"]
    row.engine = ", ".join(sorted({page.engine for page in document.pages if page.engine}))


def sha256_of(source: DocumentSource) -> str:
    """The SHA-256 of a file; "" if it cannot be read, or lies elsewhere."""
    if not isinstance(source.origin, Path):
        return ""
    try:
        with source.origin.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
