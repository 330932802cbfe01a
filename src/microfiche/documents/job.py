"""A job: how documents are to be read and where they are written to, how far that is, and what becomes of each of them.

It knows nothing of other processes, nor of which document comes next.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines import Engine, Engines, engines
from microfiche.documents.opening import DocumentSource, OpenFile, open_document, page_numbers, page_ranges
from microfiche.documents.pages import document_of, read_pages
from microfiche.documents.writing import Shelf
from microfiche.errors import InputError, UsageError
from microfiche.files import plain
from microfiche.limits import Limits

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  #: how an address begins, as a path is written
LISTED = 20  #: numbers of a document's pages that are listed

#: Is called with "opened" and how many pages are to be read of a document, and with "read" and how many have been read
#: since the last call.
Tell = Callable[[str, int], None]
#: Does a task, and returns what became of it as what JSON can hold, without a key "pages".
Do = Callable[[Any, Tell], dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """How `read_to` is to read: `engine`, `pictures`, `pages`, `dpi`, `password` and `limits` as `read` takes them.

    `task` is what `pictures` was made for; any but "markdown" lets it read every page. `model` names its model, and
    `device` is where a model that `engine` names is loaded.
    """

    engine: str | None = None
    pictures: Engine | None = None
    task: str = "markdown"
    model: str = ""
    pages: str | None = None
    dpi: float = 144
    password: str | None = None
    limits: Limits = field(default_factory=Limits)
    device: str = "cpu"

    def at_hand(self) -> Engines:
        """The engines that read; UsageError where there is none of the name."""
        asked = self.pictures.name if self.pictures and self.task != "markdown" else None
        return engines(self.engine or asked, self.pictures, self.device)

    def settings(self, at_hand: Engines) -> dict[str, str]:
        """All that the reading depends on beside the file, as it stands in the Document."""
        from microfiche import __version__

        settings = {
            "engine": self.engine or "",
            "pages": self.pages or "",
            "dpi": f"{self.dpi:g}",
            "task": self.task,
            "pictures": at_hand.pictures.name,
            "microfiche": __version__,
        }
        return {**settings, "model": self.model} if self.model else settings


@dataclass(frozen=True)
class Outcome:
    """What became of one document, in how many `seconds`: the `document`, or the `error` for which there is none.

    `before` says that an earlier run had read it whole.
    """

    name: str
    document: Document | None = None
    error: InputError | UsageError | OSError | None = None
    before: bool = False
    seconds: float = 0.0

    @property
    def failure(self) -> str:
        """The document's name, and which of its pages failed where some were read; "" if all of it was read."""
        if self.document is None:
            return self.name
        return self._with_pages("failed")

    @property
    def doubt(self) -> str:
        """The document's name and its partial pages, which should be looked at; "" if it has none."""
        return self._with_pages("partial")

    def _with_pages(self, status: str) -> str:
        pages = self.document.pages if self.document else []
        found = [str(page.number) for page in pages if page.status == status]
        listed = ", ".join(found[:LISTED]) + (", …" if len(found) > LISTED else "")
        return f"{self.name} (page{'s' * (len(found) > 1)} {listed})" if found else ""


@dataclass
class Standing:
    """How far the reading of `documents` is, of which `ended` are at an end; `tell` is called when that changes.

    `read` is how many pages were read now, `pages` how many there are to read in the documents that were opened.
    """

    documents: int
    tell: Callable[[Standing], None]
    ended: int = 0
    _pages: dict[int, int] = field(default_factory=dict)  # by the number of the document
    _read: Counter[int] = field(default_factory=Counter)

    @property
    def read(self) -> int:
        """How many pages were read."""
        return self._read.total()

    @property
    def pages(self) -> int:
        """How many pages there are to read, as far as is known."""
        return sum(self._pages.values())

    @property
    def expected(self) -> int:
        """How many pages there will be, if the documents that were not opened yet have as many as those that were."""
        return round(self.pages * self.documents / max(1, len(self._pages)))

    def told(self, number: int, event: str, pages: int) -> None:
        """Counts what Tell says of the document of this number."""
        if event == "opened":
            self._pages[number] = pages
            return
        self._read[number] += pages
        self.tell(self)

    def end(self, number: int) -> None:
        """Counts a document as ended. Pages of it that were not read will not be."""
        self._pages[number] = self._read[number]
        self.ended += 1
        self.tell(self)


@dataclass(frozen=True)
class Job:
    """What is the same for all documents that one call of `read_to` reads, as it takes them; `drawing` is how many
    processes draw the pages of a PDF."""

    request: Request
    folder: Path | None
    form: str = "md"
    overlays: bool = False
    resume: bool = False
    drawing: int = 2

    def check(self) -> None:
        """Raises UsageError if the request means no pages or the folder is an address, and InputError if the folder
        cannot be written to."""
        if self.request.pages:
            page_ranges(self.request.pages)
        if self.folder is None:
            return
        if ADDRESS.match(str(self.folder)):
            raise UsageError(f"{self.folder}: the output cannot go to an address; name a folder")
        above = self.folder
        while not os.path.lexists(above) and above != above.parent:
            above = above.parent
        if not above.is_dir():
            raise InputError(f"{self.folder}: cannot be the output folder: {above} is not a folder")
        if not os.access(above, os.W_OK | os.X_OK):
            raise InputError(f"{self.folder}: cannot be the output folder: {above} cannot be written to")

    def outcome(self, source: DocumentSource, name: str, at_hand: Engines, tell: Tell) -> Outcome:
        """Reads a document, whose output gets this name, and returns what became of it. Errors of the document and of
        the disk are in the outcome."""
        try:
            return self._read(source, name, at_hand, tell)
        except UsageError as error:
            return Outcome(source.name, error=UsageError(f"{source.name}: {error}"))
        except InputError as error:
            return Outcome(source.name, error=error)
        except OSError as error:
            if self.folder and error.filename and str(self.folder) == os.fsdecode(error.filename):
                return Outcome(source.name, error=InputError(
                    f"{self.folder}: cannot be the output folder ({error.strerror or error}); name another by -o"))
            where = f": {plain(os.fsdecode(error.filename))}" if error.filename else ""
            reason = f"cannot be read or written ({error.strerror or error}{where})"
            return Outcome(source.name, error=InputError(f"{source.name}: {reason}"))
        except Exception as error:  # a fault of ours or of a library costs this document and no other
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            return Outcome(source.name, error=InputError(f"{source.name}: a fault in Microfiche ({reason})"))

    def begin(self) -> Do:
        """What a process of a crew does with a task, which is a source and the name of its output."""
        at_hand = self.request.at_hand()

        def do(task: tuple[DocumentSource, str], tell: Tell) -> dict[str, Any]:
            outcome = self.outcome(*task, at_hand, tell)
            if outcome.error:
                kind = "usage" if isinstance(outcome.error, UsageError) else "input"
                return {"error": str(outcome.error), "kind": kind}
            assert outcome.document is not None
            text = "" if self.folder else outcome.document.model_dump_json()
            return {"document": text, "before": outcome.before, "seconds": outcome.seconds}

        return do

    def written(self, name: str) -> Document:
        """The document of this name as it was written to the folder; OSError or ValueError if it is not there."""
        assert self.folder is not None
        return Document.model_validate_json((self.folder / f"{name}.json").read_bytes())

    def _read(self, source: DocumentSource, name: str, at_hand: Engines, tell: Tell) -> Outcome:
        if source.error:
            raise InputError(f"{source.name}: {source.error}")
        wanted, settings = self.request, self.request.settings(at_hand)
        with open_document(
            source.origin, source.name, dpi=wanted.dpi, password=wanted.password, limits=wanted.limits,
            workers=self.drawing,
        ) as opened:  # fmt: skip
            shelf = Shelf(self.folder, name, opened.sha256, settings) if self.folder else None
            if shelf and self.resume and (before := shelf.finished()):
                if not shelf.file(self.form).is_file():
                    shelf.write(before, self.form)
                return Outcome(source.name, before, before=True)
            start = time.perf_counter()
            try:
                document = document_of(opened, settings, self._pages(opened, shelf, at_hand, tell))
                if shelf:
                    shelf.write(document, self.form)
            except (InputError, OSError) as error:
                if shelf and shelf.abandon() and isinstance(error, InputError):
                    reason = str(error).removesuffix("; nothing was kept")
                    raise InputError(f"{reason}; the pages read so far are noted: --resume goes on") from error
                raise
        return Outcome(source.name, document, seconds=time.perf_counter() - start)

    def _pages(self, opened: OpenFile, shelf: Shelf | None, at_hand: Engines, tell: Tell) -> list[PageRead]:
        """The pages asked for: those that were read before, and the rest, read now."""
        wanted = self.request.pages
        numbers = page_numbers(wanted, opened.pages) if wanted else range(1, opened.pages + 1)
        begun = shelf.begun() if shelf and self.resume else {}
        found = [begun[n] for n in numbers if n in begun]
        missing = [n for n in numbers if n not in begun]
        read_now = read_pages(opened, at_hand, missing)
        tell("opened", len(missing))
        for page in shelf.kept(read_now, begun, self.overlays) if shelf else (page for page, _ in read_now):
            found.append(page)
            tell("read", 1)
        return found
