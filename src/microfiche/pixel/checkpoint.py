"""Checkpoints of PIXEL, pretrained and fine-tuned: safetensors with the names of Team-PIXEL/pixel-base.

The names are those of ViTMAE in transformers 4. Our pretrained files are bfloat16, with the configuration in their
metadata and without position tables that can be computed. Fine-tuned ones are float32, so that a score is that of the
file, with the head under "head." and the labels in the metadata. Nothing in a file is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from microfiche.devices import device_named
from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.pixel.heads import Pooling
from microfiche.pixel.model import BASE, Pixel, PixelConfig, PixelEncoder, positions
from microfiche.pixel.published import UNUSED, described, published_name
from microfiche.pixel.tasks import head_of
from microfiche.pixel.tuned import LARGEST, SHORTEST, Setup, TaskName, Tuned
from microfiche.weights import shipped
from microfiche.weights.stored import unfilled

FORMAT, TUNED_FORMAT = "microfiche-pixel-1", "microfiche-pixel-tuned-1"
SHIPPED = "pixel-small"  #: the name of the checkpoint in the package
_TABLES = ("encoder.places", "decoder.places")
#: How our names begin → how the published ones do; and the same for the names within a block.
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
    """Writes a model to `path` in bfloat16. Raises InputError if that cannot be written."""
    config = model.config
    state = model.state_dict()
    for name, table in _tables(config).items():
        if torch.equal(state[name].float().cpu(), table):
            del state[name]
    stored = {official_name(name): value.detach().to("cpu", torch.bfloat16) for name, value in state.items()}
    head = {"microfiche": json.dumps({"format": FORMAT, "config": asdict(config)})}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(stored, head))


def load(name_or_path: str | Path = SHIPPED, device: str = "cpu", config: PixelConfig | None = None) -> Pixel:
    """The model in the package ("pixel-small"), in a file, or in a folder with a model.safetensors: ours or the
    published one. It is float32 and in evaluation mode.

    A file without our metadata must have the sizes of `config`, the published ones if None. Raises CheckpointError,
    which names the first tensor that does not fit, for a file that is missing, damaged or of other sizes; UsageError
    for a device that does not exist.
    """
    device_named(device)
    path = shipped(SHIPPED) if str(name_or_path) == SHIPPED else _file(Path(name_or_path))
    head, found = _read(path)
    stated = _config(path, head) if head else None
    with unfilled():
        model = Pixel(stated or config or BASE)
    _place(model, found, path, official_name, _tables(model.config) if stated else {})
    return model.to(device).eval()


def save_tuned(model: Tuned, path: Path, scores: dict[str, float]) -> None:
    """Writes a fine-tuned model and its `scores` to `path`. Raises InputError if that cannot be written."""
    stored = {_tuned_name(name): value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    config = model.encoder.config
    if torch.equal(stored[_tuned_name(_TABLES[0])], _tables(config)[_TABLES[0]]):
        del stored[_tuned_name(_TABLES[0])]
    head = {"format": TUNED_FORMAT, "config": asdict(config), "setup": asdict(model.setup), "scores": scores}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(stored, {"microfiche": json.dumps(head)}))


def load_tuned(path: Path, device: str = "cpu") -> tuple[Tuned, dict[str, float]]:
    """The fine-tuned model in a file, or in the model.safetensors of a folder, in evaluation mode, and the scores that
    it was saved with; or a published one, whose config.json is beside it, with no scores.

    Raises CheckpointError, which names what does not fit, for a file that is missing, damaged or something else;
    UsageError for a device that does not exist.
    """
    device_named(device)
    path = _file(path)
    written, found = _read(path)
    if not written:
        return _published(path, found).to(device).eval(), {}
    try:
        head: dict[str, Any] = json.loads(written)
        if head.get("format") != TUNED_FORMAT:
            raise CheckpointError(f"{path}: not a fine-tuned PIXEL of this version ({head.get('format')})")
        config, setup = PixelConfig(**head["config"]), TypeAdapter(Setup).validate_python(head["setup"])
        scores = TypeAdapter(dict[str, float]).validate_python(head["scores"])
        if setup.task not in get_args(TaskName) or setup.pooling not in get_args(Pooling):
            raise ValueError(f"no task {setup.task!r} with pooling {setup.pooling!r}")
        if not SHORTEST <= setup.longest <= LARGEST:
            raise ValueError(f"strips of {setup.longest} patches")
        with unfilled():
            model = Tuned(PixelEncoder(config), head_of(setup, config.width), setup)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    _place(model, found, path, _tuned_name, _tables(config))
    return model.to(device).eval(), scores


def _tuned_name(name: str) -> str:
    return official_name(name) if name.startswith("encoder.") else name


def _published(path: Path, found: dict[str, Tensor]) -> Tuned:
    """The published fine-tuned model whose tensors were `found` in a file."""
    config, setup = described(path, found)
    with unfilled():
        model = Tuned(PixelEncoder(config), head_of(setup, config.width), setup)
    if setup.pooling == "cls":
        found = {name: tensor for name, tensor in found.items() if not name.startswith(UNUSED)}
    elif setup.task != "parse":
        found = {name: tensor for name, tensor in found.items() if not name.startswith("vit.pooler.")}
    _place(model, found, path, lambda name: (published_name if name.startswith("head.") else official_name)(name), {})
    return model


def _tables(config: PixelConfig) -> dict[str, Tensor]:
    """The computed position tables by our names; our files leave them out."""
    return {name: positions(config.patches, width) for name, width in
            zip(_TABLES, (config.width, config.decoder_width), strict=True)}  # fmt: skip


def _place(
    model: nn.Module, found: dict[str, Tensor], path: Path, named: Callable[[str], str], computed: dict[str, Tensor]
) -> None:
    """Puts the tensors `found` in a file into `model`, which may be on the meta device. `named` translates our names
    into the file's; tensors that are `computed` may be missing. CheckpointError names the first that does not fit."""
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
    """The safetensors file that `path`, a file or folder, means; CheckpointError if there is none."""
    if path.is_dir():
        weights = path / "model.safetensors"
        if not weights.is_file() and (path / "pytorch_model.bin").is_file():
            return _file(path / "pytorch_model.bin")
        path = weights
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there")
    if path.suffix in (".bin", ".pt", ".pth", ".ckpt"):
        raise CheckpointError(
            f"{path}: weights are read from safetensors only; if you trust the file, convert it: "
            'safetensors.torch.save_file(torch.load(FILE, weights_only=True), "model.safetensors")'
        )
    return path


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Our part of a file's metadata, empty if the file is not ours, and its tensors."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return (file.metadata() or {}).get("microfiche", ""), tensors
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error


def _config(path: Path, written: str) -> PixelConfig:
    """The configuration in our part of a file's metadata; CheckpointError if it cannot be used."""
    try:
        head: dict[str, Any] = json.loads(written)
        if head["format"] != FORMAT:
            raise CheckpointError(f"{path}: not a PIXEL checkpoint of this version ({head['format']})")
        return replace(BASE, **head["config"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
