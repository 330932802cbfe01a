"""memory show, fade, calibrate: what a history costs, how it fades, which print a model reads."""

from __future__ import annotations

import dataclasses
import json as jsons
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.codec import JsonOption
from microfiche.cli.console import err, fail, progress, reported
from microfiche.cli.memory import (
    DEFAULT,
    BudgetOption,
    EndpointModelOption,
    EndpointOption,
    MemoryOption,
    ModelOption,
    opened_memory,
    server_at,
)
from microfiche.errors import InputError, UsageError
from microfiche.files import whole_file

if TYPE_CHECKING:
    from microfiche.memory.schedules import HalfLife, Pinned, Steps


def show(
    memory: MemoryOption = DEFAULT,
    cost: Annotated[bool, typer.Option("--cost", help="Every way to give a model this history, compared.")] = False,
    budget: BudgetOption = 16_000,
    billing: ModelOption = "openai-tiles",
    prices: Annotated[Path | None, typer.Option("--prices", help="TOML of prices, as in memory/prices.toml.")] = None,
    json: JsonOption = False,
) -> None:
    """What is remembered, at which size, and how much of a context's prefix stays from call to call."""
    from rich.console import Console
    from rich.table import Table

    from microfiche.memory import economics

    with reported(), opened_memory(memory) as opened:
        if cost:
            table_of = economics.prices(prices)
            if billing not in table_of:
                raise UsageError(f"no prices for {billing!r}; there are {', '.join(table_of)}")
            ways = economics.ways(opened, budget, billing, table_of[billing])
            if json:
                print(jsons.dumps([dataclasses.asdict(way) for way in ways]))
                return
            table = Table(box=None)
            for head in ("", "tokens", "cached", "$ first call", "$ next calls", "fidelity", ""):
                table.add_column(head, justify="left" if not head else "right")
            for way in ways:
                share = "" if way.fidelity is None else f"{way.fidelity:.3f}"
                table.add_row(way.name, f"{way.tokens:,}", f"{way.cached:,}", f"{way.first:.4f}", f"{way.next:.4f}",
                              share, way.known)
            Console(highlight=False, width=140).print(table)
            return
        shown = dataclasses.asdict(economics.overview(opened, budget, billing))
        if json:
            print(jsons.dumps(shown))
            return
        table = Table(show_header=False, box=None)
        shown["sizes"] = ", ".join(f"{count} at {side} px" for side, count in shown["sizes"].items())
        shown["stays"] = f"{shown['stays']:.1%} of a context's prefix from call to call"
        shown["breaks"] = ", ".join(f"at page {at} from page {first}" for at, first in shown["breaks"]) or "none"
        for key, value in shown.items():
            table.add_row(key.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
        Console(highlight=False).print(table)


def fade(
    memory: MemoryOption = DEFAULT,
    half_life: Annotated[float | None, typer.Option("--half-life", help="Age at which half of it is left.")] = None,
    unit: Annotated[str, typer.Option("--unit", help="Of ages: pages, turns, seconds, hours, days.")] = "pages",
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="half-life, steps, pinned, or a TOML file; it is kept.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="PNG: precision and tokens over age, measured.")] = None,
    json: JsonOption = False,
) -> None:
    """Gives every page the size due to its age, and says where that breaks a cached prefix; --plot only draws."""
    from microfiche.memory import forgetting
    from microfiche.memory.context import schedule_of

    with reported(), opened_memory(memory, read_only=plot is not None) as opened:
        given = _schedule(half_life, unit, schedule)
        by = given or schedule_of(opened)
        if plot:
            with progress("levels", 6) as done:
                levels = forgetting.measure(forgetting.sample(opened), opened.model, done)
            with whole_file(plot) as beside:
                forgetting.plot(levels, by, opened.records()[0].side, beside)
            for level in levels:
                err.print(f"{level.name:9} {level.side:5} px {level.tokens:6,} tokens {level.ratio:6.1f}x precision "
                          f"{level.precision:.4f} by chance {level.chance:.4f} kept {level.kept:.4f}", markup=False)
            if json:
                print(jsons.dumps([dataclasses.asdict(level) for level in levels]))
            return
        if given:
            opened.keep("schedule", given.model_dump())
        result = opened.fade(by)
        if json:
            print(jsons.dumps(dataclasses.asdict(result)))
            return
        where = "a cached prefix holds" if result.first is None else (
            f"a cached prefix breaks at page {result.first}, behind {result.tokens_kept:,} tokens")
        err.print(f"{result.smaller} pages smaller, {result.sharper} sharper, {result.gone} gone: "
                  f"{result.tokens_before:,} → {result.tokens_after:,} vision tokens; {where}", markup=False)


def calibrate(
    text: Annotated[Path, typer.Option("--text", help="Text for the probe pages, as what you will keep.")],
    memory: MemoryOption = DEFAULT,
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = "default",
    billing: ModelOption = "openai-tiles",
    wanted: Annotated[float, typer.Option("--wanted", min=0, max=1, help="Precision, random strings too.")] = 0.97,
    densities: Annotated[list[str] | None, typer.Option("--density", help="Only these.")] = None,
    modes: Annotated[list[str] | None, typer.Option("--mode", help="Only these.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="PNG: precision over ratio.")] = None,
    json: JsonOption = False,
) -> None:
    """Finds the densest print that a model reads (nano, without --endpoint); the memory sets its pages so from now."""
    from microfiche.memory import Memory, calibrating
    from microfiche.sources import sources
    from microfiche.typesetting.density import MODES

    with reported(), Memory(memory) as opened:
        read = (calibrating.at_endpoint(server_at(endpoint), endpoint_model) if endpoint
                else calibrating.by_nano(opened.model))
        words = "".join(chunk for source in sources([str(text)]) for chunk in source.chunks())
        tried = []
        at, on = densities or calibrating.DENSITIES, modes or tuple(MODES)
        for probe in calibrating.probes(read, words, billing, at, on):
            tried.append(probe)
            err.print(f"{probe.mode:6} {probe.density:6} {probe.ratio:6.1f}x precision {probe.language:.4f}, "
                      f"random strings {probe.random:.4f} {probe.failed}", markup=False)
        if plot:
            with whole_file(plot) as beside:
                calibrating.plot(tried, wanted, beside)
        if all(probe.failed for probe in tried):
            raise InputError(tried[0].failed)
        best = calibrating.densest(tried, wanted)
        rows = [dataclasses.asdict(probe) for probe in tried]
        opened.keep(f"calibration {endpoint_model if endpoint else 'nano'}", rows)
        if json:
            print(jsons.dumps({"best": best and dataclasses.asdict(best), "tried": rows}))
        if best is None:
            fail(f"none reaches {wanted:g}; the memory stays as it is", 1)
            return
        opened.keep("manner", {"density": best.density, "mode": best.mode, "layout": opened.manner.layout})
        err.print(f"{memory}: pages are set at {best.density}, {best.mode}, from now on", markup=False)


def _schedule(half_life: float | None, unit: str, named: str | None) -> HalfLife | Steps | Pinned | None:
    from microfiche.memory.schedules import SCHEDULES, schedule

    if half_life is not None:
        return schedule({"kind": "half-life", "half_life": half_life, "unit": unit})
    if named is None or named in SCHEDULES:
        return SCHEDULES[named] if named else None
    try:
        return schedule(tomllib.loads(Path(named).read_text("utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{named}: not a schedule ({error}); there are {', '.join(SCHEDULES)}") from error
