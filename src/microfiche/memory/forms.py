"""The forms in which a page can go into a context, for the model that the context is for: as text, or as a picture that
the model can read, with the strings beside it that must be exact.

This module knows nothing of budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microfiche.files import plain
from microfiche.memory.captioned import caption_tokens
from microfiche.memory.exact import Kind, exact_list
from microfiche.memory.fading import SIDES, Schedule, side_at
from microfiche.memory.models import HostedModel, hosted
from microfiche.memory.paper import faded_height
from microfiche.memory.plan import FASTER
from microfiche.memory.profiles import Profile, profile_of
from microfiche.memory.records import Clock, PageRecord
from microfiche.precision import text_tokens
from microfiche.typesetting.density import Density

#: The smallest cell in px, as a model sees it, in which any reader that was measured reads print (4x6, docs/nano.md),
#: and the smallest height of a cell with full-width characters.
SMALLEST, SMALLEST_WIDE = (4.0, 6.0), 12.0


@dataclass(frozen=True)
class Form:
    """A form in which a page can go in: a picture of `side` px of width with the text `beside` it, or that text alone,
    where `side` is 0, after a `caption`; its `cost` in tokens, caption and all, and what is of it without the text
    beside a picture."""

    side: int
    beside: str
    cost: int
    bare: int
    caption: str


@dataclass(frozen=True)
class Reader:
    """The model that a context is for, and what was measured of it."""

    model: HostedModel
    profile: Profile | None

    def trusted(self, density: Density, side: int, height: int, whole: int) -> frozenset[Kind] | None:
        """The kinds of strings that may stand on a picture alone, for a page of `whole` px set at a density and shown
        as `side` × `height` px; None where the model cannot read it."""
        seen = self.model.seen(side, height)
        scale = min(seen.width / side, seen.height / height) * side / whole
        if self.profile and self.profile.knows(density.name):
            row = self.profile.row(density.name, scale)
            kinds = row.trusted() if row else frozenset()
            return kinds if "prose" in kinds else None
        low, high = density.width * scale, density.height * scale
        readable = low >= SMALLEST[0] and high >= (SMALLEST_WIDE if density.wide else SMALLEST[1])
        return frozenset({"prose"}) if readable else None


def reader_of(model: HostedModel | str) -> Reader:
    """The model, with the newest profile of it that the user has."""
    found = hosted(model)
    return Reader(found, profile_of(found.name) if found.name else None)


def sides_of(whole: int) -> list[int]:
    """The widths in px at which a page of `whole` px can be shown, largest first."""
    return [whole, *(side for side in SIDES[:-1] if side < whole)]


def forms_of(
    text: str, tokens: int, size: tuple[int, int], density: Density, captions: tuple[str, str], by: Reader,
    end: str = "",
) -> tuple[Form, ...]:  # fmt: skip
    """The forms of a page with a text of so many `tokens`, set as a picture of `size` (height, width) px, best first
    and each cheaper than the one before. It has one of the `captions` as a picture, and the other and an `end` as text.

    A picture that the model cannot read is none of them, and neither is one that costs as much as a larger one or as
    the text. Where no picture can be read, the text is the only form.
    """
    height, whole = size
    words, words_of_text = map(caption_tokens, captions)
    pictures: list[Form] = []
    for side in sides_of(whole):
        shown = (side, faded_height(height, whole, side))
        trusted = by.trusted(density, *shown, whole)
        if trusted is None:
            continue
        beside, bare = exact_list(text, trusted), by.model.tokens(*shown) + words
        cost = bare + (caption_tokens(beside) if beside else 0)
        if not pictures or (cost < pictures[-1].cost and bare < pictures[-1].bare):
            pictures.append(Form(side, beside, cost, bare, captions[0]))
    if pictures and tokens + words_of_text > 2 * pictures[0].cost:
        return tuple(pictures)
    cost = words_of_text + text_tokens(plain(text + end))
    as_text = Form(0, text + end, cost, cost, captions[1])
    if pictures and as_text.cost > pictures[0].cost:
        return tuple(pictures)
    return (as_text, *(form for form in pictures if form.cost < as_text.cost))


def levels_of(
    record: PageRecord, schedule: Schedule, then: Clock, forms: Sequence[Form], by: Reader, caption: str
) -> tuple[int, ...]:
    """The best form that a page may have by its size as it is stored, then by those as time runs faster and faster: the
    best of those that cost no more than the picture of that size.

    Where the model cannot read the size that is stored, it is the cheapest picture that it can read, and none once time
    runs faster.
    """
    stored = SIDES.index(record.level)
    age = schedule.age(record, then)
    courses = (stored if record.pinned else max(stored, schedule.level(age * 2 ** (n / 2))) for n in range(1, FASTER))
    words, gone, found = caption_tokens(caption), len(forms), list[int]()
    for side in (side_at(record, level) for level in (stored, *courses)):
        best = gone
        if side == record.side:
            best = 0
        elif side:
            most = by.model.tokens(side, faded_height(record.height, record.side, side)) + words
            best = next((i for i, form in enumerate(forms) if form.bare <= most), gone)
            if best == gone and not found and forms[-1].side:
                best = gone - 1
        found.append(max([*found[-1:], best]))
    return tuple(found)
