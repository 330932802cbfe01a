"""A stage that trains in a moment: a line fitted to numbers. It proves what the loop promises to every stage.

As a program it is a process that torchrun starts, or that a test stops: `toy.py RECIPE OUT [NUMBER SIGNAL [RANK]]`
sends itself a signal (if it is the process of this rank) when it draws the batch of that number.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from microfiche.devices import fast_autocast
from microfiche.training import loop, parallel
from microfiche.training.optimisers import optimisers_of
from microfiche.training.recipe import Schedule
from microfiche.training.stage import Loss, Stage


class Recipe(Schedule):
    """A toy's."""

    workers: int = 0


class Toy(Stage[Recipe, Tensor]):
    """A small network that fits a line through points, with dropout, in the fast type, by Muon and AdamW."""

    recipe_type = Recipe
    unit = "point"
    signal: ClassVar[tuple[int, int, int] | None] = None  #: sent to itself: batch, signal, rank
    bad: ClassVar[tuple[int, str] | None] = None  #: a batch whose "loss", or whose "gradient" alone, is not a number

    def __init__(self, recipe: Recipe, data: Path, device: torch.device, **options: Any) -> None:
        self.recipe, self.workers = recipe, recipe.workers
        torch.manual_seed(recipe.seed)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 3)) for _ in range(2)
        )
        self.head = nn.Linear(3, 1)
        self.model = nn.ModuleDict({"blocks": self.blocks, "head": self.head, "frozen": nn.Linear(2, 2)})
        self.model["frozen"].requires_grad_(False)
        self.optimisers = optimisers_of(
            self.model, recipe.weight_decay, lambda name, p: "blocks" in name and p.ndim == 2, 0.5, ("head",)
        )

    def batch(self, number: int) -> Tensor:
        if self.signal and self.signal[0] == number and self.signal[2] == parallel.rank():
            os.kill(os.getpid(), self.signal[1])
        return torch.randn(16, 3, generator=torch.Generator().manual_seed(number))

    def loss(self, number: int, batch: Tensor) -> Loss:
        torch.manual_seed(number)
        hidden = batch
        with fast_autocast("cpu"):
            for block in self.blocks:
                hidden = hidden + block(hidden)
            found = self.head(hidden)[:, 0].float()
        wrong = (found - batch @ torch.tensor([1.0, 2.0, 3.0])).square()
        total = wrong.sum()
        if self.bad and self.bad[0] == number:
            total = total * float("nan") if self.bad[1] == "loss" else total + (0 * total).sqrt()
        return Loss(total, len(batch), int((wrong < 1).sum()), len(batch))

    def validate(self, step: int) -> dict[str, float]:
        return {"slope": round(self.head.weight[0, 2].item(), 5)}

    def write(self, out: Path) -> None:
        weights = {name: value.contiguous() for name, value in self.model.state_dict().items()}
        save_file(weights, out / "model.safetensors")


if __name__ == "__main__":
    from microfiche.cli.console import interrupts, reported

    recipe, out, *sent = sys.argv[1:]
    if sent:
        Toy.signal = (int(sent[0]), int(sent[1]), int(sent[2]) if len(sent) > 2 else 0)
    with reported(), parallel.processes("cpu") as device, interrupts() as interrupted:
        loop.train(Toy, Path(recipe), Path(), Path(out), device, stop=lambda step: interrupted())
