"""Documents in, Documents out: one at a time (`read`), or many to a folder, where a later run goes on (`read_to`).

Pages pass in few at a time, each read by the engine that suits it, and each ends in a status.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from microfiche.documents.document import Document, PageRead, finish
from microfiche.documents.engines import SOUND, Engine, Engines, engines
from microfiche.documents.fetching import is_url, without_secrets
from microfiche.documents.opening import DocumentSource, OpenFile, open_document, page_numbers
from microfiche.documents.sheet import Sheet
from microfiche.documents.writing import Shelf, names_for
from microfiche.errors import InputError, MicroficheError, SetUpError, UsageError
from microfiche.limits import Limits

BLANK = 12  #: a page whose lightest and darkest pixels (0 to 255, shrunk) are nearer than this holds nothing
LISTED = 20  #: numbers of failed pages that are listed

#: Begins the progress of a document, by its name and how many pages there are; what it gives is told how many are done
#: and how fast.
Progress = Callable[[str, int], AbstractContextManager[Callable[[int, str], None]]]


def no_progress(name: str, pages: int) -> AbstractContextManager[Callable[[int, str], None]]:
    """A Progress that shows nothing."""
    return nullcontext(lambda done, rate: None)


def read_pages(
    opened: OpenFile, at_hand: Engines, numbers: Sequence[int] | None = None
) -> Iterator[tuple[PageRead, Image.Image | None]]:
    """Each page of `numbers` (all, if None) as it was read, in order, and its picture if it has one.

    No more pages are in memory than the engine for pictures takes at a time.
    """
    sheets = iter(opened.sheets(numbers))
    batch = at_hand.pictures.batch
    if batch < 1:
        raise UsageError(f"engine {at_hand.pictures.name!r} takes {batch} pages at a time; it must take at least one")
    while several := list(islice(sheets, batch)):
        pages = _read(several, at_hand)
        yield from ((pages[sheet.number], sheet.picture) for sheet in several)


def _read(sheets: Sequence[Sheet], at_hand: Engines) -> dict[int, PageRead]:
    pages: dict[int, PageRead] = {}
    chosen: dict[str, tuple[Engine, list[tuple[Sheet, str]]]] = {}
    for sheet in sheets:
        if sheet.picture is None:
            pages[sheet.number] = PageRead(number=sheet.number, status="failed", reason=sheet.error or "no picture")
            continue
        engine, why = at_hand.choose(sheet)
        if why != SOUND and _blank(sheet.picture):
            width, height = sheet.picture.size
            pages[sheet.number] = PageRead(number=sheet.number, width=width, height=height, chosen="a blank page")
            continue
        chosen.setdefault(engine.name, (engine, []))[1].append((sheet, why))
    for engine, its in chosen.values():
        for (sheet, why), page in zip(its, _by(engine, [sheet for sheet, _ in its]), strict=True):
            pages[sheet.number] = page.model_copy(update={"chosen": why})
    return pages


def _by(engine: Engine, sheets: Sequence[Sheet]) -> list[PageRead]:
    """The sheets read together; one by one where that fails, so that a page which cannot be read costs no other.

    Raises SetUpError if the engine cannot read any page.
    """
    try:
        return engine.read(sheets)
    except SetUpError:
        raise
    except Exception as error:  # the engine refuses a page, or a library fails at it: that is this page's loss
        if len(sheets) > 1:
            return [page for sheet in sheets for page in _by(engine, [sheet])]
        fault = str(error) if isinstance(error, MicroficheError) else f"{type(error).__name__}: {error}"
        reason = f"{engine.name} failed: {fault}".splitlines()[0]
        return [PageRead(number=sheets[0].number, engine=engine.name, status="failed", reason=reason)]


def _blank(picture: Image.Image) -> bool:
    small = np.asarray(picture.convert("L").resize((256, 256), Image.Resampling.BOX))
    return int(small.max()) - int(small.min()) < BLANK


def document_of(opened: OpenFile, settings: dict[str, str], pages: Sequence[PageRead]) -> Document:
    """The document that `pages` of an open file make, in the order of their numbers."""
    ordered = finish(sorted(pages, key=lambda page: page.number))
    notes = ["the file is damaged: parts of it may be missing"] if opened.repaired else []
    return Document(name=opened.name, sha256=opened.sha256, settings=settings, notes=notes, pages=ordered)


def read(
    source: str | Path | bytes,
    *,
    engine: str | None = None,
    pages: str | None = None,
    dpi: float = 144,
    password: str | None = None,
    limits: Limits = Limits(),
    pictures: Engine | None = None,
) -> Document:
    """The Document in a PDF or picture, which is given by its path or URL or as bytes.

    `pages` are numbered from 1 ("1-3,7"). `engine` names the one that reads every page: "text", "rapid", the name of
    `pictures`, or a model that ships. Without it, a page's text layer is taken where it is sound, and `pictures`, or
    RapidOCR if that is None, reads the others. Raises InputError for what cannot be opened, and SetUpError if an engine
    cannot start; a page that cannot be read has the status failed.
    """
    name = "-" if isinstance(source, bytes) else str(source)
    at_hand = engines(engine, pictures)
    origin = source if isinstance(source, bytes) else name if is_url(name) else Path(source)
    with open_document(origin, without_secrets(name), dpi=dpi, password=password, limits=limits) as opened:
        numbers = page_numbers(pages, opened.pages) if pages else None
        return document_of(opened, {}, [page for page, _ in read_pages(opened, at_hand, numbers)])


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
        failed = [str(page.number) for page in self.document.failed]
        if not failed:
            return ""
        listed = ", ".join(failed[:LISTED]) + (", …" if len(failed) > LISTED else "")
        return f"{self.name} (page{'s' * (len(failed) > 1)} {listed})"


def read_to(
    folder: str | Path | None,
    sources: Sequence[DocumentSource],
    request: Request = Request(),
    *,
    form: str = "md",
    overlays: bool = False,
    resume: bool = False,
    each: Callable[[Outcome], None] = lambda outcome: None,
    progress: Progress = no_progress,
) -> list[Outcome]:
    """Reads documents to a folder and returns the outcomes of those that were not read whole.

    `folder` gets NAME.md (NAME.txt, as `form` is "md", "text" or "json"), always NAME.json, NAME/figures/, and, with
    `overlays`, each page with its blocks drawn on it; None writes nothing. `resume` takes over what an earlier run read
    of the same files by the same request, whether it was broken off or some of its pages failed. `each` is given every
    outcome as it comes, `progress` is begun for every document. Raises UsageError for an unknown engine.
    """
    job = _Job(request, None if folder is None else Path(folder), form, overlays, resume, progress)
    failures = []
    for source, name in zip(sources, names_for([source.name for source in sources]), strict=True):
        try:
            outcome = job.run(source, name)
        except (InputError, UsageError, OSError) as error:
            outcome = Outcome(source.name, error=error)
        each(outcome)
        if outcome.failure:
            failures.append(outcome)
    return failures


class _Job:
    """What is the same for all documents that `read_to` reads."""

    def __init__(
        self, request: Request, folder: Path | None, form: str, overlays: bool, resume: bool, progress: Progress
    ) -> None:
        self.request, self.folder, self.form = request, folder, form
        self.overlays, self.resume, self.progress = overlays, resume, progress
        self.at_hand = request.at_hand()
        self.settings = request.settings(self.at_hand)

    def run(self, source: DocumentSource, name: str) -> Outcome:
        """The outcome of a document, whose output gets this name; raises what keeps it from being read or written."""
        if source.error:
            raise InputError(f"{source.name}: {source.error}")
        wanted = self.request
        with open_document(
            source.origin, source.name, dpi=wanted.dpi, password=wanted.password, limits=wanted.limits
        ) as opened:
            shelf = Shelf(self.folder, name, opened.sha256, self.settings) if self.folder else None
            if shelf and self.resume and (before := shelf.finished()):
                if not shelf.file(self.form).is_file():
                    shelf.write(before, self.form)
                return Outcome(source.name, before, before=True)
            start = time.perf_counter()
            document = document_of(opened, self.settings, self._pages(opened, shelf))
        if shelf:
            shelf.write(document, self.form)
        return Outcome(source.name, document, seconds=time.perf_counter() - start)

    def _pages(self, opened: OpenFile, shelf: Shelf | None) -> list[PageRead]:
        """The pages asked for: those that were read before, and the rest, read now."""
        wanted = self.request.pages
        numbers = page_numbers(wanted, opened.pages) if wanted else range(1, opened.pages + 1)
        begun = shelf.begun() if shelf and self.resume else {}
        found = [begun[n] for n in numbers if n in begun]
        read_now = read_pages(opened, self.at_hand, [n for n in numbers if n not in begun])
        pages = shelf.kept(read_now, begun, self.overlays) if shelf else (page for page, _ in read_now)
        start, fresh = time.perf_counter(), 0
        with self.progress(Path(opened.name).name, len(numbers)) as done:
            for page in pages:
                found.append(page)
                fresh += 1
                done(len(found), f"{fresh / (time.perf_counter() - start):.3g} pages/s")
        return found
