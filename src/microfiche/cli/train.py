"""train codec, train lines, train index."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from microfiche.cli.console import err, fail, interrupts, reported
from microfiche.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Train a model from text.")


TextOption = Annotated[Path, typer.Option("--text", help="Folder of UTF-8 text (.txt, .txt.xz, .md, .py).")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the training; one that stands there is resumed.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]


@app.command()
def codec(
    text: TextOption,
    out: OutOption,
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe that ships, or a TOML file.")] = "nano-codec",
    device: DeviceOption = "cpu",
) -> None:
    """Trains nano's encoder and readout; Ctrl-C stops it and the same command goes on."""
    from microfiche.training.codec import train

    _train(train, recipe, text, out, device)


@app.command()
def lines(
    text: TextOption,
    out: OutOption,
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe that ships, or a TOML file.")] = "nano-lines",
    device: DeviceOption = "cpu",
) -> None:
    """Trains nano's line decoder on the tokens of a finished encoder; Ctrl-C stops it and the same command goes on."""
    from microfiche.training.lines import train

    _train(train, recipe, text, out, device)


@app.command()
def index(
    text: TextOption,
    out: OutOption,
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe that ships, or a TOML file.")] = "nano-index",
    device: DeviceOption = "cpu",
) -> None:
    """Trains the memory's indexer on the tokens of a finished encoder; Ctrl-C stops it and the same command goes on."""
    from microfiche.training.index import train

    _train(train, recipe, text, out, device)


def _train(train: Callable[..., int], recipe: str, text: Path, out: Path, device: str) -> None:
    from microfiche.evaluation.figures import curve
    from microfiche.training import parallel
    from microfiche.training.loop import recipe_file

    def progress(line: dict[str, Any]) -> None:
        left = line["seconds_left"]
        held = " ".join(f"{name} {score:.4f}" for name, score in line.get("held_out", {}).items())
        err.print(
            f"step {line['step']} loss {line['loss']:.4f} right {line['right']:.4f} "
            f"{line['tokens_per_second']:.0f} tokens/s "
            f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left {held}",
            markup=False,
        )
        if held:
            with contextlib.suppress(OSError):
                curve(out / "log.jsonl", out / "curve.png")

    with reported():
        if not text.is_dir():
            raise UsageError(f"{text}: not a folder of text")
        with parallel.processes(device) as mine, interrupts() as interrupted:
            first = parallel.rank() == 0
            step = train(recipe_file(recipe), text, out, mine, progress, lambda step: interrupted())
        if interrupted():
            fail(f"stopped after step {step}; the same command goes on from there", 130)
        if first:
            err.print(f"{out / 'model.safetensors'} is done", markup=False)
