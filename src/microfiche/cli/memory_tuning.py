"""memory show, fade, calibrate: what a history costs, how it fades, which print a model reads."""

from __future__ import annotations

import json as jsons
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from microfiche.cli.codec import JsonOption
from microfiche.cli.console import err, fail, progress, reported
from microfiche.cli.memory import (
    DEFAULT,
    BudgetOption,
    EndpointModelOption,
    EndpointOption,
    MemoryOption,
    ProviderOption,
    opened_memory,
    server_at,
)
from microfiche.errors import InputError, UsageError
from microfiche.files import whole_file
from microfiche.sources import sources
from microfiche.typesetting.density import MODES

if TYPE_CHECKING:
    from microfiche.memory import Memory
    from microfiche.memory.economics import Overview, Way
    from microfiche.memory.fading import Faded, Schedule


def show(
    memory: MemoryOption = DEFAULT,
    cost: Annotated[bool, typer.Option("--cost", help="Compare all ways to give a model this history.")] = False,
    budget: BudgetOption = 16_000,
    provider: ProviderOption = "openai-tiles",
    prices: Annotated[
        Path | None, typer.Option("--prices", help="Your own prices, a TOML file like memory/prices.toml.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Shows what is remembered, at which sizes, and how much of a context's prefix stays from call to call."""
    from microfiche.memory import economics

    with reported(), opened_memory(memory) as opened:
        if cost:
            table = economics.prices(prices)
            if provider not in table:
                raise UsageError(f"no prices for {provider!r}; there are {', '.join(table)}")
            ways = economics.ways(opened, budget, provider, table[provider])
            if json:
                print(jsons.dumps([asdict(way) for way in ways]))
            else:
                _print_ways(ways)
        else:
            overview = economics.overview(opened, budget, provider)
            if json:
                print(jsons.dumps(asdict(overview)))
            else:
                _print_overview(overview)


def fade(
    memory: MemoryOption = DEFAULT,
    half_life: Annotated[
        float | None, typer.Option("--half-life", help="The age at which half of a page's strength is left.")
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", help="In what --half-life counts: pages, turns, seconds, hours, days.")
    ] = "pages",
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="half-life, steps, pinned, or a TOML file with a schedule.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Only measure and draw what is read of a page as it ages: a PNG.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Gives every page the size that is due to its age, and says where that breaks a cached prefix.

    A schedule that is given is kept for the next time. With --plot nothing fades and nothing is kept.
    """
    from microfiche.memory.fading import schedule_of

    with reported(), opened_memory(memory) as opened:
        given = _schedule(half_life, unit, schedule)
        if plot:
            _draw(opened, given or schedule_of(opened), plot, json)
            return
        if given:
            opened.keep("schedule", given.model_dump())
        faded = opened.fade(given)
        if json:
            print(jsons.dumps(asdict(faded)))
        else:
            err.print(_summary(faded), markup=False)


def calibrate(
    text: Annotated[
        Path, typer.Option("--text", help="A text for the probe pages, of the kind that you want to keep.")
    ],
    memory: MemoryOption = DEFAULT,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = "default",
    provider: ProviderOption = "openai-tiles",
    wanted: Annotated[
        float, typer.Option("--wanted", min=0, max=1, help="The precision to reach, on random strings too.")
    ] = 0.97,
    densities: Annotated[list[str] | None, typer.Option("--density", help="Try only these densities.")] = None,
    modes: Annotated[list[str] | None, typer.Option("--mode", help="Try only pages of these sizes.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw precision over text tokens per picture token: a PNG.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Finds the densest print that a model reads, and has the memory set its pages so from now on.

    Without --endpoint the model is nano.
    """
    from microfiche.memory import Memory, legibility

    with reported(), Memory(memory) as opened:
        read = (legibility.at_endpoint(server_at(endpoint), endpoint_model) if endpoint
                else legibility.by_nano(opened.model))
        words = "".join(chunk for source in sources([str(text)]) for chunk in source.chunks())
        tried = []
        for probe in legibility.probes(
            read, words, provider, densities or legibility.DENSITIES, modes or tuple(MODES)
        ):
            tried.append(probe)
            err.print(f"{probe.mode:6} {probe.density:6} {probe.ratio:6.1f}x precision {probe.language:.4f}, "
                      f"random strings {probe.random:.4f} {probe.failed}", markup=False)
        if plot:
            with whole_file(plot) as beside:
                legibility.plot_probes(tried, wanted, beside)
        if all(probe.failed for probe in tried):
            raise InputError(tried[0].failed)
        best = legibility.calibrate(opened, tried, wanted, endpoint_model if endpoint else "nano")
        if json:
            print(jsons.dumps({"best": best and asdict(best), "tried": [asdict(probe) for probe in tried]}))
        if best is None:
            fail(f"no setting reaches a precision of {wanted:g}; the memory stays as it is", 1)
        else:
            err.print(f"{memory}: pages are set at {best.density}, {best.mode}, from now on", markup=False)


def _schedule(half_life: float | None, unit: str, name: str | None) -> Schedule | None:
    """The schedule that options describe, if any."""
    from microfiche.memory.fading import named_schedule, schedule

    if half_life is not None:
        return schedule({"kind": "half-life", "half_life": half_life, "unit": unit})
    return None if name is None else named_schedule(name)


def _draw(memory: Memory, by: Schedule, plot: Path, json: bool) -> None:
    """Measures what nano reads at every level, says it, and draws it over a page's age."""
    from microfiche.memory import legibility

    with progress("levels", 6) as done:
        levels = legibility.measure_levels(legibility.sample(memory), memory.model, done)
    with whole_file(plot) as beside:
        legibility.plot_levels(levels, by, memory.records()[0].side, beside)
    for level in levels:
        err.print(f"{level.name:9} {level.side:5} px {level.tokens:6,} tokens {level.ratio:6.1f}x precision "
                  f"{level.precision:.4f} by chance {level.chance:.4f} kept {level.kept:.4f}", markup=False)
    if json:
        print(jsons.dumps([asdict(level) for level in levels]))


def _summary(faded: Faded) -> str:
    where = "a cached prefix holds" if faded.first is None else (
        f"a cached prefix breaks at page {faded.first}, after {faded.tokens_kept:,} tokens")
    return (f"{faded.smaller} pages smaller, {faded.sharper} sharper, {faded.gone} gone: "
            f"{faded.tokens_before:,} → {faded.tokens_after:,} vision tokens; {where}")


def _print_ways(ways: Sequence[Way]) -> None:
    table = Table(box=None)
    for head in ("", "tokens", "cached", "$ first call", "$ next calls", "fidelity", ""):
        table.add_column(head, justify="left" if not head else "right")
    for way in ways:
        share = "" if way.fidelity is None else f"{way.fidelity:.3f}"
        table.add_row(way.name, f"{way.tokens:,}", f"{way.cached:,}", f"{way.first:.4f}", f"{way.next:.4f}",
                      share, way.known)
    Console(highlight=False, width=140).print(table)


def _print_overview(overview: Overview) -> None:
    shown = asdict(overview)
    shown["sizes"] = ", ".join(f"{count} at {side} px" for side, count in overview.sizes.items())
    shown["stays"] = f"{overview.stays:.1%} of a context's prefix from call to call"
    shown["breaks"] = ", ".join(f"at page {at} from page {first}" for at, first in overview.breaks) or "none"
    table = Table(show_header=False, box=None)
    for key, value in shown.items():
        table.add_row(key.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    Console(highlight=False).print(table)
