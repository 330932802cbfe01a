"""A context out of a memory: messages that are ready to send, with pages as PNG, within a budget of tokens.

First comes the history, then the pages since the last block, and then what differs from call to call: open pages, pages
that come once more because they are wanted sharp or there is room, and the question. What stands before does not change
when something is appended: the history, older than the last block of pages, is planned by itself and so stays the same,
byte for byte, until the next block is full, and a provider's cached prefix holds. Where it is too long, time runs
faster for it until it fits.

A page goes in as a picture that the model can read, with the strings beside it that must be exact, or as text where
that costs no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from microfiche.errors import StoreError, UsageError
from microfiche.files import plain
from microfiche.memory.archive import Archive, OpenPage
from microfiche.memory.attachments import Attachment, attachments, chosen
from microfiche.memory.billing import Shape
from microfiche.memory.captioned import LEGEND, CaptionedPage, legend_tokens, titled, undrawn_note
from microfiche.memory.fading import schedule_of
from microfiche.memory.forms import Form, Reader, forms_of, levels_of, reader_of, sides_of
from microfiche.memory.messages import mark_of, unmistakable
from microfiche.memory.models import HostedModel
from microfiche.memory.paper import SetPage, faded, faded_height, png
from microfiche.memory.plan import Candidate, Plan, block, plan
from microfiche.memory.records import Clock, PageRecord, Place, how_many, newest_first
from microfiche.memory.shapes import marked, picture_part, text_part, user_message
from microfiche.memory.words import find
from microfiche.precision import text_tokens
from microfiche.typesetting import density as densities

INTRODUCTION = "Pages follow, each after its caption, oldest first; lists after pictures are exact."
WANTED = 8  #: pages that a question may ask for sharp


@dataclass(frozen=True)
class ContextPage(CaptionedPage):
    """A page in a context; `text_tokens` is what its text would cost. `beside` is the text that stands with the
    picture, or all of the page where it has no picture, and `png` is empty."""

    text_tokens: int
    beside: str = field(default="", repr=False)


@dataclass(frozen=True, repr=False)
class Context:
    """`messages` in the provider's shape, and the `tokens` of all: pictures as the provider counts them, text in
    DeepSeek's vocabulary; `text_tokens` is what the same pages would cost as text.

    The first `stable` of the `pages` are finished ones, to which the next call appends until a block is full. `faster`
    is how many steps faster time ran for the history, and `notes` say what is missing from the context and what its
    figures rest on. `attached` are the pictures of messages that are sent on as they came, after the pages.
    """

    messages: list[dict[str, Any]]
    tokens: int
    text_tokens: int
    pages: list[ContextPage]
    stable: int
    faster: int
    notes: list[str]
    attached: list[Attachment]

    def __repr__(self) -> str:
        counts = f"tokens={self.tokens}, text_tokens={self.text_tokens}, stable={self.stable}, faster={self.faster}"
        sent = f"{len(self.messages)} messages, {len(self.pages)} pages, {len(self.attached)} pictures attached"
        return f"Context({counts}, {sent}, {len(self.notes)} notes)"

    @property
    def layout(self) -> list[tuple[object, int]]:
        """What stands in the context, each with its tokens, as `plan.shared` compares it."""
        return [((page.caption, page.png, page.beside), page.tokens) for page in self.pages]


@dataclass(frozen=True)
class _Page:
    """What may go in: a page of the log, or an open one as it is set now, with its forms."""

    candidate: Candidate
    text_tokens: int
    source: PageRecord | SetPage
    forms: tuple[Form, ...]


def context(
    archive: Archive,
    budget: int,
    query: str = "",
    model: HostedModel | str = "",
    shape: Shape | None = None,
    instruction: str = "",
) -> Context:
    """The context for a question, of at most `budget` tokens as the `model` counts them.

    The messages have the shape of the model's provider unless another `shape` is given, and an `instruction` stands
    before the question. A damaged page is left out and named in the notes. UsageError where the budget does not even
    hold the question.
    """
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise UsageError(f"a budget of {budget!r} is not a whole number of tokens")
    if not isinstance(query, str):
        raise UsageError(f"{query!r} is no question: give a text")
    if shape is not None and shape not in get_args(Shape):
        raise UsageError(f"no shape {shape!r}; there are {', '.join(get_args(Shape))}")
    by = reader_of(model)
    as_shape = shape or by.model.shape
    words = text_tokens(INTRODUCTION) + text_tokens(plain(instruction + query))
    if budget < words:
        raise UsageError(f"a budget of {budget} tokens does not hold the question, which takes {words}")
    notes: list[str] = []
    with archive.reading():
        left = max(0, budget - words - legend_tokens())
        pages, chosen = _chosen(archive, by, budget, left, query, archive.clock(), notes)
        shown = [(i, form) for i, form in chosen.levels.items() if form < pages[i].candidate.gone]
        order = [*shown, *chosen.again.items()]
        captioned = [_captioned(archive, pages[i], form, notes) for i, form in order]
        total = how_many(archive.connection) + sum(i < 0 for i in pages)
    sent = [(i, page) for (i, _), page in zip(order, captioned, strict=True) if page is not None]
    stable = sum(i > 0 and page is not None for (i, _), page in zip(shown, captioned, strict=False))
    sent, stable = _within_limits(by.model, sent, stable, notes)
    missing = total - len({i for i, _ in sent})
    if missing > 0:
        passages = "; search finds passages, which take less" if missing == total else ""
        notes.append(f"{missing} of {total} pages do not go in: the budget is {budget}{passages}")
    _say_what_it_rests_on(by, [page for _, page in sent], notes)
    drawn = any(page.png for _, page in sent)
    words += legend_tokens() if drawn else 0
    attached = _attached(archive, by.model, budget - words - sum(page.tokens for _, page in sent), sent, notes)
    parts = [text_part(as_shape, f"{INTRODUCTION} {LEGEND}" if drawn else INTRODUCTION)]
    for number, (_, page) in enumerate(sent, 1):
        parts.append(text_part(as_shape, page.caption))
        if page.png:
            parts.append(picture_part(as_shape, page.png))
        if page.beside:
            parts.append(text_part(as_shape, page.beside))
        if number == stable:
            parts[-1] = marked(as_shape, parts[-1])
    for one in attached:
        parts += [text_part(as_shape, one.caption), picture_part(as_shape, one.data, one.kind)]
    if instruction + query:
        parts.append(text_part(as_shape, instruction + query))
    return Context(
        messages=[user_message(as_shape, parts)],
        tokens=words + sum(page.tokens for _, page in sent) + sum(one.tokens(by.model) for one in attached),
        text_tokens=words + sum({i: page.text_tokens for i, page in sent}.values()),
        pages=[page for _, page in sent],
        stable=stable,
        faster=chosen.faster,
        notes=notes,
        attached=attached,
    )


def _attached(
    archive: Archive, model: HostedModel, room: int, pages: Sequence[tuple[int, ContextPage]], notes: list[str]
) -> list[Attachment]:
    """The pictures of the newest messages that the `room` and the model's limits allow beside the pages."""
    every = [page for _, page in pages]
    with archive.reading() as connection:
        found = attachments(connection)
    pictures = [(page.side, page.height, len(page.png)) for page in every if page.png]
    taken = chosen(found, model, room, pictures, _body(every))
    if len(taken) < len(found):
        notes.append(f"{len(found) - len(taken)} of the {len(found)} newest pictures of messages go in by name alone")
    return taken


def layout_at(archive: Archive, budget: int, model: HostedModel | str, pages: int) -> list[tuple[object, int]]:
    """What a context without a question held when there were `pages` pages in the log, each part with its tokens."""
    by, now = reader_of(model), archive.clock()
    with archive.reading():
        then = Clock(min(pages, now.pages), now.turns, now.seconds)
        left = max(0, budget - text_tokens(INTRODUCTION) - legend_tokens())
        found, chosen = _chosen(archive, by, budget, left, "", then, [])
        shown = {i: found[i].candidate for i, form in chosen.levels.items() if form < found[i].candidate.gone}
        return [((i, chosen.levels[i]), page.costs[chosen.levels[i]]) for i, page in shown.items()]


def _boundary(archive: Archive, by: HostedModel, budget: int, now: Clock) -> int:
    """The last page of the history, which is the end of the last full block."""
    side = archive.manner.typesetter("").mode.side
    pages = block(by.tokens(side, side), budget)
    return now.pages // pages * pages


def _chosen(
    archive: Archive, by: Reader, budget: int, left: int, query: str, now: Clock, notes: list[str]
) -> tuple[dict[int, _Page], Plan]:
    """Every page that may go in by its number (open ones below 0), and the plan.

    Pages of the history so old that all which are newer would take the whole budget at their cheapest are not looked
    at, unless they are wanted.
    """
    boundary = _boundary(archive, by.model, budget, now)
    # A page that was retired since the last block stays until the next, so that the prefix does not change.
    found, last = _within_reach(archive, newest_first(archive.connection, boundary, now.pages), by, boundary, left)
    then = Clock(boundary, last.since_turn, last.since_time) if last else now
    wanted = [i for i, _ in find(archive.connection, query, WANTED) if i <= now.pages] if query else []
    near = {record.id: record for record in [*found, *map(archive.record, wanted)]}
    records = [near[number] for number in sorted(near)]
    places = archive.places([record.id for record in records])
    by_age = schedule_of(archive)
    pages: dict[int, _Page] = {}
    for record in records:
        if record.id not in places:
            notes.append(f"{archive.path}: page {record.id}: it is damaged: nothing says where it stands")
            continue
        try:
            text = archive.text(record)
        except StoreError as error:
            notes.append(str(error))
            continue
        chat = record.layout == "turns"
        shown, mark = unmistakable(text) if chat else (text, mark_of(text))
        captions = _captions(record, places[record.id], text if record.undrawn else "", _said_by(mark, chat))
        size = (record.height, record.side)
        tokens = archive.text_tokens(record)
        forms = forms_of(shown, tokens, size, densities.density(record.density), captions, by, _end(mark))
        levels = levels_of(record, by_age, then, forms, by, captions[0])
        candidate = Candidate(record.id, (*(form.cost for form in forms), 0), levels)
        pages[record.id] = _Page(candidate, tokens, record, forms)
    for number, opened in enumerate(archive.open_pages() if now.pages == archive.clock().pages else (), 1):
        pages[-number] = _open(archive, by, opened, -number)
    history = [page.candidate for i, page in pages.items() if 0 < i <= boundary]
    recent = [page.candidate for i, page in pages.items() if i > boundary or i < 0]
    return pages, plan(history, recent, [pages[i].candidate for i in wanted if i in pages], left)


def _within_reach(
    archive: Archive, newest: Iterable[PageRecord], by: Reader, boundary: int, budget: int
) -> tuple[list[PageRecord], PageRecord | None]:
    """The pages since the boundary, and those of the history that could still go in, at their cheapest; and the last
    page of the history. No more of the `newest` are looked at than that takes."""
    near: list[PageRecord] = []
    last, room = None, budget
    for record in newest:
        if record.id <= boundary:
            last = last or record
            if room <= 0:
                break
            density = densities.density(record.density)
            sizes = [(s, faded_height(record.height, record.side, s)) for s in sides_of(record.side)]
            costs = [by.model.tokens(*size) for size in sizes if by.trusted(density, *size, record.side) is not None]
            room -= min([*costs, max(1, archive.text_tokens(record))])
        near.append(record)
    return near, last


def _open(archive: Archive, by: Reader, opened: OpenPage, number: int) -> _Page:
    page = archive.set_open(opened)
    height, width = page.page.image.shape[:2]
    density = densities.density(page.setting.density)
    text, mark = unmistakable(page.text)
    note = undrawn_note(page.text, page.setting, page.undrawn)
    name, speaks = f"[{titled(opened.source)}, page {opened.number}, the newest", f"{_said_by(mark, True)}]"
    captions = (f"{name}{note}{speaks}", f"{name}{speaks}")
    tokens = text_tokens(plain(text))
    forms = forms_of(text, tokens, (height, width), density, captions, by, _end(mark))
    return _Page(Candidate(number, (*(form.cost for form in forms), 0), (0,)), tokens, page, forms)


def _captioned(archive: Archive, page: _Page, number: int, notes: list[str]) -> ContextPage | None:
    """The page in a form; None, with a note, if it is damaged."""
    source, form = page.source, page.forms[number]
    record = source if isinstance(source, PageRecord) else None
    name = record.id if record else None
    if not form.side:
        return ContextPage(name, form.caption, b"", 0, 0, form.cost, page.text_tokens, form.beside)
    if not isinstance(source, PageRecord):
        picture = faded(source.page, form.side).image
        height, side = picture.shape[:2]
        return ContextPage(None, form.caption, png(picture), side, height, form.cost, page.text_tokens, form.beside)
    try:
        data = archive.png(source, form.side)
    except StoreError as error:
        notes.append(str(error))
        return None
    height = faded_height(source.height, source.side, form.side)
    return ContextPage(name, form.caption, data, form.side, height, form.cost, page.text_tokens, form.beside)


def _within_limits(
    model: HostedModel, pages: list[tuple[int, ContextPage]], stable: int, notes: list[str]
) -> tuple[list[tuple[int, ContextPage]], int]:
    """The pages that a request may hold by the model's limits, without the oldest where there are too many."""

    def refusal(kept: Iterable[tuple[int, ContextPage]]) -> str:
        every = [page for _, page in kept]
        pictures = [(page.side, page.height, len(page.png)) for page in every if page.png]
        return model.limits.refusal(pictures, _body(every))

    why = refusal(pages)
    if not why:
        return pages, stable
    low, high = 0, len(pages)  # the fewest pages to leave out
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if refusal(pages[middle:]) else (low, middle)
    left = "the oldest page is" if low == 1 else f"the {low} oldest pages are"
    notes.append(f"{left} left out, since {model.name} would refuse {why}")
    return pages[low:], max(0, stable - low)


def _body(pages: Iterable[ContextPage]) -> int:
    """The bytes of a request for all that is text, at most."""
    return sum(len(page.caption.encode("utf-8", "replace")) + len(page.beside) * 4 for page in pages)


def _say_what_it_rests_on(by: Reader, pages: Sequence[ContextPage], notes: list[str]) -> None:
    if by.model.guess:
        notes.append(by.model.guess)
    if any(page.png for page in pages):
        notes.append(
            f"what may stand on a picture alone was measured on {by.profile.measured}" if by.profile else
            "the model was not measured (memory calibrate): what must be exact stands beside the pictures as text"
        )


def _said_by(mark: str, chat: bool) -> str:
    """What a caption says of the mark by which labels and the end of a text are told from what is said, if there is
    one."""
    speaks = f"who speaks begins with [{mark} and " if chat else ""
    return f"; as text, {speaks}its end is {_end(mark).strip()}" if mark else ""


def _end(mark: str) -> str:
    return f"\n[{mark}end]" if mark else ""


def _captions(record: PageRecord, place: Place, text: str, said_by: str) -> tuple[str, str]:
    """What stands before a page that goes in as a picture, and before one that goes in as text, where all is drawn."""
    what = "what changed in version " + str(place.version) if place.part == "diff" else f"page {place.number}"
    if place.part == "text" and place.kind != "chat":
        what += f" of {place.of}" + (f", version {place.version}" if place.version > 1 else "")
    warning = f"; not trusted: {place.untrusted}" if place.untrusted else ""
    before, after = f"[page {record.id}: {titled(place.source)}, {what}", f"{said_by}{warning}]"
    return f"{before}{undrawn_note(text, record.setting, record.undrawn)}{after}", f"{before}{after}"
