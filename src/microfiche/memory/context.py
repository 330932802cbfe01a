"""A context out of a memory: messages that are ready to send, with pages as PNG, within a budget of tokens.

First comes the history, then the pages since the last block, and then what differs from call to call: open pages, pages
that the question needs sharp, and the question. What stands before does not change when something is appended: the
history, older than the last block of pages, is planned by itself and so stays the same, byte for byte, until the next
block is full, and a provider's cached prefix holds. Where it is too long, time runs faster for it until it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from microfiche.errors import StoreError, UsageError
from microfiche.files import plain
from microfiche.memory import billing
from microfiche.memory.archive import Archive, OpenPage
from microfiche.memory.billing import Provider, Shape
from microfiche.memory.captioned import CaptionedPage, cost_at, message_parts, undrawn_note
from microfiche.memory.fading import SIDES, Schedule, schedule_of, side_at
from microfiche.memory.paper import SetPage, faded, faded_height, png
from microfiche.memory.records import Clock, PageRecord, Place
from microfiche.memory.words import find
from microfiche.precision import text_tokens

INTRODUCTION = "What is remembered follows as pictures of pages, each after its caption, oldest first."
WANTED = 8  #: pages that a question may ask for sharp
FASTER = 25  #: steps by which time may run faster; each is a factor of √2
HISTORY, SHARP = 0.5, 0.25  #: shares: of the budget for the history; of the rest for pages that are wanted sharp


@dataclass(frozen=True)
class ContextPage(CaptionedPage):
    """A page in a context; `text_tokens` is what its text would cost."""

    text_tokens: int


@dataclass(frozen=True)
class Context:
    """`messages` in the provider's shape, and the `tokens` of all: pictures as the provider counts them, text in
    DeepSeek's vocabulary; `text_tokens` is what the same pages would cost as text.

    The first `stable` of the `pages` are finished ones, to which the next call appends until a block is full. `faster`
    is how many steps faster time ran for the history, and `notes` say what is missing from the context.
    """

    messages: list[dict[str, Any]]
    tokens: int
    text_tokens: int
    pages: list[ContextPage]
    stable: int
    faster: int
    notes: list[str]

    @property
    def layout(self) -> list[tuple[object, int]]:
        """What stands in the context, each with its tokens, as `shared` compares it."""
        return [((page.caption, page.png), page.tokens) for page in self.pages]


@dataclass(frozen=True)
class Candidate:
    """A page that may go in: its `costs` in tokens at each level, from its own size to 0 where it is gone, and its
    `levels`: first the one that it has now, then those that it has as time runs faster and faster."""

    id: int
    costs: tuple[int, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The `levels` of all pages by their number, and the pages that come once more at the end, `sharp`.

    `faster` is how many steps faster time ran for the history, and `tokens` is what all of it costs.
    """

    levels: dict[int, int]
    sharp: tuple[int, ...]
    faster: int
    tokens: int


@dataclass(frozen=True)
class _Page:
    """What may go in: a page of the log, or an open one as it is set now, with its caption and its costs."""

    candidate: Candidate
    caption: str
    text_tokens: int
    source: PageRecord | SetPage


def context(
    archive: Archive,
    budget: int,
    query: str = "",
    provider: str = "openai-tiles",
    shape: Shape | None = None,
    instruction: str = "",
) -> Context:
    """The context for a question, of at most `budget` tokens as a `provider` of `billing` counts them.

    The messages have the provider's shape unless another `shape` is given; an `instruction` stands before the question.
    A damaged page is left out and named in the notes. UsageError where the budget does not even hold the question.
    """
    by = billing.provider(provider)
    words = text_tokens(INTRODUCTION) + text_tokens(plain(instruction + query))
    if budget < words:
        raise UsageError(f"a budget of {budget} tokens does not hold the question, which takes {words}")
    notes: list[str] = []
    with archive.reading():
        pages, chosen = _chosen(archive, by, budget, budget - words, query, archive.clock(), notes)
        shown = [(i, level) for i, level in chosen.levels.items() if SIDES[level]]
        order = [*shown, *((i, 0) for i in chosen.sharp)]
        captioned = [_captioned(archive, pages[i], level, notes) for i, level in order]
    sent = [page for page in captioned if page is not None]
    stable = sum(i > 0 and page is not None for (i, _), page in zip(shown, captioned, strict=False))
    missing = len(pages) - len({i for i, _ in shown} | set(chosen.sharp))
    if missing:
        notes.append(f"{missing} of {len(pages)} pages do not go in: the budget is {budget}")
    parts = message_parts(INTRODUCTION, sent, shape or by.shape, stable)
    if instruction + query:
        parts.append({"type": "text", "text": plain(instruction + query)})
    return Context(
        messages=[{"role": "user", "content": parts}],
        tokens=words + sum(page.tokens for page in sent),
        text_tokens=words + sum({page.caption: page.text_tokens for page in sent}.values()),
        pages=sent,
        stable=stable,
        faster=chosen.faster,
        notes=notes,
    )


def layout_at(archive: Archive, budget: int, provider: str, pages: int) -> list[tuple[object, int]]:
    """What a context without a question held when there were `pages` pages in the log, each part with its tokens."""
    by, now = billing.provider(provider), archive.clock()
    with archive.reading():
        then = Clock(min(pages, now.pages), now.turns, now.seconds)
        found, chosen = _chosen(archive, by, budget, budget - text_tokens(INTRODUCTION), "", then, [])
        return [((i, level), found[i].candidate.costs[level]) for i, level in chosen.levels.items() if SIDES[level]]


def _boundary(archive: Archive, by: Provider, budget: int, now: Clock) -> int:
    """The last page of the history, which is the end of the last full block."""
    side = archive.manner.typesetter("").mode.side
    pages = block(by.cost(side, side).tokens, budget)
    return now.pages // pages * pages


def _chosen(
    archive: Archive, by: Provider, budget: int, left: int, query: str, now: Clock, notes: list[str]
) -> tuple[dict[int, _Page], Plan]:
    """Every page that may go in by its number (open ones below 0), and the plan."""
    boundary = _boundary(archive, by, budget, now)
    # A page that was retired since the last block stays until the next, so that the prefix does not change.
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
        costs = _costs(by, (record.height, record.side), caption)
        candidate = Candidate(record.id, costs, _levels(record, by_age, then))
        pages[record.id] = _Page(candidate, caption, record.text_tokens, record)
    for number, opened in enumerate(archive.open_pages() if now.pages == archive.clock().pages else (), 1):
        pages[-number] = _open(archive, by, opened, -number)
    found = [i for i, _ in find(archive.connection, query, WANTED) if i in pages] if query else []
    history = [page.candidate for i, page in pages.items() if 0 < i <= boundary]
    recent = [page.candidate for i, page in pages.items() if i > boundary or i < 0]
    return pages, plan(history, recent, [pages[i].candidate for i in found], left)


def _levels(record: PageRecord, by: Schedule, then: Clock) -> tuple[int, ...]:
    """A page's level as it is stored, then those as time runs faster and faster; 0 stands for its own size."""
    stored = SIDES.index(record.level)
    age = by.age(record, then)
    courses = [stored if record.pinned else max(stored, by.level(age * 2 ** (step / 2))) for step in range(1, FASTER)]
    return tuple(0 if side_at(record, level) == record.side else level for level in (stored, *courses))


def _costs(by: Provider, size: tuple[int, int], caption: str) -> tuple[int, ...]:
    """What a page of `size` (height, width) in px costs at every level."""
    return (*(cost_at(by, size, min(size[1], side), caption) for side in SIDES[:-1]), 0)


def _open(archive: Archive, by: Provider, opened: OpenPage, number: int) -> _Page:
    page = archive.set_open(opened)
    height, width = page.page.image.shape[:2]
    caption = f"[{opened.source}, page {opened.number}, the newest{undrawn_note(page.text, page.setting.density)}]"
    candidate = Candidate(number, _costs(by, (height, width), caption), (0,))
    return _Page(candidate, caption, text_tokens(plain(page.text)), page)


def _captioned(archive: Archive, page: _Page, level: int, notes: list[str]) -> ContextPage | None:
    """The page with its picture at a level; None, with a note, if it is damaged."""
    source, tokens = page.source, page.candidate.costs[level]
    if isinstance(source, SetPage):
        picture = faded(source.page, SIDES[level]).image
        height, side = picture.shape[:2]
        return ContextPage(None, page.caption, png(picture), side, height, tokens, page.text_tokens)
    side = side_at(source, level)
    try:
        data = archive.png(source, side)
    except StoreError as error:
        notes.append(str(error))
        return None
    height = faded_height(source.height, source.side, side)
    return ContextPage(source.id, page.caption, data, side, height, tokens, page.text_tokens)


def _caption(record: PageRecord, place: Place, text: str) -> str:
    what = "what changed in version " + str(place.version) if place.part == "diff" else f"page {place.number}"
    if place.part == "text" and place.kind != "chat":
        what += f" of {place.of}" + (f", version {place.version}" if place.version > 1 else "")
    warning = f"; not trusted: {place.untrusted}" if place.untrusted else ""
    return f"[page {record.id}: {place.source}, {what}{undrawn_note(text, record.density)}{warning}]"


def plan(
    history: Sequence[Candidate],
    recent: Sequence[Candidate],
    wanted: Sequence[Candidate],
    budget: int,
) -> Plan:
    """Decides which page goes in at which size; what it takes is never more than `budget`.

    `history` and `recent` are in their order, oldest first, and `wanted` in the order of their worth. The history gets
    at most HISTORY of the budget; of the rest, wanted pages get SHARP and recent ones, the newest first, what is left.
    Each comes at the sharpest of its levels that fits.
    """
    levels, faster, used = _history(history, int(budget * HISTORY))
    left = budget - used
    kept: dict[int, int] = {}
    sharp: list[int] = []
    share = int(left * SHARP)
    for page in wanted:
        if page.costs[0] <= share:
            sharp.append(page.id)
            share -= page.costs[0]
            left -= page.costs[0]
    for page in reversed(recent):
        level = next(i for i in range(page.levels[0], len(page.costs)) if page.costs[i] <= left)
        kept[page.id] = level
        left -= page.costs[level]
    # A page that goes in at its own size need not come again.
    again = [page for page in wanted if page.id in sharp and {**levels, **kept}.get(page.id, -1) == 0]
    left += sum(page.costs[0] for page in again)
    doubled = {page.id for page in again}
    shown = {**levels, **{page.id: kept[page.id] for page in recent}}
    return Plan(shown, tuple(i for i in sharp if i not in doubled), faster, budget - left)


def _history(pages: Sequence[Candidate], budget: int) -> tuple[dict[int, int], int, int]:
    """The levels, how many steps faster time runs, and the tokens; the oldest pages are left out if none is enough."""
    for faster in range(FASTER):
        levels = {page.id: page.levels[min(faster, len(page.levels) - 1)] for page in pages}
        used = sum(page.costs[levels[page.id]] for page in pages)
        if used <= budget:
            return levels, faster, used
    left = budget
    for page in reversed(pages):
        if page.costs[levels[page.id]] > left:
            levels[page.id] = len(page.costs) - 1
        left -= page.costs[levels[page.id]]
    return levels, FASTER, budget - left


def block(page_cost: int, budget: int) -> int:
    """The pages of a block: the largest power of two that, at full size, take a quarter of the budget at most."""
    pages = 1
    while 2 * pages * page_cost <= budget // 4 and pages < 4096:
        pages *= 2
    return pages


def shared(before: Sequence[tuple[object, int]], after: Sequence[tuple[object, int]]) -> float:
    """The share of the tokens of `after`, a list of (what stands there, its tokens), that a cache of `before` holds.

    Those are the tokens up to the first difference; the share is 1 where there are no tokens.
    """
    same = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        same += new[1]
    total = sum(tokens for _, tokens in after)
    return same / total if total else 1.0
