"""What decides nano's quality: small nanos that differ in one thing each, trained alike, measured alike.

    python benchmarks/ablations.py CORPUS --out runs/ablations [--steps 800] [--only base no-random …]

Every variant is the recipe below with one change. Each is trained at 7×13 (seed 0, few enough steps for one core) and
measured on held-out English novels and their random twin. Two more rows are line decoders on the first variant's
tokens, with the readout's draft and without it, trained for half as many steps. A variant whose weights are in --out
already is only measured; a training that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.codec import measure
from microfiche.decoder.moe import Routing, balance_loss
from microfiche.devices import fast_autocast
from microfiche.nano.cells import NANO, Nano, NanoLines, line_decoder
from microfiche.nano.encoder import PATCHES, NanoEncoder
from microfiche.nano.lines import LineDecoder, Lines
from microfiche.nano.readout import HALF_CLASSES
from microfiche.page import TOKEN_SIDE
from microfiche.precision import errors, random_twin
from microfiche.readers import Reader
from microfiche.training import lines, loop
from microfiche.training.cell_pages import CellPages
from microfiche.training.codec import CodecStage
from microfiche.training.corpus import documents, held_out
from microfiche.training.optimisers import decoder_optimisers
from microfiche.training.stage import Loss, Stage
from microfiche.typesetting.alphabet import glyphs
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import DENSITIES
from microfiche.typesetting.typesetter import break_lines, expand, ids_to_text, unlearned
from microfiche.weights.stored import load

DENSITY = DENSITIES["7x13"]
RECIPE = """
seed = 0
steps = {steps}
local_steps = {local}
decay_steps = {decay}
warmup_steps = 50
learning_rate = 5e-3
tokens_per_step = 128
random_share = {random}
validate_every = {steps}
page_sides = {{128 = 0.4, 256 = 0.6}}
densities = {{7x13 = 1}}
[model]
stem = [24, 48, 96, 128]
local_layers = 1
token_width = {width}
global_width = 192
global_layers = 1
readout_layers = 2
square_width = 96
hidden = 192
"""
AR_STRIPS, AR_STRIP = 4, (3, 10)  #: strips a step of the variant without dense supervision, and their size in tokens


class OneStep(nn.Linear):
    """A compressor that is one linear map over all 16 patches of a window; it starts as the two-step one does."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__(PATCHES * width, token_width)
        self.start_as(torch.eye(token_width // PATCHES, width))

    @torch.no_grad()
    def start_as(self, projection: Tensor) -> None:
        self.weight.copy_(torch.block_diag(*[projection] * PATCHES))  # type: ignore[no-untyped-call]
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


class OneStepBack(nn.Module):
    """The mirror of `OneStep`: one token → 16 patches."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.deconv1 = nn.Linear(token_width, PATCHES * width)
        self.start_as(torch.eye(width, token_width // PATCHES))

    @torch.no_grad()
    def start_as(self, projection: Tensor) -> None:
        self.deconv1.weight.copy_(torch.block_diag(*[projection] * PATCHES))  # type: ignore[no-untyped-call]
        self.deconv1.bias = nn.Parameter(torch.zeros(4 * len(projection)))  # `start_compressor` fills a quarter

    def forward(self, tokens: Tensor) -> Tensor:
        bias = self.deconv1.bias.repeat(PATCHES // 4)
        return F.linear(tokens, self.deconv1.weight, bias).view(len(tokens), PATCHES, -1)


@dataclass(frozen=True)
class Variant:
    """A change of the recipe; `says` is the name of its row in the table."""

    says: str
    width: int = 768
    local: float = 0.25  #: share of the steps before there is a compressor
    random: float = 0.3
    within: Callable[[], AbstractContextManager[object]] = nullcontext  #: in which its model is built


class OneStepPatched(AbstractContextManager[object]):
    """While this context is open, models are built with the one-step compressor and its mirror."""

    def __enter__(self) -> None:
        self.patches = [
            patch("microfiche.nano.encoder.Compressor", OneStep),
            patch("microfiche.nano.readout.Decompressor", OneStepBack),
        ]
        for each in self.patches:
            each.start()

    def __exit__(self, *error: object) -> None:
        for each in self.patches:
            each.stop()


VARIANTS = {
    "base": Variant("a small nano: tokens of 768, compressor of two steps, 30 % random strings"),
    "narrow": Variant("tokens of 384", width=384),
    "wide": Variant("tokens of 1536", width=1536),
    "one-step": Variant("compressor of one step, 16 patches at once", within=OneStepPatched),
    "no-random": Variant("no random strings in training", random=0.0),
    "no-local": Variant("through the compressor from the first step", local=0.0),
}

NAMES = (*VARIANTS, "no-dense", "draft", "no-draft")


def held_text(folder: Path, count: int) -> str:
    """Held-out English novels, without the characters that 7×13 cannot draw."""
    (file,) = folder.glob("en-novels*")
    text = "\n".join(d for d in documents(file) if held_out(d))[:count]
    return text.translate(dict.fromkeys(map(ord, unlearned([text], DENSITY))))


def trained(variant: Variant, name: str, folder: Path, out: Path, steps: int) -> Path:
    """The file of a variant's weights; the variant is trained if the file is missing."""
    weights = out / name / "model.safetensors"
    if not weights.exists():
        recipe = out / f"{name}.toml"
        recipe.parent.mkdir(parents=True, exist_ok=True)
        local = round(variant.local * steps)
        recipe.write_text(
            RECIPE.format(steps=steps, local=local, decay=steps // 2, random=variant.random, width=variant.width)
        )
        loop.train(CodecStage, recipe, folder, out / name, torch.device("cpu"))
    return weights


def as_trained(folder: Path) -> Nano:
    """A variant with its weights in float32, as they were before they were stored in int8."""
    stored = load(NANO, folder / "model.safetensors", dtype=torch.float32)
    with safe_open(folder / "state.safetensors", "pt") as state, torch.no_grad():
        for name, parameter in stored.named_parameters():
            parameter.copy_(state.get_tensor(f"model/{name}"))
    return stored


class Sightless(nn.Module):
    """An encoder and a line decoder that sees only vision tokens."""

    def __init__(self, encoder: NanoEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = LineDecoder.for_nano(1, 768)

    def lines(self, cells: np.ndarray) -> Lines:
        """What the decoder gets of a strip: the tokens of its rows, and nothing about single cells."""
        height, width = AR_STRIP
        ink = torch.from_numpy(draw(cells, atlas(DENSITY).cells, height * TOKEN_SIDE, width * TOKEN_SIDE))[None]
        tokens = self.encoder(ink.float()).view(height, width, -1)
        rows = (np.arange(len(cells)) * DENSITY.height + DENSITY.height // 2) // TOKEN_SIDE
        base = torch.zeros(*cells.shape, HALF_CLASSES)
        return Lines(tokens[torch.from_numpy(rows)], torch.zeros(*cells.shape, 2), base)


class SightlessStage(Stage[lines.Recipe, list[np.ndarray]]):
    """A line decoder on vision tokens alone, and the encoder with it if that may learn."""

    recipe_type = lines.Recipe
    unit = "cell"
    model: Sightless
    shape = tuple(n * TOKEN_SIDE // m for n, m in zip(AR_STRIP, (DENSITY.height, DENSITY.width), strict=True))

    def __init__(self, recipe: lines.Recipe, data: Path, device: torch.device, *, encoder: NanoEncoder) -> None:
        self.recipe, self.device = recipe, device
        torch.manual_seed(recipe.seed)
        self.model = Sightless(encoder)
        self.pages = CellPages(data, False, recipe.densities, recipe.random_share)
        self.optimisers = [
            torch.optim.AdamW([{"params": list(self.model.parameters()), "share": 0.4}], betas=(0.9, 0.98), fused=True)
        ]
        if not any(p.requires_grad for p in encoder.parameters()):
            self.optimisers = decoder_optimisers(self.model.decoder, recipe.weight_decay)

    def batch(self, number: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.recipe.seed, number])
        return [
            self.pages.cells(rng, DENSITY, *self.shape, bool(rng.random() < self.recipe.random_share))
            for _ in range(AR_STRIPS)
        ]

    def loss(self, number: int, batch: list[np.ndarray]) -> Loss:
        total, right, count = torch.zeros(()), 0, 0
        for cells in batch:
            target = torch.from_numpy(lines.classes(cells))
            routings: list[Routing] = []
            with fast_autocast("cpu"):
                logits = self.model.decoder(self.model.lines(cells), lines.shifted(target), routings)
            total = total + F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
            total = total + self.recipe.balance * target.numel() * balance_loss(routings)
            right, count = right + int((logits.argmax(-1) == target).sum()), count + target.numel()
        return Loss(total, count, right, AR_STRIPS * AR_STRIP[0] * AR_STRIP[1])


def without_readout(
    name: str, encoder: NanoEncoder, folder: Path, out: Path, steps: int, text: str
) -> tuple[float, float]:
    """Trains a line decoder on vision tokens alone, and gives its precision on text and its twin."""
    recipe_file = out / f"{name}.toml"
    recipe_file.parent.mkdir(parents=True, exist_ok=True)
    recipe_file.write_text(lines_recipe(steps, ""))
    stage = SightlessStage(lines.Recipe.read(recipe_file), folder, torch.device("cpu"), encoder=encoder)
    loop.run(stage, recipe_file, out / name)
    model = stage.model.eval()
    return read_alone(model, text, stage.shape), read_alone(model, random_twin(text), stage.shape)


def lines_recipe(steps: int, encoder: str) -> str:
    """The recipe of a line decoder, with as many vision tokens a step as the other variants."""
    return (
        f"encoder = {json.dumps(encoder)}\nsteps = {steps}\ndecay_steps = {steps // 2}\nwarmup_steps = 50\n"
        f"tokens_per_step = {AR_STRIPS * AR_STRIP[0] * AR_STRIP[1]}\nvalidate_every = {steps}\n"
        "random_share = 0.3\ndensities = {7x13 = 1}\n"
    )


def with_draft(base: Path, folder: Path, out: Path, steps: int, text: str) -> tuple[float, float]:
    """Trains a line decoder on what the readout of `base` sees; its precision on a text and on the random twin."""
    recipe_file = out / "draft.toml"
    recipe_file.write_text(lines_recipe(steps, str(base)))
    weights = out / "draft" / "model.safetensors"
    if not weights.exists():
        loop.train(lines.LinesStage, recipe_file, folder, out / "draft", torch.device("cpu"))
    model = load(NANO, base)
    return precisions(NanoLines(model, line_decoder(model, weights)), text)


@torch.inference_mode()
def read_alone(model: Sightless, text: str, shape: tuple[int, ...]) -> float:
    """Strict precision of what the line decoder reads, one strip after another."""
    rows, columns = shape
    cells, _ = break_lines(expand(glyphs(text)), columns, "dense")
    wrong = length = 0
    for first in range(0, len(cells) - rows + 1, rows):
        truth = cells[first : first + rows]
        found = model.decoder.greedy(model.lines(truth)).numpy()
        read = ids_to_text(np.where(found < HALF_CLASSES - 2, found, 0).astype(np.uint16).reshape(-1))
        distance, longer = errors(read, ids_to_text(truth.reshape(-1)))
        wrong, length = wrong + distance, length + longer
    return 1 - wrong / length


def precisions(reader: Reader, text: str) -> tuple[float, float]:
    """Strict precision on a text and on its random twin."""
    prose, random = (measure(text, reader, "7x13", random=twin).precision for twin in (False, True))
    return prose, random


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--characters", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", choices=list(NAMES), default=list(NAMES))
    args = parser.parse_args()
    text = held_text(args.folder, args.characters)
    print(f"| variant, {args.steps:,} steps at 7×13 | precision | random strings |\n|---|---|---|", flush=True)
    for name in args.only:
        if name == "no-dense":
            torch.manual_seed(0)
            encoder = NanoEncoder((24, 48, 96, 128), 1, 768, 192, 1)
            scores = without_readout(name, encoder, args.folder, args.out, args.steps, text)
            says = "no dense supervision: a line decoder's loss alone"
        elif name in ("draft", "no-draft"):
            base = trained(VARIANTS["base"], "base", args.folder, args.out, args.steps)
            steps = args.steps // 2
            given = "with" if name == "draft" else "without"
            says = f"a line decoder on its tokens, {steps} steps, {given} the readout's draft"
            if name == "draft":
                scores = with_draft(base, args.folder, args.out, steps, text)
            else:
                encoder = load(NANO, base, dtype=torch.float32).encoder
                scores = without_readout(name, encoder, args.folder, args.out, steps, text)
        else:
            variant = VARIANTS[name]
            says = variant.says
            with variant.within():
                model = load(NANO, trained(variant, name, args.folder, args.out, args.steps))
                scores = precisions(model, text)
        print(f"| {says} | {scores[0]:.4f} | {scores[1]:.4f} |", flush=True)
        if name == "base":
            scores = precisions(as_trained(args.out / name), text)
            print(f"| its weights in float32 instead of int8 | {scores[0]:.4f} | {scores[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
