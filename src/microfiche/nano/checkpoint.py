"""Nano checkpoints, of the codec and for print: encoder and readout in one file, whose SHA-256 names it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

import torch

from microfiche.devices import device_named, fast_dtype
from microfiche.nano.cells import Nano
from microfiche.nano.first_print import NanoPrint
from microfiche.nano.model import NanoConfig, NanoModel
from microfiche.page import Checkpoint
from microfiche.weights.stored import format_of, made, write

FORMATS: dict[type[NanoModel], str] = {Nano: "microfiche-nano-1", NanoPrint: "microfiche-print-1"}
SHIPPED: dict[type[NanoModel], str] = {Nano: "nano", NanoPrint: "nano-print"}  #: their names
M = TypeVar("M", Nano, NanoPrint)


def save(model: NanoModel, path: Path) -> None:
    """Writes the model's weights to `path`."""
    write(model, {"format": FORMATS[type(model)], "config": asdict(model.config)}, path)


def load(
    kind: type[M], name_or_path: str | Path | None = None, device: str = "cpu", dtype: torch.dtype | None = None
) -> M:
    """The model of a kind that ships (its name, or None) or one from a file, ready to encode and read.

    `dtype` is bfloat16 or float32; None takes bfloat16 where the device computes in it. Raises CheckpointError,
    naming the first offending tensor, if the file is damaged or of another shape or alphabet; UsageError for a device
    that there is not.
    """
    device_named(device)
    shipped = SHIPPED[kind]
    if name_or_path is None or str(name_or_path) == shipped:
        with as_file(files("microfiche.weights") / f"{shipped}.safetensors") as path:
            return _load(kind, path, shipped, device, dtype)
    return _load(kind, Path(name_or_path), Path(name_or_path).stem, device, dtype)


def load_either(
    name_or_path: str | Path, device: str = "cpu", dtype: torch.dtype | None = None
) -> Nano | NanoPrint:
    """The same for a name or file of either kind."""
    if str(name_or_path) == SHIPPED[NanoPrint] or format_of(Path(name_or_path)) == FORMATS[NanoPrint]:
        return load(NanoPrint, name_or_path, device, dtype)
    return load(Nano, name_or_path, device, dtype)


def _load(kind: type[M], path: Path, name: str, device: str, dtype: torch.dtype | None) -> M:
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def make(head: dict[str, Any]) -> M:
        return kind(NanoConfig(**{**head["config"], "stem": tuple(head["config"]["stem"])}), Checkpoint(name, digest))

    model = made(path, FORMATS[kind], make)
    return model.to(device, dtype or fast_dtype(device)).eval().requires_grad_(False)
