"""Who reads documents, and how: what the options of `read` that say so come to."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from microfiche.cli.console import err, on_command_line
from microfiche.decoder.prompts import FAMILY
from microfiche.errors import UsageError

if TYPE_CHECKING:
    from microfiche.documents.engines import Engine
    from microfiche.documents.reading import Request
    from microfiche.limits import Limits

#: The options that say how published weights, or an endpoint, read.
HOW = {
    "weights": ("adapter", "dtype", "mode", "together", "device"),
    "endpoint": ("endpoint_model", "dialect"),
}


class DType(StrEnum):
    """The precisions in which weights can be held."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"


def request_for(
    engine: str | None,
    weights: str | None,
    checkpoint: Path | None,
    adapter: Path | None,
    device: str,
    dtype: DType | None,
    mode: str,
    endpoint: str | None,
    endpoint_model: str | None,
    dialect: str | None,
    task: str,
    together: bool,
    pages: str | None,
    dpi: float | None,
    password: str | None,
    limits: Limits,
) -> Request:
    """The request that the options of `read` make; weights that they name are loaded."""
    from microfiche.documents.reading import Request

    pictures = _pictures(
        engine, weights, checkpoint, adapter, device, dtype, mode, endpoint, endpoint_model, dialect, task, together
    )
    if endpoint and engine in FAMILY:
        endpoint_model, engine = f"{endpoint_model or ''} as {engine}", "endpoint"
    model = ""
    if checkpoint:
        model = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    elif pictures is not None:
        asked = f"{endpoint_model or ''} {dialect or ''}".strip()
        model = f"{weights} {mode}{' together' * together}" if pictures.name in FAMILY else asked
    if dpi is None:
        reader = getattr(pictures, "published", pictures and pictures.name)
        dpi = 300 if reader == "unlimited-ocr" else 144
    return Request(
        engine, pictures, task=task, model=model, pages=pages, dpi=dpi, password=password, limits=limits, device=device
    )


def one_of(
    context: typer.Context, engine: str | None, weights: str | None, endpoint: str | None
) -> tuple[str | None, str | None]:
    """The weights or the endpoint that read scans, whichever the command line names, or else the environment, and None
    for the other. Raises UsageError if the command line names both, or says how another one reads."""
    named = [name for name in HOW if on_command_line(context, name)]
    if any((weights, endpoint)[name == "endpoint"] == "" for name in named):
        raise UsageError(f"--{named[0]} is given without a value")
    if len(named) > 1:
        raise UsageError("--weights and --endpoint both say who reads scans; give one of them")
    if weights and endpoint:
        reader = named[0] if named else "weights" if engine in FAMILY else "endpoint"
        weights, endpoint = (weights, None) if reader == "weights" else (None, endpoint)
    chosen = "weights" if weights else "endpoint" if endpoint else None
    for other, options in HOW.items():
        for option in options if other != chosen else ():
            if on_command_line(context, option) and (chosen or option != "device"):
                flag = f"--{option.replace('_', '-')}"
                way = f"goes with --{other}; leave it out, or leave --{chosen} out"
                raise UsageError(f"{flag} {way if chosen else f'needs --{other}'}")
    return weights, endpoint


def _pictures(
    engine: str | None,
    weights: str | None,
    checkpoint: Path | None,
    adapter: Path | None,
    device: str,
    dtype: DType | None,
    mode: str,
    endpoint: str | None,
    endpoint_model: str | None,
    dialect: str | None,
    task: str,
    together: bool,
) -> Engine | None:
    """The engine that reads scans, if one is configured: weights of one's own, an endpoint, or published weights."""
    from microfiche.documents.engines import CONFIGURED, EndpointEngine, ReaderEngine
    from microfiche.readers import load

    if checkpoint:
        if engine:
            raise UsageError("--checkpoint says who reads scans; leave --engine out")
        return ReaderEngine(checkpoint.stem, load(checkpoint, device))

    known = next((name for name in FAMILY if name == engine), None)
    if endpoint:
        key = os.environ.get("MICROFICHE_ENDPOINT_KEY")
        return EndpointEngine(endpoint, endpoint_model, key, task, dialect=dialect, known=known)
    if weights:
        import torch

        from microfiche.decoder.prompts import prompt
        from microfiche.deepseek_ocr import views
        from microfiche.deepseek_ocr.checkpoint import described_by, folder_of, memory
        from microfiche.deepseek_ocr.family import MODELS
        from microfiche.devices import device_named, fast_dtype
        from microfiche.documents.engines import deepseek_engine

        prompt(task)
        views.mode(mode)  # DeepSeek-OCR knows every mode and task that the others know
        device_named(device)
        folder = folder_of(weights, known)
        name = described_by(folder, known)
        held: torch.dtype = getattr(torch, dtype) if dtype else fast_dtype(device)
        needed = memory(MODELS[name].config, held, device) / 1e9
        err.print(f"{name}: {needed:.1f} GB of weights on {device}", markup=False)
        return deepseek_engine(load(name, device, held, folder, adapter), mode, task, together)
    if device != "cpu" and engine in (None, "text", "rapid", "tesseract", *CONFIGURED):
        raise UsageError("--device needs --weights, or a model that ships as --engine")
    if engine in CONFIGURED or task != "markdown":
        what = f"--engine {engine}" if engine in CONFIGURED else f"--task {task}"
        raise UsageError(f"{what} needs a model: --weights FOLDER or --endpoint URL")
    return None


def limits_given(given: list[str], usual: Limits | None = None) -> Limits:
    """The `usual` limits, or those of the library, with those replaced that are `given` as NAME=NUMBER."""
    from microfiche.limits import Limits

    defaults = asdict(usual or Limits())
    changed = {}
    for one in given:
        name, _, number = one.partition("=")
        if name not in defaults or not re.fullmatch(r"[\d_]+(\.\d+)?", number):
            raise UsageError(f"--limit {one!r}: give NAME=NUMBER, NAME one of {', '.join(defaults)}")
        changed[name] = type(defaults[name])(float(number))
    return Limits(**{**defaults, **changed})
