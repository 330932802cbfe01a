"""What a training keeps in its folder: recipe.toml, log.jsonl, state.safetensors, and TensorBoard's log.

The state is whole whatever the number of processes that hold it, so that another number of them can go on from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from microfiche.errors import CheckpointError, InputError, TrainingError, UsageError
from microfiche.files import whole_file
from microfiche.training import parallel
from microfiche.training.recipe import Plan
from microfiche.weights import tensors


class Folder:
    """The folder of a training, which the first process writes to. `saved` is the step that its state holds, 0 if there
    is none."""

    def __init__(self, path: Path, recipe: Plan) -> None:
        """UsageError where the folder's training was begun with another recipe."""
        self.state, self.log, self.kept = path / "state.safetensors", path / "log.jsonl", path / "recipe.toml"
        if self.state.exists() and self.kept.exists() and type(recipe).read(self.kept) != recipe:
            raise UsageError(f"{path} was begun by another recipe, {self.kept}; go on with that, or give another --out")
        self.saved = 0
        self._board: Any = None

    def resume(
        self, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], mean: Mapping[str, Tensor]
    ) -> int:
        """Reads the state, if there is one, into model, optimisers and mean weights; gives its step, else 0."""
        if self.state.exists():
            self.saved = load_state(self.state, model, optimisers, mean)
        return self.saved

    def begin(self, recipe_file: Path) -> None:
        """Keeps the recipe, and of the log what is not later than the state."""
        with whole_file(self.kept) as beside:
            beside.write_bytes(recipe_file.read_bytes())
        # A kill may have cut the last line short.
        lines = self.log.read_text("utf-8", "replace").split("\n")[:-1] if self.log.exists() else []
        try:
            kept = [line for line in map(json.loads, lines) if line["step"] <= self.saved]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TrainingError(f"{self.log}: not the log of a training ({error}); delete it, and go on") from error
        with whole_file(self.log) as beside:
            beside.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._board = _board(self.log.parent, self.saved)

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line to the log; TrainingError where it cannot be written."""
        try:
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if self._board is not None:
                _show(self._board, line)
        except OSError as error:
            good = f"{self.state} holds step {self.saved}" if self.saved else "no state was saved yet"
            raise TrainingError(f"{self.log}: cannot be written ({error.strerror or error}); {good}") from error

    def save(
        self, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], step: int, mean: Mapping[str, Tensor]
    ) -> None:
        """Saves the state after so many steps; all processes must call. TrainingError where that fails."""
        try:
            save_state(self.state, model, optimisers, step, mean)
        except InputError as error:
            good = f"it holds step {self.saved} as before" if self.saved else "no state was saved yet"
            raise TrainingError(f"{error} of step {step}; {good}; make room, and the same command goes on") from error
        self.saved = step


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
    damaged or another model's."""
    owner = {p: o for o in optimisers for group in o.param_groups for p in group["params"]}
    parameters = dict(model.named_parameters())
    try:
        with safe_open(path, "pt") as file, torch.no_grad():
            keys = file.keys()
            if missing := [n for n, p in parameters.items() if p.requires_grad and f"model/{n}" not in keys]:
                raise ValueError(f"it has no {missing[0]}")
            for key in keys:
                kind, name = key.split("/")
                value, parameter = file.get_tensor(key), parameters[name]
                if kind == "step":  # a fused optimiser keeps it beside the weights
                    owner[parameter].state[parameter][kind] = value.to(parameter.device)
                    continue
                if value.shape != parameter.shape:
                    raise ValueError(f"{key} is {tuple(value.shape)}, not {tuple(parameter.shape)}")
                value = parallel.sharded_as(value.to(parameter.device), parameter)
                if kind == "model":
                    parameter.copy_(value)
                elif kind == "mean":
                    mean[name].copy_(value)
                else:
                    owner[parameter].state[parameter][kind] = value
            step = int(file.metadata()["step"])
            if step < 0:
                raise ValueError(f"it is of step {step}")
            return step
    except Exception as error:
        raise CheckpointError(f"{path}: cannot resume from it: {error}") from error


def _board(out: Path, step: int) -> Any:
    """A TensorBoard log of the training from `step` on, where the package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)


def _show(board: Any, line: dict[str, Any]) -> None:
    for name in ("loss", "right", "lr", "tokens_per_second", "balance"):
        if name in line:
            board.add_scalar(name, line[name], line["step"])
    for i, layer in enumerate(line.get("experts", ())):
        for j, share in enumerate(layer):
            board.add_scalar(f"experts/layer {i}, {j}", share, line["step"])
    for name, score in line.get("held_out", {}).items():
        board.add_scalar(f"held out/{name}", score, line["step"])
    board.flush()
