"""Trains nano's encoder, readout and line decoder together, at a low rate: the last stage of the paper.

One loss, the sum of the codec's on its pages and the line decoder's on strips that it sees through the encoder as it
now is. What it makes are two checkpoints that belong to each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from microfiche.nano import lines_checkpoint as line_decoders
from microfiche.nano.cells import Nano
from microfiche.nano.lines import LineDecoder
from microfiche.page import TOKEN_SIDE
from microfiche.readers import load, save
from microfiche.training import codec, lines
from microfiche.training.corpus import LARGEST, Corpus, Pages
from microfiche.training.loop import Loss, run


class Recipe(codec.Recipe):
    """What makes the two checkpoints; see training/recipes for the one that ships."""

    start: str = "nano"  #: the codec's checkpoint that it goes on from
    decoder: str = ""  #: the line decoder's, made for that codec; the one that ships, if empty
    strip: tuple[int, int] = (3, 10)  #: height and width in vision tokens of the pieces that the line decoder is shown
    strips: int = Field(2, ge=1)  #: such pieces in a batch
    balance: float = Field(0.001, ge=0)  #: factor of the experts' balance loss

    @model_validator(mode="after")
    def _begins(self) -> Recipe:
        if not self.start:
            raise ValueError("start: there is no training together without the codec's checkpoint")
        if not all(1 <= side * TOKEN_SIDE <= LARGEST for side in self.strip):
            raise ValueError(f"strip is {self.strip}; its sides are from 1 to {LARGEST // TOKEN_SIDE} vision tokens")
        return self


class Pair(nn.Module):
    """A codec and its line decoder."""

    def __init__(self, nano: Nano, lines: LineDecoder) -> None:
        super().__init__()
        self.nano = nano
        self.lines = lines


def started(recipe: Recipe, device: torch.device) -> Pair:
    """The two that it goes on from; CheckpointError where they do not belong to each other."""
    nano = load(recipe.start, str(device), torch.float32)
    decoder = line_decoders.load(nano, Path(recipe.decoder) if recipe.decoder else None)
    return Pair(nano, decoder).train().requires_grad_(True)


def write(pair: Pair, out: Path) -> None:
    """Writes out/model.safetensors and then out/lines.safetensors, which names the first."""
    save(pair.nano, out / "model.safetensors")
    line_decoders.save(pair.lines, load(out / "model.safetensors").checkpoint, out / "lines.safetensors")


def train(
    recipe_file: Path,
    text: Path,
    out: Path,
    device: torch.device,
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool] = lambda step: False,
) -> int:
    """Trains by the recipe on the text under `text`, into `out`, and writes the two checkpoints when done; returns the
    steps done. See `loop.run`."""
    recipe = Recipe.read(recipe_file)
    pair = started(recipe, device)
    pages, held = (
        Pages(Corpus.load(text, validation), recipe.densities, recipe.random_share, recipe.scales)
        for validation in (False, True)
    )

    def loss(number: int) -> Loss:
        batch = codec.batch_at(pages, recipe, number)
        total, count, half, full = codec.losses(pair.nano, batch, device)
        rng = np.random.default_rng([recipe.seed, number, 1])
        more = lines.losses(pair.nano, pair.lines, pages, rng, recipe.strips, recipe.strip, recipe.balance, device)
        return replace(
            more,
            total=total + more.total,
            characters=count + more.characters,
            right=int(half.sum()) + int(full.sum()) + more.right,
            tokens=batch.ink.size // TOKEN_SIDE**2 + more.tokens,
        )

    def measured(step: int) -> dict[str, float]:
        read = lines.validate(pair.nano, pair.lines, held, recipe.strip, device)
        return codec.validate(pair.nano, held, device) | {
            f"{name}, lines": score for name, score in read.items() if not name.endswith("readout")
        }

    optimisers = codec.optimisers(pair.nano, recipe.weight_decay) + lines.optimisers(pair.lines, recipe.weight_decay)
    return run(
        recipe_file, recipe, out, pair, optimisers, loss, measured, progress, stop, lambda: write(pair, out)
    )
