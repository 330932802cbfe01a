"""Trains the nano codec: dense supervision of every character on pages that we set ourselves.

One loss, the cross-entropy of the character at each place; first without, then with the compressor between.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.nano.cells import Nano
from microfiche.nano.model import NanoConfig
from microfiche.nano.windows import PATCHES
from microfiche.page import TOKEN_SIDE
from microfiche.readers import load, save
from microfiche.training import parallel, sizes
from microfiche.training.corpus import LARGEST, Batch, Corpus, Pages
from microfiche.training.loop import Loss, Schedule, run, unknown
from microfiche.training.optimisers import muon_and_adamw
from microfiche.typesetting.alphabet import N_FULL, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES


class Recipe(Schedule):
    """What makes a checkpoint; see training/recipes for those that ship.

    The learning rate is that of the local stage and the readout; the rest learns at a tenth of it.
    """

    start: str = ""  #: the checkpoint to go on from, none if empty; then there is no local stage
    local_steps: int = 0  #: the first steps, which train the local stage and the readout without compressing
    page_sides: dict[int, float]  #: side of a square training page in px → its share of the steps
    densities: dict[str, float]  #: density → its share of the pages
    scales: dict[float, float] = Field(default_factory=lambda: {1.0: 1.0})  #: what pages are shrunk to → their shares
    random_share: float = 0.4  #: pages that hold random strings
    model: dict[str, Any] = Field(default_factory=dict)  #: fields of NanoConfig that differ from its defaults

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        sizes.nano(self.model)
        for name in self.densities:
            if name not in DENSITIES:
                raise ValueError(unknown(name, DENSITIES))
        for side in self.page_sides:
            if side % TOKEN_SIDE or not 0 < side <= LARGEST:
                raise ValueError(f"a page side of {side} px: sides are multiples of {TOKEN_SIDE}, at most {LARGEST}")
        for scale in self.scales:
            if not 0.2 <= scale <= 1:
                raise ValueError(f"a scale of {scale}: scales are from 0.2 to 1")
        for name in ("densities", "page_sides", "scales"):
            shares = getattr(self, name).values()
            if min(shares, default=0) < 0 or not sum(shares):
                raise ValueError(f"{name}: the shares are not all ≥ 0 with one above")
        if not 0 <= self.random_share <= 1:
            raise ValueError(f"random_share is {self.random_share}, not from 0 to 1")
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


def optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the windows' blocks and of the readout, AdamW for everything else.

    What mixes patches and tokens starts as an identity and learns at a tenth of the rate, lest it be shaken apart.
    """
    matrices, others, mixing = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder.compressor", "encoder.page", "readout.decompressor")):
            mixing.append(parameter)
        elif parameter.ndim == 2 and min(parameter.shape) >= 64 and "head" not in name and "table" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    groups = [{"params": others, "share": 1.0}, {"params": mixing, "share": 0.1}]
    return muon_and_adamw([{"params": matrices, "share": 1.0}], groups, weight_decay)


def batch_at(pages: Pages, recipe: Recipe, number: int) -> Batch:
    """The training batch of that number: a function of the recipe, the corpus and nothing else."""
    rng = np.random.default_rng([recipe.seed, number])
    sides = list(recipe.page_sides)
    shares = np.array(list(recipe.page_sides.values()))
    side = sides[rng.choice(len(sides), p=shares / shares.sum())]
    return pages.batch(rng, max(1, round(recipe.tokens_per_batch / (side // TOKEN_SIDE) ** 2)), side)


@torch.no_grad()
def validate(model: Nano, pages: Pages, device: torch.device, local: bool = False) -> dict[str, float]:
    """Share of characters read right on held-out pages of 256 px, by density, on language and random strings, and on
    language shrunk."""
    model.eval()
    scores = {}
    for density in pages.densities:
        for kind, random, scale in (("", False, 1.0), (" random", True, 1.0), *_shrunk(pages)):
            if scale == 1 or pages.large_enough(density, scale):
                batch = pages.batch(
                    np.random.default_rng(1), 4, 256, density=density, random=random, scale=scale, samples=None
                )
                _, _, half, full = losses(model, batch, device, local)
                right = torch.cat([half, full]) if not density.wide else full
                scores[f"{density.name}{kind}"] = round(right.float().mean().item(), 5)
    model.train()
    return scores


def _shrunk(pages: Pages) -> list[tuple[str, bool, float]]:
    return [(f" at {scale:g}", False, scale) for scale in pages.scales if scale < 1]


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
    if recipe.start:
        model = load(recipe.start, str(device), torch.float32).train().requires_grad_(True)
    else:
        model = new_model(sizes.nano(recipe.model), recipe.seed).to(device)
    pages, held = (
        Pages(Corpus.load(text, validation), recipe.densities, recipe.random_share, recipe.scales)
        for validation in (False, True)
    )

    def loss(number: int) -> Loss:
        step, part = divmod(number, recipe.batches_per_step)
        if step == recipe.local_steps and part == parallel.rank() and not recipe.start:
            start_compressor(model, pages.batch(np.random.default_rng(recipe.seed), 32, 256), device)
        batch = batch_at(pages, recipe, number)
        total, count, half, full = losses(model, batch, device, step < recipe.local_steps)
        return Loss(total, count, int(half.sum()) + int(full.sum()), batch.ink.size // TOKEN_SIDE**2)

    def measured(step: int) -> dict[str, float]:
        return validate(model, held, device, step <= recipe.local_steps)

    return run(
        recipe_file, recipe, out, model, optimisers(model, recipe.weight_decay), loss, measured, progress, stop,
        lambda: save(model, out / "model.safetensors"),
    )
