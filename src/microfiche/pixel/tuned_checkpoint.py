"""Checkpoints of fine-tuned PIXELs: encoder under the published names, head under "head.", labels in the metadata.

float32, so that a score is that of the file. Nothing in a file is evaluated.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import TypeAdapter
from safetensors.torch import save as to_bytes

from microfiche.devices import device_named
from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.pixel.checkpoint import TABLES, official_name, place, read, tables
from microfiche.pixel.heads import Pooling
from microfiche.pixel.model import PixelConfig, PixelEncoder
from microfiche.pixel.tasks import TASKS
from microfiche.pixel.tuned import LARGEST, SHORTEST, Setup, TaskName, Tuned
from microfiche.weights.stored import unfilled

FORMAT = "microfiche-pixel-tuned-1"


def save(model: Tuned, path: Path, scores: dict[str, float]) -> None:
    """Writes the model to `path`, with the `scores` it had; InputError where that cannot be written."""
    stored = {_name(name): value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    config = model.encoder.config
    if torch.equal(stored[_name(TABLES[0])], tables(config)[TABLES[0]]):
        del stored[_name(TABLES[0])]
    head = {"format": FORMAT, "config": asdict(config), "setup": asdict(model.setup), "scores": scores}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(stored, {"microfiche": json.dumps(head)}))


def load(path: Path, device: str = "cpu") -> tuple[Tuned, dict[str, float]]:
    """The model in a file, in evaluation mode, and the scores it had when it was saved.

    CheckpointError, naming what does not fit, where the file is missing, damaged or another's; UsageError for a device
    that there is not.
    """
    device_named(device)
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there")
    written, found = read(path)
    try:
        head: dict[str, Any] = json.loads(written or "{}")
        if head.get("format") != FORMAT:
            raise CheckpointError(f"{path}: no fine-tuned PIXEL of this version ({head.get('format')})")
        config, setup = PixelConfig(**head["config"]), TypeAdapter(Setup).validate_python(head["setup"])
        scores = TypeAdapter(dict[str, float]).validate_python(head["scores"])
        if setup.task not in get_args(TaskName) or setup.pooling not in get_args(Pooling):
            raise ValueError(f"no task {setup.task!r} with pooling {setup.pooling!r}")
        if not SHORTEST <= setup.longest <= LARGEST:
            raise ValueError(f"strips of {setup.longest} patches")
        with unfilled():
            model = Tuned(PixelEncoder(config), TASKS[setup.task](setup).head(config.width), setup)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    place(model, found, path, _name, tables(config))
    return model.to(device).eval(), scores


def _name(name: str) -> str:
    return official_name(name) if name.startswith("encoder.") else name
