"""A context out of a memory: messages ready to send, pages as PNG, what they cost, within a budget.

Order: the history, pages since the last block, then what changes from call to call: open pages, pages that the
question needs sharp, the question. What stands before does not change when something is appended.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from microfiche.endpoint import image_part
from microfiche.errors import StoreError, UsageError
from microfiche.files import plain
from microfiche.memory.archive import Archive, OpenPage
from microfiche.memory.billing import Provider, Shape, provider
from microfiche.memory.paper import UNDRAWN, SetPage, faded, faded_height, png, undrawn
from microfiche.memory.plan import FASTER, Candidate, Plan, block, plan
from microfiche.memory.records import Clock, PageRecord, Place
from microfiche.memory.schedules import SCHEDULES, SIDES, HalfLife, Pinned, Steps, schedule, side_at
from microfiche.memory.words import find
from microfiche.precision import text_tokens

INTRODUCTION = "What is remembered follows as pictures of pages, each after its caption, oldest first."
LISTED = 40  #: characters that could not be drawn that a caption lists
WANTED = 8  #: pages that a question may ask for sharp


@dataclass(frozen=True)
class Sheet:
    """A page as it goes into a context: its number in the log (None: open), `caption`, picture of `side` × `height` px,
    and the `tokens` of both; `text_tokens` that its text would cost."""

    page: int | None
    caption: str
    png: bytes
    side: int
    height: int
    tokens: int
    text_tokens: int


@dataclass(frozen=True)
class Context:
    """`messages` in the provider's shape; `tokens` of all: pictures as the provider counts them, text in DeepSeek's
    vocabulary; `text_tokens` that the same pages would cost as text; the `sheets`, of which the first `stable` are the
    finished pages, to which the next call appends until a block is full; how many steps `faster` time ran; notes on
    what is not in it."""

    messages: list[dict[str, Any]]
    tokens: int
    text_tokens: int
    sheets: list[Sheet]
    stable: int
    faster: int
    notes: list[str]

    @property
    def layout(self) -> list[tuple[object, int]]:
        """What stands there and its tokens, as `plan.shared` compares them."""
        return [((sheet.caption, sheet.png), sheet.tokens) for sheet in self.sheets]


@dataclass(frozen=True)
class _Page:
    """What may go in: a page of the log or an open one, its caption, what it costs."""

    candidate: Candidate
    caption: str
    text_tokens: int
    record: PageRecord | None = None
    opened: SetPage | None = None


def context(
    archive: Archive,
    budget: int,
    query: str = "",
    model: str = "openai-tiles",
    shape: Shape | None = None,
    instruction: str = "",
) -> Context:
    """The context for a question, of at most `budget` tokens. `model` is a provider of `billing`; an `instruction`
    stands before the question.

    UsageError where the budget does not even hold the question. A damaged page is left out and named in the notes.
    """
    by = provider(model)
    words = text_tokens(INTRODUCTION) + text_tokens(plain(instruction + query))
    if budget < words:
        raise UsageError(f"a budget of {budget} tokens does not hold the question, which takes {words}")
    notes: list[str] = []
    with archive.reading():
        pages, chosen = _chosen(archive, by, budget, budget - words, query, archive.clock(), notes)
        shown = [(i, level) for i, level in chosen.levels.items() if SIDES[level]]
        sheets = [_sheet(archive, by, pages[i], level, notes) for i, level in [*shown, *((i, 0) for i in chosen.sharp)]]
    whole = [sheet for sheet in sheets if sheet is not None]
    stable = sum(i > 0 and sheet is not None for (i, _), sheet in zip(shown, sheets, strict=False))
    missing = len(pages) - len({i for i, _ in shown} | set(chosen.sharp))
    if missing:
        notes.append(f"{missing} of {len(pages)} pages do not go in: the budget is {budget}")
    return Context(
        messages=messages_of(whole, instruction + query, shape or by.shape, stable),
        tokens=words + sum(sheet.tokens for sheet in whole),
        text_tokens=words + sum({sheet.caption: sheet.text_tokens for sheet in whole}.values()),
        sheets=whole,
        stable=stable,
        faster=chosen.faster,
        notes=notes,
    )


def schedule_of(archive: Archive) -> HalfLife | Steps | Pinned:
    """The memory's own schedule, or the one that ships."""
    kept = archive.setting("schedule")
    return schedule(kept) if kept else SCHEDULES["half-life"]


def layout_at(archive: Archive, budget: int, model: str, pages: int) -> list[tuple[object, int]]:
    """What a context without a question held when there were so many pages in the log, and the tokens of each part."""
    by, now = provider(model), archive.clock()
    with archive.reading():
        then = Clock(min(pages, now.pages), now.turns, now.seconds)
        found, chosen = _chosen(archive, by, budget, budget - text_tokens(INTRODUCTION), "", then, [])
        return [((i, level), found[i].candidate.costs[level]) for i, level in chosen.levels.items() if SIDES[level]]


def _boundary(archive: Archive, by: Provider, budget: int, now: Clock) -> int:
    """The last page of the history: the end of the last full block."""
    side = archive.manner.typesetter("").mode.side
    pages = block(by.cost(side, side).tokens, budget)
    return now.pages // pages * pages


def _chosen(
    archive: Archive, by: Provider, budget: int, left: int, query: str, now: Clock, notes: list[str]
) -> tuple[dict[int, _Page], Plan]:
    """Every page that may go in by its number (open ones below 0), and the plan."""
    boundary = _boundary(archive, by, budget, now)
    # A page retired since the last block stays until the next, so that what stands before it does.
    records = [r for r in archive.records(retired_after=boundary) if r.id <= now.pages]
    last = max((r for r in records if r.id <= boundary), key=lambda r: r.id, default=None)
    then = Clock(boundary, last.since_turn, last.since_time) if last else now
    places = archive.places([record.id for record in records])
    by_age = schedule_of(archive)
    pages: dict[int, _Page] = {}
    for record in records:
        try:
            caption = _caption(record, places[record.id], archive.text(record) if record.undrawn else "")
        except StoreError as error:
            notes.append(str(error))
            continue
        words = _words(caption)
        costs = [_cost(by, record, i) + words for i in range(len(SIDES) - 1)]
        candidate = Candidate(record.id, (*costs, 0), _levels(record, by_age, then))
        pages[record.id] = _Page(candidate, caption, record.text_tokens, record=record)
    for number, opened in enumerate(archive.open_pages() if now.pages == archive.clock().pages else (), 1):
        pages[-number] = _open(archive, by, opened, -number)
    found = [i for i, _ in find(archive.connection, query, WANTED) if i in pages] if query else []
    history = [page.candidate for i, page in pages.items() if 0 < i <= boundary]
    recent = [page.candidate for i, page in pages.items() if i > boundary or i < 0]
    return pages, plan(history, recent, [pages[i].candidate for i in found], left)


def _levels(record: PageRecord, by: HalfLife | Steps | Pinned, then: Clock) -> tuple[int, ...]:
    """A page's level as it is stored, then as time runs faster and faster; 0 for its own size."""
    stored = SIDES.index(record.level)
    age = by.age(record, then)
    courses = [stored if record.pinned else max(stored, by.level(age * 2 ** (step / 2))) for step in range(1, FASTER)]
    return tuple(0 if side_at(record, level) == record.side else level for level in (stored, *courses))


@lru_cache(1 << 16)
def _words(caption: str) -> int:
    return text_tokens(plain(caption))


def _cost(by: Provider, record: PageRecord, level: int) -> int:
    side = side_at(record, level)
    return by.cost(side, faded_height(record.height, record.side, side)).tokens


def _open(archive: Archive, by: Provider, opened: OpenPage, number: int) -> _Page:
    made = archive.set_open(opened)
    height, width = made.page.image.shape[:2]
    caption = f"[{opened.source}, page {opened.number}, the newest{_undrawn(made.text, _density(made))}]"
    words = _words(caption)
    sides = [min(width, side) for side in SIDES[:-1]]
    costs = [by.cost(side, faded_height(height, width, side)).tokens + words for side in sides]
    return _Page(Candidate(number, (*costs, 0), (0,)), caption, text_tokens(plain(made.text)), opened=made)


def _density(made: SetPage) -> str:
    assert made.page.setting is not None
    return made.page.setting.density


def _sheet(archive: Archive, by: Provider, page: _Page, level: int, notes: list[str]) -> Sheet | None:
    """The page's picture at a level; None, with a note, if it is damaged."""
    tokens = page.candidate.costs[level]
    if page.opened:
        picture = faded(page.opened.page, SIDES[level])
        height, side = picture.image.shape[:2]
        return Sheet(None, page.caption, png(picture.image), side, height, tokens, page.text_tokens)
    assert page.record is not None
    side = side_at(page.record, level)
    try:
        data = archive.png(page.record, side)
    except StoreError as error:
        notes.append(str(error))
        return None
    height = faded_height(page.record.height, page.record.side, side)
    return Sheet(page.record.id, page.caption, data, side, height, tokens, page.text_tokens)


def _caption(record: PageRecord, place: Place, text: str) -> str:
    what = "what changed in version " + str(place.version) if place.part == "diff" else f"page {place.number}"
    if place.part == "text" and place.kind != "chat":
        what += f" of {place.of}" + (f", version {place.version}" if place.version > 1 else "")
    warning = f"; not trusted: {place.untrusted}" if place.untrusted else ""
    return f"[page {record.id}: {place.source}, {what}{_undrawn(text, record.density)}{warning}]"


def _undrawn(text: str, at: str) -> str:
    """What stands for the UNDRAWN marks of a text at a density, in their order; nothing if there are none."""
    found = undrawn(text, at)
    if not found:
        return ""
    return f"; {UNDRAWN} stands for {plain(' '.join(found[:LISTED]))}" + (" …" if len(found) > LISTED else "")


def messages_of(sheets: list[Sheet], query: str, shape: Shape, stable: int) -> list[dict[str, Any]]:
    """One user message: the introduction, each page after its caption, the question. In Anthropic's shape the stable
    part ends with a mark that lets it be cached; OpenAI's servers cache by themselves."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": INTRODUCTION}]
    for number, sheet in enumerate(sheets, 1):
        parts.append({"type": "text", "text": plain(sheet.caption)})
        if shape == "anthropic":
            data = base64.b64encode(sheet.png).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            mark = {"cache_control": {"type": "ephemeral"}} if number == stable else {}
            parts.append({"type": "image", "source": source, **mark})
        else:
            parts.append(image_part(sheet.png))
    if query:
        parts.append({"type": "text", "text": plain(query)})
    return [{"role": "user", "content": parts}]
