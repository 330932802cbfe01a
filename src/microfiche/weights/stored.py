"""How our own checkpoints are stored: one safetensors file, a head of JSON in its metadata, nothing evaluated.

Matrices are int8 with one fp16 scale a row (of each expert, where they are stacked), everything else is fp16.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from microfiche.devices import keep_to_thread_limit
from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.page import Checkpoint
from microfiche.typesetting.alphabet import FULL, HALF

M = TypeVar("M", bound=nn.Module)


def alphabet_hash() -> str:
    """SHA-256 of the alphabet, whose order the classes follow."""
    return hashlib.sha256((HALF + FULL).encode()).hexdigest()


def write(model: nn.Module, head: dict[str, Any], path: Path) -> None:
    """Writes the model's weights and `head` to `path`."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        value = parameter.detach().float().cpu()
        if value.ndim >= 2 and value[0].numel() >= 16:
            rows = value.flatten(-1) if value.ndim == 3 else value.flatten(1)  # of each expert, or of the matrix
            scale = (rows.abs().amax(-1) / 127).clamp(min=1e-7).half()
            tensors[name] = (value / _over(scale, value)).round().clamp(-127, 127).to(torch.int8)
            tensors[f"{name}.scale"] = scale
        else:
            tensors[name] = value.half()
    # One key: several are written in no fixed order.
    metadata = {"microfiche": json.dumps({**head, "alphabet": alphabet_hash()})}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(tensors, metadata))


def read(path: Path, format: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Head and tensors of a file of `format`; CheckpointError if it is damaged, another's, or of another alphabet."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there")
    try:
        with safe_open(path, "pt") as file:
            head = json.loads((file.metadata() or {}).get("microfiche", "{}"))
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error
    if head.get("format") != format:
        raise CheckpointError(f"{path}: not a checkpoint of this version and kind ({head.get('format')})")
    if head.get("alphabet") != alphabet_hash():
        raise CheckpointError(f"{path}: its alphabet is not this version's")
    return head, stored


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules made in it are on the meta device, without memory for their weights or values drawn for them."""
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Leaves out what fills tensors: on the meta device torch imports its compiler for that, which takes a second."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (nn.init.normal_, Tensor.normal_, Tensor.mul):
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


def made(
    path: Path, format: str, make: Callable[[dict[str, Any]], M], encoder: Checkpoint | None = None
) -> M:
    """The model that `make` builds of the head of a file of `format`, with the file's weights; CheckpointError as
    `read` and `place` say, or if it was made for the tokens of another checkpoint than `encoder`, a name and SHA-256.
    """
    keep_to_thread_limit()
    head, stored = read(path, format)
    if encoder is not None and head.get("encoder") != encoder.sha256:
        raise CheckpointError(f"{path}: made for the tokens of another checkpoint than {encoder.name}")
    try:
        with unfilled():
            model = make(head)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be used ({error})") from error
    place(model, stored, path)
    return model


def format_of(path: Path) -> str:
    """The format that a file of ours says it has; empty if it is none."""
    try:
        with safe_open(path, "pt") as file:
            return str(json.loads((file.metadata() or {}).get("microfiche", "{}")).get("format", ""))
    except (SafetensorError, OSError, ValueError, AttributeError, RecursionError):
        return ""


def place(model: nn.Module, stored: dict[str, Tensor], path: Path) -> None:
    """Puts the tensors into `model`, which may be on the meta device; CheckpointError naming the first that does not
    fit."""
    weights = {}
    for key, parameter in model.named_parameters():
        value = stored.pop(key, None)
        if value is None or value.shape != parameter.shape:
            found = "is missing" if value is None else f"is {tuple(value.shape)}, not {tuple(parameter.shape)}"
            raise CheckpointError(f"{path}: {key} {found}")
        scale = stored.pop(f"{key}.scale", None)
        value = value.float()
        weights[key] = value if scale is None else value * _over(scale, value)
    if stored:
        raise CheckpointError(f"{path}: {min(stored)} belongs to no part of the model")
    model.load_state_dict(weights, assign=True)


def _over(scale: Tensor, value: Tensor) -> Tensor:
    return scale.float().view(*scale.shape, *[1] * (value.ndim - scale.ndim))
