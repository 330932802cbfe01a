"""Which print a model can read: probe pages of language and of random strings, at several densities and sizes, sent to
any OpenAI-compatible model or read by nano; the densest setting above a wanted precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from microfiche.endpoint import Endpoint, image_part
from microfiche.errors import InputError, UsageError
from microfiche.memory.billing import provider
from microfiche.memory.paper import png
from microfiche.nano.cells import Nano
from microfiche.page import Layout, Page
from microfiche.precision import precision, random_twin, text_tokens
from microfiche.typesetting import Typesetter, density, unreadable
from microfiche.typesetting.density import MODES, mode

PROMPT = (
    "Write out the text on this page exactly, character by character, from the first line to the last, as one line and "
    "nothing else."
)
DENSITIES = ("4x6", "5x8", "6x10", "6x12", "7x13")
SHORTEST = 500
_Read = Callable[[Page], str]


@dataclass(frozen=True)
class Probe:
    """A setting tried: precision on language and on random strings (the lower counts), how many tokens a page costs
    there and how many text tokens stand on it for each; `failed` says why it could not be asked."""

    density: str
    mode: str
    language: float
    random: float
    tokens: int
    ratio: float
    failed: str = ""

    @property
    def precision(self) -> float:
        """What can be relied on."""
        return min(self.language, self.random)


def at_endpoint(server: Endpoint, model_name: str) -> _Read:
    """A reader: the model at `server`."""

    def read(page: Page) -> str:
        content = [image_part(png(page.image)), {"type": "text", "text": PROMPT}]
        body = {"model": model_name, "temperature": 0, "max_tokens": 16384,
                "messages": [{"role": "user", "content": content}]}
        return server.chat(body)[0].strip("\n")

    return read


def by_nano(model: Nano) -> _Read:
    """A reader: nano."""
    return lambda page: model.read(model.encode([page]))


def probes(
    read: _Read, text: str, billing: str, densities: Sequence[str] = DENSITIES, modes: Sequence[str] = tuple(MODES),
    layout: Layout = "dense",
) -> Iterator[Probe]:
    """Every density on a page of each mode, as much of `text` as fits, measured; UsageError if the text is shorter than
    SHORTEST or cannot be drawn."""
    if len(text) < SHORTEST:
        raise UsageError(f"the text for the probes is {len(text)} characters; give one of {SHORTEST} or more")
    by = provider(billing)
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
                found = [precision(read(p), p.text or "") for p in (page, random)]
                failed = ""
            except InputError as error:
                found, failed = [0.0, 0.0], str(error)
            yield Probe(name, mode_name, round(found[0], 4), round(found[1], 4), cost,
                        round(text_tokens(page.text) / cost, 2), failed)


def densest(tried: Sequence[Probe], wanted: float) -> Probe | None:
    """The setting that holds the most text for a token of those at or above `wanted`; None if none is."""
    return max((p for p in tried if p.precision >= wanted and not p.failed), key=lambda p: p.ratio, default=None)


def plot(tried: Sequence[Probe], wanted: float, out: Path) -> None:
    """PNG of precision over ratio."""
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
