"""read: documents to Markdown."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.console import err, fail, on_command_line, progress, reported
from microfiche.errors import UsageError

if TYPE_CHECKING:
    from microfiche.documents.document import Document
    from microfiche.documents.engines import Engine
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
        typer.Argument(help="PDF, PNG, JPEG, TIFF or WebP files, folders or URLs of them, or - for standard input."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for NAME.md, NAME.json and NAME/figures/.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="What to write; a folder always gets NAME.json too.")
    ] = Format.md,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="Who reads every page: text, rapid, endpoint, deepseek-ocr or a model that ships, such as nano-pages "
            "(default: chosen page by page).",
        ),
    ] = None,
    pages: Annotated[str | None, typer.Option("--pages", help="Pages to read, from 1: 1-3,7 or 5-.")] = None,
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
            help="Address of an OpenAI-compatible server that reads scans, up to /v1.",
        ),
    ] = None,
    endpoint_model: Annotated[
        str, typer.Option("--endpoint-model", help="Name of the model on that server.")
    ] = "deepseek-ai/DeepSeek-OCR",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each page with its blocks drawn on it.")
    ] = False,
    limit: Annotated[
        list[str],
        typer.Option("--limit", help="Raise a limit that an error message names, as in pixels=200000000."),
    ] = [],  # noqa: B006
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip what an earlier run has read of the same files.")
    ] = False,
) -> None:
    """Reads documents to Markdown, each page by the engine that suits it best.

    A digital PDF's own text is used where it is sound. Scans are read by --endpoint or --weights if one of them is
    given, and by RapidOCR otherwise. The key for an endpoint is taken from MICROFICHE_ENDPOINT_KEY.
    """
    from microfiche.documents.opening import documents_in
    from microfiche.documents.reading import Request, read_to
    from microfiche.documents.writing import written

    with reported():
        limits = _limits(limit)
        sources = documents_in(files, limits)
        if output is None and (len(sources) > 1 or overlay or resume):
            raise UsageError("several documents, --overlay and --resume need a folder: -o DIR")
        if checkpoint or engine not in (None, "deepseek-ocr", "endpoint"):
            _refuse_unused(context, "--checkpoint" if checkpoint else f"--engine {engine}")
            weights = endpoint = None  # the environment may name them all the same
        pictures = _pictures(engine, weights, checkpoint, adapter, device, dtype, mode, endpoint, endpoint_model, task)
        model = ""
        if checkpoint:
            model = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        elif pictures is not None:
            model = f"{weights} {mode}" if pictures.name == "deepseek-ocr" else endpoint_model

        def each(outcome: Outcome) -> None:
            if outcome.error and len(sources) == 1:
                raise outcome.error
            if outcome.document and not output:
                sys.stdout.write(written(outcome.document, form))
            _show(outcome)

        request = Request(
            engine, pictures, task=task, model=model, pages=pages, dpi=dpi, password=password, limits=limits,
            device=device,
        )  # fmt: skip
        failures = read_to(
            output, sources, request, form=form, overlays=overlay, resume=resume, each=each, progress=progress
        )
        if failures:
            documents = f"{len(sources)} documents were" if len(sources) > 1 else "1 document was"
            listed = ", ".join(outcome.failure for outcome in failures)
            fail(f"{len(failures)} of {documents} not read whole: {listed}", 1)


def _show(outcome: Outcome) -> None:
    """What is said on stderr about a document that was read, or could not be."""
    name, document, error = outcome.name, outcome.document, outcome.error
    if error is not None:
        said = f"{name}: {error.strerror or error}" if isinstance(error, OSError) else error
        err.print(f"microfiche: {said}", markup=False)
    if outcome.before:
        err.print(f"{name}: read before", markup=False)
    elif document is not None:
        for note in document.notes:
            err.print(f"{name}: {note}", markup=False)
        for page in document.pages:
            if page.status != "ok":
                err.print(f"{name}: page {page.number} {page.status}: {page.reason}", markup=False)
        err.print(_summary(document, outcome.seconds), markup=False)


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
    if device != "cpu" and engine in (None, "text", "rapid", *CONFIGURED):
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
