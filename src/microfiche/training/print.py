"""Trains nano for print on real pages and on pages in outline typefaces, with the noise of the world.

Three losses, all dense: in which pixel rows of every column of pixels the middle of a line runs, the size of its type,
and the character in the frames along every line. What is not known of a page (figures, characters without a sound text
layer) is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.checkpoints import print as checkpoint
from microfiche.models.devices import fast_autocast
from microfiche.nano.print import BETWEEN, COLUMN, FRAME, MIDDLE, NONE, PrintConfig, PrintModel, frames_at
from microfiche.training import parallel
from microfiche.training.ahead import Ahead
from microfiche.training.loop import Loss, Schedule, run
from microfiche.training.noise import some, worn
from microfiche.training.optimisers import muon_and_adamw
from microfiche.training.prints import Prints
from microfiche.training.real_pages import RealPages
from microfiche.typesetting.alphabet import N_HALF, NO_GLYPH, glyphs
from microfiche.typesetting.density import TOKEN_SIDE
from microfiche.typesetting.printed import LARGEST, SIZES, Print

_BEYOND = 0.6  #: em that frames go on for before and behind a line
_SIZE_SHARE = 0.2  #: of the loss on a type's size
_SLIP = (0.06, 0.06)  #: em that a line may be traced too high, and share its size may be off: standard deviations
_LEARNED_APART = ("_head.weight", "part", "place")  #: parameters that are no matrices between features
_SEEN_FIRST = 24  #: pages whose patches the compressor starts from


class Recipe(Schedule):
    """What makes a checkpoint for print; see training/recipes for the one that ships."""

    start: str = ""  #: a checkpoint for print that it goes on from
    model: dict[str, Any] = Field(default_factory=dict)  #: what differs from PrintConfig
    page_sides: dict[int, float]  #: side of a square training page in px → its share of the steps
    em: tuple[float, float] = (5.0, 16.0)  #: px an em of the type, from and to
    real_share: float = Field(0.5, ge=0, le=1)  #: real pages, where there are any
    random_share: float = Field(0.3, ge=0, le=1)  #: of the others, pages that hold random strings
    noise: float = Field(0.25, ge=0, le=1)  #: the chance of each step of noise on half of the pages
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
        given = {name: tuple(v) if isinstance(v, list) else v for name, v in self.model.items()}
        return PrintConfig(**given)


@dataclass(frozen=True)
class Batch:
    """Pages of one size and their truth.

    `ink` (B, H, W) uint8, 255 where it is black; `middle` (B, H, W/8) uint8, 1 where the middle of a line runs through
    that row of the column, and `known` of the same shape whether that is known; `size` (B, H/8, W/8) float32 px an em,
    0 where no line runs; and of frames the `cells` (F, 3) and `part` (F,) they look at and their `target` class (F,),
    −1 where it is not known.
    """

    ink: NDArray[np.uint8]
    middle: NDArray[np.uint8]
    known: NDArray[np.bool_]
    size: NDArray[np.float32]
    cells: NDArray[np.int64]
    part: NDArray[np.int64]
    target: NDArray[np.int64]


def batch_of(prints: Sequence[Print], rng: np.random.Generator | None = None) -> Batch:
    """The supervision of pages of one size; with `rng` lines lie a little too high or low, large or small, as they may
    be traced."""
    height, width = prints[0].page.image.shape
    found = [frames_of(one, rng) for one in prints]
    y, x, target = (np.concatenate([one[i] for one in found]) for i in range(3))
    page = np.repeat(np.arange(len(prints)), [len(one[0]) for one in found])
    frames = frames_at(y, x, page, height, width)
    maps = [middles(one) for one in prints]
    middle, known, size = (np.stack([one[i] for one in maps]) for i in range(3))
    ink = 255 - np.stack([one.page.image for one in prints])
    return Batch(ink, middle, known, size, frames.cells, frames.part, target.astype(np.int64))


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
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The frames of every line of a page, one line after another: (F,) y and x px, NaN between two lines, and their
    classes, −1 where that is not known; with `rng` as `batch_of` says."""
    assert one.page.text is not None and one.page.boxes is not None
    boxes = one.page.boxes
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    stands = boxes[:, 2] > boxes[:, 0]
    ids = glyphs(one.page.text).astype(np.int64)
    ids[(ids >= N_HALF) | (ids == NO_GLYPH)] = -1
    gap = np.full(BETWEEN, np.nan)
    ys, xs, targets = [], [], []
    for line in one.lines:
        down, larger = (rng.normal(0, _SLIP) if rng is not None else (0.0, 0.0))
        size = line.size * float(np.exp(larger))
        x0, y0, x1, y1 = line.baseline
        begin = x0 - (_BEYOND + (rng.random() * FRAME if rng is not None else 0)) * size
        x = begin + (np.arange(np.ceil((x1 - begin) / size / FRAME + _BEYOND / FRAME)) + 0.5) * FRAME * size
        y = y0 + (x - x0) * (y1 - y0) / max(x1 - x0, 1e-6) - (MIDDLE + down) * line.size
        target = np.full(len(x), NONE, np.int64)
        chosen = line.start + np.flatnonzero(stands[line.start : line.stop])
        frame = ((centre[chosen] - begin) / (FRAME * size)).astype(np.int64).clip(0, len(x) - 1)
        target[frame] = ids[chosen]
        for masked in frame[ids[chosen] < 0].tolist():  # nor is it known where exactly such a character stands
            target[max(0, masked - 2) : masked + 3] = -1
        ys += [gap, y]
        xs += [gap, x]
        targets += [np.full(BETWEEN, -1), target]
    none = [np.empty(0)]
    return np.concatenate(ys or none), np.concatenate(xs or none), np.concatenate(targets or none).astype(np.int64)


def losses(
    model: PrintModel, batch: Batch, device: torch.device, local: bool = False
) -> tuple[Tensor, int, Tensor]:
    """The summed loss, over how many frames, and of each known frame whether it is read right, (n,) bool; `local`
    reads the patches before they are compressed."""
    ink = torch.from_numpy(batch.ink).to(device, torch.float32) / 255
    middle, known, size, cells, part, target = (
        torch.from_numpy(a).to(device)
        for a in (batch.middle, batch.known, batch.size, batch.cells, batch.part, batch.target)
    )
    with fast_autocast(device):
        at_8, at_4 = model.maps(ink, not local)
        rows, sizes = model.readout.line_logits(at_8)
        logits = model.readout.frame_logits(at_4, cells, part).float()
    each = F.binary_cross_entropy_with_logits(rows, middle.float(), reduction="none")
    # Eight rows of a column count as one frame does, so that either loss weighs the same however dense a page is.
    lines = (each * known).sum() / known.sum().clamp(min=1) * COLUMN + _SIZE_SHARE * size_loss(sizes, size)
    asked = target >= 0
    total = F.cross_entropy(logits[asked], target[asked], reduction="sum")
    count = max(1, int(asked.sum()))
    return total + lines * count, count, logits[asked].argmax(-1) == target[asked]


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
def start_compressor(model: PrintModel, ink: NDArray[np.uint8], device: torch.device) -> None:
    """Makes a token its patches' leading principal components side by side, those of pages (B, H, W) of ink."""
    with fast_autocast(device):
        x = model.encoder.local(torch.from_numpy(ink).to(device, torch.float32) / 255)
    patches = x.permute(0, 2, 3, 1).flatten(0, 2).float()
    kept = model.config.token_width // 16
    _, vectors = torch.linalg.eigh(patches.T @ patches)
    leading = vectors[:, -kept:].T.contiguous()
    model.encoder.compressor.start_as(leading)
    model.readout.decompressor.start_as(leading.T.contiguous())


def optimisers(model: nn.Module, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for what is multiplied with most, convolutions too; AdamW for everything else. What mixes patches starts as
    a projection and learns at a tenth of the rate, lest it be shaken apart."""
    matrices, others, mixing = [], [], []
    for name, parameter in model.named_parameters():
        if "compressor" in name:
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
    """Training pages by number, or those held out: real ones from a folder of extracted pages, and ones set from a
    folder of text."""

    def __init__(self, recipe: Recipe, text: Path, pages: tuple[Path, Path] | None, held_out: bool = False) -> None:
        self.recipe = recipe
        self.real = RealPages(*pages, held_out) if pages else None
        self.set = Prints(
            text, held_out, random_share=recipe.random_share, wide_share=0.0,
            sizes=range(round(recipe.em[0]), round(recipe.em[1]) + 1),
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
        return worn(one, some(rng, recipe.noise), rng) if rng.random() < 0.5 else one


def held_pages(recipe: Recipe, text: Path, pages: tuple[Path, Path] | None) -> dict[str, list[Print]]:
    """Pages of 256 px that are never trained on, held-out text in held-out typefaces: clean, worn, of random strings;
    and real ones, with type of the size that A4 has at 640 and at 1024 px."""
    plain = recipe.model_copy(update={"random_share": 0.0})
    strings = recipe.model_copy(update={"random_share": 1.0})
    kinds: dict[str, Callable[[np.random.Generator], Print]] = {}
    for name, given, noise in (("set", plain, 0.0), ("worn", plain, 0.3), ("random", strings, 0.0)):
        source = Source(given, text, None, held_out=True)

        def drawn(rng: np.random.Generator, source: Source = source, noise: float = noise) -> Print:
            return worn(source.set.print(rng, 256, 256), some(rng, noise), rng)

        kinds[name] = drawn
    if pages:
        real = RealPages(*pages, held_out=True)
        for name, em in (("real 8 px", (7.5, 8.5)), ("real 12 px", (11.5, 12.5))):
            kinds[name] = lambda rng, em=em: real.print(rng, 256, 256, em)
    return {name: [draw(np.random.default_rng(i)) for i in range(24)] for name, draw in kinds.items()}


@torch.no_grad()
def validate(
    model: PrintModel, held: dict[str, list[Print]], device: torch.device, local: bool = False
) -> dict[str, float]:
    """For each of several sets of pages the share of characters whose frame is read right."""
    model.eval()
    scores = {}
    for name, prints in held.items():
        batch = batch_of(prints)
        _, _, right = losses(model, batch, device, local)
        target = batch.target[batch.target >= 0]
        scores[name] = round(right[torch.from_numpy(target != NONE).to(device)].float().mean().item(), 5)
    model.train()
    return scores


def train(
    recipe_file: Path,
    text: Path,
    out: Path,
    device: torch.device,
    progress: Callable[[dict[str, Any]], None],
    stop: Callable[[int], bool] = lambda step: False,
    pages: tuple[Path, Path] | None = None,
) -> int:
    """Trains by the recipe on the text under `text` and the real pages extracted into `pages`, into `out`, and writes
    out/model.safetensors when done; returns the steps done. See `loop.run`."""
    recipe = Recipe.read(recipe_file)
    model = new_model(recipe, device)
    source = Source(recipe, text, pages)
    held = held_pages(recipe, text, pages)
    ahead = Ahead(source.batch, recipe.workers, recipe.batches_per_step)

    def loss(number: int) -> Loss:
        step, part = divmod(number, recipe.batches_per_step)
        batch = ahead(number)
        if step == recipe.local_steps and part == parallel.rank() and not recipe.start:
            rng = np.random.default_rng(recipe.seed)
            first = np.stack([255 - source.page(rng, 256).page.image for _ in range(_SEEN_FIRST)])
            start_compressor(model, first, device)
        total, count, right = losses(model, batch, device, step < recipe.local_steps)
        return Loss(total, count, int(right.sum()), batch.ink.size // TOKEN_SIDE**2)

    def measured(step: int) -> dict[str, float]:
        return validate(model, held, device, step <= recipe.local_steps)

    return run(
        recipe_file, recipe, out, model, optimisers(model, recipe.weight_decay), loss, measured, progress, stop,
        lambda: checkpoint.save(model, out / "model.safetensors"),
    )
