"""The commands of the codec: render, pack, unpack and measure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microfiche.cli import as_is as pages_as_is
from microfiche.cli.as_is import AsIsOption, DoubtOption, PagesOption, SureOption, TruthOption, refuse_of_the_other
from microfiche.cli.console import fail, on_command_line, print_rows, progress, reported, say
from microfiche.decoder.prompts import FAMILY, PROMPTS_OF
from microfiche.errors import InputError, UsageError, require
from microfiche.files import short, whole_file
from microfiche.sources import DOCUMENTS, Source, sources
from microfiche.typesetting.density import DEFAULT_DENSITY, DENSITIES, MODES, density, mode

if TYPE_CHECKING:
    from microfiche.page import Layout
    from microfiche.readers import Reader

DensityName = StrEnum("DensityName", list(DENSITIES))  # type: ignore[misc]
ModeName = StrEnum("ModeName", list(MODES))  # type: ignore[misc]


class LayoutName(StrEnum):
    """The names of the layouts."""

    dense = "dense"
    lines = "lines"
    words = "words"


class ReaderName(StrEnum):
    """The names of the readers that --engine accepts."""

    nano = "nano"
    lines = "nano-lines"
    pages = "nano-pages"
    deepseek = "deepseek-ocr"
    deepseek_2 = "deepseek-ocr-2"
    unlimited = "unlimited-ocr"




Files = Annotated[
    list[str],
    typer.Argument(help="Text files, folders of them, PDFs or pictures (which are read first), or - for stdin."),
]
DensityOption = Annotated[
    DensityName,
    typer.Option("--density", help="The cell of a half-width character, in pixels; 16x16 and 12x12 draw Chinese too."),
]
ModeOption = Annotated[
    ModeName, typer.Option("--mode", help="The size of a page: tiny 512, small 640, base 1024, large 1280 px a side.")
]
SideOption = Annotated[
    str,
    typer.Option(
        "--mode",
        help="The size of a page: tiny 512, small 640, base 1024, large 1280 px a side; with --as-is also any number "
        "of px, and it is the longer side.",
    ),
]
LayoutOption = Annotated[
    LayoutName,
    typer.Option(
        "--layout",
        help="dense: line ends are marks in running text; words: and lines break between words; lines: at line ends.",
    ),
]
EncodingOption = Annotated[str, typer.Option("--encoding", help="The encoding of the text files.")]
ReplaceOption = Annotated[
    str | None,
    typer.Option("--replace", help="A character to draw in place of those that the density cannot draw."),
]
EngineOption = Annotated[
    ReaderName | None,
    typer.Option(
        "--engine",
        help="Who encodes and reads: nano; nano-lines, which is nano checked by a language model; nano-pages, for "
        "pages of PDFs and scans; deepseek-ocr, deepseek-ocr-2 and unlimited-ocr, with --weights. The default is nano, "
        "and nano-pages with --as-is; for unpack, whichever of the two made the tokens.",
    ),
]
CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", help="A file of weights that you trained, instead of --engine.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights", envvar="MICROFICHE_WEIGHTS",
        help="With --engine deepseek-ocr, deepseek-ocr-2 or unlimited-ocr: its folder, or its name on the hub.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]


def refuse_unused_weights(context: typer.Context, engine: ReaderName | None) -> None:
    """Raises UsageError if --weights was given to an engine that does not take it. MICROFICHE_WEIGHTS, which other
    commands read too, may be set all the same."""
    if engine not in FAMILY and on_command_line(context, "weights"):
        raise UsageError(f"--weights goes with --engine {', '.join(FAMILY)}")


def reader_for(
    engine: ReaderName | None, checkpoint: Path | None, weights: str | None, device: str, mode_name: str = "small"
) -> Reader:
    """Returns the reader that the options name. The published model sees pages in the mode `mode_name`. Raises
    UsageError for options that do not go together."""
    from microfiche.readers import load

    published = next((name for name in FAMILY if name == engine), None)
    if published:
        if checkpoint or not weights:
            raise UsageError(f"--engine {published} takes its weights by --weights, a folder or a name on the hub")
        model = load(published, device, path=weights)
        mode = mode_name if mode_name in model.config.resolutions else "base"
        return model.asking(mode, "free" if "free" in PROMPTS_OF[published] else "markdown")
    if engine and checkpoint:
        raise UsageError("--checkpoint says who encodes and reads; leave --engine out")
    return load(checkpoint or str(engine or "nano"), device)


def texts_of(files: list[str], encoding: str) -> list[Source]:
    """Returns the texts of the named files. PDFs and pictures are read first; raises InputError if one of their pages
    fails."""
    found: list[Source] = []
    for name in files:
        path = Path(name)
        if not (path.is_file() and path.suffix.lower() in DOCUMENTS):
            found += sources([name], encoding, say)
            continue
        from microfiche.documents.reading import read

        document = read(path)
        if document.failed:
            raise InputError(f"{name}: page {document.failed[0].number} was not read: {document.failed[0].reason}")
        for page in document.pages:
            if page.status != "ok":
                say(f"{name}: page {page.number} {page.status}: {page.reason}")
        found.append(Source(name, document.markdown().encode()))
    return found


def render(
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the pictures of pages.")],
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: ModeOption = ModeName("small"),
    layout: LayoutOption = LayoutName.dense,
    encoding: EncodingOption = "utf-8",
    replace: ReplaceOption = None,
) -> None:
    """Sets text on pages and writes each page as a picture: NAME-0001.png, NAME-0002.png, …"""
    from PIL import Image

    from microfiche.typesetting.typesetter import Typesetter, drawable

    with reported():
        at = density(density_name)
        typesetter = Typesetter(at, mode(mode_name), layout_of(layout))
        found = texts_of(files, encoding)
        texts = [(source, drawable(source, at, replace, say)) for source in found]
        count = 0
        with progress("pages") as done:
            for source, text in texts:
                stem = "stdin" if source.name == "-" else short(Path(source.name).stem)
                for number, page in enumerate(typesetter.pages(text), 1):
                    with whole_file(output / f"{stem}-{number:04d}.png") as beside:
                        Image.fromarray(page.image).save(beside, "PNG")
                    count += 1
                    done(count)
        say(f"{count} page{'s' * (count != 1)} in {output}")


def pack(
    context: typer.Context,
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .fiche file to write.")],
    as_is: AsIsOption = False,
    pages: PagesOption = None,
    sure: SureOption = None,
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: SideOption = "small",
    layout: LayoutOption = LayoutName.dense,
    text: Annotated[bool, typer.Option("--text", help="Store the text itself too, compressed.")] = False,
    encoding: EncodingOption = "utf-8",
    replace: ReplaceOption = None,
    engine: EngineOption = None,
    checkpoint: CheckpointOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Sets text on pages, encodes each to vision tokens, and writes a .fiche file."""
    from microfiche import codec

    with reported():
        refuse_unused_weights(context, engine)
        refuse_of_the_other(context, as_is)
        if as_is:
            reader = reader_for(engine or ReaderName.pages, checkpoint, weights, device, mode_name)
            pages_as_is.pack(files, output, mode_name, pages, text, reader, sure)
            return
        found = texts_of(files, encoding)
        reader = reader_for(engine, checkpoint, weights, device, mode_name)
        with progress("pages") as done:
            packed = codec.pack(
                found, output, reader, density_name, mode_name, layout_of(layout),
                keep_text=text, replacement=replace, progress=done, say=say,
            )  # fmt: skip
        say(
            f"{output}: {packed.characters:,} characters on {packed.pages:,} page{'s' * (packed.pages != 1)}, "
            f"{packed.vision_tokens:,} vision tokens, {packed.seconds:.1f} s"
            + (f"; {packed.kept:,} characters in lines that are kept as text, too" if packed.kept else "")
        )


def unpack(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A .fiche file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file for the text; standard output by default.")
    ] = None,
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="Exit 0 even where some pages were read with errors.")
    ] = False,
    text: Annotated[
        bool, typer.Option("--text", help="Write the text that `pack --text` stored, without reading any tokens.")
    ] = False,
    doubt: Annotated[
        float,
        typer.Option(
            "--doubt", min=0, max=1,
            help="Of pages packed as they are: put [?] behind each word of which a character was read less surely.",
        ),
    ] = 0.0,
    engine: EngineOption = None,
    checkpoint: CheckpointOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Reads the vision tokens of a .fiche file back to text, and names every page that was read with an error.

    Without --engine, nano or nano-pages reads them, whichever made them. If weights of ours made them that
    no longer ship, the stored pages are encoded anew. Tokens that other weights made need those again: --checkpoint
    FILE, or --engine deepseek-ocr with --weights. Nothing checks what is read from pages that were packed as they are;
    --doubt marks the words that were not read surely.
    """
    from microfiche.codec import read_back
    from microfiche.fiche import Fiche

    with reported(), Fiche(file) as fiche:
        refuse_unused_weights(context, engine)
        if text:
            _write(output, fiche.text())
            return
        reader = reader_for(engine, checkpoint, weights, device) if engine or checkpoint else None
        wrong: list[int] = []

        def pieces() -> Iterator[bytes]:
            with progress("pages", len(fiche)) as done:
                for number, (read, right) in enumerate(read_back(fiche, reader, done, say, device, doubt), 1):
                    if not right:
                        wrong.append(number)
                    yield read.encode()

        _write(output, pieces())
        if wrong:
            listed = ", ".join(map(str, wrong[:20])) + (", …" if len(wrong) > 20 else "")
            message = f"{file}: pages read with errors, {len(wrong)} of {len(fiche)}: {listed}"
            if not allow_errors:
                fail(message + " (--allow-errors to accept them)", 1)
            say(f"microfiche: {message}")


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
    context: typer.Context,
    files: Files,
    as_is: AsIsOption = False,
    pages: PagesOption = None,
    sure: SureOption = None,
    doubt: DoubtOption = None,
    truth: TruthOption = None,
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: SideOption = "small",
    layout: LayoutOption = LayoutName.dense,
    random: Annotated[
        bool, typer.Option("--random", help="Measure random strings of the same length and alphabet instead.")
    ] = False,
    shrink: Annotated[
        int | None, typer.Option("--shrink", min=64, help="Shrink each page to this width in pixels before encoding.")
    ] = None,
    jpeg: Annotated[
        int | None, typer.Option("--jpeg", min=1, max=95, help="Save each page as a JPEG of this quality first.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="A PNG to write: precision over ratio at all densities, or sizes with --as-is."),
    ] = None,
    show: Annotated[
        Path | None, typer.Option("--show", help="A PNG to write: the first page beside what was read from it.")
    ] = None,
    json: JsonOption = False,
    encoding: EncodingOption = "utf-8",
    replace: ReplaceOption = None,
    engine: EngineOption = None,
    checkpoint: CheckpointOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Packs and reads text in memory, and says what that costs and what comes back."""
    from microfiche import codec
    from microfiche.typesetting.typesetter import drawable

    with reported():
        refuse_unused_weights(context, engine)
        refuse_of_the_other(context, as_is)
        if plot:
            require("--plot", "plots", "matplotlib")
        if show and shrink:
            raise UsageError("--show shows pages of the size at which they are set; leave out --shrink")
        if as_is:
            reader = reader_for(engine or ReaderName.pages, checkpoint, weights, device, mode_name)
            _print_figures(pages_as_is.measure(files, mode_name, pages, truth, plot, reader, sure, doubt), json)
            return
        at, laid = density(density_name), layout_of(layout)
        found = texts_of(files, encoding)
        chunks = (drawable(source, at, replace, say) for source in found)
        text = "".join(chunk for source in chunks for chunk in source)
        reader = reader_for(engine, checkpoint, weights, device, mode_name)
        with progress("pages") as done:
            result = codec.measure(
                text, reader, at.name, mode_name, laid, random=random, shrunk_to=shrink, jpeg=jpeg, progress=done
            )
            if plot:
                from microfiche.evaluation import figures

                with whole_file(plot) as beside:
                    figures.plot(text, reader, mode_name, beside, done)
        if show:
            from microfiche.evaluation import figures
            from microfiche.precision import random_twin

            with whole_file(show) as beside:
                figures.show(random_twin(text) if random else text, reader, at.name, mode_name, laid, beside, jpeg)
        _print_figures(result.model_dump(), json)
        if result.fox_precision is None:
            say("no Fox precision: words of Chinese text need jieba: pip install 'microfiche[chinese]'")


def _print_figures(figures: dict[str, Any], as_json: bool) -> None:
    """Prints figures on standard output, as one JSON object or as a table without those that are None."""
    if as_json:
        print(dumps(figures, ensure_ascii=False))
        return
    print_rows({
        name.replace("_", " "): str(value) if isinstance(value, str | bool) else f"{value:,}"
        for name, value in figures.items() if value is not None
    })  # fmt: skip


def layout_of(name: LayoutName) -> Layout:
    """Returns the layout of a name."""
    names: dict[LayoutName, Layout] = {
        LayoutName.dense: "dense", LayoutName.lines: "lines", LayoutName.words: "words",
    }  # fmt: skip
    return names[name]
