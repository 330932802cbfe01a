"""What can still be read of pages: by nano, of a memory's own pages at every level to which they fade; by any model, of
probe pages of language and of random strings, from which follows the densest print above a wanted precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from microfiche.endpoint import Endpoint, image_part
from microfiche.errors import InputError, UsageError
from microfiche.memory import billing
from microfiche.memory.archive import Archive
from microfiche.memory.fading import LEVELS, SIDES, Schedule
from microfiche.memory.paper import faded, png, set_pages
from microfiche.nano.cells import Nano
from microfiche.page import Layout, Page, TypesetPage, dequantise, quantise
from microfiche.precision import errors, precision, random_twin, text_tokens
from microfiche.typesetting import Typesetter, density, unreadable
from microfiche.typesetting.density import MODES, mode

NOISE = 0.01  #: how far precision may differ from chance on a page or two without anything being read
PROMPT = (
    "Write out the text on this page exactly, character by character, from the first line to the last, as one line and "
    "nothing else."
)
DENSITIES = ("4x6", "5x8", "6x10", "6x12", "7x13")  #: the densities that are probed
SHORTEST = 500  #: characters that the text for the probes must have
_Read = Callable[[Page], str]


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


@dataclass(frozen=True)
class Probe:
    """A setting that was tried: the precision on `language` and on `random` strings, the `tokens` that a page costs,
    and the `ratio` of the text tokens on it to those. `failed` says why the model could not be asked."""

    density: str
    mode: str
    language: float
    random: float
    tokens: int
    ratio: float
    failed: str = ""

    @property
    def precision(self) -> float:
        """The precision that can be relied on, the lower of the two."""
        return min(self.language, self.random)


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
                stored = replace(values, values=dequantise(quantise(values.values, "int8")))
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

    InputError if it holds none, or none that is set as the memory sets pages now.
    """
    records = [r for r in archive.records() if r.undrawn == 0] or archive.records()
    full = [r for r in records if r.height == r.side] or records
    if not full:
        raise InputError(f"{archive.path}: holds no finished page yet; add a longer text")
    chosen = [full[i] for i in np.linspace(0, len(full) - 1, min(most, len(full))).round().astype(int)]
    pages = []
    for record in chosen:
        text = archive.text(record)
        setter = archive.manner.typesetter(text)
        if (setter.density.name, setter.mode.side) == (record.density, record.side):
            pages.append((next(set_pages(text, setter)).page, record.text_tokens))
    if not pages:
        raise InputError(f"{archive.path}: its pages were set otherwise than it sets them now, so none can be measured")
    return pages


def plot_levels(levels: Sequence[Fidelity], by: Schedule, side: int, out: Path) -> None:
    """Draws, as PNG, what is still read of a page of `side` px over its age by a schedule, and its tokens."""
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


def at_endpoint(server: Endpoint, model: str) -> _Read:
    """A function that has `model` at `server` read a page."""

    def read(page: Page) -> str:
        content = [image_part(png(page.image)), {"type": "text", "text": PROMPT}]
        body = {"model": model, "temperature": 0, "max_tokens": 16384,
                "messages": [{"role": "user", "content": content}]}
        return server.chat(body)[0].strip("\n")

    return read


def by_nano(model: Nano) -> _Read:
    """A function that has nano read a page."""
    return lambda page: model.read(model.encode([page]))[0].text


def probes(
    read: _Read, text: str, provider: str, densities: Sequence[str] = DENSITIES, modes: Sequence[str] = tuple(MODES),
    layout: Layout = "dense",
) -> Iterator[Probe]:
    """Tries every density on a page of every mode, with as much of `text` as fits, costs being those of a `provider`.

    UsageError if the text has fewer than SHORTEST characters or a density cannot draw it.
    """
    if len(text) < SHORTEST:
        raise UsageError(f"the text for the probes has {len(text)} characters; give one of {SHORTEST} or more")
    by = billing.provider(provider)
    for mode_name in modes:
        for name in densities:
            setter = Typesetter(density.density(name), mode(mode_name), layout)
            missing, _ = unreadable([text], setter.density)
            if missing:
                raise UsageError(f"the text for the probes holds {next(iter(missing))!r}, which {name} cannot draw")
            page = next(setter.pages([text]))
            random = next(setter.pages([random_twin(page.text)]))
            cost = by.cost(*page.image.shape[::-1]).tokens
            try:
                found = [precision(read(p), p.text) for p in (page, random)]
                failed = ""
            except InputError as error:
                found, failed = [0.0, 0.0], str(error)
            yield Probe(name, mode_name, round(found[0], 4), round(found[1], 4), cost,
                        round(text_tokens(page.text) / cost, 2), failed)


def calibrate(archive: Archive, tried: Sequence[Probe], wanted: float, reader: str) -> Probe | None:
    """Keeps what was `tried` with the `reader` of that name, and has the memory set its pages from now on by the
    densest setting with the precision `wanted`.

    Returns that setting, or None where none has that precision and the memory goes on as before.
    """
    best = densest(tried, wanted)
    archive.keep(f"calibration {reader}", [asdict(probe) for probe in tried])
    if best is not None:
        archive.keep("manner", {"density": best.density, "mode": best.mode, "layout": archive.manner.layout})
    return best


def densest(tried: Sequence[Probe], wanted: float) -> Probe | None:
    """Of the settings with at least the precision `wanted`, the one with the highest ratio; None if there is none."""
    return max((p for p in tried if p.precision >= wanted and not p.failed), key=lambda p: p.ratio, default=None)


def plot_probes(tried: Sequence[Probe], wanted: float, out: Path) -> None:
    """Draws, as PNG, precision over the ratio of text tokens to the picture's tokens."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for mode_name in dict.fromkeys(p.mode for p in tried):
        mine = sorted((p for p in tried if p.mode == mode_name), key=lambda p: p.ratio)
        x = [p.ratio for p in mine]
        (line,) = axes.plot(x, [100 * p.language for p in mine], marker="o", label=f"{mode_name}, language")
        axes.plot(x, [100 * p.random for p in mine], ":", marker="x", color=line.get_color(), label="random strings")
        for p in mine:
            axes.annotate(p.density, (p.ratio, 100 * p.language), textcoords="offset points", xytext=(3, 4), fontsize=7)
    axes.axhline(100 * wanted, color="grey", linewidth=0.8)
    axes.set(xlabel="text tokens for each token of the picture", ylabel="precision, %", ylim=(0, 102))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.savefig(out, format="png", dpi=120)
