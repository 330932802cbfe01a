"""Nano checkpoints: encoder and readout in one file, whose SHA-256 names it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path

import torch

from microfiche.checkpoints.stored import place, read, write
from microfiche.errors import CheckpointError
from microfiche.models.devices import fast_dtype
from microfiche.models.nano import Nano, NanoConfig

FORMAT = "microfiche-nano-1"


def save(model: Nano, path: Path) -> None:
    """Writes the model's weights to `path`."""
    write(model, {"format": FORMAT, "config": asdict(model.config)}, path)


def load(name_or_path: str | Path = "nano", device: str = "cpu", dtype: torch.dtype | None = None) -> Nano:
    """The model that ships ("nano") or one from a file, ready to encode and read.

    `dtype` is bfloat16 or float32; None takes bfloat16 where the device computes in it. Raises CheckpointError,
    naming the first offending tensor, if the file is damaged or of another shape or alphabet.
    """
    if str(name_or_path) == "nano":
        with as_file(files(__package__) / "weights" / "nano.safetensors") as path:
            return _load(path, "nano", device, dtype)
    return _load(Path(name_or_path), Path(name_or_path).stem, device, dtype)


def _load(path: Path, name: str, device: str, dtype: torch.dtype | None) -> Nano:
    head, stored = read(path, FORMAT)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        config = NanoConfig(**{**head["config"], "stem": tuple(head["config"]["stem"])})
        with torch.device("meta"):
            model = Nano(config, (name, digest))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    place(model, stored, path)
    return model.to(device, dtype or fast_dtype(device)).eval().requires_grad_(False)
