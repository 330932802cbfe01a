"""PIXEL checkpoints: safetensors under the published names, Team-PIXEL/pixel-base's and ours alike.

Ours hold bfloat16, the configuration in their metadata, and no position tables where those are the computed ones. The
names are transformers 4's ViTMAE's, under which the published file has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from microfiche.devices import device_named
from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.pixel.model import BASE, Pixel, PixelConfig, positions
from microfiche.weights.stored import unfilled

FORMAT = "microfiche-pixel-1"
SHIPPED = "pixel-small"  #: the name of the one that ships
TABLES = ("encoder.places", "decoder.places")
#: The beginnings of our names → the published ones; then what stands in a block.
_PARTS = {
    "encoder.start": "vit.embeddings.cls_token",
    "encoder.places": "vit.embeddings.position_embeddings",
    "encoder.patch.": "vit.embeddings.patch_embeddings.projection.",
    "encoder.blocks.": "vit.encoder.layer.",
    "encoder.norm.": "vit.layernorm.",
    "decoder.embed.": "decoder.decoder_embed.",
    "decoder.mask": "decoder.mask_token",
    "decoder.places": "decoder.decoder_pos_embed",
    "decoder.blocks.": "decoder.decoder_layers.",
    "decoder.norm.": "decoder.decoder_norm.",
    "decoder.paint.": "decoder.decoder_pred.",
}
_BLOCK = {
    "norm1": "layernorm_before",
    "query": "attention.attention.query",
    "key": "attention.attention.key",
    "value": "attention.attention.value",
    "proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
}


def official_name(name: str) -> str:
    """The published name of a tensor of `Pixel`."""
    ours = next(part for part in _PARTS if name.startswith(part))
    rest = name.removeprefix(ours)
    if ours.endswith("blocks."):
        number, part, kind = rest.split(".")
        rest = f"{number}.{_BLOCK[part]}.{kind}"
    return _PARTS[ours] + rest


def save(model: Pixel, path: Path) -> None:
    """Writes the model to `path` in bfloat16; InputError where that cannot be written."""
    config = model.config
    state = model.state_dict()
    for name, table in tables(config).items():
        if torch.equal(state[name].float().cpu(), table):
            del state[name]
    stored = {official_name(name): value.detach().to("cpu", torch.bfloat16) for name, value in state.items()}
    head = {"microfiche": json.dumps({"format": FORMAT, "config": asdict(config)})}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(stored, head))


def load(name_or_path: str | Path = SHIPPED, device: str = "cpu", config: PixelConfig | None = None) -> Pixel:
    """The model that ships, or that in a file or folder: ours, or the published one's model.safetensors.

    float32, in evaluation mode. A file without our metadata is of `config`'s sizes, the published ones if None.
    Raises CheckpointError, naming the first offending tensor, where it is missing, damaged, or of other sizes;
    UsageError for a device that there is not.
    """
    device_named(device)
    if str(name_or_path) == SHIPPED:
        with as_file(files("microfiche.weights") / f"{SHIPPED}.safetensors") as shipped:
            if not shipped.is_file():
                raise CheckpointError(
                    f"this installation has no {SHIPPED}; train it with `microfiche train pixel` and give the file"
                )
            return load(shipped, device)
    path = _file(Path(name_or_path))
    head, found = read(path)
    stated = _config(path, head) if head else None
    with unfilled():
        model = Pixel(stated or config or BASE)
    place(model, found, path, official_name, tables(model.config) if stated else {})
    return model.to(device).eval()


def tables(config: PixelConfig) -> dict[str, Tensor]:
    """The position tables as they are computed, by our names; files of ours leave them out."""
    return {name: positions(config.patches, width) for name, width in
            zip(TABLES, (config.width, config.decoder_width), strict=True)}  # fmt: skip


def place(
    model: nn.Module, found: dict[str, Tensor], path: Path, named: Callable[[str], str], computed: dict[str, Tensor]
) -> None:
    """Puts the tensors `found` in a file, under the names that `named` gives ours, into `model`, which may be on the
    meta device; what is `computed` may be missing. CheckpointError naming the first that does not fit."""
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        key = named(name)
        one = found.pop(key, computed.get(name))
        if one is None or one.shape != value.shape or not one.is_floating_point():
            shape = tuple(value.shape)
            told = "is missing" if one is None else f"is {tuple(one.shape)} {one.dtype}, not {shape} floats"
            raise CheckpointError(f"{path}: {key} {told}")
        state[name] = one.float()
    if found:
        raise CheckpointError(f"{path}: {min(found)} belongs to no part of the model")
    model.load_state_dict(state, assign=True)


def _file(path: Path) -> Path:
    """The safetensors file that `path` means; CheckpointError if there is none."""
    if path.is_dir():
        weights = path / "model.safetensors"
        if not weights.is_file() and (path / "pytorch_model.bin").is_file():
            return _file(path / "pytorch_model.bin")
        path = weights
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there")
    if path.suffix in (".bin", ".pt", ".pth", ".ckpt"):
        raise CheckpointError(
            f"{path}: weights are read from safetensors only; convert it where you trust it: "
            'safetensors.torch.save_file(torch.load(FILE, weights_only=True), "model.safetensors")'
        )
    return path


def read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """What we wrote into a file's metadata, empty if it is another's, and its tensors."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return (file.metadata() or {}).get("microfiche", ""), tensors
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error


def _config(path: Path, written: str) -> PixelConfig:
    """The configuration that we wrote into a file; CheckpointError if it cannot be used."""
    try:
        head: dict[str, Any] = json.loads(written)
        if head["format"] != FORMAT:
            raise CheckpointError(f"{path}: not a PIXEL checkpoint of this version ({head['format']})")
        return replace(BASE, **head["config"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
