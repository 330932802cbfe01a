"""What a stage of training is, and the loss that it gives: all that the loop asks of a stage.

A stage's file has its recipe, its batches, its loss and what is measured. How a step is taken, logged and saved is the
loop's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from microfiche.decoder.moe import Routing
from microfiche.training import parallel
from microfiche.training.recipe import Plan

Recipe = TypeVar("Recipe", bound=Plan)
Batch = TypeVar("Batch")


class Stage(ABC, Generic[Recipe, Batch]):
    """A training of `model` on `device` by a recipe.

    A stage is built from its recipe, the folder of its data, the device and options of its own. Its `optimisers` have
    groups with a `share` of the learning rate each. `unit` is what its loss is counted in and averaged over. `workers`
    processes draw its batches ahead, or none.
    """

    recipe_type: ClassVar[type[Plan]]
    unit: ClassVar[str] = "character"
    all_write: ClassVar[bool] = False  #: whether every process must call `write`, as where the model is sharded
    recipe: Recipe
    model: nn.Module
    optimisers: Sequence[torch.optim.Optimizer]
    workers: int = 0

    @abstractmethod
    def __init__(self, recipe: Recipe, data: Path, device: torch.device, **options: Any) -> None: ...

    @abstractmethod
    def batch(self, number: int) -> Batch:
        """The batch of that number: a function of the recipe, the data and the number, and of nothing else.

        Step s takes the batches from s · batches_per_step on.
        """

    @abstractmethod
    def loss(self, number: int, batch: Batch) -> Loss:
        """The loss on the batch of that number, with the graph that gradients need."""

    def validate(self, step: int) -> dict[str, float]:
        """What is measured on held-out data after so many steps, by name; every process calls it."""
        return {}

    def write(self, out: Path) -> None:
        """Writes the finished model into the folder `out`; the first process alone calls it, unless `all_write`."""


@dataclass(frozen=True)
class Loss:
    """The loss of one batch: summed in `total` over `count` of the stage's unit (characters, frames, queries, patches),
    `right` of which were read right; the `tokens` that the batch took; a `name` for what it held, if there is one; and
    the use of experts, if there are any."""

    total: Tensor
    count: int
    right: int
    tokens: int
    name: str = ""
    use: Use | None = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """`count`, `right` and `tokens`."""
        return self.count, self.right, self.tokens


@dataclass(frozen=True)
class Use:
    """How evenly a decoder's experts were used: `chosen` (layers, experts) float64, how many choices fell on each
    expert, and `balance`, the balance loss summed over `tokens` tokens."""

    chosen: Tensor
    balance: float
    tokens: int

    @classmethod
    def of(cls, routings: Sequence[Routing], balance: Tensor, mask: Tensor | None = None) -> Use:
        """The use in one pass, by its routings: of all its (B, T) tokens, or of those that `mask` marks."""
        counts = []
        for routing in routings:
            chosen = routing.chosen if mask is None else routing.chosen[mask]
            counts.append(torch.bincount(chosen.flatten(), minlength=routing.probability.shape[-1]))
        tokens = routings[0].chosen[..., 0].numel() if mask is None else int(mask.sum())
        return cls(torch.stack(counts).cpu().double(), balance.item() * tokens, tokens)

    def __add__(self, other: Use | None) -> Use:
        if other is None:
            return self
        return Use(self.chosen + other.chosen, self.balance + other.balance, self.tokens + other.tokens)

    def line(self, device: torch.device) -> dict[str, Any]:
        """What is logged of it, over all processes: the mean `balance` (1 where even), and `experts`, for each layer
        that has them the share of choices that fell on each."""
        *counts, balance, tokens = parallel.summed([*self.chosen.flatten().tolist(), self.balance, self.tokens], device)
        chosen = torch.tensor(counts, dtype=torch.float64).view_as(self.chosen)
        shares = chosen / chosen.sum(-1, keepdim=True)
        return {
            "balance": round(balance / tokens, 4),
            "experts": [[round(share, 4) for share in layer] for layer in shares.tolist()],
        }
