"""Checkpoints of the line decoder; each names the nano checkpoint whose tokens it reads."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path

from microfiche.decoder.moe import MoEConfig
from microfiche.nano.cells import Nano
from microfiche.nano.lines import LineDecoder
from microfiche.page import Checkpoint
from microfiche.weights.stored import made, write

FORMAT = "microfiche-lines-1"


def save(model: LineDecoder, encoder: Checkpoint, path: Path) -> None:
    """Writes the weights to `path`; `encoder` is the name and SHA-256 of the nano checkpoint they were trained on."""
    head = {"format": FORMAT, "config": asdict(model.config), "encoder": encoder.sha256,
            "seen": model.cell.in_features, "token_width": model.token.in_features}
    write(model, head, path)


def load(nano: Nano, path: Path | None = None) -> LineDecoder:
    """The line decoder for `nano`, on its device: the one that ships, or that in `path`.

    CheckpointError if it is damaged or was trained on another checkpoint's tokens.
    """
    if path is None:
        with as_file(files("microfiche.weights") / "nano-lines.safetensors") as shipped:
            return load(nano, shipped)
    model = made(
        path,
        FORMAT,
        lambda head: LineDecoder(MoEConfig(**head["config"]), head["seen"], head["token_width"]),
        nano.checkpoint,
    )
    return model.to(nano.readout.table).eval().requires_grad_(False)
