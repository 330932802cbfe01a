"""The stage that trains nano's line decoder on the tokens of a finished encoder, which does not learn.

One loss, the cross-entropy of each cell's class after the true one before it, plus the experts' balance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from microfiche.decoder.moe import Routing, balance_loss
from microfiche.devices import fast_autocast
from microfiche.nano.cells import NANO
from microfiche.nano.lines import BEGIN, LINES, NANO_LINES, LineDecoder, Lines
from microfiche.nano.readout import HALF_CLASSES, RIGHT
from microfiche.page import TOKEN_SIDE
from microfiche.training.cell_pages import LARGEST, CellPages
from microfiche.training.optimisers import decoder_optimisers
from microfiche.training.recipe import Schedule, Shares, check_names, decoder_sizes
from microfiche.training.stage import Loss, Stage, Use
from microfiche.typesetting.alphabet import N_HALF
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DENSITIES, Density
from microfiche.weights import stored

Strip = tuple[Density, NDArray[np.uint16]]  #: a piece of a page: its density, and its (rows, columns) cells


class Recipe(Schedule):
    """What makes a line decoder; training/recipes has the one that ships."""

    encoder: str = "nano"  #: the checkpoint whose tokens it reads
    strip: tuple[int, int] = (3, 10)  #: height and width in vision tokens of the pieces of pages that it sees
    densities: Shares[str]  #: density → its share of the strips
    random_share: float = Field(0.25, ge=0, le=1)  #: strips that hold random strings
    balance: float = Field(0.001, ge=0)  #: factor of the experts' balance loss
    decoder: dict[str, Any] = Field(default_factory=dict)  #: fields of NANO_LINES that differ

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        decoder_sizes(NANO_LINES, self.decoder)
        check_names(self.densities, DENSITIES)
        if not all(1 <= side * TOKEN_SIDE <= LARGEST for side in self.strip):
            raise ValueError(f"strip is {self.strip}; its sides are from 1 to {LARGEST // TOKEN_SIDE} vision tokens")
        return self


def classes(cells: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Cells (glyph ids) → the line decoder's classes, of the same shape."""
    ids = cells.astype(np.int64)
    full = (ids >= N_HALF) & ((ids - N_HALF) % 2 == 0)
    return np.where(full, HALF_CLASSES + (ids - N_HALF) // 2, np.where(ids >= N_HALF, RIGHT, ids))


def strip(
    pages: CellPages, rng: np.random.Generator, size: tuple[int, int], density: Density, random: bool
) -> NDArray[np.uint16]:
    """(rows, columns) cells of a piece of a page, `size` vision tokens high and wide."""
    height, width = (n * TOKEN_SIDE for n in size)
    return pages.cells(rng, density, height // density.height, width // density.width, random)


def shifted(target: Tensor) -> Tensor:
    """(L, C) classes → those before them, BEGIN first."""
    return torch.cat([torch.full_like(target[:, :1], BEGIN), target[:, :-1]], dim=1)


class LinesStage(Stage[Recipe, list[Strip]]):
    """The line decoder on strips of the text of the folder `data`."""

    recipe_type = Recipe
    unit = "cell"
    model: LineDecoder

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.nano = stored.load(NANO, recipe.encoder, device)
        torch.manual_seed(recipe.seed)
        config = self.nano.config
        self.model = LineDecoder.for_nano(config.hidden, config.token_width, **recipe.decoder).to(device)
        self.optimisers = decoder_optimisers(self.model, recipe.weight_decay)
        self.pages, self.held = CellPages.both(data, recipe.densities, recipe.random_share)

    def batch(self, number: int) -> list[Strip]:
        """Strips, each of a density drawn by their shares."""
        rng, size, drawn = np.random.default_rng([self.recipe.seed, number]), self.recipe.strip, []
        for _ in range(max(1, round(self.recipe.tokens_per_batch / (size[0] * size[1])))):
            density = self.pages.density(rng)
            drawn.append((density, strip(self.pages, rng, size, density, rng.random() < self.pages.random_share)))
        return drawn

    def loss(self, number: int, batch: list[Strip]) -> Loss:
        """The loss of every cell's class, and of how unevenly the experts are used."""
        total, count, right = torch.zeros((), device=self.device), 0, 0
        use: Use | None = None
        size = self.recipe.strip
        for density, cells in batch:
            lines, target = self.seen(density, cells)
            routings: list[Routing] = []
            with fast_autocast(self.device):
                logits = self.model(lines, shifted(target), routings)
            total = total + F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
            if routings:
                uneven = balance_loss(routings)
                total = total + self.recipe.balance * target.numel() * uneven
                use = Use.of(routings, uneven) + use
            count += target.numel()
            right += int((logits.argmax(-1) == target).sum())
        return Loss(total, count, right, len(batch) * size[0] * size[1], use=use)

    def seen(self, density: Density, cells: NDArray[np.uint16]) -> tuple[Lines, Tensor]:
        """What nano sees of a strip, and the (rows, columns) classes of its cells."""
        height, width = self.recipe.strip
        ink = torch.from_numpy(draw(cells, atlas(density).cells, height * TOKEN_SIDE, width * TOKEN_SIDE))
        values = self.nano.encoder(ink[None].to(self.nano.readout.table))
        return self.nano.lines(values[0], height, width, density), torch.from_numpy(classes(cells)).to(self.device)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """The share of cells that the decoder reads right by itself on held-out strips, by density, on language and on
        random strings, and beside it the readout's."""
        scores = {}
        for density in self.held.densities:
            for random in (False, True):
                rng, right = np.random.default_rng(1), np.zeros(2)
                for _ in range(3):
                    lines, target = self.seen(density, strip(self.held, rng, self.recipe.strip, density, random))
                    draft = lines.base.argmax(-1)
                    with fast_autocast(self.device):
                        read, _, _ = self.model.verified(lines, draft)
                    right += [(read == target).float().mean().item() / 3, (draft == target).float().mean().item() / 3]
                name = f"{density.name}{' random' if random else ''}"
                scores[name], scores[f"{name}, readout"] = (round(float(r), 5) for r in right)
        return scores

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors, which names the encoder."""
        stored.save(LINES, self.model, out / "model.safetensors", self.nano.checkpoint)
