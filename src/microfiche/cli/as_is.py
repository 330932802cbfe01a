"""--as-is of `pack` and `measure`: pages of PDFs and pictures as they are, instead of text that is typeset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.console import on_command_line, progress, say
from microfiche.errors import InputError, UsageError
from microfiche.files import whole_file
from microfiche.sources import DOCUMENTS, Source, named

if TYPE_CHECKING:
    from microfiche.nano.zoom import Zoom
    from microfiche.page import Page
    from microfiche.readers import Reader

AsIsOption = Annotated[
    bool,
    typer.Option("--as-is", help="Take the pages of PDFs and pictures as they are, without setting their text anew."),
]
PagesOption = Annotated[str | None, typer.Option("--pages", help="With --as-is: pages, from 1, such as 1-3,7 or 5-.")]
TruthOption = Annotated[
    Path | None,
    typer.Option("--truth", help="With --as-is: a text file with what is on the pages. Default: the PDF's own text."),
]
SureOption = Annotated[
    float | None,
    typer.Option(
        "--sure",
        min=0,
        max=1,
        help="With --as-is: glance at each page, then keep its lines alone, each in the smallest type in which this "
        "share of it is read as all sizes together read it: 0.98 costs more tokens than 0.95, and 1 most. Without it, "
        "the whole page is kept at one size.",
    ),
]
DoubtOption = Annotated[
    float | None,
    typer.Option(
        "--doubt",
        min=0,
        max=1,
        help="With --as-is: count a word as not read if one of its characters was read less surely than this.",
    ),
]
ONLY_SET = ("density_name", "layout", "random", "shrink", "jpeg", "show", "encoding", "replace")
ONLY_AS_IS = ("pages", "truth", "sure", "doubt")
OPTIONS = {"density_name": "density"}  #: how an option is called where its parameter has another name


def refuse_of_the_other(context: typer.Context, as_is: bool) -> None:
    """Raises UsageError for an option that goes only without --as-is, or only with it."""
    for name in ONLY_SET if as_is else ONLY_AS_IS:
        if name in context.params and on_command_line(context, name):
            raise UsageError(f"--{OPTIONS.get(name, name)} goes only {'without' if as_is else 'with'} --as-is")
    if on_command_line(context, "sure") and on_command_line(context, "mode_name"):
        raise UsageError("--mode goes only without --sure, which chooses a size for each line")


def documents(files: list[str]) -> list[Path]:
    """The documents that were named. Raises InputError for what is no PDF or picture, and for what is not there."""
    found = []
    for name in files:
        path = named(name)
        if not path.is_file():
            raise InputError(f"{name}: {'not a file' if path.exists() else 'no such file'}")
        if path.suffix.lower() not in DOCUMENTS:
            raise InputError(f"{name}: not a PDF or a picture; leave --as-is out to set its text on pages")
        found.append(path)
    return found


def zooming(reader: Reader, sure: float) -> Zoom:
    """The reader, keeping the lines of pages alone. Raises UsageError for one that cannot glance at pages."""
    from microfiche.nano.print import PrintModel
    from microfiche.nano.zoom import Zoom

    if not isinstance(reader, PrintModel):
        raise UsageError(f"--sure goes with nano-pages, not with {reader.checkpoint.name}")
    return Zoom(reader, sure)


def pack(
    files: list[str], output: Path, mode: str, pages: str | None, keep_text: bool, reader: Reader, sure: float | None
) -> None:
    """Encodes the pages of documents as they are, and writes a .fiche file."""
    from microfiche.codec import pack_pages
    from microfiche.documents.as_is import GLANCED, pages_as_is, side_of
    from microfiche.readers import refuse_typeset_only

    refuse_typeset_only(reader, reader.checkpoint.name)
    side = side_of(mode)
    if sure is not None:
        reader, side, mode = zooming(reader, sure), GLANCED, f"sure {sure}"
    names: list[str] = []

    def drawn(path: Path) -> Iterator[Page]:
        for name, page in pages_as_is(path, side, pages, lines=sure is not None, say=say):
            names.append(name)
            yield page

    def unread(number: int) -> None:
        say(f"{names[number]}: no text is found on it, so only its picture is stored")

    sources = [(str(path), drawn(path)) for path in documents(files)]
    with progress("pages") as done:
        packed = pack_pages(sources, output, reader, mode, keep_text=keep_text, progress=done, empty=unread)
    say(
        f"{output}: {packed.pages:,} page{'s' * (packed.pages != 1)} as they are, "
        f"{packed.vision_tokens:,} vision tokens, {packed.seconds:.1f} s"
    )


def measure(
    files: list[str], mode: str, pages: str | None, truth: Path | None, plot: Path | None, reader: Reader,
    sure: float | None, doubt: float | None,
) -> dict[str, object]:
    """Encodes and reads the pages of documents as they are, and returns what that costs and what comes back. Draws
    `plot` over all sizes of pages, if it is asked for."""
    from microfiche.documents.as_is import GLANCED, pages_as_is, side_of
    from microfiche.evaluation.as_is import AsIs, measure_as_is
    from microfiche.nano.print import PrintModel
    from microfiche.readers import refuse_typeset_only

    refuse_typeset_only(reader, reader.checkpoint.name)
    paths = documents(files)
    wanted = None if truth is None else "".join(Source(str(truth), truth).chunks())

    def drawn(side: int, lines: bool = False) -> Iterator[Page]:
        for path in paths:
            yield from (page for _, page in pages_as_is(path, side, pages, lines=lines, say=say))

    side = side_of(mode)
    with progress("pages") as done:

        def at(side: int) -> AsIs:
            return measure_as_is(drawn(side), reader, side, wanted, done, doubt)

        def zoomed(sure: float) -> AsIs:
            return measure_as_is(drawn(GLANCED, True), zooming(reader, sure), GLANCED, wanted, done, doubt)

        result = at(side) if sure is None else zoomed(sure)
        if plot:
            from microfiche.evaluation.figures import plot_as_is

            with whole_file(plot) as beside:
                plot_as_is(at, zoomed if isinstance(reader, PrintModel) else None, beside)
    if result.without_text:
        say(f"{result.without_text} of the pages have no text of their own to compare with, and were left out")
    return result.model_dump()
