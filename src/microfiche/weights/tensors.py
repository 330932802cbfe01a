"""Reads and writes safetensors files one tensor at a time, so that a file may be larger than the memory.

It knows nothing of models. The format (safetensors 0.4): eight bytes with the length of the header, the header as JSON,
and the bytes of the tensors.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from microfiche.errors import CheckpointError
from microfiche.files import shown, whole_file

FLOATS = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
NAMES = {dtype: name for name, dtype in FLOATS.items()}
POINTER = b"version "  #: how a pointer of Git LFS to a file that was not fetched begins


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
    """Returns the tensors in a file's header, by name. Raises CheckpointError if it is not a safetensors file, or if
    two tensors have the same bytes in it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            begin = file.read(8)
            length = int.from_bytes(begin, "little")
            if not 0 < length <= size - 8:
                _refuse_pointer(path, begin)
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            entries = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        found = {name: _stored(path, entry, 8 + length, size) for name, entry in entries.items()}
    except OSError as error:
        raise CheckpointError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error
    end, before = 0, ""
    for tensor, name in sorted(((tensor.begin, tensor.size), name) for name, tensor in found.items() if tensor.size):
        if tensor[0] < end:
            raise CheckpointError(f"{path}: not a whole safetensors file ({before} and {name} have the same bytes)")
        end, before = sum(tensor), name
    return found


def json_of(path: Path, wrong: str = "cannot be read") -> Any:
    """Returns what is in a JSON file that comes with weights, or None if there is no such file. Raises CheckpointError,
    which says that it is `wrong`, if there is one that cannot be read."""
    if not os.path.lexists(path):
        return None
    try:
        data = path.read_bytes()
        _refuse_pointer(path, data)
        return json.loads(data)
    except OSError as error:
        raise CheckpointError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {wrong} ({error})") from error


def _refuse_pointer(path: Path, data: bytes) -> None:
    if data.startswith(POINTER):
        raise CheckpointError(f"{path}: only a pointer of Git LFS to the file; fetch it with `git lfs pull`")


def _stored(path: Path, entry: dict[str, Any], data: int, file_size: int) -> Stored:
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not isinstance(dtype, str) or any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
        raise ValueError("the dtype, the shape or the place of a tensor is of a wrong type")
    return Stored(path, dtype, shape, data + begin, end - begin, begin <= end <= file_size - data)


def first() -> bool:
    """Whether this process is the one that writes files, if there are several."""
    return not (dist.is_initialized() and dist.get_rank())


def whole(tensor: Tensor) -> Tensor:
    """Returns the whole tensor, gathered if each process has a part of it; in that case all processes must call
    this."""
    together: Callable[[], Tensor] | None = getattr(tensor, "full_tensor", None)  # which only a DTensor has
    return together() if together else tensor


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
