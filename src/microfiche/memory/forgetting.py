"""The forgetting curve, measured: what nano still reads of real pages at every level; and its course over age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from microfiche.errors import InputError
from microfiche.memory.archive import Archive
from microfiche.memory.paper import faded, set_pages
from microfiche.memory.schedules import LEVELS, SIDES, HalfLife, Pinned, Steps
from microfiche.nano.cells import Nano
from microfiche.page import TypesetPage, dequantise, quantise
from microfiche.precision import errors

NOISE = 0.01  #: what precision may differ from chance by, on a page or two, without anything being read


@dataclass(frozen=True)
class Fidelity:
    """At one level of `name` and `side` px: vision tokens of the measured pages, text tokens over those, the strict
    precision of what nano reads, and the `chance` of as much: the precision of the same against the text backwards."""

    name: str
    side: int
    tokens: int
    ratio: float
    precision: float
    chance: float

    @property
    def kept(self) -> float:
        """The share that is still read: precision beyond chance, 0 where that is less than NOISE."""
        beyond = (self.precision - self.chance) / (1 - self.chance)
        return round(beyond, 4) if beyond >= NOISE else 0.0


def measure(
    pages: Sequence[tuple[TypesetPage, int]], model: Nano, progress: Callable[[int], None] = lambda done: None
) -> list[Fidelity]:
    """The fidelity of `pages` (each with its text tokens) at every level, tokens stored as int8."""
    found = []
    for number, (name, side) in enumerate(LEVELS.items()):
        wrong = length = tokens = by_chance = longest = 0
        for page, _ in pages:
            text = page.text
            if side:
                (values,) = model.encode([faded(page, side)])
                read = model.read(replace(values, values=dequantise(quantise(values.values, "int8"))))
                tokens += len(values)
            else:
                read = ""
            distance, longer = errors(read, text)
            wrong, length = wrong + distance, length + longer
            distance, longer = errors(read, text[::-1])
            by_chance, longest = by_chance + distance, longest + longer
        cost = sum(count for _, count in pages)
        found.append(Fidelity(name, side, tokens, round(cost / tokens, 2) if tokens else 0.0,
                              round(1 - wrong / length, 4), round(1 - by_chance / longest, 4)))
        progress(number + 1)
    return found


def sample(archive: Archive, most: int = 4) -> list[tuple[TypesetPage, int]]:
    """Some full pages of the memory's own, evenly over it; InputError if there are none."""
    records = [r for r in archive.records() if r.undrawn == 0] or archive.records()
    full = [r for r in records if r.height == r.side] or records
    if not full:
        raise InputError(f"{archive.path}: holds no finished page yet")
    chosen = [full[i] for i in np.linspace(0, len(full) - 1, min(most, len(full))).round().astype(int)]
    pages = []
    for record in chosen:
        text = archive.text(record)
        setter = archive.manner.typesetter(text)
        if (setter.density.name, setter.mode.side) == (record.density, record.side):
            pages.append((next(set_pages(text, setter)).page, record.text_tokens))
    if not pages:
        raise InputError(f"{archive.path}: its pages are set otherwise than it sets now; nothing to measure")
    return pages


def plot(levels: Sequence[Fidelity], by: HalfLife | Steps | Pinned, side: int, out: Path) -> None:
    """PNG of precision and tokens of a page over its age by a schedule, from measured levels."""
    from matplotlib.figure import Figure

    ages = np.linspace(0, by.horizon(), 400)
    course = [levels[max(by.level(age), _first(side))] for age in ages]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.add_subplot()
    left.step(ages, [100 * level.kept for level in course], where="post", color="tab:blue")
    left.step(ages, [100 * level.precision for level in course], where="post", color="tab:blue", alpha=0.3)
    left.set(xlabel=f"age, {by.unit}", ylabel="what nano still reads, % (pale: with chance)", ylim=(0, 102))
    right = left.twinx()
    whole = max(level.tokens for level in levels) or 1
    right.step(ages, [100 * level.tokens / whole for level in course], where="post", color="tab:orange", linestyle="--")
    right.set(ylabel="vision tokens, % of those when new (dashed)", ylim=(0, 102))
    for name in dict.fromkeys(level.name for level in course):
        at = ages[[level.name for level in course].index(name)]
        left.annotate(name, (at, 96), rotation=90, fontsize=8, va="top", ha="right" if at else "left")
    left.grid(alpha=0.3)
    left.set_title(f"How a page fades: {by.kind}", fontsize=10)
    figure.savefig(out, format="png", dpi=120)


def _first(side: int) -> int:
    """The sharpest level that a page of `side` px has."""
    return next(i for i, of in enumerate(SIDES) if of <= side)
