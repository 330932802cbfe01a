"""The `microfiche` command. It is thin: each command reads its arguments, calls the library and prints."""

from __future__ import annotations

import sys

import typer

from microfiche.cli import codec, memory, memory_tuning, pixel, read, serve, train
from microfiche.cli.console import closed_output

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Keeps text as pictures: sets it on pages, encodes each page to a few vision tokens, and reads them back.",
)
for tuning in (memory_tuning.show, memory_tuning.fade, memory_tuning.calibrate):
    memory.app.command()(tuning)
for command in (codec.render, codec.pack, codec.unpack, codec.measure, read.read, serve.serve):
    app.command()(command)
app.add_typer(train.app, name="train")
app.add_typer(memory.app, name="memory")
app.add_typer(pixel.app, name="pixel")


def main() -> None:
    """Runs the command line."""
    if sys.stdout is None:
        sys.stdout = closed_output()
    app()
