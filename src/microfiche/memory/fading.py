"""How pages fade: schedules, which are data and lead from a page's age to its size, and the fading of a memory by one.

After DeepSeek-OCR (arXiv 2510.18234, section 6 and figure 13): the older a page, the smaller its picture and the fewer
its tokens. Pages fade in groups of those that follow each other, so that a cached prefix breaks seldom and at known
places. A faded page is drawn at its new size when it is asked for, and can become sharp again; its text stays.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from microfiche.errors import UsageError, flag_in
from microfiche.memory.archive import Archive
from microfiche.memory.records import Ageing, Clock, PageRecord, grid_of

LevelName = Literal["large", "base", "small", "tiny", "half-tiny", "gone"]
Unit = Literal["pages", "turns", "seconds", "hours", "days"]
#: Sides in px of a page, sharpest first; a full page has (side / 64)² tokens: 400, 256, 100, 64, 16, none.
LEVELS: dict[LevelName, int] = {"large": 1280, "base": 1024, "small": 640, "tiny": 512, "half-tiny": 256, "gone": 0}
SIDES = tuple(LEVELS.values())
TOKENS = tuple((side // 64) ** 2 for side in SIDES)
FORGOTTEN = 0.01  #: the strength at which nothing is left
GROUP = 16  #: pages that fade together
AT_ONCE = 1024  #: pages of a commit
_SECONDS = {"seconds": 1.0, "hours": 3600.0, "days": 86400.0}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Schedule(_Strict):
    unit: Unit = "pages"

    def age(self, page: Ageing, now: Clock) -> float:
        """How old a page is in the schedule's unit, divided by its importance."""
        if self.unit == "pages":
            age = float(now.pages - page.since_page)
        elif self.unit == "turns":
            age = float(now.turns - page.since_turn)
        else:
            age = (now.seconds - page.since_time) / _SECONDS[self.unit]
        return max(0.0, age) / page.importance


class HalfLife(_Schedule):
    """A page's strength halves every `half_life`, and its level is the smallest that still has as large a share of
    Large's tokens: Large up to 0.64 half-lives, Base up to 2, Small up to 2.6, Tiny up to 4.6, half-Tiny up to 6.6."""

    kind: Literal["half-life"] = "half-life"
    half_life: float = Field(gt=0, allow_inf_nan=False)

    def level(self, age: float) -> int:
        """The level of a page of that age, as an index in SIDES."""
        strength = 0.5 ** min(age / self.half_life, 1000.0)
        if strength <= FORGOTTEN:
            return len(SIDES) - 1
        return max(i for i in range(len(SIDES) - 1) if TOKENS[i] >= strength * TOKENS[0] or i == 0)

    def horizon(self) -> float:
        """The age at which nothing is left."""
        return self.half_life * 6.7


class Steps(_Schedule):
    """A table of levels, each with the age from which it holds; ages rise and levels fall."""

    kind: Literal["steps"] = "steps"
    steps: tuple[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], LevelName], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _falling(self) -> Steps:
        order = [list(LEVELS).index(name) for _, name in self.steps]
        ages = [age for age, _ in self.steps]
        if ages != sorted(set(ages)) or order != sorted(order):
            raise ValueError("ages must rise and levels fall")
        return self

    def level(self, age: float) -> int:
        """The level of a page of that age, as an index in SIDES."""
        return max((list(LEVELS).index(name) for since, name in self.steps if since <= age), default=0)

    def horizon(self) -> float:
        """A fifth more than the age of the last step."""
        return 1.2 * self.steps[-1][0] or 1.0


class Pinned(_Schedule):
    """Nothing fades."""

    kind: Literal["pinned"] = "pinned"

    def level(self, age: float) -> int:
        """The level of a page of that age, as an index in SIDES."""
        return 0

    def horizon(self) -> float:
        """The age up to which a plot is drawn."""
        return 1.0


Schedule = HalfLife | Steps | Pinned
_ADAPTER: TypeAdapter[Schedule] = TypeAdapter(Annotated[Schedule, Field(discriminator="kind")])
#: The schedules that ship.
SCHEDULES: dict[str, Schedule] = {
    "half-life": HalfLife(half_life=64),
    "steps": Steps(steps=((0, "large"), (16, "base"), (64, "small"), (128, "tiny"), (256, "half-tiny"), (512, "gone"))),
    "pinned": Pinned(),
}


def schedule(data: object) -> Schedule:
    """The schedule that a dict, as it comes from TOML or JSON, describes or that a text names; UsageError, in one line,
    if it is none."""
    if isinstance(data, str):
        return named_schedule(data)
    if where := flag_in(data):
        raise UsageError(f"not a schedule: {where}: nothing of it is true or false")
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise UsageError(f"not a schedule: {where + ': ' if where else ''}{first['msg']}") from error


def named_schedule(name: str) -> Schedule:
    """The schedule that ships under `name`, or the one in the TOML file of that name; UsageError if there is none."""
    if name in SCHEDULES:
        return SCHEDULES[name]
    try:
        return schedule(tomllib.loads(Path(name).read_text("utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not a schedule ({error}); there are {', '.join(SCHEDULES)}") from error


def schedule_of(archive: Archive) -> Schedule:
    """The memory's own schedule, or the half-life that ships where it has none."""
    kept = archive.setting("schedule")
    return schedule(kept) if kept else SCHEDULES["half-life"]


def side_at(page: Ageing, level: int) -> int:
    """The width in px of a page at a level, which is never more than it was set with."""
    return min(page.side, SIDES[level])


@dataclass(frozen=True)
class Faded:
    """What a fading did: how many pages became smaller or sharper and how many are gone; the vision tokens of all pages
    before and after it.

    `first` is the first page that changed, at which a cached prefix breaks (None where nothing changed), and
    `tokens_kept` counts the tokens that stand before it.
    """

    smaller: int
    sharper: int
    gone: int
    tokens_before: int
    tokens_after: int
    first: int | None
    tokens_kept: int


def due(pages: Sequence[Ageing], by: Schedule, now: Clock, group: int = GROUP) -> dict[int, int]:
    """The side in px that each page, by its number, has at `now`.

    A group is as old as its youngest page, but a page that was recalled since is as old as its recall. Pages of the
    last group, which may still grow, stay as they are.
    """
    sides: dict[int, int] = {}
    for number, grouped in groupby(pages, lambda page: (page.id - 1) // group):
        members = list(grouped)
        if (number + 1) * group > now.pages:
            sides |= {page.id: page.level for page in members}
            continue
        arrived = [page for page in members if page.since_page <= page.id] or members
        youngest = replace(max(arrived, key=lambda page: page.id), importance=1.0)
        for page in members:
            age = min(by.age(replace(youngest, importance=page.importance), now), by.age(page, now))
            sides[page.id] = side_at(page, 0 if page.pinned else by.level(age))
    return sides


def fade(
    archive: Archive,
    by: Schedule,
    now: Clock | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Faded:
    """Gives every page the size that is `due` by the schedule, and says what changed.

    `progress` is called with how many pages are done, and of how many. UsageError where `now` is no moment.
    """
    if now and not (now.pages >= 0 and now.turns >= 0 and 0 <= now.seconds < float("inf")):
        raise UsageError(f"{now} is no moment: give numbers from 0 on")
    records = archive.records()
    now = now or archive.clock()
    sides = due(records, by, now)
    changed = [record for record in records if sides[record.id] != record.level]
    for at in range(0, len(changed), AT_ONCE):
        batch = changed[at : at + AT_ONCE]
        with archive.writing() as connection:
            connection.executemany(
                "UPDATE page SET level = ? WHERE id = ?", [(sides[record.id], record.id) for record in batch]
            )
        progress(min(at + AT_ONCE, len(changed)), len(changed))
    first = changed[0].id if changed else None
    result = Faded(
        smaller=sum(0 < sides[r.id] < r.level for r in changed),
        sharper=sum(sides[r.id] > r.level for r in changed),
        gone=sum(sides[r.id] == 0 for r in changed),
        tokens_before=sum(tokens_at(r, r.level) for r in records),
        tokens_after=sum(tokens_at(r, sides[r.id]) for r in records),
        first=first,
        tokens_kept=sum(tokens_at(r, r.level) for r in records if first is None or r.id < first),
    )
    if changed:
        with archive.writing() as connection:
            connection.execute(
                "INSERT INTO fade(time, at_page, first_page, pages, schedule) VALUES (?, ?, ?, ?, ?)",
                (now.seconds, now.pages, first, len(changed), json.dumps(by.model_dump())),
            )
    return result


def tokens_at(record: PageRecord, side: int) -> int:
    """How many vision tokens a page has at `side` px of width; none where `side` is 0."""
    height, width = grid_of(record, side)
    return height * width
