"""The commands of `microfiche train`, one for each stage, and `microfiche train data`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from microfiche.cli.console import err, fail, interrupts, reported, say, step_told
from microfiche.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Trains a model.")


TextOption = Annotated[Path, typer.Option("--text", help="Folder of UTF-8 text (.txt, .txt.xz, .md, .py).")]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder of the training; a training that is already there goes on.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help="The name of a recipe that ships, or a TOML file.")]
STOPS = "Ctrl-C stops it; the same command goes on."


class Entry(NamedTuple):
    """A stage: its class, the recipe that ships, its help text, and the labels of the two axes of its curve."""

    stage: str  #: the class, in the module with the name of the command
    recipe: str
    help: str
    loss: str = ""  #: if empty: nats per unit of the stage
    held_out: str = ""  #: if empty: the share of held-out characters read right


STAGES = {
    "codec": Entry("CodecStage", "nano-codec", "Trains nano's encoder and readout."),
    "lines": Entry("LinesStage", "nano-lines", "Trains nano's line decoder on a finished encoder's tokens.",
                   held_out="held-out cells read right"),
    "letters": Entry("LettersStage", "nano-letters",
                     "Trains nano's readout of letters beyond the alphabet on a finished codec's tokens.",
                     held_out="held-out cells with ink read right"),
    "print": Entry("PrintStage", "nano-print", "Trains nano for printed pages."),
    "language": Entry("LanguageStage", "nano-language", "Trains the language pass of nano for printed pages.",
                      held_out="held-out characters right"),
    "reader": Entry("ReaderStage", "nano-reader", "Trains the prompted reader on a finished encoder's tokens.",
                    held_out="share right of held-out answers"),
    "index": Entry("IndexStage", "nano-index", "Trains the memory's indexer on nano's tokens.",
                   held_out="held-out queries whose page comes first"),
    "pixel": Entry("PixelStage", "pixel-small",
                   "Pretrains PIXEL to paint masked patches of strips of text. `right` is the share of masked patches "
                   "that are painted closer than plain grey.",
                   "of a masked patch's normalised pixels, squared", "the same on held-out text"),
    "deepseek-ocr": Entry("DeepSeekStage", "deepseek-ocr", "Tunes DeepSeek-OCR on your own pages.",
                          held_out="share right of held-out answers"),
}  # fmt: skip


def _from_text(name: str) -> Callable[..., None]:
    def command(
        text: TextOption, out: OutOption, recipe: RecipeOption = STAGES[name].recipe, device: DeviceOption = "cpu"
    ) -> None:
        _train(name, recipe, _folder(text, "text"), out, device)

    return command


def _help(name: str) -> str:
    return f"{STAGES[name].help}\n\n{STOPS}"


for _name in ("codec", "lines", "letters", "reader", "index", "pixel"):
    app.command(_name, help=_help(_name))(_from_text(_name))


@app.command("print", help=_help("print"))
def print_(
    text: TextOption,
    out: OutOption,
    pdf: Annotated[
        Path | None,
        typer.Option(
            "--pdf", help="Folder of PDFs that tools/extract_pages.py has read; half of the pages then come from it."
        ),
    ] = None,
    recipe: RecipeOption = STAGES["print"].recipe,
    device: DeviceOption = "cpu",
) -> None:
    """Trains nano for print."""
    pdfs = _folder(pdf, "PDFs") if pdf else None
    _train("print", recipe, _folder(text, "text"), out, device, pdfs=pdfs)


@app.command(help=_help("language"))
def language(
    text: TextOption,
    sights: Annotated[Path, typer.Option("--sights", help="Folder that tools/collect_sights.py has filled.")],
    out: OutOption,
    recipe: RecipeOption = STAGES["language"].recipe,
    device: DeviceOption = "cpu",
) -> None:
    """Trains the language pass."""
    _train("language", recipe, _folder(text, "text"), out, device, sights=_folder(sights, "what a reader saw"))


@app.command("deepseek-ocr", help=_help("deepseek-ocr"))
def deepseek_ocr(
    pages: Annotated[Path, typer.Option("--pages", help="Folder of pages, each with its NAME.md or NAME.txt.")],
    out: OutOption,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", envvar="MICROFICHE_WEIGHTS", help="Folder of the checkpoint (default: the hub's copy)."
        ),
    ] = None,
    lora: Annotated[
        int | None,
        typer.Option("--lora", min=1, help="Rank of the adapters that are trained on the decoder (default: 16)."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train the weights themselves, all but SAM's, instead of adapters.")
    ] = False,
    recipe: RecipeOption = STAGES["deepseek-ocr"].recipe,
    device: DeviceOption = "cpu",
) -> None:
    """Tunes DeepSeek-OCR."""
    with reported():
        if full and lora is not None:
            raise UsageError("--lora and --full exclude each other")
    rank = 0 if full else lora or 16
    written = "adapter" if rank else "checkpoint"
    data = _folder(pages, "pages")
    _train("deepseek-ocr", recipe, data, out, device, written, folder=out, rank=rank, weights=weights, say=_say)


@app.command()
def data(
    text: TextOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pages and examples.jsonl.")],
    count: Annotated[int, typer.Option("--count", min=1, help="How many examples to write.")] = 8,
    first: Annotated[int, typer.Option("--first", min=0, help="The number of the first example.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed gives another stream.")] = 0,
    side: Annotated[int, typer.Option("--side", help="Side of the square pages in px, a multiple of 64.")] = 640,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Use the documents and typefaces kept for validation.")
    ] = False,
    font: Annotated[list[str] | None, typer.Option("--font", help="Use only this typeface (may be repeated).")] = None,
) -> None:
    """Writes examples of the training stream to look at: pages as PNG, and a line of JSON for each with its text, boxes
    and task."""
    from microfiche.training.stream import Stream
    from microfiche.training.stream import write as write_examples
    from microfiche.typesetting.fonts import named

    _folder(text, "text")
    with reported():
        faces = named(font) if font else None
        stream = Stream(text, seed, held_out, {(side, side): 1.0}, faces=faces)
        write_examples(stream, range(first, first + count), out)
    err.print(f"{out / 'examples.jsonl'} has {count} examples", markup=False)


def _folder(path: Path, what: str) -> Path:
    with reported():
        if not path.is_dir():
            raise UsageError(f"{path}: not a folder of {what}")
    return path


def _say(line: str) -> None:
    from microfiche.training import parallel

    if parallel.rank() == 0:
        err.print(line, markup=False)


def _train(
    name: str, recipe: str, data: Path, out: Path, device: str, written: str = "model.safetensors", **options: Any
) -> None:
    """Runs a stage in the folder `out`, with the stage's own options. At the end, out/`written` exists."""
    from microfiche.evaluation.figures import curve
    from microfiche.training import loop, parallel
    from microfiche.training.recipe import recipe_file

    entry = STAGES[name]
    drawn = find_spec("matplotlib") is not None
    stage = getattr(import_module(f"microfiche.training.{name.replace('-', '_')}"), entry.stage)

    def progress(line: dict[str, Any]) -> None:
        step_told(line, "tokens")
        if "held_out" in line and drawn:
            with contextlib.suppress(OSError):
                curve(out / "log.jsonl", out / "curve.png", entry.loss or f"nats a {stage.unit}", entry.held_out)

    with reported():
        with parallel.processes(device) as mine, interrupts() as interrupted:
            first = parallel.rank() == 0
            file = recipe_file(recipe)
            step = loop.train(stage, file, data, out, mine, progress, lambda step: interrupted(), **options)
        if interrupted():
            fail(f"stopped after step {step}; the same command goes on from there", 130)
        if first:
            err.print(f"{out / written} is done", markup=False)
            if not drawn:
                say("its curve was not drawn: a plot needs matplotlib: pip install 'microfiche[plots]'")
