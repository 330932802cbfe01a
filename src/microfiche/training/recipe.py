"""Recipes: what every training's TOML file has, the shares in it, and the sizes that it may give a model.

It knows nothing of what is trained; a stage's own keys stand in the stage's file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Generic, Self, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from microfiche.decoder.moe import MoEConfig
from microfiche.errors import UsageError, first_of
from microfiche.nano.encoder import PATCHES
from microfiche.nano.model import NanoConfig
from microfiche.page import TOKEN_SIDE
from microfiche.pixel.model import SMALL, PixelConfig

T = TypeVar("T")
Config = TypeVar("Config", NanoConfig, MoEConfig)
WIDEST, DEEPEST = 8192, 64  #: more is taken for a slip
HEAD, GLOBAL_HEAD = 32, 64  #: widths of nano's attention heads, in windows and over the page


class Plan(BaseModel):
    """What every recipe has: how long, how fast, and how often the training is logged, saved and measured."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = Field(0, ge=0)
    steps: int = Field(ge=1)  #: optimiser steps in all
    decay_steps: int  #: the last of them, in which the learning rate falls to nothing
    warmup_steps: int = Field(100, ge=0)
    learning_rate: float = Field(5e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    batches_per_step: int = Field(1, ge=1)  #: batches whose gradients are summed for one step; processes share them
    ema: float = Field(0.0, ge=0, lt=1)  #: what a step keeps of the mean weights, which are measured and saved; 0: none
    checkpoint_activations: bool = False  #: compute each block again on the way back instead of keeping its results
    log_every: int = Field(25, ge=1)
    save_every: int = Field(250, ge=1)
    validate_every: int = Field(250, ge=1)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe in a TOML file; UsageError, in one line, if it is not one."""
        try:
            return cls(**tomllib.loads(path.read_text("utf-8-sig")))
        except ValidationError as error:
            raise UsageError(f"{path}: not a recipe: {_first(error, cls.model_fields)}") from error
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path}: not a recipe: {error}") from error

    @model_validator(mode="after")
    def _possible_schedule(self) -> Self:
        if not 0 <= self.decay_steps <= self.steps:
            raise ValueError("decay_steps must lie within steps")
        return self

    def learning_rate_at(self, step: int) -> float:
        """The rate of a step: linear warm-up, a plateau, and a fall along 1 − √t over the last `decay_steps`."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        into_decay = max(0.0, (step - (self.steps - self.decay_steps)) / max(1, self.decay_steps))
        return self.learning_rate * warm * (1 - math.sqrt(into_decay))


class Schedule(Plan):
    """What recipes have whose steps are counted in vision tokens."""

    tokens_per_step: int = Field(256, ge=1)

    @property
    def tokens_per_batch(self) -> float:
        """Vision tokens of one of a step's batches."""
        return self.tokens_per_step / self.batches_per_step

    def pages_per_batch(self, side: float) -> int:
        """How many square pages of `side` px make up one of a step's batches; at least one."""
        return max(1, round(self.tokens_per_batch / (side // TOKEN_SIDE) ** 2))


def _first(error: ValidationError, known: Iterable[str]) -> str:
    """What is wrong, in words: an unknown key, with the one that was likely meant, or else what was found first."""
    for found in error.errors():
        if found["type"] == "extra_forbidden":
            return unknown(".".join(map(str, found["loc"])), known)
    return first_of(error)


def unknown(key: str, known: Iterable[str]) -> str:
    """Says that a key is unknown, and which one was likely meant."""
    keys = sorted(known)
    near = get_close_matches(key, keys, 1)
    return f"unknown key {key!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(keys)}")


def recipe_file(name: str) -> Path:
    """The recipe that ships under this name, or else the file of this name; UsageError if there is neither."""
    shipped = Path(__file__).parent / "recipes" / f"{name}.toml"
    if shipped.is_file() or Path(name).is_file():
        return shipped if shipped.is_file() else Path(name)
    raise UsageError(f"no recipe {name!r}; give a TOML file or one of "
                     + ", ".join(sorted(p.stem for p in shipped.parent.glob("*.toml"))))


def _checked(shares: dict[T, float]) -> dict[T, float]:
    if min(shares.values(), default=0) < 0 or not sum(shares.values()):
        raise ValueError("the shares must all be 0 or more, and one of them above 0")
    return shares


#: Things with the share of each: all 0 or more, one above 0; they need not add up to 1.
Shares = Annotated[dict[T, float], AfterValidator(_checked)]


class Choice(Generic[T]):
    """Draws `things` by their `shares`; ValueError for shares below 0 or all 0."""

    def __init__(self, things: Sequence[T], shares: Collection[float]) -> None:
        _checked(dict(enumerate(shares)))
        self.things = list(things)
        self.shares = np.array(list(shares)) / np.sum(list(shares))
        self._up_to = self.shares.cumsum()
        self._up_to /= self._up_to[-1]

    @classmethod
    def of(cls, shares: Mapping[T, float]) -> Choice[T]:
        """The choice among the keys of a mapping."""
        return cls(list(shares), shares.values())

    def one(self, rng: np.random.Generator) -> T:
        """One of the things, by one number of the generator, as `rng.choice` with `p` draws it."""
        return self.things[int(self._up_to.searchsorted(rng.random(), "right"))]


def check_sides(sides: Iterable[int], largest: int) -> None:
    """ValueError where the side of a page in px is no multiple of a vision token's or larger than `largest`."""
    for side in sides:
        if side % TOKEN_SIDE or not 0 < side <= largest:
            raise ValueError(f"a page side of {side} px: sides must be multiples of {TOKEN_SIDE} up to {largest}")


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """ValueError for the first of `names` that is not known."""
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(unknown(name, known))


def nano_sizes(given: Mapping[str, Any]) -> NanoConfig:
    """NanoConfig with the sizes `given`; ValueError for an unknown name or an impossible size."""
    c = _with(NanoConfig(), given, set())
    _check_multiple("stem's last width", c.stem[-1], HEAD)
    _check_multiple("token_width", c.token_width, PATCHES)
    _check_multiple("global_width", c.global_width, GLOBAL_HEAD)
    if c.token_width > PATCHES * c.stem[-1]:
        raise ValueError(
            f"token_width is {c.token_width}; {PATCHES} patches of stem's last width, {c.stem[-1]}, hold no more than "
            f"{PATCHES * c.stem[-1]}"
        )
    return c


def decoder_sizes(usual: MoEConfig, given: Mapping[str, Any]) -> MoEConfig:
    """A decoder's `usual` MoEConfig with the sizes `given`; ValueError as in `nano_sizes`."""
    c = _with(usual, given, {"vocabulary", "theta", "epsilon"})
    _check_multiple("width", c.width, 2 * c.heads)
    if c.chosen > c.experts:
        raise ValueError(f"chosen is {c.chosen} of {c.experts} experts")
    if c.dense_layers > c.layers:
        raise ValueError(f"dense_layers is {c.dense_layers} of {c.layers} layers")
    return c


def pixel_sizes(given: Mapping[str, Any]) -> PixelConfig:
    """pixel-small's PixelConfig with the sizes `given`; ValueError as in `nano_sizes`."""
    check_names(given, (f.name for f in fields(SMALL)))
    return replace(SMALL, **given)


def _with(config: Config, given: Mapping[str, Any], fixed: set[str]) -> Config:
    check_names(given, {f.name for f in fields(config)} - fixed)
    for name, value in given.items():
        sizes = value if isinstance(value, list | tuple) and name == "stem" else [value]
        if name == "stem" and len(sizes) != 4:
            raise ValueError(f"stem is {value}; it has four widths")
        least, most = (0, DEEPEST) if name.endswith("layers") else (1, WIDEST)
        for size in sizes:
            if not isinstance(size, int) or isinstance(size, bool) or not least <= size <= most:
                raise ValueError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")
    changed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return replace(config, **changed)


def _check_multiple(name: str, value: int, of: int) -> None:
    if value % of:
        raise ValueError(f"{name} is {value}; it must be a multiple of {of}")
