"""Trains nano for print on real pages and on pages in outline typefaces, with the noise of the world.

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
from microfiche.nano import print_checkpoint as checkpoint
from microfiche.nano.print import (
    BETWEEN,
    BEYOND,
    CELL,
    COLUMN,
    FRAME,
    MIDDLE,
    PATCH,
    PrintConfig,
    PrintModel,
    PrintReadout,
    frames_at,
    inked,
)
from microfiche.page import TOKEN_SIDE
from microfiche.training import parallel
from microfiche.training.ahead import Ahead
from microfiche.training.loop import Loss, Schedule, run
from microfiche.training.noise import scanned, some, worn
from microfiche.training.optimisers import muon_and_adamw
from microfiche.training.real_pages import RealPages
from microfiche.training.real_store import TRUTH
from microfiche.training.set_pages import Prints
from microfiche.typesetting.alphabet import N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.fonts import typefaces
from microfiche.typesetting.print import LARGEST, SIZES, Print

_ALIKE = 1.0  #: of the loss on maps that are unlike the encoder's
_DIRECTLY = 4  #: batches of which one is read from the encoder's own maps too
_SIZE_SHARE = 0.2  #: of the loss on a type's size
_SLIP = (0.06, 0.06)  #: em that a line may be traced too high, and share its size may be off: standard deviations
_LEARNED_APART = ("_head.weight", "part", "place")  #: parameters that are no matrices between features
_FOLDING = ("encoder.fold", "encoder.mix", "readout.mix", "readout.unfold")
_SEEN_FIRST = 64  #: pages whose patches the folding starts from


class Recipe(Schedule):
    """What makes a checkpoint for print; see training/recipes for the one that ships."""

    start: str = ""  #: a checkpoint for print that it goes on from
    model: dict[str, Any] = Field(default_factory=dict)  #: what differs from PrintConfig
    page_sides: dict[int, float]  #: side of a square training page in px → its share of the steps
    em: tuple[float, float] = (5.0, 16.0)  #: px an em of the type, from and to
    real_share: float = Field(0.5, ge=0, le=1)  #: real pages, where there are any
    random_share: float = Field(0.3, ge=0, le=1)  #: of the others, pages that hold random strings
    noise: float = Field(0.25, ge=0, le=1)  #: the chance of each step of noise on a quarter; another is scanned
    local_steps: int = Field(0, ge=0)  #: the first steps, in which nothing is compressed
    workers: int = Field(1, ge=0)  #: processes that draw pages ahead

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        for side in self.page_sides:
            if side % TOKEN_SIDE or not 0 < side <= LARGEST:
                raise ValueError(f"a page side of {side} px: sides are multiples of {TOKEN_SIDE}, at most {LARGEST}")
        if min(self.page_sides.values(), default=0) < 0 or not sum(self.page_sides.values()):
            raise ValueError("page_sides: the shares are not all ≥ 0 with one above")
        if not SIZES[0] <= self.em[0] <= self.em[1] <= SIZES[-1]:
            raise ValueError(f"em = {list(self.em)}: sizes lie between {SIZES[0]} and {SIZES[-1]} px, in order")
        unknown = set(self.model) - set(asdict(PrintConfig()))
        if unknown:
            raise ValueError(f"model: {min(unknown)!r} is no key; there are {', '.join(asdict(PrintConfig()))}")
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


def batch_of(prints: Sequence[Print], rng: np.random.Generator | None = None) -> Batch:
    """The supervision of pages of one size; with `rng` lines lie a little too high or low, large or small, as they may
    be traced."""
    height, width = prints[0].page.image.shape
    found = [frames_of(one, rng) for one in prints]
    y, x, character, centre = (np.concatenate([one[i] for one in found]) for i in range(4))
    page = np.repeat(np.arange(len(prints)), [len(one[0]) for one in found])
    frames = frames_at(y, x, page, height, width)
    middle, known, size = (np.stack(maps) for maps in zip(*map(middles, prints), strict=True))
    ink = 255 - np.stack([one.page.image for one in prints])
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
        return checkpoint.load_model(recipe.start, device, torch.float32).train().requires_grad_(True)
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


def optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for what is multiplied with most, convolutions too; AdamW for everything else. What folds and unfolds
    patches starts as a projection and learns at a tenth of the rate, lest it be shaken apart."""
    matrices, others, mixing = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith(_FOLDING):
            mixing.append(parameter)
        elif parameter.ndim > 1 and min(parameter.flatten(1).shape) >= 32 and not name.endswith(_LEARNED_APART):
            matrices.append(parameter)
        else:
            others.append(parameter)
    return muon_and_adamw(
        [{"params": matrices, "share": 1.0}],
        [{"params": others, "share": 1.0}, {"params": mixing, "share": 0.1}],
        weight_decay,
    )


class Source:
    """Training pages by number, or those held out: real ones of a folder of PDFs with its store of truth, and ones set
    from a folder of text in the typefaces for print."""

    def __init__(self, recipe: Recipe, text: Path, pdfs: Path | None, held_out: bool = False) -> None:
        self.recipe = recipe
        self.real = RealPages(pdfs / TRUTH, pdfs, held_out) if pdfs else None
        self.set = Prints(
            text, held_out, typefaces(held_out, for_print=True), random_share=recipe.random_share, wide_share=0.0,
            sizes=range(int(recipe.em[0]), int(recipe.em[1]) + 1),
        )  # fmt: skip

    def batch(self, number: int) -> Batch:
        """The training batch of that number: a function of the recipe, the data and nothing else."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, number])
        sides = list(recipe.page_sides)
        shares = np.array(list(recipe.page_sides.values()))
        side = sides[rng.choice(len(sides), p=shares / shares.sum())]
        count = max(1, round(recipe.tokens_per_batch / (side // TOKEN_SIDE) ** 2))
        return batch_of([self.page(rng, side) for _ in range(count)], rng)

    def page(self, rng: np.random.Generator, side: int) -> Print:
        """A square page of `side` px."""
        recipe = self.recipe
        if self.real and rng.random() < recipe.real_share:
            one = self.real.print(rng, side, side, recipe.em)
        else:
            one = self.set.print(rng, side, side)
        chance = rng.random()
        if chance < 0.5:
            return one
        return worn(one, some(rng, recipe.noise) if chance < 0.75 else scanned(rng), rng)


def held_pages(recipe: Recipe, text: Path, pdfs: Path | None) -> dict[str, list[Print]]:
    """Pages of 256 px that are never trained on, held-out text in held-out typefaces: clean, worn, of random strings;
    and real ones, with type of the size that A4 has at 640 and at 1024 px."""
    plain = recipe.model_copy(update={"random_share": 0.0})
    strings = recipe.model_copy(update={"random_share": 1.0})
    kinds: dict[str, Callable[[np.random.Generator], Print]] = {}
    for name, given, noise in (("set", plain, 0.0), ("worn", plain, 0.3), ("random", strings, 0.0)):
        source = Source(given, text, None, held_out=True)

        kinds[name] = partial(_drawn, source.set, noise)
    if pdfs:
        real = RealPages(pdfs / TRUTH, pdfs, held_out=True)
        for name, em in (("real 8 px", (7.5, 8.5)), ("real 12 px", (11.5, 12.5))):
            kinds[name] = partial(real.print, height=256, width=256, em=em)
    return {name: [draw(np.random.default_rng(i)) for i in range(24)] for name, draw in kinds.items()}


def _drawn(prints: Prints, noise: float, rng: np.random.Generator) -> Print:
    return worn(prints.print(rng, 256, 256), some(rng, noise), rng)


@torch.no_grad()
def validate(
    model: PrintModel, held: dict[str, list[Print]], device: torch.device, compressed: bool = True
) -> dict[str, float]:
    """For each of several sets of pages the share of characters whose frame is read right."""
    model.eval()
    scores = {}
    for name, prints in held.items():
        batch = batch_of(prints)
        _, _, right = losses(model, batch, device, compressed, not compressed)
        centre = torch.from_numpy(batch.centre[batch.character >= 0] == 1).to(device)
        scores[name] = round(right[centre].float().mean().item(), 5)
    model.train()
    return scores


def train(
    recipe_file: Path,
    text: Path,
    out: Path,
    device: torch.device,
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool] = lambda step: False,
    pdfs: Path | None = None,
) -> int:
    """Trains by the recipe on the text under `text` and the real pages of the folder `pdfs`, into `out`, and writes
    out/model.safetensors when done; returns the steps done. See `loop.run`."""
    recipe = Recipe.read(recipe_file)
    model = new_model(recipe, device)
    source = Source(recipe, text, pdfs)
    held = held_pages(recipe, text, pdfs)
    ahead = Ahead(source.batch, recipe.workers, recipe.batches_per_step)

    def loss(number: int) -> Loss:
        step, part = divmod(number, recipe.batches_per_step)
        batch = ahead(number)
        if step == recipe.local_steps and part == parallel.rank() and not recipe.start:
            rng = np.random.default_rng(recipe.seed)
            first = np.stack([255 - source.page(rng, 256).page.image for _ in range(_SEEN_FIRST)])
            start_folding(model, first, device)
        compressed = step >= recipe.local_steps
        total, count, right = losses(model, batch, device, compressed, not compressed or number % _DIRECTLY == 0)
        return Loss(total, count, int(right.sum()), batch.ink.size // TOKEN_SIDE**2)

    def measured(step: int) -> dict[str, float]:
        return validate(model, held, device, step > recipe.local_steps)

    return run(
        recipe_file, recipe, out, model, optimisers(model, recipe.weight_decay), loss, measured, progress, stop,
        lambda: checkpoint.save(model, out / "model.safetensors"),
    )
