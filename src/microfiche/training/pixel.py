"""The stage that pretrains PIXEL: masked patches of rendered text are painted back, on strips of every language.

One loss, the published one (arXiv 2207.06991, section 2.3): the squared error of the masked patches' normalised pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from microfiche.devices import fast_autocast
from microfiche.errors import InputError
from microfiche.pixel.checkpoint import save
from microfiche.pixel.model import Pixel, patches_of
from microfiche.pixel.painting import masked_count, spans
from microfiche.pixel.strips import PATCH, Strip, StripRenderer
from microfiche.training.corpus import sorted_texts
from microfiche.training.optimisers import optimisers_of
from microfiche.training.recipe import Choice, Schedule, Shares, pixel_sizes
from microfiche.training.stage import Loss, Stage

_FEWEST = 16  #: patches of a strip
_RAW, _NARROW, _WIDE = 4, 2.5, 1.3  #: characters that fill a patch amply: as they stand, letters, full-width ones
_TRIES = 10  #: pieces of text until one can be drawn
_FIRST_WIDE = "\u2e80"
_SHORT, _SHORTEST = 0.1, 8  #: share of strips that end early, and the fewest patches of one


class Recipe(Schedule):
    """What makes a PIXEL; its tokens are patches. training/recipes has the one that ships."""

    strips: Shares[int]  #: patches of a strip → its share of the steps
    ratio: float = Field(0.25, gt=0, lt=1)  #: of the patches that are masked
    visible: float = Field(0.0, ge=0)  #: weight of painting what is not masked; 0 gives the published loss
    held_out_strips: int = Field(48, ge=1)  #: of each language, on which it is measured
    workers: int = Field(0, ge=0)  #: processes that draw strips ahead; 0: the one that trains
    model: dict[str, Any] = Field(default_factory=dict)  #: fields of PixelConfig that differ from pixel-small's

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        longest = pixel_sizes(self.model).patches
        for patches in self.strips:
            if not _FEWEST <= patches <= longest:
                raise ValueError(f"strips of {patches} patches; {_FEWEST} to {longest} are possible")
            if not 0 < masked_count(patches, self.ratio) < patches:
                raise ValueError(f"ratio is {self.ratio}; of {patches} patches it masks none or all")
        return self


class Renderer(Protocol):
    """What draws a strip of a text, as pixel.strips.StripRenderer does."""

    def line(self, text: str, longest: int) -> Strip:
        """A text on a strip of at most so many patches."""


@dataclass(frozen=True)
class Batch:
    """`patches` (B, N, 16·16·C) float32, and (B, N) bool which of them are `attended` and which are `masked`."""

    patches: Tensor
    attended: Tensor
    masked: Tensor


def texts_by_language(folder: Path, validation: bool) -> dict[str, str]:
    """The training or held-out text under `folder` by language: what stands in a file's name before its first "-".

    InputError where there is none.
    """
    found = sorted_texts(folder, validation, lambda file, text: (file.name.split(".")[0].split("-")[0], text))
    return {language: "".join(f"{text}\n" for text in texts) for language, texts in found.items()}


class Strips:
    """Draws batches of strips, some of whose patches are masked, from texts by language: a language by the root of its
    text's length."""

    def __init__(self, texts: Mapping[str, str], renderer: Renderer, ratio: float, channels: int = 1) -> None:
        self.texts, self.renderer, self.ratio, self.channels = dict(texts), renderer, ratio, channels
        self._languages = Choice(list(self.texts), np.sqrt([len(text) for text in self.texts.values()]))

    def language(self, rng: np.random.Generator) -> str:
        """One of the languages."""
        return self._languages.one(rng)

    def piece(self, rng: np.random.Generator, language: str, patches: int) -> str:
        """Running text of a language, from the beginning of a word on, enough for about `patches`."""
        text = self.texts[language]
        start = int(rng.integers(max(1, len(text) - _RAW * patches)))
        found = text[start : start + _RAW * patches]
        wide = sum(char >= _FIRST_WIDE for char in found) / max(1, len(found))
        if wide < 0.3:
            found = found.partition(" ")[2] or found  # from a word's beginning on
        return " ".join(found.split())[: int(patches * (wide * _WIDE + (1 - wide) * _NARROW)) + 8]

    def strip(self, rng: np.random.Generator, language: str, patches: int) -> Strip:
        """A piece of a language on a strip. One with characters that no installed font draws is passed over for
        another; InputError, the renderer's, where all of many are such."""
        for _ in range(_TRIES):
            try:
                return self.renderer.line(self.piece(rng, language, patches), patches)
            except InputError as error:
                undrawn = error
        raise undrawn

    def batch(self, rng: np.random.Generator, strips: int, patches: int, language: str | None = None) -> Batch:
        """`strips` of `patches` each, of one language or of all by their shares; one in ten ends early."""
        drawn, masked = [], []
        for _ in range(strips):
            name = language or self.language(rng)
            longest = int(rng.integers(_SHORTEST, patches)) if rng.random() < _SHORT else patches
            strip = self.strip(rng, name, longest)
            drawn.append(strip)
            masked.append(spans(rng, patches, self.ratio, text=strip.image.shape[1] // PATCH))
        values, attended = patches_of(drawn, patches, self.channels)
        return Batch(values, attended, torch.from_numpy(np.stack(masked)))


def errors(model: Pixel, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """(L,) errors of the patches that are masked and attended, and (M,) of those that are seen."""
    with fast_autocast(device):
        masked, attended = batch.masked.to(device), batch.attended.to(device)
        each = model.errors(batch.patches.to(device), attended, masked)
    return each[masked & attended], each[~masked & attended]


def pixel_optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for everything else."""
    return optimisers_of(model, weight_decay, lambda name, p: ".blocks." in name and p.ndim == 2, share=0.2)


class PixelStage(Stage[Recipe, Batch]):
    """PIXEL, from nothing, on the text of the folder `data`."""

    recipe_type = Recipe
    unit = "patch"
    model: Pixel

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device, self.workers = recipe, device, recipe.workers
        config = pixel_sizes(recipe.model)
        torch.manual_seed(recipe.seed)
        self.model = Pixel(config).to(device).train()
        self.optimisers = pixel_optimisers(self.model, recipe.weight_decay)
        renderer = StripRenderer(colour=config.channels == 3)
        self.strips, held = (
            Strips(texts_by_language(data, validation), renderer, recipe.ratio, config.channels)
            for validation in (False, True)
        )
        self.lengths = Choice.of(recipe.strips)
        usual = max(recipe.strips, key=recipe.strips.__getitem__)
        self.held = {  # a batch of held-out strips of each language, of the length that most steps have
            name: held.batch(np.random.default_rng([1, i]), recipe.held_out_strips, usual, name)
            for i, name in enumerate(held.texts)
        }

    def batch(self, number: int) -> Batch:
        """Strips of one length, which is drawn by the shares of the lengths."""
        rng = np.random.default_rng([self.recipe.seed, number])
        patches = self.lengths.one(rng)
        return self.strips.batch(rng, max(1, round(self.recipe.tokens_per_batch / patches)), patches)

    def loss(self, number: int, batch: Batch) -> Loss:
        """The error of the masked patches and, weighted by the recipe, of those that are not masked."""
        torch.manual_seed((self.recipe.seed << 32) + number)  # dropout, too, depends on the number alone
        hidden, seen = errors(self.model, batch, self.device)
        total = hidden.sum() + self.recipe.visible * len(hidden) * seen.mean()
        return Loss(total, len(hidden), int((hidden < 1).sum()), batch.attended.numel())

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """The mean loss on held-out strips, by language."""
        self.model.eval()
        found = {name: errors(self.model, batch, self.device)[0].mean() for name, batch in self.held.items()}
        self.model.train()
        return {name: round(loss.item(), 5) for name, loss in found.items()}

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors."""
        save(self.model, out / "model.safetensors")
