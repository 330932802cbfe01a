"""The state of a training in one safetensors file: weights, their mean, the optimisers' moments, the step.

It is whole whatever the number of processes that hold it, so that another number of them can go on from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from microfiche.errors import CheckpointError, InputError, TrainingError
from microfiche.training import parallel
from microfiche.weights import tensors


def saved(
    path: Path,
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    step: int,
    mean: Mapping[str, Tensor],
    last: int,
) -> int:
    """Saves the state and gives its step; TrainingError, with the step of the `last` one, where that fails."""
    try:
        save_state(path, model, optimisers, step, mean)
    except InputError as error:
        kept = f"it holds step {last} as before" if last else "no state was saved yet"
        raise TrainingError(f"{error} of step {step}; {kept}; make room, and the same command goes on") from error
    return step


def save_state(
    path: Path, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], step: int, mean: Mapping[str, Tensor]
) -> None:
    """Writes weights, their mean and the optimisers' moments after `step` steps to one safetensors file, whole where
    they are sharded; all processes must call."""
    moments = {p: state for optimiser in optimisers for p, state in optimiser.state.items()}
    values: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        values[f"model/{name}"] = parameter
        values |= {f"{key}/{name}": value for key, value in moments.get(parameter, {}).items()}
    values |= {f"mean/{name}": value for name, value in mean.items()}
    values = dict(sorted(values.items()))
    specs = {name: (value.dtype, tuple(value.shape)) for name, value in values.items()}
    tensors.write(path, specs, values.values(), {"step": str(step)})


def load_state(
    path: Path, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], mean: Mapping[str, Tensor]
) -> int:
    """Reads what `save_state` wrote into `model`, `optimisers` and `mean`; returns the step. CheckpointError if it is
    damaged or of another model."""
    owner = {p: o for o in optimisers for group in o.param_groups for p in group["params"]}
    parameters = dict(model.named_parameters())
    try:
        with safe_open(path, "pt") as file, torch.no_grad():
            for key in file.keys():  # noqa: SIM118
                kind, name = key.split("/")
                value, parameter = file.get_tensor(key), parameters[name]
                if kind == "step":
                    owner[parameter].state[parameter][kind] = value
                    continue
                value = parallel.sharded_as(value.to(parameter.device), parameter)
                if kind == "model":
                    parameter.copy_(value)
                elif kind == "mean":
                    mean[name].copy_(value)
                else:
                    owner[parameter].state[parameter][kind] = value
            return int(file.metadata()["step"])
    except Exception as error:
        raise CheckpointError(f"{path}: cannot resume from it: {error}") from error
