"""What sizes a recipe may give a model: each is checked here, in words, before torch meets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from microfiche.decoder.moe import MoEConfig
from microfiche.nano.model import NanoConfig
from microfiche.nano.windows import PATCHES
from microfiche.pixel.model import SMALL, PixelConfig
from microfiche.training.loop import unknown

Config = TypeVar("Config", NanoConfig, MoEConfig)
WIDEST, DEEPEST = 8192, 64  #: more is taken for a slip
HEAD, GLOBAL_HEAD = 32, 64  #: widths of nano's attention heads, in windows and over the page


def nano(given: Mapping[str, Any]) -> NanoConfig:
    """NanoConfig with the sizes `given`; ValueError for an unknown name or a size that cannot be."""
    c = _with(NanoConfig(), given, set())
    if len(c.stem) != 4:
        raise ValueError(f"stem is {list(c.stem)}; it has four widths")
    _multiple("stem's last width", c.stem[-1], HEAD)
    _multiple("token_width", c.token_width, PATCHES)
    _multiple("global_width", c.global_width, GLOBAL_HEAD)
    if c.token_width > PATCHES * c.stem[-1]:
        raise ValueError(
            f"token_width is {c.token_width}; {PATCHES} patches of stem's last width, {c.stem[-1]}, hold no more than "
            f"{PATCHES * c.stem[-1]}"
        )
    return c


def decoder(usual: MoEConfig, given: Mapping[str, Any]) -> MoEConfig:
    """A decoder's `usual` MoEConfig with the sizes `given`; ValueError as above."""
    c = _with(usual, given, {"vocabulary", "theta", "epsilon"})
    _multiple("width", c.width, 2 * c.heads)
    if c.chosen > c.experts:
        raise ValueError(f"chosen is {c.chosen} of {c.experts} experts")
    if c.dense_layers > c.layers:
        raise ValueError(f"dense_layers is {c.dense_layers} of {c.layers} layers")
    return c


def pixel(given: Mapping[str, Any]) -> PixelConfig:
    """pixel-small's PixelConfig with the sizes `given`; ValueError as above."""
    known = [f.name for f in fields(SMALL)]
    for name in given:
        if name not in known:
            raise ValueError(unknown(name, known))
    return replace(SMALL, **given)


def _with(config: Config, given: Mapping[str, Any], fixed: set[str]) -> Config:
    known = {f.name for f in fields(config)} - fixed
    for name, value in given.items():
        if name not in known:
            raise ValueError(unknown(name, known))
        sizes = value if isinstance(value, list | tuple) and name == "stem" else [value]
        least, most = (0, DEEPEST) if name.endswith("layers") else (1, WIDEST)
        for size in sizes:
            if not isinstance(size, int) or isinstance(size, bool) or not least <= size <= most:
                raise ValueError(f"{name} is {value!r}; whole numbers from {least} to {most} are possible")
    changed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return replace(config, **changed)


def _multiple(name: str, value: int, of: int) -> None:
    if value % of:
        raise ValueError(f"{name} is {value}; it must be a multiple of {of}")
