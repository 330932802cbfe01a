"""bench codec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.codec import CheckpointOption, JsonOption, readable
from microfiche.cli.console import err, reported
from microfiche.errors import CheckpointError
from microfiche.sources import sources
from microfiche.typesetting.density import density

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano
    from microfiche.nano.lines import LineDecoder

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")


@app.callback()
def _bench() -> None:
    pass


@app.command()
def codec(
    file: Annotated[str, typer.Argument(help="Text for the pages; two pages or more.")],
    rivals: Annotated[int, typer.Option("--rivals", help="Pages for Tesseract and RapidOCR; 0 leaves them out.")] = 2,
    checkpoint: CheckpointOption = "nano",
    decoder: Annotated[
        Path | None, typer.Option("--decoder", help="Weights of the line decoder (default: those that ship).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Pages a second of typesetting, encoder, readout and line decoder, beside Tesseract 5 and RapidOCR if they are
    installed."""
    from rich.console import Console
    from rich.table import Table

    from microfiche.evaluation.bench import bench
    from microfiche.readers import load

    with reported():
        text = "".join(c for s in sources([file]) for c in readable(s, density("7x13"), "?"))
        model = load(checkpoint)
        result = bench(text, model, rivals, line_decoder(model, decoder))
        if json:
            print(result.model_dump_json())
            return
        table = Table(show_header=False, box=None)
        table.add_row("typesetting, one page at a time", f"{result.typeset_one:,.0f} pages/s")
        table.add_row("typesetting, batched NumPy", f"{result.typeset_numpy:,.0f} pages/s")
        table.add_row("typesetting, batched torch", f"{result.typeset_torch:,.0f} pages/s")
        table.add_row("encoder", f"{result.encode:.1f} pages/s")
        table.add_row("readout", f"{result.read:.1f} pages/s")
        table.add_row("encoder and readout", f"{result.pages_per_day:,} pages a day")
        table.add_row(
            "encoder's arithmetic",
            f"{result.encoder_gflops:.0f} of {result.machine_gflops:.0f} GFLOP/s ({result.share:.0%})",
        )
        if spec := result.speculative:
            table.add_row("line decoder checking the readout", f"{spec.read:.1f} pages/s")
            table.add_row("encoder and line decoder", f"{spec.pages_per_day:,} pages a day")
            table.add_row("its draft accepted", f"{spec.accepted:.2%} of cells, {spec.passes:.1f} passes a page")
            table.add_row(
                "against greedy decoding",
                f"{spec.times_faster:.1f} times as fast, {spec.as_greedy:.2%} of cells the same",
            )
        for reader in result.readers:
            table.add_row(reader.name, f"{reader.seconds_per_page:.3f} s a page, error {reader.error:.4f}")
        if result.times_faster:
            table.add_row("nano against the fastest of the others", f"{result.times_faster:.0f} times as fast")
        Console(highlight=False).print(table)


def line_decoder(model: Nano, file: Path | None) -> LineDecoder | None:
    """The line decoder for `model` in `file`, or without one that which ships; None, and a word on stderr, where none
    does."""
    from microfiche.nano.lines_checkpoint import load

    if file is not None:
        return load(model, file)
    try:
        return load(model)
    except CheckpointError as error:
        err.print(f"speculative reading is left out: {error}; --decoder FILE names another", markup=False)
        return None
