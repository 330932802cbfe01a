"""Checkpoints of the published family: finds out which model a folder holds, and loads its tensors, under their own
names, into our modules one at a time.

All names, shapes and byte ranges are checked before the first tensor is mapped. Each tensor then goes straight from the
file to its place, so memory holds the model once, plus the largest tensor.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, prod
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch import Tensor

from microfiche.decoder.prompts import ModelName
from microfiche.deepseek_ocr.adapter import WEIGHTS, Adapter
from microfiche.deepseek_ocr.configuration import CONFIG, check_described, described, said_in, written
from microfiche.deepseek_ocr.family import MODELS, NAMES, DeepSeekOCRConfig, candidates
from microfiche.deepseek_ocr.int8 import hold_in_int8, quantised
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.shards import INDEX, SINGLE, check, index_of, stored_in
from microfiche.deepseek_ocr.slots import Slot, slots
from microfiche.devices import device_named, fast_dtype, free_memory
from microfiche.errors import CheckpointError, UsageError
from microfiche.files import whole_file
from microfiche.page import Checkpoint
from microfiche.weights.tensors import Stored, first, json_of, whole, write

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  #: the name of a repository on the hub
TOKENIZER = "tokenizer.json"
ROWS_AT_ONCE = 4096  #: rows that are converted to int8 at a time
ADAPTED: ModelName = "deepseek-ocr"  #: the model that adapters are trained for; the others' decoders have its shapes
HASHED = 4096  #: bytes at the beginning of each tensor that identify the weights
log = logging.getLogger(__name__)


def load(
    path: str | Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    config: DeepSeekOCRConfig | None = None,
    adapter: str | Path | None = None,
    name: ModelName | None = None,
) -> DeepSeekOCR:
    """Loads a model from `path`, a folder or a name on the hub (OWNER/NAME; None means the one published under `name`).
    A name is first looked up in the hub's local cache.

    `name` is the model's in `MODELS`, and `config` other sizes of it; without either, the folder decides, see
    `described_by`. `dtype` is float32, bfloat16, float16 (for devices that have no bfloat16), or int8, which keeps the
    matrices in int8; None chooses bfloat16 if the device computes in it. `adapter` is a folder with a low-rank adapter
    of DeepSeek-OCR that is added to the weights while they are read.

    Raises CheckpointError, with the first wrong tensor or file, if the checkpoint is damaged, has another shape or
    belongs to another model. Raises UsageError if there is no such device, or if its free memory is too small; the
    message says how much is needed.
    """
    device_named(device)
    name = config.name if config else name
    folder = folder_of(path, name)
    name = described_by(folder, name)
    config = config or MODELS[name].config
    if adapter is not None and config.name != ADAPTED:
        raise CheckpointError(f"{adapter}: an adapter of {ADAPTED}, and {folder} is {config.name}; read without it")
    dtype = dtype or fast_dtype(device)
    if dtype not in (torch.float32, torch.bfloat16, torch.float16, torch.int8):
        raise UsageError(f"{config.name}: {dtype} is not one of float32, bfloat16, float16, int8")
    expected = slots(config)
    stored = _checked(folder, expected, config)
    model = _empty(config, _tokenizer(folder, config), dtype, device)
    model.checkpoint = _identity(config.name, stored.values(), None if adapter is None else Path(adapter))
    learned = Adapter.read(Path(adapter), model) if adapter is not None else None
    _room(model, device)
    model.to_empty(device=device)
    places = dict(model.named_parameters())
    used = [key for key in stored if key in expected]
    for key in sorted(used, key=lambda key: (stored[key].file, stored[key].begin)):
        slot = expected[key]
        if slot.parameter is not None:
            tensor = stored[key].mapped()
            change = learned.change(slot.parameter, slot.expert, slot.rows) if learned else None
            tensor = tensor if change is None else tensor.float() + change
            _refuse_unholdable(tensor, places[slot.parameter].dtype, f"{stored[key].file}: {key}")
            _place(tensor, slot, places)
    return model.eval()


def save(model: DeepSeekOCR, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes `folder`/model.safetensors under the published names, config.json and tokenizer.json, for `load` or any
    other program. A config.json that already describes the model stays, and an index that is there is written anew, so
    that nobody reads the shards of an older checkpoint.

    CLIP's patch convolution, which the checkpoint has but no computation uses, is written as zeros. If the model is
    sharded, all processes that hold a part must call this. Raises UsageError for a model in int8.
    """
    places = dict(model.named_parameters())
    if any(parameter.dtype is torch.int8 for parameter in places.values()):
        raise UsageError(f"{model.config.name}: a model in int8 cannot be saved; load it in bfloat16 or float32")
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

    write(folder / SINGLE, {name: (dtype, slot.shape) for name, slot in expected.items()}, values())
    if not first():
        return
    with whole_file(folder / TOKENIZER) as beside:
        model.tokenizer.save(str(beside))
    if not _describes(folder, model.config):
        with whole_file(folder / CONFIG) as beside:
            beside.write_text(json.dumps(written(model.config, dtype), indent=2) + "\n")
    if len(list(folder.glob("*.safetensors"))) > 1 or os.path.lexists(folder / INDEX):
        size = sum(prod(slot.shape) for slot in expected.values()) * dtype.itemsize
        with whole_file(folder / INDEX) as beside:
            beside.write_text(index_of(expected, size))


def _describes(folder: Path, config: DeepSeekOCRConfig) -> bool:
    """Whether the config.json in a folder describes a model of these sizes, and by its architecture."""
    try:
        said = said_in(folder)
        if said is None or described(said, folder / CONFIG) != config.name:
            return False
        check_described(said, config, folder / CONFIG)
    except CheckpointError:
        return False
    return True


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


def _refuse_unholdable(tensor: Tensor, dtype: torch.dtype, where: str) -> None:
    """Raises CheckpointError if a tensor has values that are no numbers, or too large for the dtype that is to hold
    them."""
    for rows in torch.split(tensor, ROWS_AT_ONCE):
        low, high = (float(end) for end in torch.aminmax(rows))
        if not (isfinite(low) and isfinite(high)):
            raise CheckpointError(f"{where} holds {low if not isfinite(low) else high}; these weights are damaged")
        if dtype.is_floating_point and (most := max(-low, high)) > torch.finfo(dtype).max:
            raise CheckpointError(f"{where} holds {most:g}, more than {dtype} can; take float32 or bfloat16")


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


def folder_of(path: str | Path | None, name: ModelName | None = None) -> Path:
    """Returns `path` itself if it is a folder or cannot be a name on the hub; otherwise downloads what the hub has
    under that name, or, if it is None, what was published as the model `name` (by default deepseek-ocr). Raises
    CheckpointError if it cannot be fetched."""
    asked = str(MODELS[name or "deepseek-ocr"].hub if path is None else path)
    if Path(asked).exists() or not NAME.fullmatch(asked):
        return Path(asked)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise CheckpointError(
            f"no folder {asked}; give the weights' folder, or `pip install huggingface_hub` to fetch them"
        ) from error
    try:
        return Path(snapshot_download(asked, allow_patterns=["*.safetensors", INDEX, CONFIG, TOKENIZER]))
    except Exception as error:  # the hub's errors derive from OSError or ValueError
        raise CheckpointError(f"{asked} cannot be fetched ({str(error).splitlines()[0]})") from error


def described_by(folder: Path, name: ModelName | None = None) -> ModelName:
    """Returns the name of the model in a folder: `name` if it is given, or else what config.json says, or, without that
    file, what the tensors show.

    Raises CheckpointError if config.json says that it is another model than `name`, or one of another family, and if
    config.json says nothing and several models, or none, have such tensors.
    """
    said, where = said_in(folder), folder / CONFIG
    found = described(said, where) if said is not None else None
    if name is not None:
        if found not in (None, name):
            raise CheckpointError(f"{where}: says that these weights are {found}, not {name}; load them as {found}")
        return name
    if found is not None:
        return found
    missing = f"has no {CONFIG}" if said is None else f"names no architecture in {CONFIG}"
    possible = candidates(stored_in(folder))
    if len(possible) == 1:
        return possible[0]
    if possible:
        raise CheckpointError(
            f"{folder}: {missing}, and its tensors may be those of {' or '.join(possible)}; name the model"
        )
    raise CheckpointError(f"{folder}: {missing}, and its tensors are of none of {NAMES}")


def _tokenizer(folder: Path, config: DeepSeekOCRConfig) -> Tokenizer:
    """Returns the tokenizer in a folder, which neither cuts nor pads a prompt, whatever it was saved with."""
    path = folder / TOKENIZER
    if json_of(path) is None:
        raise CheckpointError(f"{path}: missing; it is published with the weights, so fetch it too")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(f"{path}: not a tokenizer ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for token, expected in (("<image>", config.image), *config.special):
        if (found := tokenizer.token_to_id(token)) != expected:
            raise CheckpointError(f"{path}: {token} is {found}, not {expected}; it is the tokenizer of another model")
    if (size := tokenizer.get_vocab_size()) > config.decoder.vocabulary:
        raise CheckpointError(f"{path}: has {size} tokens, and {config.name} knows {config.decoder.vocabulary}")
    return tokenizer


def _identity(name: str, stored: Iterable[Stored], adapter: Path | None) -> Checkpoint:
    """Identifies weights whose files are too large to hash whole at each load: the SHA-256 of the dtype, shape and
    first bytes of every tensor, and of an adapter's file."""
    digest = hashlib.sha256()
    for tensor in sorted(stored, key=lambda tensor: (tensor.file, tensor.begin)):
        with tensor.file.open("rb") as file:
            file.seek(tensor.begin)
            digest.update(f"{tensor.dtype} {tensor.shape}".encode() + file.read(min(HASHED, tensor.size)))
    if adapter is not None and (adapter / WEIGHTS).is_file():
        digest.update((adapter / WEIGHTS).read_bytes())
    return Checkpoint(name, digest.hexdigest())


def _room(model: DeepSeekOCR, device: str) -> None:
    needed = _bytes(model)
    free = free_memory(device)
    log.info("%s needs %.1f GB on %s", model.config.name, needed / 1e9, device)
    if free is not None and needed > free:
        raise UsageError(
            f"{model.config.name} needs {needed / 1e9:.1f} GB on {device}, {free / 1e9:.1f} GB are free; "
            f"dtype=torch.int8 needs about {memory(model.config, torch.int8) / 1e9:.1f} GB"
        )


def _checked(folder: Path, expected: dict[str, Slot], config: DeepSeekOCRConfig) -> dict[str, Stored]:
    """Returns every tensor in the files. Raises CheckpointError unless they are exactly the expected ones, complete and
    of the right shape, and config.json does not contradict them."""
    stored = stored_in(folder)
    said, possible, where = said_in(folder), candidates(stored), folder / CONFIG
    if possible and config.name not in possible:
        by = f"{CONFIG} says" if said is not None and described(said, where) else "asked for"
        raise CheckpointError(f"{folder}: {by} {config.name}, but these are the tensors of {' or '.join(possible)}")
    if said is not None:
        check_described(said, config, where)
    check(stored, expected, folder)
    return stored
