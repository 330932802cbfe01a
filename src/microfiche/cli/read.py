"""read: documents to Markdown."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microfiche.cli.console import err, fail, progress, reported
from microfiche.errors import InputError, UsageError
from microfiche.files import whole_file

if TYPE_CHECKING:
    from microfiche.documents.document import Document
    from microfiche.documents.reading import Engine
    from microfiche.limits import Limits


class Format(StrEnum):
    """What is written."""

    md = "md"
    json = "json"
    text = "text"


class EngineName(StrEnum):
    """The engines."""

    text = "text"
    rapid = "rapid"
    deepseek = "deepseek-ocr"
    endpoint = "endpoint"


class DType(StrEnum):
    """How weights can be held."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


def read(
    files: Annotated[list[str], typer.Argument(help="PDF, PNG, JPEG, TIFF or WebP, folders or URLs of them, or -.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for NAME.md, NAME.json, NAME/figures/.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="json is always written to the folder too.")] = Format.md,
    engine: Annotated[
        EngineName | None, typer.Option("--engine", help="Read every page with it; chosen page by page if not given.")
    ] = None,
    pages: Annotated[str | None, typer.Option("--pages", help="Pages from 1: 1-3,7 or 5-.")] = None,
    dpi: Annotated[float, typer.Option("--dpi", min=18, max=1200, help="Pixels an inch at which PDF is drawn.")] = 144,
    password: Annotated[
        str | None, typer.Option("--password", envvar="MICROFICHE_PASSWORD", help="Of an encrypted PDF.")
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help="For models: markdown, ocr, free, figure, describe, locate:WORDS.")
    ] = "markdown",
    weights: Annotated[
        str | None,
        typer.Option("--weights", envvar="MICROFICHE_WEIGHTS", help="DeepSeek-OCR's folder, or its name on the hub."),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="For --weights: folder of what `train deepseek-ocr` learned.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="For --weights: cpu, cuda or mps.")] = "cpu",
    dtype: Annotated[
        DType | None, typer.Option("--dtype", help="For --weights: how they are held; what the device is fast in.")
    ] = None,
    mode: Annotated[str, typer.Option("--mode", help="For --weights: tiny, small, base, large, gundam.")] = "gundam",
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", envvar="MICROFICHE_ENDPOINT", help="OpenAI-compatible server, up to /v1."),
    ] = None,
    endpoint_model: Annotated[
        str, typer.Option("--endpoint-model", help="The model's name there.")
    ] = "deepseek-ai/DeepSeek-OCR",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each page with its blocks drawn on it.")
    ] = False,
    limit: Annotated[
        list[str], typer.Option("--limit", help="Raise a limit that an error names: pixels=200000000, pages, bytes, …")
    ] = [],  # noqa: B006
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip what an earlier run has read of the same files.")
    ] = False,
) -> None:
    """Reads documents to Markdown, each page by the best engine at hand.

    A digital PDF's own text is used where it is sound; scans are read by the endpoint or the weights if they are
    given, else by RapidOCR. The key for an endpoint comes from MICROFICHE_ENDPOINT_KEY.
    """
    from microfiche import __version__
    from microfiche.documents.opening import documents_in, open_document, page_numbers
    from microfiche.documents.overlay import overlay as drawn
    from microfiche.documents.reading import document_of, engines, leaves
    from microfiche.documents.writing import Shelf, names_for, written

    with reported():
        limits = _limits(limit)
        given = documents_in(files, limits)
        if output is None and (len(given) > 1 or overlay or resume):
            raise UsageError("several documents, --overlay and --resume need a folder: -o DIR")
        pictures = _model(engine, weights, adapter, device, dtype, mode, endpoint, endpoint_model, task)
        at_hand = engines(engine or (pictures.name if pictures and task != "markdown" else None), pictures)
        settings = {"engine": engine or "", "pages": pages or "", "dpi": f"{dpi:g}", "task": task,
                    "pictures": at_hand.pictures.name, "microfiche": __version__}
        if pictures:
            settings["model"] = f"{weights} {mode}" if pictures.name == "deepseek-ocr" else endpoint_model
        failures: list[str] = []
        for one, name in zip(given, names_for([g.name for g in given]), strict=True):
            try:
                if one.error:
                    raise InputError(f"{one.name}: {one.error}")
                with open_document(one.origin, one.name, dpi=dpi, password=password, limits=limits) as opened:
                    shelf = Shelf(output, name, opened.sha256, settings) if output else None
                    if shelf and resume and (before := shelf.finished()):
                        if not shelf.file(form).is_file():
                            shelf.write(before, form)
                        err.print(f"{one.name}: read before", markup=False)
                        continue
                    numbers = page_numbers(pages, opened.pages) if pages else range(1, opened.pages + 1)
                    begun = shelf.begun() if shelf and resume else {}
                    found = [begun[n] for n in numbers if n in begun]
                    read_now = leaves(opened, at_hand, [n for n in numbers if n not in begun])
                    start = time.perf_counter()
                    with progress(Path(one.name).name, len(numbers)) as done:
                        for leaf in shelf.kept(read_now, begun) if shelf else read_now:
                            found.append(leaf.page)
                            if output and overlay and leaf.picture:
                                file = output / name / f"overlay-{leaf.page.number:04d}.png"
                                with whole_file(file) as beside:
                                    drawn(leaf.picture, leaf.page).save(beside, "PNG")
                            fresh = len(found) - len(begun)
                            done(len(found), f"{fresh / (time.perf_counter() - start):.3g} pages/s")
                    document = document_of(opened, settings, found)
                if shelf:
                    shelf.write(document, form)
                else:
                    sys.stdout.write(written(document, form))
            except (InputError, UsageError, OSError) as error:
                if len(given) == 1:
                    raise
                failures.append(one.name)
                told = f"{one.name}: {error.strerror or error}" if isinstance(error, OSError) else error
                err.print(f"microfiche: {told}", markup=False)
                continue
            if document.failed:
                listed = ", ".join(str(page.number) for page in document.failed[:20])
                more = ", …" if len(document.failed) > 20 else ""
                failures.append(f"{one.name} (page{'s' * (len(document.failed) > 1)} {listed}{more})")
            for note in document.notes:
                err.print(f"{one.name}: {note}", markup=False)
            for page in document.pages:
                if page.status != "ok":
                    err.print(f"{one.name}: page {page.number} {page.status}: {page.reason}", markup=False)
            err.print(_summary(document, time.perf_counter() - start), markup=False)
        if failures:
            documents = f"{len(given)} documents were" if len(given) > 1 else "1 document was"
            fail(f"{len(failures)} of {documents} not read whole: {', '.join(failures)}", 1)


def _model(
    engine: EngineName | None,
    weights: str | None,
    adapter: Path | None,
    device: str,
    dtype: DType | None,
    mode: str,
    endpoint: str | None,
    endpoint_model: str,
    task: str,
) -> Engine | None:
    """The engine of the model that is asked for or configured, if any; the endpoint before the weights."""
    from microfiche.documents.engines.endpoint import EndpointEngine

    if endpoint and engine != EngineName.deepseek:
        return EndpointEngine(endpoint, endpoint_model, os.environ.get("MICROFICHE_ENDPOINT_KEY"), task)
    if weights:
        import torch

        from microfiche.decoder.prompts import prompt
        from microfiche.deepseek_ocr import views
        from microfiche.deepseek_ocr.checkpoint import memory
        from microfiche.devices import device_named, fast_dtype
        from microfiche.documents.engines.deepseek_ocr import DeepSeekEngine
        from microfiche.readers import load

        prompt(task)
        views.mode(mode)
        device_named(device)
        held: torch.dtype = getattr(torch, dtype) if dtype else fast_dtype(device)
        needed = memory(dtype=held, device=device) / 1e9
        err.print(f"deepseek-ocr: {needed:.1f} GB of weights on {device}", markup=False)
        return DeepSeekEngine(load("deepseek-ocr", device, held, weights, adapter), mode, task)
    if adapter or device != "cpu":
        raise UsageError(f"--{'adapter' if adapter else 'device'} goes with --weights")
    if engine in (EngineName.endpoint, EngineName.deepseek) or task != "markdown":
        what = f"--engine {engine}" if engine else f"--task {task}"
        raise UsageError(f"{what} needs a model: --weights FOLDER or --endpoint URL")
    return None


def _limits(given: list[str]) -> Limits:
    """The limits, those changed that are `given` as NAME=NUMBER."""
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
