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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from microfiche.errors import TrainingError, UsageError
from microfiche.files import whole_file
from microfiche.training import parallel
from microfiche.training.experts import Use
from microfiche.training.state import load_state, saved


class Plan(BaseModel):
    """What every recipe has: how long, how fast, and how often it is logged, saved and measured."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = Field(0, ge=0)
    steps: int = Field(ge=1)  #: optimiser steps in all
    decay_steps: int  #: the last of them, in which the learning rate falls to nothing
    warmup_steps: int = Field(100, ge=0)
    learning_rate: float = Field(5e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    batches_per_step: int = Field(1, ge=1)  #: parts of a step, whose gradients are summed; processes share them
    ema: float = Field(0.0, ge=0, lt=1)  #: what a step keeps of the mean weights, which are measured and saved; 0: none
    checkpoint_activations: bool = False  #: compute each block again on the way back instead of keeping what it had
    log_every: int = Field(25, ge=1)
    save_every: int = Field(250, ge=1)
    validate_every: int = Field(250, ge=1)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe in a TOML file; UsageError, in one line, if it is none."""
        try:
            return cls(**tomllib.loads(path.read_text("utf-8-sig")))
        except ValidationError as error:
            raise UsageError(f"{path}: not a recipe: {_first(error, list(cls.model_fields))}") from error
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path}: not a recipe: {error}") from error

    @model_validator(mode="after")
    def _possible_schedule(self) -> Self:
        if not 0 <= self.decay_steps <= self.steps:
            raise ValueError("decay_steps must lie within steps")
        return self

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, a plateau, and a fall along 1 − √t over the last `decay_steps`."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        into_decay = max(0.0, (step - (self.steps - self.decay_steps)) / max(1, self.decay_steps))
        return self.learning_rate * warm * (1 - math.sqrt(into_decay))


class Schedule(Plan):
    """What recipes have whose steps are counted in vision tokens."""

    tokens_per_step: int = Field(256, ge=1)  #: vision tokens

    @property
    def tokens_per_batch(self) -> float:
        """Vision tokens of one part of a step."""
        return self.tokens_per_step / self.batches_per_step


def _first(error: ValidationError, known: list[str]) -> str:
    """What is wrong first, in words, with the key that was likely meant."""
    found = error.errors()[0]
    key = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        return unknown(key, known)
    return f"{key}: {found['msg']}" if key else str(found["msg"]).removeprefix("Value error, ")


def unknown(key: str, known: Iterable[str]) -> str:
    """That there is no such key, with the one that was likely meant."""
    keys = sorted(known)
    near = get_close_matches(key, keys, 1)
    return f"{key!r} is no key" + (f"; {near[0]!r} is" if near else f"; there are {', '.join(keys)}")


def recipe_file(name: str) -> Path:
    """The file of a recipe that ships, or the file `name`; UsageError if there is neither."""
    shipped = Path(__file__).parent / "recipes" / f"{name}.toml"
    if shipped.is_file() or Path(name).is_file():
        return shipped if shipped.is_file() else Path(name)
    raise UsageError(f"no recipe {name!r}; give a TOML file or one of "
                     + ", ".join(sorted(p.stem for p in shipped.parent.glob("*.toml"))))


@dataclass(frozen=True)
class Loss:
    """Of one batch: the summed loss, over how many characters (or text tokens), how many of them were read right, how
    many tokens the batch took, what it was made of, if that has a name, and how experts were used, if there are any."""

    total: Tensor
    characters: int
    right: int
    tokens: int
    name: str = ""
    use: Use | None = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Characters, those read right, tokens."""
        return self.characters, self.right, self.tokens


def run(
    recipe_file: Path,
    recipe: Plan,
    out: Path,
    model: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    losses: Callable[[int], Loss],
    validate: Callable[[int], dict[str, float]],
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool],
    write: Callable[[], None] | None = None,
) -> int:
    """Trains the parameters of `model` that need a gradient, into `out`; goes on from out/state.safetensors if it is
    there. Returns the steps done so far; when those are all, `model` holds what is to be saved, and the first process
    calls `write`.

    `losses(batch)` is the loss on a batch, which depends on the recipe and its number alone: step s takes those from
    s · batches_per_step on. `validate(step)` is what is measured after a step; `stop(step)` is asked before each.
    Parameter groups of the optimisers have a `share` of the learning rate. All processes measure, all must have
    batches, and as many where the model is sharded. Raises TrainingError if loss or gradient is no number or the state
    cannot be written, UsageError if `out` was begun by another recipe or the processes cannot share the batches.
    """
    processes, parts = parallel.world(), recipe.batches_per_step
    if processes > parts or (parts % processes and any(map(parallel.sharded, model.parameters()))):
        raise UsageError(
            f"{processes} processes cannot share {parts} batches a step; set batches_per_step in the recipe"
        )
    state, log, kept = out / "state.safetensors", out / "log.jsonl", out / "recipe.toml"
    if state.exists() and kept.exists() and type(recipe).read(kept) != recipe:
        raise UsageError(f"{out} was begun by another recipe, {kept}; go on with that one, or give another --out")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    device = next(iter(trained.values())).device
    mean = {name: p.detach().clone() for name, p in trained.items()} if recipe.ema else {}
    step = last = load_state(state, model, optimisers, mean) if state.exists() else 0
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
    since, began, seen = time.perf_counter(), step, 0
    loss_sum, characters, right = 0.0, 0, 0
    use: Use | None = None
    while step < recipe.steps and not any(parallel.summed([stop(step)], device)):
        for group in (g for o in optimisers for g in o.param_groups):
            group["lr"] = recipe.learning_rate_at(step) * group["share"]
        model.zero_grad()
        done, bad = [0.0, 0.0, 0.0, 0.0], []
        for part in range(parallel.rank(), parts, processes):
            loss = losses(step * parts + part)
            loss.total.backward()  # type: ignore[no-untyped-call]
            done = [a + b for a, b in zip(done, (loss.total.item(), *loss.counts), strict=True)]
            if not math.isfinite(loss.total.item()):
                bad.append(f"batch {step * parts + part}" + (f", {loss.name}" if loss.name else ""))
            use = loss.use + use if loss.use else use
        total, *counts = parallel.summed(done, device)
        parallel.sum_gradients(list(trained.values()))
        for gradient in (p.grad for p in trained.values() if p.grad is not None):
            gradient /= counts[0]
        norm = parallel.clip(list(trained.values()), 1.0)
        if not (math.isfinite(total) and math.isfinite(norm)):
            what = f"loss is {total}" if not math.isfinite(total) else f"loss is {total}, its gradient {norm}"
            where = "; ".join(bad) or f"batches {step * parts} to {step * parts + parts - 1}"
            good = f"{state} holds the last good state, of step {last}" if last else "no state was saved yet"
            raise TrainingError(f"the {what} at step {step + 1} ({where}); {good}")
        for each in optimisers:
            each.step()
        for name, value in mean.items():
            parallel.mine(value).lerp_(parallel.mine(trained[name].detach()), 1 - recipe.ema)
        step += 1
        loss_sum += total
        characters, right, seen = (a + int(b) for a, b in zip((characters, right, seen), counts, strict=True))
        measured = step % recipe.validate_every == 0 or step == recipe.steps
        if measured or step % recipe.log_every == 0:
            line: dict[str, Any] = {
                "step": step,
                "loss": round(loss_sum / characters, 5),
                "right": round(right / characters, 5),
                "lr": recipe.learning_rate_at(step - 1),
                "tokens_per_second": round(seen / (time.perf_counter() - since), 1),
            }
            left = (recipe.steps - step) * (time.perf_counter() - since) / (step - began)
            line |= use.line(device) if use else {}
            if measured:
                _exchange(trained, mean)
                line["held_out"] = validate(step)
                _exchange(trained, mean)
            if first:
                try:
                    with log.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    _show(board, line)
                except OSError as error:
                    good = f"{state} holds step {last}" if last else "no state was saved yet"
                    raise TrainingError(f"{log}: cannot be written ({error.strerror or error}); {good}") from error
                progress({**line, "seconds_left": round(left)})
            since, began, seen, use = time.perf_counter(), step, 0, None
            loss_sum, characters, right = 0.0, 0, 0
        if step % recipe.save_every == 0:
            last = saved(state, model, optimisers, step, mean, last)
    if step != last:
        saved(state, model, optimisers, step, mean, last)
    if step == recipe.steps:
        _exchange(trained, mean)
        if write and first:
            write()
    return step


@torch.no_grad()
def _exchange(trained: Mapping[str, nn.Parameter], mean: Mapping[str, Tensor]) -> None:
    """Puts the mean weights into the model's place and the model's into theirs, one after another."""
    for name, value in mean.items():
        ours, theirs = parallel.mine(trained[name]), parallel.mine(value)
        kept = ours.clone()
        ours.copy_(theirs)
        theirs.copy_(kept)


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


def _read_log(log: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a kill may have cut the last one short."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]
