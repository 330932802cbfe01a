"""The stage that trains nano for print, on real pages and on pages in outline typefaces, with the noise of the world.

Three losses, all dense: in which pixel rows of every column of pixels the middle of a line runs, the size of its type,
and the character in the frames along every line. What is not known of a page (figures, characters without a sound text
layer) is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.devices import fast_autocast
from microfiche.nano.print import (
    BETWEEN,
    BEYOND,
    COLUMN,
    FRAME,
    MIDDLE,
    PRINT,
    PrintModel,
    PrintReadout,
    frames_at,
)
from microfiche.nano.print_encoder import CELL, PATCH, PrintConfig, inked
from microfiche.page import TOKEN_SIDE
from microfiche.training import parallel
from microfiche.training.noise import scanned, some, worn
from microfiche.training.optimisers import optimisers_of
from microfiche.training.real_pages import RealPages
from microfiche.training.real_store import TRUTH
from microfiche.training.recipe import Choice, Schedule, Shares, check_names, check_sides
from microfiche.training.set_pages import SetPages
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.alphabet import N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.fonts import typefaces
from microfiche.typesetting.print import LARGEST, SIZES, Print
from microfiche.weights import stored

_ALIKE = 1.0  #: of the loss on maps that are unlike the encoder's
_DIRECTLY = 4  #: batches of which one is read from the encoder's own maps too
_SIZE_SHARE = 0.2  #: of the loss on a type's size
_SLIP = (0.06, 0.06)  #: em that a line may be traced too high, and share its size may be off: standard deviations
_LEARNED_APART = ("_head.weight", "part", "place")  #: parameters that are no matrices between features
_FOLDING = ("encoder.fold", "encoder.mix", "readout.mix", "readout.unfold")
_SEEN_FIRST = 64  #: pages whose patches the folding starts from


class Recipe(Schedule):
    """What makes a checkpoint for print; training/recipes has the one that ships."""

    start: str = ""  #: a checkpoint for print that it goes on from
    model: dict[str, Any] = Field(default_factory=dict)  #: fields of PrintConfig that differ from its defaults
    page_sides: Shares[int]  #: side of a square training page in px → its share of the batches
    em: tuple[float, float] = (5.0, 16.0)  #: px an em of the type, from and to
    real_share: float = Field(0.5, ge=0, le=1)  #: real pages, where there are any
    random_share: float = Field(0.3, ge=0, le=1)  #: of the others, pages that hold random strings
    noise: float = Field(0.25, ge=0, le=1)  #: the chance of each step of noise on a quarter; another is scanned
    local_steps: int = Field(0, ge=0)  #: the first steps, in which nothing is compressed
    workers: int = Field(1, ge=0)  #: processes that draw pages ahead

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        check_sides(self.page_sides, LARGEST)
        if not SIZES[0] <= self.em[0] <= self.em[1] <= SIZES[-1]:
            raise ValueError(f"em = {list(self.em)}: sizes lie between {SIZES[0]} and {SIZES[-1]} px, in order")
        try:
            check_names(self.model, asdict(PrintConfig()))
        except ValueError as error:
            raise ValueError(f"model: {error}") from error
        return self

    @property
    def config(self) -> PrintConfig:
        """The sizes of the model."""
        return PrintConfig.of(self.model)


@dataclass(frozen=True)
class Batch:
    """Pages of one size and their truth.

    `ink` (B, H, W) uint8, 255 where it is black; `middle` (B, H, W/8) uint8, 1 where the middle of a line runs through
    that row of the column, and `known` of the same shape whether that is known; `size` (B, H/8, W/8) float32 px an em,
    0 where no line runs; and of frames the `cells` (F, 3) and `part` (F,) they look at, the `character` (F,) int64 that
    stands there, −1 where that is not known, and whether its `centre` (F,) does: 1, 0, or −1 where that is not known.
    """

    ink: NDArray[np.uint8]
    middle: NDArray[np.uint8]
    known: NDArray[np.bool_]
    size: NDArray[np.float32]
    cells: NDArray[np.int64]
    part: NDArray[np.int64]
    character: NDArray[np.int64]
    centre: NDArray[np.int64]


def batch_of(pages: Sequence[Print], rng: np.random.Generator | None = None) -> Batch:
    """The supervision of pages of one size; with `rng` lines lie a little too high or low, large or small, as they may
    be traced."""
    height, width = pages[0].page.image.shape
    found = [frames_of(one, rng) for one in pages]
    y, x, character, centre = (np.concatenate([one[i] for one in found]) for i in range(4))
    page = np.repeat(np.arange(len(pages)), [len(one[0]) for one in found])
    frames = frames_at(y, x, page, height, width)
    middle, known, size = (np.stack(maps) for maps in zip(*map(middles, pages), strict=True))
    ink = 255 - np.stack([one.page.image for one in pages])
    return Batch(ink, middle, known, size, frames.cells, frames.part, character, centre)


def middles(one: Print) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    """Where the middles of a page's lines run, where that is known, and the sizes of their type, as in Batch."""
    height, width = one.page.image.shape
    middle = np.zeros((height, width // COLUMN), np.uint8)
    size = np.zeros((height // COLUMN, width // COLUMN), np.float32)
    known = np.ones(middle.shape, bool)
    for left, top, right, bottom in one.unknown:
        known[top:bottom, left // COLUMN : -(-right // COLUMN)] = False
    for line in one.lines:
        x0, y0, x1, y1 = line.baseline
        first = max(0, round(x0 / COLUMN))
        column = np.arange(first, min(width // COLUMN, max(round(x1 / COLUMN), first + 1)))
        x = (column + 0.5) * COLUMN
        y = np.floor(y0 + (x - x0) * (y1 - y0) / max(x1 - x0, 1e-6) - MIDDLE * line.size).astype(np.int64)
        inside = (y >= 0) & (y < height)
        column, y = column[inside], y[inside]
        middle[y, column] = 1
        size[y // COLUMN, column] = line.size
        for below in (-2, -1, 0, 1, 2):
            known[(y + below).clip(0, height - 1), column] = True
    return middle, known, size


def frames_of(
    one: Print, rng: np.random.Generator | None = None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The frames of every line of a page, one line after another: (F,) float64 y and x px, NaN between two lines, and
    of each the character and whether it is its centre, int64 as in Batch; with `rng` as `batch_of` says."""
    ids = glyphs(one.page.text).astype(np.int64)
    ids[(ids >= N_HALF) | (ids == NO_GLYPH)] = -1
    boxes = one.page.boxes
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    stands = boxes[:, 2] > boxes[:, 0]
    gap, unknown = np.full(BETWEEN, np.nan), np.full(BETWEEN, -1)
    found: list[tuple[NDArray[Any], ...]] = [(gap, gap, unknown, unknown)]
    for line in one.lines:
        chosen = line.start + np.flatnonzero(stands[line.start : line.stop])
        if not len(chosen):
            continue
        chosen = chosen[np.argsort(middle[chosen], kind="stable")]
        down, larger = rng.normal(0, _SLIP) if rng is not None else (0.0, 0.0)
        size = line.size * float(np.exp(larger))
        x0, y0, x1, y1 = line.baseline
        begin = x0 - (BEYOND + (rng.random() * FRAME if rng is not None else 0)) * size
        x = begin + (np.arange(np.ceil((x1 - begin) / size / FRAME + BEYOND / FRAME)) + 0.5) * FRAME * size
        y = y0 + (x - x0) * (y1 - y0) / max(x1 - x0, 1e-6) - (MIDDLE + down) * line.size
        at = middle[chosen]
        nearest = chosen[np.searchsorted((at[1:] + at[:-1]) / 2, x)]
        character = ids[nearest]
        character[(x < x0) | (x > x1)] = -1
        centre = np.zeros(len(x), np.int64)
        centre[((at - begin) / (FRAME * size)).astype(np.int64).clip(0, len(x) - 1)] = 1
        centre[ids[nearest] < 0] = -1
        found += [(y, x, character, centre), (gap, gap, unknown, unknown)]
    y, x, character, centre = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return y, x, character, centre


def losses(
    model: PrintModel, batch: Batch, device: torch.device, compressed: bool = True, directly: bool = False
) -> tuple[Tensor, int, Tensor]:
    """The summed loss, over how many frames, and of each of those, which a character is known to stand in, whether that
    is read right, (n,) bool.

    The readout reads the maps of 8 and 4 px that are unfolded from the tokens, `compressed`, which also learn to be
    like the encoder's own; or it reads those `directly`; or does both.
    """
    ink = torch.from_numpy(batch.ink).to(device, torch.float32) / 255
    with fast_autocast(device):
        maps = model.encoder.local(ink, 4 if compressed else 3)
        total: Tensor = torch.zeros((), device=device)
        if directly:
            total, count, right = read_loss(model.readout, maps[2], maps[1], batch, device)
        if compressed:
            height, width = (n // TOKEN_SIDE for n in batch.ink.shape[1:])
            unfolded = model.readout.unfold(model.encoder.folded(maps, inked(ink)), height, width)
            loss, count, right = read_loss(model.readout, *unfolded, batch, device)
            unlike = sum(
                F.mse_loss(there.float(), here.detach().float())
                for there, here in zip(unfolded, (maps[2], maps[1]), strict=True)
            )
            total = total + loss + _ALIKE * count * unlike
    return total, count, right


def read_loss(
    readout: PrintReadout, at_8: Tensor, at_4: Tensor, batch: Batch, device: torch.device
) -> tuple[Tensor, int, Tensor]:
    """The same of what is read from maps of 8 and of 4 px."""
    middle, known, size, cells, part, character, centre = (
        torch.from_numpy(a).to(device)
        for a in (batch.middle, batch.known, batch.size, batch.cells, batch.part, batch.character, batch.centre)
    )
    rows, sizes = readout.line_logits(at_8)
    logits = readout.frame_logits(at_4, cells, part).float()
    each = F.binary_cross_entropy_with_logits(rows, middle.float(), reduction="none")
    # Eight rows of a column count as one frame does, so that either loss weighs the same however dense a page is.
    lines = (each * known).sum() / known.sum().clamp(min=1) * COLUMN + _SIZE_SHARE * size_loss(sizes, size)
    stands, sure = character >= 0, centre >= 0
    count = max(1, int(stands.sum()))
    total = F.cross_entropy(logits[stands, :-1], character[stands], reduction="sum")
    total = total + F.binary_cross_entropy_with_logits(logits[sure, -1], centre[sure].float(), reduction="sum")
    return total + lines * count, count, logits[stands, :-1].argmax(-1) == character[stands]


def size_loss(log_size: Tensor, size: Tensor) -> Tensor:
    """The mean square error of binary logarithms where a line runs."""
    here = size > 0
    if not here.any():
        return log_size.sum() * 0
    return F.mse_loss(log_size[here], size[here].log2())


def new_model(recipe: Recipe, device: torch.device) -> PrintModel:
    """An untrained model of the recipe's sizes, or the one that it starts from."""
    if recipe.start:
        return stored.load(PRINT, recipe.start, device, torch.float32).train().requires_grad_(True)
    torch.manual_seed(recipe.seed)
    return PrintModel(recipe.config).to(device)


@torch.no_grad()
def start_folding(model: PrintModel, ink: NDArray[np.uint8], device: torch.device) -> None:
    """Makes each patch's part of a token the leading principal components of its 4-px features, as pages (B, H, W) of
    ink have them, and the readout's maps what comes nearest to the encoder's own."""
    encoder, readout = model.encoder, model.readout
    with fast_autocast(device):
        maps = encoder.local(torch.from_numpy(ink).to(device, torch.float32) / 255, 3)
    at_4, at_8 = (
        F.pixel_unshuffle(maps[i].float(), PATCH // side).permute(0, 2, 3, 1).flatten(0, 2).cpu().double()
        for i, side in ((1, CELL), (2, COLUMN))
    )
    _, vectors = torch.linalg.eigh(at_4.T @ at_4)
    leading = vectors[:, -encoder.fold.out_channels :]
    nearest = torch.linalg.lstsq(at_4 @ leading, at_8).solution
    for layer, weight in ((encoder.fold, leading.T), (readout.unfold4, leading.T), (readout.unfold8, nearest)):
        layer.weight.copy_(weight.reshape(layer.weight.shape))
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


def print_optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for what is multiplied with most, convolutions too; AdamW for everything else."""

    def is_matrix(name: str, parameter: nn.Parameter) -> bool:
        large = parameter.ndim > 1 and min(parameter.flatten(1).shape) >= 32
        return large and not name.endswith(_LEARNED_APART)

    return optimisers_of(model, weight_decay, is_matrix, mixing=_FOLDING)


class Source:
    """Pages by chance, to train on or held out: real ones of a folder of PDFs with its store of truth, if one is given,
    and ones set from a folder of text in the typefaces for print."""

    def __init__(self, recipe: Recipe, text: Path, pdfs: Path | None, held_out: bool = False) -> None:
        self.recipe = recipe
        self.real = RealPages(pdfs / TRUTH, pdfs, held_out) if pdfs else None
        self.set = SetPages(
            text, held_out, typefaces(held_out, for_print=True), random_share=recipe.random_share, wide_share=0.0,
            sizes=range(int(recipe.em[0]), int(recipe.em[1]) + 1),
        )  # fmt: skip

    def page(self, rng: np.random.Generator, side: int) -> Print:
        """A square page of `side` px, half of the pages with noise."""
        recipe = self.recipe
        if self.real and rng.random() < recipe.real_share:
            one = self.real.page(rng, side, side, recipe.em)
        else:
            one = self.set.page(rng, side, side)
        return used(one, recipe.noise, rng)

    def measured(self) -> dict[str, list[Print]]:
        """Pages of 256 px to measure on, a list by kind: set pages clean, worn and of random strings; and real ones,
        with type of the size that A4 has at 640 and at 1024 px."""
        language, strings = self.set.with_random(0.0), self.set.with_random(1.0)
        kinds: dict[str, Callable[[np.random.Generator], Print]] = {}
        for name, pages, noise in (("set", language, 0.0), ("worn", language, 0.3), ("random", strings, 0.0)):
            kinds[name] = partial(_worn_page, pages, noise)
        if self.real:
            for name, em in (("real 8 px", (7.5, 8.5)), ("real 12 px", (11.5, 12.5))):
                kinds[name] = partial(self.real.page, height=256, width=256, em=em)
        return {name: [draw(np.random.default_rng(i)) for i in range(24)] for name, draw in kinds.items()}


def used(one: Print, noise: float, rng: np.random.Generator) -> Print:
    """A page as it is, on half of the calls; else worn, each step of noise by the chance `noise`, or scanned."""
    chance = rng.random()
    if chance < 0.5:
        return one
    return worn(one, some(rng, noise) if chance < 0.75 else scanned(rng), rng)


def _worn_page(pages: SetPages, noise: float, rng: np.random.Generator) -> Print:
    return worn(pages.page(rng, 256, 256), some(rng, noise), rng)


class PrintStage(Stage[Recipe, Batch]):
    """Nano for print on the text of the folder `data` and the real pages of the folder `pdfs`, if one is given."""

    recipe_type = Recipe
    unit = "frame"
    model: PrintModel

    def __init__(self, recipe: Recipe, data: Path, device: torch.device, pdfs: Path | None = None) -> None:
        self.recipe, self.device, self.workers = recipe, device, recipe.workers
        self.model = new_model(recipe, device)
        self.optimisers = print_optimisers(self.model, recipe.weight_decay)
        self.source = Source(recipe, data, pdfs)
        self.held = Source(recipe, data, pdfs, held_out=True).measured()
        self.sides = Choice.of(recipe.page_sides)

    def batch(self, number: int) -> Batch:
        """Square pages of one side, which is drawn by the shares of the sides, with their truth."""
        rng = np.random.default_rng([self.recipe.seed, number])
        side = self.sides.one(rng)
        return batch_of([self.source.page(rng, side) for _ in range(self.recipe.pages_per_batch(side))], rng)

    def loss(self, number: int, batch: Batch) -> Loss:
        """The three losses; after the local steps the folding is started, and comes between."""
        recipe = self.recipe
        step, part = divmod(number, recipe.batches_per_step)
        if step == recipe.local_steps and part == parallel.rank() and not recipe.start:
            rng = np.random.default_rng(recipe.seed)
            first = np.stack([255 - self.source.page(rng, 256).page.image for _ in range(_SEEN_FIRST)])
            start_folding(self.model, first, self.device)
        compressed = step >= recipe.local_steps
        directly = not compressed or number % _DIRECTLY == 0
        total, count, right = losses(self.model, batch, self.device, compressed, directly)
        return Loss(total, count, int(right.sum()), batch.ink.size // TOKEN_SIDE**2)

    def validate(self, step: int) -> dict[str, float]:
        """The share of characters read right on held-out pages; see `validate`."""
        return validate(self.model, self.held, self.device, step > self.recipe.local_steps)

    def write(self, out: Path) -> None:
        """Writes out/model.safetensors."""
        stored.save(PRINT, self.model, out / "model.safetensors")


@torch.no_grad()
def validate(
    model: PrintModel, held: dict[str, list[Print]], device: torch.device, compressed: bool = True
) -> dict[str, float]:
    """For each of several lists of pages the share of characters whose frame is read right."""
    model.eval()
    scores = {}
    for name, pages in held.items():
        batch = batch_of(pages)
        _, _, right = losses(model, batch, device, compressed, not compressed)
        centre = torch.from_numpy(batch.centre[batch.character >= 0] == 1).to(device)
        scores[name] = round(right[centre].float().mean().item(), 5)
    model.train()
    return scores
