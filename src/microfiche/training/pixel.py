"""Pretrains PIXEL: masked patches of rendered text are painted back, on strips of every language mixed.

One loss, the published one (arXiv 2207.06991, section 2.3): the squared error of the masked patches' normalised pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from microfiche.devices import fast_autocast
from microfiche.pixel.checkpoint import save
from microfiche.pixel.model import Pixel
from microfiche.pixel.painting import masked_count
from microfiche.pixel.strips import StripRenderer
from microfiche.training import sizes
from microfiche.training.ahead import Ahead
from microfiche.training.loop import Loss, Schedule, run
from microfiche.training.optimisers import muon_and_adamw
from microfiche.training.strip_batches import Batch, Renderer, Strips, texts

_FEWEST = 16  #: patches of a strip


class Recipe(Schedule):
    """What makes a PIXEL; tokens are patches. See training/recipes for the one that ships."""

    strips: dict[int, float]  #: patches of a strip → its share of the steps
    ratio: float = Field(0.25, gt=0, lt=1)  #: of the patches that are masked
    visible: float = Field(0.0, ge=0)  #: weight of painting what is not masked, beside the published loss: 0
    held_out_strips: int = Field(48, ge=1)  #: of each language, on which it is measured
    workers: int = Field(0, ge=0)  #: processes that render ahead; none: this one renders
    model: dict[str, Any] = Field(default_factory=dict)  #: fields of PixelConfig that differ from pixel-small's

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        longest = sizes.pixel(self.model).patches
        for patches in self.strips:
            if not _FEWEST <= patches <= longest:
                raise ValueError(f"strips of {patches} patches; {_FEWEST} to {longest} are possible")
            if not 0 < masked_count(patches, self.ratio) < patches:
                raise ValueError(f"ratio is {self.ratio}; of {patches} patches it masks none or all")
        if min(self.strips.values(), default=0) < 0 or not sum(self.strips.values()):
            raise ValueError("strips: the shares are not all ≥ 0 with one above")
        return self


def batch_at(strips: Strips, recipe: Recipe, number: int) -> Batch:
    """The training batch of that number: a function of the recipe, the text and nothing else."""
    rng = np.random.default_rng([recipe.seed, number])
    shares = np.array(list(recipe.strips.values()))
    patches = list(recipe.strips)[rng.choice(len(shares), p=shares / shares.sum())]
    return strips.batch(rng, max(1, round(recipe.tokens_per_batch / patches)), patches)


def errors(model: Pixel, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """(L,) errors of the patches that are masked and attended, and (M,) of those that are seen."""
    with fast_autocast(device):
        masked, attended = batch.masked.to(device), batch.attended.to(device)
        each = model.errors(batch.patches.to(device), attended, masked)
    return each[masked & attended], each[~masked & attended]


@torch.no_grad()
def validate(model: Pixel, held: Mapping[str, Batch], device: torch.device) -> dict[str, float]:
    """The mean loss on each language's batch."""
    model.eval()
    scores = {name: round(errors(model, batch, device)[0].mean().item(), 5) for name, batch in held.items()}
    model.train()
    return scores


def held_batches(text: Mapping[str, str], renderer: Renderer, recipe: Recipe, channels: int) -> dict[str, Batch]:
    """A batch of held-out strips of each language, of the length that most steps have."""
    patches = max(recipe.strips, key=recipe.strips.__getitem__)
    strips = Strips(text, renderer, recipe.ratio, channels)
    return {
        name: strips.batch(np.random.default_rng([1, i]), recipe.held_out_strips, patches, name)
        for i, name in enumerate(strips.texts)
    }


def optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for everything else."""
    blocks = {name: p for name, p in model.named_parameters() if ".blocks." in name and p.ndim == 2}
    others = [p for name, p in model.named_parameters() if name not in blocks]
    return muon_and_adamw(
        [{"params": list(blocks.values()), "share": 1.0}], [{"params": others, "share": 0.2}], weight_decay
    )


def train(
    recipe_file: Path,
    text: Path,
    out: Path,
    device: torch.device,
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool] = lambda step: False,
) -> int:
    """Trains by the recipe on the text under `text`, into `out`, and writes out/model.safetensors when done; returns
    the steps done. See `loop.run`."""
    recipe = Recipe.read(recipe_file)
    config = sizes.pixel(recipe.model)
    torch.manual_seed(recipe.seed)
    model = Pixel(config).to(device).train()
    renderer = StripRenderer(colour=config.channels == 3)
    strips = Strips(texts(text, False), renderer, recipe.ratio, config.channels)
    held = held_batches(texts(text, True), renderer, recipe, config.channels)
    batches = Ahead(lambda number: batch_at(strips, recipe, number), recipe.workers, recipe.batches_per_step)

    def loss(number: int) -> Loss:
        batch = batches(number)
        torch.manual_seed((recipe.seed << 32) + number)  # dropout, too, depends on the number alone
        hidden, seen = errors(model, batch, device)
        total = hidden.sum() + recipe.visible * len(hidden) * seen.mean()
        return Loss(total, len(hidden), int((hidden < 1).sum()), batch.attended.numel())

    def measured(step: int) -> dict[str, float]:
        return validate(model, held, device)

    return run(
        recipe_file, recipe, out, model, optimisers(model, recipe.weight_decay), loss, measured, progress, stop,
        lambda: save(model, out / "model.safetensors"),
    )
