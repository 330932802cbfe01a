"""Checkpoints of the lightning indexer, which name the encoder whose tokens they are for."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path

import torch

from microfiche.errors import CheckpointError
from microfiche.nano.indexer import Indexer, IndexerConfig
from microfiche.page import Checkpoint
from microfiche.weights.stored import place, read, write

FORMAT = "microfiche-index-1"
SHIPPED = "index.safetensors"


def save(model: Indexer, encoder: Checkpoint, path: Path) -> None:
    """Writes the weights, for the tokens of `encoder`, to `path`."""
    write(model, {"format": FORMAT, "config": asdict(model.config), "encoder": encoder.sha256}, path)


def load(path: Path | None, encoder: Checkpoint) -> Indexer:
    """The indexer in a file, or the one that ships; CheckpointError if there is none, or it is of another encoder."""
    if path is None:
        shipped = files("microfiche.weights") / SHIPPED
        if not shipped.is_file():
            raise CheckpointError(
                "this installation has no weights of the indexer: "
                "train them with microfiche train index, and give the file"
            )
        with as_file(shipped) as file:
            return _load(file, encoder)
    return _load(path, encoder)


def _load(path: Path, encoder: Checkpoint) -> Indexer:
    head, stored = read(path, FORMAT)
    if head.get("encoder") != encoder.sha256:
        raise CheckpointError(f"{path}: made for another encoder's tokens than {encoder}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with torch.device("meta"):
            model = Indexer(IndexerConfig(**head["config"]), Checkpoint(path.stem, digest))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    place(model, stored, path)
    return model.float().eval().requires_grad_(False)
