"""train codec, lines, together, reader, print, index, pixel, deepseek-ocr, data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from microfiche.cli.console import err, fail, interrupts, reported, step_told
from microfiche.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Train a model.")


TextOption = Annotated[Path, typer.Option("--text", help="Folder of UTF-8 text (.txt, .txt.xz, .md, .py).")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the training; one that stands there is resumed.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help="A recipe that ships, or a TOML file.")]
STOPS = "Ctrl-C stops it and the same command goes on."
#: Commands whose stage is the module of the same name: the recipe that ships, and what the help says.
STAGES = {
    "codec": ("nano-codec", "Trains nano's encoder and readout"),
    "lines": ("nano-lines", "Trains nano's line decoder on the tokens of a finished encoder"),
    "together": ("nano-together", "Trains encoder, readout and line decoder together at a low rate, and writes "
                 "model.safetensors and lines.safetensors"),
    "reader": ("nano-reader", "Trains the prompted reader on the tokens of a finished encoder"),
    "index": ("nano-index", "Trains the memory's indexer on the tokens of a finished encoder"),
    "pixel": ("pixel-small", "Pretrains PIXEL on strips of text, of which masked patches are painted back; `right` is "
              "the share of these that are painted closer than grey"),
}  # fmt: skip
AXES = {"pixel": ("of a masked patch's normalised pixels, squared", "the same on held-out text")}  #: of the curve


def _command(stage: str, usual: str) -> Callable[..., None]:
    def command(
        text: TextOption, out: OutOption, recipe: RecipeOption = usual, device: DeviceOption = "cpu"
    ) -> None:
        train = import_module(f"microfiche.training.{stage}").train
        _folder(text, "text")
        _train(train, recipe, text, out, device, "model.safetensors", *AXES.get(stage, ()))

    return command


for _stage, (_usual, _help) in STAGES.items():
    app.command(_stage, help=f"{_help}.\n\n{STOPS}")(_command(_stage, _usual))


@app.command("print")
def print_(
    text: TextOption,
    out: OutOption,
    pdf: Annotated[
        Path | None,
        typer.Option("--pdf", help="Folder of PDFs that tools/extract_pages.py has read: half of the pages."),
    ] = None,
    recipe: RecipeOption = "nano-print",
    device: DeviceOption = "cpu",
) -> None:
    """Trains nano for printed pages; Ctrl-C stops it and the same command goes on."""
    from microfiche.training.print import train

    _folder(text, "text")
    if pdf:
        _folder(pdf, "PDFs")
    _train(partial(train, pdfs=pdf), recipe, text, out, device, "model.safetensors")


@app.command()
def data(
    text: TextOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pages and examples.jsonl.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many examples.")] = 8,
    first: Annotated[int, typer.Option("--first", min=0, help="The number of the first one.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed is another stream.")] = 0,
    side: Annotated[int, typer.Option("--side", help="Sides of the square pages, a multiple of 64.")] = 640,
    held_out: Annotated[bool, typer.Option("--held-out", help="Documents and typefaces of validation.")] = False,
    font: Annotated[list[str] | None, typer.Option("--font", help="Only this typeface (may be repeated).")] = None,
) -> None:
    """Writes examples of the training stream to look at: pages as PNG, and text, boxes and task as a line of JSON."""
    from microfiche.training.stream import Stream
    from microfiche.training.stream import write as write_examples
    from microfiche.typesetting.fonts import named

    _folder(text, "text")
    with reported():
        faces = named(font) if font else None
        stream = Stream(text, seed, held_out, {(side, side): 1.0}, faces=faces)
        write_examples(stream, range(first, first + count), out)
    err.print(f"{out / 'examples.jsonl'} has {count} examples", markup=False)


@app.command("deepseek-ocr")
def deepseek_ocr(
    pages: Annotated[Path, typer.Option("--pages", help="Folder of pages, each with its NAME.md or NAME.txt.")],
    out: OutOption,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", envvar="MICROFICHE_WEIGHTS", help="Folder of the checkpoint; else the hub's."),
    ] = None,
    stage: Annotated[str, typer.Option("--stage", help="b: SAM frozen, the rest learns, as published.")] = "b",
    lora: Annotated[
        int | None, typer.Option("--lora", min=1, help="Rank of adapters on the decoder; 16 if --full is not given.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="The weights themselves instead of adapters.")] = False,
    recipe: RecipeOption = "deepseek-ocr",
    device: DeviceOption = "cpu",
) -> None:
    """Tunes DeepSeek-OCR on your own pages; Ctrl-C stops it and the same command goes on."""
    with reported():
        if stage != "b":
            raise UsageError(f"no stage {stage!r}; pages are tuned on in stage b")
        if full and lora is not None:
            raise UsageError("--lora and --full exclude each other")
    _folder(pages, "pages")
    rank = 0 if full else lora or 16
    from microfiche.training.deepseek_ocr import ADAPTER, CHECKPOINT, train

    tune = partial(train, rank=rank, weights=weights, say=_say)
    _train(tune, recipe, pages, out, device, ADAPTER if rank else CHECKPOINT)


def _folder(path: Path, what: str) -> None:
    with reported():
        if not path.is_dir():
            raise UsageError(f"{path}: not a folder of {what}")


def _say(line: str) -> None:
    from microfiche.training import parallel

    if parallel.rank() == 0:
        err.print(line, markup=False)


def _train(
    train: Callable[..., int], recipe: str, data: Path, out: Path, device: str, made: str, *labels: str
) -> None:
    """Runs a stage that ends with out/`made`; `labels` are the curve's, where they are not characters'."""
    from microfiche.evaluation.figures import curve
    from microfiche.training import parallel
    from microfiche.training.loop import recipe_file

    def progress(line: dict[str, Any]) -> None:
        step_told(line, "tokens")
        if "held_out" in line:
            with contextlib.suppress(OSError):
                curve(out / "log.jsonl", out / "curve.png", *labels)

    with reported():
        with parallel.processes(device) as mine, interrupts() as interrupted:
            first = parallel.rank() == 0
            step = train(recipe_file(recipe), data, out, mine, progress, lambda step: interrupted())
        if interrupted():
            fail(f"stopped after step {step}; the same command goes on from there", 130)
        if first:
            err.print(f"{out / made} is done", markup=False)
