"""read: documents to Markdown."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli import console
from microfiche.cli.console import complain, fail, on_command_line, one_line, progress, reported, say
from microfiche.cli.reader_options import DType, limits_given, one_of, request_for
from microfiche.decoder.prompts import FAMILY
from microfiche.errors import UsageError

if TYPE_CHECKING:
    from microfiche.documents.document import Document
    from microfiche.documents.job import Standing
    from microfiche.documents.opening import DocumentSource
    from microfiche.documents.reading import Outcome


NAMED = 50  #: documents that the last lines name


class Format(StrEnum):
    """The forms in which a document is written."""

    md = "md"
    json = "json"
    text = "text"


def read(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            help="PDF files, pictures (PNG, JPEG, TIFF, WebP, GIF, BMP, PNM, JPEG 2000), Markdown, text, HTML, CSV, "
            "EPUB and, with the extra office, Word, PowerPoint and Excel files; folders of them; http(s) "
            "addresses; or - for standard input."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o",
            help="The folder that gets NAME.md, NAME.json and NAME/figures/ of each document. Without it, the text of "
            "one document goes to standard output.",
        ),
    ] = None,
    form: Annotated[
        Format,
        typer.Option("--format", help="Markdown, plain text, or JSON with boxes; a folder always gets NAME.json too."),
    ] = Format.md,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="Let one engine read every page: text (a PDF's own), rapid, nano, nano-rapid, tesseract (if it is "
            "installed), endpoint, a published model (deepseek-ocr, deepseek-ocr-2, unlimited-ocr; with --endpoint it "
            "says which one the server has) or one that ships, such as nano-pages. "
            "Without it, each page is read by the engine that suits it.",
        ),
    ] = None,
    pages: Annotated[
        str | None,
        typer.Option(
            "--pages", help="Pages to read, from 1: 1-3,7 or 5-. A range goes as far as the document does."
        ),
    ] = None,
    dpi: Annotated[
        float | None,
        typer.Option(
            "--dpi", min=18, max=1200,
            help="Pixels an inch at which PDF pages are drawn: 144, and 300 for Unlimited-OCR, if it is not given.",
        ),
    ] = None,
    password: Annotated[
        str | None, typer.Option("--password", envvar="MICROFICHE_PASSWORD", help="Password of an encrypted PDF.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            "--task", help="What --weights or --endpoint is asked: markdown, ocr, free, figure, describe, locate:WORDS."
        ),
    ] = "markdown",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", envvar="MICROFICHE_WEIGHTS",
            help="Published weights that read scans, of DeepSeek-OCR, DeepSeek-OCR 2 or Unlimited-OCR: their folder, "
            "whose config.json says which, or their name on the hub.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="A file of weights that you trained with `train print`, which reads scans."),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="With --weights: the folder that `train deepseek-ocr` wrote.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Where --weights or the model of --engine runs: cpu, cuda or mps.")
    ] = "cpu",
    dtype: Annotated[
        DType | None,
        typer.Option("--dtype", help="With --weights: weight precision (default: fastest on this device)."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            help="With --weights: the size of pages, tiny, small, base, large, gundam, or gundam-6, which cuts a page "
            "into 6 tiles at most, as the official code for vLLM does.",
        ),
    ] = "gundam",
    together: Annotated[
        bool,
        typer.Option(
            "--together",
            help="With --weights of Unlimited-OCR: read several pages in one request, in the mode base.",
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", envvar="MICROFICHE_ENDPOINT",
            help="Address of an OpenAI-compatible server that reads scans, up to /v1. Its key is taken from "
            "MICROFICHE_ENDPOINT_KEY.",
        ),
    ] = None,
    endpoint_model: Annotated[
        str | None,
        typer.Option("--endpoint-model", help="Name of the model on that server (default: the OCR model it lists)."),
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            "--dialect",
            help="How the server at --endpoint is asked: vllm, sglang, llama.cpp or ollama (default: it is asked).",
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each page with its blocks drawn on it, to NAME/.")
    ] = False,
    limit: Annotated[
        list[str],
        typer.Option("--limit", help="Raise a limit that an error message names, as in pixels=200000000."),
    ] = [],  # noqa: B006
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where an earlier run with the same options stopped, and with pages that failed."
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=1,
            help="Read this many documents at the same time, each in a process of its own with its share of the cores.",
        ),
    ] = 1,
) -> None:
    """Reads documents to Markdown, each page by the engine that suits it best.

    A digital PDF's own text is used where it is sound. Scans are read by
    --endpoint or --weights if one of them is given, and by RapidOCR otherwise.
    Files that hold their own text, such as notes.md or a.docx, give that.
    What cannot be read is named on stderr; the rest is read all the same, and
    the exit code is 1.

    Examples:

    microfiche read paper.pdf                    one document, to standard output
    microfiche read scans -o out --jobs 4        a folder, in four processes
    microfiche read scans -o out --resume        only what is missing in out
    microfiche read big.pdf -o out --pages 1-50  some of its pages
    microfiche read https://example.org/a.pdf --format json
    """
    from microfiche.documents.opening import documents_in
    from microfiche.documents.reading import read_to
    from microfiche.documents.writing import written

    with reported():
        limits = limits_given(limit)
        sources = documents_in(files, limits, lambda line: say(one_line(line)), texts=True)
        if output is None and (len(sources) > 1 or overlay or resume):
            raise UsageError("several documents, --overlay and --resume need a folder: -o DIR")
        if checkpoint or engine not in (None, *FAMILY, "endpoint"):
            _refuse_unused(context, "--checkpoint" if checkpoint else f"--engine {engine}")
            weights = endpoint = None  # the environment may name them all the same
        else:
            weights, endpoint = one_of(context, engine, weights, endpoint)
        if weights and not endpoint and jobs > 1:
            raise UsageError("each of the --jobs would hold a model of its own; with --weights, leave --jobs out")
        if together and not on_command_line(context, "mode"):
            mode = "base"
        request = request_for(
            engine, weights, checkpoint, adapter, device, dtype, mode, endpoint, endpoint_model, dialect, task,
            together, pages, dpi, password, limits,
        )  # fmt: skip
        result: list[Outcome] = []
        doubts: list[str] = []

        def each(outcome: Outcome) -> None:
            if outcome.doubt:
                doubts.append(outcome.doubt)
            if outcome.error and len(sources) == 1:
                raise outcome.error
            if output is None:
                result.append(outcome)
            else:
                _show(outcome)

        with _progress(sources) as standing:
            failures = read_to(
                output, sources, request, form=form, overlays=overlay, resume=resume, jobs=jobs, each=each,
                progress=standing,
            )  # fmt: skip
        for outcome in result:
            if outcome.document:
                sys.stdout.write(written(outcome.document, form))
            _show(outcome)
        if doubts:
            say(one_line(f"look at what is partial: {_listed(doubts)}"))
        if failures:
            documents = f"{len(sources)} documents were" if len(sources) > 1 else "1 document was"
            fail(f"{len(failures)} of {documents} not read whole: {_listed([one.failure for one in failures])}", 1)


def _listed(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


@contextmanager
def _progress(sources: Sequence[DocumentSource]) -> Iterator[Callable[[Standing], None]]:
    """Shows how far the reading of all `sources` is, in pages."""
    what = one_line(Path(sources[0].name).name) if len(sources) == 1 else "documents"
    start = time.perf_counter()
    with progress(what) as done:

        def shown(standing: Standing) -> None:
            if not standing.read:
                return
            rate = f"{standing.read / (time.perf_counter() - start):.3g} pages/s"
            told = f"{standing.ended:,} of {standing.documents:,}" if standing.documents > 1 else ""
            done(standing.read, rate, standing.expected, told)

        yield shown


def _show(outcome: Outcome) -> None:
    """What is said on stderr about a document that was read, or could not be."""
    name, document, error = outcome.name, outcome.document, outcome.error
    if error is not None:
        complain(one_line(f"microfiche: {error}"))
    if outcome.before:
        say(one_line(f"{name}: read before"))
    elif document is not None:
        for note in document.notes:
            say(one_line(f"{name}: {note}"))
        for page in document.pages:
            if page.status != "ok":
                say(one_line(f"{name}: page {page.number} {page.status}: {page.reason}"))
        if console.verbose:
            for page in document.pages:
                say(one_line(f"{name}: page {page.number} by {page.engine or 'nobody'}: {page.chosen}"))
        say(one_line(_summary(document, outcome.seconds)))


def _refuse_unused(context: typer.Context, reader: str) -> None:
    """Raises UsageError for an option on the command line that only the published model or an endpoint takes."""
    for name in ("weights", "adapter", "dtype", "mode", "together", "endpoint", "endpoint_model", "dialect", "task"):
        if on_command_line(context, name):
            raise UsageError(f"--{name.replace('_', '-')} says how another engine reads; leave it out, or {reader}")


def _summary(document: Document, seconds: float) -> str:
    by = Counter(page.engine or {"ok": "blank"}.get(page.status, "not opened") for page in document.pages)
    pages = f"{len(document.pages)} page{'s' * (len(document.pages) != 1)}"
    return (f"{document.name}: {pages} in {seconds:.1f} s, read by "
            + ", ".join(f"{engine} ({count})" for engine, count in by.most_common()))
