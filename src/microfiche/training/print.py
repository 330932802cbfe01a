"""Trains nano for print: from the codec's weights, on pages in outline typefaces with the noise of the world.

Three losses, all dense: the pixel row of a line's middle in every square, the size of its type, and the character in
the frames along every line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from microfiche.checkpoints import load, save
from microfiche.decoder.prints import FRAME, MIDDLE, NO_LINE, NONE
from microfiche.decoder.readout import OFFSETS, SQUARE, SQUARES, around_centres, places_at, square_at
from microfiche.models.devices import fast_autocast
from microfiche.models.prints import NanoPrint
from microfiche.training.codec import optimisers
from microfiche.training.loop import Loss, Schedule, run
from microfiche.training.noise import some, worn
from microfiche.training.prints import Prints
from microfiche.typesetting.alphabet import N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.density import DENSITIES, TOKEN_SIDE
from microfiche.typesetting.printed import LARGEST, Print

_FRAMES = 48  #: supervised frames for each vision token, at most
_SIZE_SHARE = 0.2  #: of the loss on a type's size
_LIKE = ("7x13", 0.8)  #: the codec's density and scale whose places the frames start from


class Recipe(Schedule):
    """What makes a checkpoint for print; see training/recipes for the one that ships."""

    start: str = "nano"  #: the codec's checkpoint whose encoder and unfolding it goes on from
    page_sides: dict[int, float]  #: side of a square training page in px → its share of the steps
    random_share: float = Field(0.2, ge=0, le=1)  #: pages that hold random strings
    noise: float = Field(0.3, ge=0, le=1)  #: the chance of each step of noise on a page

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        for side in self.page_sides:
            if side % TOKEN_SIDE or not 0 < side <= LARGEST:
                raise ValueError(f"a page side of {side} px: sides are multiples of {TOKEN_SIDE}, at most {LARGEST}")
        if min(self.page_sides.values(), default=0) < 0 or not sum(self.page_sides.values()):
            raise ValueError("page_sides: the shares are not all ≥ 0 with one above")
        return self


@dataclass(frozen=True)
class Batch:
    """`ink` (B, H, W) uint8, 255 where it is black; for every square of the pages, in Places' order, the pixel `row`
    of a line's middle in it and the `size` of the type, px an em; and for frames the indices (F, 4) of their squares,
    their offsets (F,) and classes (F,)."""

    ink: NDArray[np.uint8]
    row: NDArray[np.int64]
    size: NDArray[np.float32]
    squares: NDArray[np.int64]
    offset: NDArray[np.int64]
    target: NDArray[np.int64]


def batch_of(prints: list[Print], rng: np.random.Generator, frames: int | None = _FRAMES) -> Batch:
    """The supervision of pages of one size; all frames if `frames` is None."""
    rows, sizes, parts = [], [], []
    for b, one in enumerate(prints):
        height, width = (n // TOKEN_SIDE for n in one.page.image.shape)
        row, size = middles(one)
        rows.append(row)
        sizes.append(size)
        y, x, target = frames_of(one, rng)
        limit = len(x) if frames is None else frames * height * width
        if len(x) > limit:
            chosen = rng.choice(len(x), limit, replace=False)
            y, x, target = y[chosen], x[chosen], target[chosen]
        squares, offset = around_centres(y, x, height, width)
        parts.append((np.where(squares < 0, -1, squares + b * height * width * SQUARES), offset, target))
    squares, offset, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    ink = 255 - np.stack([one.page.image for one in prints])
    return Batch(ink, np.concatenate(rows), np.concatenate(sizes), squares, offset, target)


def middles(one: Print) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each square of a page, in Places' order, the pixel row of a line's middle in it (NO_LINE if there is none),
    and the size of that line's type (0 if there is none)."""
    height, width = one.page.image.shape
    row = np.full(height * width // OFFSETS, NO_LINE, np.int64)
    size = np.zeros(len(row), np.float32)
    for line in one.lines:
        x0, y0, x1, y1 = line.baseline
        first, last = max(0, round(x0 / SQUARE)), min(width // SQUARE, max(round(x1 / SQUARE), round(x0 / SQUARE) + 1))
        x = (np.arange(first, last) + 0.5) * SQUARE
        y = np.floor(y0 + (x - x0) * (y1 - y0) / max(x1 - x0, 1e-6) - MIDDLE * line.size).astype(np.int64)
        x, y = x[(y >= 0) & (y < height)].astype(np.int64), y[(y >= 0) & (y < height)]
        at = square_at(y, x, height // TOKEN_SIDE, width // TOKEN_SIDE)
        row[at], size[at] = y % SQUARE, line.size
    return row, size


def frames_of(
    one: Print, rng: np.random.Generator | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The frames of every line of a page: their middles' pixels (y, x), and their classes; with `rng` a line lies up to
    a pixel too high or too low, as it may be traced."""
    height, width = one.page.image.shape
    assert one.page.text is not None and one.page.boxes is not None
    ids = glyphs(one.page.text).astype(np.int64)
    ids[(ids >= N_HALF) | (ids == NO_GLYPH)] = -1
    boxes = one.page.boxes
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    stands = boxes[:, 2] > boxes[:, 0]
    found = []
    for line in one.lines:
        x0, y0, x1, y1 = line.baseline
        first, last = max(0, int(x0) // FRAME - 3), min(width // FRAME, int(x1) // FRAME + 4)
        x = np.arange(first, last) * FRAME + FRAME // 2
        y = y0 + (x - x0) * (y1 - y0) / max(x1 - x0, 1e-6) - MIDDLE * line.size
        if rng is not None:
            y = y + rng.uniform(-1, 1)
        target = np.full(len(x), NONE, np.int64)
        chosen = line.start + np.flatnonzero(stands[line.start : line.stop])
        frame = (centre[chosen] // FRAME).astype(np.int64) - first
        inside = (frame >= 0) & (frame < len(x))
        target[frame[inside]] = ids[chosen[inside]]
        kept = target >= 0
        found.append(np.stack([np.floor(y).astype(np.int64).clip(0, height - 1), x, target])[:, kept])
    together = np.concatenate(found, axis=1) if found else np.empty((3, 0), np.int64)
    return together[0], together[1], together[2]


def losses(model: NanoPrint, batch: Batch, device: torch.device) -> tuple[Tensor, int, Tensor]:
    """The summed loss, over how many frames, and whether each frame (bool) is read right."""
    ink = torch.from_numpy(batch.ink).to(device, torch.float32) / 255
    row, size, at, offset, target = (
        torch.from_numpy(a).to(device) for a in (batch.row, batch.size, batch.squares, batch.offset, batch.target)
    )
    with fast_autocast(device):
        squares = model.readout.unfold(model.encoder(ink))
        rows, sizes = model.readout.line_logits(squares)
        logits = model.readout.frame_logits(squares, at, offset)
    # Squares count as frames do, so that either loss weighs the same however dense a page is.
    lines = F.cross_entropy(rows.float(), row) + _SIZE_SHARE * size_loss(sizes.float(), size)
    total = F.cross_entropy(logits.float(), target, reduction="sum") + lines * len(target)
    return total, len(target), logits.argmax(-1) == target


def size_loss(log_size: Tensor, size: Tensor) -> Tensor:
    """The mean square error of binary logarithms where a line runs."""
    known = size > 0
    if not known.any():
        return log_size.sum() * 0
    return F.mse_loss(log_size[known], size[known].log2())


def new_model(recipe: Recipe, device: torch.device) -> NanoPrint:
    """Nano for print with the codec's encoder and unfolding, its half-width classes, and new heads for lines."""
    codec = load(recipe.start, str(device), torch.float32)
    torch.manual_seed(recipe.seed)
    model = NanoPrint(codec.config).to(device)
    none = np.zeros(1, np.int64)
    first = int(places_at(DENSITIES[_LIKE[0]], none, none, 1, 1, False, _LIKE[1]).place[0])
    state, own = codec.state_dict(), model.state_dict()
    kept = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    model.load_state_dict(kept, strict=False)
    with torch.no_grad():
        model.readout.frame_head.weight[:N_HALF] = state["readout.half_head.weight"][:N_HALF]
        model.readout.frame_head.bias[:N_HALF] = state["readout.half_head.bias"][:N_HALF]
        model.readout.table.copy_(codec.readout.table[first : first + OFFSETS])
    return model.train().requires_grad_(True)


def batch_at(prints: Prints, recipe: Recipe, number: int) -> Batch:
    """The training batch of that number: a function of the recipe, the corpus and nothing else."""
    rng = np.random.default_rng([recipe.seed, number])
    sides = list(recipe.page_sides)
    shares = np.array(list(recipe.page_sides.values()))
    side = sides[rng.choice(len(sides), p=shares / shares.sum())]
    count = max(1, round(recipe.tokens_per_batch / (side // TOKEN_SIDE) ** 2))
    return batch_of([drawn(prints, rng, side, recipe.noise) for _ in range(count)], rng)


def drawn(prints: Prints, rng: np.random.Generator, side: int, noise: float) -> Print:
    """A square page of `side` px, with each step of noise by a chance of `noise`."""
    one = prints.print(rng, side, side)
    return worn(one, some(rng, noise), rng)


def held_prints(text: Path) -> dict[str, list[Print]]:
    """Pages of 256 px of held-out text in held-out typefaces: clean, worn, and clean ones of random strings."""
    kinds = {"clean": (0.0, 0.0), "worn": (0.0, 0.3), "random": (1.0, 0.0)}
    return {
        name: [drawn(prints, np.random.default_rng(i), 256, noise) for i in range(16)]
        for name, (random_share, noise) in kinds.items()
        for prints in [Prints(text, True, random_share=random_share, wide_share=0.0)]
    }


@torch.no_grad()
def validate(model: NanoPrint, held: dict[str, list[Print]], device: torch.device) -> dict[str, float]:
    """For each of several sets of pages the share of characters whose frame is read right."""
    model.eval()
    scores = {}
    for name, prints in held.items():
        batch = batch_of(prints, np.random.default_rng(0), frames=None)
        _, _, right = losses(model, batch, device)
        some = torch.from_numpy(batch.target).to(device) != NONE
        scores[name] = round(right[some].float().mean().item(), 5)
    model.train()
    return scores


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
    model = new_model(recipe, device)
    prints = Prints(text, random_share=recipe.random_share, wide_share=0.0)
    held = held_prints(text)

    def loss(number: int) -> Loss:
        batch = batch_at(prints, recipe, number)
        total, count, right = losses(model, batch, device)
        return Loss(total, count, int(right.sum()), batch.ink.size // TOKEN_SIDE**2)

    def measured(step: int) -> dict[str, float]:
        return validate(model, held, device)

    return run(
        recipe_file, recipe, out, model, optimisers(model, recipe.weight_decay), loss, measured, progress, stop,
        lambda: save(model, out / "model.safetensors"),
    )
