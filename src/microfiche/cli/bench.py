"""bench codec."""

from __future__ import annotations

from typing import Annotated

import typer

from microfiche.cli.codec import CheckpointOption, JsonOption, readable
from microfiche.cli.console import reported
from microfiche.sources import sources
from microfiche.typesetting.density import density

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")


@app.callback()
def _bench() -> None:
    pass


@app.command()
def codec(
    file: Annotated[str, typer.Argument(help="Text for the pages; two pages or more.")],
    rivals: Annotated[int, typer.Option("--rivals", help="Pages for Tesseract and RapidOCR; 0 leaves them out.")] = 2,
    checkpoint: CheckpointOption = "nano",
    json: JsonOption = False,
) -> None:
    """Pages a second of typesetting, encoder and readout, beside Tesseract 5 and RapidOCR if they are installed."""
    from rich.console import Console
    from rich.table import Table

    from microfiche.checkpoints import load
    from microfiche.evaluation.bench import bench

    with reported():
        text = "".join(c for s in sources([file]) for c in readable(s, density("7x13"), "?"))
        result = bench(text, load(checkpoint), rivals)
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
        for reader in result.readers:
            table.add_row(reader.name, f"{reader.seconds_per_page:.3f} s a page, error {reader.error:.4f}")
        if result.times_faster:
            table.add_row("nano against the fastest of the others", f"{result.times_faster:.0f} times as fast")
        Console(highlight=False).print(table)
