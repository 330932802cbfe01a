"""The stage that trains the nano codec, with every character of pages of cells supervised.

One loss, the cross-entropy of the character at each place; first without the compressor, then with it between.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.nano.cells import NANO, Nano
from microfiche.nano.encoder import PATCHES
from microfiche.nano.model import NanoConfig
from microfiche.page import TOKEN_SIDE
from microfiche.training import parallel
from microfiche.training.cell_pages import LARGEST, Batch, CellPages
from microfiche.training.optimisers import optimisers_of
from microfiche.training.recipe import Choice, Schedule, Shares, check_names, check_sides, nano_sizes
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.alphabet import N_FULL, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES
from microfiche.weights import stored


class Recipe(Schedule):
    """What makes a codec; training/recipes has those that ship.

    The learning rate is that of the local stage and the readout; the rest learns at a tenth of it.
    """

    start: str = ""  #: the checkpoint to go on from; then there is no local stage. None if empty
    local_steps: int = 0  #: the first steps, which train the local stage and the readout without compressing
    page_sides: Shares[int]  #: side of a square training page in px → its share of the batches
    densities: Shares[str]  #: density → its share of the pages
    scales: Shares[float] = Field(default_factory=lambda: {1.0: 1.0})  #: what pages are shrunk to → their shares
    random_share: float = Field(0.4, ge=0, le=1)  #: pages that hold random strings
    model: dict[str, Any] = Field(default_factory=dict)  #: fields of NanoConfig that differ from its defaults

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        nano_sizes(self.model)
        check_names(self.densities, DENSITIES)
        check_sides(self.page_sides, LARGEST)
        for scale in self.scales:
            if not 0.2 <= scale <= 1:
                raise ValueError(f"a scale of {scale}: scales must be from 0.2 to 1")
        if not 0 <= self.local_steps < self.steps:
            raise ValueError("local_steps must lie within steps")
        if self.start and (self.local_steps or self.model):
            raise ValueError("with start there are no local_steps and no model: the checkpoint has its own")
        return self


def new_model(config: NanoConfig, seed: int) -> Nano:
    """A nano model with weights drawn from `seed`; its full-width classes start as pictures of their glyphs.

    A class's weights are the whitened principal components of its 16×16 glyph, so that what is learned of common
    characters holds for rare ones.
    """
    torch.manual_seed(seed)
    model = Nano(config)
    cells = atlas(DENSITIES["16x16"]).cells[N_HALF:].astype(np.float32)
    glyph = cells.reshape(N_FULL, 2, 16, 8).transpose(0, 2, 1, 3).reshape(N_FULL, 256)
    left, _, _ = np.linalg.svd(glyph - glyph.mean(0), full_matrices=False)
    width = model.readout.full_head.in_features
    components = torch.from_numpy(left[:, :width] * math.sqrt(N_FULL))[:, :256]
    with torch.no_grad():
        model.readout.full_head.weight.normal_(std=0.02)
        model.readout.full_head.weight[:, : components.shape[1]] = components / math.sqrt(width)
        model.readout.full_head.bias.zero_()
    return model


@torch.no_grad()
def start_compressor(model: Nano, batch: Batch, device: torch.device) -> None:
    """Starts compressor and decompressor as the principal components of the local stage's patches on `batch`.

    From a random start the two stay for thousands of steps where only spaces are read.
    """
    patches = model.encoder.patches(ink_of(batch, device)).flatten(0, 1)
    mean = patches.mean(0)
    _, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean))
    kept = vectors[:, -model.config.token_width // PATCHES :]
    model.encoder.compressor.start_as(kept.T)
    model.readout.decompressor.start_as(kept)
    model.readout.decompressor.deconv1.bias.copy_((mean - kept @ (kept.T @ mean)).repeat(4))


def ink_of(batch: Batch, device: torch.device) -> Tensor:
    """(B, H, W) float32 ink in [0, 1]."""
    return torch.from_numpy(batch.ink).to(device, torch.float32) / 255


def losses(model: Nano, batch: Batch, device: torch.device, local: bool = False) -> tuple[Tensor, int, Tensor, Tensor]:
    """The summed cross-entropy, the number of characters, and whether each half-width cell (bool) and each
    full-width character (bool) is read right; `local` reads the patches before they are compressed."""
    ink = ink_of(batch, device)
    with fast_autocast(device):
        if local:
            squares = model.readout.unfold_patches(model.encoder.patches(ink))
        else:
            squares = model.readout.unfold(model.encoder(ink))
    total = torch.zeros((), device=device)
    right = []
    for head, cells in ((model.readout.half_logits, batch.half), (model.readout.full_logits, batch.full)):
        at, place, target = (torch.from_numpy(a).to(device) for a in cells)
        with fast_autocast(device):
            logits = head(model.readout.see(squares, at, place))
        total = total + F.cross_entropy(logits.float(), target, reduction="sum")
        right.append(logits.argmax(-1) == target)
    return total, len(batch.half[0]) + len(batch.full[0]), right[0], right[1]


_MIXING = ("encoder.compressor", "encoder.page", "readout.decompressor")  #: parameters that begin as an identity


def codec_optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the windows' blocks and of the readout, AdamW for everything else."""

    def is_matrix(name: str, parameter: nn.Parameter) -> bool:
        return parameter.ndim == 2 and min(parameter.shape) >= 64 and "head" not in name and "table" not in name

    return optimisers_of(model, weight_decay, is_matrix, mixing=_MIXING)


class CodecStage(Stage[Recipe, Batch]):
    """Nano's encoder and readout on the text of the folder `data`, from nothing or from the recipe's `start`."""

    recipe_type = Recipe
    model: Nano

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        if recipe.start:
            self.model = stored.load(NANO, recipe.start, device, torch.float32).train().requires_grad_(True)
        else:
            self.model = new_model(nano_sizes(recipe.model), recipe.seed).to(device)
        self.optimisers = codec_optimisers(self.model, recipe.weight_decay)
        self.pages, self.held = CellPages.both(data, recipe.densities, recipe.random_share, recipe.scales)
        self.sides = Choice.of(recipe.page_sides)

    def batch(self, number: int) -> Batch:
        """Square pages of one side, which is drawn by the shares of the sides."""
        rng = np.random.default_rng([self.recipe.seed, number])
        side = self.sides.one(rng)
        return self.pages.batch(rng, self.recipe.pages_per_batch(side), side)

    def loss(self, number: int, batch: Batch) -> Loss:
        """The loss of every supervised character; after the local steps the compressor is started and comes between."""
        recipe = self.recipe
        step, part = divmod(number, recipe.batches_per_step)
        if step == recipe.local_steps and part == parallel.rank() and not recipe.start:
            start_compressor(self.model, self.pages.batch(np.random.default_rng(recipe.seed), 32, 256), self.device)
        total, count, half, full = losses(self.model, batch, self.device, step < recipe.local_steps)
        return Loss(total, count, int(half.sum()) + int(full.sum()), batch.ink.size // TOKEN_SIDE**2)

    def validate(self, step: int) -> dict[str, float]:
        """The share of characters read right on held-out pages; see `validate`."""
        return validate(self.model, self.held, self.device, step <= self.recipe.local_steps)

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors."""
        stored.save(NANO, self.model, out / "model.safetensors")


@torch.no_grad()
def validate(model: Nano, pages: CellPages, device: torch.device, local: bool = False) -> dict[str, float]:
    """The share of characters read right on pages of 256 px, by density: on language, on random strings, and on
    language shrunk."""
    model.eval()
    scores = {}
    shrunk = [(f" at {scale:g}", False, scale) for scale in pages.scales if scale < 1]
    for density in pages.densities:
        for kind, random, scale in (("", False, 1.0), (" random", True, 1.0), *shrunk):
            if scale == 1 or pages.large_enough(density, scale):
                batch = pages.batch(
                    np.random.default_rng(1), 4, 256, density=density, random=random, scale=scale, samples=None
                )
                _, _, half, full = losses(model, batch, device, local)
                right = torch.cat([half, full]) if not density.wide else full
                scores[f"{density.name}{kind}"] = round(right.float().mean().item(), 5)
    model.train()
    return scores
