"""memory show, fade, calibrate: what a history costs, how it fades, which print a model reads."""

from __future__ import annotations

import json as jsons
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from microfiche.cli.codec import JsonOption
from microfiche.cli.console import counted, err, fail, print_rows, progress, reported
from microfiche.cli.memory import (
    DEFAULT,
    BudgetOption,
    EndpointModelOption,
    EndpointOption,
    MemoryOption,
    ModelOption,
    app,
    opened_memory,
    server_at,
)
from microfiche.errors import InputError, UsageError, require
from microfiche.files import whole_file
from microfiche.sources import sources
from microfiche.typesetting.density import MODES

STRINGS, WANTED = 48, 0.9  #: as calibration.py and profiles.py have them, which are loaded only when needed

if TYPE_CHECKING:
    from microfiche.memory import Memory
    from microfiche.memory.economics import Overview, Way
    from microfiche.memory.fading import Faded, Schedule
    from microfiche.memory.profiles import Row


def show(
    memory: MemoryOption = DEFAULT,
    cost: Annotated[bool, typer.Option("--cost", help="Compare all ways to give a model this history.")] = False,
    budget: BudgetOption = 16_000,
    model: ModelOption = "",
    prices: Annotated[
        Path | None, typer.Option("--prices", help="Your own models and prices, a TOML file like memory/models.toml.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Shows what is remembered, at which sizes, and how much of a context's prefix stays from call to call."""
    from microfiche.memory import economics
    from microfiche.memory.models import hosted, models

    with reported(), opened_memory(memory) as opened:
        by = hosted(model, models(prices))
        if by.guess:
            err.print(f"{by.guess}; what it charges is not known", markup=False)
        if cost:
            ways = economics.ways(opened, budget, by)
            if json:
                print(jsons.dumps([asdict(way) for way in ways]))
            else:
                _print_ways(ways)
        else:
            overview = economics.overview(opened, budget, by)
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
            require("--plot", "plots", "matplotlib")
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
        Path, typer.Option("--text", help="A text that fills the probe pages, of the kind that you want to keep.")
    ],
    endpoint: EndpointOption = None,
    endpoint_model: EndpointModelOption = "default",
    wanted: Annotated[
        float, typer.Option("--wanted", min=0, max=1, help="The share of strings that must come back right, at 95 %.")
    ] = WANTED,
    densities: Annotated[list[str] | None, typer.Option("--density", help="Try only these densities.")] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", help="Try pages of these sizes instead of large ones.")
    ] = None,
    strings: Annotated[
        int, typer.Option("--strings", min=8, max=400, help="How many strings of each kind are asked for.")
    ] = STRINGS,
    memory: Annotated[
        Path | None, typer.Option("--memory", "-m", help="A memory that sets its pages by what is found from now on.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw what is read over text tokens per picture token: a PNG.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measures which print a model reads and which strings it reads exactly, and keeps that as the model's profile.

    Contexts and the proxy go by the newest profile of a model. Without --endpoint the model is nano.
    """
    from microfiche.memory import calibration
    from microfiche.memory.billing import Usage
    from microfiche.memory.models import hosted
    from microfiche.memory.profiles import Profile, Score, store_profile
    from microfiche.readers import load

    with reported():
        if plot:
            require("--plot", "plots", "matplotlib")
        if (most := Score(right=strings, asked=strings).lower) < wanted:
            raise UsageError(f"--strings {strings}: all right are at least {most:.2f} at 95 %, and {wanted:g} is wanted"
                             "; ask for more strings, or want less with --wanted")
        ask = (calibration.at_endpoint(server_at(endpoint), endpoint_model) if endpoint
               else calibration.by_nano(load()))
        model = hosted(endpoint_model if endpoint else "nano")
        words = "".join(chunk for source in sources([str(text)]) for chunk in source.chunks())
        tried, used = [], Usage()
        for row, usage in calibration.rows(
            ask, model, words, densities or calibration.DENSITIES, modes or ("large",), strings=strings
        ):
            tried.append(row)
            used += usage
            err.print(_row_line(row), markup=False)
        if plot:
            with whole_file(plot) as beside:
                calibration.plot_rows(tried, wanted, beside)
        if all(row.failed for row in tried):
            raise InputError(tried[0].failed)
        profile = Profile(model=model.name, measured=datetime.now(UTC).date(), rows=tuple(tried))
        path = store_profile(profile)
        best = profile.densest(wanted)
        if memory and best:
            with opened_memory(memory) as opened:
                mode = next(name for name, found in MODES.items() if found.side == best.side)
                opened.keep("manner", {"density": best.density, "mode": mode, "layout": opened.manner.layout})
        if json:
            print(jsons.dumps({"best": best and best.model_dump(), "profile": str(path),
                               "tried": [row.model_dump() for row in tried]}))
        if used.input:
            money = model.cost(used)
            err.print(f"{used.input:,} tokens of input, {used.output:,} of output: {money or 'no price is known'}",
                      markup=False)
        err.print(f"{path}: the profile of {model.name}", markup=False)
        if best is None:
            fail(f"no print is read well enough ({wanted:g} of prose at 95 %); everything stays text for this model", 1)
        else:
            trusted = ", ".join(sorted(best.trusted(wanted)))
            err.print(f"{best.density} at {best.side} px is the densest; alone on a picture may stand: {trusted}",
                      markup=False)


def _row_line(row: Row) -> str:
    """What was measured of a print, in a line: at least so much is right, at 95 %, by kind."""
    if row.failed:
        return f"{row.density:6} {row.side:5} px  {row.failed}"
    found = " ".join(f"{kind} {score.lower:.2f}" for kind, score in row.scores.items())
    charged = "" if row.charged is None else f" ({row.charged:,.0f} charged)"
    invented = f"{row.absent.asked - row.absent.right} of {row.absent.asked}"
    return (f"{row.density:6} {row.side:5} px {row.ratio:5.1f}x {row.tokens:,} tokens{charged}; "
            f"at least right: {found}; invented: {invented}")


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
    return (f"{counted(faded.smaller, 'page')} smaller, {faded.sharper} sharper, {faded.gone} gone: "
            f"{faded.tokens_before:,} → {faded.tokens_after:,} vision tokens; {where}")


def _print_ways(ways: Sequence[Way]) -> None:
    table = Table(box=None)
    dated = f", {ways[0].dated}" if ways[0].dated else ""
    for head in ("", "tokens", "cached", f"$ first call{dated}", f"$ next calls{dated}", "fidelity", ""):
        table.add_column(head, justify="left" if not head else "right")
    for way in ways:
        share = "" if way.fidelity is None else f"{way.fidelity:.3f}"
        first, again = ("" if dollars is None else f"{dollars:.4f}" for dollars in (way.first, way.next))
        table.add_row(way.name, f"{way.tokens:,}", f"{way.cached:,}", first, again, share, way.known)
    Console(highlight=False, width=140).print(table)


def _print_overview(overview: Overview) -> None:
    shown = asdict(overview)
    shown["sizes"] = ", ".join(f"{count} at {side} px" for side, count in overview.sizes.items())
    shown["stays"] = f"{overview.stays:.1%} of a context's prefix from call to call"
    shown["breaks"] = ", ".join(f"at page {at} from page {first}" for at, first in overview.breaks) or "none"
    print_rows({
        key.replace("_", " "): f"{value:,}" if isinstance(value, int) else str(value) for key, value in shown.items()
    })  # fmt: skip


for _command in (show, fade, calibrate):
    app.command()(_command)
