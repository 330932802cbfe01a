"""pixel fill, finetune, predict: what PIXEL paints where a text is masked, and what it learns to say of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microfiche.cli.console import err, fail, interrupts, reported, step_told
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
        if not text.strip():
            raise UsageError("TEXT is empty: there is nothing to mask")
        from microfiche.pixel import checkpoint as checkpoints
        from microfiche.pixel import painting
        from microfiche.pixel.strips import StripRenderer

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


@app.command()
def finetune(
    task: Annotated[str, typer.Option("--task", help="classify, tag, ner, parse or answer.")],
    train: Annotated[Path, typer.Option("--train", help="Annotated examples (TSV, CoNLL-U, CoNLL or SQuAD).")],
    dev: Annotated[Path, typer.Option("--dev", help="Others of the same form; the best model on them is kept.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the training; one that stands there is resumed.")],
    encoder: Annotated[
        str, typer.Option("--encoder", help="pixel-small, a file or folder of weights, or random.")
    ] = "pixel-small",
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A TOML file (default: pixel-TASK, which ships).")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of the head, the order and the dropout.")] = None,
    length: Annotated[int | None, typer.Option("--strip-length", help="Patches of the longest strip.")] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Tunes PIXEL on annotated text; Ctrl-C stops it and the same command goes on.

    OUT/model.safetensors is the model that was best on dev, for `pixel predict`; OUT/metrics.json has its scores.
    """
    from microfiche.training import parallel
    from microfiche.training.finetune import recipe_of
    from microfiche.training.finetune import train as tune

    with reported():
        file = recipe_of(task, recipe)
        given = {"task": task, "encoder": encoder, "seed": seed, "longest": length}
        changes = {name: value for name, value in given.items() if value is not None}
        with parallel.processes(device) as mine, interrupts() as interrupted:
            first = parallel.rank() == 0
            result = tune(file, train, dev, out, mine, lambda line: step_told(line, "patches"),
                          lambda step: interrupted(), lambda line: err.print(line, markup=False), changes)  # fmt: skip
        if interrupted():
            fail(f"stopped after step {result.step}; the same command goes on from there", 130)
        if first:
            scores = " ".join(f"{name} {score:.4f}" for name, score in result.scores.items())
            err.print(f"{out / 'model.safetensors'}: best at step {result.best}: {scores}", markup=False)


@app.command()
def predict(
    model: Annotated[Path, typer.Option("--model", help="model.safetensors of `pixel finetune`, or its folder.")],
    file: Annotated[
        Path,
        typer.Argument(help="A text a line (words apart by spaces, two texts by a tab), or SQuAD's JSON; - is stdin."),
    ],
    device: DeviceOption = "cpu",
) -> None:
    """Predicts for text: a line of JSON for each text or question, CoNLL for words (tags: CoNLL-U)."""
    with reported():
        from microfiche.training.finetune import predictions

        weights = model / "model.safetensors" if model.is_dir() else model
        for line in predictions(weights, Path("/dev/stdin") if str(file) == "-" else file, device):
            print(line)
