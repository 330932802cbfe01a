"""Checkpoints of nano for print: encoder and readout in one file, whose SHA-256 names it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from microfiche.devices import fast_dtype
from microfiche.nano.print import PrintConfig, PrintModel
from microfiche.page import Checkpoint
from microfiche.weights.stored import made, write

FORMAT = "microfiche-print-2"


def save(model: PrintModel, path: Path) -> None:
    """Writes the model's weights to `path`."""
    write(model, {"format": FORMAT, "config": asdict(model.config)}, path)


def load_model(path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> PrintModel:
    """The model in a file, which gives it its name, ready to encode and read; `dtype` as in checkpoints.nano.
    CheckpointError if the file is damaged or of another kind."""
    path = Path(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def make(head: dict[str, Any]) -> PrintModel:
        return PrintModel(PrintConfig.of(head["config"]), Checkpoint(path.stem, digest))

    model = made(path, FORMAT, make)
    return model.to(device, dtype or fast_dtype(device)).eval().requires_grad_(False)
