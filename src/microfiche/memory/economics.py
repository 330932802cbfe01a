"""What one call with the whole history costs: as text, cached, cut or retrieved, and as pages, cached or faded.

A cached text prefix costs a tenth to a half and loses nothing, which is what pages must beat. Fidelity is measured with
nano on the memory's own pages and says nothing of any other model, for which there is `legibility.calibrate`.
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
from microfiche.memory import billing
from microfiche.memory.archive import Archive
from microfiche.memory.context import context, layout_at, shared
from microfiche.memory.fading import SIDES, tokens_at
from microfiche.memory.legibility import Fidelity, measure_levels, sample
from microfiche.precision import text_tokens

LOOKED_BACK = 16  #: the newest pages, for which it is asked how much of the prefix stayed as each was added


class Price(BaseModel):
    """US dollars for a million tokens of a model: `input`, read again from a cache (`cached`), and, where that costs
    more, `written` to a cache."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = ""
    input: float = Field(ge=0)
    cached: float = Field(ge=0)
    written: float | None = Field(None, ge=0)


@dataclass(frozen=True)
class Way:
    """A way to give a model the history: the `tokens` of a call, of which `cached` come from a cache after the first
    call, and the dollars that the `first` call and each of the `next` cost.

    `fidelity` is the share of the history's characters that come back right, None where that was not measured, and
    `known` says how it is known.
    """

    name: str
    tokens: int
    cached: int
    first: float
    next: float
    fidelity: float | None
    known: str


@dataclass(frozen=True)
class Overview:
    """What a memory holds, in bytes, pages and tokens; `sizes` counts pages by their side in px.

    `stays` is the share of a context's prefix that stays from call to call while pages are added. `breaks` are the
    fadings that broke it: (how many pages there were, the first page that changed).
    """

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
    """The price table that ships, with what a TOML file changes in it; UsageError, in one line, if that is none."""
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
    """What nano reads of the memory's pages at every level, measured once for a manner of setting and a checkpoint."""
    key = f"fidelity {archive.manner.density} {archive.manner.mode} {archive.model.checkpoint.sha256[:12]}"
    kept = archive.setting(key)
    if isinstance(kept, list):
        return [Fidelity(**row) for row in kept]
    found = measure_levels(sample(archive, 2), archive.model)
    if not archive.read_only:
        archive.keep(key, [asdict(level) for level in found])
    return found


def ways(archive: Archive, budget: int, provider: str, price: Price) -> list[Way]:
    """All ways to give a model the history, for one provider and a context of at most `budget` tokens."""
    records, opened = archive.records(), archive.open_pages()
    text = sum(r.text_tokens for r in records) + sum(text_tokens(plain(page.text)) for page in opened)
    by = billing.provider(provider)
    levels = fidelity(archive) if records else []
    read = {level.side: level.kept for level in levels}
    pages = sum(by.cost(r.side, r.height).tokens for r in records)
    pages += sum(by.cost(*archive.set_open(page).page.image.shape[::-1]).tokens for page in opened)
    faded = context(archive, budget, provider=provider)
    before = layout_at(archive, budget, provider, archive.clock().pages - 1)
    stays = shared(before, layout_at(archive, budget, provider, archive.clock().pages))
    characters = sum(r.characters for r in records) or 1
    shown = {page.page: page.side for page in faded.pages if page.page}
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


def overview(archive: Archive, budget: int, provider: str) -> Overview:
    """What a memory holds, and how steady its contexts of at most `budget` tokens are."""
    with archive.reading() as connection:
        records = archive.records()
        now = archive.clock()
        steps = range(max(2, now.pages - LOOKED_BACK + 1), now.pages + 1)
        layouts = [layout_at(archive, budget, provider, n) for n in range(steps.start - 1, steps.stop)]
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
    """The side of the level at which a page of `side` px stands."""
    return min((s for s in SIDES if s >= side), default=SIDES[0])
