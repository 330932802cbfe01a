"""Nano checkpoints: one safetensors file that holds weights, widths and alphabet, and nothing that is evaluated.

Matrices are stored as int8 with one fp16 scale a row, everything else as fp16. The file's SHA-256 names it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.models.nano import Nano, NanoConfig
from microfiche.typesetting.alphabet import FULL, HALF

FORMAT = "microfiche-nano-1"


def alphabet_hash() -> str:
    """SHA-256 of the alphabet, whose order the readout's classes follow."""
    return hashlib.sha256((HALF + FULL).encode()).hexdigest()


def save(model: Nano, path: Path) -> None:
    """Writes the model's weights to `path`."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        value = parameter.detach().float().cpu()
        if value.ndim >= 2 and value[0].numel() >= 16:
            scale = (value.flatten(1).abs().amax(1) / 127).clamp(min=1e-7).half()
            shape = (-1, *[1] * (value.ndim - 1))
            tensors[name] = (value / scale.float().view(shape)).round().clamp(-127, 127).to(torch.int8)
            tensors[f"{name}.scale"] = scale
        else:
            tensors[name] = value.half()
    head = {"format": FORMAT, "config": asdict(model.config), "alphabet": alphabet_hash()}
    metadata = {"microfiche": json.dumps(head)}  # one key: several are written in no fixed order
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(tensors, metadata))


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
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("microfiche", "{}"))
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a nano checkpoint of this version ({metadata.get('format')})")
    if metadata.get("alphabet") != alphabet_hash():
        raise CheckpointError(f"{path}: its alphabet is not this version's")
    try:
        fields = metadata["config"]
        config = NanoConfig(**{**fields, "stem": tuple(fields["stem"])})
        with torch.device("meta"):
            model = Nano(config, (name, digest))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    weights = {}
    for key, parameter in model.named_parameters():
        value = stored.pop(key, None)
        if value is None or value.shape != parameter.shape:
            found = "is missing" if value is None else f"is {tuple(value.shape)}, not {tuple(parameter.shape)}"
            raise CheckpointError(f"{path}: {key} {found}")
        scale = stored.pop(f"{key}.scale", None)
        value = value.float()
        weights[key] = value if scale is None else value * scale.float().view(-1, *[1] * (value.ndim - 1))
    if stored:
        raise CheckpointError(f"{path}: {min(stored)} belongs to no part of the model")
    model.load_state_dict(weights, assign=True)
    if dtype is None:
        fast = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        dtype = torch.bfloat16 if fast else torch.float32
    return model.to(device, dtype).eval().requires_grad_(False)
