"""The published DeepSeek-OCR checkpoint: loads its tensors, under their own names, into our modules one at a time.

All names, shapes and byte ranges are checked before the first tensor is mapped. Each tensor then goes straight from the
file to its place, so memory holds the model once, plus the largest tensor.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch import Tensor

from microfiche.deepseek_ocr.adapter import WEIGHTS, Adapter
from microfiche.deepseek_ocr.int8 import hold_in_int8, quantised
from microfiche.deepseek_ocr.model import DeepSeekOCR, DeepSeekOCRConfig
from microfiche.devices import device_named, fast_dtype, free_memory
from microfiche.errors import CheckpointError, UsageError
from microfiche.files import whole_file
from microfiche.page import Checkpoint
from microfiche.weights.tensors import FLOATS, Stored, first, header, whole, write

HUB = "deepseek-ai/DeepSeek-OCR"
NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  #: the name of a repository on the hub
INDEX = "model.safetensors.index.json"
ROWS_AT_ONCE = 4096  #: rows that are converted to int8 at a time
HASHED = 4096  #: bytes at the beginning of each tensor that identify the weights
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the checkpoint goes: to `parameter`, or to its matrix `expert`, or to the rows of that from
    `rows[0]` up to `rows[1]`. If `parameter` is None, the checkpoint has the tensor but no computation uses it."""

    shape: tuple[int, ...]
    parameter: str | None
    expert: int | None = None
    rows: tuple[int, int] | None = None


def slots(config: DeepSeekOCRConfig) -> dict[str, Slot]:
    """Returns the Slot of every tensor of a checkpoint of these sizes, by its published name."""
    return dict(chain(_sam(config), _clip(config), _around(config), _decoder(config)))


def official_tensors(config: DeepSeekOCRConfig | None = None) -> dict[str, tuple[int, ...]]:
    """Returns the name and shape of every tensor; by default, the 2,710 tensors of the published 3B checkpoint."""
    return {name: slot.shape for name, slot in slots(config or DeepSeekOCRConfig()).items()}


def _layer_norm(official: str, ours: str, width: int) -> Iterator[tuple[str, Slot]]:
    for part in ("weight", "bias"):
        yield f"{official}.{part}", Slot((width,), f"{ours}.{part}")


def _linear(official: str, ours: str, out: int, width: int) -> Iterator[tuple[str, Slot]]:
    yield f"{official}.weight", Slot((out, width), f"{ours}.weight")
    yield f"{official}.bias", Slot((out,), f"{ours}.bias")


def _sam(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    c, theirs, ours = config.sam, "model.sam_model", "encoder.sam"

    def same(name: str, *shape: int) -> tuple[str, Slot]:
        return f"{theirs}.{name}", Slot(shape, f"{ours}.{name}")

    yield same("pos_embed", 1, c.grid, c.grid, c.width)
    yield same("patch_embed.proj.weight", c.width, 3, c.patch, c.patch)
    yield same("patch_embed.proj.bias", c.width)
    for i in range(c.layers):
        side = c.grid if i in c.global_layers else c.window
        for norm in ("norm1", "norm2"):
            yield from _layer_norm(f"{theirs}.blocks.{i}.{norm}", f"{ours}.blocks.{i}.{norm}", c.width)
        for name, out, width in (
            ("attn.qkv", 3 * c.width, c.width),
            ("attn.proj", c.width, c.width),
            ("mlp.lin1", c.mlp, c.width),
            ("mlp.lin2", c.width, c.mlp),
        ):
            yield from _linear(f"{theirs}.blocks.{i}.{name}", f"{ours}.blocks.{i}.{name}", out, width)
        for axis in "hw":
            yield same(f"blocks.{i}.attn.rel_pos_{axis}", 2 * side - 1, c.width // c.heads)
    yield same("neck.0.weight", c.neck, c.width, 1, 1)
    yield same("neck.2.weight", c.neck, c.neck, 3, 3)
    for norm in ("neck.1", "neck.3"):
        yield from _layer_norm(f"{theirs}.{norm}", f"{ours}.{norm}", c.neck)
    yield same("net_2.weight", c.out[0], c.neck, 3, 3)
    yield same("net_3.weight", c.out[1], c.out[0], 3, 3)


def _clip(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    c, theirs, ours = config.clip, "model.vision_model", "encoder.clip"
    yield f"{theirs}.embeddings.class_embedding", Slot((c.width,), f"{ours}.embeddings.class_embedding")
    yield f"{theirs}.embeddings.patch_embedding.weight", Slot((c.width, 3, 14, 14), None)
    position = "embeddings.position_embedding.weight"
    yield f"{theirs}.{position}", Slot((c.grid**2 + 1, c.width), f"{ours}.{position}")
    yield from _layer_norm(f"{theirs}.pre_layrnorm", f"{ours}.pre_layrnorm", c.width)
    for i in range(c.layers):
        layer = f"transformer.layers.{i}"
        for norm in ("layer_norm1", "layer_norm2"):
            yield from _layer_norm(f"{theirs}.{layer}.{norm}", f"{ours}.{layer}.{norm}", c.width)
        for name, out, width in (
            ("self_attn.qkv_proj", 3 * c.width, c.width),
            ("self_attn.out_proj", c.width, c.width),
            ("mlp.fc1", c.mlp, c.width),
            ("mlp.fc2", c.width, c.mlp),
        ):
            yield from _linear(f"{theirs}.{layer}.{name}", f"{ours}.{layer}.{name}", out, width)


def _around(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    width, vocabulary = config.decoder.width, config.decoder.vocabulary
    yield from _linear("model.projector.layers", "encoder.projector", width, config.clip.width + config.sam.out[1])
    yield "model.image_newline", Slot((width,), "encoder.newline")
    yield "model.view_seperator", Slot((width,), "encoder.separator")  # spelled as the checkpoint spells it
    yield "model.embed_tokens.weight", Slot((vocabulary, width), "decoder.embed_tokens.weight")
    yield "model.norm.weight", Slot((width,), "decoder.norm.weight")
    yield "lm_head.weight", Slot((vocabulary, width), "decoder.lm_head.weight")


def _decoder(config: DeepSeekOCRConfig) -> Iterator[tuple[str, Slot]]:
    c = config.decoder
    d = c.width
    for i in range(c.layers):
        theirs, ours = f"model.layers.{i}", f"decoder.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{theirs}.{norm}.weight", Slot((d,), f"{ours}.{norm}.weight")
        for j, name in enumerate("qkv"):
            slot = Slot((d, d), f"{ours}.self_attn.qkv.weight", rows=(j * d, (j + 1) * d))
            yield f"{theirs}.self_attn.{name}_proj.weight", slot
        yield f"{theirs}.self_attn.o_proj.weight", Slot((d, d), f"{ours}.self_attn.o_proj.weight")
        if i < c.dense_layers:
            yield from _gated(f"{theirs}.mlp", f"{ours}.mlp", d, c.dense)
            continue
        yield f"{theirs}.mlp.gate.weight", Slot((c.experts, d), f"{ours}.mlp.gate")
        yield from _gated(f"{theirs}.mlp.shared_experts", f"{ours}.mlp.shared_experts", d, c.shared * c.expert)
        for expert in range(c.experts):
            yield from _gated(f"{theirs}.mlp.experts.{expert}", f"{ours}.mlp.experts", d, c.expert, expert)


def _gated(
    official: str, ours: str, width: int, hidden: int, expert: int | None = None
) -> Iterator[tuple[str, Slot]]:
    shape = (hidden, width)
    yield f"{official}.gate_proj.weight", Slot(shape, f"{ours}.gate_up.weight", expert, (0, hidden))
    yield f"{official}.up_proj.weight", Slot(shape, f"{ours}.gate_up.weight", expert, (hidden, 2 * hidden))
    yield f"{official}.down_proj.weight", Slot((width, hidden), f"{ours}.down.weight", expert)


def load(
    path: str | Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    config: DeepSeekOCRConfig | None = None,
    adapter: str | Path | None = None,
) -> DeepSeekOCR:
    """Loads the model from `path`, a folder or a name on the hub (OWNER/NAME; None means the published one). A name is
    first looked up in the hub's local cache.

    `dtype` is float32, bfloat16, or int8, which keeps the matrices in int8; None chooses bfloat16 if the device
    computes in it. `adapter` is a folder with a low-rank adapter that is added to the weights while they are read.
    Raises CheckpointError, with the first wrong tensor or file, if the checkpoint is damaged or has another shape.
    Raises UsageError if there is no such device, or if its free memory is too small; the message says how much is
    needed.
    """
    device_named(device)
    config = config or DeepSeekOCRConfig()
    folder = _folder(HUB if path is None else path)
    dtype = dtype or fast_dtype(device)
    if dtype not in (torch.float32, torch.bfloat16, torch.int8):
        raise UsageError(f"deepseek-ocr: {dtype} is not one of float32, bfloat16, int8")
    expected = slots(config)
    stored = _checked(folder, expected)
    model = _empty(config, _tokenizer(folder, config), dtype, device)
    model.checkpoint = _identity(stored.values(), None if adapter is None else Path(adapter))
    learned = Adapter.read(Path(adapter), model) if adapter is not None else None
    _room(model, device)
    model.to_empty(device=device)
    places = dict(model.named_parameters())
    for name in sorted(expected, key=lambda name: (stored[name].file, stored[name].begin)):
        slot = expected[name]
        if slot.parameter is not None:
            tensor = stored[name].mapped()
            change = learned.change(slot.parameter, slot.expert, slot.rows) if learned else None
            _place(tensor if change is None else tensor.float() + change, slot, places)
    return model.eval()


def save(model: DeepSeekOCR, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes `folder`/model.safetensors under the published names, and tokenizer.json, for `load` or any other program.

    CLIP's patch convolution, which the checkpoint has but no computation uses, is written as zeros. If the model is
    sharded, all processes that hold a part must call this. Raises UsageError for a model in int8.
    """
    places = dict(model.named_parameters())
    if any(parameter.dtype is torch.int8 for parameter in places.values()):
        raise UsageError("deepseek-ocr: a model in int8 cannot be saved; load it in bfloat16 or float32")
    expected = slots(model.config)

    def values() -> Iterator[Tensor]:
        name, gathered = "", torch.empty(0)
        for slot in expected.values():
            if slot.parameter is None:
                yield torch.zeros(slot.shape)
                continue
            if slot.parameter != name:
                name, gathered = slot.parameter, whole(places[slot.parameter]).detach()
            yield _part(gathered, slot)

    write(folder / "model.safetensors", {name: (dtype, slot.shape) for name, slot in expected.items()}, values())
    if first():
        with whole_file(folder / "tokenizer.json") as beside:
            model.tokenizer.save(str(beside))


def empty(config: DeepSeekOCRConfig | None = None) -> DeepSeekOCR:
    """Builds the model of these sizes without memory for its weights, to count them."""
    return _empty(config or DeepSeekOCRConfig(), Tokenizer(BPE()), torch.float32, "cpu")


def memory(
    config: DeepSeekOCRConfig | None = None, dtype: torch.dtype = torch.bfloat16, device: str = "cpu"
) -> int:
    """Returns how many bytes the weights take in memory once they are loaded."""
    return _bytes(_empty(config or DeepSeekOCRConfig(), Tokenizer(BPE()), dtype, device))


def _bytes(model: DeepSeekOCR) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _empty(config: DeepSeekOCRConfig, tokenizer: Tokenizer, dtype: torch.dtype, device: str) -> DeepSeekOCR:
    """Builds the model without memory for its weights."""
    with torch.device("meta"):
        model = DeepSeekOCR(config, tokenizer).to(fast_dtype(device) if dtype is torch.int8 else dtype)
        if dtype is torch.int8:
            hold_in_int8(model)
    return model.requires_grad_(False)


@torch.no_grad()
def _place(tensor: Tensor, slot: Slot, places: Mapping[str, Tensor]) -> None:
    name = slot.parameter or ""
    target = _part(places[name], slot)
    if target.dtype is not torch.int8:
        target.copy_(tensor)
        return
    scale = _part(places[f"{name.removesuffix('weight')}scale"], slot)
    for top in range(0, len(tensor), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        values, scales = quantised(tensor[rows].to(target.device))
        target[rows] = values
        scale[rows] = scales


def _part(parameter: Tensor, slot: Slot) -> Tensor:
    matrix = parameter if slot.expert is None else parameter[slot.expert]
    return matrix[slice(*(slot.rows or (None,)))]


def _folder(path: str | Path) -> Path:
    """Returns `path` itself if it is a folder or cannot be a name on the hub; otherwise downloads what the hub has
    under that name."""
    name = str(path)
    if Path(path).exists() or not NAME.fullmatch(name):
        return Path(path)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise CheckpointError(
            f"deepseek-ocr: no folder {name}; give the weights' folder, or `pip install huggingface_hub` to fetch them"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=["*.safetensors", INDEX, "tokenizer.json"]))
    except Exception as error:  # the hub's errors derive from OSError or ValueError
        raise CheckpointError(f"deepseek-ocr: {name} cannot be fetched ({str(error).splitlines()[0]})") from error


def _tokenizer(folder: Path, config: DeepSeekOCRConfig) -> Tokenizer:
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(f"{path}: not a tokenizer ({error})") from error
    if tokenizer.token_to_id("<image>") != config.image:
        raise CheckpointError(f"{path}: <image> is {tokenizer.token_to_id('<image>')}, not {config.image}")
    return tokenizer


def _identity(stored: Iterable[Stored], adapter: Path | None) -> Checkpoint:
    """Identifies weights whose files are too large to hash whole at each load: the SHA-256 of the dtype, shape and
    first bytes of every tensor, and of an adapter's file."""
    digest = hashlib.sha256()
    for tensor in sorted(stored, key=lambda tensor: (tensor.file, tensor.begin)):
        with tensor.file.open("rb") as file:
            file.seek(tensor.begin)
            digest.update(f"{tensor.dtype} {tensor.shape}".encode() + file.read(min(HASHED, tensor.size)))
    if adapter is not None and (adapter / WEIGHTS).is_file():
        digest.update((adapter / WEIGHTS).read_bytes())
    return Checkpoint("deepseek-ocr", digest.hexdigest())


def _room(model: DeepSeekOCR, device: str) -> None:
    needed = _bytes(model)
    free = free_memory(device)
    log.info("deepseek-ocr needs %.1f GB on %s", needed / 1e9, device)
    if free is not None and needed > free:
        raise UsageError(
            f"deepseek-ocr needs {needed / 1e9:.1f} GB on {device}, {free / 1e9:.1f} GB are free; "
            f"dtype=torch.int8 needs about {memory(model.config, torch.int8) / 1e9:.1f} GB"
        )


def _checked(folder: Path, expected: dict[str, Slot]) -> dict[str, Stored]:
    """Returns every tensor in the files. Raises CheckpointError unless they are exactly the expected ones, complete and
    of the right shape."""
    stored = {name: tensor for path in _files(folder) for name, tensor in header(path).items()}
    for name, slot in expected.items():
        if name not in stored:
            raise CheckpointError(f"{folder}: {name} is missing")
        found = stored[name]
        if found.shape != slot.shape:
            raise CheckpointError(f"{found.file}: {name} is {found.shape}, not {slot.shape}")
        if found.dtype not in FLOATS:
            raise CheckpointError(f"{found.file}: {name} is of type {found.dtype}, not one of {', '.join(FLOATS)}")
        if not found.whole or found.size != prod(slot.shape) * FLOATS[found.dtype].itemsize:
            raise CheckpointError(f"{found.file}: {name} is cut off, the file is not whole")
    if extra := sorted(stored.keys() - expected.keys()):
        raise CheckpointError(f"{stored[extra[0]].file}: {extra[0]} belongs to no part of the model")
    return stored


def _files(folder: Path) -> list[Path]:
    """Returns the files of a checkpoint: those that its index names, or all there are."""
    index = folder / INDEX
    if not index.is_file():
        if files := sorted(folder.glob("*.safetensors")):
            return files
        raise CheckpointError(f"{folder}: no checkpoint there (a folder with *.safetensors and tokenizer.json)")
    try:
        parts: dict[str, str] = json.loads(index.read_bytes())["weight_map"]
        named = {name: folder / Path(part).name for name, part in parts.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: not an index of safetensors files") from error
    for name, file in named.items():
        if not file.is_file():
            raise CheckpointError(f"{file}: not there, and {name} should be in it")
    return sorted(set(named.values()))
