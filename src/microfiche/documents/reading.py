"""Documents in, Documents out: which engine reads a page, many pages in few at a time, how each page ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines.rapid import RapidEngine
from microfiche.documents.engines.text import TextEngine, unsound
from microfiche.documents.fetching import is_url
from microfiche.documents.finishing import finish
from microfiche.documents.opening import Opened, open_document, page_numbers
from microfiche.documents.sheet import Sheet
from microfiche.errors import MicroficheError, UsageError
from microfiche.limits import Limits

SOUND = "a sound text layer"
BLANK = 12  #: a page whose lightest and darkest pixels (0 to 255, shrunk) are nearer than this holds nothing


class Engine(Protocol):
    """Reads sheets, `batch` at a time at most."""

    @property
    def name(self) -> str: ...
    @property
    def batch(self) -> int: ...
    def read(self, sheets: Sequence[Sheet]) -> list[PageRead]: ...


@dataclass(frozen=True)
class Engines:
    """The engines at hand: `text` for sound text layers, `pictures` for all else; `forced` reads every page."""

    pictures: Engine
    text: Engine | None
    forced: bool = False

    def choose(self, sheet: Sheet) -> tuple[Engine, str]:
        """The engine for a sheet that has a picture, and why it."""
        if self.text is None or (self.forced and self.text is not self.pictures):
            return self.pictures, "asked for"
        wrong = unsound(sheet)
        if self.forced:
            return self.text, "asked for" + (f", though {wrong}" if wrong else "")
        return (self.pictures, wrong) if wrong else (self.text, SOUND)


def engines(name: str | None = None, pictures: Engine | None = None) -> Engines:
    """The engines for `name`, "text", "rapid" or that of `pictures` (which reads scans; RapidOCR if None); all of
    them, chosen page by page, if None."""
    text, rapid = TextEngine(), RapidEngine()
    by_name: dict[str, Engine] = {"text": text, "rapid": rapid}
    if pictures is not None:
        by_name[pictures.name] = pictures
    if name is None:
        return Engines(pictures or rapid, text)
    if name not in by_name:
        raise UsageError(f"no engine {name!r} here; there are {', '.join(by_name)}")
    return Engines(by_name[name], text if name == "text" else None, forced=True)


@dataclass(frozen=True)
class Leaf:
    """A page that was read, and its picture if it has one."""

    page: PageRead
    picture: Image.Image | None


def leaves(opened: Opened, at_hand: Engines, numbers: Sequence[int] | None = None) -> Iterator[Leaf]:
    """Each page of `numbers` read, in order; no more than a batch of them is held."""
    sheets = iter(opened.sheets(numbers))
    batch = at_hand.pictures.batch
    while several := list(islice(sheets, batch)):
        read = _read(several, at_hand)
        yield from (Leaf(read[sheet.number], sheet.picture) for sheet in several)


def _read(sheets: Sequence[Sheet], at_hand: Engines) -> dict[int, PageRead]:
    read: dict[int, PageRead] = {}
    chosen: dict[str, tuple[Engine, list[tuple[Sheet, str]]]] = {}
    for sheet in sheets:
        if sheet.picture is None:
            read[sheet.number] = PageRead(number=sheet.number, status="failed", reason=sheet.error or "no picture")
            continue
        engine, why = at_hand.choose(sheet)
        if why != SOUND and _blank(sheet.picture):
            width, height = sheet.picture.size
            read[sheet.number] = PageRead(number=sheet.number, width=width, height=height, chosen="a blank page")
            continue
        chosen.setdefault(engine.name, (engine, []))[1].append((sheet, why))
    for engine, given in chosen.values():
        pages = _by(engine, [sheet for sheet, _ in given])
        for (sheet, why), page in zip(given, pages, strict=True):
            read[sheet.number] = page.model_copy(update={"chosen": why})
    return read


def _by(engine: Engine, sheets: Sequence[Sheet]) -> list[PageRead]:
    """The sheets read together; one by one where that fails, so that a page which cannot be read costs no other."""
    try:
        return engine.read(sheets)
    except MicroficheError:
        raise
    except Exception as error:  # a library's fault with a page is that page's loss
        if len(sheets) > 1:
            return [page for sheet in sheets for page in _by(engine, [sheet])]
        reason = f"{engine.name} failed: {type(error).__name__}: {error}".splitlines()[0]
        return [PageRead(number=sheets[0].number, engine=engine.name, status="failed", reason=reason)]


def _blank(picture: Image.Image) -> bool:
    small = np.asarray(picture.convert("L").resize((256, 256), Image.Resampling.BOX))
    return int(small.max()) - int(small.min()) < BLANK


def document_of(opened: Opened, settings: dict[str, str], pages: Sequence[PageRead]) -> Document:
    """The document that `pages` of an open file make, in their order."""
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
    """The Document in a PDF or picture, given by its path or URL or as bytes.

    Pages are numbered from 1 ("1-3,7"); `pictures` reads scans in place of RapidOCR; `engine` forces text, rapid or,
    by its name, `pictures`. InputError for what cannot be opened; a page that cannot be read has the status failed.
    """
    name = "-" if isinstance(source, bytes) else str(source)
    at_hand = engines(engine, pictures)
    origin = source if isinstance(source, bytes) or is_url(name) else Path(source)
    with open_document(origin, name, dpi=dpi, password=password, limits=limits) as opened:
        numbers = page_numbers(pages, opened.pages) if pages else None
        found = [leaf.page for leaf in leaves(opened, at_hand, numbers)]
        return document_of(opened, {}, found)
