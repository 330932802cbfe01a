"""The pages of an open document, a few at a time, each read by the engine that suits it and ending in a status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from PIL import Image

from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines import Engine, Engines
from microfiche.documents.finishing.finish import finish, with_language
from microfiche.documents.opening import OpenFile
from microfiche.documents.sheet import Sheet
from microfiche.errors import MicroficheError, SetUpError, UsageError

TILE = 12  #: px of half size: the side of the squares in which `blank` looks for anything
FAINT = 0.7  #: levels, of 255, that the pixels of a square may spread where there is no noise
SPREAD = 1.45  #: times the spread of a square of bare paper that noise reaches by chance
NOISE = 3.0  #: levels that a square of bare paper may spread; beyond this, there is no telling
FEW = 100  #: squares, below which bare paper cannot be told from the rest


def read_pages(
    opened: OpenFile, at_hand: Engines, numbers: Sequence[int] | None = None
) -> Iterator[tuple[PageRead, Image.Image | None]]:
    """Each page of `numbers` (all, if None) as it was read, in order, and its picture if it has one.

    No more pages are in memory than the engine for pictures takes at a time.
    """
    if opened.read is not None:
        yield from ((opened.read[n - 1], None) for n in (range(1, opened.pages + 1) if numbers is None else numbers))
        return
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
        if engine is at_hand.pictures and not sheet.error and blank(sheet.picture):
            width, height = sheet.picture.size
            pages[sheet.number] = PageRead(number=sheet.number, width=width, height=height, chosen="a blank page")
            continue
        chosen.setdefault(engine.name, (engine, []))[1].append((sheet, why))
    for engine, its in chosen.values():
        for (sheet, why), page in zip(its, _by(engine, [sheet for sheet, _ in its]), strict=True):
            page = page.model_copy(update={"chosen": why})
            if sheet.error and page.status == "ok":
                page = page.model_copy(update={"status": "partial", "reason": sheet.error})
            pages[sheet.number] = page
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


def blank(picture: Image.Image) -> bool:
    """Whether nothing at all is to be seen on an RGB picture: it has one colour, or shades that change slowly, but for
    the noise of a scanner. A page that is black all over is blank.

    Half the size is looked at in squares of TILE px. Noise spreads the values of all squares alike; whatever is drawn,
    however small or pale, spreads those of its own square further, or changes the mean of a whole row.
    """
    for band in picture.split():
        half = band.reduce(2) if min(band.size) >= 2 * TILE else band
        values = np.asarray(half, np.float32)  # (H, W), 0 to 255
        rows = np.abs(np.diff(values.mean(axis=1))).max(initial=0)
        values = np.pad(values, ((0, -values.shape[0] % TILE), (0, -values.shape[1] % TILE)), "edge")
        down, across = values.shape[0] // TILE, values.shape[1] // TILE
        spread = values.reshape(down, TILE, across, TILE).std(axis=(1, 3))
        noise = float(np.quantile(spread, 0.1)) if spread.size >= FEW else 0.0
        if noise > NOISE or rows > FAINT or spread.max() > SPREAD * noise + FAINT:
            return False
    return True


def document_of(opened: OpenFile, settings: dict[str, str], pages: Sequence[PageRead]) -> Document:
    """The document that `pages` of an open file make, in the order of their numbers."""
    ordered = sorted(pages, key=lambda page: page.number)
    ordered = finish(ordered) if opened.read is None else [with_language(page) for page in ordered]
    return Document(name=opened.name, sha256=opened.sha256, settings=settings, notes=opened.notes, pages=ordered)
