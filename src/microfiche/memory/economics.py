"""What one call with the whole history costs: as text, cached, cut or retrieved, and as pages, cached or faded.

A cached text prefix costs a tenth to a half and loses nothing, which is what pages must beat. Fidelity is measured with
nano on the memory's own pages and says nothing of any other model, for which there is `legibility.calibrate`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from itertools import pairwise

from microfiche.files import plain
from microfiche.memory.archive import Archive
from microfiche.memory.billing import Usage
from microfiche.memory.context import context, layout_at
from microfiche.memory.fading import SIDES, tokens_at
from microfiche.memory.legibility import Fidelity, measure_levels, sample
from microfiche.memory.models import HostedModel
from microfiche.memory.plan import shared
from microfiche.precision import text_tokens

LOOKED_BACK = 16  #: the newest pages, for which it is asked how much of the prefix stayed as each was added


@dataclass(frozen=True)
class Way:
    """A way to give a model the history: the `tokens` of a call, of which `cached` come from a cache after the first
    call, and the dollars that the `first` call and each of the `next` cost, by the prices that are `dated`; None where
    no price is known.

    `fidelity` is the share of the history's characters that come back right, None where that was not measured, and
    `known` says how it is known.
    """

    name: str
    tokens: int
    cached: int
    first: float | None
    next: float | None
    dated: str
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


def ways(archive: Archive, budget: int, model: HostedModel, when: date | None = None) -> list[Way]:
    """All ways to give `model` the history in a context of at most `budget` tokens, at the prices of a day, today if
    None."""
    records, opened = archive.records(), archive.open_pages()
    text = sum(map(archive.text_tokens, records)) + sum(text_tokens(plain(page.text)) for page in opened)
    levels = fidelity(archive) if records else []
    read = {level.side: level.kept for level in levels}
    pages = sum(model.tokens(r.side, r.height) for r in records)
    pages += sum(model.tokens(*archive.set_open(page).page.image.shape[::-1]) for page in opened)
    faded = context(archive, budget, model=model)
    before = layout_at(archive, budget, model, archive.clock().pages - 1)
    stays = shared(before, layout_at(archive, budget, model, archive.clock().pages))
    characters = sum(r.characters for r in records) or 1
    shown = {page.page: 1.0 if not page.png else read.get(_level(page.side), 0.0) for page in faded.pages}
    kept = sum(r.characters * shown.get(r.id, 0.0) for r in records) / characters
    whole = max(read.values(), default=None)
    part = min(1.0, budget / text) if text else 1.0
    prices = model.prices_at(when)

    def way(name: str, tokens: int, cached: int, share: float | None, known: str) -> Way:
        cached = cached if cached >= (model.least_cached or 0) else 0
        first, again = (
            None if (money := model.cost(usage, when)) is None else money.dollars
            for usage in (Usage(written=tokens) if cached else Usage(tokens), Usage(tokens - cached, read=cached))
        )
        dated = prices.dated if prices else ""
        return Way(name, tokens, cached, first, again, dated, None if share is None else round(share, 4), known)

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


def overview(archive: Archive, budget: int, model: HostedModel | str = "") -> Overview:
    """What a memory holds, and how steady its contexts of at most `budget` tokens are."""
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
        characters=sum(r.characters for r in records), text_tokens=sum(map(archive.text_tokens, records)),
        vision_tokens=sum(tokens_at(r, r.level) for r in records),
        vision_tokens_new=sum(tokens_at(r, r.side) for r in records),
        sizes={side: sides.count(side) for side in sorted(set(sides), reverse=True)},
        bytes=size, density=archive.manner.density, mode=archive.manner.mode,
        stays=round(sum(stays) / len(stays), 4) if stays else 1.0, breaks=breaks,
    )  # fmt: skip


def _level(side: int) -> int:
    """The side of the level at which a page of `side` px stands."""
    return min((s for s in SIDES if s >= side), default=SIDES[0])
