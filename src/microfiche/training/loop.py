"""The training loop that every stage shares: exact resume, a plain log, schedules, a stop at any step.

A training is a folder: recipe.toml, log.jsonl, curve.png, state.safetensors (weights, their mean, optimisers' moments,
step), and tensorboard/ where that package is installed.
It knows nothing of what is trained, nor on what.
"""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from microfiche.errors import CheckpointError, TrainingError, UsageError
from microfiche.files import whole_file
from microfiche.training import parallel
from microfiche.training.experts import Use


class Schedule(BaseModel):
    """What every recipe has: how long, how fast, and how often it is saved and measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    steps: int  #: optimiser steps in all
    decay_steps: int  #: the last of them, in which the learning rate falls to nothing
    warmup_steps: int = 100
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    tokens_per_step: int = 256  #: vision tokens
    batches_per_step: int = Field(1, ge=1)  #: parts of a step, whose gradients are summed; processes share them
    ema: float = Field(0.0, ge=0, lt=1)  #: what a step keeps of the mean weights, which are measured and saved; 0: none
    checkpoint_activations: bool = False  #: compute each block again on the way back instead of keeping what it had
    save_every: int = 250
    validate_every: int = 250

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe in a TOML file; UsageError, in one line, if it is none."""
        try:
            return cls(**tomllib.loads(path.read_text()))
        except ValidationError as error:
            raise UsageError(f"{path}: not a recipe: {_first(error, list(cls.model_fields))}") from error
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: not a recipe: {error}") from error

    @property
    def tokens_per_batch(self) -> float:
        """Vision tokens of one part of a step."""
        return self.tokens_per_step / self.batches_per_step

    @model_validator(mode="after")
    def _possible_schedule(self) -> Self:
        if self.steps < 1 or not 0 <= self.decay_steps <= self.steps:
            raise ValueError("decay_steps must lie within steps")
        return self

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, a plateau, and a fall along 1 − √t over the last `decay_steps`."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        into_decay = max(0.0, (step - (self.steps - self.decay_steps)) / max(1, self.decay_steps))
        return self.learning_rate * warm * (1 - math.sqrt(into_decay))


def _first(error: ValidationError, known: list[str]) -> str:
    """What is wrong first, in words, with the key that was likely meant."""
    found = error.errors()[0]
    key = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        near = get_close_matches(key, known, 1)
        return f"{key!r} is no key" + (f"; {near[0]!r} is" if near else f"; there are {', '.join(known)}")
    return f"{key}: {found['msg']}" if key else str(found["msg"]).removeprefix("Value error, ")


def recipe_file(name: str) -> Path:
    """The file of a recipe that ships, or the file `name`; UsageError if there is neither."""
    shipped = Path(__file__).parent / "recipes" / f"{name}.toml"
    if shipped.is_file() or Path(name).is_file():
        return shipped if shipped.is_file() else Path(name)
    raise UsageError(f"no recipe {name!r}; give a TOML file or one of "
                     + ", ".join(sorted(p.stem for p in shipped.parent.glob("*.toml"))))


@dataclass(frozen=True)
class Loss:
    """Of one batch: the summed loss, over how many characters, how many of them were read right, how many vision
    tokens the batch took, and how experts were used, if there are any."""

    total: Tensor
    characters: int
    right: int
    tokens: int
    use: Use | None = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Characters, those read right, vision tokens."""
        return self.characters, self.right, self.tokens


def run(
    recipe_file: Path,
    recipe: Schedule,
    out: Path,
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    losses: Callable[[int], Loss],
    validate: Callable[[int], dict[str, float]],
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool],
) -> int:
    """Trains the parameters of `model` that need a gradient, into `out`; goes on from out/state.safetensors if it is
    there. Returns the steps done so far; when those are all, `model` holds what is to be saved.

    `losses(batch)` is the loss on a batch, which depends on the recipe and its number alone: step s takes those from
    s · batches_per_step on. `validate(step)` is what is measured after a step; `stop(step)` is asked before each.
    Parameter groups of the optimisers have a `share` of the learning rate. Raises TrainingError if the loss is no
    number, UsageError if `out` was begun by another recipe or there are more processes than batches.
    """
    if parallel.world() > recipe.batches_per_step:
        raise UsageError(
            f"{parallel.world()} processes cannot share {recipe.batches_per_step} batches a step; "
            "set batches_per_step in the recipe"
        )
    state, log, kept = out / "state.safetensors", out / "log.jsonl", out / "recipe.toml"
    if state.exists() and kept.exists() and type(recipe).read(kept) != recipe:
        raise UsageError(f"{out} was begun by another recipe, {kept}; go on with that one, or give another --out")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    device = next(iter(trained.values())).device
    mean = {name: p.detach().clone() for name, p in trained.items()} if recipe.ema else {}
    step = load_state(state, model, optimisers, mean) if state.exists() else 0
    first = parallel.rank() == 0
    if first:
        with whole_file(kept) as beside:
            beside.write_bytes(recipe_file.read_bytes())
        lines = [line for line in _read_log(log) if line["step"] <= step]
        with whole_file(log) as beside:
            beside.write_text("".join(json.dumps(line) + "\n" for line in lines))
    board = _board(out, step) if first else None
    if recipe.checkpoint_activations:
        _checkpoint_blocks(model)
    since, seen = time.perf_counter(), 0
    loss_sum, characters, right = 0.0, 0, 0
    use: Use | None = None
    while step < recipe.steps and not any(parallel.summed([stop(step)], device)):
        for group in (g for o in optimisers for g in o.param_groups):
            group["lr"] = recipe.learning_rate_at(step) * group["share"]
        model.zero_grad()
        done = [0.0, 0.0, 0.0, 0.0]
        for part in range(parallel.rank(), recipe.batches_per_step, parallel.world()):
            loss = losses(step * recipe.batches_per_step + part)
            loss.total.backward()  # type: ignore[no-untyped-call]
            done = [a + b for a, b in zip(done, (loss.total.item(), *loss.counts), strict=True)]
            use = loss.use + use if loss.use else use
        total, *counts = parallel.summed(done, device)
        if not math.isfinite(total):
            last = f"{state} holds the last good state" if state.exists() else "no state was saved yet"
            raise TrainingError(
                f"the loss is {total} at step {step + 1} (batch of seed {recipe.seed}, step {step}); {last}"
            )
        parallel.sum_gradients(list(trained.values()))
        for gradient in (p.grad for p in trained.values() if p.grad is not None):
            gradient /= counts[0]
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        for each in optimisers:
            each.step()
        for name, value in mean.items():
            value.lerp_(trained[name].detach(), 1 - recipe.ema)
        step += 1
        loss_sum += total
        characters, right, seen = (a + int(b) for a, b in zip((characters, right, seen), counts, strict=True))
        if step % 25 == 0 or step == recipe.steps:
            line: dict[str, Any] = {
                "step": step,
                "loss": round(loss_sum / characters, 5),
                "right": round(right / characters, 5),
                "lr": recipe.learning_rate_at(step - 1),
                "tokens_per_second": round(seen / (time.perf_counter() - since), 1),
            }
            line |= use.line(device) if use else {}
            if first and (step % recipe.validate_every == 0 or step == recipe.steps):
                with _swapped(trained, mean):
                    line["held_out"] = validate(step)
            if first:
                with log.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                _show(board, line)
                left = (recipe.steps - step) * recipe.tokens_per_step / line["tokens_per_second"]
                progress({**line, "seconds_left": round(left)})
            since, seen, loss_sum, characters, right = time.perf_counter(), 0, 0.0, 0, 0
            use = None
        if first and step % recipe.save_every == 0:
            save_state(state, model, optimisers, step, mean)
    if first:
        save_state(state, model, optimisers, step, mean)
    if step == recipe.steps:
        with torch.no_grad():
            for name, value in mean.items():
                trained[name].copy_(value)
    return step


@contextmanager
def _swapped(trained: dict[str, nn.Parameter], mean: dict[str, Tensor]) -> Iterator[None]:
    """The mean weights in the model's place, for a while."""
    raw = {name: trained[name].data for name in mean}
    for name, value in mean.items():
        trained[name].data = value
    try:
        yield
    finally:
        for name, value in raw.items():
            trained[name].data = value


def _checkpoint_blocks(model: nn.Module) -> None:
    """Makes the blocks of every stage forget what they computed, and compute it again when gradients need it."""
    for blocks in (m for m in model.modules() if isinstance(m, nn.ModuleList)):
        for block in (b for b in blocks if any(b.children())):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _board(out: Path, step: int) -> Any:
    """A TensorBoard log of the training from `step` on, where the package is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)


def _show(board: Any, line: dict[str, Any]) -> None:
    if board is None:
        return
    for name in ("loss", "right", "lr", "tokens_per_second", "balance"):
        if name in line:
            board.add_scalar(name, line[name], line["step"])
    for i, layer in enumerate(line.get("experts", ())):
        for j, share in enumerate(layer):
            board.add_scalar(f"experts/layer {i}, {j}", share, line["step"])
    for name, score in line.get("held_out", {}).items():
        board.add_scalar(f"held out/{name}", score, line["step"])
    board.flush()


def save_state(
    path: Path, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], step: int, mean: Mapping[str, Tensor]
) -> None:
    """Writes weights, their mean and the optimisers' moments after `step` steps to one safetensors file."""
    moments = {p: state for optimiser in optimisers for p, state in optimiser.state.items()}
    tensors = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        tensors[f"model/{name}"] = parameter.detach().contiguous()
        for key, value in moments.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = value.contiguous()
    tensors |= {f"mean/{name}": value for name, value in mean.items()}
    with whole_file(path) as beside:
        beside.write_bytes(to_bytes(tensors, {"step": str(step)}))


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
                if kind == "model":
                    parameter.copy_(value)
                elif kind == "mean":
                    mean[name].copy_(value)
                else:
                    value = value if kind == "step" else value.to(parameter.device)
                    owner[parameter].state[parameter][kind] = value
            return int(file.metadata()["step"])
    except Exception as error:
        raise CheckpointError(f"{path}: cannot resume from it: {error}") from error


def _read_log(log: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a kill may have cut the last one short."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]
