"""pixel fill: what PIXEL paints where a text is masked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microfiche.cli.console import err, reported
from microfiche.errors import UsageError
from microfiche.files import whole_file

app = typer.Typer(no_args_is_help=True, help="PIXEL: a language model that reads pictures of text.")

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", help="pixel-small, or a file or folder of weights (.safetensors).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]


@app.callback()
def pixel() -> None:
    """PIXEL: a language model that reads pictures of text."""


@app.command()
def fill(
    text: Annotated[str, typer.Argument(help="What is written on the strip.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG: input, masked and painted strip.")],
    page: Annotated[Path | None, typer.Option("--html", help="The same as a web page in one file.")] = None,
    ratio: Annotated[float, typer.Option("--ratio", help="Share of the patches that are masked.")] = 0.25,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed masks other patches.")] = 0,
    checkpoint: CheckpointOption = "pixel-small",
    device: DeviceOption = "cpu",
) -> None:
    """Masks spans of a rendered text and paints them back from what is left."""
    with reported():
        if not 0 < ratio < 1:
            raise UsageError(f"--ratio {ratio:g}: give a share between 0 and 1")
        from microfiche.checkpoints import pixel as checkpoints
        from microfiche.pixel import painting
        from microfiche.typesetting.strip import StripRenderer

        model = checkpoints.load(checkpoint, device)
        strip = StripRenderer(colour=model.config.channels == 3).line(text)
        filled = painting.fill(model, strip, seed, ratio)
        with whole_file(output) as beside:
            painting.picture(filled).save(beside, "PNG")
        if page:
            with whole_file(page) as beside:
                beside.write_text(painting.page(filled, text, checkpoint), encoding="utf-8")
        cut = "" if strip.whole else "; the text is longer than the strip and was cut"
        painted = f"{int(filled.masked.sum())} of {len(filled.masked)} patches painted"
        err.print(f"{output}: {painted}, error {filled.loss:.3f}{cut}", markup=False)
