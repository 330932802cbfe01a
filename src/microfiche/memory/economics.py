"""What one call with the whole history costs: as text, cached, cut, retrieved, as pages, cached and faded.

A cached text prefix costs a tenth to a half and loses nothing: that is what pages must beat. Fidelity is measured with
nano on the memory's own pages, and says nothing of another model: `calibrate` does.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microfiche.errors import UsageError, first_of
from microfiche.files import plain
from microfiche.memory.archive import Archive
from microfiche.memory.billing import provider
from microfiche.memory.context import context, layout_at
from microfiche.memory.fading import tokens_at
from microfiche.memory.forgetting import Fidelity, measure, sample
from microfiche.memory.plan import shared
from microfiche.memory.schedules import SIDES
from microfiche.precision import text_tokens

LOOKED_BACK = 16  #: pages back for which it is asked how much of the prefix stayed


class Price(BaseModel):
    """US dollars for a million tokens: `input`, `cached`, and `written` to a cache where that costs more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = ""
    input: float = Field(ge=0)
    cached: float = Field(ge=0)
    written: float | None = Field(None, ge=0)


@dataclass(frozen=True)
class Way:
    """One way to give a model the history: `tokens` a call, of which `cached` are read from a cache from the second
    call on; dollars of the `first` call and of each `next`; `fidelity`, the share of the history's characters that
    come back right (None: not measured), and how that is known."""

    name: str
    tokens: int
    cached: int
    first: float
    next: float
    fidelity: float | None
    known: str


@dataclass(frozen=True)
class Overview:
    """What a memory holds; `sizes` is pages by their side in px, `stays` the share of the prefix that stays from call
    to call while pages are added, `breaks` where fadings broke it: (pages there were, first page that changed)."""

    pages: int
    retired: int
    texts: int
    turns: int
    characters: int
    text_tokens: int
    vision_tokens: int
    vision_tokens_new: int
    sizes: dict[int, int]
    bytes: int
    density: str
    mode: str
    stays: float
    breaks: list[tuple[int, int]]


def prices(path: Path | None = None) -> dict[str, Price]:
    """The price table that ships, changed by that in a TOML file; UsageError, in a line, if it is none."""
    table = tomllib.loads((files(__package__) / "prices.toml").read_text())
    try:
        if path is not None:
            table |= tomllib.loads(path.read_text("utf-8-sig"))
        return {name: Price.model_validate(row) for name, row in table.items()}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not a price table: {error}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: not a price table: {first_of(error)}") from error


def fidelity(archive: Archive) -> list[Fidelity]:
    """What nano reads of the memory's pages at every level: measured once for a way of setting and a checkpoint."""
    key = f"fidelity {archive.manner.density} {archive.manner.mode} {archive.model.checkpoint.sha256[:12]}"
    kept = archive.setting(key)
    if isinstance(kept, list):
        return [Fidelity(**row) for row in kept]
    found = measure(sample(archive, 2), archive.model)
    if not archive.read_only:
        archive.keep(key, [asdict(level) for level in found])
    return found


def ways(archive: Archive, budget: int, model: str, price: Price) -> list[Way]:
    """Every way beside the others, for one history and one provider."""
    records, opened = archive.records(), archive.open_pages()
    text = sum(r.text_tokens for r in records) + sum(text_tokens(plain(page.text)) for page in opened)
    by = provider(model)
    levels = fidelity(archive) if records else []
    read = {level.side: level.kept for level in levels}
    pages = sum(by.cost(r.side, r.height).tokens for r in records)
    pages += sum(by.cost(*archive.set_open(page).page.image.shape[::-1]).tokens for page in opened)
    faded = context(archive, budget, model=model)
    before = layout_at(archive, budget, model, archive.clock().pages - 1)
    stays = shared(before, layout_at(archive, budget, model, archive.clock().pages))
    characters = sum(r.characters for r in records) or 1
    shown = {sheet.page: sheet.side for sheet in faded.sheets if sheet.page}
    kept = sum(r.characters * read.get(_level(shown[r.id]), 0.0) for r in records if r.id in shown) / characters
    whole = max(read.values(), default=None)
    part = min(1.0, budget / text) if text else 1.0

    def way(name: str, tokens: int, cached: int, share: float | None, known: str) -> Way:
        first = tokens * (price.input if not cached or price.written is None else price.written)
        again = (tokens - cached) * price.input + cached * price.cached
        return Way(name, tokens, cached, first / 1e6, again / 1e6, None if share is None else round(share, 4), known)

    cut = min(text, budget)
    return [
        way("all text", text, 0, 1.0, "exact"),
        way("cached text", text, text, 1.0, "exact"),
        way("truncated text", cut, 0, part, "the newest, exact; the rest is lost"),
        way("retrieved text", cut, 0, part, "what is found, exact; the rest is not seen"),
        way("pages", pages, 0, whole, "measured with nano"),
        way("cached pages", pages, pages, whole, "measured with nano"),
        way("faded pages", faded.tokens, round(faded.tokens * stays), kept, "measured with nano, all pages counted"),
    ]


def overview(archive: Archive, budget: int, model: str) -> Overview:
    """What a memory holds and how steady its contexts are."""
    with archive.reading() as connection:
        records = archive.records()
        now = archive.clock()
        steps = range(max(2, now.pages - LOOKED_BACK + 1), now.pages + 1)
        layouts = [layout_at(archive, budget, model, n) for n in range(steps.start - 1, steps.stop)]
        stays = [shared(a, b) for a, b in pairwise(layouts)]
        (size,) = connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()
        (texts,) = connection.execute(
            "SELECT count(DISTINCT source) FROM version WHERE retired IS NULL"
        ).fetchone()
        breaks = connection.execute("SELECT at_page, first_page FROM fade ORDER BY id").fetchall()
    sides = [record.level for record in records]
    return Overview(
        pages=len(records), retired=now.pages - len(records), texts=texts, turns=now.turns,
        characters=sum(r.characters for r in records), text_tokens=sum(r.text_tokens for r in records),
        vision_tokens=sum(tokens_at(r, r.level) for r in records),
        vision_tokens_new=sum(tokens_at(r, r.side) for r in records),
        sizes={side: sides.count(side) for side in sorted(set(sides), reverse=True)},
        bytes=size, density=archive.manner.density, mode=archive.manner.mode,
        stays=round(sum(stays) / len(stays), 4) if stays else 1.0, breaks=breaks,
    )  # fmt: skip


def _level(side: int) -> int:
    """The level's side that a page of `side` px stands at."""
    return min((s for s in SIDES if s >= side), default=SIDES[0])
