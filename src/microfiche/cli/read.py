"""read: documents to Markdown."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.console import err, fail, on_command_line, one_line, progress, reported, say
from microfiche.errors import UsageError

if TYPE_CHECKING:
    from microfiche.documents.document import Document
    from microfiche.documents.engines import Engine
    from microfiche.documents.job import Standing
    from microfiche.documents.opening import DocumentSource
    from microfiche.documents.reading import Outcome
    from microfiche.limits import Limits


class Format(StrEnum):
    """The forms in which a document is written."""

    md = "md"
    json = "json"
    text = "text"


class DType(StrEnum):
    """The precisions in which weights can be held."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


def read(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            help="PDF files or pictures (PNG, JPEG, TIFF, WebP, GIF, BMP, PNM, JPEG 2000), folders of them with all "
            "below, http(s) addresses, or - for standard input."
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
            help="Let one engine read every page: text (a PDF's own), rapid, tesseract (if it is installed), endpoint, "
            "deepseek-ocr or a model that ships, such as nano-pages. Without it, each page is read by the engine that "
            "suits it.",
        ),
    ] = None,
    pages: Annotated[
        str | None,
        typer.Option(
            "--pages", help="Pages to read, from 1: 1-3,7 or 5-. A range goes as far as the document does."
        ),
    ] = None,
    dpi: Annotated[
        float, typer.Option("--dpi", min=18, max=1200, help="Pixels an inch at which PDF pages are drawn.")
    ] = 144,
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
            help="Published weights of DeepSeek-OCR that read scans: their folder, or their name on the hub.",
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
        str, typer.Option("--mode", help="With --weights: the size of pages, tiny, small, base, large or gundam.")
    ] = "gundam",
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", envvar="MICROFICHE_ENDPOINT",
            help="Address of an OpenAI-compatible server that reads scans, up to /v1. Its key is taken from "
            "MICROFICHE_ENDPOINT_KEY.",
        ),
    ] = None,
    endpoint_model: Annotated[
        str, typer.Option("--endpoint-model", help="Name of the model on that server.")
    ] = "deepseek-ai/DeepSeek-OCR",
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
    from microfiche.documents.reading import Request, read_to
    from microfiche.documents.writing import written

    with reported():
        limits = _limits(limit)
        sources = documents_in(files, limits, lambda line: say(one_line(line)))
        if output is None and (len(sources) > 1 or overlay or resume):
            raise UsageError("several documents, --overlay and --resume need a folder: -o DIR")
        if checkpoint or engine not in (None, "deepseek-ocr", "endpoint"):
            _refuse_unused(context, "--checkpoint" if checkpoint else f"--engine {engine}")
            weights = endpoint = None  # the environment may name them all the same
        if weights and not endpoint and jobs > 1:
            raise UsageError("each of the --jobs would hold a model of its own; with --weights, leave --jobs out")
        pictures = _pictures(engine, weights, checkpoint, adapter, device, dtype, mode, endpoint, endpoint_model, task)
        model = ""
        if checkpoint:
            model = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        elif pictures is not None:
            model = f"{weights} {mode}" if pictures.name == "deepseek-ocr" else endpoint_model
        result: list[Outcome] = []

        def each(outcome: Outcome) -> None:
            if outcome.error and len(sources) == 1:
                raise outcome.error
            if output is None:
                result.append(outcome)
            else:
                _show(outcome)

        request = Request(
            engine, pictures, task=task, model=model, pages=pages, dpi=dpi, password=password, limits=limits,
            device=device,
        )  # fmt: skip
        with _progress(sources) as standing:
            failures = read_to(
                output, sources, request, form=form, overlays=overlay, resume=resume, jobs=jobs, each=each,
                progress=standing,
            )  # fmt: skip
        for outcome in result:
            if outcome.document:
                sys.stdout.write(written(outcome.document, form))
            _show(outcome)
        if failures:
            documents = f"{len(sources)} documents were" if len(sources) > 1 else "1 document was"
            listed = ", ".join(outcome.failure for outcome in failures)
            fail(f"{len(failures)} of {documents} not read whole: {listed}", 1)


@contextmanager
def _progress(sources: Sequence[DocumentSource]) -> Iterator[Callable[[Standing], None]]:
    """Shows how far the reading of all `sources` is, in pages."""
    what = one_line(Path(sources[0].name).name) if len(sources) == 1 else "pages"
    start = time.perf_counter()
    with progress(what) as done:

        def shown(standing: Standing) -> None:
            if not standing.read:
                return
            rate = f"{standing.read / (time.perf_counter() - start):.3g} pages/s"
            if standing.documents > 1:
                rate = f"{standing.ended} of {standing.documents} documents, {rate}"
            done(standing.read, rate, standing.expected)

        yield shown


def _show(outcome: Outcome) -> None:
    """What is said on stderr about a document that was read, or could not be."""
    name, document, error = outcome.name, outcome.document, outcome.error
    if error is not None:
        say(one_line(f"microfiche: {error}"))
    if outcome.before:
        say(one_line(f"{name}: read before"))
    elif document is not None:
        for note in document.notes:
            say(one_line(f"{name}: {note}"))
        for page in document.pages:
            if page.status != "ok":
                say(one_line(f"{name}: page {page.number} {page.status}: {page.reason}"))
        say(one_line(_summary(document, outcome.seconds)))


def _refuse_unused(context: typer.Context, reader: str) -> None:
    """Raises UsageError for an option on the command line that only the published model or an endpoint takes."""
    for name in ("weights", "adapter", "dtype", "mode", "endpoint", "endpoint_model", "task"):
        if on_command_line(context, name):
            raise UsageError(f"--{name.replace('_', '-')} says how another engine reads; leave it out, or {reader}")


def _pictures(
    engine: str | None,
    weights: str | None,
    checkpoint: Path | None,
    adapter: Path | None,
    device: str,
    dtype: DType | None,
    mode: str,
    endpoint: str | None,
    endpoint_model: str,
    task: str,
) -> Engine | None:
    """The engine that reads scans, if one is configured: weights of one's own, an endpoint, or published weights."""
    from microfiche.documents.engines import CONFIGURED, EndpointEngine, ReaderEngine
    from microfiche.readers import load

    if checkpoint:
        if engine:
            raise UsageError("--checkpoint says who reads scans; leave --engine out")
        return ReaderEngine(checkpoint.stem, load(checkpoint, device))

    if endpoint and engine != "deepseek-ocr":
        return EndpointEngine(endpoint, endpoint_model, os.environ.get("MICROFICHE_ENDPOINT_KEY"), task)
    if weights:
        import torch

        from microfiche.decoder.prompts import prompt
        from microfiche.deepseek_ocr import views
        from microfiche.deepseek_ocr.checkpoint import memory
        from microfiche.devices import device_named, fast_dtype
        from microfiche.documents.engines import deepseek_engine

        prompt(task)
        views.mode(mode)
        device_named(device)
        held: torch.dtype = getattr(torch, dtype) if dtype else fast_dtype(device)
        needed = memory(dtype=held, device=device) / 1e9
        err.print(f"deepseek-ocr: {needed:.1f} GB of weights on {device}", markup=False)
        return deepseek_engine(load("deepseek-ocr", device, held, weights, adapter), mode, task)
    if adapter:
        raise UsageError("--adapter needs --weights")
    if device != "cpu" and engine in (None, "text", "rapid", "tesseract", *CONFIGURED):
        raise UsageError("--device needs --weights, or a model that ships as --engine")
    if engine in CONFIGURED or task != "markdown":
        what = f"--engine {engine}" if engine in CONFIGURED else f"--task {task}"
        raise UsageError(f"{what} needs a model: --weights FOLDER or --endpoint URL")
    return None


def _limits(given: list[str]) -> Limits:
    """The limits, with those replaced that are `given` as NAME=NUMBER."""
    from microfiche.limits import Limits

    defaults = asdict(Limits())
    changed = {}
    for one in given:
        name, _, number = one.partition("=")
        if name not in defaults or not re.fullmatch(r"[\d_]+(\.\d+)?", number):
            raise UsageError(f"--limit {one!r}: give NAME=NUMBER, NAME one of {', '.join(defaults)}")
        changed[name] = type(defaults[name])(float(number))
    return Limits(**{**defaults, **changed})


def _summary(document: Document, seconds: float) -> str:
    by = Counter(page.engine or {"ok": "blank"}.get(page.status, "not opened") for page in document.pages)
    pages = f"{len(document.pages)} page{'s' * (len(document.pages) != 1)}"
    return (f"{document.name}: {pages} in {seconds:.1f} s, read by "
            + ", ".join(f"{engine} ({count})" for engine, count in by.most_common()))
