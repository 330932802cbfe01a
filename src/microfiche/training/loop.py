"""The loop that trains any stage: exact resume, parts of a step on several processes, mean weights, a stop at any step.

It knows nothing of what is trained, nor on what.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from microfiche.errors import TrainingError, UsageError
from microfiche.training import parallel
from microfiche.training.recipe import Plan
from microfiche.training.stage import Stage, Use
from microfiche.training.state import Folder

Progress = Callable[[dict[str, Any]], None]  #: is given each line of the log, with the seconds left
Stop = Callable[[int], bool]  #: is asked before each step whether to stop
CLIP = 1.0  #: the largest norm of a gradient


def train(
    stage_type: type[Stage[Any, Any]],
    recipe_file: Path,
    data: Path,
    out: Path,
    device: torch.device,
    progress: Progress = lambda line: None,
    stop: Stop = lambda step: False,
    **options: Any,
) -> int:
    """Builds a stage from a recipe's file, the folder of its data and its own options, and runs it; see `run`."""
    stage = stage_type(stage_type.recipe_type.read(recipe_file), data, device, **options)
    return run(stage, recipe_file, out, progress, stop)


def run(
    stage: Stage[Any, Any],
    recipe_file: Path,
    out: Path,
    progress: Progress = lambda line: None,
    stop: Stop = lambda step: False,
) -> int:
    """Trains the parameters of a stage's model that need a gradient, into the folder `out`, and goes on from
    out/state.safetensors if it is there. Returns the steps done so far; when those are all, the stage writes its model.

    All processes measure, all must have batches, and as many where the model is sharded. Raises TrainingError if loss
    or gradient is not a number or the state cannot be written, UsageError if `out` was begun by another recipe or the
    processes cannot share the batches.
    """
    recipe: Plan = stage.recipe
    training = _Training(stage, out)
    first = parallel.rank() == 0
    if first:
        training.folder.begin(recipe_file)
    if recipe.checkpoint_activations:
        _checkpoint_blocks(stage.model)
    span = _Span(training.step)
    while training.step < recipe.steps and not any(parallel.summed([stop(training.step)], training.device)):
        training.take_step(span)
        step = training.step
        measured = step % recipe.validate_every == 0 or step == recipe.steps
        if measured or step % recipe.log_every == 0:
            line, left = span.line(recipe, step, training.device)
            if measured:
                line["held_out"] = training.measure()
            if first:
                training.folder.write(line)
                progress({**line, "seconds_left": left})
            span = _Span(step)
        if step % recipe.save_every == 0:
            training.save()
    if training.step != training.folder.saved:
        training.save()
    if training.step == recipe.steps:
        training.exchange()
        if first or stage.all_write:
            stage.write(out)
    return training.step


class _Span:
    """What a line of the log says: sums over the steps since the last one."""

    def __init__(self, step: int) -> None:
        self._began, self._since = step, time.perf_counter()
        self.loss = 0.0
        self.count = self.right = self.tokens = 0
        self.use: Use | None = None

    def line(self, recipe: Plan, step: int, device: torch.device) -> tuple[dict[str, Any], int]:
        """The line after `step`, and the seconds that the steps after it will take."""
        passed = time.perf_counter() - self._since
        line: dict[str, Any] = {
            "step": step,
            "loss": round(self.loss / self.count, 5),
            "right": round(self.right / self.count, 5),
            "lr": recipe.learning_rate_at(step - 1),
            "tokens_per_second": round(self.tokens / passed, 1),
        }
        line |= self.use.line(device) if self.use else {}
        return line, round((recipe.steps - step) * passed / (step - self._began))


class _Training:
    """A stage on its way: after `step` steps, with the mean of its weights."""

    def __init__(self, stage: Stage[Any, Any], out: Path) -> None:
        self.stage, self.recipe = stage, stage.recipe
        parts, model = self.recipe.batches_per_step, stage.model
        world = parallel.world()
        if world > parts or (parts % world and any(map(parallel.sharded, model.parameters()))):
            raise UsageError(
                f"{world} processes cannot share {parts} batches a step; set batches_per_step in the recipe"
            )
        self.folder = Folder(out, self.recipe)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.device = next(iter(self.trained.values())).device
        self.mean = {name: p.detach().clone() for name, p in self.trained.items()} if self.recipe.ema else {}
        self.batches: parallel.Ahead[Any] = parallel.Ahead(stage.batch, stage.workers, parts)
        self.step = self.folder.resume(model, stage.optimisers, self.mean)

    def take_step(self, span: _Span) -> None:
        """One step of the optimisers, counted in `span`; TrainingError where loss or gradient is not a number."""
        for group in (g for o in self.stage.optimisers for g in o.param_groups):
            group["lr"] = self.recipe.learning_rate_at(self.step) * group["share"]
        self.stage.model.zero_grad()
        total, counts, bad = self._losses(span)
        parameters = list(self.trained.values())
        parallel.sum_gradients(parameters)
        for gradient in (p.grad for p in parameters if p.grad is not None):
            gradient /= counts[0]
        norm = parallel.clip(parameters, CLIP)
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingError(self._spoilt(total, norm, bad))
        for each in self.stage.optimisers:
            each.step()
        for name, value in self.mean.items():
            parallel.mine(value).lerp_(parallel.mine(self.trained[name].detach()), 1 - self.recipe.ema)
        self.step += 1
        span.loss += total
        span.count += int(counts[0])
        span.right += int(counts[1])
        span.tokens += int(counts[2])

    def _losses(self, span: _Span) -> tuple[float, list[float], list[str]]:
        """Goes back from the losses of this process's batches. The sum of all processes' losses, their counts, and
        which of this one's losses are not numbers."""
        parts = self.recipe.batches_per_step
        done, bad = [0.0, 0.0, 0.0, 0.0], []
        for number in range(self.step * parts + parallel.rank(), (self.step + 1) * parts, parallel.world()):
            loss = self.stage.loss(number, self.batches(number))
            loss.total.backward()  # type: ignore[no-untyped-call]
            done = [a + b for a, b in zip(done, (loss.total.item(), *loss.counts), strict=True)]
            if not math.isfinite(loss.total.item()):
                bad.append(f"batch {number}" + (f", {loss.name}" if loss.name else ""))
            span.use = loss.use + span.use if loss.use else span.use
        total, *counts = parallel.summed(done, self.device)
        return total, counts, bad

    def _spoilt(self, total: float, norm: float, bad: list[str]) -> str:
        parts, folder = self.recipe.batches_per_step, self.folder
        what = f"loss is {total}" if not math.isfinite(total) else f"loss is {total}, its gradient {norm}"
        where = "; ".join(bad) or f"batches {self.step * parts} to {self.step * parts + parts - 1}"
        good = "no state was saved yet"
        if folder.saved:
            good = f"{folder.state} holds the last good state, of step {folder.saved}"
        return f"the {what} at step {self.step + 1} ({where}); {good}"

    def measure(self) -> dict[str, float]:
        """What the stage measures, of the mean weights if there are any."""
        self.exchange()
        scores = self.stage.validate(self.step)
        self.exchange()
        return scores

    def save(self) -> None:
        """Saves the state of this step."""
        self.folder.save(self.stage.model, self.stage.optimisers, self.step, self.mean)

    @torch.no_grad()
    def exchange(self) -> None:
        """Puts the mean weights into the model's place and the model's into theirs, one after another."""
        for name, value in self.mean.items():
            ours, theirs = parallel.mine(self.trained[name]), parallel.mine(value)
            kept = ours.clone()
            ours.copy_(theirs)
            theirs.copy_(kept)


def _checkpoint_blocks(model: nn.Module) -> None:
    """Makes the blocks of every part forget what they computed, and compute it again when gradients need it."""
    for blocks in (m for m in model.modules() if isinstance(m, nn.ModuleList)):
        for block in (b for b in blocks if any(b.children())):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
