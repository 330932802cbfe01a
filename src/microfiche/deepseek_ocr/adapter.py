"""Low-rank adapters of DeepSeek-OCR's decoder, stored as peft stores them: adapter_model.safetensors and its config.

What an adapter learned is added to the weights once, when they are loaded, so reading is not slower and peft is not
needed. After LoRA (Hu et al. 2021, arXiv 2106.09685): W + (alpha / r) · B·A.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from microfiche.errors import CheckpointError
from microfiche.files import whole_file
from microfiche.weights.tensors import first, header, json_of, write

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  #: peft puts it before every name
LINEAR = r"decoder\.layers\.\d+\.(self_attn\.(qkv|o_proj)|mlp\.(shared_experts\.)?(gate_up|down))"
EXPERTS = ("mlp.experts.gate_up.weight", "mlp.experts.down.weight")
#: The settings of peft that would change the meaning of the two matrices.
UNKNOWN = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "layer_replication")


def adaptable(model: nn.Module) -> dict[str, tuple[int, int, int]]:
    """Returns for every parameter that an adapter may change, by name, its experts (1 if it has none), rows and
    columns."""
    found = {}
    for name, parameter in model.named_parameters():
        if re.fullmatch(LINEAR, name.removesuffix(".weight")) or name.endswith(EXPERTS):
            experts = parameter.shape[0] if parameter.ndim == 3 else 1
            found[name] = (experts, parameter.shape[-2], parameter.shape[-1])
    return found


class Adapter:
    """What was learned about some of a model's parameters."""

    def __init__(self, scale: float, factors: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """`factors` are B (experts, rows, r) and A (experts, r, columns) of each parameter."""
        self._scale, self._factors = scale, factors

    @classmethod
    def read(cls, folder: Path, model: nn.Module) -> Adapter:
        """Reads the adapter in `folder` for `model`. Raises CheckpointError, with what is wrong, if it is damaged or
        belongs to another model."""
        rank, scale = _config(folder / CONFIG)
        file = folder / WEIGHTS
        if not file.is_file():
            raise CheckpointError(f"{folder}: no adapter there (a folder with {CONFIG} and {WEIGHTS})")
        stored = header(file)
        factors = {}
        for name, (experts, rows, columns) in adaptable(model).items():
            a, b = (f"{PREFIX}{name.removesuffix('weight')}lora_{which}.weight" for which in "AB")
            if a not in stored and b not in stored:
                continue
            for key, shape in ((a, (rank * experts, columns)), (b, (rows, rank * experts))):
                if key not in stored:
                    raise CheckpointError(f"{file}: {key} is missing")
                found = stored[key]
                if found.shape != shape or not found.floats:
                    raise CheckpointError(f"{file}: {key} is {found.shape} of {found.dtype}, not {shape} floats")
            up, down = stored.pop(b).mapped().float(), stored.pop(a).mapped().float()
            # B has the experts of each of its r columns side by side, A the r rows of each expert one below another.
            factors[name] = (up.view(rows, rank, experts).permute(2, 0, 1), down.view(experts, rank, columns))
        if stored:
            raise CheckpointError(f"{file}: {min(stored)} belongs to no part of the model that an adapter changes")
        return cls(scale, factors)

    def change(self, parameter: str, expert: int | None, rows: tuple[int, int] | None) -> Tensor | None:
        """Returns the float32 change of `rows` of the matrix `expert` of a parameter, or None if nothing was learned
        about it."""
        if parameter not in self._factors:
            return None
        up, down = (factor[expert or 0] for factor in self._factors[parameter])
        return self._scale * up[slice(*(rows or (None,)))] @ down


def save(config: Mapping[str, Any], factors: Mapping[str, Tensor], folder: Path) -> None:
    """Writes an adapter that peft and `Adapter.read` can read. The keys of `factors` are peft's names without their
    prefix."""
    named = {f"{PREFIX}{name}": factors[name] for name in sorted(factors)}
    write(folder / WEIGHTS, {name: (torch.float32, tuple(t.shape)) for name, t in named.items()}, named.values())
    if first():
        with whole_file(folder / CONFIG) as beside:
            beside.write_text(json.dumps(config, indent=2, sort_keys=True, default=sorted) + "\n")


def _config(path: Path) -> tuple[int, float]:
    """Returns rank and scale. Raises CheckpointError if the file is not the configuration of a plain LoRA adapter."""
    config = json_of(path, "not the configuration of an adapter")
    if config is None:
        raise CheckpointError(f"{path.parent}: no adapter there (a folder with {CONFIG} and {WEIGHTS})")
    try:
        rank, alpha = config["r"], config["lora_alpha"]
        kind, unknown = config["peft_type"], [name for name in UNKNOWN if config.get(name)]
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not the configuration of an adapter ({error!r})") from error
    if kind != "LORA" or unknown:
        raise CheckpointError(f"{path}: {', '.join(unknown) or kind} is not supported; only plain LORA is")
    if not (isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float) and isfinite(alpha)):
        raise CheckpointError(f"{path}: r is {rank!r} and lora_alpha {alpha!r}; both must be numbers above 0")
    return rank, alpha / rank
