"""Checkpoints of the prompted reader; each names the nano checkpoint whose tokens it reads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from microfiche.decoder.moe import MoEConfig
from microfiche.nano.model import NanoModel
from microfiche.nano.prompted import NanoReader
from microfiche.nano.prompted_decoder import Reader
from microfiche.page import Checkpoint
from microfiche.weights.stored import made, write

FORMAT = "microfiche-reader-1"


def save(model: Reader, encoder: Checkpoint, path: Path) -> None:
    """Writes the weights to `path`; `encoder` is the name and SHA-256 of the nano checkpoint they were trained on."""
    head = {"format": FORMAT, "config": asdict(model.config), "encoder": encoder.sha256,
            "token_width": model.projector.in_features}
    write(model, head, path)


def load(nano: NanoModel, path: Path) -> NanoReader:
    """The reader in `path` with `nano`, on its device; none ships (docs/reader.md).

    CheckpointError if it is damaged or was trained on another checkpoint's tokens.
    """
    model = made(path, FORMAT, lambda head: Reader(MoEConfig(**head["config"]), head["token_width"]), nano.checkpoint)
    return NanoReader(nano, model.to(nano.readout.table).eval().requires_grad_(False))
