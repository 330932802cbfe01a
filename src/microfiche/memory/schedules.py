"""How pages fade: levels of resolution, and schedules, which are data, from age to level.

After DeepSeek-OCR (arXiv 2510.18234, section 6 and figure 13): the older a page the smaller its picture, so the fewer
its tokens. It knows nothing of databases.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from microfiche.errors import UsageError
from microfiche.memory.records import Clock, PageRecord

LevelName = Literal["large", "base", "small", "tiny", "half-tiny", "gone"]
Unit = Literal["pages", "turns", "seconds", "hours", "days"]
#: Sides in px of a page, sharpest first; a full page has (side / 64)² tokens: 400, 256, 100, 64, 16, none.
LEVELS: dict[LevelName, int] = {"large": 1280, "base": 1024, "small": 640, "tiny": 512, "half-tiny": 256, "gone": 0}
SIDES = tuple(LEVELS.values())
TOKENS = tuple((side // 64) ** 2 for side in SIDES)
FORGOTTEN = 0.01  #: strength below which nothing is left
_SECONDS = {"seconds": 1.0, "hours": 3600.0, "days": 86400.0}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Schedule(_Strict):
    unit: Unit = "pages"

    def age(self, page: PageRecord, now: Clock) -> float:
        """How old a page is, its importance allowed for."""
        if self.unit == "pages":
            age = float(now.pages - page.since_page)
        elif self.unit == "turns":
            age = float(now.turns - page.since_turn)
        else:
            age = (now.seconds - page.since_time) / _SECONDS[self.unit]
        return max(0.0, age) / page.importance


class HalfLife(_Schedule):
    """Strength halves every `half_life`; a page has the smallest level that holds its strength's share of Large's
    tokens: Large to 0.64 half-lives, Base to 2, Small to 2.6, Tiny to 4.6, half-Tiny to 6.6."""

    kind: Literal["half-life"] = "half-life"
    half_life: float = Field(gt=0)

    def level(self, age: float) -> int:
        """The index in SIDES for an age."""
        strength = 0.5 ** min(age / self.half_life, 1000.0)
        if strength <= FORGOTTEN:
            return len(SIDES) - 1
        return max(i for i in range(len(SIDES) - 1) if TOKENS[i] >= strength * TOKENS[0] or i == 0)

    def horizon(self) -> float:
        """The age at which nothing is left."""
        return self.half_life * 6.7


class Steps(_Schedule):
    """Levels by a table: (age from which, level), ages rising, levels falling."""

    kind: Literal["steps"] = "steps"
    steps: tuple[tuple[float, LevelName], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _falling(self) -> Steps:
        order = [list(LEVELS).index(name) for _, name in self.steps]
        ages = [age for age, _ in self.steps]
        if ages != sorted(set(ages)) or order != sorted(order):
            raise ValueError("ages must rise and levels fall")
        return self

    def level(self, age: float) -> int:
        """The index in SIDES for an age."""
        return max((list(LEVELS).index(name) for since, name in self.steps if since <= age), default=0)

    def horizon(self) -> float:
        """The age of the last step, and a fifth more."""
        return 1.2 * self.steps[-1][0] or 1.0


class Pinned(_Schedule):
    """Nothing fades."""

    kind: Literal["pinned"] = "pinned"

    def level(self, age: float) -> int:
        """The index in SIDES for an age."""
        return 0

    def horizon(self) -> float:
        """An age to draw up to."""
        return 1.0


Schedule = Annotated[HalfLife | Steps | Pinned, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[HalfLife | Steps | Pinned] = TypeAdapter(Schedule)
#: Those that ship.
SCHEDULES: dict[str, HalfLife | Steps | Pinned] = {
    "half-life": HalfLife(half_life=64),
    "steps": Steps(steps=((0, "large"), (16, "base"), (64, "small"), (128, "tiny"), (256, "half-tiny"), (512, "gone"))),
    "pinned": Pinned(),
}


def schedule(data: object) -> HalfLife | Steps | Pinned:
    """A schedule from its data (a dict, as from TOML or JSON); UsageError, in a line, if it is none."""
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise UsageError(f"not a schedule: {where + ': ' if where else ''}{first['msg']}") from error


def side_at(page: PageRecord, level: int) -> int:
    """Pixels of width of a page at a level: no more than it was set with."""
    return min(page.side, SIDES[level])
