"""How our own weights are stored: one safetensors file, with a head as JSON in its metadata; nothing in it is
evaluated.

Matrices are int8 with one float16 scale for each row (of each expert, where experts are stacked). Everything else is
float16.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from microfiche.devices import device_named, fast_dtype, keep_to_thread_limit
from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.page import Checkpoint
from microfiche.typesetting.alphabet import FULL, HALF
from microfiche.weights import SHIPPED, shipped

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Kind(Generic[M]):
    """A kind of model, as it is stored in files.

    `format` is the name of the format in the heads of its files. `build` makes a model, without its weights, from a
    head and the checkpoint (the name and hash of the file). `describe` returns the head of a model, without the format,
    the alphabet and the encoder, which `save` adds.
    """

    format: str
    build: Callable[[dict[str, Any], Checkpoint], M]
    describe: Callable[[M], dict[str, Any]]


def save(kind: Kind[M], model: M, path: Path, encoder: Checkpoint | None = None) -> None:
    """Writes a model to `path`. If it has no encoder of its own, `encoder` is the checkpoint that makes the tokens it
    reads."""
    head = {"format": kind.format, **kind.describe(model)}
    if encoder is not None:
        head["encoder"] = encoder.sha256
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        value = parameter.detach().float().cpu()
        if value.ndim >= 2 and value[0].numel() >= 16:
            rows = value.flatten(-1) if value.ndim == 3 else value.flatten(1)  # rows of each expert, or of the matrix
            scale = (rows.abs().amax(-1) / 127).clamp(min=1e-7).half()
            tensors[name] = (value / _over(scale, value)).round().clamp(-127, 127).to(torch.int8)
            tensors[f"{name}.scale"] = scale
        else:
            tensors[name] = value.half()
    # Only one key, because safetensors writes several in no fixed order.
    metadata = {"microfiche": json.dumps({**head, "alphabet": alphabet_hash()})}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(tensors, metadata))


def load(
    kind: Kind[M],
    name_or_path: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    encoder: Checkpoint | None = None,
) -> M:
    """Loads a model of a kind, by the name that it ships under or from a file. It is moved to the device, in evaluation
    mode and without gradients, in `dtype` or, if that is None, in the dtype that the device is fast in.

    Raises CheckpointError, with the name of the first wrong tensor, if the file is missing, damaged, of another kind,
    shape or alphabet, or made for the tokens of another `encoder`. Raises UsageError if there is no such device.
    """
    device = device_named(str(device))
    keep_to_thread_limit()
    path = shipped(name_or_path) if isinstance(name_or_path, str) and name_or_path in SHIPPED else Path(name_or_path)
    head, tensors = _read(path, kind.format)
    if encoder is not None and head.get("encoder") != encoder.sha256:
        raise CheckpointError(f"{path}: made for the tokens of another checkpoint than {encoder}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with unfilled():
            model = kind.build(head, Checkpoint(path.stem, digest))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # torch's, for sizes that cannot be
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    _place(model, tensors, path)
    return model.to(device, dtype or fast_dtype(device)).eval().requires_grad_(False)


def alphabet_hash() -> str:
    """Returns the SHA-256 of the alphabet, because the models' classes are in its order."""
    return hashlib.sha256((HALF + FULL).encode()).hexdigest()


def head_of(path: Path) -> dict[str, Any]:
    """Returns the head of a file of ours; for anything else, an empty dict."""
    if not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return _head(file)
    except (SafetensorError, OSError, ValueError, RecursionError):
        return {}


def _head(file: Any) -> dict[str, Any]:
    head = json.loads((file.metadata() or {}).get("microfiche", "{}"))
    return head if isinstance(head, dict) else {}


@contextmanager
def unfilled() -> Iterator[None]:
    """A context in which modules are built on the meta device: their weights take no memory and are not initialised."""
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Skips the functions that fill tensors. On the meta device, torch would import its compiler for them, which takes
    a second."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (nn.init.normal_, Tensor.normal_, Tensor.mul):
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


def _read(path: Path, format: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Returns the head and the tensors of a file of this format."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there")
    try:
        with safe_open(path, "pt") as file:
            head = _head(file)
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error
    if head.get("format") != format:
        raise CheckpointError(f"{path}: a checkpoint of another kind or version (its format: {head.get('format')})")
    if head.get("alphabet") != alphabet_hash():
        raise CheckpointError(f"{path}: its alphabet is that of another version")
    return head, stored


def _place(model: nn.Module, stored: dict[str, Tensor], path: Path) -> None:
    """Puts the tensors into `model`, which may be on the meta device. Raises CheckpointError for the first tensor that
    does not fit."""
    weights = {}
    for key, parameter in model.named_parameters():
        value = stored.pop(key, None)
        if value is None or value.shape != parameter.shape:
            found = "is missing" if value is None else f"is {tuple(value.shape)}, not {tuple(parameter.shape)}"
            raise CheckpointError(f"{path}: {key} {found}")
        scale = stored.pop(f"{key}.scale", None)
        value = value.float()
        if scale is not None and (scale.ndim == 0 or scale.shape != value.shape[: scale.ndim]):
            raise CheckpointError(f"{path}: {key}.scale is {tuple(scale.shape)}, which is of no {tuple(value.shape)}")
        weights[key] = value if scale is None else value * _over(scale, value)
    if stored:
        raise CheckpointError(f"{path}: {min(stored)} belongs to no part of the model")
    model.load_state_dict(weights, assign=True)


def _over(scale: Tensor, value: Tensor) -> Tensor:
    return scale.float().view(*scale.shape, *[1] * (value.ndim - scale.ndim))
