"""render, pack, unpack, measure: the codec's commands."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.console import err, fail, progress, reported
from microfiche.errors import CheckpointError, InputError, UnreadableCharacters
from microfiche.files import short, whole_file
from microfiche.page import Layout
from microfiche.sources import DOCUMENTS, Source, sources
from microfiche.typesetting.density import DEFAULT_DENSITY, DENSITIES, MODES, Density, density, mode

if TYPE_CHECKING:
    from microfiche.nano.cells import Nano
    from microfiche.page import TypesetPage, VisionTokens

DensityName = StrEnum("DensityName", list(DENSITIES))  # type: ignore[misc]
ModeName = StrEnum("ModeName", list(MODES))  # type: ignore[misc]


class LayoutName(StrEnum):
    """The two layouts."""

    dense = "dense"
    lines = "lines"


Files = Annotated[
    list[str], typer.Argument(help="Text files, folders of them, PDF or pictures (read first), or - for text on stdin.")
]
DensityOption = Annotated[
    DensityName, typer.Option("--density", help="Cell of a half-width character; 16x16 and 12x12 draw Chinese.")
]
ModeOption = Annotated[ModeName, typer.Option("--mode", help="Page side: 512, 640, 1024 or 1280 px.")]
LayoutOption = Annotated[
    LayoutName, typer.Option("--layout", help="dense: text flows on after a line end's mark; lines: a new line.")
]
EncodingOption = Annotated[str, typer.Option("--encoding", help="How the text files are encoded.")]
ReplaceOption = Annotated[
    str | None, typer.Option("--replace", help="A character to draw for those that cannot be drawn.")
]
CheckpointOption = Annotated[str, typer.Option("--checkpoint", help="nano, which ships, or a file of weights.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def texts_of(files: list[str], encoding: str) -> list[Source]:
    """The texts that `files` mean; a PDF or picture among them is read first, and must be read whole."""
    found: list[Source] = []
    for name in files:
        path = Path(name)
        if not (path.is_file() and path.suffix.lower() in DOCUMENTS):
            found += sources([name], encoding, lambda line: err.print(line, markup=False))
            continue
        from microfiche.documents.reading import read

        document = read(path)
        if document.failed:
            raise InputError(f"{name}: page {document.failed[0].number} was not read: {document.failed[0].reason}")
        for page in document.pages:
            if page.status != "ok":
                err.print(f"{name}: page {page.number} {page.status}: {page.reason}", markup=False)
        found.append(Source(name, document.markdown().encode()))
    return found


def readable(source: Source, at: Density, replace: str | None) -> Iterator[str]:
    """The text of `source`, all of it known to be drawable, or made so by `replace`."""
    from microfiche.typesetting.typesetter import unreadable

    counts, first = unreadable(source.chunks(), at)
    if counts and replace is None:
        shown = ", ".join(
            f"U+{ord(c):04X} {c if c.isprintable() else ''} ×{n} first at character {first[c]}"
            for c, n in counts.most_common(10)
        )
        more = f", and {len(counts) - 10} more" if len(counts) > 10 else ""
        raise UnreadableCharacters(
            f"{source.name}: {at.name} cannot draw {shown}{more}; use --replace C to draw C for them"
            + ("" if at.wide else ", or a Chinese density (16x16, 12x12)")
        )
    if replace is not None and (len(replace) != 1 or unreadable([replace], at)[0]):
        raise UnreadableCharacters(f"--replace {replace!r}: give one character that {at.name} can draw")
    if not counts:
        return source.chunks()
    table = {ord(c): replace for c in counts}
    err.print(f"{source.name}: {counts.total()} characters drawn as {replace!r}", markup=False)
    return (chunk.translate(table) for chunk in source.chunks())


def render(
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the page images.")],
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: ModeOption = ModeName("small"),
    layout: LayoutOption = LayoutName.dense,
    encoding: EncodingOption = "utf-8",
    replace: ReplaceOption = None,
) -> None:
    """Sets text on pages: NAME-0001.png, NAME-0002.png, …"""
    from PIL import Image

    from microfiche.typesetting.typesetter import Typesetter

    with reported():
        at = density(density_name)
        typesetter = Typesetter(at, mode(mode_name), _layout(layout))
        texts = [(source, readable(source, at, replace)) for source in texts_of(files, encoding)]
        count = 0
        with progress("pages") as done:
            for source, text in texts:
                stem = "stdin" if source.name == "-" else short(Path(source.name).stem)
                for number, page in enumerate(typesetter.pages(text), 1):
                    with whole_file(output / f"{stem}-{number:04d}.png") as beside:
                        Image.fromarray(page.image).save(beside, "PNG")
                    count += 1
                    done(count)
        err.print(f"{count} pages in {output}", markup=False)


def pack(
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .fiche file to write.")],
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: ModeOption = ModeName("small"),
    layout: LayoutOption = LayoutName.dense,
    text: Annotated[bool, typer.Option("--text", help="Keep the text itself too, compressed.")] = False,
    encoding: EncodingOption = "utf-8",
    replace: ReplaceOption = None,
    checkpoint: CheckpointOption = "nano",
    device: DeviceOption = "cpu",
) -> None:
    """Text to pages to vision tokens to a .fiche file."""
    from microfiche.fiche import FicheWriter
    from microfiche.readers import load
    from microfiche.typesetting.typesetter import Typesetter

    with reported():
        at = density(density_name)
        found = texts_of(files, encoding)
        texts = [(source, readable(source, at, replace)) for source in found]
        model = load(checkpoint, device)
        typesetter = Typesetter(at, mode(mode_name), _layout(layout))
        pages = characters = tokens = 0
        start = time.perf_counter()
        with (
            whole_file(output) as beside,
            FicheWriter(beside, model.checkpoint, typesetter.setting, mode_name, "int8", text) as fiche,
            progress("pages") as done,
        ):
            for source, chunks in texts:
                fiche.source(source.name)
                for page, values in _encoded(model, typesetter.pages(chunks)):
                    fiche.add(page, values)
                    pages, tokens, characters = pages + 1, tokens + len(values), characters + len(page.text)
                    done(pages, f"{pages / (time.perf_counter() - start):.1f} pages/s")
        err.print(
            f"{output}: {characters:,} characters on {pages:,} page{'s' * (pages != 1)}, {tokens:,} vision tokens, "
            f"{time.perf_counter() - start:.1f} s",
            markup=False,
        )


def _encoded(model: Nano, pages: Iterable[TypesetPage]) -> Iterator[tuple[TypesetPage, VisionTokens]]:
    """Pairs of page and tokens, as they come."""
    waiting: deque[TypesetPage] = deque()

    def remembered() -> Iterator[TypesetPage]:
        for page in pages:
            waiting.append(page)
            yield page

    for values in model.encode_each(remembered()):
        yield waiting.popleft(), values


def unpack(
    file: Annotated[Path, typer.Argument(help="A .fiche file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the text (default: standard output).")
    ] = None,
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="Exit 0 though some pages were read back with errors.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="The stored text instead of what is read.")] = False,
    checkpoint: CheckpointOption = "nano",
    device: DeviceOption = "cpu",
) -> None:
    """Reads the vision tokens of a .fiche file back to text, and names every page read with an error."""
    from microfiche.fiche import Fiche
    from microfiche.readers import load

    with reported(), Fiche(file) as fiche:
        if text:
            _write(output, fiche.text())
            return
        model = load(checkpoint, device)
        wrong: list[int] = []

        def pieces() -> Iterator[bytes]:
            with progress("pages", len(fiche)) as done:
                tokens = (fiche.tokens(i + 1) for i in range(len(fiche)))
                for number, reading in enumerate(model.read_each(tokens), 1):
                    data = reading.text.encode()
                    if hashlib.sha256(data).hexdigest() != fiche.manifest.pages[number - 1].text:
                        wrong.append(number)
                    done(number)
                    yield data

        try:
            _write(output, pieces())
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {error}") from error
        if wrong:
            listed = ", ".join(map(str, wrong[:20])) + (", …" if len(wrong) > 20 else "")
            message = f"{file}: pages read with errors, {len(wrong)} of {len(fiche)}: {listed}"
            if not allow_errors:
                fail(message + " (--allow-errors to accept them)", 1)
            err.print(f"microfiche: {message}", markup=False)


def _write(output: Path | None, pieces: Iterable[bytes]) -> None:
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    else:
        with whole_file(output) as beside, beside.open("wb") as out:
            for piece in pieces:
                out.write(piece)


def measure(
    files: Files,
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: ModeOption = ModeName("small"),
    layout: LayoutOption = LayoutName.dense,
    random: Annotated[bool, typer.Option("--random", help="Random strings of the same length and alphabet.")] = False,
    shrink: Annotated[
        int | None, typer.Option("--shrink", min=64, help="Shrink the pages to so many px of width before encoding.")
    ] = None,
    jpeg: Annotated[
        int | None, typer.Option("--jpeg", min=1, max=95, help="Save the pages as JPEG of this quality before.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="PNG: precision over ratio, all densities.")] = None,
    show: Annotated[Path | None, typer.Option("--show", help="PNG: a page beside what was read from it.")] = None,
    json: JsonOption = False,
    encoding: EncodingOption = "utf-8",
    replace: ReplaceOption = None,
    checkpoint: CheckpointOption = "nano",
    device: DeviceOption = "cpu",
) -> None:
    """Packs and reads in memory; says what it costs and what comes back."""
    from rich.table import Table

    from microfiche.evaluation.measure import measure as measured
    from microfiche.readers import load

    with reported():
        at = density(density_name)
        text = "".join(c for s in texts_of(files, encoding) for c in readable(s, at, replace))
        model = load(checkpoint, device)
        with progress("pages") as done:
            result = measured(
                text, model, at.name, mode_name, _layout(layout),
                random=random, shrunk_to=shrink, jpeg=jpeg, progress=done,
            )  # fmt: skip
            if plot:
                from microfiche.evaluation import figures

                with whole_file(plot) as beside:
                    figures.plot(text, model, mode_name, beside, done)
        if show:
            from microfiche.evaluation import figures

            with whole_file(show) as beside:
                figures.show(text, model, at.name, mode_name, _layout(layout), beside)
        if json:
            print(result.model_dump_json())
            return
        table = Table(show_header=False, box=None)
        for name, value in result.model_dump(exclude_none=True).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            table.add_row(name.replace("_", " "), f"{value:,}" if number else str(value))
        from rich.console import Console

        Console(highlight=False).print(table)


def _layout(name: LayoutName) -> Layout:
    return "lines" if name is LayoutName.lines else "dense"


