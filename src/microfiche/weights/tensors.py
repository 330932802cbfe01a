"""Reads and writes safetensors files one tensor at a time, so that a file may be larger than the memory.

It knows nothing of models. The format (safetensors 0.4): eight bytes with the length of the header, the header as JSON,
and the bytes of the tensors.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.tensor import DTensor

from microfiche.errors import CheckpointError
from microfiche.files import whole_file

FLOATS = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
NAMES = {dtype: name for name, dtype in FLOATS.items()}


@dataclass(frozen=True)
class Stored:
    """A tensor as the header of a file describes it: `size` bytes from byte `begin` on. `whole` is false if the file is
    too short to contain them."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    size: int
    whole: bool

    @property
    def floats(self) -> bool:
        """Whether its dtype is one that can be read, and all its bytes are there."""
        return self.dtype in FLOATS and self.whole and self.size == prod(self.shape) * FLOATS[self.dtype].itemsize

    def mapped(self) -> Tensor:
        """Returns the tensor mapped from the file; the mapping lasts as long as the tensor is in use."""
        before = self.begin % mmap.ALLOCATIONGRANULARITY
        with self.file.open("rb") as file:
            data = mmap.mmap(
                file.fileno(), before + self.size, access=mmap.ACCESS_COPY, offset=self.begin - before
            )
        dtype = FLOATS[self.dtype]
        return torch.frombuffer(data, dtype=dtype, offset=before, count=prod(self.shape)).view(self.shape)


def header(path: Path) -> dict[str, Stored]:
    """Returns the tensors in a file's header, by name. Raises CheckpointError if it is not a safetensors file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= size - 8:
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            entries = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        return {name: _stored(path, entry, 8 + length, size) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error


def _stored(path: Path, entry: dict[str, Any], data: int, file_size: int) -> Stored:
    begin, end = entry["data_offsets"]
    whole = 0 <= begin <= end <= file_size - data
    return Stored(path, entry["dtype"], tuple(entry["shape"]), data + begin, end - begin, whole)


def first() -> bool:
    """Whether this process is the one that writes files, if there are several."""
    return not (dist.is_initialized() and dist.get_rank())


def whole(tensor: Tensor) -> Tensor:
    """Returns the whole tensor, gathered if each process has a part of it; in that case all processes must call
    this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def write(
    path: Path,
    specs: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    values: Iterable[Tensor],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes the `values` to `path`. They must come in the order of `specs`, which gives the name, dtype and shape of
    each.

    If there are several processes, all must call this: the first one writes, and the others help it to gather what is
    sharded. Raises InputError if the file cannot be written; an existing file is then unchanged.
    """
    if not first():
        for value in values:
            whole(value)
        return
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in specs.items():
        begin, end = end, end + prod(shape) * dtype.itemsize
        entries[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 8)
    with whole_file(path) as beside, beside.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for (dtype, _), value in zip(specs.values(), values, strict=True):
            flat = whole(value).detach().to("cpu", dtype).contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)
