"""`pixel fill`, `pixel finetune` and `pixel predict`: PIXEL paints masked text, and learns tasks on annotated text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microfiche.cli.console import err, fail, interrupts, reported, step_told
from microfiche.errors import UsageError
from microfiche.files import whole_file

app = typer.Typer(no_args_is_help=True, help="Reads pictures of text by PIXEL, a language model.")

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", help="pixel-small, or a file or folder of weights (.safetensors).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]


@app.callback()
def pixel() -> None:
    """PIXEL: a language model that reads pictures of text."""


@app.command()
def fill(
    text: Annotated[str, typer.Argument(help="Text to draw on a strip.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file for the input, masked and painted strip.")],
    page: Annotated[
        Path | None, typer.Option("--html", help="Also write the strips as a web page in one file.")
    ] = None,
    ratio: Annotated[float, typer.Option("--ratio", help="Share of the patches to mask.")] = 0.25,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Each seed masks other patches.")] = 0,
    checkpoint: CheckpointOption = "pixel-small",
    device: DeviceOption = "cpu",
) -> None:
    """Draws a text, masks spans of it, and lets PIXEL paint them from the rest."""
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
    train: Annotated[
        Path, typer.Option("--train", help="Training set: annotated examples (TSV, CoNLL-U, CoNLL or SQuAD).")
    ],
    dev: Annotated[
        Path, typer.Option("--dev", help="Development set in the same format; the best-scoring checkpoint is kept.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the training; if it has an unfinished one, that is resumed.")
    ],
    encoder: Annotated[
        str,
        typer.Option("--encoder", help="pixel-small, a file or folder of weights, or random for an untrained encoder."),
    ] = "pixel-small",
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A recipe as a TOML file (default: the packaged pixel-TASK).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the new head, the order of examples and the dropout.")
    ] = None,
    length: Annotated[int | None, typer.Option("--strip-length", help="Patches of the longest strip.")] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Fine-tunes PIXEL on annotated text. Ctrl-C stops it; the same command resumes.

    OUT/model.safetensors is the best checkpoint on the development set, for `pixel predict`; OUT/metrics.json has its
    scores.
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
            fail(f"stopped after step {result.step}; the same command resumes there", 130)
        if first:
            scores = " ".join(f"{name} {score:.4f}" for name, score in result.scores.items())
            err.print(f"{out / 'model.safetensors'}: best at step {result.best}: {scores}", markup=False)


@app.command()
def predict(
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", help="The model.safetensors of a `pixel finetune`, or its folder.")
    ],
    file: Annotated[
        Path,
        typer.Argument(
            help="One text per line (words separated by spaces, two texts by a tab), or SQuAD's JSON; - is stdin."
        ),
    ],
    device: DeviceOption = "cpu",
) -> None:
    """Applies a fine-tuned PIXEL: prints JSON lines for texts and questions, CoNLL for words (CoNLL-U for tags)."""
    with reported():
        from microfiche.training.finetune import predictions

        for line in predictions(checkpoint, Path("/dev/stdin") if str(file) == "-" else file, device):
            print(line)
