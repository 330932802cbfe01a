"""The registry of hosted models: how each counts a picture, what a request to it may hold, and what it charges when.

Every figure stands in models.toml with its source and date. A model that is not there gets its tokens by a rule that is
said (`HostedModel.guess`) and never a sum of money.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from microfiche.errors import UsageError, first_of, flag_in
from microfiche.memory.billing import Money, Prices, Shape, Usage
from microfiche.memory.formulas import Ceiling, Formula, Seen

#: What may follow a model's name: a date, a version of a cloud's catalogue, a window, "latest" or "preview".
_ENDING = re.compile(r"(-\d{8}|-\d{4}-\d{2}-\d{2}|-v\d+(:\d+)?|\[\w+\]|-latest|-preview)*$")
#: For a model that is not in the registry, by how its name begins: the pictures and the shape of its maker's newest.
GUESSES: tuple[tuple[str, str, Shape], ...] = (
    ("claude", "claude-high", "anthropic"),
    ("gpt-4", "tiles-170", "openai"),
    ("gpt", "gpt-6", "responses"),
    ("gemini", "gemini-4", "gemini"),
    ("qwen", "qwen3-vl", "openai"),
    ("glm", "glm-v", "openai"),
    ("kimi", "kimi-k3", "openai"),
    ("grok", "grok", "openai"),
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Sourced(_Table):
    source: str
    dated: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")


class Pictures(_Sourced):
    """How pictures are counted: a formula for each manner of sending one (OpenAI's detail, Gemini's resolution), of
    which the first is what Microfiche sends, and the tokens `around` every picture."""

    manners: dict[str, Formula] = Field(min_length=1)
    around: int = Field(0, ge=0)

    def formula(self, manner: str | None) -> Formula:
        """The formula of a manner, or the first where that is None or not known."""
        return self.manners.get(manner or "") or next(iter(self.manners.values()))

    @property
    def grades(self) -> dict[str, Ceiling]:
        """Where each manner has one price for all pictures: those that cost no more than the first, by their price, the
        cheapest first. Empty where a picture's price follows from its size, or where there is one manner alone."""
        found = {name: formula for name, formula in self.manners.items() if isinstance(formula, Ceiling)}
        if len(found) < max(2, len(self.manners)):
            return {}
        most = next(iter(found.values())).most
        return dict(sorted(((n, f) for n, f in found.items() if f.most <= most), key=lambda one: one[1].most))


class Limits(_Sourced):
    """What a request may hold; None where no limit is published.

    At most so many `pictures`, each at most `side` px on a side (`crowd_side` where there are more than `crowd`), with
    at most so many `squares` of 32 px, `picture_base64` characters each and `picture_bytes` bytes of files in all;
    the whole body has at most `request_bytes` bytes.
    """

    pictures: int | None = None
    side: int | None = None
    crowd: int | None = None
    crowd_side: int | None = None
    squares: int | None = None
    picture_base64: int | None = None
    picture_bytes: int | None = None
    request_bytes: int | None = None

    def refusal(self, pictures: Sequence[tuple[int, int, int]], body: int = 0) -> str:
        """Why a request with `pictures`, each (width, height, bytes of its file), and a body of so many bytes besides
        would be refused, or "" if it would not."""
        if self.pictures is not None and len(pictures) > self.pictures:
            return f"{len(pictures)} pictures; at most {self.pictures} are taken"
        crowded = self.crowd is not None and len(pictures) > self.crowd
        most = self.crowd_side if crowded and self.crowd_side else self.side
        encoded = [-(-size // 3) * 4 for _, _, size in pictures]
        for (width, height, _), characters in zip(pictures, encoded, strict=True):
            if most is not None and max(width, height) > most:
                return f"a picture of {width} × {height} px; at most {most} px a side are taken"
            if self.squares is not None and -(-width // 32) * -(-height // 32) > self.squares:
                return f"a picture of {width} × {height} px; at most {self.squares:,} squares of 32 px are taken"
            if self.picture_base64 is not None and characters > self.picture_base64:
                return f"a picture of {characters:,} characters of base64; at most {self.picture_base64:,} are taken"
        together = sum(size for _, _, size in pictures)
        if self.picture_bytes is not None and together > self.picture_bytes:
            return f"{together:,} bytes of pictures; at most {self.picture_bytes:,} are taken"
        if self.request_bytes is not None and sum(encoded) + body > self.request_bytes:
            return f"{sum(encoded) + body:,} bytes; at most {self.request_bytes:,} are taken"
        return ""


class Tiers(_Sourced):
    """How many times the usual rates a request costs in other service tiers than the standard one, by their names."""

    factors: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)


NO_LIMITS = Limits(source="no limit is published", dated="2026-11")


class _Row(_Table):
    shape: Shape = "openai"
    pictures: str
    limits: str | None = None
    tiers: str | None = None
    least_cached: int | None = None
    window: int | None = None
    also: tuple[str, ...] = ()
    prices: tuple[Prices, ...] = ()


class _File(_Table):
    pictures: dict[str, Pictures] = {}
    limits: dict[str, Limits] = {}
    tiers: dict[str, Tiers] = {}
    models: dict[str, _Row] = {}

    @model_validator(mode="after")
    def _named(self) -> _File:
        for name, row in self.models.items():
            if row.pictures not in self.pictures:
                raise ValueError(f"{name}: there are no pictures {row.pictures!r}")
            if row.limits is not None and row.limits not in self.limits:
                raise ValueError(f"{name}: there are no limits {row.limits!r}")
            if row.tiers is not None and row.tiers not in self.tiers:
                raise ValueError(f"{name}: there are no tiers {row.tiers!r}")
        return self


@dataclass(frozen=True, repr=False)
class HostedModel:
    """A model that a provider serves: the `shape` of its messages, how it counts `pictures`, the `limits` of a request,
    its `prices`, the `factors` of other service tiers than the standard one, the least tokens that its cache takes and
    its context `window` (None where not published).

    `guess` is empty for a model of the registry, and says for any other by which rule its pictures are counted.
    """

    name: str
    shape: Shape
    pictures: Pictures
    limits: Limits = NO_LIMITS
    prices: tuple[Prices, ...] = ()
    least_cached: int | None = None
    window: int | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    guess: str = ""

    def __repr__(self) -> str:
        prices = self.prices_at()
        told = f"prices of {prices.dated}" if prices else self.guess or "no prices"
        return f"HostedModel({self.name!r}, {self.shape}, {told})"

    def seen(self, width: int, height: int, manner: str | None = None) -> Seen:
        """A picture of `width` × `height` px as the model sees it: its size there, and its tokens by the formula."""
        return self.pictures.formula(manner).seen(width, height)

    def tokens(self, width: int, height: int, manner: str | None = None) -> int:
        """What a picture of `width` × `height` px is charged in tokens, those around it included."""
        return self.seen(width, height, manner).tokens + self.pictures.around

    def prices_at(self, when: date | None = None) -> Prices | None:
        """The prices that hold on a day, today if None; None if none are known."""
        day = when or datetime.now(UTC).date()
        return next((prices for prices in self.prices if prices.hold(day)), None)

    def cost(self, usage: Usage, when: date | None = None) -> Money | None:
        """What a request costs on a day, today if None; None where a price that it needs is not known."""
        prices = self.prices_at(when)
        return prices.cost(usage) if prices else None


def models(path: Path | None = None) -> dict[str, HostedModel]:
    """All models of the registry by their names, those of a user's TOML file in front of those that ship; UsageError,
    in one line, if that is no such file."""
    shipped = tomllib.loads((files(__package__) / "models.toml").read_text("utf-8"))
    try:
        own = tomllib.loads(path.read_text("utf-8-sig")) if path else {}
        if where := flag_in(own):
            raise UsageError(f"{path}: not a table of models: {where}: nothing of it is true or false")
        merged = {key: _table(shipped.get(key, {})) | _table(own.get(key, {})) for key in {**shipped, **own}}
        read = _File.model_validate(merged)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not a table of models: {error}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: not a table of models: {first_of(error)}") from error
    found: dict[str, HostedModel] = {}
    for name, row in read.models.items():
        limits = read.limits[row.limits] if row.limits else NO_LIMITS
        factors = read.tiers[row.tiers].factors if row.tiers else {}
        for each in (name, *row.also):
            found[each] = HostedModel(
                each, row.shape, read.pictures[row.pictures], limits, row.prices, row.least_cached, row.window, factors
            )
    return found


def _table(value: object) -> dict[str, Any]:
    """A TOML table; what is none is left for the check, which names it."""
    return dict(value) if isinstance(value, Mapping) else {"": value}


@cache
def _shipped() -> dict[str, HostedModel]:
    return models()


@cache
def _pictures() -> dict[str, Pictures]:
    shipped = tomllib.loads((files(__package__) / "models.toml").read_text("utf-8"))
    return {name: Pictures.model_validate(table) for name, table in shipped["pictures"].items()}


def hosted(name: HostedModel | str, among: Mapping[str, HostedModel] | None = None) -> HostedModel:
    """The model called `name` at its provider, `among` the given ones or those that ship.

    A prefix ("anthropic/", "models/"), a date or "-latest" at the end, capitals, and dots for hyphens do not matter.
    Any other model is counted by its maker's newest rule, if its name tells the maker, and never has prices.
    """
    if isinstance(name, HostedModel):
        return name
    known = _shipped() if among is None else among
    plain = plain_name(name)
    for key, found in known.items():
        if plain_name(key) == plain:
            return found
    for start, pictures, shape in GUESSES:
        if plain.startswith(start):
            guess = f"{name} is not in the table of models: its pictures are counted like {pictures}"
            return HostedModel(name, shape, _pictures()[pictures], guess=guess)
    unknown = _pictures()["unknown"]
    why = f"{name} is not in the table of models: its" if name else "no model is named:"
    guess = f"{why} pictures are counted as {unknown.source}"
    return HostedModel(name, "openai", unknown, guess=guess)


def plain_name(name: str) -> str:
    """A name without what differs between the catalogues in which the same model stands."""
    last = re.split(r"[/\s]", name.strip().lower().partition("@")[0])[-1]
    last = re.sub(r"^(?:[a-z]{2,6}\.)?(?:anthropic|google|openai)\.", "", last)
    return _ENDING.sub("", last).replace(".", "-")
