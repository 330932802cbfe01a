"""Trains nano's line decoder on the tokens of a finished encoder, which stays as it is.

One loss, the cross-entropy of each cell's class after the true one before it, plus the experts' balance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.decoder.moe import Routing, balance_loss
from microfiche.devices import fast_autocast
from microfiche.nano.cells import Nano
from microfiche.nano.lines import BEGIN, NANO_LINES, LineDecoder, Lines
from microfiche.nano.lines_checkpoint import save
from microfiche.nano.readout import HALF_CLASSES, RIGHT
from microfiche.page import TOKEN_SIDE
from microfiche.readers import load
from microfiche.training import sizes
from microfiche.training.corpus import LARGEST, Corpus, Pages
from microfiche.training.experts import Use
from microfiche.training.loop import Loss, Schedule, run, unknown
from microfiche.training.optimisers import muon_and_adamw
from microfiche.typesetting.alphabet import N_HALF
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DENSITIES, Density


class Recipe(Schedule):
    """What makes a line decoder; see training/recipes for the one that ships."""

    encoder: str = "nano"  #: the checkpoint whose tokens it reads
    strip: tuple[int, int] = (3, 10)  #: height and width in vision tokens of the pieces of pages it is shown
    densities: dict[str, float]  #: density → its share of the strips
    random_share: float = Field(0.25, ge=0, le=1)  #: strips that hold random strings
    balance: float = Field(0.001, ge=0)  #: factor of the experts' balance loss
    decoder: dict[str, Any] = Field(default_factory=dict)  #: fields of NANO_LINES that differ

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        sizes.decoder(NANO_LINES, self.decoder)
        for name in self.densities:
            if name not in DENSITIES:
                raise ValueError(unknown(name, DENSITIES))
        if not all(1 <= side * TOKEN_SIDE <= LARGEST for side in self.strip):
            raise ValueError(f"strip is {self.strip}; its sides are from 1 to {LARGEST // TOKEN_SIDE} vision tokens")
        if min(self.densities.values(), default=0) < 0 or not sum(self.densities.values()):
            raise ValueError("densities: the shares are not all ≥ 0 with one above")
        return self


def classes(cells: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Cells (glyph ids) → the line decoder's classes, of the same shape."""
    ids = cells.astype(np.int64)
    full = (ids >= N_HALF) & ((ids - N_HALF) % 2 == 0)
    return np.where(full, HALF_CLASSES + (ids - N_HALF) // 2, np.where(ids >= N_HALF, RIGHT, ids))


def strip(
    pages: Pages, rng: np.random.Generator, size: tuple[int, int], density: Density, random: bool
) -> NDArray[np.uint16]:
    """(rows, columns) cells of a piece of a page, `size` vision tokens high and wide."""
    height, width = (n * TOKEN_SIDE for n in size)
    return pages.cells(rng, density, height // density.height, width // density.width, random)


def seen(nano: Nano, size: tuple[int, int], density: Density, cells: NDArray[np.uint16]) -> Lines:
    """What nano sees of a strip."""
    height, width = size
    ink = torch.from_numpy(draw(cells, atlas(density).cells, height * TOKEN_SIDE, width * TOKEN_SIDE))
    table = nano.readout.table
    with fast_autocast(table.device, enabled=table.requires_grad):
        values = nano.encoder(ink[None].to(table))
        return nano.lines(values[0], height, width, density)


def losses(
    nano: Nano,
    model: LineDecoder,
    pages: Pages,
    rng: np.random.Generator,
    strips: int,
    size: tuple[int, int],
    balance: float,
    device: torch.device,
) -> Loss:
    """The loss on `strips` new pieces of pages, of the line decoder and, if nano is trained, of what it saw."""
    total, characters, right = torch.zeros((), device=device), 0, 0
    use: Use | None = None
    for _ in range(strips):
        density = pages.densities[rng.choice(len(pages.densities), p=pages.weights)]
        cells = strip(pages, rng, size, density, rng.random() < pages.random_share)
        lines, target = seen(nano, size, density, cells), torch.from_numpy(classes(cells)).to(device)
        routings: list[Routing] = []
        with fast_autocast(device):
            logits = model(lines, shifted(target), routings)
        total = total + F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
        if routings:
            uneven = balance_loss(routings)
            total = total + balance * target.numel() * uneven
            use = Use.of(routings, uneven) + use
        characters += target.numel()
        right += int((logits.argmax(-1) == target).sum())
    return Loss(total, characters, right, strips * size[0] * size[1], use=use)


@torch.no_grad()
def validate(
    nano: Nano, model: LineDecoder, held: Pages, size: tuple[int, int], device: torch.device
) -> dict[str, float]:
    """Share of cells that the decoder reads right by itself on held-out strips, by density, on language and random
    strings, and beside it the readout's."""
    scores = {}
    for density in held.densities:
        for random in (False, True):
            rng, right = np.random.default_rng(1), np.zeros(2)
            for _ in range(3):
                cells = strip(held, rng, size, density, random)
                lines, target = seen(nano, size, density, cells), torch.from_numpy(classes(cells)).to(device)
                draft = lines.base.argmax(-1)
                with fast_autocast(device):
                    read, _, _ = model.verified(lines, draft)
                right += [(read == target).float().mean().item() / 3, (draft == target).float().mean().item() / 3]
            name = f"{density.name}{' random' if random else ''}"
            scores[name], scores[f"{name}, readout"] = (round(float(r), 5) for r in right)
    return scores


def optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for everything else."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        block = parameter.ndim == 2 and "layers" in name and not name.endswith("mlp.gate")
        (matrices if block else others).append(parameter)
    return muon_and_adamw(
        [{"params": matrices, "share": 1.0}], [{"params": others, "share": 0.4}], weight_decay
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
    nano = load(recipe.encoder, str(device))
    torch.manual_seed(recipe.seed)
    model = LineDecoder.for_nano(nano.config.hidden, nano.config.token_width, **recipe.decoder).to(device)
    pages, held = (
        Pages(Corpus.load(text, validation), recipe.densities, recipe.random_share) for validation in (False, True)
    )
    strips = max(1, round(recipe.tokens_per_batch / (recipe.strip[0] * recipe.strip[1])))

    def loss(number: int) -> Loss:
        rng = np.random.default_rng([recipe.seed, number])
        return losses(nano, model, pages, rng, strips, recipe.strip, recipe.balance, device)

    def measured(step: int) -> dict[str, float]:
        return validate(nano, model, held, recipe.strip, device)

    return run(
        recipe_file, recipe, out, model, optimisers(model, recipe.weight_decay), loss, measured, progress, stop,
        lambda: save(model, nano.checkpoint, out / "model.safetensors"),
    )


def shifted(target: Tensor) -> Tensor:
    """(L, C) classes → those before them, BEGIN first."""
    return torch.cat([torch.full_like(target[:, :1], BEGIN), target[:, :-1]], dim=1)
