"""The safetensors files of a published checkpoint, as real ones are: in one file or several, with or without an index,
saved again by a training, with other files beside them. Tensors that a model does not need are passed over; what is
missing or wrong is named. It reads only the heads of files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

from microfiche.deepseek_ocr.slots import Slot
from microfiche.errors import CheckpointError
from microfiche.files import shown
from microfiche.weights.tensors import FLOATS, Stored, header, json_of

SINGLE = "model.safetensors"
INDEX = f"{SINGLE}.index.json"
OTHERS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "*.bin", "*.pt", "*.pth", "*.gguf")  #: other formats
BEGIN = ("model.", "lm_head.")  #: how the names of the published tensors begin
#: Buffers that libraries save beside the weights, and compute anew; the last part of their names.
BUFFERS = ("position_ids", "inv_freq", "original_inv_freq", "cos_cached", "sin_cached", "masked_bias")
QUANTISED = ("quant", "qweight", "qzeros", "g_idx", "absmax", "scale", "SCB", "weight_format")
ADAPTED = ("lora_", "base_model.", "base_layer", "modules_to_save")


def stored_in(folder: Path) -> dict[str, Stored]:
    """Returns the tensors in a checkpoint's files, by name, without buffers. Files that hold no tensor of a published
    model, such as an adapter or an optimizer's state, are passed over if no index names them.

    Raises CheckpointError for a file that is missing or damaged, and for a tensor that is in two of them.
    """
    stored: dict[str, Stored] = {}
    damaged: CheckpointError | None = None
    files, indexed = _files(folder)
    for path in files:
        try:
            found = header(path)
        except CheckpointError as error:
            if indexed or path.name.startswith("model"):
                raise
            damaged = error
            continue
        if not indexed and not any(name.startswith(BEGIN) for name in found) and not path.name.startswith("model"):
            continue
        for name, tensor in found.items():
            if name.rpartition(".")[2] in BUFFERS:
                continue
            if name in stored:
                raise CheckpointError(f"{path}: {name} is also in {stored[name].file.name}; keep one of the two files")
            stored[name] = tensor
    if damaged and not stored:
        raise damaged
    return stored


def _files(folder: Path) -> tuple[list[Path], bool]:
    """Returns the files of a checkpoint, and whether they are known to be it: those that its index names, or, if it has
    none, all safetensors files that there are. If it has an index and also a model.safetensors that the index does not
    name, that file is the checkpoint: transformers writes it beside the shards of an older one, and reads it."""
    index = folder / INDEX
    if not os.path.lexists(index):
        if files := sorted(folder.glob("*.safetensors")):
            return files, False
        raise CheckpointError(f"{shown(folder)}: no checkpoint there (a folder with *.safetensors and tokenizer.json)"
                              + _other_formats(folder))  # fmt: skip
    try:
        parts: dict[str, str] = json_of(index, "not an index of safetensors files")["weight_map"]
        named = {name: folder / part for name, part in parts.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: not an index of safetensors files") from error
    if os.path.lexists(folder / SINGLE) and folder / SINGLE not in named.values():
        return [folder / SINGLE], True
    for name, file in named.items():
        if ".." in file.parts or not file.is_relative_to(folder):
            raise CheckpointError(f"{index}: {name} would be in {shown(file)}, which is outside the folder")
        if not os.path.isfile(file):
            raise CheckpointError(f"{shown(file)}: not there, and {name} should be in it")
    return sorted(set(named.values())), True


def index_of(names: Iterable[str], size: int) -> str:
    """Returns an index that says that all tensors, of `size` bytes together, are in model.safetensors."""
    return json.dumps({"metadata": {"total_size": size}, "weight_map": dict.fromkeys(names, SINGLE)}, indent=2) + "\n"


def _other_formats(folder: Path) -> str:
    """What a folder holds in place of safetensors files, and what to do, as the rest of a sentence."""
    found = next((file.name for kind in OTHERS for file in sorted(folder.glob(kind))), "")
    return f"; there is {found}, but only safetensors are read, so convert it or fetch those" if found else ""


def check(stored: Mapping[str, Stored], expected: Mapping[str, Slot], folder: Path) -> None:
    """Raises CheckpointError, with the first tensor that is wrong and what it would take, unless the tensors are the
    expected ones, whole and of the right shape. Tensors that no computation uses may be missing."""
    for name, slot in expected.items():
        if name not in stored:
            if slot.parameter is None:
                continue
            raise CheckpointError(f"{folder}: {name} is missing{_instead(name, stored, expected)}")
        found = stored[name]
        if found.dtype not in FLOATS:
            raise CheckpointError(f"{found.file}: {name} is of type {found.dtype}, not one of {', '.join(FLOATS)}; "
                                  + _of_type(found.dtype))  # fmt: skip
        if found.shape != slot.shape:
            raise CheckpointError(f"{found.file}: {name} is {found.shape}, not {slot.shape}")
        if not found.whole or found.size != prod(slot.shape) * FLOATS[found.dtype].itemsize:
            raise CheckpointError(f"{found.file}: {name} is cut off, the file is not whole; fetch it again")
    if extra := sorted(stored.keys() - expected.keys()):
        raise CheckpointError(f"{stored[extra[0]].file}: {extra[0]} belongs to no part of the model{_why(extra[0])}")


def _of_type(dtype: str) -> str:
    """What to do about tensors of a type that is not read."""
    if dtype in ("F64", "C64"):
        return "save them again in float32"
    if dtype.startswith("F"):
        return "floats of so few bits are quantised weights; take those that they were made of"
    return "quantised weights cannot be read, take those that they were made of, with dtype int8 if memory is short"


def _instead(name: str, stored: Mapping[str, Stored], expected: Mapping[str, Slot]) -> str:
    """What is in the files in place of a tensor that is missing, and what to do, as the rest of a sentence."""
    renamed = next((other for other in sorted(stored) if other.endswith(f".{name}") or name.endswith(f".{other}")), "")
    if renamed:
        return f"; it is called {renamed} here, so save the weights again under the published names"
    for other in sorted(stored):
        if _why(other):
            return f", and {other} is there{_why(other)}"
    if strange := sorted(stored.keys() - expected.keys()):
        return f", and {strange[0]} is there, which is no published name; save the weights under the published names"
    return "; a shard may be missing" if stored else ""


def _why(name: str) -> str:
    if any(part in name for part in ADAPTED):
        return ": this is an adapter that was not merged; merge it into the weights and save them again"
    if any(part in name for part in QUANTISED):
        return ": quantised weights cannot be read; take those that they were made of"
    return ""
