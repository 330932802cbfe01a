"""The stage that fine-tunes PIXEL for a task: an encoder with a new head learns from annotated examples.

The model that scores best on the development examples is kept. What a task is stands in pixel/tasks.py. After arXiv
2207.06991, section 3; the whole encoder learns.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import nn

from microfiche.devices import fast_autocast
from microfiche.errors import UsageError
from microfiche.files import whole_file
from microfiche.pixel import checkpoint as pretrained
from microfiche.pixel.checkpoint import load_tuned, save_tuned
from microfiche.pixel.examples import differences, labels
from microfiche.pixel.heads import Pooling
from microfiche.pixel.model import SMALL, PixelEncoder
from microfiche.pixel.tasks import TASKS, head_of
from microfiche.pixel.tuned import LARGEST, SHORTEST, Setup, Task, TaskName, Tuned, batches
from microfiche.training import parallel
from microfiche.training.loop import Progress, Stop, run
from microfiche.training.optimisers import muon_and_adamw
from microfiche.training.recipe import Plan, recipe_file
from microfiche.training.stage import Loss, Stage

Keep = Callable[[Tuned, Path, dict[str, float]], None]  #: saves a model to a path, with its scores
RANDOM = "random"  #: the encoder that learned nothing, of the shape of pixel-small


class Recipe(Plan):
    """How a model is tuned; see training/recipes/pixel-TASK.toml for those that ship."""

    task: TaskName
    encoder: str = pretrained.SHIPPED  #: a PIXEL checkpoint's name or path, or "random"
    batch: int = Field(32, ge=1, le=4096)  #: examples of a batch
    longest: int = Field(128, ge=SHORTEST, le=LARGEST)  #: patches of a strip
    pooling: Pooling = "mean"  #: how a classifier makes one vector of a strip's
    published: bool = False  #: whether the head is the published one, instead of ours
    dropout: float = Field(0.1, ge=0, lt=1)  #: in the encoder and the head
    data: str = ""  #: SHA-256 of both files and the encoder, written by the training itself


@dataclass(frozen=True)
class Result:
    """The best model's scores on dev, the step it was found at (0 if none was), and the steps done."""

    scores: dict[str, float]
    best: int
    step: int


def recipe_of(task: str, recipe: str | None) -> Path:
    """The file of a recipe, of the task's own if it is None; UsageError if there is no such task or recipe."""
    if task not in TASKS:
        raise UsageError(f"no task {task!r}; there are {', '.join(TASKS)}")
    return recipe_file(recipe or f"pixel-{task}")


def encoder(recipe: Recipe) -> PixelEncoder:
    """The encoder that a recipe begins with, with its dropout; CheckpointError where it cannot be loaded."""
    if recipe.encoder == RANDOM:
        return PixelEncoder(replace(SMALL, dropout=recipe.dropout))
    loaded = pretrained.load(recipe.encoder).encoder
    fresh = PixelEncoder(replace(loaded.config, dropout=recipe.dropout))
    fresh.load_state_dict(loaded.state_dict())
    return fresh


def train(
    recipe: Path,
    train: Path,
    dev: Path,
    out: Path,
    device: torch.device,
    progress: Progress = lambda line: None,
    stop: Stop = lambda step: False,
    say: Callable[[str], None] = lambda line: None,
    changes: dict[str, Any] | None = None,
) -> Result:
    """Tunes by the recipe, changed by `changes`, on the examples of two files; `say` is given what is odd about them.

    out/model.safetensors is the model that was best on those of `dev`; out/metrics.json, written when all steps are
    done, has its scores. See `loop.run`. UsageError or InputError for a recipe or data that cannot be used.
    """
    plan = _changed(Recipe.read(recipe), changes or {})
    kind = TASKS[plan.task]
    examples, held = kind.read(train), kind.read(dev)
    known = labels(kind.labels(examples))
    for line in differences(known, kind.labels(held)):
        say(f"{dev}: labels {line}")
    torch.manual_seed(plan.seed)
    body = encoder(plan)
    plan = _changed(plan, {"data": _digest(train, dev, body)})
    setup = Setup(plan.task, known, plan.longest, plan.pooling, plan.dropout, plan.published)
    task = kind(setup, body.config.channels)
    model = Tuned(body, head_of(setup, body.config.width), setup).to(device).train()
    for name, some in ((train, examples), (dev, held)):
        if cut := task.cut(some[:2000]):
            say(f"{name}: {cut} of the first {len(some[:2000])} examples are longer than {plan.longest} patches: cut")
    return tune(FinetuneStage(plan, model, task, examples, held, out), progress, stop)


def tune(stage: FinetuneStage, progress: Progress = lambda line: None, stop: Stop = lambda step: False) -> Result:
    """Runs the stage, into its folder."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "recipe.toml"
        file.write_text(_written(stage.recipe))
        step = run(stage, file, stage.out, progress, stop)
    return Result(stage.scores, stage.best, step)


class FinetuneStage(Stage[Recipe, list[Any]]):
    """A model, on its device, that is tuned on `examples` of its task, and measured on those held.

    `best` is the step after which it scored best on these, and `scores` what it scored then; a training that goes on
    knows them from the file of its best model. `keep` saves a model to a path, with its scores.
    """

    recipe_type = Recipe
    unit = "label"
    model: Tuned

    def __init__(
        self,
        recipe: Recipe,
        model: Tuned,
        task: Task[Any, Any],
        examples: Sequence[Any],
        held: Sequence[Any],
        out: Path,
        keep: Keep = save_tuned,
    ) -> None:
        self.recipe, self.model, self.task, self.examples, self.held = recipe, model, task, examples, held
        self.optimisers = optimisers(model, recipe.weight_decay)
        self.out, self.path, self.keep = out, out / "model.safetensors", keep
        self.chosen = batches(recipe.seed, len(examples), recipe.batch)
        self.scores: dict[str, float] = {}
        self.best = 0
        if self.path.exists() and (out / "state.safetensors").exists():
            self.scores = load_tuned(self.path)[1]
            self.best = int(self.scores.pop("step"))

    def batch(self, number: int) -> list[Any]:
        """Examples in an order drawn anew for each time that all have come."""
        return [self.examples[i] for i in self.chosen(number)]

    def loss(self, number: int, batch: list[Any]) -> Loss:
        """The task's loss."""
        torch.manual_seed((self.recipe.seed << 32) + number)  # dropout depends on the number alone
        with fast_autocast(self.model.device):
            found = self.task.loss(self.model, batch, np.random.default_rng([self.recipe.seed, number]))
        return Loss(found.total, found.count, found.right, found.patches)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """The scores on the examples held; the best model so far is kept."""
        self.model.eval()
        found = self.task.predict(self.model, self.held)
        self.model.train()
        scores = {name: round(value, 5) for name, value in self.task.scores(self.held, found).items()}
        if not self.scores or scores[self.task.score] > self.scores[self.task.score]:
            self.scores, self.best = scores, step
            if parallel.rank() == 0:
                self.keep(self.model, self.path, {**scores, "step": step})
        return scores

    def write(self, out: Path) -> None:
        """Writes metrics.json; the best model is there."""
        found = {"task": self.recipe.task, "encoder": self.recipe.encoder, "seed": self.recipe.seed, "step": self.best,
                 "examples": len(self.examples), "dev_examples": len(self.held), "scores": self.scores}  # fmt: skip
        with whole_file(out / "metrics.json") as beside:
            beside.write_text(json.dumps(found, indent=1) + "\n")


def optimisers(model: Tuned, weight_decay: float) -> list[torch.optim.Optimizer]:
    """As in pretraining, Muon for the blocks' matrices and AdamW for everything else. But each matrix learns at a rate
    in proportion to its size (1 as it was first made; pretraining has made some seven times as large), after LARS,
    arXiv 1708.03888; and the head, which begins at nothing, twice as fast as the rest."""
    matrices: list[dict[str, Any]] = []
    head: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if ".blocks." in name and parameter.ndim == 2:
            begun = math.sqrt(2 / sum(parameter.shape))  # Glorot's
            size = parameter.detach().square().mean().sqrt().item()
            matrices.append({"params": [parameter], "share": size / begun})
        else:
            (head if name.startswith("head.") else rest).append(parameter)
    return muon_and_adamw(matrices, [{"params": rest, "share": 0.2}, {"params": head, "share": 0.4}], weight_decay)


@torch.no_grad()
def evaluate(path: Path, data: Path, device: str = "cpu") -> dict[str, float]:
    """The scores of a tuned model on an annotated file."""
    model, _ = load_tuned(path, device)
    task = task_of(model)
    examples = task.read(data)
    return task.scores(examples, task.predict(model, examples))


@torch.no_grad()
def predictions(path: Path, data: Path, device: str = "cpu") -> Iterator[str]:
    """What a tuned model finds for the texts of a file, each in the task's format."""
    model, _ = load_tuned(path, device)
    task = task_of(model)
    examples = task.plain(data)
    for i in range(0, len(examples), 256):
        few = examples[i : i + 256]
        yield from (task.written(*pair) for pair in zip(few, task.predict(model, few), strict=True))


def task_of(model: Tuned) -> Task[Any, Any]:
    """The task that a model was tuned for."""
    return TASKS[model.setup.task](model.setup, model.encoder.config.channels)


def _digest(train: Path, dev: Path, body: nn.Module) -> str:
    found = hashlib.sha256()
    for path in (train, dev):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    for value in body.state_dict().values():
        found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


def _changed(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    try:
        return Recipe(**{**recipe.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))} {first['input']!r}: {first['msg']}") from error


def _written(recipe: Recipe) -> str:
    """A recipe as TOML; strings, numbers and truth values are written as in JSON."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in recipe.model_dump().items())
