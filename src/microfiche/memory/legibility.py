"""What nano still reads of a memory's own pages at every level to which they fade: the forgetting curve.

What other models read is measured in calibration.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from microfiche.errors import InputError, require
from microfiche.memory.archive import Archive
from microfiche.memory.fading import LEVELS, SIDES, Schedule
from microfiche.memory.paper import faded
from microfiche.memory.records import drawn
from microfiche.nano.cells import Nano
from microfiche.page import TypesetPage, dequantise, quantise
from microfiche.precision import errors

NOISE = 0.01  #: how far precision may differ from chance on a page or two without anything being read


@dataclass(frozen=True)
class Fidelity:
    """What nano reads at the level `name` of `side` px: how many vision tokens the measured pages have, the `ratio` of
    text tokens to those, and the strict precision of the reading.

    `chance` is the precision of the same reading against the text backwards, which is what is right without reading.
    """

    name: str
    side: int
    tokens: int
    ratio: float
    precision: float
    chance: float

    @property
    def kept(self) -> float:
        """The share of a text that is still read, which is precision beyond chance; 0 where that is below NOISE."""
        beyond = (self.precision - self.chance) / (1 - self.chance)
        return round(beyond, 4) if beyond >= NOISE else 0.0


def measure_levels(
    pages: Sequence[tuple[TypesetPage, int]], model: Nano, progress: Callable[[int], None] = lambda done: None
) -> list[Fidelity]:
    """What `model` reads of `pages`, each with its text tokens, at every level, from tokens stored as int8.

    `progress` is called with how many levels are done.
    """
    found = []
    for number, (name, side) in enumerate(LEVELS.items()):
        wrong = length = tokens = by_chance = longest = 0
        for page, _ in pages:
            text = page.text
            if side:
                (values,) = model.encode([faded(page, side)])
                setting = values.setting and replace(values.setting, kept=())
                stored = replace(values, values=dequantise(quantise(values.values, "int8")), setting=setting)
                read = model.read([stored])[0].text
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
    """At most `most` full pages of the memory, spread evenly over it, each with its text tokens.

    InputError if it holds none.
    """
    records = [r for r in archive.records() if r.undrawn == 0] or archive.records()
    full = [r for r in records if r.height == r.side] or records
    if not full:
        raise InputError(f"{archive.path}: holds no finished page yet; add a longer text")
    chosen = [full[i] for i in np.linspace(0, len(full) - 1, min(most, len(full))).round().astype(int)]
    pages = []
    for record in chosen:
        pages.append((drawn(archive.text(record), record), archive.text_tokens(record)))
    return pages


def plot_levels(levels: Sequence[Fidelity], by: Schedule, side: int, out: Path) -> None:
    """Draws, as PNG, what is still read of a page of `side` px over its age by a schedule, and its tokens."""
    require("a plot", "plots", "matplotlib")
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
    """The sharpest level of a page of `side` px."""
    return next(i for i, of in enumerate(SIDES) if of <= side)
